"""Clients that leave before they are accepted or during a response, and clients that never read."""

import asyncio
import socket
import struct
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from api.server.hooks import MAX_UNREAD
from tests.api.raw import HANDSHAKE
from tests.life.clients import connected, get, kernel_bytes
from tests.life.process import memory_mb, running, sockets
from tests.scrape import samples
from tests.world.server import World

MUCH = "/api/market?limit=250"
WAYS = pytest.mark.parametrize("way", ["", "HTTP_DIRECT", "PREPARED_ANSWERS"])


async def test_a_client_that_left_during_a_lookup_is_released(world: World, tmp_path: Path) -> None:
    world.delay_s = 0.7
    async with running(tmp_path, **world.environment()) as gateway:
        async with connected(gateway.port, get("/api/stream?channels=market&symbols=BTC")):
            await asyncio.sleep(0.3)
        await asyncio.sleep(1.5)
        read = samples((await gateway.client.get("/metrics")).text)
        ended = await gateway.stop()
    assert read["gateway_stream_clients"] == 0
    assert "Traceback" not in ended.output


def reset(connection: socket.socket) -> None:
    """Once it is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@WAYS
async def test_a_client_that_leaves_during_a_response_logs_no_error(
    world: World, tmp_path: Path, way: str
) -> None:
    """With questions behind the one that is answered, or without; in order, or by a reset."""
    settings = {way: "false"} if way else {}
    async with running(tmp_path, **world.environment(**settings)) as gateway:
        for path in (MUCH, "/openapi.json"):
            assert (await gateway.client.get(path)).status_code == 200
            for number in range(12):
                asked = get(path) * (30 if number % 2 else 1)
                async with connected(gateway.port, asked) as leaver:
                    await asyncio.sleep(0.05)
                    if number % 4 == 3:
                        reset(leaver)
        for pause_s in (0.0, 0.02, 0.05) * 3:
            async with connected(gateway.port, HANDSHAKE):
                await asyncio.sleep(pause_s)
        await asyncio.sleep(0.3)
        ended = await gateway.stop()
    assert ended.code == 0
    assert "Traceback" not in ended.output


@WAYS
async def test_unread_responses_of_one_address_are_bounded(
    world: World, tmp_path: Path, way: str
) -> None:
    """Ours and the kernel's, which would keep them even after a connection was closed."""
    settings = {way: "false"} if way else {}
    async with (
        running(tmp_path, **world.environment(**settings)) as gateway,
        AsyncExitStack() as stack,
    ):
        answer = await gateway.client.get(MUCH, headers={"Accept-Encoding": "identity"})
        before_mb = memory_mb(gateway.process.pid)
        for number in range(3 * MAX_UNREAD):
            lines = "\r\nConnection: close" if number % 3 == 0 else ""
            asked = get(MUCH).removesuffix(b"\r\n\r\n") + lines.encode() + b"\r\n\r\n"
            await stack.enter_async_context(connected(gateway.port, asked * 3))
        await gateway.until_logged("leaves too many responses unread", within_s=20)
        async with asyncio.timeout(20):  # well before any of them counts as stuck
            while sockets(gateway.process.pid) > MAX_UNREAD + 15:
                await asyncio.sleep(0.1)
        kept, grown_mb = kernel_bytes(gateway.port), memory_mb(gateway.process.pid) - before_mb
        assert kept < MAX_UNREAD * len(answer.content)
        assert grown_mb < 30
        ended = await gateway.stop()
    assert "Traceback" not in ended.output
    assert ended.output.count("leaves too many responses unread") == 1
