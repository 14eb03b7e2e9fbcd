"""Clients that are malicious, or broken in a harmful way, are disconnected and leave nothing."""

import asyncio
from contextlib import AsyncExitStack, suppress

import httpx
import pytest

from api.server.hooks import ConnectionTimeouts
from api.stream.protocol import ABORT_BUFFERED_BYTES, StreamTimes
from tests.api.raw import limit_receive_buffer
from tests.api.stream.client import Served, until
from tests.api.stream.conftest import ServeStream
from tests.api.stream.test_floods import CLOSE, FIN, PING, TEXT, frame, talking
from tests.api.stream.test_lag import WAYS, flood, gone, healthy_readers
from tests.world.push import PushWorld
from tests.world.server import World

#: A stuck client is closed after 0.5 s, and its connection ends 0.2 s later.
STUCK = {"WS_STUCK_SECONDS": "0.5"}
QUICK = {
    "timeouts": ConnectionTimeouts(close_s=0.2),
    "times": StreamTimes(lag_check_s=0.05, check_s=0.1, drain_s=0.2),
}
DIRECT = pytest.mark.parametrize("direct", ["true", "false"])


async def until_one_is_left(served: Served) -> None:
    """One client of the stream, and one connection."""
    await until(lambda: served.broadcaster.counters().clients <= 1, 20)
    await until(lambda: served.open_connections <= 1, 20)


@WAYS
@pytest.mark.parametrize("last_frame", [None, PING, CLOSE])
async def test_a_stuck_client_is_disconnected_whatever_it_sends(
    serve_stream: ServeStream, push: PushWorld, direct: str, last_frame: int | None
) -> None:
    """Its connection ends, too, not only its subscriptions."""
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_stream(QUICK, WS_DIRECT=direct, **STUCK))
        healthy = await healthy_readers(stack, served, 1)
        stuck = await stack.enter_async_context(talking(served.port, "?channels=market"))
        limit_receive_buffer(stuck.writer)
        await push.until_open()
        await flood(push, served, healthy)
        stuck.writer.write(frame(FIN | TEXT, b'{"op":"ping"}'))
        if last_frame is not None:
            stuck.writer.write(frame(FIN | last_frame))
        await until_one_is_left(served)
        await healthy[0].say(op="ping")
        await healthy[0].next(op="pong")


async def test_pongs_for_a_client_that_never_reads_are_bounded(served: Served) -> None:
    """It is closed for the number of its pings; few of them are answered before."""
    async with talking(served.port) as greedy:
        most = 0
        with suppress(ConnectionError):
            for _ in range(3_000):
                await greedy.say(*[frame(FIN | PING, b"x" * 100)] * 500)
                waiting = [one._sink.buffered() for one in served.broadcaster._subscribers]
                most = max(most, *waiting, 0)
                if not waiting:
                    break
        await gone(served)
        await until(lambda: not served.open_connections)
    assert most < ABORT_BUFFERED_BYTES


async def test_a_client_closed_by_the_servers_keepalive_leaves_no_connection(
    serve_stream: ServeStream, push: PushWorld
) -> None:
    """The keepalive closes a client that answers no ping, then waits for its buffer without end."""
    keepalive = {"ws_ping_interval": 0.2, "ws_ping_timeout": 0.2}
    async with AsyncExitStack() as stack:
        serve = serve_stream(QUICK | keepalive, WS_STUCK_SECONDS="1")
        served = await stack.enter_async_context(serve)
        healthy = await healthy_readers(stack, served, 1)
        await stack.enter_async_context(talking(served.port, "?channels=market"))
        await push.until_open()
        with suppress(AssertionError):  # the client is closed before it lags
            await flood(push, served, healthy)
        await until_one_is_left(served)


async def test_a_stuck_event_stream_leaves_no_connection(
    serve_stream: ServeStream, push: PushWorld
) -> None:
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve_stream(QUICK, **STUCK))
        healthy = await healthy_readers(stack, served, 1)
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1_024)
        limit_receive_buffer(writer)
        writer.write(b"GET /api/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        await push.until_open()
        await flood(push, served, healthy)
        await until_one_is_left(served)
        writer.transport.abort()


SSE = b"GET /api/stream?channels=gas HTTP/1.1\r\nHost: x\r\n\r\n"
VALID_REQUEST = b"GET /api/gas HTTP/1.1\r\nHost: x\r\n\r\n"


@DIRECT
@pytest.mark.parametrize("behind", [SSE, VALID_REQUEST, SSE * 20, b"\r\n", b"GET / HT"])
@pytest.mark.parametrize("is_one_packet", [True, False])
async def test_bytes_after_the_request_do_not_keep_an_event_stream_open(
    serve_stream: ServeStream, direct: str, behind: bytes, is_one_packet: bool
) -> None:
    async with serve_stream(HTTP_DIRECT=direct) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(SSE + behind if is_one_packet else SSE)
        assert b"\r\nconnection: close\r\n" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"" if is_one_packet else behind)
        await asyncio.sleep(0.05)
        assert served.broadcaster.counters().clients == 1
        writer.transport.abort()
        await until(
            lambda: not (served.broadcaster.counters().clients or served.open_connections), 2
        )


@DIRECT
async def test_bytes_after_the_request_do_not_end_an_event_stream(
    serve_stream: ServeStream, direct: str
) -> None:
    timeouts = ConnectionTimeouts(head_s=0.2)
    async with serve_stream({"timeouts": timeouts}, HTTP_DIRECT=direct) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for behind in (SSE, b"\r\n", b"no HTTP\r\n\r\n", b"GET / HT"):
            writer.write(behind)
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)
        assert served.broadcaster.counters().clients == 1
        await served.broadcaster.aclose()
        received = await asyncio.wait_for(reader.read(), 5)
        assert received.count(b"HTTP/1.1") == 1
        assert received.endswith(b"0\r\n\r\n")
        writer.close()


async def test_a_client_that_floods_an_event_stream_is_disconnected(served: Served) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(SSE)
    with suppress(ConnectionError):
        for _ in range(100):
            writer.write(b"x" * 65_536)
            await writer.drain()
            await asyncio.sleep(0)
    await gone(served)
    writer.transport.abort()


async def test_repeated_subscriptions_reuse_the_connection_to_the_venue(
    served: Served, push: PushWorld
) -> None:
    async with served.reader() as reader:
        for _ in range(8):
            await reader.say(op="subscribe", channel="market")
            await reader.next(op="data")
            await push.until_open()
            await reader.say(op="unsubscribe", channel="market")
            await reader.next(op="unsubscribed")
            await asyncio.sleep(0.1)
    assert len(push.sessions) <= 3
    assert push.overruns == []


async def test_gas_by_events_does_not_need_the_market(
    serve_stream: ServeStream, world: World
) -> None:
    async with (
        serve_stream() as served,
        httpx.AsyncClient(base_url=served.url) as client,
        client.stream("GET", "/api/stream?channels=gas") as answer,
    ):
        async for line in answer.aiter_lines():
            if '"op":"data","channel":"gas"' in line:
                break
    assert dict(world.calls) == {"ethereum_rpc": 1}


async def test_a_request_without_upgrade_is_refused(served: Served) -> None:
    answer = await served.get("/ws")
    assert (answer.status_code, answer.json()["code"]) == (426, "upgrade_required")


@pytest.mark.parametrize("query", ["?channels=gas&channels=market", "?symbols=BTC&symbols=ETH"])
async def test_a_repeated_query_parameter_is_an_error(served: Served, query: str) -> None:
    async with served.reader(query) as reader:
        assert (await reader.next(op="error"))["code"] == "invalid_parameter"
