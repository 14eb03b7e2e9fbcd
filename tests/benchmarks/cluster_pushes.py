"""How soon what the leader stored is stored at a follower, and what sharing costs."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from backend.cluster.redis_store import RedisStore
from backend.cluster.store import Beat
from tests.benchmarks.cluster_scene import (
    HEARD_S,
    LASTING,
    WAITS,
    Meter,
    Scene,
    Subject,
    read,
    table,
    waits,
)
from tests.benchmarks.hot_load import Asked, connected
from tests.world.messages import Reply, Request
from tests.world.server import World

SINGLE = "one process, no store"
#: CLUSTER_NAME, by default.
NAME = "gateway"
#: The server with a stopwatch.
NOTED = ("-m", "tests.benchmarks.noted_server")
#: How often the whole market is refreshed, in seconds, and the settings that allow that.
REFRESH_S = 0.1
OFTEN_MARKET = {
    "CACHE_TTL_MARKET": str(REFRESH_S),
    "COINGECKO_FREE_LIMITS": "60000/minute",
    "BINANCE_ENABLED": "false",
}
OFTEN_CANDLES = {"CACHE_TTL_MARKET": "3600", "CACHE_TTL_OHLC": str(REFRESH_S)}
#: Candles of a pair.
LISTED = 340
MARKET, CANDLES = "/api/market?limit=1", "/api/market/ohlc?symbol=BTC&interval=1h&limit=100"
#: For a lease to be given, in seconds.
HEALED_S = 5.0
#: Clients of which each asks once a second.
CLIENTS = 200


class YoungWorld(World):
    """Where pairs were listed only so many candles ago: their answers have 40 kB."""

    def _reply(self, name: str, request: Request, fault: str) -> Reply:
        if request.path.endswith("/klines"):
            request.query["limit"] = str(LISTED)
        return super()._reply(name, request, fault)


async def propagation(scene: Scene, refreshes: int) -> str:
    """Two answers are refreshed as often as they may be, each by a reader at the leader."""
    scene.world.limits["coingecko_free"] = (100_000, 60.0)
    notes = scene.folder()
    single = await scene.gateway(SINGLE, {"NOTED": str(notes), **OFTEN_MARKET}, *NOTED)
    alone = Meter({SINGLE: single.pid})
    await _refreshed(single, notes, MARKET, refreshes)
    used_alone = alone.shares()
    await single.gateway.stop()  # so that it takes no core from those whose times are measured
    candles, _ = await _pushes(scene, f"{LISTED} candles", CANDLES, OFTEN_CANDLES, refreshes)
    market, used = await _pushes(scene, "market, 250 rows", MARKET, OFTEN_MARKET, refreshes)
    appends = await _appends(scene.store().url, 5 * refreshes)
    fenced = ["a call recorded in the store, with the fence", "", *_line(appends)]
    return "\n".join(
        (
            table(("ms", "bytes", "times", *WAITS), [*candles, *market, fenced]),
            "CPU while the market is refreshed, in % of a core:"
            f" {SINGLE} {used_alone[0]:.1f}, {used}.\n",
        )
    )


async def _pushes(
    scene: Scene, name: str, path: str, often: Mapping[str, str], count: int
) -> tuple[list[list[str]], str]:
    """Lines of the table: from the leader's storing to the follower's, and the bytes alone. Then
    what the processes used."""
    notes = scene.folder()
    leader, follower = await scene.members(2, {"NOTED": str(notes), **often}, *NOTED)
    assert leader.store
    await read(follower, path)  # what a process does not hold, it does not adopt
    size = await _message_bytes(leader, path)
    before = set(_stored(notes, leader))
    meter = Meter({"leader": leader.pid, "follower": follower.pid, "Valkey": leader.store.pid})
    await _refreshed(leader, notes, path, count)
    a_second, shares = count / meter.took_s, zip(meter.names, meter.shares(), strict=True)
    used = ", ".join(f"{one} {share:.1f}" for one, share in shares)
    ours, theirs = _stored(notes, leader), _stored(notes, follower)
    delays = [1_000 * (theirs[key] - ours[key]) for key in ours.keys() - before if key in theirs]
    bare = await _bare_pushes(leader.store.url, size, count)
    for one in (leader, follower):
        await one.gateway.stop()
    rows = [
        [f"{name}: stored by the leader, then by a follower", f"{size:,}", *_line(delays)],
        ["as many bytes by bare redis-py, in one process", f"{size:,}", *_line(bare)],
    ]
    return rows, f"{used} ({a_second:.1f} times a second)"


def _line(values_ms: list[float]) -> list[str]:
    return [f"{len(values_ms):,}", *waits(values_ms)]


async def _refreshed(subject: Subject, notes: Path, path: str, count: int) -> None:
    """Reads until the answer was refreshed so many times."""
    until = len(_stored(notes, subject)) + count
    while len(_stored(notes, subject)) < until:
        await read(subject, path)
        await asyncio.sleep(REFRESH_S / 4)


def _stored(notes: Path, subject: Subject) -> dict[tuple[str, str], float]:
    """When each answer was stored, by its subject and the time of its fetch."""
    file = notes / str(subject.pid)
    lines = [line.split("\t") for line in file.read_text().splitlines()] if file.exists() else []
    return {(name, fetched): float(at) for name, fetched, at in lines}


async def _message_bytes(leader: Subject, path: str) -> int:
    """Of the longest message by which the leader pushes a refresh."""
    assert leader.store
    listener, sizes = RedisStore(leader.store.url, NAME), [0]

    async def listen() -> None:
        async for channel, message in listener.messages():
            sizes.append(len(message) if channel == "answers" else 0)

    await listener.connect()
    listening = asyncio.create_task(listen())
    for _ in range(5):
        await read(leader, path)
        await asyncio.sleep(2 * REFRESH_S)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await listener.aclose()
    return max(sizes)


async def _bare_pushes(url: str, size: int, count: int) -> list[float]:
    """As often as the refreshes were, so that the machine's other work delays both alike."""
    sender, receiver = RedisStore(url, "bare"), RedisStore(url, "bare")
    await sender.connect()
    await receiver.connect()
    message, took, came = bytes(size), list[float](), asyncio.Event()

    async def listen() -> None:
        async for _ in receiver.messages():
            came.set()

    listening = asyncio.create_task(listen())
    for _ in range(count):
        await asyncio.sleep(REFRESH_S)
        came.clear()
        began = time.perf_counter()
        await sender.publish("answers", message)
        await came.wait()
        took.append(1_000 * (time.perf_counter() - began))
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await sender.aclose()
    await receiver.aclose()
    return took


async def _appends(url: str, count: int) -> list[float]:
    """By this process, which leads another cluster in the same store."""
    store = RedisStore(url, "benchmark")
    await store.connect()
    beat, took = Beat("this", 0, True, "{}", "{}", known_term=0), []
    async with asyncio.timeout(HEALED_S):
        while (await store.beat(beat)).standing != "leader":
            await asyncio.sleep(0.1)
    assert await store.replace_calls("this", {})
    for number in range(count):
        if number % 100 == 0:
            await store.beat(beat)
        began = time.perf_counter()
        assert await store.append("this", {("binance/60", number % 60): 1})
        took.append(1_000 * (time.perf_counter() - began))
    await store.aclose()
    return took


async def gossip(scene: Scene, seconds: float) -> str:
    """CPU of two processes, with client limits and without: all clients ask the leader."""
    rows = []
    for name, limit in (("without limits", ""), ("600 a minute for a client", "600/minute")):
        settings = {"CLIENT_RATE_LIMIT": limit, "TRUST_PROXY": "1", **LASTING}
        leader, follower = await scene.members(2, settings)
        assert leader.store
        await read(leader, "/api/gas")
        asking = asyncio.create_task(_ask_for_each_client(leader))
        await asyncio.sleep(HEARD_S)
        meter = Meter({"leader": leader.pid, "follower": follower.pid, "Valkey": leader.store.pid})
        await asyncio.sleep(seconds)
        shares = meter.shares()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        rows.append([name, *(f"{share:.2f}" for share in shares)])
        for one in (leader, follower):
            await one.gateway.stop()
    heads = (
        f"{CLIENTS} clients, each asks the leader once a second: % of a core",
        *meter.names,
    )
    return table(heads, rows)


async def _ask_for_each_client(subject: Subject) -> None:
    requests = [Asked("/api/gas").request(subject.port) for _ in range(CLIENTS)]
    (connection,) = await connected(subject.port, 1)
    while True:
        for number, request in enumerate(requests):
            answer = await connection.ask(request)
            assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
            if number % 20 == 19:
                await asyncio.sleep(20 / CLIENTS)
