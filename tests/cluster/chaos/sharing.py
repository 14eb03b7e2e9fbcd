"""What a cluster shares, in figures: one call a question, and answers pushed to all."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.chaos.figures import at_share
from tests.cluster.chaos.group import Group, Terms, started_group
from tests.cluster.chaos.readers import Connections, cold_paths

#: Limits that nothing here uses up, and a market that is refreshed often.
TERMS = Terms(scarce=1_000, candles=2_000, market_ttl_s=0.4)
HERD, QUESTIONS, PROVIDER_S = 50, 20, 0.2
SPREAD_S = 20.0
FETCHED = b'"fetched_at":"'


@dataclass(frozen=True)
class Sharing:
    """`herd_ms`: the readers' times. `spread_ms`: from the leader's frame of a refreshed market to
    each other process's frame of it; `frame_bytes`: its median size. All times ascend."""

    calls: int
    failed: int
    herd_ms: Sequence[float]
    spread_ms: Sequence[float]
    frame_bytes: int

    def problems(self) -> list[str]:
        found = []
        if self.calls != QUESTIONS or self.failed:
            found.append(
                f"herd: {self.calls} calls for {QUESTIONS} questions, {self.failed} failed"
            )
        return found


async def measure_sharing(folder: Path, size: int) -> Sharing:
    async with started_group(folder, size, TERMS) as group:
        calls, failed, herd_ms = await _herd(group)
        spread_ms, frame_bytes = await _spread(group)
    return Sharing(calls, failed, sorted(herd_ms), sorted(spread_ms), frame_bytes)


async def _herd(group: Group) -> tuple[int, int, list[float]]:
    """Fifty readers at each process ask the same cold question at once."""
    connections, times_ms, failed = Connections(), [], 0
    ports = [member.port for member in group.members for _ in range(HERD)]

    async def read(port: int, path: str) -> bool:
        began = time.monotonic()
        status, _ = await connections.get(port, path)
        times_ms.append((time.monotonic() - began) * 1_000)
        return status == 200

    # Candles need the market's names; and the readers' connections are open from now on.
    while not all(await asyncio.gather(*(read(port, "/api/market?limit=1") for port in ports))):
        await asyncio.sleep(0.1)
    times_ms.clear()
    group.world.delay_s = PROVIDER_S
    before = group.world.calls["binance"]
    newest = [path for path in cold_paths() if "start" not in path]  # one call each
    for path in newest[:QUESTIONS]:
        failed += (await asyncio.gather(*(read(port, path) for port in ports))).count(False)
    candles = [path for path in group.world.paths["binance"][before:] if "klines" in path]
    group.world.delay_s = 0.0
    return len(candles), failed, times_ms


async def _spread(group: Group) -> tuple[list[float], int]:
    """The market's stream of each process: when the frame of each refresh came."""
    came: dict[bytes, dict[int, float]] = {}
    sizes: list[int] = []
    following = [asyncio.create_task(_follow(member.port, came, sizes)) for member in group.members]
    await asyncio.sleep(SPREAD_S)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    leader = group.leader.port
    spread_ms = [
        (at - times[leader]) * 1_000
        for times in came.values()
        if leader in times
        for port, at in times.items()
        if port != leader
    ]
    return spread_ms, int(at_share(sorted(sizes), 0.5))


async def _follow(port: int, came: dict[bytes, dict[int, float]], sizes: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        writer.write(b"GET /api/stream?channels=market HTTP/1.1\r\nHost: chaos\r\n\r\n")
        is_first = True
        while line := await reader.readline():
            now, mark = time.monotonic(), line.rfind(FETCHED)
            if mark < 0:
                continue
            fetched_at = line[mark + len(FETCHED) : line.index(b'"', mark + len(FETCHED))]
            if not is_first:  # the first one has the time of the subscription
                came.setdefault(fetched_at, {}).setdefault(port, now)
            sizes.append(len(line))
            is_first = False
    finally:
        writer.transport.abort()
