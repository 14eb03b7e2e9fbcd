"""The WebSocket edge over loopback sockets: what opens, what breaks, and which error that is."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from backend.clock import SystemClock
from backend.errors import (
    ConnectFailed,
    ConnectionBroken,
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    QueryRefused,
    RateLimited,
    UpstreamFailed,
)
from backend.providers import push_client
from backend.providers.client import USER_AGENT
from backend.providers.push_client import PushClient, PushConnection
from backend.providers.vendors import binance
from tests.world.push import PushWorld

TICKERS = "/stream?streams=!miniTicker@arr"


@pytest.fixture
async def world() -> AsyncIterator[PushWorld]:
    async with PushWorld() as opened:
        yield opened


def connect(url: str) -> AbstractAsyncContextManager[PushConnection]:
    return PushClient(SystemClock()).open(binance.ADAPTER, url)


async def failure(url: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        async with connect(url):
            raise AssertionError("it opened")
    return caught.value


def answering(status: int, **headers: str) -> Callable[[ServerConnection, Request], Response]:
    def answer(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(status, "no")
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value
        return response

    return answer


@asynccontextmanager
async def refusing(status: int, **headers: str) -> AsyncIterator[str]:
    """A server whose handshake has this answer."""

    async def never(_connection: ServerConnection) -> None:
        raise AssertionError("no handshake ended well")

    answer = answering(status, **headers)
    async with serve(never, "127.0.0.1", 0, process_request=answer) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/stream"


@asynccontextmanager
async def raw_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that speaks TCP and whatever `handle` does."""
    served: list[asyncio.Task[None]] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handle(reader, writer)
        writer.close()
        await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.create_task(serve_one(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stream"
        await asyncio.gather(*served)


async def test_frames_are_received_decoded_and_in_order(world: PushWorld) -> None:
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        await world.tell({"stream": "a", "data": [1.5, None, "\N{SNOWMAN}"]})
        await world.tell([])
        received = [await connection.receive(5), await connection.receive(5)]
    assert received == [{"stream": "a", "data": [1.5, None, "\N{SNOWMAN}"]}, []]
    assert world.paths == [TICKERS]


async def test_text_is_sent_unchanged(world: PushWorld) -> None:
    command = {"method": "SUBSCRIBE", "params": ["btcusdt@kline_1M"], "id": 7}
    async with connect(world.url + TICKERS) as connection:
        await connection.send(json.dumps(command))
        assert await connection.receive(5) == {"result": None, "id": 7}
    assert world.sessions[0].commands == [command]


async def test_the_handshake_has_the_user_agent_and_requests_no_compression(
    world: PushWorld,
) -> None:
    async with connect(world.url + TICKERS):
        await world.until_open()
        request = world.sessions[0].connection.request
        assert request is not None
        assert request.headers["User-Agent"] == USER_AGENT
        assert "Sec-WebSocket-Extensions" not in request.headers


async def test_leaving_closes_the_connection(world: PushWorld) -> None:
    async with connect(world.url + TICKERS):
        await world.until_open()
    await world.until_closed()
    assert [session.connection.close_code for session in world.sessions] == [1000]


async def test_an_exception_of_the_caller_closes_the_connection(world: PushWorld) -> None:
    async def read() -> None:
        async with connect(world.url + TICKERS):
            await world.until_open()
            raise KeyError("bug")

    with pytest.raises(KeyError):
        await read()
    await world.until_closed()


async def test_a_timeout_returns_none_and_loses_no_later_frame(world: PushWorld) -> None:
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        assert await connection.receive(0.05) is None
        assert await connection.receive(0.05) is None
        await world.tell({"number": 1})
        await world.tell({"number": 2})
        assert await connection.receive(5) == {"number": 1}
        assert await connection.receive(5) == {"number": 2}
        assert await connection.receive(0.05) is None


async def test_an_interrupted_receive_returns_none_at_once_and_loses_no_later_frame(
    world: PushWorld,
) -> None:
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        connection.interrupt()  # nobody waits: the next receive does
        assert await connection.receive(0.05) is None
        receiving = asyncio.create_task(connection.receive(5))
        await asyncio.sleep(0.05)
        assert not receiving.done()
        connection.interrupt()
        connection.interrupt()  # the task is cancelled once, so that nothing else is
        async with asyncio.timeout(1):
            assert await receiving is None
        await world.tell({"number": 1})
        assert await connection.receive(5) == {"number": 1}


async def test_a_frame_that_comes_together_with_an_interruption_is_not_lost(
    world: PushWorld,
) -> None:
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        for number in range(200):
            receiving = asyncio.create_task(connection.receive(5))
            await asyncio.sleep(0)
            await world.tell({"number": number})
            for _ in range(number % 5):
                await asyncio.sleep(0)
            connection.interrupt()
            frame = await receiving
            assert (frame or await connection.receive(5)) == {"number": number}


async def test_a_cancelled_receive_is_cancelled(world: PushWorld) -> None:
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        receiving = asyncio.create_task(connection.receive(5))
        await asyncio.sleep(0.05)
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving


@pytest.mark.parametrize("text", ["<html>", "", "{", "nan", '{"a": nan}', "[" * 5_000, "{'a': 1}"])
async def test_a_frame_that_is_not_json_is_malformed_and_the_next_one_is_read(
    world: PushWorld, text: str
) -> None:
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        await world.tell(text)
        await world.tell({"number": 1})
        with pytest.raises(MalformedResponse):
            await connection.receive(5)
        assert await connection.receive(5) == {"number": 1}


@pytest.mark.parametrize(("payload", "is_good"), [(b'{"number": 1}', True), (b"\xff\xfe", False)])
async def test_a_binary_frame_is_json_or_malformed(
    world: PushWorld, payload: bytes, is_good: bool
) -> None:
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        await world.sessions[0].connection.send(payload)
        if is_good:
            assert await connection.receive(5) == {"number": 1}
            return
        with pytest.raises(MalformedResponse):
            await connection.receive(5)


async def test_a_frame_of_all_tickers_fits(world: PushWorld) -> None:
    text = json.dumps("x" * (4 * 1024 * 1024 - 2))
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        await world.tell(text)
        assert len(await connection.receive(10)) == len(text) - 2


async def test_a_frame_over_four_mib_breaks_the_connection(world: PushWorld) -> None:
    text = json.dumps("x" * (4 * 1024 * 1024 - 1))
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        await world.tell(text)
        with pytest.raises(ConnectionBroken):
            await connection.receive(10)
    assert world.sessions[0].connection.close_code == 1009


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011])
async def test_a_closed_connection_is_broken_in_both_directions(
    world: PushWorld, code: int
) -> None:
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        await world.tell({"number": 1})
        await world.sessions[0].connection.close(code)
        assert await connection.receive(5) == {"number": 1}
        with pytest.raises(ConnectionBroken):
            await connection.receive(5)
        with pytest.raises(ConnectionBroken):
            await connection.send("{}")


async def test_an_aborted_connection_is_broken(world: PushWorld) -> None:
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        world.sessions[0].connection.transport.abort()
        with pytest.raises(ConnectionBroken):
            await connection.receive(5)


async def test_a_send_timeout_breaks_the_connection(
    world: PushWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_connection: ClientConnection, _text: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(push_client, "SEND_TIMEOUT_S", 0.05)
    monkeypatch.setattr(ClientConnection, "send", hang)
    async with connect(world.url + TICKERS) as connection:
        with pytest.raises(ConnectionBroken, match="the connection timed out"):
            await connection.send("{}")


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (401, ProviderError, "auth_failed"),
        (403, GeoBlocked, "geo_blocked"),
        (404, QueryRefused, "unsupported"),
        (418, RateLimited, "rate_limited"),
        (429, RateLimited, "rate_limited"),
        (451, GeoBlocked, "geo_blocked"),
        (500, UpstreamFailed, "upstream_5xx"),
        (503, UpstreamFailed, "upstream_5xx"),
        (200, ConnectFailed, "connect_error"),
        (204, ConnectFailed, "connect_error"),
    ],
)
async def test_a_refused_handshake_is_the_same_error_as_a_refused_request(
    world: PushWorld, status: int, kind: type[ProviderError], reason: str
) -> None:
    world.status = status
    error = await failure(world.url + TICKERS)
    assert isinstance(error, kind)
    assert error.reason == reason
    assert str(status) in str(error)


async def test_a_refused_handshake_may_have_a_retry_after() -> None:
    async with refusing(429, Retry_After="77") as url:
        error = await failure(url)
    assert isinstance(error, RateLimited)
    assert (error.http_status, error.retry_after_s) == (429, 77.0)


async def test_a_refused_handshake_without_retry_after_has_no_wait(world: PushWorld) -> None:
    world.status = 429
    assert (await failure(world.url)).retry_after_s is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(world: PushWorld, status: int) -> None:
    async with refusing(status, Location=world.url + TICKERS) as url:
        error = await failure(url)
    assert isinstance(error, MalformedResponse)
    assert world.paths == []


async def test_a_closed_port_is_a_failed_connection(world: PushWorld) -> None:
    url = world.url + TICKERS
    await world.stop()
    assert isinstance(await failure(url), ConnectFailed)


async def test_a_venue_that_is_back_can_be_connected_to(world: PushWorld) -> None:
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        await world.stop()
        with pytest.raises(ConnectionBroken):
            await connection.receive(5)
    await world.start()
    async with connect(world.url + TICKERS) as connection:
        await world.until_open()
        await world.tell({"number": 1})
        assert await connection.receive(5) == {"number": 1}


@pytest.mark.parametrize(
    "answer", [b"", b"junk\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 101 Go\r\n\r\n"]
)
async def test_a_server_that_speaks_no_websocket_is_a_failed_connection(answer: bytes) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with raw_server(handle) as url:
        assert isinstance(await failure(url), ConnectFailed)


async def test_the_handshake_has_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push_client, "OPEN_TIMEOUT_S", 0.1)

    async def handle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(handle) as url:
        error = await failure(url)
    assert isinstance(error, ConnectFailed)
    assert str(error) == "the connection timed out"


@pytest.mark.parametrize("url", ["http://127.0.0.1/stream", "ws://", "nonsense"])
async def test_an_invalid_address_is_a_failed_connection(url: str) -> None:
    assert isinstance(await failure(url), ConnectFailed)


async def test_an_unknown_host_is_a_failed_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unknown(*_arguments: Any, **_more: Any) -> None:
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    error = await failure("ws://venue.example/stream")
    assert isinstance(error, ConnectFailed)
    assert str(error) == "the host name cannot be resolved"


async def test_no_error_contains_the_requested_address(world: PushWorld) -> None:
    world.status = 500
    error = await failure(world.url + "/stream?key=secret")
    assert "secret" not in str(error)
    assert error.__cause__ is None
