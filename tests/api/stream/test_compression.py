"""Compressed messages of `/ws`: for clients that offer it, the same bytes for all of them."""

import json
import zlib

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from api.server.message_compression import MIN_BYTES
from api.stream.protocol import Frame
from tests.api.stream.client import Served
from tests.api.stream.conftest import ServeStream

OFFERS = {
    "browsers": ClientPerMessageDeflateFactory(client_max_window_bits=True),
    "small window": ClientPerMessageDeflateFactory(
        server_max_window_bits=9, client_max_window_bits=True
    ),
    "strict": ClientPerMessageDeflateFactory(
        server_no_context_takeover=True, client_no_context_takeover=True
    ),
}


async def next_data(connection: ClientConnection) -> dict[str, object]:
    while True:
        frame: dict[str, object] = json.loads(await connection.recv())
        if frame["op"] == "data":
            return frame


def address(served: Served) -> str:
    return f"{served.url.replace('http', 'ws')}/ws?channels=market"


@pytest.mark.parametrize("offer", OFFERS)
async def test_a_client_that_offers_compression_reads_the_same_data(
    served: Served, offer: str
) -> None:
    async with (
        connect(address(served), compression=None) as plain,
        connect(address(served), compression=None, extensions=[OFFERS[offer]]) as packed,
    ):
        assert [one.name for one in packed.protocol.extensions] == ["permessage-deflate"]
        assert plain.protocol.extensions == []
        assert (await next_data(packed))["data"] == (await next_data(plain))["data"]
        await packed.send(json.dumps({"op": "ping", "id": "x" * 60}))
        while json.loads(await packed.recv())["op"] != "pong":
            pass


async def test_a_compressed_message_is_a_fraction_of_the_plain_one() -> None:
    text = json.dumps([{"id": f"token-{n}", "price": n} for n in range(500)]).encode()
    frame = Frame(text, "market")
    assert frame.compressed_wire[0] == 0xC1
    assert len(frame.compressed_wire) < len(frame.wire) / 4
    assert frame.compressed_wire is frame.compressed_wire, "once for all clients"
    payload = frame.compressed_wire[4:]
    assert zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff") == text


def test_a_short_message_is_sent_as_it_is() -> None:
    assert Frame(b"x" * (MIN_BYTES - 1), "pong").compressed_wire[0] == 0x81


async def test_without_ws_direct_nothing_is_compressed(serve_stream: ServeStream) -> None:
    async with (
        serve_stream(WS_DIRECT="false") as served,
        connect(address(served), compression="deflate") as client,
    ):
        assert client.protocol.extensions == []


async def test_a_message_that_unpacks_to_too_much_ends_the_connection(served: Served) -> None:
    async with connect(address(served), compression="deflate") as client:
        assert client.protocol.extensions
        await client.send(" " * 10_000_000)
        await client.wait_closed()
        assert client.close_code == 1009
