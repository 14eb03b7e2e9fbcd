"""How soon what the leader stored is stored at a follower, and what sharing costs."""

import asyncio
import time
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

SINGLE = "one process, no store"
#: CLUSTER_NAME, by default.
NAME = "gateway"
#: The server with a stopwatch.
NOTED = ("-m", "tests.benchmarks.noted_server")
#: How often the whole market is refreshed, in seconds, and the settings that allow that.
REFRESH_S = 0.1
OFTEN = {
    "CACHE_TTL_MARKET": str(REFRESH_S),
    "COINGECKO_FREE_LIMITS": "60000/minute",
    "BINANCE_ENABLED": "false",
}
#: For a lease to be given, in seconds.
HEALED_S = 5.0
#: Clients of which each asks once a second.
CLIENTS = 200


async def propagation(scene: Scene, refreshes: int) -> str:
    """The market of 250 rows is refreshed as often as it may be, by a reader at the leader."""
    scene.world.limits["coingecko_free"] = (100_000, 60.0)
    notes = scene.folder()
    settings = {"NOTED": str(notes), **OFTEN}
    single = await scene.gateway(SINGLE, settings, *NOTED)
    leader, follower = await scene.members(2, settings, *NOTED)
    assert leader.store
    size = await _message_bytes(leader)
    meter = Meter(
        {
            SINGLE: single.pid,
            "leader": leader.pid,
            "follower": follower.pid,
            "Valkey": leader.store.pid,
        }
    )
    earlier = len(_stored(notes, leader))
    while len(_stored(notes, leader)) - earlier < refreshes:
        await asyncio.gather(*(read(one, "/api/market?limit=1") for one in (single, leader)))
        await asyncio.sleep(REFRESH_S / 4)
    took_s, shares = meter.took_s, meter.shares()
    bare = await _bare_pushes(leader.store.url, size, refreshes)
    ours, theirs = _stored(notes, leader), _stored(notes, follower)
    delays = [1_000 * (theirs[fetched] - at) for fetched, at in ours.items() if fetched in theirs]
    rows = [
        ["stored by the leader, then stored by a follower", f"{len(delays)}", *waits(delays)],
        ["as many bytes by bare redis-py, in one process", str(len(bare)), *waits(bare)],
        ["a call recorded in the store, with the fence", *(await _appends(leader, 5 * refreshes))],
    ]
    return (
        f"The market of 250 rows is a message of {size:,} B. It was refreshed"
        f" {refreshes / took_s:.1f} times a second.\n\n"
        + table(("ms", "times", *WAITS), rows)
        + "\n"
        + table(
            ("% of a core meanwhile", *meter.names),
            [["CPU", *(f"{share:.2f}" for share in shares)]],
        )
    )


def _stored(notes: Path, subject: Subject) -> dict[str, float]:
    """When each market was stored, by the time of its fetch."""
    file = notes / str(subject.pid)
    lines = [line.split("\t") for line in file.read_text().splitlines()] if file.exists() else []
    return {fetched: float(at) for name, fetched, at in lines if name == "market"}


async def _message_bytes(leader: Subject) -> int:
    """Of the longest message by which the leader pushes a refresh."""
    assert leader.store
    listener, sizes = RedisStore(leader.store.url, NAME), [0]

    async def listen() -> None:
        async for channel, message in listener.messages():
            sizes.append(len(message) if channel == "answers" else 0)

    await listener.connect()
    listening = asyncio.create_task(listen())
    for _ in range(5):
        await read(leader, "/api/market?limit=1")
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


async def _appends(leader: Subject, count: int) -> list[str]:
    """By this process, which leads another cluster in the same store."""
    assert leader.store
    store = RedisStore(leader.store.url, "benchmark")
    await store.connect()
    beat, took = Beat("this", 0, True, "{}", "{}"), []
    async with asyncio.timeout(HEALED_S):
        while (await store.beat(beat)).standing != "leader":
            await asyncio.sleep(0.1)
    for number in range(count):
        if number % 100 == 0:
            await store.beat(beat)
        began = time.perf_counter()
        assert await store.append("this", {("binance/60", number % 60): 1})
        took.append(1_000 * (time.perf_counter() - began))
    await store.aclose()
    return [f"{count:,}", *waits(took)]


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
