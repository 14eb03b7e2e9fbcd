"""One cell of the table: a provider, a fault, a rate of calls; what is seen while it lasts."""

import asyncio
import os
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from tests.chaos.answers import MAX_STALE_S, check_all
from tests.chaos.rows import Row
from tests.chaos.scene import Scene
from tests.chaos.subjects import PROVIDER_TIMEOUT_S, QUICK

QUARTER_S, A_LITTLE_S = 900.0, 15.0
#: Readers of a crowd, and how many of them come in a second.
CROWD, CROWD_PER_S = 10 if os.environ.get(QUICK) else 50, 500.0
#: The longest between a call and the state that follows from it: a time-out, in seconds.
LATE_S = PROVIDER_TIMEOUT_S + 0.1
#: A question that a provider refused is kept from it for so long.
QUESTION_REFUSED_S = 601.0
READS, MOST_PROBES = 4, 8


async def four_an_hour(scene: Scene, watch: "Watch") -> None:
    for _ in range(READS):
        await watch.see(scene.ask)
        scene.clock.step(QUARTER_S)


async def four_a_minute(scene: Scene, watch: "Watch") -> None:
    for _ in range(READS):
        await watch.see(scene.ask)
        scene.clock.step(A_LITTLE_S)


async def five_hundred_a_second(scene: Scene, watch: "Watch") -> None:
    """A crowd, when it is the subject's turn."""
    while await _is_others_turn(scene):
        await scene.ask()
        await due(scene)  # beside a slow one of the others it may have been asked, and be out again

    async def come() -> None:
        await scene.crowd(CROWD, CROWD_PER_S)

    await watch.see(come)


async def _is_others_turn(scene: Scene) -> bool:
    if scene.subject.category != "market":
        return False
    chosen = (await scene.read("/api/status/explain?category=market")).json()["chosen"]
    return bool(chosen != scene.subject.name)


RATES: dict[str, Callable[[Scene, "Watch"], Awaitable[None]]] = {
    "4 an hour": four_an_hour,
    "4 a minute": four_a_minute,
    "500 a second": five_hundred_a_second,
}


@dataclass
class Watch:
    """Looks at the subject's state after each reader, and at the calls that it got meanwhile."""

    scene: Scene
    row: Row
    attempts: int = 0
    attempts_before: int = 0
    until: float | None = None
    _last_at: float = float("-inf")

    async def see(self, read: Callable[[], Awaitable[object]]) -> None:
        counted = self.scene.calls()
        await read()
        if self.scene.calls() > counted:
            await self._verdict()
        status = self.scene.provider()
        until = monotonic_of(self.scene, status["cooldown_until"])
        times = self._times(counted, until)
        if not times:
            return
        most = self.row.calls * self.scene.subject.calls
        assert len(times) <= most, f"{len(times)} calls where one attempt was due"
        self._check_when(times[0])
        self._check_state(status, until, times[-1])

    async def _verdict(self) -> None:
        """Another may have answered beside it; its own silence is judged in its own time."""
        for _ in range(int(2 * PROVIDER_TIMEOUT_S / 0.05)):
            status = self.scene.provider()
            until = monotonic_of(self.scene, status["cooldown_until"])
            if until is not None and until > self.scene.clock.monotonic():
                return
            await asyncio.sleep(0.05)

    def _times(self, counted: int, until: float | None) -> list[float]:
        """Calls that came; where nobody listens, a new `until` is the sign of one."""
        if self.row.fault != "refused":
            return self.scene.call_times()[counted:]
        is_new = until is not None and abs(until - (self.until or 0.0)) > 0.1
        return [self.scene.clock.monotonic()] if is_new else []

    def _check_when(self, at: float) -> None:
        """Never before `until`, but for the early probe of a category of which nobody is left."""
        if self.until is None or at >= self.until - 0.1:
            return
        early = f"called {self.until - at:.1f} s before its time"
        assert not self.row.is_the_providers_word, early
        rotation = self.scene.rotation()
        chosen = [one for one in rotation if one["provider"] == self.scene.subject.name][-1]
        assert chosen["reason"].startswith("no provider is eligible"), early
        assert at - self._last_at >= 5, f"probed again after {at - self._last_at:.1f} s"

    def _check_state(self, status: dict[str, str], until: float | None, at: float) -> None:
        assert status["status"] == self.row.state, f"is {status['status']}: {status['reason']}"
        assert status["reason"] in self.row.reasons, f"for {status['reason']}"
        assert until is not None
        low, high = self.row.later_s if self.attempts else self.row.first_s
        early_s = LATE_S if self.row.fault == "refused" else 0.1
        assert low - early_s <= until - at <= high + LATE_S, f"until {until - at:.1f} s later"
        assert self.until is None or until >= self.until - 0.1, "until went back"
        self.until, self._last_at, self.attempts = until, at, self.attempts + 1


def monotonic_of(scene: Scene, text: str | None) -> float | None:
    """A `cooldown_until` on the clock of the scene."""
    if text is None:
        return None
    left_s = (datetime.fromisoformat(text) - scene.wrong.now()).total_seconds()
    return scene.clock.monotonic() + left_s


async def begin(scene: Scene, fault: str) -> None:
    """A first good answer; then the fault."""
    reading = await scene.ask()
    assert reading.status == 200, reading.body[:300]
    await _account_asked(scene)
    await asyncio.sleep(0.2)  # another may still be under way beside it
    if fault == "refused":
        await scene.world.stop(scene.subject.name)
    else:
        scene.world.faults[scene.subject.name] = fault


async def _account_asked(scene: Scene) -> None:
    """A paid key is asked at the start what it may do: that is over before the fault begins."""
    async with asyncio.timeout(10):
        while scene.subject.name == "coingecko_pro" and "/api/v3/key" not in scene.paths():
            await asyncio.sleep(0.01)


@dataclass
class Life:
    """A fault from its beginning to its end, at one rate after the other.

    `phase` is the one that is under way, or the one in which something did not hold.
    """

    row: Row
    phases: tuple[str, ...]
    alone: bool
    phase: str = field(init=False)

    def __post_init__(self) -> None:
        self.phase = self.phases[0]

    async def run(self, scene: Scene) -> None:
        """The fault has begun. Raises AssertionError where something does not hold."""
        is_tolerated = self.row.tolerates(scene.subject)
        watch = Blind(scene, self.row) if is_tolerated else Watch(scene, self.row)
        for phase in self.phases:
            self.phase = phase
            await due(scene)
            watch.attempts_before = watch.attempts
            await RATES[phase](scene, watch)
            assert watch.attempts > watch.attempts_before, "the fault was never met"
        if self.alone and not is_tolerated:
            await _beyond_its_age(scene)
        check_all(scene, are_errors_allowed=self.alone)
        await heal(scene)
        check_all(scene, are_errors_allowed=self.alone)
        assert scene.world.overruns == []

    def troubles(self, error: str | None) -> dict[str, str | None]:
        """By phase: what did not hold in it."""
        found: dict[str, str | None] = dict.fromkeys(self.phases)
        if error:
            later = self.phases[self.phases.index(self.phase) + 1 :]
            found |= {self.phase: error, **dict.fromkeys(later, "not reached")}
        return found


async def due(scene: Scene) -> None:
    """On to when the subject may be asked, by its state and by its limits."""
    now = scene.clock.monotonic()
    until = monotonic_of(scene, scene.provider()["cooldown_until"]) or now
    scene.clock.step(max(0.0, until - now) + 1.0)
    scene.clock.step(max(scene.subject.spacing_s, QUESTION_REFUSED_S))
    while scene.comes_last():
        scene.clock.step(60.0)


class Blind(Watch):
    """For those whose answers are still good: nothing follows from the fault."""

    async def see(self, read: Callable[[], Awaitable[object]]) -> None:
        counted = self.scene.calls()
        await read()
        self.attempts += self.scene.calls() - counted
        status = self.scene.provider()
        assert (status["status"], status["reason"]) == ("active", None)


async def _beyond_its_age(scene: Scene) -> None:
    """With nothing left that may be served, the precise error."""
    scene.clock.step(MAX_STALE_S[scene.subject.category] + 60)
    reading = await scene.ask()
    assert reading.status in (503, 504), f"{reading.status} without anything to serve"
    document = reading.json()
    assert document["code"] == "all_providers_failed", document
    assert scene.subject.name in {one["provider"] for one in document["providers"]}


async def heal(scene: Scene) -> None:
    """The provider is well again: the next time that it is asked, it is back."""
    name = scene.subject.name
    scene.world.faults.clear()
    if name not in scene.world._servers:
        await scene.world.start(name)
    await due(scene)
    asked = scene.calls()
    for _ in range(MOST_PROBES):
        reading = await scene.ask()
        status = scene.provider()
        if scene.calls() > asked and status["status"] == "active":
            assert reading.status == 200, reading.body[:300]
            assert status["reason"] is None
            return
        # What began under the fault may end after it, and a busy machine may be late: once more.
        await (due(scene) if scene.calls() > asked else _next_turn(scene))
    raise AssertionError(f"never back: {status['status']} {status['last_error']}")


async def _next_turn(scene: Scene) -> None:
    scene.clock.step(scene.subject.spacing_s)


async def trouble_of(work: Awaitable[None]) -> str | None:
    """What does not hold, in words; None where all does."""
    try:
        await work
    except AssertionError as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return (str(error) or f"{where.name}: {where.line}").splitlines()[0]
    except TimeoutError:
        return "what should come about did not"
    return None
