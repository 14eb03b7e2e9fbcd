"""Two real gateways over a Valkey, and a venue's stream: who is connected, who gets its ticks."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from backend.cluster.store import LEASE_S
from tests.api.stream.client import Reader, until
from tests.cluster.servers import Server
from tests.cluster.servers import running as server_running
from tests.life.process import Gateway, running
from tests.world.push import PushWorld, candle_told, mini_ticker
from tests.world.server import World

SETTINGS = {"CLUSTER_SIZE": "2", "CACHE_TTL_MARKET": "60", "CACHE_TTL_OHLC": "60"}
LEADS = "leads the cluster"


@dataclass
class Scene:
    """Two gateways, the leader first."""

    leader: Gateway
    follower: Gateway
    store: Server
    push: PushWorld


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        store = stack.enter_context(server_running(tmp_path))
        world = await stack.enter_async_context(World())
        push = await stack.enter_async_context(PushWorld())
        settings = world.environment(BINANCE_STREAM_URL=push.url, REDIS_URL=store.url, **SETTINGS)
        gateways = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            started = running(tmp_path / name, **settings)
            gateways.append(await stack.enter_async_context(started))
            await gateways[0].until_logged(LEADS)
        leader, follower = gateways
        yield Scene(leader, follower, store, push)


@asynccontextmanager
async def reader_of(gateway: Gateway) -> AsyncIterator[Reader]:
    address = f"ws://127.0.0.1:{gateway.port}/ws?channels=market"
    async with connect(address, proxy=None, compression=None, max_size=2**24) as connection:
        yield Reader(connection)


def price_of(frame: dict[str, Any]) -> float | None:
    rows = frame["data"] if frame["op"] == "data" else []
    return next((row["price"] for row in rows if row["symbol"] == "BTC"), None)


async def until_newer(reader: Reader, price: float) -> None:
    """Until the client has a higher price."""
    async with asyncio.timeout(LEASE_S + 5):
        while (price_of(await reader.any()) or 0.0) <= price:
            pass


async def until_status(gateway: Gateway, state: str) -> None:
    """A follower's status is that of its leader, seconds old."""
    async with asyncio.timeout(5):
        while (await gateway.client.get("/api/status")).json()["ticks"]["state"] != state:
            await asyncio.sleep(0.1)


@asynccontextmanager
async def quoting(push: PushWorld) -> AsyncIterator[list[float]]:
    """The venue's price of BTC rises by one each 0.2 s; gives the prices so far."""
    prices: list[float] = []

    async def tell() -> None:
        while True:
            prices.append(51_000.0 + len(prices))
            await push.tell_tickers([mini_ticker("BTCUSDT", prices[-1])])
            await asyncio.sleep(0.2)

    task = asyncio.create_task(tell())
    try:
        yield prices
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_one_connection_serves_the_clients_of_both_processes(scene: Scene) -> None:
    async with reader_of(scene.follower) as far:  # the leader itself has no client yet
        await scene.push.until_asked("!miniTicker@arr")
        async with quoting(scene.push), reader_of(scene.leader) as near:
            feeds = [await one.next(op="feed", feed="ticks") for one in (far, near)]
            assert [frame["venue"] for frame in feeds] == ["binance", "binance"]
            prices = [price_of(await one.next(op="data", type="update")) for one in (far, near)]
            assert all(price and price > 51_000 for price in prices)
        await far.say(op="subscribe", id=1, channel="ohlc", symbols=["BTC"], interval="1h")
        candles = await far.next(op="data", type="snapshot", channel="ohlc")
        await scene.push.until_asked("btcusdt@kline_1h")
        newest = candles["data"][-1]
        assert not newest["closed"]
        price = newest["close"] * 1.001
        told = candle_told("BTCUSDT", "1h", newest["timestamp"], price)
        await scene.push.tell_candle(told)
        update = await far.next(op="data", type="update", channel="ohlc")
        assert update["data"][0]["close"] == pytest.approx(price)
        assert len(scene.push.open) == 1
        for gateway in (scene.leader, scene.follower):
            await until_status(gateway, "live")
    await scene.push.until_closed()
    assert len(scene.push.sessions) == 1


async def test_when_the_leader_is_killed_the_other_connects_within_the_lease_and_two_seconds(
    scene: Scene,
) -> None:
    async with reader_of(scene.follower) as reader, quoting(scene.push) as prices:
        await reader.next(op="feed", feed="ticks")
        scene.leader.process.kill()
        killed_at = time.monotonic()
        await scene.push.until_closed()
        await until_newer(reader, prices[-1])
        assert time.monotonic() - killed_at < LEASE_S + 2
        assert len(scene.push.open) == 1
        assert len(scene.push.sessions) == 2


async def test_without_the_store_each_process_connects_and_leaves_again_when_it_is_back(
    scene: Scene,
) -> None:
    async with (
        reader_of(scene.leader) as near,
        reader_of(scene.follower) as far,
        quoting(scene.push) as prices,
    ):
        for reader in (near, far):
            await reader.next(op="feed", feed="ticks")
        scene.store.kill()
        await scene.push.until_open(2)
        for reader in (near, far):
            await until_newer(reader, prices[-1])
        scene.store.start()
        await until(lambda: len(scene.push.open) == 1, 15)
        for reader in (near, far):
            await until_newer(reader, prices[-1])
        assert len(scene.push.sessions) <= 3
