"""Log folders that are full, read-only, missing or invalid: it serves, warns once, and recovers."""

import os
import resource
import shutil
import sys
from pathlib import Path

from tests.life.asking import QUICK, ask, is_json, lines, until
from tests.life.process import Gateway, running
from tests.world.server import World

#: Starts a command without root's right to write everywhere.
PLAIN_USER = """
import ctypes, os, sys
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24
ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


async def test_a_full_log_disk_is_logged_once_and_used_again_when_it_has_space(
    world: World, tmp_path: Path
) -> None:
    health = tmp_path / "logs" / "provider_health.log"
    health.parent.mkdir()
    health.write_text('{"earlier": "run"}\n' * 1_000)
    async with running(tmp_path, **world.environment(**QUICK)) as gateway:
        gateway.limit(resource.RLIMIT_FSIZE, health.stat().st_size + 300)
        await ask(gateway)
        await gateway.until_logged("provider_health.log cannot be written")
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


async def test_a_deleted_log_folder_is_created_again(world: World, tmp_path: Path) -> None:
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


async def test_a_log_folder_that_becomes_a_file_is_logged_once_for_each_log(
    world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    async with running(tmp_path, **world.environment(**QUICK)) as gateway:
        await ask(gateway, 2)
        await until(lambda: lines(folder / "provider_health.log"))
        shutil.rmtree(folder)
        folder.write_text("in the way")
        await ask(gateway, 5)
        await gateway.until_logged("provider_health.log cannot be written")
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


async def test_a_pipe_in_place_of_a_log_costs_that_log_and_a_warning(
    world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    os.mkfifo(folder / "provider_health.log")
    async with running(tmp_path, **world.environment(**QUICK)) as gateway:
        await ask(gateway, 2)
        await until(lambda: lines(folder / "provider_rotation.log"))
        ended = await gateway.stop()
    assert ended.code == 0
    assert ended.output.count("provider_health.log is off: not a regular file") == 1
    assert ended.output.count("WARNING") == 1


async def test_a_log_that_becomes_a_pipe_is_logged_once(world: World, tmp_path: Path) -> None:
    health = tmp_path / "logs" / "provider_health.log"
    async with running(tmp_path, **world.environment(**QUICK)) as gateway:
        await ask(gateway, 2)
        await until(lambda: lines(health))
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "pipe").rename(health)
        await ask(gateway, 5)
        await gateway.until_logged("provider_health.log cannot be written")
        health.unlink()
        await ask(gateway, 2)
        await until(lambda: lines(health))
        ended = await gateway.stop()
    assert ended.code == 0
    assert all(map(is_json, lines(health)))
    assert ended.output.count("provider_health.log cannot be written") == 1
