"""Turns traffic away before a provider's limit is hit: all windows of a plan together, no I/O.

An epoch-aligned counter or a token bucket can overrun a sliding limit by half; a log of the calls
can not. A call counts from the moment it is reserved, and leaves a window only a whole period
after it was settled, since the provider may have counted it as late as that.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from backend.clock import Clock
from backend.models.account import AccountLimits
from backend.models.status import Quota
from backend.orchestration.limits.paced_window import NO_HISTORY, PacedWindow, UsageHistory
from backend.orchestration.limits.sliding_window import SlidingWindow
from backend.orchestration.limits.window import (
    Cost,
    Permit,
    Priority,
    Refused,
    period_name,
)
from backend.providers.adapter import Window

#: Windows up to this long are exact logs in memory; longer ones are ledgers that outlive us.
LONGEST_LOG_S = 3_600.0
#: Who can afford a call so many times over may waste one.
PLENTY = 10


class RateLimitGuard:
    """All windows of one provider under one plan: reserved together or not at all."""

    def __init__(
        self,
        clock: Clock,
        windows: Sequence[Window],
        past: Callable[[str], UsageHistory] = lambda _window: NO_HISTORY,
    ) -> None:
        """`past`: of a window, by its name, what is known from before the start."""
        self._clock = clock
        self._short = tuple(
            SlidingWindow(window, clock, past(period_name(window)).amounts)
            for window in windows
            if window.period_s <= LONGEST_LOG_S
        )
        self._long = tuple(
            PacedWindow(window, clock, period_name(window), past(period_name(window)))
            for window in windows
            if window.period_s > LONGEST_LOG_S
        )
        self._windows: tuple[SlidingWindow | PacedWindow, ...] = (
            *self._short,
            *self._long,
        )
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<RateLimitGuard {' '.join(map(repr, self._windows))}>"

    def check(self, cost: Cost, priority: Priority = Priority.SHARED) -> Refused | None:
        """None when `cost` is affordable now in every window for a question of this priority."""
        now = self._clock.monotonic()
        refusals = [
            window.refusal(cost, now, priority)
            for window in self._windows
            if not window.can_afford(cost, now, priority)
        ]
        return max(refusals, key=lambda refused: refused.retry_at, default=None)

    def allows_hedging(self, cost: Cost) -> bool:
        """Calls are cheap: ten more would pass now, and no day's or month's budget is shared."""
        tenfold = Cost(cost.requests * PLENTY, cost.weight * PLENTY)
        return not self._long and self.check(tenfold) is None

    def budget_wait_s(self, cost: Cost) -> float:
        """Seconds until `cost` is within the pace of every long window; 0 when it is now."""
        return max((window.budget_wait_s(cost) for window in self._long), default=0.0)

    def interval_s(self, cost: Cost) -> float:
        """Seconds between calls of this cost that the long windows afford for ever."""
        return max((window.interval_s(cost) for window in self._long), default=0.0)

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

    def learn(self) -> None:
        """Refused by rate, although we had thought that we could: by the fullest short window. One
        by a day's or month's quota is told as such."""
        now = self._clock.monotonic()
        if self._short:
            min(self._short, key=lambda window: window.remaining_share(now)).learn(now)

    def redeclare(self, limits: AccountLimits, *, keeps_limits: bool) -> None:
        """By the provider's own word; with `keeps_limits` only what it says was used counts."""
        told = {"minute": limits.per_minute, "month": limits.per_month}
        for window in self._windows:
            limit = told.get(window.name)
            if limit is not None and not keeps_limits:
                window.redeclare(limit)
        for month in self._long:
            if month.name == "month" and limits.used_this_month is not None:
                month.reconcile_usage(limits.used_this_month)

    def unsaved(self) -> dict[tuple[str, int], int]:
        """What the ledger is to be told: amounts by window and tick, which is the minute of the
        epoch, or of a window of at most an hour its second."""
        return {
            (window.name, tick): amount
            for window in self._windows
            for tick, amount in window.unsaved().items()
        }

    def headroom(self) -> float:
        """The smallest remaining share of any window, 0 to 1."""
        now = self._clock.monotonic()
        return min((window.remaining_share(now) for window in self._windows), default=1.0)

    def quotas(self) -> tuple[Quota, ...]:
        now = self._clock.monotonic()
        return tuple(window.quota(now) for window in self._windows)
