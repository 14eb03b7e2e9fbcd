"""What a cached answer costs in a cluster, and outside of one before and after there were clusters.

Rounds are short and interleaved, and each cost is divided by that of the first gateway in the same
round: so a machine that others use too costs all alike.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from tests.benchmarks.cluster_scene import LASTING, Meter, Scene, Subject, figure, table
from tests.benchmarks.hot_load import close, connected, flood
from tests.benchmarks.hot_path import ROWS, Answer, Row, answer_of
from tests.benchmarks.proc import pss_mb, rss_mb
from tests.life.process import sockets

READ = tuple(row for row in ROWS if row.name in ("market, 100 rows", "market, 304", "gas"))
#: So many questions before a measurement: by all 16 connections to each worker that has any.
WARM = 64
#: Connections whose distribution over workers is looked at, once all have been accepted.
AT_ONCE, ACCEPTED_S = (16, 64, 256), 0.1

Costs = dict[tuple[str, Row], list[float]]


async def costs_of(subjects: Sequence[Subject], rounds: int, requests: int) -> Costs:
    """CPU of the serving processes for a request, in microseconds."""
    answers = {(one.name, row): await answer_of(one.port, row) for one in subjects for row in READ}
    costs: Costs = defaultdict(list)
    for number in range(rounds):
        turn = number % len(subjects)
        order = [*subjects[turn:], *subjects[:turn]]  # none is always the first
        for row in READ:
            for one in order:
                costs[one.name, row].append(await measured(one, answers[one.name, row], requests))
    return costs


async def measured(subject: Subject, answer: Answer, requests: int) -> float:
    await flood(subject.port, answer.asked, WARM, answer.status)
    before = subject.cpu_s()
    await flood(subject.port, answer.asked, requests, answer.status)
    return (subject.cpu_s() - before) / requests * 1e6


def cost_table(names: Sequence[str], costs: Costs, base: str) -> str:
    heads = ["CPU of a request, µs; to the first line", *(row.name for row in READ)]
    rows = [[name, *(_cell(costs, name, base, row) for row in READ)] for name in names]
    return table(heads, rows)


def _cell(costs: Costs, name: str, base: str, row: Row) -> str:
    cost = f"{median(costs[name, row]):.1f}"
    return cost if name == base else f"{cost}; {figure(ratios(costs, name, base, row), 3)}"


def ratios(costs: Costs, name: str, base: str, row: Row) -> list[float]:
    pairs = zip(costs[name, row], costs[base, row], strict=True)
    return [own / other for own, other in pairs if other]


ALONE, WITH_STORE, TWO = "one process, no store", "one process with a store", "WORKERS=2"


async def cached_reads(scene: Scene, rounds: int, requests: int, idle_s: float) -> str:
    """Costs, memory, and what all of them use while nobody asks."""
    subjects = [
        await scene.gateway(ALONE, LASTING),
        await scene.gateway(WITH_STORE, LASTING, store=scene.store()),
        await scene.gateway(TWO, LASTING, store=scene.store(), workers=2),
    ]
    costs = await costs_of(subjects, rounds, requests)
    capacity = [figure([2 / one for one in ratios(costs, TWO, ALONE, row)]) for row in READ]
    rows = [["WORKERS=2 on two cores, to one process on one", *capacity]]
    parts = (
        cost_table([one.name for one in subjects], costs, ALONE),
        table(["by the CPU of a request", *(row.name for row in READ)], rows),
        await _balance(subjects[-1]),
        await _used(subjects, idle_s),
    )
    return "\n".join(parts)


async def _balance(subject: Subject) -> str:
    """How connections that come at once fall to the workers, which accept from one socket."""
    cells = []
    for count in AT_ONCE:
        busier = []
        for _ in range(10):
            idle = [*map(sockets, subject.serving)]
            opened = await connected(subject.port, count)
            await asyncio.sleep(ACCEPTED_S)
            accepted = [n - old for n, old in zip(map(sockets, subject.serving), idle, strict=True)]
            busier.append(100 * max(accepted) / count)
            close(opened)
            await asyncio.sleep(ACCEPTED_S)
        cells.append(figure(busier, 0))
    heads = ("connections that come at once", *map(str, AT_ONCE))
    return table(heads, [["% of them at the worker that has more", *cells]])


async def _used(subjects: Sequence[Subject], idle_s: float) -> str:
    """Memory of each process, and what it uses while nobody asks."""
    processes = {
        f"{one.name}: {'a worker' if one.workers > 1 else 'it'}": pid
        for one in subjects
        for pid in one.serving[-1:]
    }
    processes[f"{TWO}: the supervisor"] = subjects[-1].pid
    processes |= {f"{one.name}: Valkey": one.store.pid for one in subjects if one.store}
    meter = Meter(processes)
    await asyncio.sleep(idle_s)
    idle = meter.shares()
    rows = [
        [name, f"{rss_mb(pid):.0f}", f"{pss_mb(pid):.0f}", f"{share:.2f}"]
        for (name, pid), share in zip(processes.items(), idle, strict=True)
    ]
    heads = ("process", "RSS MiB", "PSS MiB", f"CPU in {idle_s:.0f} s without a request, %")
    return table(heads, rows)
