"""Frames in any pieces and in any order: several in one packet, one in several packets."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from api.server.hooks import ConnectionTimeouts
from api.server.ws_transport import is_websocket
from tests.api.raw import HANDSHAKE, limit_receive_buffer
from tests.api.stream.client import Served, until
from tests.api.stream.conftest import ServeStream
from tests.api.stream.test_floods import CLOSE, FIN, PING, TEXT, Talker, frame, talking
from tests.world.server import World

PING_7 = frame(FIN | TEXT, b'{"op":"ping","id":7}' + b" " * 200)
NO_UTF8 = frame(FIN | TEXT, b"\xff\xfe")
NORMAL = frame(FIN | CLOSE, b"\x03\xe8")
#: Of a masked frame with 126 to 65,535 bytes: within its head, behind each part of it, within data.
CUTS = (1, 2, 4, 6, 8, 9)


@pytest.mark.parametrize("cut", CUTS)
async def test_a_frame_that_began_before_the_server_took_over_is_read(
    world: World, served: Served, cut: int
) -> None:
    """Its first bytes come while the commands of the URL wait for a provider."""
    world.delay_s = 0.2
    async with talking(served.port, "?channels=ohlc&symbols=BTC&interval=1h") as talker:
        await talker.say(PING_7[:cut])
        await talker.reader.readuntil(b'"op":"subscribed"')
        await until(lambda: not served.server.server_state.tasks)
        await talker.say(PING_7[cut:])
        await talker.reader.readuntil(b'{"op":"pong","id":7}')


@pytest.mark.parametrize("cut", CUTS)
async def test_a_frame_that_stays_incomplete_ends_the_connection(
    serve_stream: ServeStream, cut: int
) -> None:
    async with (
        serve_stream({"timeouts": ConnectionTimeouts(message_s=0.2)}) as served,
        talking(served.port) as talker,
    ):
        await talker.say(PING_7[:cut])
        assert await talker.end() == b"\x03\xf0a message must be complete within 0.2 s"


@pytest.mark.parametrize("path", [b"/ws", b"/binance/ws"])
@pytest.mark.parametrize("behind", [NORMAL, frame(FIN | PING, b"x"), NO_UTF8 * 2, PING_7])
async def test_frames_behind_invalid_text_cause_no_error(
    served: Served, caplog: pytest.LogCaptureFixture, path: bytes, behind: bytes
) -> None:
    """All in one packet: they are parsed before the text is found invalid."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(HANDSHAKE.replace(b"/ws", path))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(NO_UTF8 + behind)
    received = await asyncio.wait_for(reader.read(), 5)
    assert b"\x88\x02\x03\xe8" in received if behind == NORMAL else b"\x03\xef" in received
    writer.close()
    await until(lambda: not served.open_connections)
    assert not [record for record in caplog.records if record.exc_info]


async def fill(talker: Talker, transport: asyncio.Transport) -> None:
    """The client reads nothing, and the kernel does not in its place."""
    limit_receive_buffer(talker.writer)
    while transport.get_write_buffer_size() < 500_000:
        transport.write(b"\x81\x7e\xea\x60" + b" " * 60_000)
        await asyncio.sleep(0)


async def test_nothing_follows_the_close_frame_of_a_client_that_leaves_at_its_key(
    serve_stream: ServeStream,
) -> None:
    key = frame(FIN | TEXT, b'{"op":"auth","key":"a-gateway-key-1"}')
    async with (
        serve_stream(GATEWAY_API_KEYS="a-gateway-key-1") as served,
        talking(served.port) as talker,
    ):
        (connection,) = filter(is_websocket, served.server.server_state.connections)
        await fill(talker, connection.transport)
        await talker.say(key + NORMAL)
        assert (await talker.end()) == b"\x03\xe8"
        await until(lambda: not served.broadcaster._subscribers)


async def test_the_server_stops_while_a_client_that_has_closed_reads_nothing(
    serve_stream: ServeStream, caplog: pytest.LogCaptureFixture
) -> None:
    short = {"timeouts": ConnectionTimeouts(close_s=1.0)}
    async with AsyncExitStack() as clients, serve_stream(short) as served:
        talker = await clients.enter_async_context(talking(served.port, "?channels=gas"))
        (connection,) = filter(is_websocket, served.server.server_state.connections)
        await fill(talker, connection.transport)
        await talker.say(NORMAL)
        await until(connection.transport.is_closing)
        assert connection in served.server.server_state.connections
    assert not [record for record in caplog.records if record.exc_info]
