"""Clocks that stand still, or are set by hours: answers go on, within the time that is promised."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

from api.hf_unified_server import create_app
from backend.gateway import open_gateway, read_configuration
from tests.world.server import World

PATHS = (
    "/api/market?limit=1",
    "/api/market/ohlc?symbol=BTC&interval=1h&limit=2",
    "/api/news?limit=1",
    "/api/sentiment",
    "/api/gas",
)
OPERATIONS = (
    "/api/status",
    "/api/status/explain?category=market",
    "/healthz",
    "/readyz",
    "/metrics",
)
STEPS_S = (7_200, -7_200, 0)


@dataclass
class WrongClock:
    """The system's clock, of which either hand may stand still, and the wall's be set."""

    stops_monotonic: bool = False
    stops_wall: bool = False
    skew_s: float = 0.0

    def __post_init__(self) -> None:
        self._began, self._began_at = time.monotonic(), datetime.now(UTC)

    def monotonic(self) -> float:
        return self._began if self.stops_monotonic else time.monotonic()

    def now(self) -> datetime:
        now = self._began_at if self.stops_wall else datetime.now(UTC)
        return now + timedelta(seconds=self.skew_s)


STOPPED = (
    WrongClock(stops_monotonic=True),
    WrongClock(stops_wall=True),
    WrongClock(stops_monotonic=True, stops_wall=True),
)


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A folder of its own, and no keys or addresses from outside."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    return monkeypatch


@asynccontextmanager
async def serving(
    clock: WrongClock, world: World, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> AsyncIterator[httpx.AsyncClient]:
    for name, value in world.environment(CLIENT_RATE_LIMIT="", **settings).items():
        monkeypatch.setenv(name, value)
    app = create_app(read_configuration(), partial(open_gateway, clock=clock))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            yield client


async def assert_serves(client: httpx.AsyncClient) -> None:
    for path in PATHS:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"] or "news" in path  # which have a date, and may be too new
        assert int(answer.headers["age"]) >= 0
    for path in OPERATIONS:
        assert (await client.get(path)).status_code == 200, path


@pytest.mark.parametrize("clock", STOPPED, ids=repr)
async def test_it_serves_while_a_clock_stands_still(
    world: World, surroundings: pytest.MonkeyPatch, clock: WrongClock
) -> None:
    async with serving(clock, world, surroundings, CACHE_TTL_GAS="0.01") as client:
        for _ in range(5):
            await assert_serves(client)
    assert world.overruns == []


@pytest.mark.parametrize("clock", STOPPED, ids=repr)
async def test_answers_are_in_time_while_a_clock_stands_still(
    world: World, surroundings: pytest.MonkeyPatch, clock: WrongClock
) -> None:
    world.faults |= dict.fromkeys(world._ports, "silence")
    quick = {"REQUEST_DEADLINE": "1", "PROVIDER_TIMEOUT": "0.5", "COOLDOWN": "0.1"}
    async with serving(clock, world, surroundings, **quick) as client:
        for _ in range(3):
            async with asyncio.timeout(4):  # the deadline, and what a busy machine takes
                answers = await asyncio.gather(*map(client.get, PATHS))
            assert {answer.status_code for answer in answers} <= {503, 504}
        async with asyncio.timeout(5):
            while any(task.get_name().startswith("refresh") for task in asyncio.all_tasks()):
                await asyncio.sleep(0.05)


async def test_it_recovers_when_the_clock_runs_again(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    clock = WrongClock(stops_monotonic=True, stops_wall=True)
    world.faults["ethereum_rpc"] = "http500"
    quick = {"COOLDOWN": "0.1", "COOLDOWN_MAX": "0.1"}
    async with serving(clock, world, surroundings, **quick) as client:
        assert (await client.get("/api/gas")).status_code == 503
        world.faults.clear()
        assert (await client.get("/api/gas")).status_code == 503  # for it no time has passed
        clock.stops_monotonic = clock.stops_wall = False
        async with asyncio.timeout(5):
            while (await client.get("/api/gas")).status_code != 200:
                await asyncio.sleep(0.1)


async def test_it_serves_after_a_jump_of_the_wall_clock(
    world: World, surroundings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = WrongClock()
    state = str(tmp_path / "gateway.sqlite")
    settings = {f"CACHE_TTL_{name}": "0.01" for name in ("OHLC", "GAS", "SENTIMENT")}
    async with serving(clock, world, surroundings, STATE_PATH=state, **settings) as client:
        await assert_serves(client)
        for skew_s in STEPS_S:
            clock.skew_s = skew_s
            await assert_serves(client)
            await asyncio.sleep(0.05)
            await assert_serves(client)
        providers = (await client.get("/api/status")).json()["providers"]
    states = {one["name"]: one["status"] for one in providers if one["requests"]}
    assert "quota_exhausted" not in states.values()
    assert world.overruns == []


@pytest.mark.parametrize("skew_s", STEPS_S)
async def test_it_serves_with_a_state_file_of_another_time(
    world: World, surroundings: pytest.MonkeyPatch, tmp_path: Path, skew_s: int
) -> None:
    state = str(tmp_path / "gateway.sqlite")
    async with serving(WrongClock(skew_s=skew_s), world, surroundings, STATE_PATH=state) as client:
        await assert_serves(client)
    async with serving(WrongClock(), world, surroundings, STATE_PATH=state) as client:
        await assert_serves(client)
