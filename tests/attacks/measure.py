"""Measured from outside: a reader's waiting while something goes on, and what a process holds."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.attacks.attack import Tally
from tests.life.process import Gateway, descriptors, memory_mb
from tests.scrape import samples

HERE = Path(__file__).parent
#: A reader's address; attackers have others. All of 127.0.0.0/8 is this machine.
READER = "127.0.0.2"
#: An attacker would not have our processor: its processes step back.
STEP_BACK = ("nice", "-n", "10")


@dataclass
class Waits:
    """What one reader in a process of its own waited for its answers."""

    ms: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def slowest_ms(self) -> float:
        return max(self.ms, default=0.0)

    def judge(self, tally: Tally, most_ms: float, wanted: str = "200") -> None:
        """Each answer that came too late, or that is not the wanted one, is a loss."""
        tally.losses += [f"a reader waited {ms:.0f} ms" for ms in self.ms if ms > most_ms]
        for status, count in self.statuses.items():
            tally.losses += [f"a reader got {status}"] * (0 if status == wanted else count)
        tally.expect(self.ms, "nobody read")
        tally.note(f"a reader waited {self.slowest_ms:.0f} ms at most ({len(self.ms)} answers)")


async def script(
    name: str, *arguments: object, before: tuple[str, ...] = ()
) -> asyncio.subprocess.Process:
    """One of our scripts in a process of its own, without the packages it would load slowly."""
    return await asyncio.create_subprocess_exec(
        *(*before, sys.executable, "-S", "-E", str(HERE / name), *map(str, arguments)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )


async def ended(process: asyncio.subprocess.Process, within_s: float = 30.0) -> Any:
    """What it printed, after the end of its input. It is killed if it does not end."""
    try:
        told, _ = await asyncio.wait_for(process.communicate(b""), within_s)
        return json.loads(told or b"null")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def reader_of(
    gateway: Gateway, path: str = "/api/market?limit=1", *headers: str, pace_s: float = 0.05
) -> AsyncIterator[Waits]:
    """Somebody who reads meanwhile; what was waited is known when it is over."""
    waits = Waits()
    process = await script(
        "victim.py", gateway.port, gateway.process.pid, path, pace_s, READER, *headers
    )
    try:
        await asyncio.sleep(0.15)  # it has begun
        yield waits
    finally:
        told = await ended(process)
        waits.ms, waits.statuses = told["ms"], told["statuses"]


@dataclass(frozen=True)
class Holdings:
    """What a process holds."""

    memory_mb: float
    descriptors: int


def holdings(gateway: Gateway) -> Holdings:
    pid = gateway.process.pid
    return Holdings(memory_mb(pid), len(descriptors(pid)))


def kernel_mb() -> float:
    """What the kernel holds for all TCP connections of this machine."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        name, *figures = line.split()
        if name == "TCP:":
            return int(figures[figures.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    raise LookupError("TCP")


async def until_back(
    gateway: Gateway, before: Holdings, tally: Tally, *, within_s: float, slack_mb: float = 32.0
) -> None:
    """Memory and descriptors are, or come back to, about what they were; else it is a loss."""
    now = holdings(gateway)
    for _ in range(int(within_s / 0.1)):
        now = holdings(gateway)
        if (
            now.memory_mb <= before.memory_mb + slack_mb
            and now.descriptors <= before.descriptors + 5
        ):
            break
        await asyncio.sleep(0.1)
    grown_mb = now.memory_mb - before.memory_mb
    tally.note(f"{grown_mb:+.0f} MB afterwards")
    tally.expect(grown_mb <= slack_mb, f"{grown_mb:.0f} MB did not come back")
    left = now.descriptors - before.descriptors
    tally.expect(left <= 5, f"{left} descriptors did not come back")


@dataclass
class Held:
    """Connections of another process: how many it got, and how many were closed on it."""

    held: int = 0
    refused: int = 0
    closed: int = 0


@asynccontextmanager
async def holding(
    gateway: Gateway, count: int, *said: bytes, source: str = "127.0.0.3", drip_s: float = 0.0
) -> AsyncIterator[Held]:
    """So many connections that say this in turn, and read nothing; in the end they are reset."""
    process = await script("hold.py", gateway.port, count, source, drip_s, before=STEP_BACK)
    assert process.stdin is not None
    assert process.stdout is not None
    found = Held()
    try:
        texts = [text.decode("latin-1") for text in said or (b"",)]
        process.stdin.write(json.dumps(texts).encode() + b"\n")
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
        found.held, found.refused = told["held"], told["refused"]
        yield found
    finally:
        found.closed = (await ended(process) or {"closed": 0})["closed"]


async def flood(
    gateway: Gateway, kind: str, seconds: float, query: str = "", rate: float = 2e6
) -> dict[str, Any]:
    """What a flood of this kind sent, and how its connections ended."""
    arguments = kind, gateway.port, seconds, rate, "127.0.0.3", query
    process = await script("flood.py", *arguments, before=STEP_BACK)
    found: dict[str, Any] = await ended(process, seconds + 20)
    return found


async def metric(gateway: Gateway, name: str, **headers: str) -> float:
    """The sum of all series of this name in `/metrics`."""
    text = (await gateway.client.get("/metrics", headers=headers)).text
    series = samples(text)
    return sum(value for key, value in series.items() if key.partition("{")[0] == name)
