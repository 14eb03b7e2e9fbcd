"""The figures of the fan-out benchmark, and its tables for docs/performance.md."""

import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TypeVar

LIBRARY, DIRECT, PLAIN = "library", "direct", "plain"
NAMES = (LIBRARY, DIRECT, PLAIN)
T = TypeVar("T")


@dataclass(frozen=True)
class Figures:
    """One server with so many readers, a frame a second, in one round."""

    server: str
    readers: int
    expected: int
    delivered: int
    p50_ms: float
    p99_ms: float
    last_ms: float
    memory_kb: float
    cpu_us: float


@dataclass(frozen=True)
class Flood:
    """Many frames as fast as possible, in one round."""

    server: str
    expected: int
    delivered: int
    cpu_s: float
    wall_s: float

    @property
    def by_cpu(self) -> float:
        return self.delivered / self.cpu_s

    @property
    def by_wall(self) -> float:
        return self.delivered / self.wall_s


@dataclass(frozen=True)
class Stall:
    """Figures of those who read beside one who does not, and what that one costs."""

    figures: Figures
    lagging: int
    #: What the process grew by, and what waits in it: that may stand where others stood before.
    grown_kb: float
    waiting_kb: float
    #: In the kernel's send buffer, which is no memory of the process.
    kernel_kb: float

    @property
    def memory_kb(self) -> float:
        return max(self.grown_kb, self.waiting_kb)


@dataclass
class Results:
    """All rounds, in their order."""

    frame_bytes: int = 0
    encode_us: dict[int, float] = field(default_factory=dict)
    figures: list[Figures] = field(default_factory=list)
    floods: list[Flood] = field(default_factory=list)
    stalls: list[Stall] = field(default_factory=list)


def quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median over the rounds, with the range."""
    median = f"{statistics.median(values):,.{digits}f}"
    if len(values) == 1:
        return median
    return f"{median} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def ratios(ours: Sequence[T], theirs: Sequence[T], figure: Callable[[T], float]) -> list[float]:
    """Round by round: what disturbs one round disturbs both sides of its ratio."""
    return [figure(one) / figure(other) for one, other in zip(ours, theirs, strict=True)]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    align = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, align, *rows)) + "\n"


TITLES = {
    LIBRARY: "websockets `broadcast`",
    DIRECT: "ours, direct",
    PLAIN: "ours, plain ASGI",
}
#: Of the library's deliveries; the plain way is the fallback.
LEAST_SHARE = {DIRECT: 1.0, PLAIN: 0.6}
MOST_P99_MS = 250.0
MOST_STALL_KB = 1024.0
#: A figure that is off by no more than this, or by so many ms, is the same figure.
SAME_FACTOR, SAME_MS = 1.25, 5.0
SAME_ENCODING = 1.25


def report(results: Results, middle: int) -> str:
    rounds = len(results.floods) // len(NAMES)
    parts = (
        f"Frame of {results.frame_bytes:,} bytes; medians of {rounds} rounds (their range).\n",
        _ticks(results.figures),
        _one_reader_more(results.figures),
        f"Flood of {middle:,} readers, as fast as possible:\n",
        _floods(results.floods),
        f"One stalled reader beside {middle:,} others:\n",
        _stalls(results, middle),
        _goals(results, middle),
        _machine(),
    )
    return "\n".join(parts)


def _of(figures: Sequence[Figures], server: str, readers: int) -> list[Figures]:
    return [one for one in figures if (one.server, one.readers) == (server, readers)]


def to_library(results: Results) -> dict[str, float]:
    """By how much ours is better than the library: CPU of a frame, memory, frames of a flood."""
    found = {}
    for readers in sorted({one.readers for one in results.figures}):
        ours, theirs = (_of(results.figures, name, readers) for name in (DIRECT, LIBRARY))
        for title, figure in (("CPU of a frame", _cpu_us), ("memory", _memory_kb)):
            ratio = statistics.median(ratios(theirs, ours, figure))
            found[f"stream, {readers:,} readers: {title}"] = ratio
    floods = {n: [one for one in results.floods if one.server == n] for n in (DIRECT, LIBRARY)}
    by_cpu = ratios(floods[DIRECT], floods[LIBRARY], _by_cpu)
    found["stream, a flood: frames a second of CPU"] = statistics.median(by_cpu)
    return found


def _cpu_us(figures: Figures) -> float:
    return figures.cpu_us


def _memory_kb(figures: Figures) -> float:
    return figures.memory_kb


def _ticks(figures: Sequence[Figures]) -> str:
    head: tuple[str, ...] = ("server", "readers", "delivered", "p50 ms", "p99 ms", "last reader ms")
    head += ("kB a connection", "CPU µs a frame", "p99 to library", "CPU to library")
    counts = sorted({one.readers for one in figures})
    return table(head, [_tick_row(figures, name, count) for count in counts for name in NAMES])


def _tick_row(figures: Sequence[Figures], server: str, readers: int) -> list[str]:
    ours, theirs = _of(figures, server, readers), _of(figures, LIBRARY, readers)
    shown: tuple[Callable[[Figures], float], ...] = (
        lambda one: one.p50_ms,
        lambda one: one.p99_ms,
        lambda one: one.last_ms,
        _memory_kb,
        _cpu_us,
    )
    delivered, expected = sum(one.delivered for one in ours), sum(one.expected for one in ours)
    return [
        TITLES[server],
        f"{readers:,}",
        f"{delivered:,} of {expected:,}",
        *(spread([figure(one) for one in ours]) for figure in shown),
        spread(ratios(ours, theirs, lambda one: one.p99_ms), 2),
        spread(ratios(ours, theirs, _cpu_us), 2),
    ]


def _one_reader_more(figures: Sequence[Figures]) -> str:
    """Without what a frame costs whoever reads it: ours hears a venue, lays over and encodes."""
    few, many = min(one.readers for one in figures), max(one.readers for one in figures)
    if few == many:
        return ""
    costs = {}
    for name in NAMES:
        less, more = (
            statistics.median(one.cpu_us for one in _of(figures, name, count)) * count
            for count in (few, many)
        )
        costs[name] = (more - less) / (many - few)
    told = (
        f"{TITLES[name]} {cost:.1f} ({cost / costs[LIBRARY]:.2f})" for name, cost in costs.items()
    )
    return f"CPU µs of one reader more, a frame (to library): {', '.join(told)}.\n"


def _floods(floods: Sequence[Flood]) -> str:
    head: tuple[str, ...] = ("server", "delivered", "a second of CPU", "to library")
    head += ("a second by the clock", "to library")
    theirs = [one for one in floods if one.server == LIBRARY]
    rows = []
    for name in NAMES:
        ours = [one for one in floods if one.server == name]
        delivered, expected = sum(one.delivered for one in ours), sum(one.expected for one in ours)
        row = [TITLES[name], f"{delivered:,} of {expected:,}"]
        for figure in (_by_cpu, _by_wall):
            row.append(spread([figure(one) for one in ours], 0))
            row.append(spread(ratios(ours, theirs, figure), 2))
        rows.append(row)
    return table(head, rows)


def _by_cpu(flood: Flood) -> float:
    return flood.by_cpu


def _by_wall(flood: Flood) -> float:
    return flood.by_wall


def _stalls(results: Results, middle: int) -> str:
    head: tuple[str, ...] = ("server", "p50 ms without", "with", "p99 ms without", "with")
    head += ("server grows by kB", "waiting in it kB", "in the kernel kB")
    rows = []
    for name in (DIRECT, PLAIN):
        without, stalls = _of(results.figures, name, middle), _stalls_of(results.stalls, name)
        row = [TITLES[name]]
        row += [spread([one.p50_ms for one in without])]
        row += [spread([one.figures.p50_ms for one in stalls])]
        row += [spread([one.p99_ms for one in without])]
        row += [spread([one.figures.p99_ms for one in stalls])]
        row += [spread([one.grown_kb for one in stalls], 0)]
        row += [spread([one.waiting_kb for one in stalls], 0)]
        rows.append([*row, spread([one.kernel_kb for one in stalls], 0)])
    return table(head, rows)


def _stalls_of(stalls: Sequence[Stall], server: str) -> list[Stall]:
    return [one for one in stalls if one.figures.server == server]


def _goals(results: Results, middle: int) -> str:
    lines = [_encode_goal(results)]
    for name in (DIRECT, PLAIN):
        lines += [_share_goal(results, name), _p99_goal(results, name, middle)]
        lines += [*_stall_goals(results, name, middle)]
    return "Goals:\n\n" + "".join(f"- {line}\n" for line in lines)


def _encode_goal(results: Results) -> str:
    few, many = results.encode_us[100], results.encode_us[3_000]
    told = f"an update is made in {few:,.0f} µs for 100 readers, {many:,.0f} µs for 3,000"
    return f"{_verdict(many <= few * SAME_ENCODING)}: {told}"


def _share_goal(results: Results, name: str) -> str:
    theirs = [one for one in results.floods if one.server == LIBRARY]
    ours = [one for one in results.floods if one.server == name]
    cpu = statistics.median(ratios(ours, theirs, _by_cpu))
    wall = statistics.median(ratios(ours, theirs, _by_wall))
    told = f"{cpu:.2f} of the library's deliveries by CPU, {wall:.2f} by the clock"
    least = LEAST_SHARE[name]
    return f"{_verdict(min(cpu, wall) >= least)}: {TITLES[name]}: {told} (≥ {least})"


def _p99_goal(results: Results, name: str, middle: int) -> str:
    p99 = statistics.median(one.p99_ms for one in _of(results.figures, name, middle))
    told = f"p99 {p99:.1f} ms at {middle:,} readers (< {MOST_P99_MS:.0f})"
    return f"{_verdict(p99 < MOST_P99_MS)}: {TITLES[name]}: {told}"


def _stall_goals(results: Results, name: str, middle: int) -> list[str]:
    stalls = _stalls_of(results.stalls, name)
    without = statistics.median(one.p99_ms for one in _of(results.figures, name, middle))
    beside = statistics.median(one.figures.p99_ms for one in stalls)
    is_same = beside <= max(without * SAME_FACTOR, without + SAME_MS)
    grown = statistics.median(one.memory_kb for one in stalls)
    told = f"{TITLES[name]}: one stalled reader"
    return [
        f"{_verdict(is_same)}: {told}: p99 {without:.1f} → {beside:.1f} ms for the others",
        f"{_verdict(grown <= MOST_STALL_KB)}: {told} costs {grown:,.0f} kB (≤ 1,024)",
    ]


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def _machine() -> str:
    names = ("uvicorn", "uvloop", "websockets", "fastapi", "starlette", "orjson")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    python = f"Python {platform.python_version()}"
    return f"Machine: {os.cpu_count()} cores, {system}, {python}, {versions}\n"
