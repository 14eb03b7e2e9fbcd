"""What a reader sees when providers fail; the fault table (tests/chaos) has the rest."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from tests.api.conftest import Serve
from tests.world.server import World

#: Faults that the fault table does not have: the state they lead to, and its reason.
FAULTS = {
    "http500": ("cooldown", "upstream_5xx"),
    "401": ("auth_failed", "auth_failed"),
    "empty": ("cooldown", "bad_payload"),
    "empty_list": ("cooldown", "bad_payload"),
    "null": ("cooldown", "bad_payload"),
    "reset": ("cooldown", "connect_error"),
}
QUICK = {"PROVIDER_TIMEOUT": "1", "REQUEST_DEADLINE": "3"}
#: Time-outs cost no real time: the loop's time passes only while all sockets are silent.
virtual_time = pytest.mark.looptime(idle_step=0.01)


async def states(client: httpx.AsyncClient) -> dict[str, tuple[str, str | None]]:
    rows = (await client.get("/api/status")).json()["providers"]
    return {row["name"]: (row["status"], row["reason"]) for row in rows}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failover_answers_the_first_request_and_names_both_providers(
    world: World, serve: Serve, fault: str
) -> None:
    world.faults["coingecko_free"] = fault
    client = await serve()
    answer = await client.get("/api/market?limit=250")
    assert answer.status_code == 200
    assert {row["source"] for row in answer.json()["data"]} == {"binance"}
    tried = {row["provider"]: row["outcome"] for row in answer.json()["meta"]["tried"]}
    assert tried == {"coingecko_free": FAULTS[fault][1], "binance": "ok"}
    assert (await states(client))["coingecko_free"] == FAULTS[fault]


async def test_a_wrong_pro_key_is_tried_twice_and_then_paused(world: World, serve: Serve) -> None:
    client = await serve(
        COINGECKO_PRO_API_KEY="CG-wrongprokey000000000001", CACHE_TTL_MARKET="0.05"
    )
    async with asyncio.timeout(10):  # the key's account is read at the start
        while (await states(client))["coingecko_pro"][0] != "auth_failed":
            await asyncio.sleep(0.01)
    for _ in range(3):
        assert (await client.get("/api/market")).status_code == 200
        await asyncio.sleep(0.06)
    assert world.calls["coingecko_pro"] == 2
    assert (await states(client))["coingecko_pro"] == ("auth_failed", "auth_failed")


async def test_an_outage_gives_stale_data_and_later_the_precise_error(
    world: World, serve: Serve
) -> None:
    client = await serve(CACHE_TTL_MARKET="0.05", MAX_STALE_MARKET="0.6")
    fresh = await client.get("/api/market")
    world.faults |= dict.fromkeys(("coingecko_free", "binance"), "http500")
    await asyncio.sleep(0.1)
    stale = await client.get("/api/market")
    again = await client.get("/api/market")
    assert stale.headers["x-cache"] == "stale"
    assert stale.headers["cache-control"] == "public, max-age=0"
    assert (stale.json()["meta"]["stale"], stale.json()["meta"]["stale_reason"]) == (
        True,
        "upstream_5xx",
    )
    assert stale.json()["data"] == fresh.json()["data"]
    assert stale.content == again.content
    await asyncio.sleep(0.6)
    gone = await client.get("/api/market", headers={"Origin": "http://example.org"})
    problem: dict[str, Any] = gone.json()
    assert (gone.status_code, problem["code"]) == (503, "all_providers_failed")
    assert int(gone.headers["retry-after"]) == problem["retry_after_seconds"] > 0
    assert gone.headers["access-control-allow-origin"] == "*"
    assert "127.0.0.1" not in gone.text
    status = (await client.get("/api/status")).json()
    assert status["categories"]["market"]["status"] == "down"
    assert (await client.get("/readyz")).status_code == 503


async def test_without_enabled_providers_the_error_is_no_provider_configured(serve: Serve) -> None:
    client = await serve(COINGECKO_FREE_ENABLED="false", BINANCE_ENABLED="false")
    answer = await client.get("/api/market")
    assert (answer.status_code, answer.json()["code"]) == (503, "no_provider_configured")
    assert "retry-after" not in answer.headers


async def test_a_disabled_provider_is_not_called(world: World, serve: Serve) -> None:
    client = await serve(BINANCE_ENABLED="false")
    answer = await client.get("/api/market/ohlc?symbol=BTC&interval=4h")
    assert answer.json()["meta"]["source"] == "coingecko_free"
    assert world.calls["binance"] == 0
    assert (await states(client))["binance"] == ("disabled", "disabled")


@virtual_time
async def test_a_silent_provider_does_not_affect_others_health(world: World, serve: Serve) -> None:
    client = await serve(**QUICK)
    await client.get("/api/market")
    world.faults["binance"] = "silence"
    paths = [
        f"/api/market/ohlc?symbol=coin-{number}&interval={interval}"
        for number in range(30)
        for interval in ("1m", "1h", "4h")
    ]
    answers = await asyncio.gather(*(client.get(path) for path in paths))
    refused = [answer for answer in answers if answer.status_code in (503, 504)]
    assert len(refused) > 80, "the others are those that CoinGecko has answered within its limit"
    assert (await states(client))["coingecko_free"] == ("active", None)
    assert (await client.get("/api/market")).json()["meta"]["stale"] is False


@virtual_time
async def test_a_wide_range_from_a_slow_venue_is_answered(world: World, serve: Serve) -> None:
    client = await serve()
    await client.get("/api/market")
    world.delay_s = 0.3
    end = time.time_ns() // 1_000_000
    answer = await client.get(
        f"/api/market/ohlc?symbol=BTC&interval=1m&start={end - 3_900 * 60_000}&end={end}"
    )
    assert answer.status_code == 200
    assert len(answer.json()["data"]) >= 3_899
    assert (await states(client))["binance"] == ("active", None)


@virtual_time
async def test_all_concurrent_requests_get_the_precise_error_of_silent_providers(
    world: World, serve: Serve
) -> None:
    world.faults |= dict.fromkeys(("coingecko_free", "binance"), "silence")
    client = await serve(**QUICK)
    answers = await asyncio.gather(*(client.get("/api/market") for _ in range(5)))
    assert [answer.status_code for answer in answers] == [503] * 5
    for answer in answers:
        reasons = {row["provider"]: row["reason"] for row in answer.json()["providers"]}
        assert reasons["coingecko_free"] == reasons["binance"] == "timeout"
        assert int(answer.headers["retry-after"]) > 0


async def test_a_wrong_sort_causes_no_upstream_call(
    world: World, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/api/market?sort=luck")
    assert (answer.status_code, sum(world.calls.values())) == (422, 0)


async def test_an_error_says_what_broke_the_connection(world: World, serve: Serve) -> None:
    for name in ("coingecko_free", "binance"):
        await world.stop(name)
    client = await serve(BINANCE_STREAM_URL="")
    problem = (await client.get("/api/market")).json()
    told = {one["provider"]: (one["reason"], one["detail"]) for one in problem["providers"]}
    assert told["coingecko_free"] == ("connect_error", "connection refused")
    rows = (await client.get("/api/status")).json()["providers"]
    errors = {row["name"]: row["last_error"] for row in rows}
    assert errors["binance"] == "connect_error: connection refused"
    assert "127.0.0.1" not in f"{problem}{rows}"
