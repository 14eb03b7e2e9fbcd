"""What breaks the rules of the WebSocket protocol itself, byte by byte, over real sockets."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.stream.client import PATIENCE_S, Reader, Served
from tests.fuzz.budget import budget

FIN, CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x80, 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x01\x02\x03\x04"
PROTOCOL, NOT_UTF8, TOO_LARGE = 1002, 1007, 1009
#: What docs/stream.md names, and what RFC 6455 has for who breaks its rules.
DOCUMENTED = {1000, 1001, 1008, TOO_LARGE, 1013, PROTOCOL, NOT_UTF8}
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(first: int, data: bytes = b"", *, size: int | None = None) -> bytes:
    """A masked frame with this first byte; `size` where the header lies about it."""
    told = len(data) if size is None else size
    if told < 126:
        head = bytes([first, 0x80 | told])
    elif told < 65_536:
        head = bytes([first, 0x80 | 126]) + struct.pack("!H", told)
    else:
        head = bytes([first, 0x80 | 127]) + struct.pack("!Q", told)
    return head + MASK + bytes(byte ^ MASK[place % 4] for place, byte in enumerate(data))


def text(**said: object) -> bytes:
    return frame(FIN | TEXT, json.dumps(said).encode())


class Raw:
    """One side of an open WebSocket, without a library's manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def next(self) -> tuple[int, bytes]:
        """Opcode and content of the next frame."""
        async with asyncio.timeout(PATIENCE_S):
            first, size = await self._reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
            return first & 0x0F, await self._reader.readexactly(size)

    async def said(self, op: str) -> dict[str, object]:
        while True:
            opcode, data = await self.next()
            if opcode == TEXT and (told := json.loads(data))["op"] == op:
                return dict(told)

    async def close_code(self) -> int | None:
        """With which the server closes; None where it just leaves."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                opcode, data = await self.next()
                if opcode == CLOSE:
                    return int.from_bytes(data[:2], "big") or 1005
        return None


@asynccontextmanager
async def raw(served: Served) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        writer.write(UPGRADE)
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


@pytest.fixture
async def observer(served: Served) -> AsyncIterator[Reader]:
    """Is not disturbed, and in the end alone again."""
    async with served.reader() as reader:
        await reader.next(op="hello")
        yield reader
        await reader.say(op="ping", id="still here")
        await reader.next(op="pong", id="still here")
        async with asyncio.timeout(PATIENCE_S):
            while len(served.server.server_state.connections) > 1:
                await asyncio.sleep(0.01)
        assert served.broadcaster.counters().clients == 1


def assert_no_exception(log: pytest.LogCaptureFixture) -> None:
    assert [record.getMessage() for record in log.records if record.exc_info] == []


HELLO = json.dumps({"op": "ping", "id": 7}).encode()
VIOLATIONS = {
    "not masked": (b"\x81\x02{}", PROTOCOL),
    "a reserved opcode": (frame(FIN | 0x3), PROTOCOL),
    "a reserved control opcode": (frame(FIN | 0xB), PROTOCOL),
    "a reserved bit": (frame(FIN | 0x40 | TEXT, b"{}"), PROTOCOL),
    "a fragmented ping": (frame(PING), PROTOCOL),
    "a long ping": (frame(FIN | PING, b"x" * 126), PROTOCOL),
    "a continuation of nothing": (frame(FIN | CONT, b"{}"), PROTOCOL),
    "a message inside of a message": (frame(TEXT, b"{") + frame(FIN | TEXT, b"}"), PROTOCOL),
    "a close of one byte": (frame(FIN | CLOSE, b"\x03"), PROTOCOL),
    "a close with a reserved code": (frame(FIN | CLOSE, struct.pack("!H", 1005)), PROTOCOL),
    "a close with no code at all": (frame(FIN | CLOSE, struct.pack("!H", 7)), PROTOCOL),
    "a size with its first bit set": (frame(FIN | TEXT, size=2**63), TOO_LARGE),
    "a size of a terabyte": (frame(FIN | TEXT, size=2**40), TOO_LARGE),
    "a size just above the bound": (frame(FIN | TEXT, size=65_537), TOO_LARGE),
    "too much in fragments": (
        frame(TEXT, b" " * 60_000) + frame(CONT, b" " * 6_000),
        TOO_LARGE,
    ),
    "a close whose reason is no UTF-8": (
        frame(FIN | CLOSE, struct.pack("!H", 1000) + b"\xff"),
        NOT_UTF8,
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_a_client_that_breaks_the_protocol_is_closed_with_the_right_code(
    served: Served, observer: Reader, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    data, code = VIOLATIONS[name]
    async with raw(served) as rude:
        rude.send(text(op="ping") + data)
        assert await rude.close_code() == code
    assert_no_exception(caplog)


async def test_a_text_that_is_no_utf8_is_closed_with_the_code_that_says_so(
    served: Served, observer: Reader
) -> None:
    async with raw(served) as rude:
        rude.send(frame(FIN | TEXT, b'{"op":"\xff"}'))
        assert await rude.close_code() == NOT_UTF8


async def test_a_text_that_is_no_utf8_leaves_no_trace_in_the_log(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw(served) as rude:
        rude.send(frame(FIN | TEXT, b"\xff"))
        await rude.close_code()
    assert_no_exception(caplog)


async def test_a_message_in_fragments_with_pings_between_is_answered(
    served: Served, observer: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw(served) as polite:
        parts = [HELLO[:5], b"", HELLO[5:9], HELLO[9:]]
        firsts = [TEXT, CONT, CONT, FIN | CONT]
        for first, part in zip(firsts, parts, strict=True):
            polite.send(frame(first, part) + frame(FIN | PING, b"x"))
        assert (await polite.said("pong"))["id"] == 7
    assert_no_exception(caplog)


@pytest.mark.parametrize("said", [frame(FIN | PONG, b"unasked"), frame(FIN | BINARY, b"\xff\x00")])
async def test_odd_frames_that_break_no_rule_leave_the_connection_open(
    served: Served, observer: Reader, said: bytes
) -> None:
    async with raw(served) as odd:
        odd.send(said + text(op="ping", id=8))
        assert (await odd.said("pong"))["id"] == 8


@budget(40)
@given(data=st.binary(min_size=1, max_size=40), cut=st.integers(0, 60))
async def test_any_bytes_do_not_disturb_other_clients(
    served: Served, observer: Reader, data: bytes, cut: int
) -> None:
    """Some are frames, some wait for more: if the server closes, then by a documented code."""
    async with raw(served) as rude:
        rude.send((text(op="ping") + data)[: 40 + cut])
        rude.send(frame(FIN | CLOSE, struct.pack("!H", 1000)))
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):  # a frame that is not whole is waited for
                assert await rude.close_code() in {None, *DOCUMENTED}


HANDSHAKES = {
    "nothing": b"",
    "one byte": b"G",
    "half a line": b"GET /ws HT",
    "half the headers": UPGRADE[:80],
    "no end": UPGRADE[:-2],
    "no key": UPGRADE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "an odd key": UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"\xff!"),
    "another version": UPGRADE.replace(b"Version: 13", b"Version: 8"),
    "another method": UPGRADE.replace(b"GET", b"POST"),
    "another path": UPGRADE.replace(b"/ws", b"/nothing"),
    "an old protocol": UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "another upgrade": UPGRADE.replace(b"websocket\r\n", b"h2c\r\n"),
    "a path that is no ASCII": UPGRADE.replace(b"/ws", b"/ws?channels=\xff\xfe"),
    "a long header": UPGRADE.replace(b"Host: x", b"Host: " + b"x" * 200_000),
    "many headers": UPGRADE.replace(b"Host: x", b"\r\n".join([b"Host: x"] * 5_000)),
    "frames at once": UPGRADE + b"\x00\xff" * 50,
    "binary": bytes(range(256)) * 4,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
}


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_a_broken_handshake_does_not_disturb_other_clients(
    served: Served, observer: Reader, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    with suppress(ConnectionError, TimeoutError):
        writer.write(HANDSHAKES[name])
        await writer.drain()
        async with asyncio.timeout(0.1):  # who sent half of it is waited for
            await reader.read(65_536)
    writer.transport.abort()
    async with served.reader() as after:
        await after.next(op="hello")
    assert_no_exception(caplog)


@budget(60)
@given(place=st.integers(0, len(UPGRADE)), token=st.binary(max_size=4), length=st.integers(0, 9))
async def test_a_handshake_with_broken_bytes_does_not_disturb_other_clients(
    served: Served, observer: Reader, place: int, token: bytes, length: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    with suppress(ConnectionError, TimeoutError):
        writer.write(UPGRADE[:place] + token + UPGRADE[place + length :])
        async with asyncio.timeout(0.02):
            head = await reader.read(64)
            assert head == b"" or head.startswith(b"HTTP/1.1 ")
    writer.transport.abort()
