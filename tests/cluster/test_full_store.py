"""A store without memory for new data: leases go on, calls are refused, and all processes know."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis import Redis

from backend.clock import SystemClock
from backend.cluster.identity import Identity
from backend.cluster.membership import Membership
from backend.cluster.redis_store import RedisStore
from backend.cluster.store import StoreFull
from tests.cluster.servers import PROGRAMS, Server, running


@pytest.fixture(params=PROGRAMS)
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    with running(tmp_path, request.param) as server:
        yield server


@pytest.fixture
async def two(server: Server) -> AsyncIterator[tuple[Membership, Membership]]:
    """The first one leads."""
    async with AsyncExitStack() as stack:
        both = []
        for name in ("one", "two"):
            store = RedisStore(server.url, "gateway")
            stack.push_async_callback(store.aclose)
            identity = Identity(name, name, "gateway", "0.1.0", 2, may_lead=True, settings="{}")
            both.append(Membership(store, identity, SystemClock()))
            await both[-1].connect()
        while not both[0].leads:
            await both[0]._beat_once()
            if both[0]._leadership._task:
                await both[0]._leadership._task
        yield both[0], both[1]


async def test_all_processes_know_that_nobody_can_call_for_all(
    server: Server, two: tuple[Membership, Membership]
) -> None:
    leader, follower = two
    await follower._beat_once()
    assert follower.expects_leader
    assert await leader.store.replace_calls("one", {})
    with Redis(port=server.port) as admin:
        admin.config_set("maxmemory", "1mb")
        with pytest.raises(StoreFull):
            await leader.store.append("one", {("a/minute", 1): 1})
        for membership in two:
            await membership._beat_once()
        assert not leader.leads
        assert not leader.expects_leader
        assert not follower.expects_leader
        admin.config_set("maxmemory", "0")
        await follower._beat_once()
    assert follower.expects_leader
