"""A restart during an outage: every route still answers with the last good data, flagged stale."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.serving import serving
from tests.world.server import PROVIDERS, World

Restart = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
CATEGORIES = ("MARKET", "OHLC", "NEWS", "SENTIMENT", "GAS")
#: What a run with these finds of an earlier one is too old for a hit.
SHORT = {f"CACHE_TTL_{name}": "0.1" for name in CATEGORIES}
OVER_S = 0.25
ROUTES = (
    "/api/market?limit=250",
    "/api/market/bitcoin",
    "/api/market/ohlc?symbol=BTC&interval=1h&limit=1000",
    "/api/market/ohlc?symbol=ETH&interval=4h",
    "/api/news?limit=200",
    "/api/sentiment?days=365",
    "/api/gas",
)


@pytest.fixture
def start(world: World, surroundings: pytest.MonkeyPatch) -> Restart:
    return partial(serving, world, surroundings)


async def stop_all(world: World) -> None:
    for name in PROVIDERS:
        await world.stop(name)


async def first_run(start: Restart, **settings: str) -> dict[str, Any]:
    async with start(**settings) as client:
        return {route: (await client.get(route)).json() for route in ROUTES}


async def test_all_routes_serve_the_last_answers_as_stale(world: World, start: Restart) -> None:
    before = await first_run(start)
    await stop_all(world)
    await asyncio.sleep(OVER_S)
    async with start(**SHORT) as client:
        for route in ROUTES:
            answer = await client.get(route)
            assert answer.status_code == 200, (route, answer.text)
            now, then = answer.json(), before[route]
            assert now["data"] == then["data"], route
            assert now["meta"]["source"] == then["meta"]["source"]
            assert now["meta"]["fetched_at"] == then["meta"]["fetched_at"]
            assert now["meta"]["stale"] is True
            assert now["meta"]["stale_reason"] == "connect_error"
            assert answer.headers["x-cache"] == "stale"


async def test_answers_that_are_still_fresh_are_served_as_fresh(
    world: World, start: Restart
) -> None:
    before = await first_run(start)
    calls = world.calls.total()
    async with start() as client:
        for route in ROUTES:
            answer = await client.get(route)
            now, then = answer.json(), before[route]
            assert (now["data"], now["meta"]) == (then["data"], then["meta"]), route
            assert answer.headers["x-cache"] == "hit"
    assert world.calls.total() == calls


async def test_answers_are_fresh_as_soon_as_providers_recover(world: World, start: Restart) -> None:
    before = await first_run(start)
    await asyncio.sleep(OVER_S)
    async with start(**SHORT) as client:
        for route in ROUTES:
            meta = (await client.get(route)).json()["meta"]
            assert meta["stale"] is False, route
            assert meta["fetched_at"] > before[route]["meta"]["fetched_at"]


async def test_a_node_behind_the_last_runs_block_is_refused(world: World, start: Restart) -> None:
    before = await first_run(start)
    world.lags["ethereum_rpc"] = 8_000
    await asyncio.sleep(OVER_S)
    async with start(**SHORT) as client:
        now = (await client.get("/api/gas")).json()
    assert now["data"] == before["/api/gas"]["data"]
    assert (now["meta"]["stale"], now["meta"]["stale_reason"]) == (True, "bad_payload")


async def test_beyond_max_stale_there_is_the_precise_error(world: World, start: Restart) -> None:
    await first_run(start)
    await stop_all(world)
    await asyncio.sleep(OVER_S)
    async with start(**SHORT, **{f"MAX_STALE_{name}": "0.2" for name in CATEGORIES}) as client:
        for route in ROUTES:
            answer = await client.get(route)
            assert answer.status_code == 503, route
            problem = answer.json()
            assert problem["code"] == "all_providers_failed"
            assert {one["reason"] for one in problem["providers"]} & {"connect_error"}


async def test_venue_prices_after_a_restart_keep_ids_and_ranks(
    world: World, start: Restart
) -> None:
    await first_run(start)
    await world.stop("coingecko_free")
    await asyncio.sleep(OVER_S)
    async with start(**SHORT) as client:
        answer = (await client.get("/api/market?limit=250")).json()
    assert answer["meta"]["source"] == "binance"
    assert len(answer["data"]) == 250
    assert [row["market_cap_rank"] for row in answer["data"]] == list(range(1, 251))
    assert answer["data"][0]["source"] == "binance"
    assert answer["data"][0]["id"] == "bitcoin"


async def test_a_third_run_has_answers_that_the_second_could_not_refresh(
    world: World, start: Restart
) -> None:
    before = await first_run(start)
    await stop_all(world)
    await asyncio.sleep(OVER_S)
    for _ in range(2):
        async with start(**SHORT) as client:
            answer = await client.get(ROUTES[0])
            assert answer.json()["data"] == before[ROUTES[0]]["data"]


async def test_without_a_path_nothing_is_stored(
    world: World, start: Restart, tmp_path: Path
) -> None:
    await first_run(start, STATE_PATH="")
    await stop_all(world)
    async with start(STATE_PATH="") as client:
        assert (await client.get("/api/gas")).status_code == 503
    assert not (tmp_path / "state").exists()


async def test_a_damaged_file_is_a_cold_start(
    world: World, start: Restart, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await first_run(start)
    path = tmp_path / "state" / "gateway.sqlite"
    path.write_bytes(b"junk" * 9_000)
    async with start() as client:
        for route in ROUTES:
            assert (await client.get(route)).headers["x-cache"] in ("miss", "hit")
    assert sum("STATE_PATH" in record.getMessage() for record in caplog.records) == 1
    await stop_all(world)
    async with start() as client:
        assert (await client.get("/api/gas")).status_code == 200


async def test_an_unwritable_path_is_a_warning_only(
    start: Restart, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    async with start() as client:
        for route in ROUTES:
            assert (await client.get(route)).status_code == 200
    assert sum("STATE_PATH" in record.getMessage() for record in caplog.records) == 1


async def test_junk_in_the_stored_answers_is_ignored(
    world: World, start: Restart, tmp_path: Path
) -> None:
    await first_run(start)
    with sqlite3.connect(tmp_path / "state" / "gateway.sqlite") as file:
        file.execute("UPDATE answers SET body = ? WHERE question LIKE 'gas/%'", (b"junk",))
    file.close()
    await stop_all(world)
    async with start(**SHORT) as client:
        assert (await client.get("/api/gas")).status_code == 503
        assert (await client.get("/api/market")).status_code == 200
