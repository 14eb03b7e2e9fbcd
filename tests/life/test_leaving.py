"""Readers of the stream who leave before they are let in."""

import asyncio
from pathlib import Path

from tests.life.clients import connected, get
from tests.life.process import running
from tests.scrape import samples
from tests.world.server import World


async def test_a_reader_who_left_while_coins_were_looked_up_is_let_go(
    world: World, tmp_path: Path
) -> None:
    world.delay_s = 0.7
    async with running(tmp_path, **world.environment()) as gateway:
        async with connected(gateway.port, get("/api/stream?channels=market&symbols=BTC")):
            await asyncio.sleep(0.3)
        await asyncio.sleep(1.5)
        read = samples((await gateway.client.get("/metrics")).text)
        ended = await gateway.stop()
    assert read["gateway_stream_clients"] == 0
    assert "Traceback" not in ended.output
