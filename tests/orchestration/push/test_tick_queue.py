"""The queue of ticks: order, back-pressure, and a reader that leaves."""

import asyncio

import pytest

from backend.orchestration.push.tick_queue import TickQueue

pytestmark = pytest.mark.looptime


async def test_ticks_keep_their_order() -> None:
    queue = TickQueue[int](10)
    for number in range(3):
        await queue.put(number)
    assert [await queue.get() for _ in range(3)] == [0, 1, 2]


async def test_a_reader_waits_for_the_next_tick() -> None:
    queue = TickQueue[int](10)
    reader = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    assert not reader.done()
    await queue.put(7)
    assert await reader == 7


async def test_whoever_finds_it_full_waits_until_there_is_room() -> None:
    queue = TickQueue[int](2)
    writers = [asyncio.create_task(queue.put(number)) for number in range(5)]
    await asyncio.sleep(1)
    assert [writer.done() for writer in writers] == [True, True, False, False, False]
    assert repr(queue) == "<TickQueue 2/2>"
    assert [await queue.get() for _ in range(3)] == [0, 1, 2]
    assert [await queue.get() for _ in range(2)] == [3, 4]
    await asyncio.gather(*writers)


async def test_a_reader_that_leaves_takes_no_tick_along() -> None:
    queue = TickQueue[int](2)
    reader = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    reader.cancel()
    await queue.put(7)
    assert await queue.get() == 7


async def test_an_error_comes_after_what_waits_and_wakes_a_reader() -> None:
    queue = TickQueue[int](2)
    await queue.put(7)
    queue.fail(KeyError("bug"))
    assert await queue.get() == 7
    with pytest.raises(KeyError):
        await queue.get()
    waits = TickQueue[int](2)
    reader = asyncio.create_task(waits.get())
    await asyncio.sleep(1)
    waits.fail(KeyError("bug"))
    with pytest.raises(KeyError):
        await reader


async def test_all_writers_come_on_however_slow_the_reader_is() -> None:
    queue = TickQueue[int](1)

    async def write(first: int) -> None:
        for number in range(first, first + 50):
            await queue.put(number)

    writers = [asyncio.create_task(write(first)) for first in (0, 100, 200)]
    read = []
    for _ in range(150):
        await asyncio.sleep(0.01)
        read.append(await queue.get())
    await asyncio.gather(*writers)
    assert sorted(read) == [first + n for first in (0, 100, 200) for n in range(50)]
