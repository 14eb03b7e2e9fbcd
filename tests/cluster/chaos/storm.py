"""Random faults from a seed, up to three at once, in rounds: after each the group must heal."""

import asyncio
import random
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.chaos.faults import FAULTS, Fault
from tests.cluster.chaos.group import Member
from tests.cluster.chaos.watched import AGREED_S, HEALED_S, Healing, Watched, watched_group

RATE, COLD_RATE = 60.0, 15.0
AT_ONCE = 3
#: A fault's shortest and longest time, and the time between two, in seconds.
LEAST_S, MOST_S = 0.5, 6.0
LONGEST_PAUSE_S = 2.0


@dataclass
class Round:
    """The faults, with their times since the start; and how it healed."""

    faults: list[str]
    healing: Healing


class Storm:
    """Three causes of faults, none of which touches what another one touches."""

    def __init__(self, watched: Watched, seed: int) -> None:
        self._group = watched.group
        self._chance = random.Random(seed)
        self._busy: set[tuple[str, int]] = set()
        self._began = time.monotonic()
        self.faults: list[str] = []

    async def blow(self, seconds: float) -> None:
        """All faults that began have ended when it returns."""
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._cause(until) for _ in range(AT_ONCE)))

    async def _cause(self, until: float) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.1, LONGEST_PAUSE_S))
            fault, lasts_s = self._chance.choice(FAULTS), self._chance.uniform(LEAST_S, MOST_S)
            member = self._member_of(fault)
            lasts_s = min(lasts_s, until - time.monotonic())
            if lasts_s < LEAST_S:
                return
            place = (fault.place, 0 if fault.of == "none" else member.port)
            if place in self._busy or (fault.place == "process" and not member.is_up):
                continue
            self._busy.add(place)
            at_s = time.monotonic() - self._began
            number = self._group.members.index(member)
            self.faults.append(f"{at_s:.1f} s, for {lasts_s:.1f} s: {fault.name} [{number}]")
            try:
                await fault.run(self._group, member, lasts_s)
            finally:
                self._busy.discard(place)

    def _member_of(self, fault: Fault) -> Member:
        if fault.of == "follower":
            return self._chance.choice(self._group.followers)
        return self._group.leader


async def run_storm(
    folder: Path, size: int, seed: int, seconds: float, rounds: int = 1
) -> tuple[list[Round], Watched]:
    async with watched_group(folder, size, RATE, COLD_RATE) as watched:
        storm, done = Storm(watched, seed), []
        for _ in range(rounds):
            storm.faults = []
            await storm.blow(seconds)
            done.append(Round(storm.faults, await watched.healing()))
            watched.new_readings()
    return done, watched


def problems_of(rounds: list[Round]) -> list[str]:
    told = []
    for number, one in enumerate(rounds):
        led_s, agreed_s = one.healing.led_s, one.healing.agreed_s
        if led_s is None or led_s > HEALED_S:
            told.append(f"round {number}: healed after {led_s} s, not {HEALED_S:g}")
        if agreed_s is None:
            told.append(f"round {number}: the answers differ {AGREED_S:g} s after the last fault")
    return told
