"""Plays scenes of attacks: each is bounded in time, and what it left behind is looked for."""

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from tests.attacks.attack import Attack, Ground, Scene, Tally
from tests.attacks.ground import look_for_traces

#: No attack takes longer, in seconds.
LONGEST_S = 60.0
#: Scenes that measure no times run beside each other, as they mostly wait; in the short form all
#: do. A reader's wait leaves out the time in which others had the processor (victim.py).
TOGETHER = 4


@dataclass(frozen=True)
class Outcome:
    """What became of an attack, and how long it took."""

    attack: Attack[Any]
    tally: Tally
    took_s: float


async def play_all(
    scenes: Sequence[Scene[Any]], *, only: str = "", is_quick: bool = False
) -> list[Outcome]:
    """Every attack whose row or name begins with `only`, or whose name holds it."""
    outcomes: list[Outcome] = []
    places = asyncio.Semaphore(TOGETHER)

    async def played(scene: Scene[Any]) -> None:
        wanted = [one for one in scene.attacks if one.is_meant(only)]
        async with places:
            outcomes.extend(await play(scene, wanted, is_quick=is_quick))

    alone = [] if is_quick else [scene for scene in scenes if scene.is_measured]
    longest_first = sorted(scenes, key=lambda scene: -len(scene.attacks))
    async with asyncio.TaskGroup() as group:
        for scene in longest_first:
            if scene not in alone:
                group.create_task(played(scene))
    for scene in alone:
        await played(scene)
    return outcomes


async def play(
    scene: Scene[Any], wanted: Sequence[Attack[Any]], *, is_quick: bool
) -> list[Outcome]:
    """These attacks of a scene, one after the other. A gateway that died is replaced."""
    left, outcomes = sorted(wanted, key=lambda one: one.lasts), list[Outcome]()
    while left:
        async with scene.opened() as ground:
            while left:
                outcomes.append(await _play_one(left.pop(0), ground, is_quick))
                if not await _serves(ground):
                    outcomes[-1].tally.losses.append("the gateway does not serve any more")
                    break
    return outcomes


async def _play_one(attack: Attack[Any], ground: Ground, is_quick: bool) -> Outcome:
    tally, began = Tally(is_quick), time.monotonic()
    seen = {id(gateway): len(gateway.output) for gateway in ground.gateways}
    try:
        async with asyncio.timeout(LONGEST_S):
            await attack.play(ground, tally)
    except Exception as error:  # whatever it is, the attack did not end as it should
        tally.losses.append(f"the attack ended by {type(error).__name__}: {error}")
    for gateway in ground.gateways:
        with suppress(FileNotFoundError):
            look_for_traces(gateway, seen.get(id(gateway), 0), tally)
    tally.expect(tally.tries, "it was never tried")
    outcome = Outcome(attack, tally, time.monotonic() - began)
    _tell(outcome)
    return outcome


def _tell(outcome: Outcome) -> None:
    """At once, for who waits."""
    tally = outcome.tally
    sys.stderr.write(
        f"{outcome.took_s:5.1f} s  {outcome.attack.row:8}{outcome.attack.name}: "
        f"{tally.tries} tries, {len(tally.losses)} losses; {'; '.join(tally.notes)}\n"
    )
    for loss in dict.fromkeys(tally.losses[:20]):
        sys.stderr.write(f"         LOSS {loss}\n")


async def _serves(ground: Ground) -> bool:
    for gateway in ground.gateways:
        try:
            answer = await gateway.client.get("/healthz", timeout=5)
        except httpx.HTTPError:
            return False
        if answer.status_code != 200:
            return False
    return True
