"""Cached responses from the parser to the transport, over real sockets, compared with ASGI."""

import asyncio
import gc
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from weakref import WeakSet

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.asyncio.client import connect

from api import process
from api.hf_unified_server import Application, create_app
from api.server.bounded_http import BoundedHttp
from api.server.direct_http import DirectHttp
from api.server.hooks import ServerHooks
from backend.gateway import read_configuration
from tests.api.raw import StoredBodies, serving_bare
from tests.world.server import World

KNOWN = "/api/market?limit=250", "/api/gas"
#: What is not the same from one answer to the next.
MOMENTS = re.compile(rb"(?<=\r\n)(age|date|ratelimit): [^\r]+")
KEEP_ALIVE_S = 0.5


@dataclass(frozen=True)
class Servers:
    """One application behind two servers."""

    app: Application
    direct: int
    plain: int


@asynccontextmanager
async def serving(app: ASGIApp, protocol: type[BoundedHttp]) -> AsyncIterator[int]:
    options = {
        "http": protocol,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": KEEP_ALIVE_S,
    }
    async with serving_bare(app, **options) as (port, _):
        yield port


@pytest.fixture
async def servers(world: World, surroundings: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    async with opened(world, surroundings) as made:
        yield made


@asynccontextmanager
async def opened(
    world: World, surroundings: pytest.MonkeyPatch, **settings: str
) -> AsyncIterator[Servers]:
    for name, value in world.environment(**settings).items():
        surroundings.setenv(name, value)
    async with AsyncExitStack() as stack:
        app = create_app()
        await stack.enter_async_context(app.router.lifespan_context(app))
        direct = await stack.enter_async_context(serving(app, DirectHttp))
        plain = await stack.enter_async_context(serving(app, BoundedHttp))
        yield Servers(app, direct, plain)


def request(path: str, method: str = "GET", version: str = "1.1", **headers: str) -> bytes:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    lines = "".join(f"{name}: {text}\r\n" for name, text in {"Host": "g", **named}.items())
    return f"{method} {path} HTTP/{version}\r\n{lines}\r\n".encode()


class Connection:
    """A client that reads answers one by one, and knows what HTTP says of their length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, asked: bytes) -> bytes:
        self.writer.write(asked)
        return await self.answer(is_head=asked.startswith(b"HEAD"))

    async def answer(self, *, is_head: bool = False) -> bytes:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        length = re.search(rb"content-length: (\d+)", head)
        body = int(length[1]) if length and not is_head else 0
        return head + await asyncio.wait_for(self.reader.readexactly(body), 10)

    async def is_closed(self, within_s: float) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(1), within_s) == b""
        except TimeoutError:
            return False


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def known(servers: Servers, *asked: bytes) -> None:
    """Asked once, they are known; afterwards the application itself would fail."""
    async with connected(servers.direct) as client:
        for one in asked:
            assert b" 200 OK" in await client.ask(one)


def still(answer: bytes) -> bytes:
    return MOMENTS.sub(rb"\1: -", answer)


CONDITIONS: tuple[dict[str, str], ...] = (
    {},
    {"Accept_Encoding": "zstd"},
    {"Accept_Encoding": "gzip", "Origin": "https://dashboard.example"},
    {"If_None_Match": "*"},
    {"Range": "bytes=0-10"},
    {"Authorization": "Bearer nobody-asks-for-it"},
)


@pytest.mark.parametrize("path", KNOWN)
@pytest.mark.parametrize("limit", ["", "1000/minute"])
async def test_responses_equal_those_through_asgi_byte_for_byte(
    world: World, surroundings: pytest.MonkeyPatch, path: str, limit: str
) -> None:
    async with (
        opened(world, surroundings, CLIENT_RATE_LIMIT=limit) as servers,
        connected(servers.direct) as direct,
        connected(servers.plain) as plain,
    ):
        for headers in CONDITIONS:
            for method in ("GET", "GET", "HEAD"):
                asked = request(path, method, X_Request_Id="the-same", **headers)
                first = await plain.ask(asked)
                assert still(await direct.ask(asked)) == still(await plain.ask(asked))
                assert still(first).replace(b": miss", b": hit") == still(await direct.ask(asked))


async def test_a_cached_response_needs_no_task(servers: Servers) -> None:
    asked = request("/api/gas")
    await known(servers, asked)
    servers.app.edge = None  # type: ignore[assignment] # a request that goes there fails
    async with connected(servers.direct) as client:
        for _ in range(3):
            answer = await client.ask(asked)
            assert b" 200 OK" in answer
            assert b"x-cache: hit" in answer
        assert b" 500 " in await client.ask(request("/api/gas?x=1"))
    async with connected(servers.plain) as client:
        assert b" 500 " in await client.ask(asked)


@pytest.mark.parametrize(
    ("version", "headers"),
    [("1.0", {}), ("1.1", {"Connection": "close"}), ("1.0", {"Connection": "keep-alive"})],
)
async def test_a_client_that_asks_for_close_gets_it(
    servers: Servers, version: str, headers: dict[str, str]
) -> None:
    await known(servers, request("/api/gas"))
    async with connected(servers.direct) as client:
        answer = await client.ask(request("/api/gas", version=version, **headers))
        assert b" 200 OK" in answer
        assert b"\r\nconnection: close\r\n" in answer
        assert await client.is_closed(within_s=0.5)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request("/api/gas", "POST", Content_Length="2") + b"{}", b" 405 "),
        (request("/api/gas", "OPTIONS"), b" 405 "),
        (request("/api/gas", Content_Length="2") + b"{}", b" 200 "),
        (request("/api/gas", Upgrade="h2c", Connection="Upgrade, HTTP2-Settings"), b" 200 "),
        (
            request(
                "/api/gas",
                Upgrade="websocket",
                Connection="Upgrade",
                Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
                Sec_WebSocket_Version="13",
            ),
            b" 403 ",
        ),
        (request("/api/gas", X_Much="x" * 40_000), b" 431 "),
        (request("http://g/api/gas"), b" 200 "),
        (request("/api/gas?"), b" 200 "),
        (request("/api/%67as"), b" 200 "),
    ],
)
async def test_unusual_requests_go_through_asgi(
    servers: Servers, asked: bytes, status: bytes
) -> None:
    await known(servers, request("/api/gas"))
    async with connected(servers.direct) as client, connected(servers.plain) as plain:
        direct, usual = await client.ask(asked), await plain.ask(asked)
        assert status in direct.partition(b"\r\n")[0] + b" "
        assert direct.partition(b"\r\n")[0] == usual.partition(b"\r\n")[0]
        if b"connection: close" not in direct.lower():
            assert b" 200 OK" in await client.ask(request("/api/gas"))


async def test_pipelined_responses_are_in_order(servers: Servers) -> None:
    await known(servers, *(request(path) for path in KNOWN))
    asked = [
        request(path, X_Request_Id=f"no-{number}")
        for number, path in enumerate([KNOWN[0], "/api/nowhere", KNOWN[1], "/api/status"] * 20)
    ]
    async with connected(servers.direct) as client:
        client.writer.write(b"".join(asked))
        for number in range(len(asked)):
            answer = await client.answer()
            assert f"x-request-id: no-{number}\r\n".encode() in answer
            assert answer.startswith(b"HTTP/1.1 404" if number % 4 == 1 else b"HTTP/1.1 200")


async def test_a_request_may_come_byte_by_byte(servers: Servers) -> None:
    asked = request("/api/gas")
    await known(servers, asked)
    async with connected(servers.direct) as client:
        for _ in range(2):
            for at in range(len(asked)):
                client.writer.write(asked[at : at + 1])
                await asyncio.sleep(0)
            assert b"x-cache: hit" in await client.answer()


async def test_a_client_that_does_not_read_does_not_fill_the_memory(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []
    answers = DirectHttp._send_cached

    def watched(self: DirectHttp) -> bool:
        waiting.append(self.transport.get_write_buffer_size())
        return answers(self)

    monkeypatch.setattr(DirectHttp, "_send_cached", watched)
    asked = request(KNOWN[0])
    await known(servers, asked)
    async with connected(servers.direct) as client:
        length = len(await client.ask(asked))
        client.writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's reads, too
        client.writer.write(asked * 900)
        await asyncio.sleep(0.5)
        assert max(waiting) < 4 * length
        client.writer.transport.resume_reading()  # type: ignore[attr-defined] # the same
        for _ in range(900):
            assert b" 200 OK" in await client.answer()


async def test_an_idle_connection_is_closed_in_time(servers: Servers) -> None:
    asked = request("/api/gas")
    await known(servers, asked)
    async with connected(servers.direct) as client:
        for _ in range(3):
            assert b"x-cache: hit" in await client.ask(asked)
            assert not await client.is_closed(within_s=KEEP_ALIVE_S * 0.6)
        assert await client.is_closed(within_s=KEEP_ALIVE_S * 3)


class Echo:
    """Knows one answer, and sends back every body, after `delay_s`."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.server_hooks = ServerHooks(cached_responses=StoredBodies({b"/known": b"known"}))
        self._delay_s = delay_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        message: Message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        await asyncio.sleep(self._delay_s)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def test_bodies_arrive_after_a_cached_response() -> None:
    async with serving(Echo(), DirectHttp) as port, connected(port) as client:
        for _ in range(3):
            assert (await client.ask(request("/known"))).endswith(b"\r\n\r\nknown")
            sent = await client.ask(request("/", "POST", Content_Length="4") + b"body")
            assert sent.endswith(b"\r\n\r\nbody")


async def test_cached_responses_of_one_read_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known answers of one read are counted: the next ones wait as any request does."""
    monkeypatch.setattr("api.server.direct_http.MAX_PER_READ", 2)
    async with serving(Echo(), DirectHttp) as port, connected(port) as client:
        for _ in range(2):
            client.writer.write(request("/known") * 4)
            ends = [(await client.answer()).endswith(b"known") for _ in range(4)]
            assert ends == [True, True, False, False]


@pytest.mark.parametrize("protocol", [DirectHttp, BoundedHttp])
async def test_waiting_requests_are_bounded(
    monkeypatch: pytest.MonkeyPatch, protocol: type[BoundedHttp]
) -> None:
    waiting: list[int] = []
    done = BoundedHttp.on_response_complete

    def watched(self: BoundedHttp) -> None:
        waiting.append(len(self.pipeline))
        done(self)

    monkeypatch.setattr(BoundedHttp, "on_response_complete", watched)
    async with serving(Echo(0.01), protocol) as port, connected(port) as client:
        client.writer.write(request("/slow", X_Long="x" * 4_000) * 900)
        for _ in range(100):
            await client.answer()
        assert 0 < max(waiting) < 150  # of one read, 256 kB, and a little


async def test_thousands_of_pipelined_requests_close_the_connection() -> None:
    async with serving(Echo(1), DirectHttp) as port, connected(port) as client:
        client.writer.write(request("/slow") * 5_000)
        with suppress(ConnectionError):  # closed in order, or reset
            assert await client.is_closed(within_s=0.8)


async def test_keep_alive_does_not_end_a_response_after_a_cached_one(servers: Servers) -> None:
    await known(servers, request("/api/gas"))
    async with connected(servers.direct) as client:
        client.writer.write(request("/api/gas") + request("/api/stream?channels=gas"))
        assert b"x-cache: hit" in await client.answer()
        assert b"text/event-stream" in await client.answer()
        await asyncio.sleep(KEEP_ALIVE_S * 1.5)
        assert await client.reader.read(65_536)
        assert not await client.is_closed(within_s=0.2)


async def test_a_reset_during_cached_responses_logs_no_error(
    servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    asked = request(KNOWN[0])
    await known(servers, asked)
    for _ in range(30):
        async with connected(servers.direct) as client:
            linger = struct.pack("ii", 1, 0)
            peer = client.writer.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.writer.write(asked * 36)
            client.writer.transport.abort()
        await asyncio.sleep(0.01)
    assert "Exception in ASGI application" not in caplog.text


async def test_client_limits_apply_to_cached_responses(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    async with (
        opened(world, surroundings, CLIENT_RATE_LIMIT="200/hour") as servers,
        connected(servers.direct) as client,
    ):
        answers = [await client.ask(request("/api/gas")) for _ in range(202)]
    codes = [answer.split(b" ", 2)[1] for answer in answers]
    assert codes == [b"200"] * 200 + [b"429"] * 2
    left = [int(units) for answer in answers for units in re.findall(rb";r=(\d+)", answer)]
    assert left == [*range(199, -1, -1), 0, 0]


async def test_the_setting_selects_the_protocol(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    for name, value in world.environment().items():
        surroundings.setenv(name, value)
    configuration = read_configuration()
    assert process.server(configuration).config.http is DirectHttp
    own = configuration.gateway.model_copy(update={"http_direct": False})
    plain = process.server(type(configuration)(own, configuration.providers))
    assert plain.config.http is BoundedHttp


@pytest.mark.parametrize("protocol", [DirectHttp, BoundedHttp])
async def test_a_connection_that_the_server_leaves_ends_with_its_next_response(
    servers: Servers, in_memory: WeakSet[BoundedHttp], protocol: type[BoundedHttp]
) -> None:
    port = servers.direct if protocol is DirectHttp else servers.plain
    async with connected(port) as client:
        first = await client.ask(request("/api/gas"))
        second = await client.ask(request("/api/gas"))  # DirectHttp sends this one itself
        (connection,) = in_memory
        connection.close_after_next_response()
        assert not await client.is_closed(0.1)
        last = await client.ask(request("/api/gas"))
        assert await client.is_closed(1)
    assert [b"connection: close" in answer for answer in (first, second, last)] == [0, 0, 1]
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in (first, second, last))


@pytest.mark.parametrize("protocol", [DirectHttp, BoundedHttp])
@pytest.mark.parametrize("end", ["websocket", "close", "reset", "half a head"])
async def test_a_closed_connection_is_freed(
    servers: Servers, in_memory: WeakSet[BoundedHttp], protocol: type[BoundedHttp], end: str
) -> None:
    """A timer that arms itself again would keep each one for ever, and the loop busy."""
    port = servers.direct if protocol is DirectHttp else servers.plain
    for _ in range(3):
        if end == "websocket":
            async with connect(f"ws://127.0.0.1:{port}/ws?channels=gas") as reader:
                await reader.recv()
            continue
        async with connected(port) as client:
            assert b" 200 OK" in await client.ask(request("/api/gas"))
            assert len(in_memory) == 1
            if end == "half a head":
                client.writer.write(request("/api/gas")[:20])
            if end == "reset":
                linger = struct.pack("ii", 1, 0)
                peer = client.writer.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await asyncio.sleep(0.05)
    async with asyncio.timeout(10 * KEEP_ALIVE_S):  # a busy machine needs some of it
        while in_memory:
            gc.collect()
            await asyncio.sleep(0.05)
