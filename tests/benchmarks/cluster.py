"""Several processes as one gateway, beside one process without a store.

    python -m tests.benchmarks.cluster [--before COMMIT] [--quick]

CPU is that of the serving processes, by /proc: on a machine that others use, and where readers
share the cores with servers, it says more than the clock. `--before` compares one process with an
earlier commit; `--quick` takes about a minute and says only whether everything runs.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.cluster_before import beside, is_known
from tests.benchmarks.cluster_pushes import YoungWorld, gossip, propagation
from tests.benchmarks.cluster_questions import cold
from tests.benchmarks.cluster_reads import cached_reads
from tests.benchmarks.cluster_scene import opened
from tests.benchmarks.cluster_stream import readers_of_stream
from tests.benchmarks.fanout_control import run
from tests.benchmarks.hot_path import machine
from tests.cluster.servers import program

#: The last commit that knew no cluster.
BEFORE = "6cc4bd4"


@dataclass(frozen=True)
class Options:
    """How often, how many, how long; with an empty `before`, or 0, a part is left out."""

    before: str
    rounds: int = 40
    requests: int = 1_600
    starts: int = 7
    idle_s: float = 20.0
    readers: int = 1_000
    frames: int = 20
    listed_s: float = 30.0
    processes: int = 4
    readers_of_each: int = 50
    herds: int = 20
    alone: int = 60
    refreshes: int = 200
    gossip_s: float = 20.0


QUICK = Options(
    before="",
    rounds=2,
    requests=320,
    idle_s=1.0,
    readers=50,
    frames=3,
    listed_s=0.0,
    processes=2,
    readers_of_each=10,
    herds=3,
    alone=3,
    refreshes=10,
    gossip_s=0.0,
)


def read_options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="cluster")
    parser.add_argument("--before", default=BEFORE, help="a commit; none where it is empty")
    parser.add_argument("--quick", action="store_true", help="only whether it runs: for CI")
    said = parser.parse_args(arguments)
    return QUICK if said.quick else Options(said.before)


async def parts(options: Options) -> AsyncIterator[str]:
    """Each with providers, stores and gateways of its own, so that none slows the next one."""
    if options.before and is_known(options.before):
        async with opened() as scene:
            yield await beside(
                scene, options.before, options.rounds, options.requests, options.starts
            )
    async with opened() as scene:
        yield await cached_reads(scene, options.rounds, options.requests, options.idle_s)
    async with opened() as scene:
        yield await readers_of_stream(scene, options.readers, options.frames, options.listed_s)
    async with opened() as scene:
        yield await cold(
            scene, options.processes, options.readers_of_each, options.herds, options.alone
        )
    async with opened(YoungWorld()) as scene:
        yield await propagation(scene, options.refreshes)
    if options.gossip_s:
        async with opened() as scene:
            yield await gossip(scene, options.gossip_s)


def store_version() -> str:
    command = [str(program("valkey-9.1")), "--version"]
    said = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own
    number = next(word for word in said.stdout.split() if word.startswith("v="))
    return f"Valkey {number.removeprefix('v=')}"


async def main(options: Options) -> None:
    async for part in parts(options):
        sys.stdout.write(part + "\n")
        sys.stdout.flush()
    load = os.getloadavg()[1]
    sys.stdout.write(f"{machine()} {store_version()}. Load of the last five minutes: {load:.1f}.\n")


if __name__ == "__main__":
    run(main(read_options(sys.argv[1:])))
