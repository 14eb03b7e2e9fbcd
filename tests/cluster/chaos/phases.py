"""One fault after the other, in quiet phases of their own: what each costs the readers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.chaos.faults import FAULTS, NEARLY_AWAY, Fault
from tests.cluster.chaos.figures import Reading, Summary, summary
from tests.cluster.chaos.group import Group, Member, Terms
from tests.cluster.chaos.watched import HEALED_S, Healing, Watched, watched_group

RATE, COLD_RATE = 100.0, 5.0
CALM_S, FAULT_S = 3.0, 8.0
#: After a fault, and after one by which the store may have lost calls: then the limits count as
#: used up for a period.
REST_S, LONG_REST_S = 3.0, 14.0
#: What a lost store may cost cached and cold reads at p99, in milliseconds.
MOST_CACHED_MS, MOST_COLD_MS = 10.0, 250.0
#: Faults of the store alone: none of them may cost a reader more than that.
OF_THE_STORE = ("store", "memory", "delay")
#: Limits that the cold reads do not use up, not even those of a share.
TERMS = Terms(candles=400)


@dataclass(frozen=True)
class Phase:
    """`calm` and `during`: readings before and while the fault lasted. `calls` by provider."""

    name: str
    calm: tuple[Reading, ...]
    during: tuple[Reading, ...]
    healing: Healing
    takeover_s: float | None
    is_of_the_store: bool

    def __str__(self) -> str:
        figures = f"cached {self.summary('cached')}, cold {self.summary('cold')}"
        return f"{self.name}: {figures}, led after {self.healing.led_s} s"

    def summary(self, kind: str) -> Summary:
        return summary(self.during, kind)


async def run_phases(
    folder: Path, size: int, say: Callable[[str], None], only: str = ""
) -> tuple[list[Phase], Watched]:
    """All faults, one after the other, or those whose name contains `only`; `say` gets a line of
    each."""
    async with watched_group(folder, size, RATE, COLD_RATE, TERMS) as watched:
        await asyncio.sleep(REST_S)
        phases = [await _without(watched)]
        for fault in [fault for fault in FAULTS if only in fault.name]:
            say(str(phases[-1]))
            phases += [await _phase(watched, fault)]
        say(str(phases[-1]))
        watched.new_readings()
    return phases, watched


async def _without(watched: Watched) -> Phase:
    calm = await _calm(watched)
    await asyncio.sleep(FAULT_S)
    during = tuple(watched.new_readings())
    healing = await watched.healing()
    return Phase("none", calm, during, healing, None, is_of_the_store=False)


async def _phase(watched: Watched, fault: Fault) -> Phase:
    group = watched.group
    calm = await _calm(watched)
    began, takeovers = asyncio.get_running_loop().time(), len(group.takeovers)
    await fault.run(group, member_of(group, fault), FAULT_S)
    await asyncio.sleep(0.2)  # the readers write so often
    during = tuple(watched.new_readings())
    healing = await watched.healing()
    later = group.takeovers[takeovers:]
    takeover_s = later[0][0] - began if later else None
    await asyncio.sleep(LONG_REST_S if fault.empties else REST_S)
    is_of_the_store = fault.place in OF_THE_STORE and fault.name != NEARLY_AWAY
    return Phase(fault.name, calm, during, healing, takeover_s, is_of_the_store)


async def _calm(watched: Watched) -> tuple[Reading, ...]:
    watched.new_readings()
    await asyncio.sleep(CALM_S)
    return tuple(watched.new_readings())


def member_of(group: Group, fault: Fault) -> Member:
    return group.followers[0] if fault.of == "follower" else group.leader


def problems_of(phases: list[Phase]) -> list[str]:
    """What the faults cost more than they may, against all calm readings together."""
    calm = [reading for phase in phases for reading in phase.calm]
    cached, cold = summary(calm, "cached"), summary(calm, "cold")
    told = []
    for phase in phases:
        led_s = phase.healing.led_s
        if led_s is None or led_s > HEALED_S:
            told.append(f"{phase.name}: healed after {led_s} s")
        if phase.healing.agreed_s is None:
            told.append(f"{phase.name}: the answers differ")
        if not phase.is_of_the_store:
            continue
        cost_ms = phase.summary("cached").p99_ms - cached.p99_ms
        if cost_ms > MOST_CACHED_MS:
            told.append(f"{phase.name}: cached reads took {cost_ms:.1f} ms more at p99")
        cost_ms = phase.summary("cold").p99_ms - cold.p99_ms
        if cost_ms > MOST_COLD_MS:
            told.append(f"{phase.name}: cold reads took {cost_ms:.1f} ms more at p99")
    return told
