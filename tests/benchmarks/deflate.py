"""`python -m tests.benchmarks.deflate`: the stream's fan-out with compressed frames, and without.

Two gateways, each behind a real uvicorn, with as many readers of the market: those of one offer
`permessage-deflate`, as browsers do. Venues change five pairs at a time, as fast as all readers
have got the last update, in turns. The CPU is that of each gateway's process for an update, with
all that makes it.
"""

import argparse
import asyncio
import os
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count

from tests.benchmarks.fanout_control import CLIENTS, Child, pin, raise_file_limit, run
from tests.benchmarks.fanout_report import DIRECT
from tests.benchmarks.fanout_rounds import SETTLE_S, Station, opened_station
from tests.benchmarks.ratios import record

PLAIN, DEFLATE = "plain", "deflate"
OFFERS = {PLAIN: "", DEFLATE: "permessage-deflate; client_max_window_bits"}
READERS = "1,10,100,1000"
#: Updates of a block; blocks of the two gateways take turns.
UPDATES, BLOCKS = 20, 12
#: Until the venue is open and the readers have their snapshots, in seconds.
BEGIN_S = 1.0


@dataclass
class Measured:
    """Medians: CPU of an update in microseconds, and its ratio to the plain one block by block."""

    readers: int
    cpu_us: dict[str, float]
    ratios: list[float]
    bytes: dict[str, int]


async def connect(station: Station, readers: int) -> None:
    await station.clients.ask(
        "connect",
        name=station.name,
        port=station.port,
        path=station.path,
        count=readers,
        extensions=OFFERS[station.name],
    )
    await asyncio.sleep(BEGIN_S)


async def first_bytes(station: Station) -> int:
    """What the first reader gets until it has the market."""
    await connect(station, 1)
    received = (await station.clients.ask("count", name=station.name))["bytes"]
    return int(received)


async def block(station: Station, readers: int, numbers: "count[int]") -> tuple[float, int]:
    """The CPU of an update in microseconds, and the bytes of one to one reader."""
    await station.clients.ask("forget", name=station.name)
    before = (await station.child.ask("state"))["cpu"]
    for done in range(1, UPDATES + 1):
        await station.tick(next(numbers))
        await station.clients.ask("until", name=station.name, updates=done * readers)
    spent = (await station.child.ask("state"))["cpu"] - before
    received = await station.clients.ask("count", name=station.name)
    assert received["updates"] == UPDATES * readers, received
    return 1e6 * spent / UPDATES, received["bytes"] // received["updates"]


async def measure(stations: Sequence[Station], readers: int, blocks: int) -> Measured:
    for station in stations:
        await connect(station, readers)
    numbers, costs = count(1), [dict[str, float]() for _ in range(blocks)]
    sizes: dict[str, int] = {}
    for cost in costs:
        for station in stations:
            cost[station.name], sizes[station.name] = await block(station, readers, numbers)
    return Measured(
        readers,
        {one.name: statistics.median(cost[one.name] for cost in costs) for one in stations},
        [cost[DEFLATE] / cost[PLAIN] for cost in costs],
        sizes,
    )


def row(one: Measured) -> str:
    quartiles = statistics.quantiles(one.ratios, n=4) if len(one.ratios) > 1 else one.ratios * 3
    ratio = f"{statistics.median(one.ratios):.2f} ({quartiles[0]:.2f}–{quartiles[2]:.2f})"
    sizes, costs = one.bytes, one.cpu_us
    return (
        f"| {one.readers:,} | {sizes[PLAIN]:,} | {sizes[DEFLATE]:,} "
        f"| {costs[PLAIN]:,.0f} | {costs[DEFLATE]:,.0f} | {ratio} |\n"
    )


async def main() -> None:
    parser = argparse.ArgumentParser(prog="deflate")
    parser.add_argument("--readers", default=READERS)
    parser.add_argument("--quick", action="store_true", help="only whether it runs: for CI")
    said = parser.parse_args()
    counts = [1, 10] if said.quick else sorted(map(int, said.readers.split(",")))
    raise_file_limit()
    pin(CLIENTS)
    say = sys.stdout.write
    async with AsyncExitStack() as stack:
        clients = await Child.start("fanout_clients")
        stack.push_async_callback(clients.end)
        stations = []
        for name in OFFERS:
            station = await opened_station(DIRECT, clients, counts[-1], stack)
            station.name, station.port = name, (await station.child.heard())["port"]
            stations.append(station)
        await asyncio.sleep(SETTLE_S)
        plain, packed = [await first_bytes(station) for station in stations]
        say(f"Bytes until a reader has the market: {plain:,} plain, {packed:,} compressed.\n\n")
        say("| readers | bytes of an update | compressed | CPU µs an update | compressed ")
        say("| ratio (quartiles) |\n| ---: | ---: | ---: | ---: | ---: | ---: |\n")
        record("compressed frames: bytes until a reader has the market", plain / packed)
        for readers in counts:
            one = await measure(stations, readers, 3 if said.quick else BLOCKS)
            record(
                f"compressed frames, {readers:,} readers: CPU", 1 / statistics.median(one.ratios)
            )
            say(row(one))
            sys.stdout.flush()
    say(f"\nMachine: {os.cpu_count()} cores, Python {sys.version.split()[0]}.\n")


if __name__ == "__main__":
    run(main())
