"""Over real sockets: a client that applies snapshots and updates agrees with REST."""

import asyncio
import random
from contextlib import suppress

import pytest

from tests.api.stream.applying import Applied
from tests.api.stream.client import Reader, Served
from tests.api.stream.conftest import ServeStream
from tests.world.push import PushWorld, candle_told, mini_ticker
from tests.world.server import World

PATHS = {
    "market": "/api/market?limit=250",
    "ohlc": "/api/market/ohlc?symbol=BTC&interval=1h",
    "gas": "/api/gas",
}


async def apply(reader: Reader, states: dict[str, Applied]) -> None:
    while True:
        frame = await reader.any()
        if frame["op"] == "data":
            states[frame["channel"]].take(frame)


async def agrees(served: Served, states: dict[str, Applied]) -> None:
    """Waits until REST's body and the client's state are the same refresh."""
    async with asyncio.timeout(5):
        for channel, path in PATHS.items():
            while (await served.get(path)).json()["data"] != states[channel].data:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("seed", range(3))
async def test_a_client_that_applies_updates_agrees_with_rest(
    serve_stream: ServeStream, push: PushWorld, world: World, seed: int
) -> None:
    chance = random.Random(seed)
    settings = {"CACHE_TTL_MARKET": "0.4", "CACHE_TTL_OHLC": "0.4", "CACHE_TTL_GAS": "0.4"}
    limits = {"COINGECKO_FREE_LIMITS": "1000/minute", "COOLDOWN": "0.3", "COOLDOWN_MAX": "0.3"}
    async with serve_stream(**settings, **limits) as served, served.reader() as reader:
        states = {name: Applied(name) for name in PATHS}
        await reader.say(op="subscribe", channel="market")
        await reader.say(op="subscribe", channel="gas")
        await reader.say(op="subscribe", channel="ohlc", symbols=["BTC"], interval="1h")
        applying = asyncio.create_task(apply(reader, states))
        await push.until_asked("btcusdt@kline_1h")
        for _ in range(12):
            for _ in range(chance.randrange(4)):
                await happen(chance, push, world, states)
            await asyncio.sleep(chance.uniform(0, 0.2))
        world.faults.clear()
        await agrees(served, states)
        assert not applying.done()
        applying.cancel()
        with suppress(asyncio.CancelledError):
            await applying


async def happen(
    chance: random.Random, push: PushWorld, world: World, states: dict[str, Applied]
) -> None:
    """A tick, a candle, a fault or its end."""
    match chance.randrange(4):
        case 0 | 1:
            names = [("BTCUSDT", 50_500.0), ("ETHUSDT", 2_510.0), ("C3USDT", 4.04)]
            rows = [mini_ticker(name, price * chance.uniform(0.9, 1.1)) for name, price in names]
            await push.tell_tickers(chance.sample(rows, chance.randrange(1, 4)))
        case 2 if states["ohlc"].data:
            newest = states["ohlc"].data[-1]["timestamp"]
            price = 50_500.0 * chance.uniform(0.95, 1.05)
            closes = chance.random() < 0.2
            await push.tell_candle(candle_told("BTCUSDT", "1h", newest, price, closed=closes))
        case _:
            name = chance.choice(["binance", "ethereum_rpc", "coingecko_free"])
            if world.faults.pop(name, None) is None:
                world.faults[name] = "http500"
