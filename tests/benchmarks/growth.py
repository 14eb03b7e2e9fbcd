"""The cost of a gateway as its work grows: coins, series, providers, views, readers of the stream.

    python -m tests.benchmarks.growth [--only coins,views] [--quick]

CPU is that of the gateway's process, by /proc. The gateways of a kind run side by side, and their
rounds are interleaved, so that a disturbance meets all sizes. The exponent is the slope in
log-log of the CPU of the whole work between two sizes: 1 is linear, 2 quadratic. The exit code is 1
if one is above MOST, where the size is at least four times as large (or as large as it gets).
`--quick` finds only what is much worse than linear; tests count the calls of what was mended.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from math import log
from statistics import median

from tests.benchmarks import growth_loads
from tests.benchmarks.cluster_scene import Scene, table
from tests.benchmarks.fanout_control import Child, raise_file_limit, run
from tests.benchmarks.growth_loads import FREE, LASTING, Load, Work
from tests.benchmarks.hot_path import machine
from tests.benchmarks.proc import cpu_s, rss_mb
from tests.benchmarks.stream_crowd import Crowd
from tests.world.push import PushWorld
from tests.world.server import World

#: Two nested loops would make it 2. Noise moves an exponent by a tenth, and by three in few rounds.
MOST, MOST_QUICK = 1.3, 1.6
#: Sizes of which one is so many times the other are compared for the verdict.
FACTOR = 4
READERS_FRAMES, READERS_IDLE_S = 5, 20.0

Open = Callable[[AsyncExitStack, int], Awaitable[Load]]


@dataclass
class Cost:
    """What one unit of a work costs at a size: CPU in each round, in ms. With `is_of_each`, the
    whole work is one unit for each coin, series, reader, …"""

    size: int
    is_of_each: bool
    cpu_ms: list[float] = field(default_factory=list)
    rss_mb: float = 0.0

    @property
    def whole_ms(self) -> float:
        return median(self.cpu_ms) * (self.size if self.is_of_each else 1)


def exponent(one: Cost, other: Cost) -> float:
    """0: the cost does not depend on the size; 1: it is in proportion to it."""
    return log(other.whole_ms / one.whole_ms) / log(other.size / one.size)


def verdict(costs: Sequence[Cost]) -> float:
    """The exponent between the largest size and the next that is smaller by FACTOR."""
    *others, last = costs
    smaller = [one for one in others if one.size * FACTOR <= last.size]
    return exponent((smaller or others[:1])[-1], last)


@dataclass(frozen=True)
class Kind:
    """What grows, and how a gateway with so much of it is opened."""

    name: str
    open: Open
    sizes: tuple[int, ...]
    quick: tuple[int, ...]


KINDS = (
    Kind("coins", growth_loads.coins_refreshed, (250, 500, 1_000, 2_500, 5_000), (250, 1_000)),
    Kind("coins", growth_loads.coins_ticked, (250, 500, 1_000, 2_500, 5_000), (250, 1_000)),
    Kind("series", growth_loads.series, (1, 10, 50, 100, 200), (10, 40)),
    Kind("providers", growth_loads.providers, (14, 20, 27, 34, 40), (14, 40)),
    Kind("views", growth_loads.views, (1, 10, 100, 500, 1_000), (25, 100)),
)
READERS, QUICK_READERS = (10, 100, 1_000, 10_000), (25, 200)


@dataclass(frozen=True)
class Options:
    only: tuple[str, ...]
    is_quick: bool

    @property
    def rounds(self) -> int:
        return 3 if self.is_quick else 7

    @property
    def most(self) -> float:
        return MOST_QUICK if self.is_quick else MOST

    def includes(self, name: str) -> bool:
        return not self.only or name in self.only


async def cost_of(load: Load, work: Work) -> tuple[float, bool]:
    """CPU of a unit in ms, and whether there is one for each."""
    before_s = cpu_s(load.subject.pid)
    units = await work()
    return 1e3 * (cpu_s(load.subject.pid) - before_s) / units, units == load.size


async def measured(kind: Kind, options: Options) -> dict[str, list[Cost]]:
    """The costs of each work, by its name, the smallest size first."""
    found: dict[str, list[Cost]] = {}
    async with AsyncExitStack() as stack:
        sizes = kind.quick if options.is_quick else kind.sizes
        loads = await asyncio.gather(*(kind.open(stack, size) for size in sizes))
        for name in loads[0].first:
            found[name] = [await costs(load, [load.first[name]]) for load in loads]
        for name in loads[0].works:
            found[name] = [Cost(size, is_of_each=False) for size in sizes]
        for _ in range(options.rounds):
            for name in loads[0].works:
                done = await asyncio.gather(*(cost_of(load, load.works[name]) for load in loads))
                for cost, (cpu_ms, is_of_each) in zip(found[name], done, strict=True):
                    cost.cpu_ms.append(cpu_ms)
                    cost.is_of_each = is_of_each
        for each in found.values():
            for cost, load in zip(each, loads, strict=True):
                cost.rss_mb = rss_mb(load.subject.pid)
    return found


async def costs(load: Load, works: Sequence[Work]) -> Cost:
    done = [await cost_of(load, work) for work in works]
    return Cost(load.size, done[0][1], [cpu_ms for cpu_ms, _ in done])


async def measured_readers(options: Options) -> dict[str, list[Cost]]:
    """All of one gateway: there are always more of them."""
    sizes = QUICK_READERS if options.is_quick else READERS
    frames: list[Cost] = []
    idle: list[Cost] = []
    async with AsyncExitStack() as stack:
        world, push = World(), PushWorld()
        await stack.enter_async_context(world)
        await stack.enter_async_context(push)
        clients = await Child.start("fanout_clients")
        stack.push_async_callback(clients.end)
        most = {"WS_MAX_CLIENTS": f"{sizes[-1] + 10}", "BINANCE_STREAM_URL": push.url}
        subject = await Scene(stack, world).gateway("readers", {**LASTING, **FREE, **most})
        crowd = Crowd(subject, clients, push)
        for size in sizes:
            await crowd.connect(size)
            for _ in range(2):
                await crowd.tick()
            cost = Cost(size, is_of_each=True)
            for _ in range(3 if options.is_quick else READERS_FRAMES):
                before_s = subject.cpu_s()
                await crowd.tick()
                cost.cpu_ms.append(1e3 * (subject.cpu_s() - before_s) / size)
            cost.rss_mb = rss_mb(subject.pid)
            frames.append(cost)
            if not options.is_quick:
                before_s = subject.cpu_s()
                await crowd.rest(READERS_IDLE_S)
                used_ms = 1e3 * (subject.cpu_s() - before_s) / READERS_IDLE_S
                idle.append(Cost(size, False, [used_ms], cost.rss_mb))
    return {"a frame to a reader": frames} | ({"a second without frames": idle} if idle else {})


HEADS = ("", "of", "CPU ms", "exponent", "MiB resident", "kB of one more")


def rows(name: str, work: str, found: Sequence[Cost]) -> list[list[str]]:
    lines = []
    for before, cost in zip([None, *found], found, strict=False):
        low, high = min(cost.cpu_ms), max(cost.cpu_ms)
        spread = f" ({low:.3g}–{high:.3g})" if len(cost.cpu_ms) > 1 else ""
        more = exponents = ""
        if before:
            exponents = f"{exponent(before, cost):.2f}"
            more = f"{1024 * (cost.rss_mb - before.rss_mb) / (cost.size - before.size):.1f}"
        cells = [f"{cost.size:,} {name}", work, f"{median(cost.cpu_ms):.3g}{spread}", exponents]
        lines.append([*cells, f"{cost.rss_mb:.0f}", more])
    return lines


def show(name: str, found: dict[str, list[Cost]], most: float) -> bool:
    """Prints the tables; False if the exponent of a cost is above `most`."""
    lines = [line for work, costs in found.items() for line in rows(name, work, costs)]
    sys.stdout.write(table(HEADS, lines) + "\n")
    verdicts = {work: verdict(costs) for work, costs in found.items()}
    for work, grown in verdicts.items():
        sys.stdout.write(f"{name}, {work}: exponent {grown:.2f} of at most {most}\n")
    sys.stdout.write("\n")
    sys.stdout.flush()
    return max(verdicts.values()) <= most


async def main(options: Options) -> int:
    raise_file_limit()
    works: list[tuple[str, Awaitable[dict[str, list[Cost]]]]] = [
        (kind.name, measured(kind, options)) for kind in KINDS if options.includes(kind.name)
    ]
    if options.includes("readers"):
        works.append(("readers", measured_readers(options)))
    if options.is_quick:  # side by side: it says only whether a cost grows too fast
        done = await asyncio.gather(*(work for _, work in works))
        are_good = [
            show(name, found, options.most) for (name, _), found in zip(works, done, strict=True)
        ]
    else:
        are_good = [show(name, await work, options.most) for name, work in works]
    sys.stdout.write(f"{machine()}\n")
    return 0 if all(are_good) else 1


def read_options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="growth")
    parser.add_argument("--only", default="", help="kinds, separated by commas")
    parser.add_argument("--quick", action="store_true", help="a few sizes: for CI")
    said = parser.parse_args(arguments)
    return Options(tuple(filter(None, said.only.split(","))), said.quick)


if __name__ == "__main__":
    sys.exit(run(main(read_options(sys.argv[1:]))))
