"""Heads that were parsed before: the same responses, limits and timeouts as for parsed ones."""

import asyncio
import re
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.server.bounded_http import BoundedHttp
from api.server.direct_http import DirectHttp
from api.server.head_cache import MAX_BYTES, MAX_HEAD_BYTES, MAX_HEADS, HeadCache, KnownHead
from api.server.hooks import Connections, ConnectionTimeouts, ServerHooks
from backend.clock import SystemClock
from tests.api.raw import StoredBodies, get, said, serving_bare, statuses

DATE = re.compile(rb"date: [^\r]+\r\n")
KNOWN = {b"/known": b"known", b"/large": b"x" * 400_000}


class Application:
    """Answers with the path, the header names and the body of a request, or with KNOWN."""

    def __init__(self, timeouts: ConnectionTimeouts | None = None, **limits: int) -> None:
        clock = SystemClock()
        self.server_hooks = ServerHooks(
            clock,
            timeouts or ConnectionTimeouts(),
            Connections(_address, clock, **limits),
            cached_responses=StoredBodies(KNOWN),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        message: Message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        path = scope["path"].encode()
        told = b"%b %b %b" % (path, b" ".join(name for name, _ in scope["headers"]), body)
        said = KNOWN.get(path, told) if scope["method"] == "GET" else told
        headers = [(b"content-length", b"%d" % len(said))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": said})


def _address(scope: Scope) -> str:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    return headers.get(b"client", b"peer").decode()


@asynccontextmanager
async def serving(
    app: Application, protocol: type[BoundedHttp] = DirectHttp, **options: object
) -> AsyncIterator[int]:
    async with serving_bare(app, http=protocol, proxy_headers=False, **options) as (port, _):
        yield port


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The targets of the heads that the parser reads."""
    targets: list[bytes] = []
    read = DirectHttp.on_headers_complete

    def watched(self: DirectHttp) -> None:
        targets.append(self.url)
        read(self)

    monkeypatch.setattr(DirectHttp, "on_headers_complete", watched)
    return targets


async def test_a_head_is_parsed_twice_for_all_connections(parsed: list[bytes]) -> None:
    async with serving(Application()) as port:
        for _ in range(3):
            answers, _ = await said(port, *[get("/known")] * 3, within_s=0.2)
            assert answers.count(b"\r\n\r\nknown") == 3
    assert parsed == [b"/known"] * 2


@pytest.mark.parametrize(
    "asked",
    [
        get("/unknown"),
        get("/known", version="1.0"),
        get("/known", "Connection: close"),
        get("/known") * 2,
        get("/known") + b"GET",
        b"POST /known HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\n\r\n{}",
        get("/known", f"X-Long: {'x' * MAX_HEAD_BYTES}"),
    ],
)
async def test_only_single_heads_with_cached_responses_are_kept(asked: bytes) -> None:
    app = Application()
    async with serving(app) as port:
        for _ in range(3):
            assert statuses((await said(port, asked, within_s=0.2))[0])
    assert repr(app.server_hooks.heads) == "<HeadCache 0 newer and 0 older heads>"


def kept_again(cache: HeadCache, data: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    for _ in range(2):
        cache.add(data, KnownHead(dict(headers) or data, [*headers]))


def test_heads_that_are_not_sent_again_are_dropped() -> None:
    cache = HeadCache()
    kept_again(cache, b"kept")
    for number in range(3 * MAX_HEADS):
        kept_again(cache, b"%d" % number)
        assert number % 1_000 or cache.get(b"kept")
        assert len(cache._newer) <= MAX_HEADS
    assert cache.get(b"1") is None
    assert cache.get(b"%d" % number) == KnownHead(b"%d" % number, [])


def test_heads_of_many_short_fields_use_no_more_memory_than_others() -> None:
    """380 fields in 2 KiB: what was read from each head takes thirty times its length."""
    names = [b"%x" % number for number in range(380)]
    tracemalloc.start()
    try:
        cache = HeadCache()
        for number in range(600):
            data = b"%d " % number * 2 + b":\r\n".join(names)
            kept_again(cache, data, [(bytes(bytearray(name)), b"") for name in names])
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert cache.get(data)
    assert used < 2 * MAX_BYTES


def test_a_head_that_came_once_is_not_kept() -> None:
    cache = HeadCache()
    for number in range(2 * MAX_HEADS + 1):
        cache.add(b"%d" % number, KnownHead(number, []))
    assert repr(cache) == "<HeadCache 0 newer and 0 older heads>"
    assert len(cache._once) == 1


PARTS = (
    get("/known"),
    get("/known"),
    get("/known"),
    get("/known", "X-Other: 1"),
    get("/large"),
    get("/other"),
    b"\r\n",
    b"HEAD /known HTTP/1.1\r\nHost: g\r\n\r\n",
    b"POST /other HTTP/1.1\r\nHost: g\r\nContent-Length: 4\r\n\r\nbody",
    # Its body looks like a known head.
    b"POST /other HTTP/1.1\r\nHost: g\r\nContent-Length: %d\r\n\r\n" % len(get("/known"))
    + get("/known"),
    b"POST /other HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
)


@pytest.mark.parametrize("seed", range(6))
async def test_any_sequence_of_packets_gets_the_same_bytes(seed: int) -> None:
    """Whole requests in packets of their own, requests cut in two, and several in one packet."""
    random = Random(seed)
    async with serving(Application()) as direct, serving(Application(), BoundedHttp) as plain:
        for _ in range(10):
            packets: list[bytes] = []
            for part in random.choices(PARTS, k=6):
                cut = random.choice((0, 0, 0, len(part) // 2, len(part) - 4))
                packets += [part[:cut], part[cut:]] if cut > 0 else [part]
                if random.random() < 0.2 and len(packets) > 1:
                    packets[-2:] = [b"".join(packets[-2:])]
            packets.append(get("/last", "Connection: close"))
            answers = await asyncio.gather(said(direct, *packets), said(plain, *packets))
            (direct_bytes, is_closed), (plain_bytes, _) = answers
            assert DATE.sub(b"", direct_bytes) == DATE.sub(b"", plain_bytes)
            assert is_closed


async def test_garbage_behind_a_known_head_ends_the_connection() -> None:
    async with serving(Application()) as port:
        for _ in range(4):
            answers, is_closed = await said(port, get("/known"), b"\0\r\n\r\n")
            assert statuses(answers) == [200, 400]
            assert is_closed


async def test_a_head_that_stays_incomplete_behind_a_known_one_ends_the_connection() -> None:
    app = Application(ConnectionTimeouts(head_s=0.3))
    async with serving(app) as port:
        for _ in range(3):
            answers, is_closed = await said(port, get("/known"), b"GET /", within_s=1.5)
            assert statuses(answers) == [200]
            assert is_closed


async def test_a_connection_with_known_heads_stays_open_while_it_is_used() -> None:
    async with serving(Application(), timeout_keep_alive=0.4) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(5):
            writer.write(get("/known"))
            await reader.readuntil(b"\r\n\r\nknown")
            await asyncio.sleep(0.2)
        assert await asyncio.wait_for(reader.read(1), 2) == b""
        writer.close()


async def test_unread_responses_count_for_the_address_in_a_known_head() -> None:
    """Two clients behind one peer: each has its own limit of connections with unread responses."""
    app = Application(max_unread=1)
    asked = {name: get("/large", f"Client: {name}") for name in ("one", "two")}
    async with serving(app) as port:
        for head in asked.values():
            await said(port, head, head, within_s=0.2)
        assert repr(app.server_hooks.heads) == "<HeadCache 2 newer and 0 older heads>"
        writers = []
        for name in ("one", "two", "one"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**10)
            writers.append((reader, writer))
            for _ in range(20):
                writer.write(asked[name])
                await asyncio.sleep(0.01)
        assert [reader.at_eof() or _is_reset(reader) for reader, _ in writers] == [
            False,
            False,
            True,
        ]
        for _, writer in writers:
            writer.transport.abort()


def _is_reset(reader: asyncio.StreamReader) -> bool:
    return isinstance(reader.exception(), ConnectionError)
