"""Waiting for an event until a point in time."""

import asyncio
from contextlib import suppress
from math import inf

from backend.clock import Clock

#: The shortest wait, in seconds: a timer may end a millisecond early, and must not end ten times.
SHORTEST_S = 0.01


async def wait_until(at: float, event: asyncio.Event, clock: Clock) -> None:
    """Waits until the event is set, or until `at` (`Clock.monotonic()`; inf: for the event only).
    Clears the event."""
    limit_s = None if at == inf else max(at - clock.monotonic(), SHORTEST_S)
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
    event.clear()
