"""Questions that nobody has an answer to: many readers of all processes at once, or one alone."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from tests.benchmarks.cluster_scene import (
    HEARD_S,
    WAITS,
    Scene,
    Subject,
    percentile,
    read,
    table,
    waits,
)
from tests.benchmarks.hot_load import Asked, Connection, close, connected

#: Each of these pairs has candles of each of these intervals, of which a provider is asked once.
PAIRS, INTERVALS = 60, ("1h", "4h", "1d", "5m", "1m")
#: How long the provider takes, in seconds: for a herd, and for one reader alone.
HERD_DELAY_S, DELAY_S = 0.2, 0.02


def questions() -> Iterator[Asked]:
    """No two alike."""
    for interval in INTERVALS:
        for number in range(PAIRS):
            yield Asked(f"/api/market/ohlc?symbol=C{number}&interval={interval}&limit=100")


async def ask(connection: Connection, request: bytes) -> float:
    """What the answer took, in milliseconds."""
    began = time.perf_counter()
    answer = await connection.ask(request)
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:300]
    return 1_000 * (time.perf_counter() - began)


async def cold(scene: Scene, processes: int, readers: int, herds: int, alone: int) -> str:
    """Herds on `herds` questions by so many readers of each process; then `alone` single ones."""
    single = await scene.gateway("one process, no store", {})
    members = await scene.members(processes, {})
    for one in (single, *members):
        await read(one, "/api/market?limit=1")  # which symbols there are
    fresh = questions()
    text = await _herds(scene, members, readers, [next(fresh) for _ in range(herds)])
    await asyncio.sleep(HEARD_S)
    scene.world.delay_s = DELAY_S
    took: dict[str, list[float]] = {one.name: [] for one in (single, *members)}
    for _ in range(alone):
        for one in (single, *members[:2]):
            took[one.name] += await _one_after_the_other(one, [next(fresh)])
    rows = [[name, *waits(found)] for name, found in took.items() if found]
    heads = (f"a cold question; its provider takes {1e3 * DELAY_S:.0f} ms: ms", *WAITS)
    return text + "\n" + table(heads, rows)


async def _herds(
    scene: Scene, members: Sequence[Subject], readers: int, asked: Sequence[Asked]
) -> str:
    scene.world.delay_s = HERD_DELAY_S
    crowd = [
        (one, connection) for one in members for connection in await connected(one.port, readers)
    ]
    before, took = _calls(scene), []
    for question in asked:
        herd = (ask(connection, question.request(one.port)) for one, connection in crowd)
        took += await asyncio.gather(*herd)
    close([connection for _, connection in crowd])
    assert scene.world.overruns == []
    return (
        f"{len(asked)} cold questions, each by {readers} readers at once of each of {len(members)}"
        f" processes, made {_calls(scene) - before} calls. The provider takes"
        f" {1e3 * HERD_DELAY_S:.0f} ms; the answer came after {percentile(took, 50):.0f} ms (p50),"
        f" {percentile(took, 99):.0f} ms (p99), {max(took):.0f} ms (max).\n"
    )


def _calls(scene: Scene) -> int:
    """Of candles, at whatever provider."""
    paths = [path for made in scene.world.paths.values() for path in made]
    return sum("klines" in path or path.endswith("/ohlc") for path in paths)


async def _one_after_the_other(subject: Subject, asked: Sequence[Asked]) -> list[float]:
    (connection,) = await connected(subject.port, 1)
    took = [await ask(connection, question.request(subject.port)) for question in asked]
    close([connection])
    return took
