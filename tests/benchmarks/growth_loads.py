"""Gateways with so many coins, series, providers or views, and the work that is measured."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count

from tests.benchmarks.cluster_scene import Scene, Subject, read
from tests.benchmarks.grown_server import FURTHER
from tests.benchmarks.hot_load import Asked, close, connected
from tests.benchmarks.stream_listener import PATIENCE_S, Listener, opened_push, ticking
from tests.world import data
from tests.world.binance import PREFIX
from tests.world.messages import Reply, Request, json_reply
from tests.world.push import candle_told
from tests.world.server import World

#: Answers that no refresh disturbs.
CATEGORIES = ("MARKET", "OHLC", "NEWS", "SENTIMENT", "GAS")
LASTING = {f"CACHE_TTL_{name}": "36000" for name in CATEGORIES}
FREE = {"CLIENT_MAX_SHARE": "1", "BINANCE_LIMITS": "1000000/minute"}
#: Many gateways and providers share the cores.
PATIENT = {"REQUEST_DEADLINE": "60", "PROVIDER_TIMEOUT": "30"}
FREE |= PATIENT
#: Nobody ranks coins.
UNRANKED = {"COINGECKO_FREE_ENABLED": "false"}
#: Ticks of a round.
TICKS = 20
REFRESH_S, REFRESHES = 1.0, 3
#: Coins of a series' channel in one subscription, and the intervals in which each has one.
COINS, AT_ONCE, INTERVALS = 50, 25, ("1d", "1w", "4h", "1h")
#: Rows of a view, and the orders in which there is one at each place.
ROWS, SORTS = 25, ("market_cap_rank", "-volume_24h", "name", "-price", "symbol")
STATUSES = 30

#: Does a round's work: the number of units.
Work = Callable[[], Awaitable[int]]


@dataclass
class Load:
    """A gateway with `size` of something, and by name the works that are measured: `first` once,
    `works` in each round."""

    size: int
    subject: Subject
    works: dict[str, Work]
    first: dict[str, Work] = field(default_factory=dict)


class PairsWorld(World):
    """Binance lists so many pairs, and nobody ranks coins: its list is the market."""

    def __init__(self, pairs: int) -> None:
        super().__init__()
        self.pairs = pairs
        self.limits["binance"] = (10**9, 60.0)

    def _reply(self, name: str, request: Request, fault: str) -> Reply:
        if request.path != f"{PREFIX}ticker/24hr" or "symbol" in request.query:
            return super()._reply(name, request, fault)
        # Another price each time, so that each refresh changes each row. The first trade most.
        factor, now_ms = 1 + self.calls[name] % 7 / 1_000, self.now_ms
        rows = [data.ticker(f"C{n}USDT", (1 + n) * factor, now_ms) for n in range(self.pairs)]
        for place, row in enumerate(rows):
            row["quoteVolume"] = f"{1e9 - place:.8f}"
        return json_reply(rows)


async def coins_refreshed(stack: AsyncExitStack, size: int) -> Load:
    world = await stack.enter_async_context(PairsWorld(size))
    settings = {**LASTING, **FREE, "CACHE_TTL_MARKET": str(REFRESH_S), **UNRANKED}
    subject = await Scene(stack, world).gateway(f"{size} coins", settings)
    listener = Listener()
    await listener.open(stack, subject.port, "channels=market")
    await listener.until("snapshots", 1)

    async def refreshes() -> int:
        before = world.calls["binance"]
        await asyncio.sleep(REFRESHES * REFRESH_S)
        return world.calls["binance"] - before

    return Load(size, subject, {"a refresh": refreshes})


async def coins_ticked(stack: AsyncExitStack, size: int) -> Load:
    world = await stack.enter_async_context(PairsWorld(size))
    push = await opened_push(stack)
    settings = {**LASTING, **FREE, **UNRANKED, "BINANCE_STREAM_URL": push.url}
    subject = await Scene(stack, world).gateway(f"{size} coins", settings)
    tick = await ticking(stack, subject.port, push)

    async def ticks() -> int:
        for _ in range(TICKS):
            await tick()
        return TICKS

    return Load(size, subject, {"a tick of five coins": ticks})


async def series(stack: AsyncExitStack, size: int) -> Load:
    world, push = await stack.enter_async_context(World()), await opened_push(stack)
    settings = {**LASTING, **FREE, "BINANCE_STREAM_URL": push.url}
    world.limits["binance"] = (10**9, 60.0)
    subject = await Scene(stack, world).gateway(f"{size} series", settings)
    await read(subject, "/api/market")
    followed = [(n % COINS, INTERVALS[n // COINS]) for n in range(size)]
    listener, numbers = Listener(), count(1)
    opens = {
        interval: data.klines(1.0, data.STEPS[interval], world.now_ms, None, None, 1)[0][0]
        for interval in INTERVALS
    }

    async def follow() -> int:
        for first in range(0, size, AT_ONCE):
            part = followed[first : first + AT_ONCE]
            names = ",".join(f"C{coin}" for coin, _ in part)
            query = f"channels=ohlc&symbols={names}&interval={part[0][1]}"
            await listener.open(stack, subject.port, query)
            await listener.until("snapshots", first + len(part))
        for coin, interval in followed:
            await push.until_asked(f"c{coin}usdt@kline_{interval}")
        return size

    async def candles() -> int:
        """A candle of each series."""
        due, factor = listener.updates + size, 1.01 + next(numbers) % 7 / 1_000
        for coin, interval in followed:
            row = candle_told(f"C{coin}USDT", interval, opens[interval], (1 + coin) * factor)
            await push.tell_candle(row)
        async with asyncio.timeout(PATIENCE_S):
            while listener.updates < due:
                await asyncio.sleep(0.002)
        return size

    return Load(size, subject, {"a candle's tick": candles}, {"a series that begins": follow})


async def providers(stack: AsyncExitStack, size: int) -> Load:
    world = await stack.enter_async_context(World())
    further = {
        f"{FURTHER.format(number).upper()}_BASE_URL": world.url("rss_coindesk")
        for number in range(1, 10)
    }
    on = {f"{name.upper()}_ENABLED": "true" for name in ("coinbase", "okx", "bitstamp", "kraken")}
    settings = {**LASTING, **FREE, **further, **on, "PROVIDERS": str(size)}
    arguments = ("-m", "tests.benchmarks.grown_server")
    subject = await Scene(stack, world).gateway(f"{size} providers", settings, *arguments)
    for path in ("market", "news", "gas", "sentiment"):
        await read(subject, f"/api/{path}")

    async def statuses() -> int:
        for _ in range(STATUSES):
            await read(subject, "/api/status")
        return STATUSES

    return Load(size, subject, {"a status": statuses})


async def views(stack: AsyncExitStack, size: int) -> Load:
    world, push = await stack.enter_async_context(World()), await opened_push(stack)
    settings = {**LASTING, **FREE, "BINANCE_STREAM_URL": push.url}
    subject = await Scene(stack, world).gateway(f"{size} views", settings)
    await read(subject, "/api/market")
    tick = await ticking(stack, subject.port, push)
    places = data.ROWS - ROWS
    requests = [
        Asked(f"/api/market?limit={ROWS}&offset={n % places}&sort={SORTS[n // places]}").request(
            subject.port
        )
        for n in range(size)
    ]

    async def each() -> int:
        (connection,) = connections = await connected(subject.port, 1)
        for request in requests:
            answer = await connection.ask(request)
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
        close(connections)
        return size

    async def changed() -> int:
        await tick()
        return await each()

    return Load(size, subject, {"a view after a tick": changed, "a cached view": each})
