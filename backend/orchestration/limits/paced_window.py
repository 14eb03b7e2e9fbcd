"""A limit per day, week or month: counted by minutes, paced, and kept over a restart.

The count: no more calls than the limit within any period. The pace: tokens come in evenly, so that
the last day of a month is served as well as the first; a little may be saved up, and as much
borrowed for a query that would get nothing otherwise. The history: calls that a restart cannot
exclude are assumed to have been made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

from backend.clock import Clock, second_of
from backend.models.status import Quota
from backend.orchestration.limits.period import MINUTE_S, MinuteLog, Period, spread
from backend.orchestration.limits.token_buckets import TokenBuckets
from backend.orchestration.limits.window import (
    CallWindow,
    Cost,
    Permit,
    Priority,
    Refused,
    usable_limit,
)
from backend.providers.adapter import Window

#: A forecast is made from the calls of the last six hours.
FORECAST_S = 6 * 3_600.0
#: Share of the usable limit that may be saved up, and also be spent ahead of the pace.
SLACK_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class UsageHistory:
    """What is known about the time before the start: amounts by tick (see `SavedState.calls`), and
    until when (epoch seconds; None where nothing is known). `assumed` are the amounts that earlier
    starts assumed. `is_new_key`: the key was not used before the first recorded call."""

    amounts: Mapping[int, int]
    known_until: float | None
    assumed: Mapping[int, int] = field(default_factory=dict)
    is_new_key: bool = False


NO_HISTORY = UsageHistory({}, None)


def assumed_of(window: str) -> str:
    """The name under which the assumed calls of a window are stored."""
    return f"{window}/assumed"


class PacedWindow(CallWindow):
    """Counts by minute of the period, and tokens that come in evenly."""

    def __init__(
        self, window: Window, clock: Clock, history: UsageHistory, pass_through_part: float = 0.0
    ) -> None:
        """`pass_through_part` of the budget is for calls that are passed through."""
        super().__init__(window, clock)
        self._period = Period(window, clock)
        self._usable = usable_limit(window.limit)
        self._slack = max(1, int(SLACK_SHARE * self._usable))
        self._part = pass_through_part
        self._buckets = TokenBuckets(self._slack, pass_through_part)
        #: As `_unsaved`, of what is assumed.
        self._unsaved_assumed: dict[int, int] = {}
        self.restore(history)

    def __repr__(self) -> str:
        return f"<{self.name} {self._log.total}+{self._reserved}/{self._window.limit}>"

    def restore(self, history: UsageHistory) -> None:
        """Replaces the count by what `history` knows, and the assumption for what it does not."""
        self._forget_own()
        self._unsaved_assumed.clear()
        self._period_began = self._period.earliest_began_s
        self._log = self._recall(history)
        self._buckets.restart(max(0, min(self._slack, self._usable - self._log.total)))
        self._refilled_at = self._clock.monotonic()

    def can_afford(self, cost: Cost, _now: float, priority: Priority) -> bool:
        """Within the limit, and no further ahead of the pace than this priority may borrow."""
        amount, has_room = self._amount(cost), self._used() + self._amount(cost) <= self._usable
        self._refill()
        return has_room and self._buckets.of(priority).affords(amount, self._loan(priority))

    def refusal(self, cost: Cost, now: float, priority: Priority) -> Refused:
        """The time at which `cost` is affordable if nothing else is called until then."""
        amount = self._amount(cost)
        excess = self._used() + amount - self._usable
        by_limit_s = 0.0
        if excess > 0:
            by_limit_s = self._period.frees_in_s(self._log.minute_that_frees(excess))
        self._refill()
        needed = self._buckets.needed(amount, priority, self._loan(priority))
        return Refused(self.name, now + max(by_limit_s, self._refills_in_s(needed)))

    def budget_wait_s(self, cost: Cost, priority: Priority = Priority.SHARED) -> float:
        """Seconds until `cost` is within the pace; before that it borrows from later calls."""
        self._refill()
        return self._refills_in_s(self._buckets.needed(self._amount(cost), priority))

    def interval_s(self, cost: Cost, priority: Priority = Priority.SHARED) -> float:
        """Seconds between calls of this cost that the pace affords for ever: for calls that are
        passed through with their part of it, for all others with all of it."""
        part = self._part if priority is Priority.PASS_THROUGH else 1.0
        return self._refills_in_s(self._amount(cost) / part if part else inf)

    @property
    def passed_part(self) -> float:
        """The part of what comes in that calls which are passed through take now."""
        self._refill()
        return self._part if self._buckets.fills_both else 0.0

    def reserve(self, permit: Permit) -> None:
        super().reserve(permit)
        self._refill()
        self._buckets.of(permit.priority).tokens -= self._amount(permit.cost)

    def settle(self, permit: Permit, now: float, *, counts: bool) -> None:
        is_known = permit.number in self._in_flight
        super().settle(permit, now, counts=counts)
        if is_known and not counts:
            self._buckets.of(permit.priority).fill(self._amount(permit.cost))

    def observe(self, headers: Mapping[str, str], _now: float) -> None:
        self.adopt(self._stated_usage(headers))

    def adopt(self, used: int) -> None:
        """Counts what others have used of this quota. It leaves less for this period, and takes
        none of our own tokens."""
        unknown = used - self._used()
        if unknown > 0:
            self._foreign += unknown
            self._note_unsaved(self._stored_tick(), unknown)
            self._add(unknown)

    def reconcile_usage(self, used: int) -> None:
        """Adopts the provider's own figure. More than ours was used by others; less ends
        assumptions about the time before the start."""
        self.adopt(used)
        for minute, amount in self._log.drop_assumed(max(0, self._used() - used)).items():
            self._note_assumed(minute, -amount)

    def unsaved_assumed(self) -> dict[int, int]:
        """As `unsaved`, of what is assumed: it is stored apart from the calls."""
        unsaved, self._unsaved_assumed = self._unsaved_assumed, {}
        return unsaved

    def redeclare(self, limit: int) -> None:
        self._window = replace(self._window, limit=limit)
        self._usable = usable_limit(limit)
        self._slack = max(1, int(SLACK_SHARE * self._usable))
        self._buckets.resize(self._slack)

    def remaining_share(self, _now: float) -> float:
        """0 to 1; 1 while no more is used than the pace allows at this time of the period."""
        if not self._period.is_calendar:
            self._refill()
            tokens = self._buckets.of(Priority.SHARED).tokens
            return max(0.0, min(1.0, (tokens + self._slack) / self._slack))
        left = max(0, self._usable - self._used()) / self._usable
        return min(1.0, left * self._period.length_s / self._period.reset_s)

    def quota(self, now: float) -> Quota:
        limit, used, assumed = self._window.limit, self._used(), self._log.assumed_total
        oldest, resets_at = self._log.oldest, None
        if self._period.is_calendar or oldest is not None:
            resets_at = now + self._period.frees_in_s(oldest)
        return Quota(
            window=self.name,
            limit=limit,
            used=used,
            remaining=max(0, limit - used),
            resets_at=second_of(resets_at, self._clock),
            foreign_usage=self._foreign,
            assumed_usage=assumed,
            called=used - assumed,
            calls_per_hour=round(self._rate() * 3_600.0, 2),
            forecast_exhausted_at=second_of(self._exhausted_at(now), self._clock),
        )

    def _loan(self, priority: Priority) -> int:
        """Tokens that may be borrowed. Only queries that all readers share may borrow: otherwise
        single readers could use up what comes in for all."""
        return self._slack if priority is Priority.SHARED else 0

    def _recall(self, history: UsageHistory) -> MinuteLog:
        """Counts the known calls, and assumes calls at an even pace for unknown time."""
        known = self._of_this_period(history.amounts)
        assumed = self._assumed_before(self._of_this_period(history.assumed), known, history)
        most = max(0, self._usable - self._slack - sum(known.values()) - sum(assumed.values()))
        for minute, amount in self._unknown(history, most).items():
            assumed[minute] = assumed.get(minute, 0) + amount
            self._note_assumed(minute, amount)
        return MinuteLog(known, assumed)

    def _of_this_period(self, amounts: Mapping[int, int]) -> dict[int, int]:
        begins = self._period_began
        return {at: n for at, n in amounts.items() if n and (at + 1) * MINUTE_S > begins}

    def _assumed_before(
        self, assumed: dict[int, int], known: Mapping[int, int], history: UsageHistory
    ) -> dict[int, int]:
        """What earlier starts assumed. With a new key nothing is, before its first call."""
        if not history.is_new_key:
            return assumed
        first_call = min(known, default=inf)
        for minute in [at for at in assumed if at <= first_call]:
            self._note_assumed(minute, -assumed.pop(minute))
        return assumed

    def _unknown(self, history: UsageHistory, most: int) -> dict[int, int]:
        """Calls that may have been made at an even pace in the time without records."""
        begins, now = self._period_began, self._period.time.latest
        if history.known_until is None and history.is_new_key:
            return {}
        unknown_since = max(begins, begins if history.known_until is None else history.known_until)
        if now - unknown_since <= MINUTE_S:
            return {}
        share = self._usable * (now - unknown_since) / self._period.length_s
        return dict(spread(unknown_since, now, min(int(share), most)))

    def _note_assumed(self, tick: int, amount: int) -> None:
        self._unsaved_assumed[tick] = self._unsaved_assumed.get(tick, 0) + amount

    def _stored_tick(self) -> int:
        """As late as it may have been: only the wall clock is known after a restart."""
        return int(self._period.time.latest // MINUTE_S)

    def _count(self, amount: int, now: float) -> None:
        self._add(amount)

    def _add(self, amount: int) -> None:
        self._log.add(max(self._log.newest, self._period.minute), amount)

    def _used(self) -> int:
        """Calls of this period and calls in flight."""
        began = self._period.began_s
        if self._period.is_calendar and began > self._period_began:
            self._period_began = began
            self._buckets.forgive()
        self._log.forget_before(began)
        return self._log.total + self._reserved

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._buckets.fill((now - self._refilled_at) * self._rate())
        self._refilled_at = now

    def _rate(self) -> float:
        """Tokens per second: the limit spread evenly over the period; for a calendar period at most
        what is left of it, over the time left.

        Never more than even: the provider's month may begin on another day than ours, and an even
        pace stays within the limit of any month.
        """
        even = max(self._usable - 2 * self._slack, 0.5 * self._usable) / self._period.length_s
        if not self._period.is_calendar:
            return even
        left = max(0, self._usable - self._used())
        return max(min(even, left / self._period.reset_s), even / 100)

    def _refills_in_s(self, tokens: float) -> float:
        """Seconds until as many tokens have come in, or the calendar's period ends."""
        wait_s = max(0.0, tokens) / self._rate()
        return min(wait_s, self._period.reset_s) if self._period.is_calendar else wait_s

    def _exhausted_at(self, now: float) -> float | None:
        """If calls go on as in the last hours; None where a calendar's period ends before."""
        recent = self._log.known_since(self._period.time.latest - FORECAST_S)
        left = self._usable - self._used()
        if left <= 0:
            return now
        if not self._period.is_calendar or not recent:
            return None
        wait_s = left * FORECAST_S / recent
        return now + wait_s if wait_s < self._period.reset_s else None
