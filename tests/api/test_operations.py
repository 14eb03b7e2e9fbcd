"""`/api/status`, health, and the documentation pages."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from backend.orchestration import accounts
from backend.providers.registry import REGISTRY
from tests.api.conftest import Serve
from tests.world.server import World

PROVIDER = {
    "name",
    "categories",
    "status",
    "reason",
    "hint",
    "success_rate",
    "latency_ms",
    "consecutive_failures",
    "requests",
    "failures",
    "last_success_at",
    "last_failure_at",
    "last_error",
    "cooldown_until",
    "quotas",
}
OUTSIDE = r"""(?:src|href|url)\s*[=:]\s*["'](?:https?:)?//[^"']*"""


async def test_status_is_complete_without_an_upstream_call(
    world: World, client: httpx.AsyncClient
) -> None:
    await client.get("/api/market")
    await client.get("/api/market")
    before = sum(world.calls.values())
    answer = await client.get("/api/status")
    status: dict[str, Any] = answer.json()
    assert sum(world.calls.values()) == before
    assert answer.headers["cache-control"] == "no-store"
    assert (status["status"], status["version"]) == ("ok", "0.1.0")
    assert status["uptime_seconds"] > 0
    # The market, and a moment later the page of coins that its list is too.
    assert status["cache"].pop("entries") in (1, 2)
    assert status["cache"] == {"hits": 1, "misses": 1, "stale_served": 0}
    assert (status["cluster"]["role"], status["cluster"]["size"]) == ("single", 1)
    assert status["websocket"] == {"clients": 0, "messages_sent": 0, "dropped": 0}
    market = status["categories"]["market"]
    assert (market["status"], market["fresh"]) == ("ok", True)
    assert market["providers"] == ["coingecko_free", "binance"]
    candles = status["categories"]["ohlc"]
    assert (candles["age_seconds"], candles["providers"]) == (None, ["binance", "coingecko_free"])
    assert [set(row) for row in status["providers"]] == [PROVIDER] * len(REGISTRY)
    choice = status["rotation"][-1]
    assert (choice["category"], choice["provider"]) == ("market", "coingecko_free")
    assert choice["reason"] == "the only eligible one of tier 0"


async def test_status_has_each_providers_figures(client: httpx.AsyncClient) -> None:
    await client.get("/api/market")
    rows = (await client.get("/api/status")).json()["providers"]
    free = next(row for row in rows if row["name"] == "coingecko_free")
    assert (free["success_rate"], free["requests"], free["failures"]) == (1.0, 1, 0)
    assert free["latency_ms"]["last"] == free["latency_ms"]["p50"] > 0
    quota = free["quotas"][0]
    assert (quota["window"], quota["limit"], quota["used"], quota["remaining"]) == (
        "minute",
        5,
        1,
        4,
    )
    assert quota["resets_at"].endswith("Z")
    pro = next(row for row in rows if row["name"] == "coingecko_pro")
    assert (pro["status"], pro["hint"]) == (
        "not_configured",
        "set COINGECKO_PRO_API_KEY to use it",
    )


async def test_limits_of_the_settings_replace_the_declared_ones(serve: Serve) -> None:
    client = await serve(
        COINGECKO_FREE_LIMITS="100/minute,10000/month", BINANCE_LIMITS="900/minute"
    )
    await client.get("/api/market")
    rows = {row["name"]: row for row in (await client.get("/api/status")).json()["providers"]}
    windows = [(quota["window"], quota["limit"]) for quota in rows["coingecko_free"]["quotas"]]
    assert windows == [("minute", 100), ("30 days", 10_000)]
    await client.get("/api/market/ohlc?symbol=BTC")
    rows = {row["name"]: row for row in (await client.get("/api/status")).json()["providers"]}
    quota = rows["binance"]["quotas"][0]
    assert (quota["limit"], quota["used"]) == (900, 2)


async def test_health_and_readiness(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).status_code == 200


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_documentation_loads_nothing_from_other_hosts(
    reader: httpx.AsyncClient, page: str
) -> None:
    text = (await reader.get(page)).text
    assert re.findall(OUTSIDE, text) == []
    assets = re.findall(r"""(?:src|href)=["'](assets/[^"']+)""", text)
    assert assets
    for asset in assets:
        answer = await reader.get(f"/{asset}")
        assert (answer.status_code, len(answer.content) > 1_000) == (200, True)


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_a_policy_keeps_scripts_of_the_pages_from_other_hosts(
    reader: httpx.AsyncClient, page: str
) -> None:
    policy = (await reader.get(page)).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    loads = [part for part in policy.split(";") if "frame-ancestors" not in part]
    assert "http" not in ";".join(loads)


async def test_the_openapi_document_describes_routes_and_errors(reader: httpx.AsyncClient) -> None:
    document = (await reader.get("/openapi.json")).json()
    passed_through = ("/coingecko/", "/binance/")  # their tables are tested beside them
    own = {path for path in document["paths"] if not path.startswith(passed_through)}
    assert own == {
        "/api/market",
        "/api/market/{coin}",
        "/api/market/ohlc",
        "/api/search",
        "/api/news",
        "/api/sentiment",
        "/api/global",
        "/api/gas",
        "/api/stream",
        "/api/status",
        "/api/status/explain",
        "/metrics",
        "/healthz",
        "/readyz",
        "/mcp",
        "/udf/config",
        "/udf/time",
        "/udf/symbols",
        "/udf/search",
        "/udf/history",
        "/udf/quotes",
        "/widgets.json",
    }
    problem = document["components"]["schemas"]["Problem"]
    assert set(problem["required"]) >= {"type", "title", "status", "detail", "code"}
    for path in ("/api/market", "/api/market/ohlc"):
        responses = document["paths"][path]["get"]["responses"]
        assert {"200", "304", "404", "422", "503", "504"} <= set(responses)
        schema = responses["503"]["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
    references = set(
        re.findall(r'"#/components/schemas/(\w+)"', (await reader.get("/openapi.json")).text)
    )
    assert references <= set(document["components"]["schemas"])


async def test_a_choice_is_explained_without_being_made(
    world: World, client: httpx.AsyncClient
) -> None:
    explanation = (await client.get("/api/status/explain?category=market")).json()
    assert explanation["category"] == "market"
    assert explanation["chosen"] in {"coingecko_free", "binance"}
    first = explanation["passed_over"][0]
    assert (first["provider"], first["reason"]) == ("coingecko_pro", "not_configured")
    again = (await client.get("/api/status/explain?category=market")).json()
    assert again["chosen"] == explanation["chosen"]
    assert sum(world.calls.values()) == 0
    assert (await client.get("/api/status")).json()["rotation"] == []


async def test_an_unknown_category_lists_the_known_ones(
    reader: httpx.AsyncClient,
) -> None:
    answer = await reader.get("/api/status/explain?category=weather")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    allowed = ["market", "ohlc", "news", "sentiment", "gas", "global"]
    assert answer.json()["errors"][0]["allowed"] == allowed


async def test_a_paid_keys_limits_are_read_from_its_account(world: World, serve: Serve) -> None:
    client = await serve(COINGECKO_PRO_API_KEY=world.good_keys["coingecko_pro"])
    quotas = await _quotas_of_the_account(client)
    assert world.paths["coingecko_pro"] == ["/api/v3/key"]
    assert {window: quota["limit"] for window, quota in quotas.items()} == {
        "minute": 500,
        "month": 500_000,
    }
    assert quotas["month"]["used"] >= 1_234


async def test_limits_of_a_key_are_read_again_after_a_failure_at_the_start(
    world: World, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "DELAYS_S", (0.05,))
    world.scripts["coingecko_pro"] = iter(["http500"])
    key = world.good_keys["coingecko_pro"]
    client = await serve(COINGECKO_PRO_API_KEY=key, COOLDOWN="0.5", CACHE_TTL_MARKET="0.1")
    quotas = await _quotas_of_the_account(client)
    assert quotas["month"]["limit"] == 500_000
    await asyncio.sleep(0.2)
    paths = world.paths["coingecko_pro"]
    assert paths.count("/api/v3/key") == 2, (
        "the account must be read twice: again after the failure only"
    )
    assert "/coins/markets" in paths[1], "the second read must follow a call for clients"


async def _quotas_of_the_account(client: httpx.AsyncClient) -> dict[str, Any]:
    """The provider's quotas by window, once the account's limit of a minute was read."""
    async with asyncio.timeout(5):
        while True:
            await client.get("/api/market")
            rows = (await client.get("/api/status")).json()["providers"]
            quotas_row = next(row for row in rows if row["name"] == "coingecko_pro")["quotas"]
            quotas = {quota["window"]: quota for quota in quotas_row}
            if quotas["minute"]["limit"] == 500:
                return quotas
            await asyncio.sleep(0.01)  # lets other tasks run


async def test_limits_of_the_settings_override_those_of_the_account(
    world: World, serve: Serve
) -> None:
    key = world.good_keys["coingecko_pro"]
    client = await serve(COINGECKO_PRO_API_KEY=key, COINGECKO_PRO_LIMITS="10/minute,1000/month")
    async with asyncio.timeout(5):
        while world.paths["coingecko_pro"] != ["/api/v3/key"]:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    rows = (await client.get("/api/status")).json()["providers"]
    quotas = next(row for row in rows if row["name"] == "coingecko_pro")["quotas"]
    assert {quota["window"]: quota["limit"] for quota in quotas} == {"minute": 10, "month": 1_000}
