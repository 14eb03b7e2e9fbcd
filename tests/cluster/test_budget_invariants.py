"""Random faults over several processes: what holds whatever happens to the store and to them.

The limits of a cluster (the pool, each share, their sum), the fence, the log after a takeover, and
the recovery. Each invariant is also shown to fail where the part that keeps it is taken out.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import cache

import pytest

from backend.cluster.call_log import CallLog
from backend.cluster.leadership import Leadership, Takeover
from backend.cluster.store import CLAIM_S, LEASE_S, BeatReply
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.settings import Configuration, load_configuration
from tests.cluster.fake_store import Data, Fate
from tests.cluster.processes import PERIOD_S, SIZE, SPECS, World
from tests.cluster.virtual_loop import run

#: Virtual seconds of a walk.
WALK_S = 150.0
#: In the last one a store begins anew, and two leaders had the same term.
SEEDS = (*range(8), 10)


@cache
def configuration() -> Configuration:
    return load_configuration(spec.name for spec in SPECS)


class Walk:
    """One fault after the other; some last, so that several are there at once."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World(configuration(), self.random)
        self.world.fate = self.fate
        self.lossy, self.pace = 0.0, self.random.choice([0.5, 1.0, 3.0])
        self.snapshot = Data()
        self.trail: list[str] = []
        self._ends: set[asyncio.Task[None]] = set()
        if self.random.random() < 0.5:
            self.world.skews = {
                worker: self.random.choice([0.0, -40.0, 90.0, 5_000.0]) for worker in range(SIZE)
            }
        if self.random.random() < 0.5:  # all on one machine
            self.world.files = dict.fromkeys(range(SIZE), self.world.files[0])
            self.world.skews = dict.fromkeys(range(SIZE), self.world.skews[0])

    def fate(self, _command: str) -> Fate:
        if self.random.random() >= self.lossy:
            return ""
        return self.random.choice(["command lost", "reply lost", "command late"])

    async def run(self, seconds: float = WALK_S) -> list[str]:
        """Returns what was broken."""
        world = self.world
        for worker in range(SIZE):
            await world.start(worker)
        faults = [
            self.cut, self.cut, self.slow, self.lose, self.wipe, self.restart, self.restore,
            self.keep, self.keep, self.fill, self.freeze, self.freeze, self.kill, self.kill,
            self.leave,
        ]  # fmt: skip
        ends = world.clock.monotonic() + seconds
        while world.clock.monotonic() < ends and not world.broken:
            await asyncio.sleep(self.pace * self.random.choice([0.05, 0.4, 1.5, 3.0, 8.0]))
            fault = self.random.choice(faults)
            self.trail.append(f"{world.clock.monotonic():.2f} {fault.__name__}")
            await fault()
        await asyncio.gather(*self._ends)
        for worker in range(SIZE):
            if worker not in world.processes:
                await world.start(worker)
        await self.recover()
        await world.aclose()
        return world.broken

    async def recover(self) -> None:
        """One leader, whom all others hear, within a lease and two seconds; where the store has
        lost data and its last leader too, all may claim before."""
        self.lossy = 0.0
        await asyncio.sleep(LEASE_S + 2 + CLAIM_S)
        states = [process.membership.state().role for process in self.world.processes.values()]
        if sorted(states) != ["follower"] * (SIZE - 1) + ["leader"]:
            self.world.broken.append(f"after all faults: {states}")

    def during(self, seconds: float, end: Callable[[], Awaitable[None]]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            await end()

        self._ends.add(asyncio.create_task(wait()))

    def lasting(self) -> float:
        return self.random.choice([0.1, 0.6, 2.0, 5.0, 12.0])

    def anybody(self) -> int:
        """A worker, the leader's more often."""
        leaders = [one.worker for one in self.world.leaders()]
        if leaders and self.random.random() < 0.5:
            return leaders[0]
        return self.random.randrange(SIZE)

    async def cut(self) -> None:
        if process := self.world.processes.get(self.anybody()):
            process.store.is_cut = True

            async def end() -> None:
                process.store.is_cut = process.is_ended

            self.during(self.lasting(), end)

    async def slow(self) -> None:
        if process := self.world.processes.get(self.anybody()):
            process.store.delay_s = self.random.choice([0.02, 0.1, 0.3, 0.7])

            async def end() -> None:
                process.store.delay_s = 0.0

            self.during(self.lasting(), end)

    async def lose(self) -> None:
        self.lossy = self.random.choice([0.02, 0.1, 0.3])

        async def end() -> None:
            self.lossy = 0.0

        self.during(self.lasting(), end)

    async def wipe(self) -> None:
        self.world.server.wipe()

    async def keep(self) -> None:
        self.snapshot = self.world.server.snapshot()

    async def restart(self) -> None:
        """Empty."""
        await self._restart(Data())

    async def restore(self) -> None:
        """From an older snapshot; on a replica that was promoted it is younger."""
        await self._restart(self.snapshot)

    async def _restart(self, data: Data) -> None:
        if self.world.server.is_up:
            self.world.server.stop()

            async def end() -> None:
                self.world.server.start(data)

            self.during(self.lasting(), end)

    async def fill(self) -> None:
        self.world.server.is_full = True

        async def end() -> None:
            self.world.server.is_full = False

        self.during(self.lasting(), end)

    async def freeze(self) -> None:
        """SIGSTOP between the store's acknowledgement and the call, and SIGCONT."""
        if process := self.world.processes.get(self.anybody()):
            process.storage.runs.clear()

            async def end() -> None:
                process.storage.runs.set()

            self.during(self.lasting(), end)

    async def kill(self) -> None:
        await self._end(killed=True)

    async def leave(self) -> None:
        await self._end(killed=False)

    async def _end(self, *, killed: bool) -> None:
        worker = self.anybody()
        if process := self.world.processes.pop(worker, None):
            await (process.kill() if killed else process.end())

            async def end() -> None:
                await self.world.start(worker)

            self.during(self.lasting(), end)


def walked(seed: int) -> tuple[Walk, list[str]]:
    async def walk() -> tuple[Walk, list[str]]:
        one = Walk(seed)
        return one, await one.run()

    return run(walk())


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_the_budget_holds_and_the_cluster_recovers(seed: int) -> None:
    walk, broken = walked(seed)
    assert broken == [], "\n".join([*walk.trail, *broken])
    assert walk.world.happened["takeover"] > 1
    assert len(walk.world.counted) > WALK_S / PERIOD_S


def believe(_leadership: Leadership, reply: BeatReply) -> Takeover:
    return Takeover(reply.term, log_is_complete=True, has_past=True, last_life_s=0.0)


#: What keeps the invariants, and what is there without it.
WITHOUT: dict[str, tuple[type, str, Callable[..., object]]] = {
    "the assumption after a loss": (RateLimitGuard, "assume_short_used", lambda _guard: None),
    "doubt about a store that lost data": (Leadership, "_takeover_of", believe),
    "the memory of a leader": (CallLog, "add", lambda _log, _amounts: None),
}


@pytest.mark.parametrize("part", WITHOUT)
def test_without_what_keeps_them_the_same_walks_break_the_limits(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*WITHOUT[part])
    assert any(walked(seed)[1] for seed in SEEDS)
