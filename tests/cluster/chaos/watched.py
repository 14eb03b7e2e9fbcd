"""A group with readers: how it is asked, how it heals, and what must hold at the end."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import httpx

from backend.cluster.store import LEASE_S
from backend.orchestration.limits.sliding_window import COUNTED_LATE_S
from tests.cluster.chaos.figures import Reading, ReadingFile, exceeded
from tests.cluster.chaos.group import PERIOD_S, TERMS, Group, Terms, started_group
from tests.cluster.chaos.readers import CACHED
from tests.life.process import ROOT

#: Within this after the last fault one process leads, and all others follow it; in seconds.
HEALED_S = LEASE_S + 2
#: Within this they have the same answers, too: after a loss of the store's data the limits count
#: as used up for a period, and as counted late by the provider.
AGREED_S = HEALED_S + PERIOD_S + COUNTED_LATE_S
LOOK_S = 0.1
MOST_TOLD = 10


#: The time in which every process gets its first answers, in seconds.
WARM_S = 20.0


@dataclass(frozen=True)
class Healing:
    """Seconds after the last fault; None: not within the time that it was given."""

    led_s: float | None
    agreed_s: float | None


@dataclass
class Watched:
    group: Group
    file: ReadingFile
    readings: list[Reading] = field(default_factory=list)

    def new_readings(self) -> list[Reading]:
        """Those at processes that served all the time."""
        ports = {member.port: member for member in self.group.members}
        found = [
            one
            for one in self.file.read()
            if ports[one.port].was_up(one.began, one.began + one.took_s)
        ]
        self.readings += found
        return found

    async def healing(self) -> Healing:
        began = time.monotonic()
        led_s = agreed_s = None
        while time.monotonic() - began < AGREED_S and agreed_s is None:
            if led_s is None and await self.group.is_led():
                led_s = time.monotonic() - began
            if led_s is not None and await self.group.answers_agree():
                agreed_s = time.monotonic() - began
            await asyncio.sleep(LOOK_S)
        if agreed_s is None:
            await self.group.keep_status()
        return Healing(led_s, agreed_s)

    def problems(self) -> list[str]:
        """What did not hold, of limits, answers and processes."""
        lost = [one for one in self.readings if not one.is_answered]
        told = [f"not answered: {reading}" for reading in lost[:MOST_TOLD]]
        if len(lost) > MOST_TOLD:
            told.append(f"not answered: {len(lost)} in all")
        told += [f"over a limit: {over}" for over in exceeded(self.group.world)]
        for member in self.group.members:
            before, found, _ = member.output.partition("Traceback")
            if found:
                last = before.splitlines()[-1:]
                told.append(f"{member.folder.name} logged a traceback: {last}")
        return told


async def warm(group: Group) -> None:
    """Every process has an answer to each question that all readers ask."""
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(WARM_S):
        for member, path in product(group.members, CACHED):
            while (await client.get(f"http://127.0.0.1:{member.port}{path}")).status_code != 200:
                await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def watched_group(
    folder: Path, size: int, rate: float, cold_rate: float, terms: Terms = TERMS
) -> AsyncIterator[Watched]:
    """Readers come until the end. `folder` is there."""
    path = folder / "readings.txt"
    async with started_group(folder, size, terms) as group:
        await warm(group)
        watched = Watched(group, ReadingFile(path))
        ports = ",".join(str(member.port) for member in group.members)
        readers = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.cluster.chaos.readers"),
            *(str(path), ports, str(rate), str(cold_rate)),
            cwd=ROOT,
            stdin=PIPE,
        )
        try:
            yield watched
            assert readers.returncode is None, "the readers ended"
        finally:
            assert readers.stdin
            readers.stdin.close()
            await readers.wait()
