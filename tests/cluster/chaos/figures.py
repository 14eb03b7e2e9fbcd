"""What the readers saw, and what the providers counted."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.world.server import World

#: The gateway's own deadline, and what a busy machine may add, in seconds.
DEADLINE_S = 4.0 + 1.0
#: An answer, an answer that has not changed, no provider, no provider in time.
STATUSES = (200, 304, 503, 504)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reader's: see `tests.cluster.chaos.readers`. Times in seconds."""

    began: float
    took_s: float
    port: int
    kind: str
    status: int
    cache: str
    path: str

    @property
    def is_answered(self) -> bool:
        return self.status in STATUSES and self.took_s <= DEADLINE_S

    def __str__(self) -> str:
        return f"{self.path} at {self.port}: {self.status} after {self.took_s:.2f} s"


class ReadingFile:
    """Reads what the readers have written since the last time."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._path, self._at = path, 0

    def read(self) -> list[Reading]:
        with self._path.open() as file:
            file.seek(self._at)
            lines = file.readlines()
            if lines and not lines[-1].endswith("\n"):
                lines.pop()
            self._at += sum(map(len, lines))
        return [_reading(line) for line in lines]


def _reading(line: str) -> Reading:
    began, took, port, kind, status, cache, path = line.split()
    return Reading(float(began), float(took), int(port), kind, int(status), cache, path)


@dataclass(frozen=True)
class Summary:
    """Of the readings of one kind. Times in milliseconds."""

    count: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    refused: int

    def __str__(self) -> str:
        return f"p99 {self.p99_ms:.1f}, worst {self.worst_ms:.0f} ms"


def summary(readings: Iterable[Reading], kind: str) -> Summary:
    """A cold read is one that the cache could not answer; refusals are in the times, too."""
    found = [one for one in readings if one.kind == kind]
    if kind == "cold":
        found = [one for one in found if one.cache not in ("hit", "stale")]
    times = sorted(one.took_s * 1_000 for one in found) or [0.0]
    refused = sum(one.status in (503, 504) for one in found)
    return Summary(len(found), at_share(times, 0.5), at_share(times, 0.99), times[-1], refused)


def at_share(ascending: Sequence[float], share: float) -> float:
    return ascending[int(share * (len(ascending) - 1))]


def most_in_a_window(times: Sequence[float], amounts: Sequence[int], period_s: float) -> int:
    """The largest sum of amounts in any window of this length; `times` ascend."""
    window: deque[tuple[float, int]] = deque()
    used = most = 0
    for at, amount in zip(times, amounts, strict=True):
        window.append((at, amount))
        used += amount
        while at - window[0][0] >= period_s:
            used -= window.popleft()[1]
        most = max(most, used)
    return most


def used_limits(world: World) -> dict[str, tuple[int, int, int]]:
    """By provider: its calls, the most weight in any window of its period, and its limit."""
    found = {}
    for name, times in world.called_at.items():
        limit, period_s = world.limits[name]
        most = most_in_a_window(times, world.weights[name], period_s)
        found[name] = len(times), most, limit
    return found


def exceeded(world: World) -> list[str]:
    """What a provider noted itself, and what its calls show."""
    over = [
        f"{name}: {most} of {limit} in one window"
        for name, (_, most, limit) in used_limits(world).items()
        if most > limit
    ]
    noted = [f"{name}: {n} overruns" for name, n in Counter(_providers(world)).items()]
    return over + noted


def _providers(world: World) -> Iterable[str]:
    return (overrun.partition(" ")[0] for overrun in world.overruns)
