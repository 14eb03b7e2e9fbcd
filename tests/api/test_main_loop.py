"""The server's main loop: it sleeps for a second at a time, and ends as soon as it is asked to."""

import asyncio
import os
import signal
import time

import pytest

from api import process
from backend.gateway import read_configuration
from tests.api.stream.client import until
from tests.world.server import World


@pytest.fixture
async def server(world: World, surroundings: pytest.MonkeyPatch) -> process.Server:
    for name, value in world.environment().items():
        surroundings.setenv(name, value)
    return process.server(read_configuration(), host="127.0.0.1", port=0)


async def test_an_idle_server_looks_for_an_exit_once_a_second(
    server: process.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters: list[int] = []
    on_tick = process.Server.on_tick

    async def noted(self: process.Server, counter: int) -> bool:
        counters.append(counter)
        return await on_tick(self, counter)

    monkeypatch.setattr(process.Server, "on_tick", noted)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    await asyncio.sleep(1.5)
    server.should_exit = True
    await task
    assert counters[0] == 0
    assert len(counters) <= 4  # at the start, each second, and at the end
    assert all(counter % process.TICKS_PER_S == 0 for counter in counters)


@pytest.mark.parametrize("by_signal", [False, True])
async def test_it_ends_at_once(server: process.Server, by_signal: bool) -> None:
    # uvicorn raises the signal again once it has ended.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        task = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        await asyncio.sleep(0.1)  # the main loop sleeps
        begun = time.monotonic()
        if by_signal:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            server.should_exit = True
        await until(lambda: not server.servers or not server.servers[0].is_serving(), 10)
        assert time.monotonic() - begun < 0.8
        await task
    finally:
        signal.signal(signal.SIGTERM, before)


def test_it_may_be_asked_to_end_after_its_end(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    """By its supervisor's end, which a thread notices: the loop may be closed by then."""
    for name, value in world.environment().items():
        surroundings.setenv(name, value)
    server = process.server(read_configuration(), host="127.0.0.1", port=0)
    server.should_exit = True
    asyncio.run(server.serve())
    assert server.started
    server.should_exit = True
