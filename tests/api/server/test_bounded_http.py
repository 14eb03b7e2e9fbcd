"""Limits of what a connection may send before its response is due, over real sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from api.server.bounded_http import BoundedHttp
from api.server.hooks import ConnectionTimeouts, ServerHooks
from tests.api.raw import serving_bare

EMPTY = [(b"content-length", b"0")]
REQUEST = b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"


class Empty:
    """Answers each request with an empty body."""

    server_hooks = ServerHooks(timeouts=ConnectionTimeouts(head_s=0.5))

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": EMPTY})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving_bare(Empty(), http=BoundedHttp) as (port, _):
        yield port


async def answers(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """What comes back until the other side closes, or nothing more comes for a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        while piece := await asyncio.wait_for(reader.read(65_536), 1):
            got += piece
    except (ConnectionError, TimeoutError) as end:
        got += b"" if isinstance(end, TimeoutError) else b"[cut]"
    finally:
        writer.close()
    return got


async def test_a_request_is_answered(port: int) -> None:
    assert (await answers(port, REQUEST)).startswith(b"HTTP/1.1 200")


async def test_many_requests_on_one_connection_are_answered(port: int) -> None:
    got = await answers(port, *[REQUEST] * 50)
    assert got.count(b"HTTP/1.1 200") == 50


async def test_endless_headers_close_the_connection(port: int) -> None:
    head = b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 300_000
    assert b"200" not in await answers(port, head)


async def test_an_oversized_body_closes_the_connection(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 100000000\r\n\r\n"
    assert (await answers(port, head, *[b"a" * 50_000] * 8, pause_s=0.01)).count(b"[cut]") == 1


async def test_a_slow_head_closes_the_connection(port: int) -> None:
    pieces = [REQUEST[n : n + 1] for n in range(20)]
    assert b"200" not in await answers(port, *pieces, pause_s=0.05)


async def test_a_silent_connection_is_closed(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await asyncio.wait_for(reader.read(1), 5) == b""
    writer.close()


async def test_an_answered_connection_may_be_idle(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(REQUEST)
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(
            b"HTTP/1.1 200"
        )
        await asyncio.sleep(0.8)
    writer.close()
