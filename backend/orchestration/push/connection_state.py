"""The state of a push connection, whose loss and return are reported once each."""

from collections.abc import Callable
from datetime import datetime

from backend.clock import Clock
from backend.models.ticks import TickState

#: Reports a loss by its reason and the time of the next attempt, and the return by None, None.
Report = Callable[[str | None, datetime | None], None]


class ConnectionState:
    """Synchronous. `since` is the time of the last change; `reason` that of the last loss."""

    def __init__(self, clock: Clock, report: Report) -> None:
        self._clock = clock
        self._report = report
        self._is_loss_reported = False
        self.current: TickState = "off"
        self.reason: str | None = None
        self.since = clock.now()

    def __repr__(self) -> str:
        return f"<ConnectionState {self.current}>"

    def enter(
        self, state: TickState, reason: str | None = None, retry_at: datetime | None = None
    ) -> None:
        self.reason = reason
        if state != self.current:
            self.current, self.since = state, self._clock.now()
        if state == "down" and not self._is_loss_reported:
            self._is_loss_reported = True
            self._report(reason, retry_at)
        elif state == "live" and self._is_loss_reported:
            self._is_loss_reported = False
            self._report(None, None)
