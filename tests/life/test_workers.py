"""WORKERS: the real gateway as several processes on one socket, under one supervisor."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from backend.observability.log_files import FILES
from tests.cluster.servers import running as store_running
from tests.life.asking import lines, until
from tests.life.process import (
    OUTPUT,
    Gateway,
    free_port,
    is_running,
    memory_mb,
    running,
    started,
    workers_of,
)
from tests.life.test_stopping import fill
from tests.world.server import World

#: The supervisor's memory is measured, and it starts workers by its own command: it is not forked.
PLAIN = ("env",)


def several(world: World, workers: int = 2, **settings: str) -> dict[str, str]:
    """A store that is not there: these tests are about processes, not about what they share."""
    store = f"redis://127.0.0.1:{free_port()}"
    return world.environment(WORKERS=str(workers), REDIS_URL=store, **settings)


@asynccontextmanager
async def all_running(folder: Path, settings: dict[str, str]) -> AsyncIterator[Gateway]:
    async with running(folder, before=PLAIN, **settings) as gateway:
        await gateway.until_logged("workers serve", 30)
        yield gateway


async def status_of_new_connection(gateway: Gateway) -> int:
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        with closing(writer):
            writer.write(
                b"GET /healthz HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n"
            )
            answer = await reader.read()
    return int(answer.split()[1])


async def test_workers_share_a_socket_and_each_other_s_work(world: World, tmp_path: Path) -> None:
    async with all_running(tmp_path, several(world)) as gateway:
        first, second = workers = workers_of(gateway.process.pid)
        for stopped in workers:  # so that the other one answers
            os.kill(stopped, signal.SIGSTOP)
            answers = {await status_of_new_connection(gateway) for _ in range(50)}
            os.kill(stopped, signal.SIGCONT)
            assert answers == {200}
        os.kill(first, signal.SIGKILL)
        while not is_replaced(gateway, first):
            assert await status_of_new_connection(gateway) == 200
        assert workers_of(gateway.process.pid)[1] == second
        assert memory_mb(gateway.process.pid) < 0.65 * memory_mb(second)
        ended = await gateway.stop()
    assert (ended.code, ended.took_s < 5) == (0, True)
    assert not any(map(is_running, workers))
    assert f"worker 0 (process {first}) ended: SIGKILL; it is started again" in ended.output
    assert "Traceback" not in ended.output


def is_replaced(gateway: Gateway, worker: int) -> bool:
    now = workers_of(gateway.process.pid)
    return worker not in now and len(now) == 2


async def test_the_supervisor_writes_the_logs_of_all(world: World, tmp_path: Path) -> None:
    async with all_running(tmp_path, several(world, ACCESS_LOG="true")) as gateway:
        for stopped in workers_of(gateway.process.pid):
            os.kill(stopped, signal.SIGSTOP)
            async with httpx.AsyncClient(base_url=gateway.client.base_url, timeout=10) as client:
                await client.get("/api/market?limit=1")
            os.kill(stopped, signal.SIGCONT)
        rotation = tmp_path / "logs" / "provider_rotation.log"
        await until(lambda: {json.loads(line)["process"] for line in lines(rotation)} == {0, 1})
        holders = [pid for pid in workers_of(gateway.process.pid) if has_open(pid, "provider_")]
        ended = await gateway.stop()
    assert holders == []
    assert {path.stem for path in (tmp_path / "logs").iterdir()} == {*FILES, "access"}
    access = [json.loads(line) for line in lines(tmp_path / "logs" / "access.log")]
    served = [one["process"] for one in access if one["path"] == "/api/market?limit=1"]
    assert sorted(served) == [0, 1]
    assert ended.output.count("Uvicorn running on http://127.0.0.1:") == 1
    assert ended.output.count("Provider Manager initialized") == 1
    ready = f" is ready: open http://127.0.0.1:{gateway.port}/ (documentation: "
    assert ended.output.count(ready) == 1
    assert f"2 workers are started for http://127.0.0.1:{gateway.port}" in ended.output
    assert ended.output.count("Finished server process") == 2


def has_open(pid: int, part: str) -> bool:
    return any(part in os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir())


async def test_a_rolling_restart_loses_no_request(world: World, tmp_path: Path) -> None:
    statuses: list[int] = []
    most, is_over = 0, asyncio.Event()

    async def ask_on_new_connections() -> None:
        while not is_over.is_set():
            statuses.append(await status_of_new_connection(gateway))

    async def ask_on_one_connection() -> None:
        async with httpx.AsyncClient(base_url=gateway.client.base_url, timeout=10) as client:
            while not is_over.is_set():
                statuses.append((await client.get("/healthz")).status_code)

    async with all_running(tmp_path, several(world)) as gateway:
        old = workers_of(gateway.process.pid)
        async with asyncio.TaskGroup() as group:
            for ask in (ask_on_new_connections, ask_on_one_connection) * 3:
                group.create_task(ask())
            gateway.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(30):
                while {*old} & {*(now := workers_of(gateway.process.pid))} or len(now) < 2:
                    most = max(most, len(now))
                    await asyncio.sleep(0.02)
            await gateway.until_logged("the workers were restarted")
            is_over.set()
        ended = await gateway.stop()
    assert ended.code == 0
    assert most == 2
    assert len(statuses) > 100
    assert {*statuses} == {200}


async def test_another_worker_leads_at_once_after_a_kill(world: World, tmp_path: Path) -> None:
    """Not after the three seconds of a lease: a worker releases it for the dead one."""

    async def leader() -> int:
        holder = str(await store.get("{gw:gateway}:v1:lease") or "nobody:0:")
        return int(holder.split(":")[-2])

    with store_running(tmp_path) as server:
        settings = {**several(world), "REDIS_URL": server.url}
        async with (
            all_running(tmp_path, settings) as gateway,
            Redis(port=server.port, decode_responses=True) as store,
        ):
            # Before its log is complete, a leader's death is a loss of data: all may speak then.
            await until_true(lambda: store.hexists("{gw:gateway}:v1:calls", "whole"))
            old = await leader()
            began = time.monotonic()
            os.kill(old, signal.SIGKILL)
            while await leader() in (0, old):
                await asyncio.sleep(0.02)
            took_s = time.monotonic() - began
            ended = await gateway.stop()
    assert ended.code == 0
    assert took_s < 2.2


async def until_true(ask: Callable[[], Awaitable[int]]) -> None:
    async with asyncio.timeout(10):
        while not await ask():
            await asyncio.sleep(0.02)


async def test_an_unread_output_delays_neither_answers_nor_the_end(
    world: World, tmp_path: Path
) -> None:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    fill(writes)
    os.set_blocking(writes, True)
    try:
        async with running(tmp_path, before=PLAIN, stdout=writes, **several(world)) as gateway:
            await until(lambda: len(workers_of(gateway.process.pid)) == 2)
            answers = {await status_of_new_connection(gateway) for _ in range(20)}
            ended = await gateway.stop()
    finally:
        os.close(reads)
        os.close(writes)
    assert answers == {200}
    assert (ended.code, ended.output) == (0, "")
    assert ended.took_s < 8


async def test_workers_end_when_their_supervisor_is_killed(world: World, tmp_path: Path) -> None:
    async with all_running(tmp_path, several(world)) as gateway:
        workers = workers_of(gateway.process.pid)
        gateway.process.kill()
        await gateway.process.wait()
        await until(lambda: not any(map(is_running, workers)), 5)
        socket.create_server(("127.0.0.1", gateway.port)).close()


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"COINGECKO_FREE_LIMITS": "lots"}, "invalid setting  COINGECKO_FREE_LIMITS: "),
        ({"REDIS_URL": ""}, "invalid setting  WORKERS: 3 need REDIS_URL"),
        ({"LOG_LEVEL": "many"}, "invalid setting  LOG_LEVEL: "),
    ],
)
async def test_an_invalid_setting_ends_all_with_one_line(
    world: World, tmp_path: Path, settings: dict[str, str], line: str
) -> None:
    settings = {**several(world, 3), "HOST": "127.0.0.1", "PORT": str(free_port()), **settings}
    async with started(tmp_path, before=PLAIN, **settings) as process:
        assert await asyncio.wait_for(process.wait(), 20) == 2
    (said,) = (tmp_path / OUTPUT).read_text().splitlines()[-1:]
    assert said.startswith(line)
    assert (tmp_path / OUTPUT).read_text().count("invalid setting") == 1


async def test_a_port_in_use_is_one_line(world: World, tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        settings = {**several(world), "HOST": "127.0.0.1", "PORT": str(port)}
        async with started(tmp_path, before=PLAIN, **settings) as process:
            assert await asyncio.wait_for(process.wait(), 20) == 2
    (line,) = (tmp_path / OUTPUT).read_text().splitlines()
    assert line == f"invalid setting  PORT: {port} is in use by another process"
