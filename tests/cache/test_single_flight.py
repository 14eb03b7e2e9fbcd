"""Request coalescing: one task for each key, which outlives its callers but not the close."""

import asyncio

import pytest

from backend.cache.refreshes import SingleFlight

pytestmark = pytest.mark.looptime


async def test_callers_of_one_key_share_a_task_and_a_later_one_starts_another() -> None:
    flights, started = SingleFlight[str, int]("refresh"), list[str]()

    async def work() -> int:
        started.append("work")
        await asyncio.sleep(1)
        return len(started)

    first, second, other = (flights.join(key, work) for key in ("a", "a", "b"))
    assert first is second
    assert (first.get_name(), len(flights), "a" in flights) == ("refresh a", 2, True)
    await asyncio.sleep(2)
    assert (first.result(), other.result(), len(flights)) == (2, 2, 0)
    assert await flights.join("a", work) == 3


async def test_closing_waits_until_the_cancelled_tasks_have_ended() -> None:
    flights, ended = SingleFlight[str, None]("refresh"), list[float]()

    async def work() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(0.5)
            ended.append(asyncio.get_running_loop().time())

    flights.join("a", work)
    await asyncio.sleep(1)
    await flights.aclose()
    assert ended == [1.5]
    assert len(flights) == 0


async def test_an_error_that_no_caller_waits_for_is_not_reported_by_the_loop() -> None:
    flights, reported = SingleFlight[str, None]("refresh"), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, error: reported.append(error))

    async def work() -> None:
        raise KeyError("bug")

    flights.join("a", work)
    await asyncio.sleep(1)
    assert (len(flights), reported) == (0, [])
