"""Calendar time from two clocks that may disagree: a wall clock that may jump, a steady one."""

from datetime import UTC, datetime

from backend.clock import Clock

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
