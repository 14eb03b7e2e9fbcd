"""Time, read here and nowhere else: monotonic seconds for durations, UTC for points in time."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The time source that is passed to everything, so that tests can set the time."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""

    def now(self) -> datetime:
        """The current time, aware, in UTC."""


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)


def instant_of(monotonic: float, clock: Clock) -> datetime:
    """The UTC time of a reading of `Clock.monotonic()`."""
    return clock.now() + timedelta(seconds=monotonic - clock.monotonic())


def second_of(monotonic: float | None, clock: Clock) -> datetime | None:
    """As `instant_of`, to the nearest second: midnight must not become 23:59:59.999, as the two
    clocks are read one after the other."""
    if monotonic is None:
        return None
    return (instant_of(monotonic, clock) + timedelta(milliseconds=500)).replace(microsecond=0)
