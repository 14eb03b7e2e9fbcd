"""A reader of the stream that counts frames, and the venue whose ticks make them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.benchmarks.fanout_clients import SNAPSHOT, UPDATE
from tests.world.push import PushWorld, mini_ticker

#: Pairs that the venue changes in a frame, of those that it quotes.
CHANGED, QUOTED = 5, 60
#: The longest wait for frames, in seconds.
PATIENCE_S = 20.0
#: A venue that says nothing for 10 s counts as lost.
ALIVE_S = 4.0


class Listener:
    """A reader of the stream, which counts snapshots and updates."""

    def __init__(self) -> None:
        self.snapshots = self.updates = 0

    async def open(self, stack: AsyncExitStack, port: int, query: str) -> None:
        url = f"ws://127.0.0.1:{port}/ws?{query}"
        connection = await stack.enter_async_context(connect(url, compression=None, max_size=None))
        task = asyncio.create_task(self._listen(connection))
        stack.callback(task.cancel)

    async def until(self, name: str, reached: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while getattr(self, name) < reached:
                await asyncio.sleep(0.002)

    async def _listen(self, connection: Any) -> None:
        try:
            async for text in connection:
                head = text[:200].encode()
                self.updates += UPDATE in head
                self.snapshots += SNAPSHOT in head
        except ConnectionClosed:
            pass


def tickers_of(number: int) -> list[dict[str, Any]]:
    """Five changed pairs, others than those of the number before."""
    pairs = [(number * CHANGED + place) % QUOTED for place in range(CHANGED)]
    factor = 1.01 + number % 7 / 1_000
    return [mini_ticker(f"C{n}USDT", (1 + n) * factor) for n in pairs]


async def opened_push(stack: AsyncExitStack) -> PushWorld:
    push = await stack.enter_async_context(PushWorld())
    alive = asyncio.create_task(_keep_alive(push))
    stack.callback(alive.cancel)
    return push


async def _keep_alive(push: PushWorld) -> None:
    """It tells a pair of no coin, which changes nothing."""
    while True:
        await push.tell_tickers([mini_ticker("NOCOINUSDT", 1.0)])
        await asyncio.sleep(ALIVE_S)


async def ticking(
    stack: AsyncExitStack, port: int, push: PushWorld
) -> Callable[[], Awaitable[None]]:
    """A reader follows the market; what is returned changes five coins, and waits for the frame."""
    listener, numbers = Listener(), count()
    await listener.open(stack, port, "channels=market")
    await listener.until("snapshots", 1)
    await push.until_asked("!miniTicker@arr")
    await asyncio.sleep(0.1)

    async def tick() -> None:
        frames = listener.updates + listener.snapshots
        await push.tell_tickers(tickers_of(next(numbers)))
        async with asyncio.timeout(PATIENCE_S):
            while listener.updates + listener.snapshots == frames:
                await asyncio.sleep(0.001)

    for _ in range(QUOTED // CHANGED):
        await tick()
    return tick
