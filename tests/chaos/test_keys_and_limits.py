"""Keys that are taken back, hiccups, limits cut in silence, a share of calls that fails."""

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import pytest

from backend.environment.forms import CallLimit
from tests.chaos.answers import check_all
from tests.chaos.cells import begin, due, trouble_of
from tests.chaos.record import Cell, judge
from tests.chaos.scene import Scene, staged
from tests.chaos.subjects import KEYS, PLAIN, SUBJECTS, Changes, Subject

DEMO = Changes(keys={"coingecko_free": KEYS["coingecko_free"]}, limits={"coingecko_free": ()})
#: Declared; the provider will allow a third of it.
THIRTY = (CallLimit(30, 60.0),)
KEYED = tuple(one for one in SUBJECTS if one.is_keyed or one.name == "coingecko_free")
Play = Callable[[Subject], Awaitable[None]]


async def judged(row: str, how: str, play: Play, subjects: Sequence[Subject]) -> None:
    judge([Cell(row, one.label, how, await trouble_of(play(one))) for one in subjects])


async def revoke(subject: Subject) -> None:
    changes = DEMO if subject.name == "coingecko_free" else PLAIN
    async with staged(subject, changes=changes) as scene:
        if subject.name == "coingecko_free":
            scene.world.limits[subject.name] = (30, 60.0)  # with a Demo key
        await begin(scene, "none")
        scene.world.revoked.add(subject.name)
        await due(scene)
        before, refused = scene.calls(), 0
        for _ in range(8):
            await scene.ask()
            refused = max(refused, scene.calls() - before)
            scene.clock.step(15)
        status = scene.provider()
        assert status["reason"] == "auth_failed", status["reason"]
        if subject.name == "coingecko_free":
            assert status["status"] == "active"
            good = [key for key in scene.world.keys[subject.name] if key]
            assert len(good) <= 1 + 1 + 2, "at most two calls with the refused key"
        else:
            assert status["status"] == "auth_failed"
            assert refused <= 2, f"{refused} calls with a refused key"
        check_all(scene, are_errors_allowed=not subject.rivals)
        assert scene.world.overruns == []


@pytest.mark.timeout(120)
async def test_a_revoked_key_fails_twice_at_most_and_status_shows_it() -> None:
    await judged("key revoked mid-run", "4 a minute", revoke, KEYED)


async def hiccup(subject: Subject) -> None:
    async with staged(subject) as scene:
        await begin(scene, "none")
        scene.world.scripts[subject.name] = iter(["401"])
        before = scene.calls()
        for _ in range(6):
            await due(scene)  # where its limits leave no second call, it is forgiven when due
            await scene.ask()
        status = scene.provider()
        assert scene.calls() > before
        assert (status["status"], status["reason"]) == ("active", None)
        check_all(scene, are_errors_allowed=not subject.rivals)
        assert scene.world.overruns == []


@pytest.mark.timeout(120)
async def test_one_spurious_401_is_forgiven() -> None:
    await judged("one spurious 401", "4 an hour", hiccup, SUBJECTS)


async def cut(subject: Subject) -> None:
    changes = Changes({"cache_ttl_" + subject.category: 1.0})
    changes.limits[subject.name] = THIRTY
    async with staged(subject, alone=True, changes=changes) as scene:
        world, name = scene.world, subject.name
        world.limits[name] = (30, 60.0)
        await begin(scene, "none")
        world.silent_limits[name] = (10, 60.0)
        await _busy(scene, 480.0)
        refused = world.refused[name]
        assert refused <= 3, f"{refused} refusals by rate"
        await _busy(scene, 180.0)
        assert world.refused[name] == refused, "still refused after it had been told"
        assert world.calls[name] > 20
        check_all(scene, are_errors_allowed=True)
        assert world.overruns == []


async def _busy(scene: Scene, seconds: float) -> None:
    """A reader each three seconds."""
    for _ in range(int(seconds / 3)):
        await scene.ask()
        scene.clock.step(3.0)


@pytest.mark.timeout(120)
async def test_a_limit_that_is_cut_in_silence_is_learnt() -> None:
    subjects = [one for one in SUBJECTS if one.name != "binance" and one.category != "ohlc"]
    await judged("silent cut from 30 to 10 a minute", "a read each 3 s", cut, subjects)


@dataclass(frozen=True)
class Pace:
    """So many readers each time that the clock was stepped on."""

    name: str
    step_s: float
    readers: int = 1


PACES = (Pace("4 an hour", 900.0), Pace("4 a minute", 15.0), Pace("500 a second", 30.0, 8))
READS = 30


async def calls_of(subject: Subject, pace: Pace, faults: Iterator[str]) -> int:
    """Calls to all providers of a category, in so many rounds of readers who all get an answer."""
    async with staged(subject) as scene:
        await begin(scene, "none")
        scene.world.scripts[subject.name] = faults
        before = sum(scene.world.calls.values())
        for _ in range(READS):
            scene.clock.step(pace.step_s)
            await (scene.ask() if pace.readers == 1 else scene.crowd(pace.readers, 500.0))
        check_all(scene, are_errors_allowed=not subject.rivals)
        assert scene.world.overruns == []
        return sum(scene.world.calls.values()) - before


def a_third(seed: str) -> Iterator[str]:
    dice = random.Random(seed)
    while True:
        yield "http500" if dice.random() < 0.3 else "none"


def sometimes(pace: Pace) -> Play:
    async def play(subject: Subject) -> None:
        plain = await calls_of(subject, pace, repeat("none"))
        faulty = await calls_of(subject, pace, a_third(subject.label))
        # Each further call of a query may fail, and then the query is sent to another one.
        most = plain * (1.2 + 0.3 * (subject.calls - 1))
        assert faulty <= most, f"{faulty} calls where {plain} are made without a fault"

    return play


@pytest.mark.timeout(240)
@pytest.mark.parametrize("pace", [pytest.param(one, id=one.name) for one in PACES])
async def test_with_500_in_a_third_of_calls_every_reader_is_answered(pace: Pace) -> None:
    await judged("500 in 30 % of calls", pace.name, sometimes(pace), SUBJECTS)
