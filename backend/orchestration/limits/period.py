"""The period of a daily, monthly or long sliding limit, on clocks that may disagree."""

from datetime import UTC, datetime

from backend.clock import Clock
from backend.orchestration.limits.minute_log import MINUTE_S
from backend.providers.adapter import Window

DAY_S = 86_400.0
#: Clocks that differ by less than this agree, in seconds. A wall clock that has differed for a day
#: was corrected, and is believed.
SAME_S, BELIEVED_AFTER_S = 1.0, 86_400.0


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
        leave a sliding one. None stands for calls in flight, which stay for the whole period."""
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
