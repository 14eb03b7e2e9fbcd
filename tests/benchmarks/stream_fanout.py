"""The stream's fan-out against the websockets library's `broadcast`, on one machine in one run.

    python -m tests.benchmarks.stream_fanout [--readers 100,1000,3000] [--rounds 3] [--seconds 6]

Everything is on loopback; servers have a core, clients another. Absolute times say little on a
machine that others use too: the ratios to the library do.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.fanout_control import CLIENTS, pin, raise_file_limit, run
from tests.benchmarks.fanout_encode import encode_us
from tests.benchmarks.fanout_figures import Figures, Flood, Stall
from tests.benchmarks.fanout_report import report
from tests.benchmarks.fanout_rounds import opened
from tests.benchmarks.fanout_stations import NAMES

#: Floods and stalled readers are measured at this many readers, or at the most below it.
MIDDLE = 1_000
FLOOD_FRAMES = 200


@dataclass
class Options:
    readers: list[int]
    rounds: int
    seconds: int
    flood_frames: int = FLOOD_FRAMES

    @property
    def middle(self) -> int:
        return max([count for count in self.readers if count <= MIDDLE] or self.readers[:1])


@dataclass
class Results:
    """All rounds, in their order."""

    frame_bytes: int = 0
    encode_us: dict[int, float] = field(default_factory=dict)
    figures: list[Figures] = field(default_factory=list)
    floods: list[Flood] = field(default_factory=list)
    stalls: list[Stall] = field(default_factory=list)


def read_options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="stream_fanout")
    parser.add_argument("--readers", default="100,1000,3000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--quick", action="store_true", help="only whether it runs: for CI")
    said = parser.parse_args(arguments)
    if said.quick:
        return Options([100], 1, 2, flood_frames=50)
    return Options(sorted(map(int, said.readers.split(","))), said.rounds, said.seconds)


async def measure(options: Options, results: Results) -> None:
    for number in range(options.rounds):
        turn = number % len(NAMES)
        order = (*NAMES[turn:], *NAMES[:turn])  # none is always the first of its second
        sys.stderr.write(f"round {number + 1} of {options.rounds}: {', '.join(order)}\n")
        await _measure_round(order, options, results)


async def _measure_round(order: Sequence[str], options: Options, results: Results) -> None:
    async with opened(order, options.seconds, options.readers[-1]) as one_round:
        results.frame_bytes = await one_round.warm_up()
        for readers in options.readers:
            results.figures += await one_round.figures(readers)
            if readers == options.middle:
                results.floods += await one_round.floods(readers, options.flood_frames)
                results.stalls += await one_round.stalls(readers)


async def main(options: Options) -> None:
    raise_file_limit()
    pin(CLIENTS)
    results = Results()
    results.encode_us = {readers: encode_us(readers) for readers in (100, 3_000)}
    await measure(options, results)
    sys.stdout.write(report(results, options.middle))


if __name__ == "__main__":
    run(main(read_options(sys.argv[1:])))
