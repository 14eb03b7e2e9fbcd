"""The real process: killed in the middle of calls, with a damaged or full state, without logs."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.names import PROVIDERS
from tests.chaos.record import Cell, record
from tests.chaos.subjects import GAS, KEYS, MARKET, NEWS, SENTIMENT
from tests.test_run_server import Running, running
from tests.world.server import World

ROUTES = (MARKET, NEWS, SENTIMENT, GAS)
#: Those with a day's or a month's budget, which a restart must not give back.
LEDGERS = ("coingecko_free", "cryptopanic", "newsapi", "etherscan")
FILES = ("provider_rotation.log", "provider_failures.log", "provider_health.log")
BUDGETS = ("day", "month", "12 hours", "30 days")


def settings(world: World) -> dict[str, str]:
    keys = {name: KEYS[name] for name in LEDGERS}
    world.good_keys |= keys
    return world.environment(**{f"{name.upper()}_API_KEY": key for name, key in keys.items()})


def called(world: World) -> list[str]:
    return [name for name in PROVIDERS if world.calls[name]]


def done(row: str, *names: str) -> None:
    record([Cell(row, name, "a process", None) for name in names])


async def used(server: Running, name: str) -> int:
    """The most that any long window of it counts."""
    rows = (await server.client.get("/api/status")).json()["providers"]
    quotas: list[dict[str, Any]] = next(row for row in rows if row["name"] == name)["quotas"]
    return max(int(quota["used"]) for quota in quotas if quota["window"] in BUDGETS)


@pytest.mark.timeout(60)
async def test_kill_9_in_the_middle_of_calls_gives_no_quota_back(tmp_path: Path) -> None:
    async with World() as world:
        environment = settings(world)
        before: dict[str, int] = {}
        async with running(tmp_path, **environment) as server:
            before = {name: await used(server, name) for name in LEDGERS}
            world.faults |= dict.fromkeys(LEDGERS, "silence")
            readers = [asyncio.create_task(server.client.get(route)) for route in ROUTES]
            async with asyncio.timeout(20):
                while not all(world.calls[name] for name in LEDGERS):
                    await asyncio.sleep(0.01)
            server.process.send_signal(signal.SIGKILL)
            await asyncio.gather(*readers, return_exceptions=True)
            await server.process.communicate()
        world.faults.clear()
        counted = dict(world.calls)
        async with running(tmp_path, **environment) as server:
            for name in LEDGERS:
                assert await used(server, name) >= before[name] + counted[name], name
            assert (await server.client.get(MARKET)).status_code == 200
        assert world.overruns == []
    done("kill −9 mid-call", *LEDGERS)


async def _all_answer(server: Running) -> None:
    for route in ROUTES:
        answer = await server.client.get(route)
        assert answer.status_code == 200, (route, answer.text)


@pytest.mark.timeout(60)
async def test_a_corrupt_state_file_is_logged_and_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "gateway.sqlite").write_bytes(b"no database " * 9_000)
    async with World() as world, running(tmp_path, **settings(world)) as server:
        await _all_answer(server)
        _, output = await server.stop()
    assert output.count("STATE_PATH") == 1
    done("corrupt state file", *called(world))


@pytest.mark.timeout(60)
async def test_full_logs_and_a_full_state_cost_no_answer(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in FILES:
        (tmp_path / "logs" / name).symlink_to("/dev/full")
    state = tmp_path / "state.sqlite"
    state.symlink_to("/dev/full")
    async with (
        World() as world,
        running(tmp_path, STATE_PATH=str(state), **settings(world)) as server,
    ):
        await _all_answer(server)
        assert (await server.client.get("/healthz")).status_code == 200
        _, output = await server.stop()
    assert "STATE_PATH" in output
    done("full state file", *called(world))
    done("unwritable logs", *called(world))


async def test_full_logs_do_not_disturb_the_stop(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in FILES:
        (tmp_path / "logs" / name).symlink_to("/dev/full")
    async with World() as world, running(tmp_path, **settings(world)) as server:
        await _all_answer(server)
        _, output = await server.stop()
    assert "Traceback" not in output
