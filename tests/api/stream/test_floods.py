"""Floods over one WebSocket: each frame counts, the client is closed, others do not wait."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from api.server.bounded_websocket import BURST_FRAMES, MAX_UNREAD, BoundedWebSocket, TokenBucket
from api.server.hooks import ConnectionTimeouts
from tests.api.raw import HANDSHAKE
from tests.api.stream.client import Served
from tests.api.stream.conftest import ServeStream

TEXT, CONTINUATION, PING, PONG, CLOSE = 0x1, 0x0, 0x9, 0xA, 0x8
FIN = 0x80
KEY = "a-gateway-key-1"
#: At 2 MB a second for a second, which took the others 4 to 13 seconds.
FLOOD_BYTES, PIECES = 2_000_000, 50
#: A client that goes on after the close frame is cut off 0.2 s later.
SHORT_CLOSE = {"timeouts": ConnectionTimeouts(close_s=0.2)}
WAYS = pytest.mark.parametrize("direct", ["true", "false"])


def frame(head: int, data: bytes = b"") -> bytes:
    """Masked with zeros: the data stay as they are."""
    assert len(data) < 65_536
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return bytes([head]) + size + b"\0\0\0\0" + data


FLOODS = {
    "empty pongs": frame(FIN | PONG),
    "empty pings": frame(FIN | PING),
    "long pings": frame(FIN | PING, b"x" * 125),
    "small texts": frame(FIN | TEXT, b"{}"),
    "empty fragments": frame(CONTINUATION),
    "small fragments": frame(CONTINUATION, b"x"),
}


class Talker:
    """A WebSocket by the byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def end(self, within_s: float = 5.0) -> bytes:
        """The last frame's payload before the other side closed; fails if it does not."""
        got = b""
        async with asyncio.timeout(within_s):
            with suppress(ConnectionError):
                while piece := await self.reader.read(65_536):
                    got = (got + piece)[-200:]
        head = got.rfind(bytes([FIN | CLOSE]))
        return got[head + 2 :] if head >= 0 else b""


@asynccontextmanager
async def talking(port: int, query: str = "") -> AsyncIterator[Talker]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE.replace(b"/ws", f"/ws{query}".encode()))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    try:
        yield Talker(reader, writer)
    finally:
        writer.transport.abort()


async def flood(talker: Talker, block: bytes) -> None:
    piece = block * (FLOOD_BYTES // PIECES // len(block))
    with suppress(ConnectionError):
        for _ in range(PIECES):
            await talker.say(piece)
            await asyncio.sleep(1 / PIECES)


async def response_times(served: Served, while_: Callable[[], bool]) -> list[float]:
    """The times that other clients wait for a response."""
    took = []
    async with httpx.AsyncClient(base_url=served.url) as client:
        while while_():
            began = time.monotonic()
            assert (await client.get("/healthz")).status_code == 200
            took.append(time.monotonic() - began)
            await asyncio.sleep(0.02)
    return took


async def response_times_during(served: Served, doing: Awaitable[None]) -> list[float]:
    task = asyncio.ensure_future(doing)
    took = await response_times(served, lambda: not task.done())
    await task
    return took


@pytest.mark.parametrize(("direct", "keys"), [("true", ""), ("false", ""), ("true", KEY)])
@pytest.mark.parametrize("name", FLOODS)
async def test_a_flooding_client_is_closed_and_others_do_not_wait(
    serve_stream: ServeStream, name: str, direct: str, keys: str
) -> None:
    """Also before it has sent its key."""
    async with (
        serve_stream(SHORT_CLOSE, WS_DIRECT=direct, GATEWAY_API_KEYS=keys) as served,
        talking(served.port) as talker,
    ):
        if "fragments" in name:
            await talker.say(frame(TEXT, b"{"))
        ending = asyncio.create_task(talker.end())
        took = await response_times_during(served, flood(talker, FLOODS[name]))
        code = int.from_bytes((await ending)[:2], "big")
    assert code in ((1008, 4401) if name == "small texts" else (1008,))
    assert max(took) < 1, took  # and a quarter of that where nothing else runs


async def test_frames_over_the_budget_are_not_parsed(
    serve_stream: ServeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = 0
    parse = BoundedWebSocket._parse

    def watched(self: BoundedWebSocket, piece: bytes) -> None:
        nonlocal parsed
        parsed += len(piece)
        parse(self, piece)

    monkeypatch.setattr(BoundedWebSocket, "_parse", watched)
    async with serve_stream() as served, talking(served.port) as talker:
        await flood(talker, FLOODS["empty pings"])
    assert parsed < 2 * BURST_FRAMES * len(FLOODS["empty pings"])


async def test_a_client_within_the_limits_stays_connected(served: Served) -> None:
    async with served.reader() as reader:
        await reader.next(op="hello")
        for _ in range(300):
            await reader.connection.ping()
        await reader.connection.send(iter(["{", *[""] * 100, '"op":"ping"', "}"]))
        await reader.next(op="pong")


async def test_messages_in_one_packet_are_handled_one_by_one(serve_stream: ServeStream) -> None:
    """They wait in the protocol, not in tasks."""
    waiting: list[int] = []
    async with serve_stream() as served, talking(served.port) as talker:
        await talker.say(*[frame(FIN | TEXT, b'{"op":"ping"}'.ljust(1_000)) for _ in range(18)])
        (protocol,) = served.server.server_state.connections
        assert isinstance(protocol, BoundedWebSocket)
        pongs = b""
        async with asyncio.timeout(5):
            while pongs.count(b'{"op":"pong"') < 18:
                waiting.append(len(served.server.server_state.tasks))
                pongs += await talker.reader.read(1_000)
    assert max(waiting) <= 2


async def test_pongs_for_a_client_that_does_not_read_do_not_pile_up(
    serve_stream: ServeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.server.bounded_websocket.BURST_FRAMES", 1_000_000)
    async with serve_stream(WS_DIRECT="false") as served, talking(served.port) as talker:
        (protocol,) = served.server.server_state.connections
        talker.writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's reads, too
        most = 0
        for _ in range(60):
            await talker.say(FLOODS["long pings"] * 1_000)
            await asyncio.sleep(0.005)
            most = max(most, protocol.transport.get_write_buffer_size())
    assert MAX_UNREAD <= most < 2 * MAX_UNREAD


#: A message must be complete within 0.3 s.
QUICK = {"timeouts": ConnectionTimeouts(message_s=0.3)}


@WAYS
@pytest.mark.parametrize(
    "begun",
    [
        frame(TEXT, b"{"),
        frame(TEXT, b"{") + frame(CONTINUATION, b'"op"'),
        frame(FIN | TEXT, b"{" * 1_000)[:500],
        frame(FIN | TEXT)[:3],
    ],
)
async def test_an_incomplete_message_closes_the_connection_in_time(
    serve_stream: ServeStream, direct: str, begun: bytes
) -> None:
    async with serve_stream(QUICK, WS_DIRECT=direct) as served, talking(served.port) as talker:
        await talker.say(begun)
        received = await talker.end(3)
    assert received[:2] == (1008).to_bytes(2, "big")
    assert b"a message must be complete within 0.3 s" in received


async def test_pings_between_fragments_do_not_extend_the_time_of_a_message(
    serve_stream: ServeStream,
) -> None:
    async with serve_stream(QUICK) as served, talking(served.port) as talker:
        await talker.say(frame(TEXT, b"{"))
        with suppress(ConnectionError):
            for _ in range(20):
                await talker.say(frame(FIN | PING), frame(CONTINUATION))
                await asyncio.sleep(0.05)
        assert (await talker.end(1))[:2] == (1008).to_bytes(2, "big")


async def test_each_message_has_its_own_time(serve_stream: ServeStream) -> None:
    """Also if each one begins in the packet that ends the one before."""
    begun, ended = frame(TEXT, b'{"op":'), frame(FIN | CONTINUATION, b'"ping"}')
    async with serve_stream(QUICK) as served, talking(served.port) as talker:
        await talker.say(begun)
        for _ in range(8):
            await asyncio.sleep(0.1)
            await talker.say(ended + begun)
        await talker.say(ended, frame(FIN | CLOSE, b"\x03\xe8"))
        assert await talker.end(2) == b"\x03\xe8"


async def test_fragments_count_together_against_the_size_limit(served: Served) -> None:
    async with talking(served.port) as talker:
        await talker.say(frame(TEXT, b"x" * 40_000), frame(CONTINUATION, b"x" * 40_000))
        assert (await talker.end(2))[:2] == (1009).to_bytes(2, "big")


async def send_on(talker: Talker) -> None:
    async with asyncio.timeout(2):
        while True:
            await talker.say(b"x" * 65_536)


async def test_a_client_that_sends_on_after_the_close_frame_is_cut_off(
    serve_stream: ServeStream,
) -> None:
    async with serve_stream() as served, talking(served.port) as talker:
        await talker.say(frame(0x83))  # an opcode that there is not
        with pytest.raises(ConnectionError):
            await send_on(talker)


@pytest.mark.parametrize("code", [1000, 1001, 4000])
@WAYS
async def test_a_close_frame_is_answered_at_once(
    serve_stream: ServeStream, direct: str, code: int
) -> None:
    async with serve_stream(WS_DIRECT=direct) as served, served.reader() as reader:
        await reader.next(op="hello")
        await reader.say(op="ping")
        began = time.monotonic()
        await reader.connection.close(code)
        assert time.monotonic() - began < 1
        with suppress(ConnectionClosed):
            while True:
                await reader.any()
        assert reader.connection.close_code == code


def test_a_token_bucket_limits_burst_and_rate() -> None:
    bucket = TokenBucket(10, 2.0, now=0.0)
    assert bucket.take(10, now=0.0)
    assert not bucket.take(1, now=0.4)
    assert repr(bucket) == "<TokenBucket -0 of 10>"
    assert bucket.take(2, now=2.0)
    assert bucket.take(10, now=1_000.0)  # never more than the burst is saved
    assert not bucket.take(1, now=1_000.0)
