"""A limit per second, minute or hour: an exact log of calls. Refusals may teach a lower limit."""

from collections import deque
from collections.abc import Callable, Mapping

from backend.clock import Clock, second_of
from backend.models.status import Quota
from backend.orchestration.limits.window import (
    CallWindow,
    Cost,
    Permit,
    Priority,
    Refused,
    usable_limit,
)
from backend.providers.adapter import Window

#: A call is stored as if it had been counted this much later than it was reserved, in seconds:
#: the provider may count it at its end. More than PROVIDER_TIMEOUT's default, by the rounding.
COUNTED_LATE_S = 4
#: Seconds with calls that are not stored yet; beyond this number the oldest are dropped.
MAX_UNSAVED = 7_200
#: Share of a short window's usable calls, at least one, that queries of a priority may not use.
RESERVED = {Priority.ONE_OFF: 0.2, Priority.PASS_THROUGH: 0.4}
#: After a refusal, the limit is taken to be this share of the calls that were too many.
LEARNED_SHARE = 0.9
#: Two refusals at about the same count within this time show a lower limit, not other clients.
SAME_COUNT, SAME_WITHIN_S = 0.2, 6 * 3_600.0
#: A lowered limit is kept for a day, twice as long each time; then it grows by this share of the
#: declared limit per hour.
HOLD_S, RECOVERY_SHARE, HOUR_S = 86_400.0, 0.05, 3_600.0


class LearnedLimit:
    """`declared` is the documented limit; `usable_of` gives the calls of it that may be made."""

    def __init__(
        self,
        clock: Clock,
        declared: int,
        period_s: float,
        usable_of: Callable[[int], int] = usable_limit,
    ) -> None:
        self._clock = clock
        self._period_s = period_s
        self._usable_of = usable_of
        self.declared = declared
        self._usable = self._learned = usable_of(declared)
        self._learned_at = 0.0
        self._hold_s = 0.0
        self._last_refusal: tuple[float, int] | None = None

    def __repr__(self) -> str:
        return f"<LearnedLimit {self._learned}/{self.declared}>"

    @property
    def usable(self) -> int:
        """Calls that may be made in the window now."""
        if self._learned >= self._usable:
            return self._usable
        hold_until = self._learned_at + self._hold_s
        hours = max(0.0, self._clock.monotonic() - hold_until) / HOUR_S
        return min(self._usable, int(self._learned + hours * RECOVERY_SHARE * self._usable))

    def redeclare(self, limit: int) -> None:
        """The provider states another limit than its documentation did."""
        self.declared = limit
        self._usable = self._learned = self._usable_of(limit)

    def record_refusal(self, count: int, largest_cost: int) -> int | None:
        """The provider refused a call by rate after `count` calls in the window.

        Near the limit, or twice at the same count, the limit is lowered; never below
        `largest_cost`, as no call would pass then and nothing more could be learned. Far below it,
        other clients use this quota: returns how much they have used at most. A call that had the
        window for itself was not refused for our rate.
        """
        now, last = self._clock.monotonic(), self._last_refusal
        if last and now - last[0] < self._period_s:
            return None  # part of the same burst
        self._last_refusal = now, count
        was_alone = count <= largest_cost
        is_near = 2 * count >= self.declared
        is_same = (
            last is not None
            and now - last[0] <= SAME_WITHIN_S
            and abs(count - last[1]) <= SAME_COUNT * max(count, last[1])
        )
        if was_alone or not (is_near or is_same):
            return self.declared - count
        self._learned = min(self.usable, max(largest_cost, int(LEARNED_SHARE * count)))
        self._hold_s = 2 * self._hold_s if self._learned_at else HOLD_S
        self._learned_at = now
        return None


class SlidingWindow(CallWindow):
    """The log of one window's calls: (monotonic time, amount), oldest first."""

    def __init__(
        self,
        window: Window,
        clock: Clock,
        past: Mapping[int, int] | None = None,
        usable_of: Callable[[int], int] = usable_limit,
        late_s: int = COUNTED_LATE_S,
    ) -> None:
        """`past`: amounts by second of the epoch, from before the start. `usable_of`: the calls
        that may be made of a declared limit. `late_s`: see COUNTED_LATE_S."""
        super().__init__(window, clock)
        self._late_s = late_s
        self._limit = LearnedLimit(clock, window.limit, window.period_s, usable_of)
        self._log: deque[tuple[float, int]] = deque()
        self._logged = 0
        self._largest_cost = 1
        self.restore(past or {})

    def __repr__(self) -> str:
        return f"<{self.name} {self._logged}+{self._reserved}/{self._limit.declared}>"

    def restore(self, past: Mapping[int, int]) -> None:
        """Replaces the log by amounts by second of the epoch. What was learned stays."""
        self._forget_own()
        self._log.clear()
        self._logged = 0
        now, wall_s = self._clock.monotonic(), self._clock.now().timestamp()
        for second, amount in sorted(past.items()):
            # One that may be under way still is dated ahead, by another machine's clock a little
            # more. Any other call dated after now (the wall clock was set) is one of now.
            ahead_s = second - wall_s
            at = now + (ahead_s if ahead_s <= 2 * self._late_s else 0.0)
            if amount > 0 and now - at < self._window.period_s:
                self._count(amount, at)

    def assume_used(self, now: float) -> None:
        """Counts as used up for a period: what was called in the last one is not known. Calls that
        are known do not make the unknown ones fewer, as they may be older."""
        self._log.clear()
        self._logged = 0
        missing = self._limit.usable - self._reserved
        if missing > 0:
            self._count(missing, now + self._late_s)
            self._note_unsaved(self._stored_tick(), missing)

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
        super().reserve(permit)
        self._largest_cost = max(self._largest_cost, self._amount(permit.cost))

    def observe(self, headers: Mapping[str, str], now: float) -> None:
        unknown = self._stated_usage(headers) - self._used(now)
        if unknown > 0:
            self._foreign += unknown
            self._count(unknown, now)

    def learn(self, now: float) -> None:
        foreign = self._limit.record_refusal(self._used(now), self._largest_cost)
        if foreign is not None:
            self._foreign = foreign

    def redeclare(self, limit: int) -> None:
        self._limit.redeclare(limit)

    def remaining_share(self, now: float) -> float:
        usable = self._limit.usable
        return max(0.0, usable - self._used(now)) / usable

    def quota(self, now: float) -> Quota:
        limit, used = self._limit.declared, self._used(now)
        resets_at = self._log[0][0] + self._window.period_s if self._log else None
        remaining, resets_at_utc = max(0, limit - used), second_of(resets_at, self._clock)
        return Quota(self.name, limit, used, remaining, resets_at_utc, self._foreign, called=used)

    def _limit_for(self, priority: Priority, cost: Cost) -> int:
        """Calls that a query of this priority may make in the window; at least 1. An empty window
        has room for any single query that fits into it at all."""
        usable = most = self._limit.usable
        if priority in RESERVED:
            most -= max(1, round(RESERVED[priority] * usable))
        if priority is Priority.PASS_THROUGH and most < 1:
            return 0  # the only call is for the gateway's own queries
        return max(1, most, min(usable, self._amount(cost)))

    def _used(self, now: float) -> int:
        while self._log and now - self._log[0][0] >= self._window.period_s:
            self._logged -= self._log.popleft()[1]
        return self._logged + self._reserved

    def _stored_tick(self) -> int:
        return int(self._clock.now().timestamp()) + self._late_s

    def _count(self, amount: int, now: float) -> None:
        self._log.append((now, amount))
        self._logged += amount

    def _note_unsaved(self, tick: int, amount: int) -> None:
        super()._note_unsaved(tick, amount)
        if len(self._unsaved) > MAX_UNSAVED:
            del self._unsaved[next(iter(self._unsaved))]
