"""Clocks for tests: one that is moved by hand, one that follows a virtual event loop."""

import asyncio
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
EPOCH_MS = int(EPOCH.timestamp() * 1000)


class ManualClock:
    """Stands still until `advance`. `skew`: by how much the wall clock was set since the start."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self._start = start
        self.elapsed = 0.0
        self.skew = 0.0

    def monotonic(self) -> float:
        return 1_000.0 + self.elapsed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed + self.skew)

    def advance(self, seconds: float) -> None:
        self.elapsed += seconds


class LoopClock:
    """Reads the running event loop, whose time is virtual under `@pytest.mark.looptime`."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.monotonic())
