"""The period of a daily, monthly or long sliding limit, on clocks that may disagree, and its calls
by minute."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from backend.clock import Clock
from backend.providers.adapter import Window

MINUTE_S, DAY_S = 60, 86_400.0
#: Clocks that differ by less than this agree, in seconds. A wall clock that has differed for a day
#: was corrected, and is believed.
SAME_S, BELIEVED_AFTER_S = 1.0, 86_400.0
#: Most minutes over which assumed calls are spread; each is a row of the saved state.
MOST_PLACES = 1_000


class WallTime:
    """Epoch seconds. If the wall clock was set since the start, the truth lies in between.

    A call is recorded at `latest` and forgotten by `earliest`: whichever of the two clocks is
    right, no call is forgotten too soon.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = self._first_offset = clock.now().timestamp() - clock.monotonic()
        self._apart_since: float | None = None

    def __repr__(self) -> str:
        return f"<WallTime {self.latest - self.earliest:.0f} s apart>"

    @property
    def earliest(self) -> float:
        return min(self._steady(), self._clock.now().timestamp())

    @property
    def latest(self) -> float:
        return max(self._steady(), self._clock.now().timestamp())

    @property
    def unset(self) -> float:
        """The time as if the wall clock had not been set since the start; it measures spans."""
        return self._first_offset + self._clock.monotonic()

    def _steady(self) -> float:
        """The wall clock of the start, carried on; corrected after the two differed for a day."""
        now = self._clock.monotonic()
        apart_s = self._clock.now().timestamp() - self._offset - now
        if abs(apart_s) < SAME_S:
            self._apart_since = None
        elif self._apart_since is None:
            self._apart_since = now
        elif now - self._apart_since > BELIEVED_AFTER_S:
            self._offset, self._apart_since = self._offset + apart_s, None
        return self._offset + now


class Period:
    """Times are in epoch seconds, minutes are whole minutes of the epoch.

    A calendar's day or month is over when it is over by both clocks. A sliding period is a span
    of time: it does not change when the wall clock is set.
    """

    def __init__(self, window: Window, clock: Clock) -> None:
        self._kind = window.kind
        self._anchor_day = window.anchor_day
        self.time = WallTime(clock)
        self.length_s = window.period_s
        self.is_calendar = window.kind != "sliding"

    def __repr__(self) -> str:
        return f"<Period {self._kind} {self.length_s:g} s>"

    @property
    def began_s(self) -> float:
        """Calls before this instant are over by every clock, and no longer counted."""
        return self._begins(self._past_s)

    @property
    def earliest_began_s(self) -> float:
        """The beginning of the period by the slower of the two clocks."""
        return self._begins(self.time.earliest)

    @property
    def minute(self) -> int:
        """The minute in which a call of now is counted."""
        return int((self.time.latest if self.is_calendar else self.time.unset) // MINUTE_S)

    @property
    def reset_s(self) -> float:
        """Seconds until the calendar's day or month ends; at least 1."""
        now = self.time.earliest
        if self._kind == "month":
            return max(1.0, next_month_start(now, self._anchor_day) - now)
        return max(1.0, self._begins(now) + DAY_S - now)

    def frees_in_s(self, minute: int | None) -> float:
        """Seconds until the calls of `minute` are over: with the calendar's period, or when they
        leave a sliding one. None: calls in flight, which stay for the whole period."""
        if self.is_calendar:
            return self.reset_s
        if minute is None:
            return self.length_s
        return max(0.0, (minute + 1) * MINUTE_S + self.length_s - self._past_s)

    @property
    def _past_s(self) -> float:
        return self.time.earliest if self.is_calendar else self.time.unset

    def _begins(self, at_s: float) -> float:
        """The beginning of the period that contains the instant `at_s`."""
        match self._kind:
            case "day":
                return at_s // DAY_S * DAY_S
            case "month":
                return month_start(at_s, self._anchor_day)
        return at_s - self.length_s


def month_start(at_s: float, anchor_day: int) -> float:
    """The last instant (UTC) at or before `at_s` at which a month of this anchor day begins.

    A month that has no such day begins with its last one.
    """
    at = datetime.fromtimestamp(at_s, UTC)
    begins = _anchored(at.year, at.month, anchor_day)
    if begins > at:
        year, month = (at.year, at.month - 1) if at.month > 1 else (at.year - 1, 12)
        begins = _anchored(year, month, anchor_day)
    return begins.timestamp()


def next_month_start(at_s: float, anchor_day: int) -> float:
    at = datetime.fromtimestamp(month_start(at_s, anchor_day), UTC)
    year, month = (at.year, at.month + 1) if at.month < 12 else (at.year + 1, 1)
    return _anchored(year, month, anchor_day).timestamp()


def _anchored(year: int, month: int, day: int) -> datetime:
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    last_day = (following - datetime(year, month, 1, tzinfo=UTC)).days
    return datetime(year, month, min(day, last_day), tzinfo=UTC)


class MinuteLog:
    """Amounts by minute of the epoch, oldest first.

    `assumed` are the amounts that are assumed for unknown time before the start.
    """

    def __init__(self, known: Mapping[int, int], assumed: Mapping[int, int]) -> None:
        """Of the amounts by minute before the start, in any order."""
        minutes = sorted({*known, *assumed})
        self._amounts = OrderedDict((at, known.get(at, 0) + assumed.get(at, 0)) for at in minutes)
        self._assumed = dict(assumed)
        self.total = sum(self._amounts.values())

    def __repr__(self) -> str:
        return f"<MinuteLog {self.total} in {len(self._amounts)} minutes>"

    @property
    def assumed_total(self) -> int:
        return sum(self._assumed.values())

    @property
    def oldest(self) -> int | None:
        """The oldest minute with calls."""
        return next(iter(self._amounts), None)

    @property
    def newest(self) -> int:
        """The newest minute with calls, 0 without any."""
        return next(reversed(self._amounts), 0)

    def add(self, minute: int, amount: int) -> None:
        """Counts calls. Minutes are added in ascending order."""
        self._amounts[minute] = self._amounts.get(minute, 0) + amount
        self.total += amount

    def drop_assumed(self, amount: int) -> dict[int, int]:
        """Removes up to `amount` assumed calls, oldest first; returns what was removed, by
        minute."""
        removed = {}
        for minute, assumed in list(self._assumed.items()):
            removed[minute] = min(assumed, amount)
            amount -= removed[minute]
            self._amounts[minute] -= removed[minute]
            self._assumed[minute] -= removed[minute]
            self.total -= removed[minute]
        return removed

    def forget_before(self, instant_s: float) -> None:
        """Drops the minutes that ended at or before `instant_s` (epoch seconds)."""
        while self._amounts:
            oldest = next(iter(self._amounts))
            if (oldest + 1) * MINUTE_S > instant_s:
                return
            self.total -= self._amounts.pop(oldest)
            self._assumed.pop(oldest, None)

    def known_since(self, instant_s: float) -> int:
        """Calls that were really made since `instant_s`."""
        return sum(
            amount - self._assumed.get(minute, 0)
            for minute, amount in self._amounts.items()
            if minute * MINUTE_S >= instant_s
        )

    def minute_that_frees(self, excess: int) -> int | None:
        """The minute with which `excess` calls have left; None where there are not as many."""
        for minute, amount in self._amounts.items():
            excess -= amount
            if excess <= 0:
                return minute
        return None


def spread(since_s: float, until_s: float, amount: int) -> Iterable[tuple[int, int]]:
    """`amount` spread evenly over the minutes of a span; what falls into one minute is added.

    A large amount stands in fewer minutes: each has the calls of the time before it, so that none
    is forgotten too soon.
    """
    first, span = int(since_s // MINUTE_S) + 1, max(1, int((until_s - since_s) // MINUTE_S))
    places = min(amount, span, MOST_PLACES)
    is_coarse = places == MOST_PLACES
    for place in range(places):
        share = amount * (place + 1) // places - amount * place // places
        minute = (place + 1) * span // places - 1 if is_coarse else place * span // places
        yield first + minute, share
