"""Additions to the log of calls that wait for each other."""

import asyncio
from collections.abc import Mapping

import pytest

from backend.cluster.grouped_appends import GroupedAppends
from backend.cluster.store import StoreUnavailable

A, B = ("a/minute", 1), ("b/minute", 1)
pytestmark = pytest.mark.looptime


class Store:
    """Each append takes a second. `reply` is what it returns, or raises."""

    def __init__(self) -> None:
        self.appended: list[dict[tuple[str, int], int]] = []
        self.reply: bool | Exception = True

    async def append(self, amounts: Mapping[tuple[str, int], int]) -> bool:
        self.appended.append(dict(amounts))
        reply = self.reply
        await asyncio.sleep(1)
        if isinstance(reply, Exception):
            raise reply
        return reply


async def after(wait_s: float, appends: GroupedAppends, key: tuple[str, int]) -> tuple[bool, float]:
    """The result, and when it came."""
    await asyncio.sleep(wait_s)
    result = await appends.add({key: 1})
    return result, asyncio.get_running_loop().time()


async def test_what_comes_at_once_is_appended_at_once() -> None:
    store = Store()
    appends = GroupedAppends(store.append)
    assert all(await asyncio.gather(appends.add({A: 1}), appends.add({A: 2, B: 1})))
    assert store.appended == [{A: 3, B: 1}]


async def test_what_comes_meanwhile_is_appended_together_behind_it() -> None:
    store = Store()
    appends = GroupedAppends(store.append)
    began = asyncio.get_running_loop().time()
    work = [after(wait_s, appends, key) for wait_s, key in ((0, A), (0.2, A), (0.5, B), (0.9, B))]
    results = await asyncio.gather(*work)
    assert [(result, at - began) for result, at in results] == [
        (True, 1.0),
        (True, 2.0),
        (True, 2.0),
        (True, 2.0),
    ]
    assert store.appended == [{A: 1}, {A: 1, B: 2}]
    assert repr(appends) == "<GroupedAppends 0 waiting>"


async def test_a_refusal_is_that_of_its_group_only() -> None:
    store = Store()
    store.reply = StoreUnavailable("away")
    appends = GroupedAppends(store.append)
    first = asyncio.create_task(appends.add({A: 1}))
    await asyncio.sleep(0.5)
    store.reply = False
    second = asyncio.create_task(appends.add({B: 1}))
    with pytest.raises(StoreUnavailable):
        await first
    assert await second is False
    store.reply = True
    assert await appends.add({A: 1})


async def test_a_cancelled_caller_takes_nothing_back() -> None:
    store = Store()
    appends = GroupedAppends(store.append)
    first = asyncio.create_task(appends.add({A: 1}))
    second = asyncio.create_task(appends.add({B: 1}))
    await asyncio.sleep(0.5)
    first.cancel()
    assert await second
    assert store.appended == [{A: 1, B: 1}]
