"""Clients that lag, stop reading or vanish do not affect others, and buffers stay bounded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from api.stream.protocol import StreamTimes
from tests.api.stream.client import Reader, Served, until
from tests.api.stream.conftest import ServeStream
from tests.world.push import PushWorld, mini_ticker, now_ms

WAYS = pytest.mark.parametrize("direct", ["true", "false"])
QUICK = {"times": StreamTimes(lag_check_s=0.05, check_s=0.1, drain_s=0.2)}
#: Enough updates to fill the buffers of the kernel and of the gateway for one client.
MOST_ROUNDS = 900


async def move_everything(push: PushWorld, number: int) -> None:
    """All sixty listed coins change: a frame of about 25 kB."""
    at = now_ms() + number
    rows = [mini_ticker(f"C{n}USDT", (1.0 + n) * (1 + number / 1e5), E=at) for n in range(60)]
    await push.tell_tickers(rows)


@asynccontextmanager
async def stalled(served: Served) -> AsyncIterator[Reader]:
    """A client that subscribes and reads nothing: the library stops reading the socket."""
    async with served.reader("?channels=market", max_queue=1, close_timeout=1) as reader:
        yield reader


async def flood(push: PushWorld, served: Served, healthy: list[Reader]) -> int:
    """Sends updates until a client has missed some or was closed as stuck. Returns the last
    seq."""
    before = served.broadcaster.counters().clients
    for number in range(1, MOST_ROUNDS):
        await move_everything(push, number)
        frames = [await reader.next(op="data") for reader in healthy]
        assert {(frame["type"], frame["seq"]) for frame in frames} == {("update", number + 1)}
        now = served.broadcaster.counters()
        if now.dropped > 5 or now.clients < before:
            return number + 1
    raise AssertionError("no client lags")


async def healthy_readers(stack: AsyncExitStack, served: Served, count: int) -> list[Reader]:
    readers = [
        await stack.enter_async_context(served.reader("?channels=market")) for _ in range(count)
    ]
    for reader in readers:
        await reader.next(op="data", type="snapshot")
    return readers


@pytest.mark.parametrize(("direct", "others"), [("true", 99), ("false", 9)])
async def test_a_stalled_client_does_not_delay_others_and_catches_up(
    serve_stream: ServeStream, push: PushWorld, direct: str, others: int
) -> None:
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_stream(WS_DIRECT=direct))
        healthy = await healthy_readers(stack, served, others)
        lagging = await stack.enter_async_context(stalled(served))
        await push.until_open()
        last = await flood(push, served, healthy)
        seqs = [(await lagging.next(op="data"))["seq"]]
        while seqs[-1] < last:
            seqs.append((await lagging.next(op="data"))["seq"])
        # Buffered updates came; one snapshot replaces the missed ones, and the numbers continue.
        assert seqs[:-1] == list(range(1, len(seqs)))
        assert seqs[-1] == last > len(seqs)
        assert lagging.seen[-1]["type"] == "snapshot"
        await move_everything(push, last + 1)
        update = await lagging.next(op="data")
        assert (update["type"], update["seq"]) == ("update", last + 1)


@WAYS
async def test_a_client_that_stays_stuck_is_closed(
    serve_stream: ServeStream, push: PushWorld, direct: str
) -> None:
    async with AsyncExitStack() as stack:
        serve = serve_stream(QUICK, WS_DIRECT=direct, WS_STUCK_SECONDS="0.5")
        served = await stack.enter_async_context(serve)
        healthy = await healthy_readers(stack, served, 2)
        lagging = await stack.enter_async_context(stalled(served))
        await push.until_open()
        await flood(push, served, healthy)
        await until(lambda: served.broadcaster.counters().clients <= 2, 15)
        with suppress(ConnectionClosed):
            while True:
                await lagging.any()
        if direct == "true":  # through ASGI no close frame can be sent to it
            assert lagging.connection.close_code == 1008
        for reader in healthy:
            await reader.say(op="ping")
            await reader.next(op="pong")


@WAYS
@pytest.mark.parametrize("frames", [0, 1, 2, 3, 4])
async def test_clients_that_vanish_at_any_moment_leave_nothing_behind(
    serve_stream: ServeStream, push: PushWorld, direct: str, frames: int
) -> None:
    async with serve_stream(WS_DIRECT=direct) as served:
        before = asyncio.all_tasks()
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(vanish_after(served, frames))
        await gone(served)
        await push.until_closed()
        await until(lambda: not any(map(is_of_the_stream, asyncio.all_tasks() - before)))
        assert repr(served.broadcaster) == "<Broadcaster 0 clients, 0 feeds>"


async def vanish_after(served: Served, frames: int) -> None:
    """Reads this number of frames and aborts the connection."""
    query = "?channels=market,ohlc,gas&symbols=BTC&interval=1h"
    async with served.reader(query) as reader:
        for _ in range(frames):
            await reader.any()
        reader.connection.transport.abort()


def is_of_the_stream(task: asyncio.Task[None]) -> bool:
    return task.get_name().startswith(("feed", "stream", "refresh"))


async def gone(served: Served) -> None:
    await until(lambda: not served.broadcaster.counters().clients, 10)


async def test_vanished_event_stream_clients_leave_nothing_behind(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.url) as client:
        for _ in range(5):
            async with client.stream("GET", "/api/stream?channels=gas,market") as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data"):
                        break
    await gone(served)
    assert repr(served.broadcaster) == "<Broadcaster 0 clients, 0 feeds>"


async def test_messages_of_a_client_that_does_not_read_are_not_handled(
    serve_stream: ServeStream, push: PushWorld
) -> None:
    """Replies to it would pile up."""
    async with serve_stream() as served, stalled(served) as reader:
        async with AsyncExitStack() as stack:
            healthy = await healthy_readers(stack, served, 1)
            await push.until_open()
            await flood(push, served, healthy)
            before = served.broadcaster.counters().messages_sent
            for number in range(15):
                await reader.say(op="ping", id=number)
            await asyncio.sleep(0.5)
            assert served.broadcaster.counters().messages_sent - before <= 2
        for number in range(15):  # once it reads, it gets its replies
            assert (await reader.next(op="pong"))["id"] == number
