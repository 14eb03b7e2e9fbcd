"""Hundreds of clients that say anything and leave at any moment: nothing of them is left."""

import asyncio
import json
import socket
import struct
from contextlib import suppress
from random import Random

import pytest

from tests.api.raw import HANDSHAKE
from tests.api.stream.client import until
from tests.api.stream.conftest import ServeStream
from tests.api.stream.test_floods import CLOSE, FIN, PING, TEXT, WAYS, frame
from tests.world.server import World

ROUNDS, CLIENTS = 5, 80
QUERIES = (
    b"",
    b"?channels=market",
    b"?channels=ohlc&symbols=BTC&interval=1h",
    b"?channels=nothing",
)
COMMANDS: tuple[dict[str, object], ...] = (
    {"op": "ping"},
    {"op": "subscribe", "channel": "market", "symbols": ["BTC"]},
    {"op": "subscribe", "channel": "ohlc", "symbols": ["BTC"], "interval": "1h"},
    {"op": "subscribe", "channel": "ohlc", "symbols": ["ETH"], "interval": "1d"},
    {"op": "unsubscribe", "channel": "ohlc"},
    {"op": "subscribe", "channel": "market", "symbols": ["NOTHING"]},
)
OTHERS = (
    frame(FIN | TEXT, b"\xff"),
    frame(FIN | CLOSE, b"\x03\xe8"),
    frame(FIN | PING, b"x"),
    frame(TEXT, b"the first fragment"),
    frame(FIN | TEXT, b" " * 60_000),
    b"no frame at all",
)
#: Closing then sends a reset.
LINGER_0 = struct.pack("ii", 1, 0)


async def come_and_go(port: int, random: Random) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    peer = writer.get_extra_info("socket")
    with suppress(OSError, EOFError):
        if random.random() < 0.5:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        writer.write(HANDSHAKE.replace(b"/ws", b"/ws" + random.choice(QUERIES)))
        if random.random() < 0.8:
            await reader.readuntil(b"\r\n\r\n")
        for _ in range(random.randrange(6)):
            said = frame(FIN | TEXT, json.dumps(random.choice(COMMANDS)).encode())
            said = said if random.random() < 0.7 else random.choice(OTHERS)
            writer.write(said if random.random() < 0.9 else said[: random.randrange(len(said))])
            if random.random() < 0.4:  # else the next one comes in the same packet
                await asyncio.sleep(random.random() * 0.05)
    writer.close()


@WAYS
async def test_a_storm_of_clients_leaves_nothing(
    world: World, serve_stream: ServeStream, caplog: pytest.LogCaptureFixture, direct: str
) -> None:
    world.delay_s = 0.03
    random = Random(7)
    async with serve_stream(WS_DIRECT=direct) as served:
        broadcaster, state = served.broadcaster, served.server.server_state
        for _ in range(ROUNDS):
            await asyncio.gather(*(come_and_go(served.port, random) for _ in range(CLIENTS)))
        await until(lambda: not (state.connections or state.tasks or broadcaster._subscribers), 20)
        assert repr(broadcaster) == "<Broadcaster 0 clients, 0 feeds>"
        assert not broadcaster._watched
        assert repr(broadcaster._slots) == "<ClientSlots 0 addresses>"
        assert (broadcaster._slots._used, broadcaster._series_count) == (0, 0)
        assert repr(broadcaster._series) == "<AddressLimits 0 addresses>"
        connections = served.app.server_hooks.connections  # type: ignore[attr-defined]
        assert repr(connections) == "<Connections 0 open, 0 unread>"
    assert not [record for record in caplog.records if record.exc_info]
