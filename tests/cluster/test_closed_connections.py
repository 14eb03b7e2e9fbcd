"""Commands of the shared store whose connection is closed while they wait for the server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from backend.cluster.redis_store import RedisStore
from backend.cluster.store import StoreUnavailable
from tests.cluster.servers import Server, running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path) as server:
        yield server


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RedisStore]:
    store = RedisStore(server.url, "gateway")
    await store.connect()
    yield store
    server.signal(SIGCONT)
    await store.aclose()


async def test_waiting_commands_fail_as_if_the_store_were_away(
    server: Server, store: RedisStore
) -> None:
    server.signal(SIGSTOP)
    appends = [asyncio.create_task(store.append("me", {("a/minute", 1): 1})) for _ in range(5)]
    await asyncio.sleep(0.05)
    await store.aclose()
    results = await asyncio.gather(*appends, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 5


async def test_a_server_that_accepts_and_answers_nothing_is_not_connected(
    server: Server, store: RedisStore
) -> None:
    server.signal(SIGSTOP)
    connecting = asyncio.create_task(store.connect())
    await asyncio.sleep(0.2)
    assert not store.is_connected  # else readers wait for a leader
    server.signal(SIGCONT)
    await connecting
    assert store.is_connected


async def test_a_cancelled_caller_is_cancelled(server: Server, store: RedisStore) -> None:
    server.signal(SIGSTOP)
    append = asyncio.create_task(store.append("me", {("a/minute", 1): 1}))
    await asyncio.sleep(0.05)
    append.cancel()
    await store.aclose()
    with pytest.raises(asyncio.CancelledError):
        await append
