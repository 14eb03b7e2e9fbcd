"""Real gateways with some of everything that a dashboard shows: answers, failures, streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from websockets.asyncio.client import connect

from tests.cluster.servers import running as store_running
from tests.life.process import Gateway, running
from tests.world.push import PushWorld
from tests.world.server import World

QUICK = {"PROVIDER_TIMEOUT": "1", "REQUEST_DEADLINE": "3", "CACHE_TTL_GAS": "0.05"}
PATHS = (
    *("/api/market", "/api/market", "/api/market?limit=none", "/api/market/ohlc?symbol=BTC"),
    *("/api/news", "/api/gas", "/api/global", "/api/sentiment", "/coingecko/api/v3/ping"),
    *("/binance/api/v3/depth?symbol=BTCUSDT", "/binance/api/v3/depth?symbol=BTCUSDT"),
    "/udf/config",
)
STREAMS = ("/ws?channels=market&symbols=BTC", "/binance/ws/btcusdt@trade")


@asynccontextmanager
async def alone(folder: Path) -> AsyncIterator[Gateway]:
    """One process, with clients of both streams."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(failing_world())
        push = await stack.enter_async_context(PushWorld())
        settings = world.environment(**QUICK, BINANCE_STREAM_URL=push.url)
        gateway = await stack.enter_async_context(running(folder, **settings))
        await ask(world, gateway)
        for path in STREAMS:
            await stack.enter_async_context(connect(f"ws://127.0.0.1:{gateway.port}{path}"))
        await push.until_open(2)
        yield gateway


@asynccontextmanager
async def in_cluster(folder: Path) -> AsyncIterator[Gateway]:
    """Two workers and a Valkey."""
    async with failing_world() as world:
        with store_running(folder) as store:
            settings = world.environment(WORKERS="2", REDIS_URL=store.url, **QUICK)
            async with running(folder, **settings) as gateway:
                await gateway.until_logged("workers serve", 30)
                await ask(world, gateway)
                yield gateway


@asynccontextmanager
async def failing_world() -> AsyncIterator[World]:
    """Nobody answers for sentiment."""
    async with World() as world:
        world.faults["alternative_me"] = "http500"
        yield world


async def ask(world: World, gateway: Gateway) -> None:
    """Of gas there are only old answers after a while."""
    for path in PATHS:
        await gateway.client.get(path)
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    await gateway.client.post("/mcp", json=message)
    world.faults["ethereum_rpc"] = "http500"
    async with asyncio.timeout(15):
        while not await _is_stale(gateway.client):
            await asyncio.sleep(0.02)


async def _is_stale(client: httpx.AsyncClient) -> bool:
    return bool((await client.get("/api/gas")).headers.get("x-cache") == "stale")
