"""10,000 readers of the stream over two workers, one frame for each of them each second.

    python -m tests.benchmarks.stream_crowd [--readers 10000] [--seconds 60] [--quick]

A venue changes five pairs each second: the leader tells the other worker by way of a real Valkey,
and each worker encodes its frame once. The readers have 250 addresses, so that the default share of
one address holds. The exit code is 1 if a frame did not come, or if p99 is 1 s or more.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from tests.benchmarks.cluster_scene import Meter, Subject, opened, percentile, table
from tests.benchmarks.cluster_stream import by_cause
from tests.benchmarks.fanout_control import Child, Details, raise_file_limit, run
from tests.benchmarks.hot_path import machine
from tests.benchmarks.proc import rss_mb
from tests.benchmarks.stream_listener import tickers_of
from tests.life.process import descriptors
from tests.world.push import PushWorld, mini_ticker

PATH = "/ws?channels=market"
WORKERS, ADDRESSES = 2, 250
#: Readers that connect before the next ones do.
BATCH = 500
SPACING_S, PATIENCE_S = 1.0, 60.0
#: The first frames are of rows that no tick had changed yet.
WARM_UP = 2
#: All have left by then, in seconds.
LEFT_S = 3.0
#: A frame has to come to 99 of 100 readers within this, in seconds.
GOAL_S = 1.0
#: A state in /proc/net/tcp.
ESTABLISHED = "01"


@dataclass(frozen=True)
class Options:
    """So many readers; frames each second for `seconds`; then `idle_s` without a frame."""

    readers: int = 10_000
    seconds: int = 60
    idle_s: float = 30.0


QUICK = Options(readers=300, seconds=4, idle_s=0.0)


@dataclass
class Figures:
    """What was measured. Lists have one value for each worker."""

    sizes: list[int]
    connected_s: float
    frame_bytes: int = 0
    delays_s: list[float] = field(default_factory=list)
    last_s: list[float] = field(default_factory=list)
    lost: int = 0
    cpu_s: float = 0.0
    rss_mb: dict[str, list[float]] = field(default_factory=dict)
    busy_pct: list[float] = field(default_factory=list)
    idle_pct: list[float] = field(default_factory=list)

    @property
    def p99_s(self) -> float:
        return percentile(self.delays_s, 99)


class Crowd:
    """The readers, in a process of their own, and the venue whose ticks they are told."""

    def __init__(self, subject: Subject, clients: Child, push: PushWorld) -> None:
        self._subject, self._clients, self._push = subject, clients, push
        self._rounds = 0

    async def connect(self, readers: int) -> float:
        """Until each has its snapshot; returns the seconds."""
        began = time.monotonic()
        about = {"name": self._subject.name, "port": self._subject.port, "path": PATH}
        for count in chain(range(BATCH, readers, BATCH), (readers,)):
            await self._clients.ask("connect", count=count, addresses=ADDRESSES, **about)
            await self._keep_venue_alive()
        async with asyncio.timeout(PATIENCE_S):
            while (await self._count())["snapshots"] < readers:
                await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def tick(self) -> float:
        """One frame for all; returns when the venue spoke."""
        self._rounds += 1
        told_at = time.monotonic()
        await self._push.tell_tickers(tickers_of(self._rounds))
        await asyncio.sleep(SPACING_S)
        return told_at

    async def rest(self, seconds: float) -> None:
        """Heartbeats, pings and checks only."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await self._keep_venue_alive()
            await asyncio.sleep(SPACING_S)

    async def forget(self) -> int:
        """Begins anew; returns the bytes of a frame so far."""
        return len((await self._clients.ask("forget", name=self._subject.name))["sample"])

    async def receipts(self) -> tuple[list[float], int]:
        """When frames came to any reader, sorted, and the number of lost connections."""
        said = await self._clients.ask("times", name=self._subject.name)
        return sorted(chain.from_iterable(said["at"].values())), (await self._count())["lost"]

    async def _count(self) -> Details:
        return await self._clients.ask("count", name=self._subject.name)

    async def _keep_venue_alive(self) -> None:
        """It tells a pair of no coin, which changes nothing."""
        await self._push.tell_tickers([mini_ticker("NOCOINUSDT", 1.0)])


def connections(pid: int, port: int) -> int:
    """TCP connections of a process from its local `port`, by IPv4."""
    fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {
        f"socket:[{one[9]}]"
        for one in fields
        if one[1].endswith(f":{port:04X}") and one[3] == ESTABLISHED
    }
    return len(inodes.intersection(descriptors(pid)))


async def measured(subject: Subject, crowd: Crowd, clients: Child, options: Options) -> Figures:
    pids = subject.serving
    rss = {"without readers": [*map(rss_mb, pids)]}
    before = [connections(pid, subject.port) for pid in pids]
    figures = Figures([], await crowd.connect(options.readers), rss_mb=rss)
    after = [connections(pid, subject.port) for pid in pids]
    figures.sizes = [b - a for a, b in zip(before, after, strict=True)]
    rss["with readers"] = [*map(rss_mb, pids)]
    for _ in range(WARM_UP):
        await crowd.tick()
    figures.frame_bytes = await crowd.forget()
    meter, cpu_s = Meter({str(pid): pid for pid in pids}), subject.cpu_s()
    told = [await crowd.tick() for _ in range(options.seconds)]
    figures.busy_pct, figures.cpu_s = meter.shares(), subject.cpu_s() - cpu_s
    await asyncio.sleep(SPACING_S)
    came, figures.lost = await crowd.receipts()
    for at, frames in zip(told, by_cause(told, came), strict=True):
        figures.delays_s += [one - at for one in frames]
        figures.last_s += [max(frames, default=at) - at]
    rss["after the frames"] = [*map(rss_mb, pids)]
    if options.idle_s:
        meter = Meter({str(pid): pid for pid in pids})
        await crowd.rest(options.idle_s)
        figures.idle_pct = meter.shares()
    await clients.end()
    await asyncio.sleep(LEFT_S)
    rss["when all have left"] = [*map(rss_mb, pids)]
    return figures


def report(figures: Figures, options: Options) -> str:
    due = options.readers * options.seconds
    frames = table(
        ("readers", "connected after s", "frames", "p50 ms", "p99 ms", "last ms", "CPU µs a frame"),
        [
            [
                " + ".join(f"{size:,}" for size in figures.sizes),
                f"{figures.connected_s:.1f}",
                f"{len(figures.delays_s):,} of {due:,}",
                f"{1e3 * percentile(figures.delays_s, 50):.0f}",
                f"{1e3 * figures.p99_s:.0f}",
                f"{1e3 * max(figures.last_s):.0f}",
                f"{1e6 * figures.cpu_s / len(figures.delays_s):.1f}",
            ]
        ],
    )
    heads = [f"worker {number}" for number in range(1, WORKERS + 1)]
    rows = [
        [f"MiB resident, {when}", *(f"{one:.0f}" for one in each)]
        for when, each in figures.rss_mb.items()
    ]
    first, full = figures.rss_mb["without readers"], figures.rss_mb["with readers"]
    grown = zip(first, full, figures.sizes, strict=True)
    rows.append(["kB a connection", *(f"{1024 * (b - a) / n:.1f}" for a, b, n in grown)])
    rows.append(["% of a core, a frame each second", *(f"{one:.0f}" for one in figures.busy_pct)])
    if figures.idle_pct:
        rows.append(["% of a core, no frames", *(f"{one:.1f}" for one in figures.idle_pct)])
    lost = f" {figures.lost:,} connections were lost." if figures.lost else ""
    said = f"Frames of {figures.frame_bytes:,} bytes.{lost}"
    return f"{said}\n\n{frames}\n{table(('', *heads), rows)}"


def is_good(figures: Figures, options: Options) -> bool:
    is_complete = len(figures.delays_s) == options.readers * options.seconds and not figures.lost
    return is_complete and figures.p99_s < GOAL_S


async def main(options: Options) -> int:
    raise_file_limit()
    async with opened() as scene, AsyncExitStack() as stack:
        push = await stack.enter_async_context(PushWorld())
        clients = await Child.start("fanout_clients")
        stack.push_async_callback(clients.end)
        settings = {
            "BINANCE_STREAM_URL": push.url,
            "CACHE_TTL_MARKET": "3600",  # only the venue makes updates
            "WS_MAX_CLIENTS": str(options.readers + 10),
        }
        name = f"WORKERS={WORKERS}"
        subject = await scene.gateway(name, settings, store=scene.store(), workers=WORKERS)
        figures = await measured(subject, Crowd(subject, clients, push), clients, options)
    sys.stdout.write(f"{report(figures, options)}\n{machine()}\n")
    return 0 if is_good(figures, options) else 1


def read_options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="stream_crowd")
    parser.add_argument("--readers", type=int, default=Options.readers)
    parser.add_argument("--seconds", type=int, default=Options.seconds)
    parser.add_argument("--quick", action="store_true", help="only whether it holds: for CI")
    said = parser.parse_args(arguments)
    return QUICK if said.quick else Options(said.readers, said.seconds)


if __name__ == "__main__":
    sys.exit(run(main(read_options(sys.argv[1:]))))
