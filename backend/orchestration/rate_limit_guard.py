"""Turns traffic away before a provider's limit is hit: exact sliding windows, no I/O.

An epoch-aligned counter or a token bucket can overrun a sliding limit by half; a log of the calls
can not. A call counts from the moment it is reserved, and leaves a window only a whole period
after it was settled, since the provider may have counted it as late as that.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from backend.clock import Clock
from backend.providers.adapter import Window

#: Of each limit this share, at least one call, stays unused.
MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work will take: HTTP requests, and their weights together."""

    requests: int
    weight: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The first window that cannot afford the work, and when (monotonic) it can."""

    window: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class Permit:
    """One call's place in all windows, to be settled exactly once."""

    number: int
    cost: Cost


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """One window as a reader sees it. `resets_at` (monotonic): when the oldest call leaves it."""

    window: str
    limit: int
    used: int
    resets_at: float | None


class RateLimitGuard:
    """All windows of one provider under one plan: reserved together or not at all."""

    def __init__(self, clock: Clock, windows: Sequence[Window]) -> None:
        self._clock = clock
        self._windows = tuple(SlidingWindow(window) for window in windows)
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<RateLimitGuard {' '.join(map(repr, self._windows))}>"

    def check(self, cost: Cost) -> Refused | None:
        """None when `cost` is affordable now in every window."""
        now = self._clock.monotonic()
        refusals = [w.refusal(cost, now) for w in self._windows if not w.can_afford(cost, now)]
        return max(refusals, key=lambda refused: refused.retry_at, default=None)

    def try_acquire(self, cost: Cost) -> Permit | Refused:
        """Reserves every window in one step, or none."""
        refused = self.check(cost)
        if refused:
            return refused
        permit = Permit(next(self._numbers), cost)
        for window in self._windows:
            window.reserve(permit)
        return permit

    def settle(self, permit: Permit, *, was_sent: bool, may_have_succeeded: bool) -> None:
        """The call ended. One that never left is given back; one of unknown fate counts."""
        now = self._clock.monotonic()
        for window in self._windows:
            is_counted = may_have_succeeded or window.counts_attempts
            window.settle(permit, now, counts=was_sent and is_counted)

    def observe(self, headers: Mapping[str, str]) -> None:
        """Adopts what the provider says that we used, where it is worse than our own count."""
        now = self._clock.monotonic()
        for window in self._windows:
            window.observe(headers, now)

    def headroom(self) -> float:
        """The smallest remaining share of any window, 0 to 1."""
        now = self._clock.monotonic()
        return min((window.remaining_share(now) for window in self._windows), default=1.0)

    def quotas(self) -> tuple[QuotaUse, ...]:
        now = self._clock.monotonic()
        return tuple(window.use(now) for window in self._windows)


class SlidingWindow:
    """The log of one window's calls: (monotonic time, amount), oldest first."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._log: deque[tuple[float, int]] = deque()
        self._logged = 0
        self._in_flight: dict[int, int] = {}
        self._usable = max(1, int(window.limit - max(1.0, MARGIN * window.limit)))
        self.name = _period_name(window.period_s)

    def __repr__(self) -> str:
        return f"<{self.name} {self._logged}+{sum(self._in_flight.values())}/{self._window.limit}>"

    @property
    def counts_attempts(self) -> bool:
        return self._window.counts_on == "attempt"

    def can_afford(self, cost: Cost, now: float) -> bool:
        return self._used(now) + self._amount(cost) <= self._usable

    def refusal(self, cost: Cost, now: float) -> Refused:
        """When enough will have left the window, if nothing else is called till then."""
        excess = self._used(now) + self._amount(cost) - self._usable
        for at, amount in self._log:
            excess -= amount
            if excess <= 0:
                return Refused(self.name, at + self._window.period_s)
        return Refused(self.name, now + self._window.period_s)  # calls in flight are in the way

    def reserve(self, permit: Permit) -> None:
        self._in_flight[permit.number] = self._amount(permit.cost)

    def settle(self, permit: Permit, now: float, *, counts: bool) -> None:
        amount = self._in_flight.pop(permit.number, 0)
        if counts and amount:
            self._append(now, amount)

    def observe(self, headers: Mapping[str, str], now: float) -> None:
        text = headers.get(self._window.header, "") if self._window.header else ""
        if text.isdecimal() and len(text) < 12:
            unknown = int(text) - self._used(now)
            if unknown > 0:
                self._append(now, unknown)

    def remaining_share(self, now: float) -> float:
        return max(0.0, self._usable - self._used(now)) / self._usable

    def use(self, now: float) -> QuotaUse:
        used = self._used(now)
        oldest = self._log[0][0] + self._window.period_s if self._log else None
        return QuotaUse(self.name, self._window.limit, used, oldest)

    def _amount(self, cost: Cost) -> int:
        return cost.weight if self._window.unit == "weight" else cost.requests

    def _append(self, now: float, amount: int) -> None:
        self._log.append((now, amount))
        self._logged += amount

    def _used(self, now: float) -> int:
        while self._log and now - self._log[0][0] >= self._window.period_s:
            self._logged -= self._log.popleft()[1]
        return self._logged + sum(self._in_flight.values())


def _period_name(period_s: float) -> str:
    """`minute`, `5 minutes`, `30 days`: how a window is called in status and logs."""
    for name, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if period_s >= seconds:
            number = period_s / seconds
            return name if number == 1 else f"{number:g} {name}s"
    return f"{period_s:g} seconds"
