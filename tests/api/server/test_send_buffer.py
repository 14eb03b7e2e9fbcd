"""Clients that do not read their responses, or leave during them, over real sockets."""

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from weakref import WeakSet

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from api.server.bounded_http import BoundedHttp
from api.server.direct_http import DirectHttp
from api.server.hooks import (
    MAX_UNREAD,
    MAX_UNREAD_BYTES,
    Connections,
    ConnectionTimeouts,
    ServerHooks,
)
from backend.clock import SystemClock
from tests.api.raw import StoredBodies, get, serving_bare
from tests.api.stream.client import until
from tests.life.clients import connected, kernel_bytes

PROTOCOLS = pytest.mark.parametrize("protocol", [DirectHttp, BoundedHttp])
#: A client that reads nothing is disconnected half a second later.
QUICK = ConnectionTimeouts(check_s=0.1, stalled_s=0.5)
#: More than two buffers and the client's own take.
MUCH = b"x" * 1_000_000


def by_peer(scope: Scope) -> str:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    return headers.get(b"client", b"peer").decode()


class Bodies:
    """Answers with a large body, with a small one, or with a large cached one."""

    def __init__(self, timeouts: ConnectionTimeouts, **limits: int) -> None:
        clock = SystemClock()
        self.connections = Connections(by_peer, clock, **limits)
        self.server_hooks = ServerHooks(
            clock,
            timeouts,
            self.connections,
            cached_responses=StoredBodies({b"/known": MUCH, b"/little": b"x" * 50_000}),
        )
        self.made = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.made += 1
        headers = [(b"content-length", b"%d" % len(MUCH))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": MUCH})


@asynccontextmanager
async def serving_bodies(
    protocol: type[BoundedHttp],
    timeouts: ConnectionTimeouts = QUICK,
    limits: dict[str, int] | None = None,
    **options: object,
) -> AsyncIterator[tuple[Bodies, int, uvicorn.Server]]:
    app = Bodies(timeouts, **(limits or {}))
    async with serving_bare(app, http=protocol, **options) as (port, server):
        yield app, port, server


async def until_open(server: uvicorn.Server, count: int, within_s: float = 5.0) -> None:
    await until(lambda: len(server.server_state.connections) == count, within_s)


@PROTOCOLS
@pytest.mark.parametrize("asked", [get("/known"), get("/known") * 20, get("/known", version="1.0")])
async def test_a_client_that_reads_nothing_is_disconnected_and_its_data_dropped(
    protocol: type[BoundedHttp], asked: bytes
) -> None:
    async with serving_bodies(protocol) as (app, port, server), connected(port, asked):
        await until_open(server, 1)
        await until_open(server, 0)
        assert kernel_bytes(port) == 0
        assert repr(app.connections) == "<Connections 0 open, 0 unread>"


@PROTOCOLS
@pytest.mark.parametrize("line", [(), ("Connection: close",)])
async def test_a_response_in_the_kernel_is_dropped_too(
    protocol: type[BoundedHttp], line: tuple[str, ...]
) -> None:
    """After a close the connection would be gone, but its bytes would stay in the kernel."""
    async with (
        serving_bodies(protocol, timeout_keep_alive=0.2) as (_, port, server),
        connected(port, get("/little", *line)),
    ):
        await asyncio.sleep(0.1)
        assert kernel_bytes(port) > 0
        await asyncio.sleep(0.3)
        await until_open(server, 0)
        assert kernel_bytes(port) == 0


@PROTOCOLS
async def test_a_slow_client_gets_everything(protocol: type[BoundedHttp]) -> None:
    async with serving_bodies(protocol, timeout_keep_alive=0.2) as (_, port, _server):
        for lines in ((), ("Connection: close",)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**12)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**15)
            writer.write(get("/known", *lines))
            got, began = 0, time.monotonic()
            while piece := await asyncio.wait_for(reader.read(30_000), 2):
                got += len(piece)
                await asyncio.sleep(len(piece) / 800_000)
            assert got > len(MUCH)
            assert time.monotonic() - began > 1  # twice the time for taking nothing
            writer.close()


@PROTOCOLS
async def test_a_client_that_reads_single_bytes_counts_as_stalled(
    protocol: type[BoundedHttp],
) -> None:
    async with (
        serving_bodies(protocol) as (_, port, server),
        connected(port, get("/known")) as slow,
    ):
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            for _ in range(30):
                await loop.sock_recv(slow, 1)
                await asyncio.sleep(0.05)
        await until_open(server, 0, within_s=1)


@PROTOCOLS
async def test_connections_with_unread_responses_are_limited_per_address(
    protocol: type[BoundedHttp],
) -> None:
    """Other addresses are not affected, and connections whose client reads do not count."""
    serving = serving_bodies(protocol, ConnectionTimeouts(), {"max_unread": 4})
    async with serving as (app, port, server), AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(connected(port, get("/known")))
        await until_open(server, 4)
        other = get("/known", "Client: another")
        await stack.enter_async_context(connected(port, other))
        await until(lambda: repr(app.connections) == "<Connections 5 open, 5 unread>")
        await stack.aclose()
        await until_open(server, 0)
        assert repr(app.connections) == "<Connections 0 open, 0 unread>"


@PROTOCOLS
async def test_unread_bytes_are_limited_per_address(
    protocol: type[BoundedHttp],
) -> None:
    serving = serving_bodies(protocol, ConnectionTimeouts(), {"max_unread_bytes": 3_000_000})
    async with serving as (_, port, server), AsyncExitStack() as stack:
        for _ in range(8):
            await stack.enter_async_context(connected(port, get("/known")))
        await until_open(server, 3)
        await asyncio.sleep(0.1)
        assert len(server.server_state.connections) == 3


def test_limits_of_an_address() -> None:
    connections = Connections(lambda scope: scope["client"][0], SystemClock())
    scope = {"client": ("a", 1), "headers": []}
    assert all(connections.record_unread(n, scope, 1) for n in range(MAX_UNREAD))
    assert connections.record_unread(0, scope, MAX_UNREAD_BYTES - MAX_UNREAD + 1)


@PROTOCOLS
async def test_no_further_response_is_made_for_a_client_that_does_not_read(
    protocol: type[BoundedHttp],
) -> None:
    """Of pipelined requests: responses of the application would wait in its tasks, uncounted."""
    asked = get("/made") * 3
    serving = serving_bodies(protocol, ConnectionTimeouts())
    async with serving as (app, port, _), connected(port, asked) as reader:
        await asyncio.sleep(0.3)
        assert app.made == 1
        loop = asyncio.get_running_loop()
        while app.made < 3:
            assert await asyncio.wait_for(loop.sock_recv(reader, 2**20), 5)


@PROTOCOLS
async def test_unread_data_are_freed_with_their_connection(
    protocol: type[BoundedHttp], in_memory: WeakSet[BoundedHttp]
) -> None:
    async with serving_bodies(protocol) as (_, port, server):
        for path in ("/known", "/made"):
            async with connected(port, get(path) * 3):
                await asyncio.sleep(0.1)
            async with connected(port, get(path) * 3):
                await until_open(server, 0)
        async with asyncio.timeout(3):
            while in_memory:
                gc.collect()
                await asyncio.sleep(0.05)
