"""Admits calls only within a provider's limits: all windows of a plan together, without I/O.

A counter per clock minute or a token bucket can exceed a sliding limit by half; a log of calls
cannot. A call counts from its reservation on, and leaves a window one whole period after it was
settled, because the provider may have counted it as late as that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count

from backend.clock import Clock
from backend.models.account import AccountLimits
from backend.models.status import Quota
from backend.orchestration.limits.paced_window import (
    NO_HISTORY,
    PacedWindow,
    UsageHistory,
    assumed_of,
)
from backend.orchestration.limits.sliding_window import COUNTED_LATE_S, SlidingWindow
from backend.orchestration.limits.window import (
    Cost,
    Permit,
    Priority,
    Refused,
    period_name,
    usable_limit,
)
from backend.providers.adapter import Window

#: Windows up to this length, in seconds, are exact logs; longer ones are counted by minutes.
LONGEST_LOG_S = 3_600.0
#: A provider may be used for hedging if it can afford the calls this many times.
HEDGING_RESERVE = 10


class RateLimitGuard:
    """All windows of one account and plan. A call is reserved in all of them, or in none."""

    def __init__(
        self,
        clock: Clock,
        windows: Sequence[Window],
        history: Callable[[str], UsageHistory] = lambda _window: NO_HISTORY,
        *,
        usable_of: Callable[[int], int] = usable_limit,
        numbers: Iterator[int] | None = None,
        late_s: int = COUNTED_LATE_S,
        pass_through_part: float = 0.0,
    ) -> None:
        """`history` returns what is known about a window, by name, from before the start.
        `usable_of` gives the calls of a short window's limit that may be made; `numbers` are those
        of the permits; `late_s` is explained at COUNTED_LATE_S; `pass_through_part` of each daily
        or monthly budget is for calls that are passed through."""
        self._clock = clock
        self._short = tuple(
            SlidingWindow(window, clock, history(period_name(window)).amounts, usable_of, late_s)
            for window in windows
            if window.period_s <= LONGEST_LOG_S
        )
        self._long = tuple(
            PacedWindow(window, clock, history(period_name(window)), pass_through_part)
            for window in windows
            if window.period_s > LONGEST_LOG_S
        )
        self._windows: tuple[SlidingWindow | PacedWindow, ...] = (*self._short, *self._long)
        self._numbers = numbers or count(1)

    def __repr__(self) -> str:
        return f"<RateLimitGuard {' '.join(map(repr, self._windows))}>"

    def restore(self, history: Callable[[str], UsageHistory]) -> None:
        """Replaces the counts of all windows by what is known about them, by name."""
        for short in self._short:
            short.restore(history(short.name).amounts)
        for long in self._long:
            long.restore(history(long.name))

    def assume_short_used(self) -> None:
        """Counts the short windows as used up: their last period is not known."""
        now = self._clock.monotonic()
        for window in self._short:
            window.assume_used(now)

    def check(self, cost: Cost, priority: Priority = Priority.SHARED) -> Refused | None:
        """None when every window can afford `cost` now for a query of this priority."""
        now = self._clock.monotonic()
        refusals = [
            window.refusal(cost, now, priority)
            for window in self._windows
            if not window.can_afford(cost, now, priority)
        ]
        return max(refusals, key=lambda refused: refused.retry_at, default=None)

    def allows_hedging(self, cost: Cost) -> bool:
        """True when ten more calls would pass now and there is no daily or monthly budget."""
        tenfold = Cost(cost.requests * HEDGING_RESERVE, cost.weight * HEDGING_RESERVE)
        return not self._long and self.check(tenfold) is None

    def budget_wait_s(self, cost: Cost, priority: Priority = Priority.SHARED) -> float:
        """Seconds until `cost` is within the pace of every long window; 0 when it is already."""
        return max((window.budget_wait_s(cost, priority) for window in self._long), default=0.0)

    def interval_s(self, cost: Cost, priority: Priority = Priority.SHARED) -> float:
        """Seconds between calls of this cost that the long windows afford for ever."""
        return max((window.interval_s(cost, priority) for window in self._long), default=0.0)

    @property
    def passed_part(self) -> float:
        """The part of the budgets that calls which are passed through take now."""
        return max((window.passed_part for window in self._long), default=0.0)

    def try_acquire(self, cost: Cost, priority: Priority = Priority.SHARED) -> Permit | Refused:
        """Reserves the call in all windows, or in none."""
        refused = self.check(cost, priority)
        if refused:
            return refused
        permit = Permit(next(self._numbers), cost, priority)
        for window in self._windows:
            window.reserve(permit)
        return permit

    def settle(self, permit: Permit, *, was_sent: bool, may_have_succeeded: bool) -> None:
        """The call ended. If it was not sent it is released; if its fate is unknown it counts."""
        now = self._clock.monotonic()
        for window in self._windows:
            is_counted = may_have_succeeded or window.counts_attempts
            window.settle(permit, now, counts=was_sent and is_counted)

    def observe(self, headers: Mapping[str, str]) -> None:
        """Adopts the provider's own count from the response headers, where it is higher."""
        now = self._clock.monotonic()
        for window in self._windows:
            window.observe(headers, now)

    def learn(self) -> None:
        """The provider refused a call by rate that we had thought affordable. The fullest short
        window is taken to be the cause; refusals by a daily or monthly quota say so."""
        now = self._clock.monotonic()
        if self._short:
            min(self._short, key=lambda window: window.remaining_share(now)).learn(now)

    def redeclare(self, limits: AccountLimits, *, keeps_limits: bool) -> None:
        """Adopts limits and usage that the provider states; with `keeps_limits` only the usage."""
        stated = {"minute": limits.per_minute, "month": limits.per_month}
        for window in self._windows:
            limit = stated.get(window.name)
            if limit is not None and not keeps_limits:
                window.redeclare(limit)
        for month in self._long:
            if month.name == "month" and limits.used_this_month is not None:
                month.reconcile_usage(limits.used_this_month)

    def unsaved(self) -> dict[tuple[str, int], int]:
        """Amounts for the ledger, by window and tick; what is assumed has a window of its own."""
        calls = [(window.name, window.unsaved()) for window in self._windows]
        assumed = [(assumed_of(window.name), window.unsaved_assumed()) for window in self._long]
        return {
            (name, tick): amount
            for name, amounts in (*calls, *assumed)
            for tick, amount in amounts.items()
        }

    def headroom(self) -> float:
        """The smallest remaining share of all windows, 0 to 1."""
        now = self._clock.monotonic()
        return min((window.remaining_share(now) for window in self._windows), default=1.0)

    def quotas(self) -> tuple[Quota, ...]:
        now = self._clock.monotonic()
        return tuple(window.quota(now) for window in self._windows)
