"""Errors as problem documents: what is wrong, what is allowed, whose fault; never a secret."""

import re

import httpx
import pytest
from fastapi import FastAPI

from api.edge.problems import STATUS, TITLES
from api.hf_unified_server import create_app
from backend.gateway import read_configuration
from backend.models.ohlc import Interval
from backend.services.market.service import COIN_FIELDS
from tests.api.conftest import Serve
from tests.world.server import World

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id"}


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/api/market?limit=0", "limit"),
        ("/api/market?limit=251", "limit"),
        ("/api/market?limit=many", "limit"),
        ("/api/market?offset=-1", "offset"),
        ("/api/market?sort=luck", "sort"),
        ("/api/market?format=xml", "format"),
        (f"/api/market?symbols={','.join(map(str, range(300)))}", "symbols"),
        (f"/api/market?symbols={'x' * 5_001}", "symbols"),
        ("/api/market/ohlc", "symbol"),
        ("/api/market/ohlc?symbol=", "symbol"),
        ("/api/market/ohlc?symbol=BTC&interval=7m", "interval"),
        ("/api/market/ohlc?symbol=BTC&interval=1H", "interval"),
        ("/api/market/ohlc?symbol=BTC&limit=1001", "limit"),
        ("/api/market/ohlc?symbol=BTC&start=yesterday", "start"),
        ("/api/market/ohlc?symbol=BTC&end=1999-01-01", "end"),
        ("/api/market/ohlc?symbol=BTC&start=2040-01-01", "start"),
        ("/api/market/ohlc?symbol=BTC&start=2024-02-01&end=2024-01-01", "start"),
        ("/api/market/ohlc?symbol=BTC&interval=1m&start=2020-01-01&end=2024-01-01", "start"),
        ("/api/market/ohlc?symbol=BTC&include_open=perhaps", "include_open"),
    ],
)
async def test_a_wrong_parameter_is_named(
    reader: httpx.AsyncClient, path: str, parameter: str
) -> None:
    answer = await reader.get(path)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_parameter")
    assert answer.headers["content-type"] == "application/problem+json"
    assert [row["parameter"] for row in problem["errors"]] == [parameter]
    assert set(problem) >= MEMBERS
    assert isinstance(problem["detail"], str)


async def test_a_wrong_interval_lists_the_allowed_ones(reader: httpx.AsyncClient) -> None:
    answer = await reader.get("/api/market/ohlc?symbol=BTC&interval=7m")
    assert answer.json()["errors"][0]["allowed"] == [str(interval) for interval in Interval]


async def test_a_wrong_sort_lists_all_fields(reader: httpx.AsyncClient) -> None:
    allowed = (await reader.get("/api/market?sort=luck")).json()["errors"][0]["allowed"]
    assert set(COIN_FIELDS) < set(allowed)
    assert "-price" in allowed


async def test_an_unknown_coin_is_404_with_suggestions(reader: httpx.AsyncClient) -> None:
    answer = await reader.get("/api/market/bitcion")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (404, "unknown_symbol")
    assert "bitcoin" in problem["suggestions"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "not_found"),
        ("GET", "/%00", 404, "not_found"),
        ("POST", "/api/market", 405, "method_not_allowed"),
        ("DELETE", "/api/status", 405, "method_not_allowed"),
    ],
)
async def test_unknown_paths_and_methods(
    reader: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await reader.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_valid_request_id_is_sent_back(reader: httpx.AsyncClient) -> None:
    kept = await reader.get("/api/nothing", headers={"X-Request-Id": "trace-1.2:3"})
    assert kept.headers["x-request-id"] == kept.json()["request_id"] == "trace-1.2:3"
    replaced = await reader.get("/healthz", headers={"X-Request-Id": "<script>"})
    assert re.fullmatch(r"[0-9a-f]{32}", replaced.headers["x-request-id"])


async def test_errors_carry_cors_headers(reader: httpx.AsyncClient) -> None:
    for path in ("/api/nothing", "/api/market?limit=0"):
        answer = await reader.get(path, headers={"Origin": "http://example.org"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "X-Request-Id" in answer.headers["access-control-expose-headers"]


async def test_only_configured_origins_are_allowed(serve: Serve) -> None:
    client = await serve(CORS_ORIGINS="https://mine.example")
    mine = await client.get("/healthz", headers={"Origin": "https://mine.example"})
    other = await client.get("/healthz", headers={"Origin": "https://other.example"})
    assert mine.headers["access-control-allow-origin"] == "https://mine.example"
    assert "access-control-allow-origin" not in other.headers


async def test_an_internal_error_discloses_no_trace(serve: Serve) -> None:
    await serve()
    app: FastAPI = create_app(read_configuration())

    async def boom() -> None:
        raise RuntimeError("/home/secret/path")

    app.add_api_route("/boom", boom)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        answer = await client.get("/boom", headers={"Origin": "http://example.org"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert answer.headers["access-control-allow-origin"] == "*"


def test_every_code_has_a_status_and_a_title() -> None:
    assert set(STATUS) == set(TITLES)


@pytest.mark.parametrize(
    ("path", "parameter", "allowed"),
    [
        ("/api/market?limit=0", "limit", ["1 to 250"]),
        ("/api/market?format=xml", "format", ["json", "csv"]),
        ("/api/market/ohlc?symbol=BTC&limit=x", "limit", ["1 to 1000"]),
        ("/api/market/ohlc?symbol=BTC&include_open=x", "include_open", ["true", "false"]),
        ("/api/news?sentiment=x", "sentiment", ["positive", "neutral", "negative"]),
    ],
)
async def test_allowed_values_are_listed(
    reader: httpx.AsyncClient, path: str, parameter: str, allowed: list[str]
) -> None:
    (wrong,) = (await reader.get(path)).json()["errors"]
    assert (wrong["parameter"], wrong["allowed"]) == (parameter, allowed)


@pytest.mark.parametrize(
    "path", ["/api/market?symbols=BTC&symbols=ETH", "/api/market/ohlc?symbol=BTC&symbol=ETH"]
)
async def test_a_parameter_given_twice_is_refused(reader: httpx.AsyncClient, path: str) -> None:
    answer = await reader.get(path)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["detail"] == "is given more than once"


@pytest.mark.parametrize("query", ["symbols=", "ids=,,"])
async def test_an_empty_list_is_refused(reader: httpx.AsyncClient, query: str) -> None:
    assert (await reader.get(f"/api/market?{query}")).status_code == 422


@pytest.mark.parametrize("path", ["/api/market/", "/api/market/BTC/", "/api/market/ohlc/"])
async def test_a_trailing_slash_is_redirected(reader: httpx.AsyncClient, path: str) -> None:
    answer = await reader.get(path)
    assert answer.status_code == 307
    assert answer.next_request is not None
    assert answer.next_request.url.path == path.rstrip("/")


async def test_a_preflight_carries_a_request_id(reader: httpx.AsyncClient) -> None:
    headers = {"Origin": "http://example.org", "Access-Control-Request-Method": "GET"}
    answer = await reader.options("/api/market", headers=headers)
    assert answer.status_code == 200
    assert "x-request-id" in answer.headers


async def test_an_error_names_each_provider_and_its_reason(world: World, serve: Serve) -> None:
    world.faults["binance"] = "http503"
    client = await serve()
    problem = (await client.get("/api/market/ohlc?symbol=BTC&interval=1m")).json()
    assert problem["detail"] == "no provider could answer for 1m candles of bitcoin"
    details = {row["provider"]: row["detail"] for row in problem["providers"]}
    assert details["coingecko_free"] == "it has no operation that answers this query"
