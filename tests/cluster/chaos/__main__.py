"""Faults on real gateways over a real Valkey: `python -m tests.cluster.chaos`.

Without options: one fault after the other, and the table of docs/cluster-faults.md. `--quick`: two
minutes of random faults, by three seeds, or by that of `--seed`. `--minutes 60`: an hour of them.
Ends with 1 if a limit was exceeded, a reader was not answered in time, or the group did not heal.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.chaos import phases, storm, table
from tests.cluster.chaos.figures import summary, used_limits
from tests.cluster.chaos.sharing import measure_sharing
from tests.cluster.chaos.watched import Watched
from tests.life.fork_server import fork_server
from tests.life.process import Forks

SEEDS, QUICK_S, ROUND_S = (1, 2, 3), 28.0, 60.0


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos")
    parser.add_argument("--quick", action="store_true", help="random faults for two minutes")
    parser.add_argument("--minutes", type=float, help="random faults for so long")
    parser.add_argument("--seed", type=int, help="of the random faults")
    parser.add_argument("--only", default="", help="faults whose name contains this; no table")
    parser.add_argument("--keep", action="store_true", help="the folder of the processes' output")
    parser.add_argument("--processes", type=int, default=4)
    return parser.parse_args(arguments)


async def run_storms(folder: Path, options: argparse.Namespace) -> list[str]:
    if options.quick:
        seeds = SEEDS if options.seed is None else (options.seed,)
        rounds, seconds = 1, QUICK_S
    else:
        seeds = (random.randrange(1_000_000) if options.seed is None else options.seed,)
        rounds, seconds = max(1, round(options.minutes * 60 / ROUND_S)), ROUND_S
    problems = []
    for seed in seeds:
        own = made(folder / f"seed{seed}")
        done, watched = await storm.run_storm(own, options.processes, seed, seconds, rounds)
        found = storm.problems_of(done) + watched.problems()
        say(f"seed {seed}: {sum(len(one.faults) for one in done)} faults. {told(watched)}")
        for one in done:
            say(f"  healed after {one.healing.led_s} s, same answers after {one.healing.agreed_s}")
        if found:
            say("\n".join(f"  {fault}" for one in done for fault in one.faults))
        problems += [f"seed {seed}: {problem}" for problem in found]
    return problems


async def run_phases(folder: Path, options: argparse.Namespace) -> list[str]:
    size = options.processes
    done, watched = await phases.run_phases(made(folder / "phases"), size, say, options.only)
    say(told(watched))
    if options.only:
        return phases.problems_of(done) + watched.problems()
    shared = await measure_sharing(made(folder / "sharing"), size)
    problems = phases.problems_of(done) + watched.problems() + shared.problems()
    text = table.document(done, watched, shared, problems)
    table.DOCUMENT.write_text(text, encoding="utf-8")
    return problems


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def told(watched: Watched) -> str:
    limits = ", ".join(
        f"{name} {calls} calls, most {most} of {limit}"
        for name, (calls, most, limit) in sorted(used_limits(watched.group.world).items())
        if not name.startswith("rss_")
    )
    cached, cold = summary(watched.readings, "cached"), summary(watched.readings, "cold")
    return (
        f"cached: {cached.count} reads, {cached}, {cached.refused} refused; "
        f"cold: {cold.count} reads, {cold}, {cold.refused} refused; {limits}"
    )


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    options = read_options(sys.argv[1:])
    is_random = options.quick or options.minutes is not None
    folder = Path(tempfile.mkdtemp(prefix="chaos_"))
    with fork_server(folder) as forks:
        Forks.server = forks
        run = run_storms if is_random else run_phases
        problems = asyncio.run(run(folder, options))
    for problem in problems:
        say(f"PROBLEM: {problem}")
    if problems or options.keep:
        say(f"The processes' output is in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
