"""Disks that are full, read-only or gone, and state files that are none: it serves, and tells."""

import asyncio
import json
import resource
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.life.process import Gateway, running
from tests.world.server import World

#: Each question is a new one to the providers: logs and state are written for it.
QUICK = {"CACHE_TTL_MARKET": "0.05", "CACHE_TTL_GAS": "0.05"}
STATE = "state/gateway.sqlite"
#: Starts what stands behind it without root's right to write everywhere.
PLAIN_USER = """
import ctypes, os, sys
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24
ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


async def ask(gateway: Gateway, times: int = 10) -> None:
    """Each time providers are asked, so that logs and state file have something to hold."""
    for _ in range(times):
        for path in ("/api/market?limit=1", "/api/gas"):
            answer = await gateway.client.get(path)
            assert answer.status_code == 200, answer.text
        await asyncio.sleep(0.06)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


async def until(claim: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not claim():
            await asyncio.sleep(0.05)


async def test_a_full_disk_under_a_log_is_told_once_and_written_again_when_there_is_room(
    world: World, tmp_path: Path
) -> None:
    health = tmp_path / "logs" / "provider_health.log"
    health.parent.mkdir()
    health.write_text('{"earlier": "run"}\n' * 1_000)
    async with running(tmp_path, **world.environment(**QUICK)) as gateway:
        gateway.limit(resource.RLIMIT_FSIZE, health.stat().st_size + 300)
        await ask(gateway)
        await gateway.told("provider_health.log cannot be written")
        await assert_it_logs_again(gateway, health)
        ended = await gateway.stop()
    assert ended.output.count("cannot be written") == 1


async def test_a_full_disk_under_logs_and_output_does_not_end_the_logging(
    world: World, tmp_path: Path
) -> None:
    health = tmp_path / "logs" / "provider_health.log"
    async with running(tmp_path, **world.environment(**QUICK)) as gateway:
        await ask(gateway, 2)
        await until(lambda: lines(health))
        gateway.limit(resource.RLIMIT_FSIZE, 1)
        await ask(gateway)
        await assert_it_logs_again(gateway, health)
        ended = await gateway.stop()
    assert ended.code == 0
    assert "Traceback" not in ended.output


async def assert_it_logs_again(gateway: Gateway, path: Path) -> None:
    gateway.limit(resource.RLIMIT_FSIZE, -1)
    written = len(lines(path))
    await ask(gateway)
    await until(lambda: len(lines(path)) > written + 10)
    # What was being written as the disk was full may be cut, and nothing after it.
    assert [is_json(line) for line in lines(path)].count(False) <= 1
    assert all(map(is_json, lines(path)[-10:]))


async def test_a_state_file_on_a_full_disk_is_told_once_and_once_when_there_is_room(
    world: World, tmp_path: Path
) -> None:
    settings = world.environment(STATE_PATH=STATE, **QUICK)
    async with running(tmp_path, **settings) as gateway:
        room = (tmp_path / STATE).stat().st_size
        gateway.limit(resource.RLIMIT_FSIZE, 100_000)
        await ask(gateway, 5)
        await gateway.told("STATE_PATH cannot be used")
        gateway.limit(resource.RLIMIT_FSIZE, -1)
        await until_told_again(gateway)
        ended = await gateway.stop()
    assert room < 100_000
    assert ended.code == 0
    assert ended.output.count("STATE_PATH cannot be used") == 1
    assert ended.output.count("STATE_PATH works again") == 1
    assert_state_is_sound(tmp_path / STATE)


async def until_told_again(gateway: Gateway) -> None:
    async with asyncio.timeout(15):
        while "STATE_PATH works again" not in gateway.output:
            await ask(gateway, 1)
            await asyncio.sleep(0.5)  # the providers' own limits want to be kept, too


def assert_state_is_sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as state:
        assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert state.execute("SELECT count(*) FROM answers").fetchone()[0] >= 1


async def test_a_read_only_log_folder_is_a_warning(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o555)
    before = (sys.executable, "-c", PLAIN_USER)
    async with running(tmp_path, before=before, **world.environment(**QUICK)) as gateway:
        await ask(gateway, 2)
        ended = await gateway.stop()
    assert ended.code == 0
    assert ended.output.count("LOG_DIR cannot be written") == 1
    assert list(folder.iterdir()) == []


async def test_a_log_folder_that_vanishes_is_made_anew(world: World, tmp_path: Path) -> None:
    health = tmp_path / "logs" / "provider_health.log"
    async with running(tmp_path, **world.environment(**QUICK)) as gateway:
        await ask(gateway, 2)
        await until(lambda: lines(health))
        shutil.rmtree(health.parent)
        await ask(gateway, 2)
        await until(lambda: lines(health))
        ended = await gateway.stop()
    assert ended.code == 0
    assert all(map(is_json, lines(health)))
    assert "cannot be written" not in ended.output


async def test_a_log_folder_in_whose_place_a_file_comes_is_told_once_a_file(
    world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    async with running(tmp_path, **world.environment(**QUICK)) as gateway:
        await ask(gateway, 2)
        await until(lambda: lines(folder / "provider_health.log"))
        shutil.rmtree(folder)
        folder.write_text("in the way")
        await ask(gateway, 5)
        await gateway.told("provider_health.log cannot be written")
        folder.unlink()
        await ask(gateway, 2)
        await until(lambda: lines(folder / "provider_health.log"))
        ended = await gateway.stop()
    assert ended.code == 0
    assert ended.output.count("provider_health.log cannot be written") == 1


async def test_a_log_folder_that_is_a_file_is_a_warning(world: World, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    async with running(tmp_path, **world.environment(**QUICK)) as gateway:
        await ask(gateway, 2)
        ended = await gateway.stop()
    assert ended.code == 0
    assert ended.output.count("LOG_DIR cannot be written") == 1
    assert (tmp_path / "logs").read_text() == "in the way"


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all " * 1_000)


def truncated(path: Path) -> None:
    with closing(sqlite3.connect(path)) as state:
        state.execute("CREATE TABLE calls (window TEXT, minute INTEGER, amount INTEGER)")
        state.executemany(
            "INSERT INTO calls VALUES ('a/month', ?, 1)", [(n,) for n in range(9_999)]
        )
        state.commit()
    path.write_bytes(path.read_bytes()[:10_000])


def empty(path: Path) -> None:
    path.touch()


def a_folder(path: Path) -> None:
    path.mkdir()


def of_another_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as state:
        state.execute("CREATE TABLE calls (one_day TEXT)")
        state.execute("CREATE TABLE life (one_day TEXT)")
        state.execute("CREATE TABLE answers (one_day TEXT)")
        state.execute("PRAGMA user_version = 99")
        state.commit()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (garbage, "STATE_PATH is damaged and set aside"),
        (truncated, "STATE_PATH is damaged and set aside"),
        (empty, ""),
        (a_folder, "STATE_PATH cannot be used"),
        (of_another_schema, "STATE_PATH"),
    ],
)
async def test_a_state_file_that_is_none_costs_a_warning_at_most(
    world: World, tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    path = tmp_path / "gateway.sqlite"
    spoil(path)
    settings = world.environment(STATE_PATH=str(path), **QUICK)
    async with running(tmp_path, **settings) as gateway:
        await ask(gateway, 2)
        ended = await gateway.stop()
    assert ended.code == 0
    assert "Traceback" not in ended.output
    assert ended.output.count("STATE_PATH") == (1 if told else 0)
    assert told in ended.output


async def test_a_state_file_that_is_spoilt_while_it_runs_is_set_aside_at_the_next_start(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.sqlite"
    settings = world.environment(STATE_PATH=str(path), **QUICK)
    async with running(tmp_path, **settings) as gateway:
        await ask(gateway, 3)
        spoil_running(path)
        await ask(gateway, 10)
        first = await gateway.stop()
    async with running(tmp_path, **settings) as gateway:
        await ask(gateway, 2)
        second = await gateway.stop()  # its output holds the first one's
    assert (first.code, second.code) == (0, 0)
    assert "Traceback" not in second.output
    assert second.output.count("STATE_PATH is damaged and set aside") >= 1
    assert_state_is_sound(path)


def spoil_running(path: Path) -> None:
    for suffix in ("", "-wal"):
        spoilt = Path(f"{path}{suffix}")
        spoilt.write_bytes(b"\x55" * spoilt.stat().st_size)


async def test_a_state_file_that_another_process_holds_delays_no_answer(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.sqlite"
    settings = world.environment(STATE_PATH=str(path), **QUICK)
    async with running(tmp_path, **settings) as gateway:
        await ask(gateway, 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await ask(gateway, 10)
            await gateway.told("STATE_PATH cannot be used")
        await until_told_again(gateway)
        ended = await gateway.stop()
    assert ended.output.count("STATE_PATH cannot be used") == 1
    assert_state_is_sound(path)
