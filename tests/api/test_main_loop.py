"""The server's main loop: it sleeps for seconds at a time, and ends as soon as it is asked to."""

import asyncio
import gc
import os
import signal
import sys
import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from api import process
from backend.gateway import read_configuration
from tests.api.stream.client import until
from tests.world.server import World


@pytest.fixture
async def server(world: World, surroundings: pytest.MonkeyPatch) -> process.Server:
    for name, value in world.environment().items():
        surroundings.setenv(name, value)
    # Else the watchdog of a signal would end this process, too.
    return process.server(read_configuration(), host="127.0.0.1", port=0, exit_after_s=86_400)


async def test_a_server_with_many_connections_looks_for_descriptors_once_a_second(
    server: process.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MANY_CONNECTIONS", 0)
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


async def test_an_idle_server_sleeps_longer_and_has_the_right_date(
    server: process.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "TICK_S", 0.05)
    ticks: list[int] = []
    on_tick = process.Server.on_tick

    async def noted(self: process.Server, counter: int) -> bool:
        ticks.append(counter)
        return await on_tick(self, counter)

    monkeypatch.setattr(process.Server, "on_tick", noted)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    for _ in range(2):
        await asyncio.sleep(1.1)
        async with httpx.AsyncClient() as client:
            sent = (await client.get(f"http://127.0.0.1:{port}/healthz")).headers["date"]
        assert abs(parsedate_to_datetime(sent).timestamp() - time.time()) < 1.5
    assert len(ticks) <= 2  # at the start only
    server.should_exit = True
    await task


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


@pytest.mark.filterwarnings("error")
def test_a_signal_before_it_serves_leaves_no_warning(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    """The handler of the start raises SystemExit wherever the program is."""
    for name, value in world.environment().items():
        surroundings.setenv(name, value)
    server = process.server(read_configuration(), host="127.0.0.1", port=0)

    def end(*_: object, **__: object) -> None:
        sys.exit(0)

    surroundings.setattr("uvicorn.server.asyncio_run", end)
    with pytest.raises(SystemExit):
        server.run()
    del server
    gc.collect()
