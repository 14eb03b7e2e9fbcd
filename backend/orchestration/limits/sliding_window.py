"""A limit per second, minute or hour: an exact log of calls."""

from collections import deque
from collections.abc import Mapping

from backend.clock import Clock, second_of
from backend.models.status import Quota
from backend.orchestration.limits.learned_limit import LearnedLimit
from backend.orchestration.limits.window import (
    Cost,
    Permit,
    Priority,
    Refused,
    header_figure,
    limit_for,
    period_name,
)
from backend.providers.adapter import Window

#: A call is stored as if it had been counted this much later than it was reserved, in seconds:
#: the provider may count it at its end.
COUNTED_LATE_S = 4
#: Seconds with calls that are not stored yet; beyond this number the oldest are dropped.
MAX_UNSAVED = 7_200


class SlidingWindow:
    """The log of one window's calls: (monotonic time, amount), oldest first."""

    def __init__(self, window: Window, clock: Clock, past: Mapping[int, int] | None = None) -> None:
        """`past`: amounts by second of the epoch, from before the start."""
        self.name = period_name(window)
        self._window = window
        self._clock = clock
        self._limit = LearnedLimit(clock, window.limit, window.period_s)
        self._log: deque[tuple[float, int]] = deque()
        self._logged = self._reserved = self._foreign = 0
        self._largest_cost = 1
        #: By permit: the amount, and the second of the epoch under which it is stored.
        self._in_flight: dict[int, tuple[int, int]] = {}
        self._unsaved: dict[int, int] = {}
        self._recall(past or {})

    def __repr__(self) -> str:
        return f"<{self.name} {self._logged}+{self._reserved}/{self._limit.declared}>"

    @property
    def counts_attempts(self) -> bool:
        return self._window.counts_on == "attempt"

    def can_afford(self, cost: Cost, now: float, priority: Priority) -> bool:
        return self._used(now) + self._amount(cost) <= self._limit_for(priority, cost)

    def refusal(self, cost: Cost, now: float, priority: Priority) -> Refused:
        """The time at which `cost` is affordable if nothing else is called until then."""
        excess = self._used(now) + self._amount(cost) - self._limit_for(priority, cost)
        for at, amount in self._log:
            excess -= amount
            if excess <= 0:
                return Refused(self.name, at + self._window.period_s)
        return Refused(self.name, now + self._window.period_s)  # calls in flight are in the way

    def reserve(self, permit: Permit) -> None:
        amount = self._amount(permit.cost)
        second = int(self._clock.now().timestamp()) + COUNTED_LATE_S
        self._in_flight[permit.number] = amount, second
        self._reserved += amount
        self._largest_cost = max(self._largest_cost, amount)
        self._note_unsaved(second, amount)

    def settle(self, permit: Permit, now: float, *, counts: bool) -> None:
        amount, second = self._in_flight.pop(permit.number, (0, 0))
        self._reserved -= amount
        if counts and amount:
            self._append(now, amount)
        elif amount:
            self._note_unsaved(second, -amount)

    def unsaved(self) -> dict[int, int]:
        """Amounts by second of the epoch since the last call of this method, for the store."""
        unsaved, self._unsaved = self._unsaved, {}
        return {second: amount for second, amount in unsaved.items() if amount}

    def observe(self, headers: Mapping[str, str], now: float) -> None:
        """Adopts the provider's own count from the response headers, where it is higher."""
        unknown = header_figure(self._window, headers) - self._used(now)
        if unknown > 0:
            self._foreign += unknown
            self._append(now, unknown)

    def learn(self, now: float) -> None:
        """The provider refused a call by rate that we had thought affordable."""
        foreign = self._limit.record_refusal(self._used(now), self._largest_cost)
        if foreign is not None:
            self._foreign = foreign

    def redeclare(self, limit: int) -> None:
        """The provider states another limit than its documentation did."""
        self._limit.redeclare(limit)

    def remaining_share(self, now: float) -> float:
        usable = self._limit.usable
        return max(0.0, usable - self._used(now)) / usable

    def quota(self, now: float) -> Quota:
        limit, used = self._limit.declared, self._used(now)
        resets_at = self._log[0][0] + self._window.period_s if self._log else None
        remaining, resets_at_utc = max(0, limit - used), second_of(resets_at, self._clock)
        return Quota(self.name, limit, used, remaining, resets_at_utc, self._foreign)

    def _limit_for(self, priority: Priority, cost: Cost) -> int:
        """An empty window has room for any single query that fits into it at all."""
        usable = self._limit.usable
        return max(limit_for(priority, usable), min(usable, self._amount(cost)))

    def _amount(self, cost: Cost) -> int:
        return cost.weight if self._window.unit == "weight" else cost.requests

    def _append(self, now: float, amount: int) -> None:
        self._log.append((now, amount))
        self._logged += amount

    def _used(self, now: float) -> int:
        while self._log and now - self._log[0][0] >= self._window.period_s:
            self._logged -= self._log.popleft()[1]
        return self._logged + self._reserved

    def _note_unsaved(self, second: int, amount: int) -> None:
        self._unsaved[second] = self._unsaved.get(second, 0) + amount
        if len(self._unsaved) > MAX_UNSAVED:
            del self._unsaved[next(iter(self._unsaved))]

    def _recall(self, past: Mapping[int, int]) -> None:
        """Calls of an earlier run. A call dated after now (the wall clock may have been set since)
        counts as a call of now."""
        now, wall_s = self._clock.monotonic(), self._clock.now().timestamp()
        for second, amount in sorted(past.items()):
            at = now - max(0.0, wall_s - second)
            if now - at < self._window.period_s:
                self._append(at, amount)
