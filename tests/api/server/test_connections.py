"""The limit of open connections of one address, by HTTP and WebSocket together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from api.edge.client_limits import client_address
from api.server.hooks import Connections
from tests.api.raw import HANDSHAKE, get, said, statuses
from tests.api.stream.client import until
from tests.api.stream.conftest import ServeStream
from tests.clocks import ManualClock

#: With WS_MAX_CLIENTS=1 this is the share of four connections.
FOUR = {"WS_MAX_CLIENTS": "1", "CLIENT_MAX_SHARE": str(4.5 / 1_025)}


@asynccontextmanager
async def opened(port: int, asked: bytes = b"", from_: str = "127.0.0.1") -> AsyncIterator[bool]:
    """A connection; whether it was left open, and what was asked answered."""
    address = (from_, 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=address)
    is_open = True
    try:
        writer.write(asked)
        async with asyncio.timeout(5 if asked else 0.2):
            is_open = bool(await reader.read(1))
    except TimeoutError:
        is_open = True
    except ConnectionError:
        is_open = False
    try:
        yield is_open
    finally:
        writer.close()


@pytest.mark.parametrize("asked", [b"", get("/healthz"), HANDSHAKE])
async def test_one_address_has_no_more_than_its_share(
    serve_stream: ServeStream, asked: bytes
) -> None:
    async with serve_stream(**FOUR) as served, AsyncExitStack() as stack:
        answers = [await stack.enter_async_context(opened(served.port, asked)) for _ in range(6)]
        assert answers == [True] * 4 + [False] * 2
        async with opened(served.port, get("/healthz"), from_="127.0.0.2") as is_open:
            assert is_open


async def test_a_closed_connection_frees_its_place(
    serve_stream: ServeStream, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve_stream(**FOUR) as served:
        for asked in (HANDSHAKE, get("/healthz"), b"", b"no HTTP\r\n\r\n", get("/ws", host="")):
            for _ in range(6):
                with suppress(ConnectionError):
                    await said(served.port, asked, within_s=0.03)
        await until(lambda: not served.open_connections)
        assert repr(served.app.server_hooks.connections) == "<Connections 0 open, 0 unread>"  # type: ignore[attr-defined]
        assert statuses((await said(served.port, get("/healthz"), within_s=0.2))[0]) == [200]
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("settings", [{"CLIENT_MAX_SHARE": "1"}, {"TRUST_PROXY": "1"}])
async def test_a_share_of_one_and_trusted_proxies_are_not_limited(
    serve_stream: ServeStream, settings: dict[str, str]
) -> None:
    """Behind a trusted proxy all clients have one peer."""
    async with serve_stream(**FOUR | settings) as served, AsyncExitStack() as stack:
        asked = get("/healthz")
        answers = [await stack.enter_async_context(opened(served.port, asked)) for _ in range(8)]
        assert all(answers)


def by_peer(max_per_address: int) -> Connections:
    return Connections(
        lambda scope: client_address(scope, 0), ManualClock(), max_per_address=max_per_address
    )


async def test_an_address_over_the_limit_is_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connections = by_peer(max_per_address=1)
    assert connections.admit(("127.0.0.1", 1)) == "127.0.0.1"
    assert [connections.admit(("127.0.0.1", port)) for port in range(2, 9)] == [None] * 7
    assert len(caplog.records) == 1
    connections.release("127.0.0.1")
    assert connections.admit(("127.0.0.1", 9)) is not None
    assert connections.admit(("127.0.0.2", 9)) is not None


def test_closed_connections_leave_no_entries() -> None:
    connections = by_peer(max_per_address=10)
    for number in range(1_000):
        peer = f"10.0.{number // 250}.{number % 250}", 1
        address = connections.admit(peer)
        assert address is not None
        assert connections.record_unread(number, {"client": peer, "headers": []}, 5)
        connections.forget_unread(number)
        connections.release(address)
    assert not connections._open
    assert not connections._unread
    assert not connections._addresses
