"""The benchmark's figures: what was measured, medians and ranges over the rounds, verdicts."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

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
