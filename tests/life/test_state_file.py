"""A state file that is invalid, damaged, locked or on a full disk: it serves, and warns once."""

import asyncio
import os
import resource
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.life.asking import QUICK, ask
from tests.life.process import QUICK as QUICK_SERVER
from tests.life.process import Gateway, running
from tests.world.server import World

STATE = "state/gateway.sqlite"


async def test_a_full_disk_is_logged_once_and_its_recovery_once(
    world: World, tmp_path: Path
) -> None:
    settings = world.environment(STATE_PATH=STATE, **QUICK)
    async with running(tmp_path, *QUICK_SERVER, **settings) as gateway:
        room = (tmp_path / STATE).stat().st_size
        gateway.limit(resource.RLIMIT_FSIZE, 100_000)
        await ask(gateway, 5)
        await gateway.until_logged("STATE_PATH cannot be used")
        gateway.limit(resource.RLIMIT_FSIZE, -1)
        await until_usable_again(gateway)
        ended = await gateway.stop()
    assert room < 100_000
    assert ended.code == 0
    assert ended.output.count("STATE_PATH cannot be used") == 1
    assert ended.output.count("STATE_PATH works again") == 1
    assert_state_is_sound(tmp_path / STATE)


async def until_usable_again(gateway: Gateway) -> None:
    async with asyncio.timeout(15):
        while "STATE_PATH works again" not in gateway.output:
            await ask(gateway, 1)
            await asyncio.sleep(0.5)  # the providers' own limits want to be kept, too


def assert_state_is_sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as state:
        assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert state.execute("SELECT count(*) FROM answers").fetchone()[0] >= 1


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


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/null")


def with_a_pipe_beside_it(path: Path) -> None:
    os.mkfifo(f"{path}-journal")


def of_another_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as state:
        state.execute("CREATE TABLE calls (one_day TEXT)")
        state.execute("CREATE TABLE life (one_day TEXT)")
        state.execute("CREATE TABLE answers (one_day TEXT)")
        state.execute("PRAGMA user_version = 99")
        state.commit()


@pytest.mark.parametrize(
    ("spoil", "warning"),
    [
        (garbage, "STATE_PATH is damaged and set aside"),
        (truncated, "STATE_PATH is damaged and set aside"),
        (empty, None),
        (a_folder, "STATE_PATH cannot be used"),
        (a_pipe, "STATE_PATH cannot be used"),
        (a_device, "STATE_PATH cannot be used"),
        (with_a_pipe_beside_it, "STATE_PATH cannot be used"),
        (of_another_schema, "STATE_PATH cannot be used"),
    ],
)
async def test_an_unusable_state_file_is_one_warning_at_most(
    world: World, tmp_path: Path, spoil: Callable[[Path], None], warning: str | None
) -> None:
    path = tmp_path / "gateway.sqlite"
    spoil(path)
    settings = world.environment(STATE_PATH=str(path), **QUICK)
    async with running(tmp_path, **settings) as gateway:
        await ask(gateway, 2)
        ended = await gateway.stop()
    assert ended.code == 0
    assert "Traceback" not in ended.output
    if warning:
        assert ended.output.count(warning) == 1
    else:
        assert "STATE_PATH" not in ended.output


async def test_a_file_damaged_during_a_run_is_set_aside_at_the_next_start(
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


async def test_a_locked_state_file_delays_no_answer(world: World, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sqlite"
    settings = world.environment(STATE_PATH=str(path), **QUICK)
    async with running(tmp_path, *QUICK_SERVER, **settings) as gateway:
        await ask(gateway, 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await ask(gateway, 10)
            await gateway.until_logged("STATE_PATH cannot be used")
        await until_usable_again(gateway)
        ended = await gateway.stop()
    assert ended.output.count("STATE_PATH cannot be used") == 1
    assert_state_is_sound(path)


NO_BINANCE = {"BINANCE_ENABLED": "false", "STATE_PATH": STATE, "CACHE_TTL_MARKET": "0.1"}


async def ask_market(gateway: Gateway) -> None:
    await gateway.client.get("/api/market?limit=1")
    await asyncio.sleep(0.15)


async def test_repeated_kills_do_not_exceed_a_limit(world: World, tmp_path: Path) -> None:
    """CoinGecko allows five calls a minute without a key, for all processes together."""
    settings = world.environment(**NO_BINANCE)
    for _ in range(4):
        async with running(tmp_path, **settings) as gateway:
            for _ in range(3):
                await ask_market(gateway)
            gateway.process.kill()
            await gateway.process.wait()
    assert world.calls["coingecko_free"] == 4  # the fifth is the margin
    assert world.overruns == []


async def test_a_ban_outlives_a_kill(world: World, tmp_path: Path) -> None:
    settings = world.environment(**NO_BINANCE)
    world.faults["coingecko_free"] = "429_ten_days"
    async with running(tmp_path, **settings) as gateway:
        await ask_market(gateway)
        gateway.process.kill()
        await gateway.process.wait()
    asked = world.calls["coingecko_free"]
    async with running(tmp_path, **settings) as gateway:
        await ask_market(gateway)
        document = (await gateway.client.get("/api/status")).json()
    status = {one["name"]: one for one in document["providers"]}["coingecko_free"]
    assert (status["status"], world.calls["coingecko_free"]) == ("rate_limited", asked)


@pytest.mark.parametrize("figure", ["next year", "minute 2^60", "a negative amount"])
async def test_invalid_figures_are_discarded_and_it_serves(
    world: World, tmp_path: Path, figure: str
) -> None:
    world.good_keys["coingecko_free"] = "a-demo-key-1"
    settings = world.environment(**NO_BINANCE, COINGECKO_FREE_API_KEY="a-demo-key-1")
    async with running(tmp_path, **settings) as gateway:
        await ask_market(gateway)
        await gateway.stop()
    window, next_year = "coingecko_free/demo/month", int(time.time() // 60) + 525_600
    row = {
        "next year": (window, next_year, 46),
        "minute 2^60": (window, 2**60, 1),
        "a negative amount": (window, int(time.time() // 60), -(10**15)),
    }[figure]
    with closing(sqlite3.connect(tmp_path / STATE)) as state:
        state.execute("REPLACE INTO calls VALUES (?, ?, ?)", row)
        state.execute("UPDATE life SET seen_at = seen_at + 31536000")
        state.execute("DELETE FROM answers")  # so that there is something to ask
        state.commit()
    asked = world.calls["coingecko_free"]
    async with running(tmp_path, **settings) as gateway:
        await gateway.until_logged(
            f"STATE_PATH: 1 entries of {window} cannot be true and is set aside"
        )
        await ask_market(gateway)
        await ask_market(gateway)
        quotas = (await gateway.client.get("/api/status")).json()["providers"]
    assert world.calls["coingecko_free"] > asked
    (month,) = [
        quota
        for one in quotas
        if one["name"] == "coingecko_free"
        for quota in one["quotas"]
        if quota["window"] == "month"
    ]
    assert month["used"] < month["limit"]
