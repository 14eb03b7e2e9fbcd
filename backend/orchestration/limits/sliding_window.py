"""A limit of seconds, minutes or an hour: an exact log of calls, and what refusals teach."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from backend.clock import Clock, second_of
from backend.models.status import Quota
from backend.orchestration.limits.window import (
    Cost,
    Permit,
    Priority,
    Refused,
    header_figure,
    limit_for,
    period_name,
    usable_limit,
)
from backend.providers.adapter import Window

#: Refused after so much less than all: our count was right, and the limit is lower than told.
LEARNT_SHARE = 0.9
#: Two refusals at about the same count are a lower limit, not somebody else's calls.
SAME_COUNT, SAME_WITHIN_S = 0.2, 6 * 3_600.0
#: A limit that was lowered is held for so long, twice as long each time, and then grows back by
#: this share of what was declared each hour.
HOLD_S, RECOVERY_SHARE, HOUR_S = 86_400.0, 0.05, 3_600.0


#: A call is kept as if it had been counted so much later than it was reserved, in seconds: the
#: provider may count it at its end.
COUNTED_LATE_S = 4
#: Seconds with calls that nobody has kept yet; of more the oldest are given up.
MOST_UNSAVED = 7_200


class SlidingWindow:
    """The log of one window's calls: (monotonic time, amount), oldest first."""

    def __init__(self, window: Window, clock: Clock, past: Mapping[int, int] | None = None) -> None:
        """`past`: amounts by second of the epoch, from before the start."""
        self._window = window
        self._clock = clock
        self._unsaved: dict[int, int] = {}
        self._log: deque[tuple[float, int]] = deque()
        self._logged = 0
        #: By permit: the amount, and the second at which the store was told of it.
        self._in_flight: dict[int, tuple[int, int]] = {}
        self._promised = 0
        self._declared = self._learnt = usable_limit(window.limit)
        self._learnt_at = 0.0
        self._hold_s = 0.0
        self._dearest = 1
        self._refused: tuple[float, int] | None = None
        self._foreign = 0
        self.name = period_name(window)
        self._recall(past or {})

    def __repr__(self) -> str:
        return f"<{self.name} {self._logged}+{self._promised}/{self._window.limit}>"

    @property
    def counts_attempts(self) -> bool:
        return self._window.counts_on == "attempt"

    def can_afford(self, cost: Cost, now: float, priority: Priority) -> bool:
        return self._used(now) + self._amount(cost) <= self._open_to(priority, cost, now)

    def refusal(self, cost: Cost, now: float, priority: Priority) -> Refused:
        """When enough will have left the window, if nothing else is called till then."""
        excess = self._used(now) + self._amount(cost) - self._open_to(priority, cost, now)
        for at, amount in self._log:
            excess -= amount
            if excess <= 0:
                return Refused(self.name, at + self._window.period_s)
        return Refused(self.name, now + self._window.period_s)  # calls in flight are in the way

    def reserve(self, permit: Permit) -> None:
        amount = self._amount(permit.cost)
        second = int(self._clock.now().timestamp()) + COUNTED_LATE_S
        self._in_flight[permit.number] = amount, second
        self._promised += amount
        self._dearest = max(self._dearest, amount)
        self._note_unsaved(second, amount)

    def settle(self, permit: Permit, now: float, *, counts: bool) -> None:
        amount, second = self._in_flight.pop(permit.number, (0, 0))
        self._promised -= amount
        if counts and amount:
            self._append(now, amount)
        elif amount:
            self._note_unsaved(second, -amount)

    def unsaved(self) -> dict[int, int]:
        """Amounts by second of the epoch since the last call of this, to be added to the store."""
        unsaved, self._unsaved = self._unsaved, {}
        return {second: amount for second, amount in unsaved.items() if amount}

    def observe(self, headers: Mapping[str, str], now: float) -> None:
        unknown = header_figure(self._window, headers) - self._used(now)
        if unknown > 0:
            self._foreign += unknown
            self._append(now, unknown)

    def learn(self, now: float) -> None:
        """Refused by rate. Near the limit, or twice at the same count, the limit is lower than we
        were told; far below it somebody else spends this quota, and it stays as it is. A call
        that had the whole window to itself was not refused for our rate."""
        count, before = self._used(now), self._refused
        if before and now - before[0] < self._window.period_s:
            return  # of the same burst
        self._refused = now, count
        was_alone = count <= self._dearest
        if not was_alone and (2 * count >= self._window.limit or _is_same(before, (now, count))):
            self._lower(int(LEARNT_SHARE * count), now)
        else:
            self._foreign = self._window.limit - count

    def _lower(self, limit: int, now: float) -> None:
        """Never below what one call costs: there would be none, and so nothing more to learn."""
        self._learnt = min(self._usable(now), max(self._dearest, limit))
        self._hold_s = 2 * self._hold_s if self._learnt_at else HOLD_S
        self._learnt_at = now

    def redeclare(self, limit: int) -> None:
        """The provider itself tells another limit than its documents did."""
        self._window = replace(self._window, limit=limit)
        self._declared = self._learnt = usable_limit(limit)

    def remaining_share(self, now: float) -> float:
        usable = self._usable(now)
        return max(0.0, usable - self._used(now)) / usable

    def quota(self, now: float) -> Quota:
        limit, used = self._window.limit, self._used(now)
        resets_at = self._log[0][0] + self._window.period_s if self._log else None
        remaining, resets_at_utc = max(0, limit - used), second_of(resets_at, self._clock)
        return Quota(self.name, limit, used, remaining, resets_at_utc, self._foreign)

    def _usable(self, now: float) -> int:
        """Lowered, it is held for a day, longer each time, and then grows back."""
        if self._learnt >= self._declared:
            return self._declared
        hours = max(0.0, now - self._learnt_at - self._hold_s) / HOUR_S
        return min(self._declared, int(self._learnt + hours * RECOVERY_SHARE * self._declared))

    def _open_to(self, priority: Priority, cost: Cost, now: float) -> int:
        """An empty window has room for any single question that fits into it at all."""
        usable = self._usable(now)
        return max(limit_for(priority, usable), min(usable, self._amount(cost)))

    def _amount(self, cost: Cost) -> int:
        return cost.weight if self._window.unit == "weight" else cost.requests

    def _append(self, now: float, amount: int) -> None:
        self._log.append((now, amount))
        self._logged += amount

    def _used(self, now: float) -> int:
        while self._log and now - self._log[0][0] >= self._window.period_s:
            self._logged -= self._log.popleft()[1]
        return self._logged + self._promised

    def _note_unsaved(self, second: int, amount: int) -> None:
        self._unsaved[second] = self._unsaved.get(second, 0) + amount
        if len(self._unsaved) > MOST_UNSAVED:
            del self._unsaved[next(iter(self._unsaved))]

    def _recall(self, past: Mapping[int, int]) -> None:
        """Calls of an earlier run. One that is dated ahead of the wall clock, which may have been
        set meanwhile, counts as one of now."""
        now, wall_s = self._clock.monotonic(), self._clock.now().timestamp()
        for second, amount in sorted(past.items()):
            at = now - max(0.0, wall_s - second)
            if now - at < self._window.period_s:
                self._append(at, amount)


def _is_same(before: tuple[float, int] | None, refused: tuple[float, int]) -> bool:
    """Two refusals (time, calls until then) at about the same count, and not long apart."""
    if before is None or refused[0] - before[0] > SAME_WITHIN_S:
        return False
    return abs(refused[1] - before[1]) <= SAME_COUNT * max(refused[1], before[1])
