"""Time, read here and nowhere else: monotonic for durations, UTC for instants."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the core is handed, so that tests decide what time it is."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""

    def now(self) -> datetime:
        """The instant, aware, in UTC."""


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)
