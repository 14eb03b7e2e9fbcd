"""The period of a daily, monthly or long sliding limit, on clocks that may disagree."""

from backend.clock import Clock
from backend.orchestration.limits.wall_time import WallTime, month_start, next_month_start
from backend.providers.adapter import Window

MINUTE_S, DAY_S = 60, 86_400.0


class Period:
    """Times are in epoch seconds, minutes are whole minutes of the epoch.

    A calendar's day or month is over when it is over by both clocks. A sliding period is a span
    of time: it does not change when the wall clock is set.
    """

    def __init__(self, window: Window, clock: Clock) -> None:
        self._kind = window.kind
        self._anchor_day = window.anchor_day
        self._time = WallTime(clock)
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
        return self._begins(self._time.earliest)

    @property
    def latest_s(self) -> float:
        """Now, by the faster of the two clocks."""
        return self._time.latest

    @property
    def minute(self) -> int:
        """The minute in which a call of now is counted."""
        return int((self._time.latest if self.is_calendar else self._time.unset) // MINUTE_S)

    @property
    def stored_minute(self) -> int:
        """The minute under which a call of now is stored: as late as it may have been, since only
        the wall clock is known after a restart."""
        return int(self._time.latest // MINUTE_S)

    @property
    def reset_s(self) -> float:
        """Seconds until the calendar's day or month ends; at least 1."""
        now = self._time.earliest
        if self._kind == "month":
            return max(1.0, next_month_start(now, self._anchor_day) - now)
        return max(1.0, self._begins(now) + DAY_S - now)

    def leaves_s(self, minute: int) -> float:
        """Seconds until the calls of `minute` leave a sliding period."""
        return max(0.0, (minute + 1) * MINUTE_S + self.length_s - self._past_s)

    @property
    def _past_s(self) -> float:
        return self._time.earliest if self.is_calendar else self._time.unset

    def _begins(self, at_s: float) -> float:
        """The beginning of the period that contains the instant `at_s`."""
        match self._kind:
            case "day":
                return at_s // DAY_S * DAY_S
            case "month":
                return month_start(at_s, self._anchor_day)
        return at_s - self.length_s
