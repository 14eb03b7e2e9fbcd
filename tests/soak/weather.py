"""Providers' good and bad days, in a fixed round: each quarter of a soak sees all of them."""

import asyncio
import random
import time

from tests.world import feeds
from tests.world.push import PushWorld, mini_ticker
from tests.world.server import World

COINS = ("coingecko_free", "binance")
MOODS = ("alternative_me", "coinmarketcap")
FEEDS = tuple(feeds.PUBLISHERS)
GAS = ("ethereum_rpc",)
#: Who has which trouble in each part of the round; nobody between two of them.
ROUND: tuple[dict[str, str], ...] = (
    {"binance": "http500"},
    {"coingecko_free": "429"},
    dict.fromkeys(COINS, "silence"),
    {"ethereum_rpc": "rpc_error"},
    {"binance": "times_1000", "coingecko_free": "nan"},
    dict.fromkeys(FEEDS, "truncated"),
    {"binance": "drip", "ethereum_rpc": "reset"},
    dict.fromkeys(MOODS, "html"),
    dict.fromkeys(COINS, "http500"),
    {"binance": "endless"},
    dict.fromkeys(GAS, "silence"),
    dict.fromkeys((*COINS, *MOODS, *FEEDS, *GAS), "reset"),
    {"coingecko_free": "renamed", "binance": "negative"},
    {"binance": "empty", "alternative_me": "http503"},
)
ROUNDS = 4


async def change_weather(world: World, seconds: float) -> None:
    """Four rounds in `seconds`; ends with a good day."""
    part_s = seconds / ROUNDS / (2 * len(ROUND) + 1)
    for _ in range(ROUNDS):
        for faults in ROUND:
            world.faults = dict(faults)
            await asyncio.sleep(part_s)
            world.faults = {}
            await asyncio.sleep(part_s)
        await world.stop("binance")  # refuses connections
        await asyncio.sleep(part_s)
        await world.start("binance")


async def tell_ticks(push: PushWorld, seconds: float) -> None:
    """Two pairs a second, and once in a while the stream is down for some seconds."""
    until, next_break = time.monotonic() + seconds, time.monotonic() + seconds / 8
    while time.monotonic() < until:
        rows = [mini_ticker("BTCUSDT", 50_500.0 + random.randrange(20))]
        rows.append(mini_ticker("ETHUSDT", 2_510.0 + random.random()))
        await push.tell_tickers(rows)
        await asyncio.sleep(1)
        if time.monotonic() > next_break:
            next_break += seconds / 8
            await push.stop()
            await asyncio.sleep(min(5.0, seconds / 16))
            await push.start()
