"""What a cluster shares, in figures: one call a question, and answers pushed to all."""

import asyncio
import json
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
SPREAD_S = 40.0
#: An answer is at every process within this at p99, in milliseconds.
MOST_SPREAD_MS = 10.0


@dataclass(frozen=True)
class Sharing:
    """`herd_ms`: the readers' times, ascending. `spread_ms`: the times from the leader's frame to
    each other process's frame of the same answer, ascending; `frame_bytes`: the median size of the
    answer as JSON."""

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
        p99_ms = at_share(self.spread_ms, 0.99)
        if p99_ms > MOST_SPREAD_MS:
            found.append(f"answers reach the others after {p99_ms:.1f} ms at p99")
        return found


async def measure_sharing(folder: Path, size: int) -> Sharing:
    async with started_group(folder, size, TERMS) as group:
        calls, failed, herd_ms = await _herd(group)
        spread_ms, frame_bytes = await _spread(group)
    return Sharing(calls, failed, sorted(herd_ms), sorted(spread_ms), frame_bytes)


async def _herd(group: Group) -> tuple[int, int, list[float]]:
    """Fifty readers at each process ask the same cold question at once."""
    connections, times_ms, failed = Connections(), [], 0
    for member in group.members:  # candles need the market's names
        while (await connections.get(member.port, "/api/market?limit=20"))[0] != 200:
            await asyncio.sleep(0.1)
    group.world.delay_s = PROVIDER_S
    before = group.world.calls["binance"]

    async def read(port: int, path: str) -> bool:
        began = time.monotonic()
        status, _ = await connections.get(port, path)
        times_ms.append((time.monotonic() - began) * 1_000)
        return status == 200

    for path in cold_paths()[:QUESTIONS]:
        reads = [read(member.port, path) for member in group.members for _ in range(HERD)]
        failed += (await asyncio.gather(*reads)).count(False)
    candles = [path for path in group.world.paths["binance"][before:] if "klines" in path]
    group.world.delay_s = 0.0
    return len(candles), failed, times_ms


async def _spread(group: Group) -> tuple[list[float], int]:
    """The market's stream of each process: when the frame of each refresh came."""
    came: dict[str, dict[int, float]] = {}
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


async def _follow(port: int, came: dict[str, dict[int, float]], sizes: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        writer.write(b"GET /api/stream?channels=market HTTP/1.1\r\nHost: chaos\r\n\r\n")
        is_first = True
        while line := await reader.readline():
            now = time.monotonic()
            if not line.startswith(b"data:"):
                continue
            frame = json.loads(line[5:])
            if frame["op"] != "data":
                continue
            if not is_first:  # the first one has the time of the subscription
                came.setdefault(frame["meta"]["fetched_at"], {}).setdefault(port, now)
            sizes.append(len(line))
            is_first = False
    finally:
        writer.transport.abort()
