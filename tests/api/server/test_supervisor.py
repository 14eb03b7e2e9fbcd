"""The supervisor with real processes: restarts, signs of life, rolling restarts, ends, logs."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.api.server.light_worker import LINES, LONG
from tests.life.asking import until
from tests.life.process import OUTPUT, Process, free_port, is_running, started, workers_of

SUPERVISOR = ("-m", "tests.api.server.light_supervisor")


@dataclass
class Supervised:
    process: Process
    folder: Path
    port: int

    @property
    def output(self) -> str:
        return (self.folder / OUTPUT).read_text()

    def workers(self) -> list[int]:
        return workers_of(self.process.pid)

    async def ask(self) -> tuple[int, int]:
        """The process id and the number of the worker that answers a new connection."""
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            pid, index = (await reader.read()).split()
            writer.close()
        return int(pid), int(index)

    async def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        await asyncio.sleep(0.02)
        with suppress(ProcessLookupError):
            self.process.send_signal(number)  # impatience changes nothing
        return await asyncio.wait_for(self.process.wait(), 5)


@asynccontextmanager
async def supervised(
    folder: Path, does: str = "serve", workers: int = 2
) -> AsyncIterator[Supervised]:
    port = free_port()
    async with started(folder, *SUPERVISOR, str(port), str(workers), does) as process:
        yield Supervised(process, folder, port)


async def until_all_serve(one: Supervised, workers: int = 2) -> list[int]:
    await until(lambda: f"all {workers} workers serve" in one.output, 20)
    return one.workers()


def replaced(one: Supervised, old: int, workers: int = 2) -> Callable[[], bool]:
    return lambda: old not in one.workers() and len(one.workers()) == workers


async def test_a_killed_worker_is_replaced_and_the_others_answer(tmp_path: Path) -> None:
    async with supervised(tmp_path) as one:
        first, second = await until_all_serve(one)
        os.kill(second, signal.SIGKILL)
        await until(lambda: second not in one.workers())
        answered = [await one.ask() for _ in range(50)]
        await until(replaced(one, second), 10)
        assert one.workers()[0] == first
        assert await one.end() == 0
    assert {pid for pid, _ in answered} <= {first, *[pid for pid, i in answered if i == 1]}
    assert (first, 0) in answered
    assert f"worker 1 (process {second}) ended: SIGKILL; it is started again in 0.1 s" in one.output
    assert (tmp_path / "deaths").read_text() == f"{second}\n"  # the other worker was told


async def test_a_worker_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    async with supervised(tmp_path) as one:
        first, second = await until_all_serve(one)
        os.kill(first, signal.SIGSTOP)
        assert {await one.ask() for _ in range(20)} == {(second, 1)}
        await until(replaced(one, first), 10)
        assert one.workers()[1] == second
        assert await one.end() == 0
    assert f"worker 0 (process {first}) shows no sign of life and is killed" in one.output


async def test_a_pause_of_all_processes_costs_no_worker(tmp_path: Path) -> None:
    async with supervised(tmp_path) as one:
        workers = await until_all_serve(one)
        paused = (one.process.pid, *workers)
        for pid in paused:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(2.5)
        for pid in paused:
            os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(0.5)
        assert one.workers() == workers
        assert await one.end() == 0
    assert "sign of life" not in one.output


async def test_a_worker_that_fails_is_started_again_ever_later(tmp_path: Path) -> None:
    async with supervised(tmp_path, "fail") as one:
        await until(lambda: one.output.count("started again in 0.5 s") == 2, 20)
        first, index = await one.ask()
        assert index == 0
        one.process.send_signal(signal.SIGHUP)  # it would end the only one that serves
        await asyncio.sleep(0.7)
        assert await one.ask() == (first, 0)
        assert await one.end() == 0
    times = ["0.1", "0.5", "0.5"]
    ends = [line for line in one.output.splitlines() if "ended: exit code 1" in line]
    assert [line.split()[-2] for line in ends[:3]] == times


async def test_not_all_workers_start_at_once(tmp_path: Path) -> None:
    most = 0
    async with supervised(tmp_path, "slow", 4) as one:
        await until(lambda: len(one.workers()) == 2)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.4):
                while True:
                    most = max(most, len(one.workers()))
                    await asyncio.sleep(0.02)
        assert most == 2
        assert len(await until_all_serve(one, 4)) == 4
        assert await one.end() == 0


async def test_a_wrong_setting_ends_all_with_one_line(tmp_path: Path) -> None:
    async with supervised(tmp_path, "wrong", 3) as one:
        assert await asyncio.wait_for(one.process.wait(), 20) == 2
    assert one.output == "invalid setting  LIMITS: lots\n"


async def test_a_setting_that_becomes_wrong_costs_one_worker_until_it_is_right(
    tmp_path: Path,
) -> None:
    async with supervised(tmp_path, "late") as one:
        old = await until_all_serve(one)
        (tmp_path / "changed").touch()
        one.process.send_signal(signal.SIGHUP)
        await until(lambda: one.output.count("LIMITS: lots") >= 2, 10)
        assert (await one.ask())[1] == 0
        (tmp_path / "changed").unlink()
        await until(lambda: len(one.workers()) == 2 and not {*one.workers()} & {*old}, 10)
        assert await one.end() == 0


async def test_a_rolling_restart_replaces_one_worker_after_the_other(tmp_path: Path) -> None:
    async with supervised(tmp_path, workers=3) as one:
        old = await until_all_serve(one, 3)
        one.process.send_signal(signal.SIGHUP)
        most, fewest = 0, 3
        async with asyncio.timeout(20):
            while {*old} & {*(running := one.workers())} or len(running) < 3:
                most, fewest = max(most, len(running)), min(fewest, len(running))
                assert (await one.ask())[0] > 0
        assert (most, fewest) == (3, 2)
        await until(lambda: "the workers were restarted" in one.output)
        assert await one.end() == 0
    assert "ended:" not in one.output
    assert not (tmp_path / "deaths").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_all_and_kills_who_hangs(tmp_path: Path, number: int) -> None:
    async with supervised(tmp_path) as one:
        workers = await until_all_serve(one)
        os.kill(workers[0], signal.SIGSTOP)
        began = time.monotonic()
        assert await one.end(number) == 0
        took_s = time.monotonic() - began
    assert 0.9 < took_s < 4
    assert not any(map(is_running, workers))
    assert f"worker 0 (process {workers[0]}) does not end and is killed" in one.output


async def test_workers_end_without_their_supervisor(tmp_path: Path) -> None:
    async with supervised(tmp_path) as one:
        workers = await until_all_serve(one)
        one.process.kill()
        await one.process.wait()
        await until(lambda: not any(map(is_running, workers)), 3)


async def test_no_line_of_several_workers_is_lost_over_rotations(tmp_path: Path) -> None:
    async with supervised(tmp_path, "log") as one:
        await until(lambda: one.output.count("all is logged") == 2, 30)
        assert await one.end() == 0
    files = sorted((tmp_path / "logs").glob("provider_health.log*"))
    assert len(files) > 3  # it was rotated
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    numbers = [(line["process"], line["number"]) for line in lines if line["event"] == "tested"]
    assert sorted(numbers) == [(process, i) for process in (0, 1) for i in range(LINES)]
    long = [(line["process"], len(line["text"])) for line in lines if line["event"] == "long"]
    assert sorted(long) == [(0, LONG), (1, LONG)]
    assert "INFO    gateway[0]  all is logged" in one.output


async def test_the_supervisor_imports_no_application(tmp_path: Path) -> None:
    code = "import sys, api.server.workers; print(*sys.modules, sep='\\n')"
    async with started(tmp_path, "-c", code) as process:
        assert await asyncio.wait_for(process.wait(), 20) == 0
    loaded = {*(tmp_path / OUTPUT).read_text().splitlines()}
    assert "api.server.supervisor" in loaded
    assert not {"fastapi", "uvicorn", "httpx", "redis", "structlog", "backend.gateway"} & loaded
