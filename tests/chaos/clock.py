"""Clocks that follow the loop's virtual time and can be stepped, or be wrong, in between."""

import asyncio
from datetime import UTC, datetime, timedelta

from backend.clock import Clock


class SteppedClock:
    """The running loop's time, so that time-outs are on it; hours pass by `step`."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime.now(UTC)
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._stepped = 0.0

    def monotonic(self) -> float:
        return self._loop.time() + self._stepped

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic() - self._began)

    def step(self, seconds: float) -> None:
        self._stepped += seconds


class WrongClock:
    """Another clock whose wall time is off by `skew_s`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.skew_s = 0.0

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self.skew_s)
