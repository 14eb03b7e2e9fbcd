"""Waiting for an event until a time, whichever comes first."""

import asyncio
from math import inf

import pytest

from backend.waiting import SHORTEST_S, wait_until
from tests.clocks import LoopClock
from tests.wake_ups import noted_wake_ups

pytestmark = pytest.mark.looptime


async def test_it_ends_at_the_time_or_with_the_event_which_it_clears() -> None:
    clock, event = LoopClock(), asyncio.Event()
    await wait_until(5.0, event, clock)
    assert clock.monotonic() == pytest.approx(5)
    asyncio.get_running_loop().call_later(2, event.set)
    await wait_until(inf, event, clock)
    assert clock.monotonic() == pytest.approx(7)
    assert not event.is_set()
    event.set()
    await wait_until(inf, event, clock)
    assert clock.monotonic() == pytest.approx(7)


async def test_a_time_that_is_past_takes_the_shortest_wait() -> None:
    clock = LoopClock()
    with noted_wake_ups() as woken_at:
        for _ in range(10):
            await wait_until(0.0, asyncio.Event(), clock)
    assert clock.monotonic() == pytest.approx(10 * SHORTEST_S)
    assert len(woken_at) <= 11


async def test_a_cancellation_passes() -> None:
    waiting = asyncio.create_task(wait_until(inf, asyncio.Event(), LoopClock()))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
