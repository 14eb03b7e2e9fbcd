"""The faults. Each lasts for some seconds, and has been mended when it returns."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGCONT, SIGSTOP

from redis.exceptions import RedisError

from tests.cluster.chaos.group import Group, Member

MENDED_S = 30.0
#: What a fault touches: two that touch the same never come at once. `process` and `link` are those
#: of one member.
Place = str
Run = Callable[[Group, Member, float], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """`of` says which process it meets: the leader, a follower, or none. `empties`: the store
    loses its data."""

    name: str
    place: Place
    of: str
    run: Run
    empties: bool = False


async def stop_store(group: Group, _member: Member, seconds: float) -> None:
    group.store.signal(SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        group.store.signal(SIGCONT)


async def kill_store(group: Group, _member: Member, seconds: float) -> None:
    """It comes back empty."""
    await asyncio.to_thread(group.store.kill)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(group.store.start)


async def flush_store(group: Group, _member: Member, seconds: float) -> None:
    await _commanded(group, "FLUSHALL")
    await asyncio.sleep(seconds)


async def fill_store(group: Group, _member: Member, seconds: float) -> None:
    await _commanded(group, "CONFIG", "SET", "maxmemory", "1mb")
    try:
        await asyncio.sleep(seconds)
    finally:
        async with asyncio.timeout(MENDED_S):  # it may hang at the moment
            while not await _commanded(group, "CONFIG", "SET", "maxmemory", "0"):
                await asyncio.sleep(0.1)


async def pause_clients(group: Group, _member: Member, seconds: float) -> None:
    await _commanded(group, "CLIENT", "PAUSE", int(seconds * 1_000), "ALL")
    await asyncio.sleep(seconds)


async def kill_subscribers(group: Group, _member: Member, seconds: float) -> None:
    await _commanded(group, "CLIENT", "KILL", "TYPE", "pubsub")
    await asyncio.sleep(seconds)


async def sleep_store(group: Group, _member: Member, seconds: float) -> None:
    """The server is busy: it accepts connections, and answers nothing."""
    asleep = asyncio.create_task(_commanded(group, "DEBUG", "SLEEP", f"{seconds:.1f}"))
    await asyncio.sleep(seconds)
    await asleep


async def kill_member(_group: Group, member: Member, seconds: float) -> None:
    await member.end()
    await asyncio.sleep(seconds)
    await member.start()


async def terminate_member(_group: Group, member: Member, seconds: float) -> None:
    code = await member.terminate()
    assert code == 0, f"it ended with {code}: {member.output[-2_000:]}"
    await asyncio.sleep(seconds)
    await member.start()


async def stop_member(_group: Group, member: Member, seconds: float) -> None:
    member.stop()
    try:
        await asyncio.sleep(seconds)
    finally:
        member.go_on()


async def cut_member(_group: Group, member: Member, seconds: float) -> None:
    await member.link.set_mode("hole")
    try:
        await asyncio.sleep(seconds)
    finally:
        await member.link.set_mode("pass")


async def refuse_member(_group: Group, member: Member, seconds: float) -> None:
    await member.link.set_mode("refuse")
    try:
        await asyncio.sleep(seconds)
    finally:
        await member.link.set_mode("pass")


def delay_all(delay_s: float) -> Run:
    async def delay(group: Group, _member: Member, seconds: float) -> None:
        for member in group.members:
            member.link.delay_s = delay_s
        try:
            await asyncio.sleep(seconds)
        finally:
            for member in group.members:
                member.link.delay_s = 0.0

    return delay


async def _commanded(group: Group, *words: object) -> bool:
    """False where the store does not answer: it may hang meanwhile."""
    with suppress(RedisError, OSError, TimeoutError):
        await group.command(*words)
        return True
    return False


#: A store that is too near to count as away, and too far to ask the leader over it.
NEARLY_AWAY = "100 ms to the store each way"
FAULTS = (
    Fault("the store hangs (SIGSTOP)", "store", "none", stop_store),
    Fault("the store is killed, and comes back empty", "store", "none", kill_store, empties=True),
    Fault("FLUSHALL", "store", "none", flush_store, empties=True),
    Fault("the store is full (maxmemory, noeviction)", "memory", "none", fill_store),
    Fault("CLIENT PAUSE", "store", "none", pause_clients),
    Fault("CLIENT KILL TYPE pubsub", "store", "none", kill_subscribers),
    Fault("DEBUG SLEEP", "store", "none", sleep_store),
    Fault("the leader is killed (kill -9), and restarted", "process", "leader", kill_member),
    Fault("a follower is killed (kill -9), and restarted", "process", "follower", kill_member),
    Fault("the leader ends (SIGTERM), and is restarted", "process", "leader", terminate_member),
    Fault("the leader hangs (SIGSTOP), and goes on", "process", "leader", stop_member),
    Fault("a follower hangs (SIGSTOP), and goes on", "process", "follower", stop_member),
    Fault("the leader alone loses the store (silence)", "link", "leader", cut_member),
    Fault("a follower alone loses the store (silence)", "link", "follower", cut_member),
    Fault("the leader alone loses the store (refused)", "link", "leader", refuse_member),
    Fault("a follower alone loses the store (refused)", "link", "follower", refuse_member),
    Fault(NEARLY_AWAY, "delay", "none", delay_all(0.1)),
    Fault("400 ms to the store each way", "delay", "none", delay_all(0.4)),
)
