"""A day's, week's or month's limit: counted by minutes, paced, and able to outlive a restart.

Three guards in one. The count: no more than the limit within any period. The pace: tokens come in
evenly, so that the last day of a month is as well served as the first; a little may be saved up,
and as much borrowed for a reader who would get nothing. The past: what a restart cannot know to
be unspent counts as spent.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from backend.clock import Clock, second_of
from backend.models.status import Quota
from backend.orchestration.limits.wall_time import WallTime, month_start, next_month_start
from backend.orchestration.limits.window import (
    Cost,
    Permit,
    Priority,
    Refused,
    header_figure,
    usable_limit,
)
from backend.providers.adapter import Window

MINUTE_S, DAY_S = 60, 86_400.0
#: A forecast goes by the calls of the last six hours.
FORECAST_S = 6 * 3_600.0
#: Of what is usable, this share may be saved up, and as much be spent ahead of the pace.
SLACK_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class UsageHistory:
    """What is known from before the start: amounts by tick, and till when.

    A tick is the minute of the epoch, or of a window of at most an hour its second. `known_until`
    is the epoch second of the last sign of life; None where nothing is known.
    """

    amounts: Mapping[int, int]
    known_until: float | None


NO_HISTORY = UsageHistory({}, None)


class PacedWindow:
    """Synchronous state. Amounts are in the window's own unit."""

    def __init__(
        self, window: Window, clock: Clock, name: str, past: UsageHistory = NO_HISTORY
    ) -> None:
        self.name = name
        self._window = window
        self._clock = clock
        self._time = WallTime(clock)
        self._usable = usable_limit(window.limit)
        self._slack = max(1, int(SLACK_SHARE * self._usable))
        self._minutes: OrderedDict[int, int] = OrderedDict()
        self._unsaved: dict[int, int] = {}
        #: By permit: the amount, and the minute at which the store was told of it.
        self._in_flight: dict[int, tuple[int, int]] = {}
        self._assumed: dict[int, int] = {}
        self._promised = self._count = self._foreign = 0
        self._period_began = self._begins(self._time.earliest)
        self._tokens = 0.0
        self._recall(past)
        self._tokens = float(max(0, min(self._slack, self._usable - self._count)))
        self._ticked = clock.monotonic()

    def __repr__(self) -> str:
        return f"<{self.name} {self._count}+{self._promised}/{self._window.limit}>"

    @property
    def counts_attempts(self) -> bool:
        return self._window.counts_on == "attempt"

    def can_afford(self, cost: Cost, _now: float, priority: Priority) -> bool:
        """Within the limit, and not further ahead of the pace than may be borrowed."""
        amount, left = self._amount(cost), self._left()
        is_in_pace = left - amount >= -self._loan(priority)
        is_in_pace = is_in_pace or left >= self._slack  # no more can be saved up
        return self._used() + amount <= self._usable and is_in_pace

    def refusal(self, cost: Cost, now: float, priority: Priority) -> Refused:
        """When it can be afforded, if nothing else is called till then."""
        amount = self._amount(cost)
        excess = self._used() + amount - self._usable
        by_limit_s = self._until_gone_s(excess) if excess > 0 else 0.0
        missing = min(amount - self._loan(priority), self._slack) - self._left()
        return Refused(self.name, now + max(by_limit_s, self._gained_in_s(missing)))

    def budget_wait_s(self, cost: Cost) -> float:
        """Seconds until it is within the pace: till then somebody would go without for it later."""
        return self._gained_in_s(min(self._amount(cost), self._slack) - self._left())

    def interval_s(self, cost: Cost) -> float:
        """Seconds between calls of this cost that the pace affords for ever."""
        return self._gained_in_s(float(self._amount(cost)))

    def reserve(self, permit: Permit) -> None:
        amount = self._amount(permit.cost)
        minute = self._stored_minute()
        self._in_flight[permit.number] = amount, minute
        self._promised += amount
        self._note_unsaved(minute, amount)

    def settle(self, permit: Permit, _now: float, *, counts: bool) -> None:
        amount, minute = self._in_flight.pop(permit.number, (0, 0))
        self._promised -= amount
        if counts and amount:
            self._spend(amount)
        elif amount:
            self._note_unsaved(minute, -amount)

    def observe(self, headers: Mapping[str, str], _now: float) -> None:
        """The provider counts more than we do: somebody else spends this quota."""
        self.adopt(header_figure(self._window, headers))

    def adopt(self, used: int) -> None:
        unknown = used - self._used()
        if unknown > 0:
            self._foreign += unknown
            self._note_unsaved(self._stored_minute(), unknown)
            self._add(
                self._minute(), unknown
            )  # it lowers the rate of what is left; it is no debt of ours

    def reconcile_usage(self, used: int) -> None:
        """The provider's own figure: more than ours is somebody else's, less ends assumptions."""
        self.adopt(used)
        for minute, assumed in list(self._assumed.items()):
            amount = max(0, min(assumed, self._used() - used))
            self._minutes[minute] -= amount
            self._assumed[minute] -= amount
            self._count -= amount
            self._note_unsaved(minute, -amount)

    def redeclare(self, limit: int) -> None:
        """The provider itself tells another limit than its documents did."""
        self._window = replace(self._window, limit=limit)
        self._usable = usable_limit(limit)
        self._slack = max(1, int(SLACK_SHARE * self._usable))
        self._tokens = min(self._tokens, float(self._slack))

    def unsaved(self) -> dict[int, int]:
        """Amounts by minute since the last call of this, to be added to the store."""
        unsaved, self._unsaved = self._unsaved, {}
        return {minute: amount for minute, amount in unsaved.items() if amount}

    def remaining_share(self, _now: float) -> float:
        """Relative to time: 1 while no more is used than the pace allows."""
        if not self._is_calendar:
            return max(0.0, min(1.0, (self._left() + self._slack) / self._slack))
        left = max(0, self._usable - self._used()) / self._usable
        return min(1.0, left * self._window.period_s / self._reset_s())

    def quota(self, now: float) -> Quota:
        limit, used = self._window.limit, self._used()
        return Quota(
            window=self.name,
            limit=limit,
            used=used,
            remaining=max(0, limit - used),
            resets_at=second_of(self._resets_at(now), self._clock),
            foreign_usage=self._foreign,
            assumed_usage=sum(self._assumed.values()),
            forecast_exhausted_at=second_of(self._exhausted_at(now), self._clock),
        )

    @property
    def _is_calendar(self) -> bool:
        return self._window.kind != "sliding"

    def _loan(self, priority: Priority) -> int:
        """How far ahead of the pace it may go: what comes in then belongs to shared questions
        first, whatever single readers ask for."""
        return self._slack if priority is Priority.SHARED else 0

    def _amount(self, cost: Cost) -> int:
        return cost.weight if self._window.unit == "weight" else cost.requests

    def _recall(self, past: UsageHistory) -> None:
        """Known calls, and at an even pace what may have been called in unknown time."""
        begins, now = self._begins(self._time.earliest), self._time.latest
        kept = {at: n for at, n in past.amounts.items() if (at + 1) * MINUTE_S > begins}
        unknown_since = max(begins, begins if past.known_until is None else past.known_until)
        share = self._usable * max(0.0, now - unknown_since) / self._window.period_s
        most = max(0, self._usable - self._slack - sum(kept.values()))
        if now - unknown_since > MINUTE_S:
            self._assumed = dict(_spread(unknown_since, now, min(int(share), most)))
        for minute in sorted({*kept, *self._assumed}):
            self._add(minute, kept.get(minute, 0) + self._assumed.get(minute, 0))
        self._unsaved = dict(self._assumed)

    def _spend(self, amount: int) -> None:
        self._tick()
        self._tokens -= amount
        self._add(self._minute(), amount)

    def _minute(self) -> int:
        """Of the epoch; never before one that is there: the oldest stand first."""
        now = self._time.latest if self._is_calendar else self._time.unset
        return max(next(reversed(self._minutes), 0), int(now // MINUTE_S))

    def _stored_minute(self) -> int:
        """As late as it may have been: who reads it after a restart has only the wall clock."""
        return int(self._time.latest // MINUTE_S)

    @property
    def _past_s(self) -> float:
        """What is forgotten goes by it. A sliding period is a span, whatever the wall clock says;
        a calendar's is over when by both clocks it is."""
        return self._time.earliest if self._is_calendar else self._time.unset

    def _add(self, minute: int, amount: int) -> None:
        self._minutes[minute] = self._minutes.get(minute, 0) + amount
        self._count += amount

    def _note_unsaved(self, minute: int, amount: int) -> None:
        self._unsaved[minute] = self._unsaved.get(minute, 0) + amount

    def _used(self) -> int:
        self._forget()
        return self._count + self._promised

    def _left(self) -> float:
        """Tokens that are not promised to a call in flight."""
        self._tick()
        return self._tokens - self._promised

    def _tick(self) -> None:
        now = self._clock.monotonic()
        gained = (now - self._ticked) * self._rate()
        self._tokens, self._ticked = min(float(self._slack), self._tokens + gained), now

    def _rate(self) -> float:
        """Tokens a second: an even share of the period, or of what a calendar's rest has left.

        Never more than even: where the provider's month begins is not always ours to know, and an
        even pace is within the limit of any month.
        """
        even = max(self._usable - 2 * self._slack, 0.5 * self._usable) / self._window.period_s
        if not self._is_calendar:
            return even
        left = max(0, self._usable - self._used())
        return max(min(even, left / self._reset_s()), even / 100)

    def _gained_in_s(self, tokens: float) -> float:
        """Seconds until so many have come in, or the calendar begins anew."""
        wait_s = max(0.0, tokens) / self._rate()
        return min(wait_s, self._reset_s()) if self._is_calendar else wait_s

    def _forget(self) -> None:
        """What by no clock counts to the period any more."""
        begins = self._begins(self._past_s)
        if self._is_calendar and begins > self._period_began:
            self._period_began, self._tokens = begins, max(0.0, self._tokens)
        while self._minutes:
            oldest = next(iter(self._minutes))
            if (oldest + 1) * MINUTE_S > begins:
                return
            self._count -= self._minutes.pop(oldest)
            self._assumed.pop(oldest, None)

    def _until_gone_s(self, excess: int) -> float:
        """Seconds until so much has left the window."""
        if self._is_calendar:
            return self._reset_s()
        for minute, amount in self._minutes.items():
            excess -= amount
            if excess <= 0:
                return self._leaves_s(minute)
        return self._window.period_s  # calls in flight are in the way

    def _resets_at(self, now: float) -> float | None:
        """Of a calendar window its reset, of a sliding one when its oldest call leaves it."""
        if self._is_calendar:
            return now + self._reset_s()
        return now + self._leaves_s(next(iter(self._minutes))) if self._minutes else None

    def _exhausted_at(self, now: float) -> float | None:
        """If calls go on as in the last hours; None where the period ends before, or they don't."""
        since = self._time.latest - FORECAST_S
        recent = sum(
            amount - self._assumed.get(minute, 0)
            for minute, amount in self._minutes.items()
            if minute * MINUTE_S >= since
        )
        left = self._usable - self._used()
        if left <= 0:
            return now
        wait_s = left * FORECAST_S / recent if recent else self._window.period_s
        ends_s = self._reset_s() if self._is_calendar else self._window.period_s
        return now + wait_s if wait_s < ends_s and self._is_calendar else None

    def _leaves_s(self, minute: int) -> float:
        return max(0.0, (minute + 1) * MINUTE_S + self._window.period_s - self._past_s)

    def _begins(self, at_s: float) -> float:
        """The epoch second at which the period that holds `at_s` begins."""
        match self._window.kind:
            case "day":
                return at_s // DAY_S * DAY_S
            case "month":
                return month_start(at_s, self._window.anchor_day)
        return at_s - self._window.period_s

    def _reset_s(self) -> float:
        now = self._time.earliest
        if self._window.kind == "month":
            return max(1.0, next_month_start(now, self._window.anchor_day) - now)
        return max(1.0, self._begins(now) + DAY_S - now)


def _spread(since_s: float, until_s: float, amount: int) -> Iterable[tuple[int, int]]:
    """`amount` spread evenly over the minutes of a span, what falls into one minute together."""
    first, span = int(since_s // MINUTE_S) + 1, max(1, int((until_s - since_s) // MINUTE_S))
    places = min(amount, span)
    for place in range(places):
        share = amount * (place + 1) // places - amount * place // places
        yield first + place * span // places, share
