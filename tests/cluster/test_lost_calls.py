"""A new leader that cannot know all calls of the last period counts the short limits as used up."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from backend.cluster.store import CLAIM_S, LEASE_S
from backend.settings import load_configuration
from backend.storage.contract import CLOCK_SLACK_S, SavedState
from tests.cluster.processes import PERIOD_S, SPECS, File, World
from tests.cluster.virtual_loop import run

#: For a takeover after a loss of the store's data, and some calls.
LED_S = LEASE_S + 2 * CLAIM_S + 4


def in_world(walk: Callable[[World], Awaitable[None]]) -> World:
    async def walked() -> World:
        world = World(load_configuration(spec.name for spec in SPECS), random.Random(1))
        await walk(world)
        await world.aclose()
        return world

    return run(walked())


def calls_of_pool(world: World) -> int:
    return sum(one.is_of_pool for one in world.in_period("scarce"))


async def led(world: World, worker: int, seconds: float = LED_S) -> None:
    await world.start(worker)
    await asyncio.sleep(seconds)


def test_all_processes_and_the_stores_data_gone_the_next_machine_waits_for_a_period() -> None:
    """Only the file of machine 0 has the calls; machine 1 knows that there was a cluster."""

    async def walk(world: World) -> None:
        await led(world, 0)
        await led(world, 1)
        assert calls_of_pool(world) > 0
        for worker in (0, 1):
            await world.processes.pop(worker).kill()
        world.server.wipe()
        await led(world, 1)
        assert world.leaders()
        before = world.clock.monotonic()
        await asyncio.sleep(PERIOD_S)
        assert any(one.is_of_pool and one.at > before for one in world.counted)

    assert in_world(walk).broken == []


def test_a_first_start_with_a_file_of_a_single_process_does_not_wait() -> None:
    async def walk(world: World) -> None:
        now_s = int(world.clock.now().timestamp())
        await world.files[0].add_calls({("scarce/open/20 seconds", now_s - 100): 1}, now_s)
        await led(world, 0)
        assert calls_of_pool(world) > 0

    assert in_world(walk).broken == []


def test_calls_that_the_new_leader_sets_aside_may_have_been_made_a_moment_ago() -> None:
    """The store's clock was set back by more than what is believed."""

    async def walk(world: World) -> None:
        await led(world, 0)
        assert calls_of_pool(world) > 0
        await world.processes.pop(0).kill()
        world.server.ahead_s -= CLOCK_SLACK_S + 600
        world.server.data.lease = None
        await led(world, 1)
        assert world.leaders()

    assert in_world(walk).broken == []


class UnreadableFile(File):
    """Reading takes too long once `is_slow`."""

    is_slow = False

    async def load(self) -> SavedState:
        return SavedState() if self.is_slow else await super().load()


def test_a_file_that_cannot_be_read_at_a_takeover_does_not_get_its_calls_twice() -> None:
    async def walk(world: World) -> None:
        file = world.files[0] = UnreadableFile()
        await led(world, 0)
        process, window = world.processes[0], "scarce/open/20 seconds"
        made = sum(file.calls[window].values())
        assert made > 0
        file.is_slow = True
        process.membership.record_refusal(was_fenced=True)  # it takes over once more
        await asyncio.sleep(2)
        assert process.membership.takeovers == 2
        assert sum(file.calls[window].values()) < 2 * made

    assert in_world(walk).broken == []
