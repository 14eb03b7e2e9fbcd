"""`/api/market` over the whole stack, in front of real loopback sockets."""

import asyncio
import csv
import io
from dataclasses import fields
from typing import Any

import httpx
import pytest

from backend.models.market import Coin
from tests.api.conftest import Serve
from tests.world.server import World

KEYS = [field.name for field in fields(Coin)]
META = {
    "source",
    "sources",
    "currency",
    "fx",
    "latency_ms",
    "fetched_at",
    "expires_at",
    "stale",
    "stale_reason",
    "tried",
}
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def upstream(world: World) -> int:
    return sum(world.calls.values())


def by_id(answer: httpx.Response) -> dict[str, Any]:
    return {row["id"]: row for row in answer.json()["data"]}


async def test_the_default_is_the_top_hundred_in_the_contracts_shape(
    reader: httpx.AsyncClient,
) -> None:
    answer = await reader.get("/api/market")
    assert answer.status_code == 200
    document = answer.json()
    assert set(document) == {"data", "meta"}
    assert [list(row) for row in document["data"]] == [KEYS] * 100
    assert [row["market_cap_rank"] for row in document["data"]] == list(range(1, 101))
    assert set(document["meta"]) == META | {"count", "total", "warnings"}
    assert (document["meta"]["count"], document["meta"]["total"]) == (100, 250)
    assert document["data"][0]["symbol"] == "BTC"


async def test_two_hundred_concurrent_requests_cause_one_upstream_call(
    world: World, client: httpx.AsyncClient
) -> None:
    world.delay_s = 0.2
    answers = await asyncio.gather(*(client.get("/api/market") for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert upstream(world) == 1


@pytest.mark.parametrize(
    "query",
    [
        "limit=1",
        "limit=250&offset=3",
        "offset=1000000",
        "symbols=BTC,ETH",
        "ids=bitcoin,coin-5",
        "sort=-price",
        "sort=name",
        "format=csv",
    ],
)
async def test_no_parameter_causes_an_upstream_call(
    world: World, client: httpx.AsyncClient, query: str
) -> None:
    await client.get("/api/market")
    before = upstream(world)
    assert (await client.get(f"/api/market?{query}")).status_code == 200
    assert upstream(world) == before


async def test_responses_are_identical_until_the_next_refresh(
    client: httpx.AsyncClient,
) -> None:
    first, again = await client.get("/api/market"), await client.get("/api/market")
    assert (first.headers["x-cache"], again.headers["x-cache"]) == ("miss", "hit")
    assert first.content == again.content
    assert first.headers["etag"] == again.headers["etag"]
    assert again.headers["age"].isdecimal()
    assert again.headers["cache-control"] in ("public, max-age=59", "public, max-age=60")
    assert "Accept-Encoding" in again.headers["vary"]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
async def test_a_current_etag_gives_304_without_a_body(
    reader: httpx.AsyncClient, form: str
) -> None:
    etag = (await reader.get("/api/market")).headers["etag"]
    answer = await reader.get("/api/market", headers={"If-None-Match": form.format(etag)})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag


async def test_another_etag_gives_the_body(reader: httpx.AsyncClient) -> None:
    answer = await reader.get("/api/market", headers={"If-None-Match": '"other"'})
    assert (answer.status_code, len(answer.json()["data"])) == (200, 100)


async def test_head_has_the_headers_of_get_and_no_body(reader: httpx.AsyncClient) -> None:
    get, head = await reader.get("/api/market"), await reader.head("/api/market")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["etag"] == get.headers["etag"]


async def test_filters_accept_any_spelling_and_warn_of_unknown_names(
    reader: httpx.AsyncClient,
) -> None:
    answer = await reader.get("/api/market?symbols=btc,ETH/USDT,nope&ids=coin-7, unlisted")
    document = answer.json()
    assert set(by_id(answer)) == {"bitcoin", "ethereum", "coin-7", "unlisted"}
    notes = document["meta"]["warnings"]
    assert any("'nope'" in note for note in notes)
    assert any("fake-bitcoin" in note for note in notes)


async def test_csv_has_the_columns_of_the_rows(reader: httpx.AsyncClient) -> None:
    answer = await reader.get("/api/market?limit=5&format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert (len(rows), list(rows[0])) == (5, KEYS)
    assert rows[0]["id"] == "bitcoin"
    assert float(rows[0]["price"]) == 50_000


async def test_an_empty_page_is_an_empty_csv(reader: httpx.AsyncClient) -> None:
    answer = await reader.get("/api/market?offset=900&format=csv")
    assert answer.status_code == 200
    assert answer.text.strip().split(",") == KEYS


@pytest.mark.parametrize("name", ["bitcoin", "BTC", "btc", "BTCUSDT", "BTC-USD", "BTC/USDT"])
async def test_a_coin_is_found_by_id_symbol_or_pair(reader: httpx.AsyncClient, name: str) -> None:
    answer = await reader.get(f"/api/market/{name}")
    assert answer.json()["data"]["id"] == "bitcoin"
    assert answer.json()["meta"]["count"] == 1


async def test_binance_prices_are_laid_over_the_ranked_list(world: World, serve: Serve) -> None:
    client = await serve(CACHE_TTL_MARKET="0.05", COINGECKO_FREE_LIMITS="100/minute")
    await client.get("/api/market?limit=250")
    for _ in range(20):
        await asyncio.sleep(0.11)
        answer = await client.get("/api/market?limit=250")
        if answer.json()["meta"]["source"] == "binance":
            break
    rows = by_id(answer)
    assert len(rows) == 250
    bitcoin = rows["bitcoin"]
    assert (bitcoin["price"], bitcoin["source"], bitcoin["market_cap_rank"]) == (
        50_500.0,
        "binance",
        1,
    )
    assert bitcoin["market_cap"] == pytest.approx(50_500.0 * bitcoin["circulating_supply"])
    assert rows["fdusd-only"]["price"] == 7.1
    kept = {"fake-bitcoin": 0.002, "namesake": 3.0, "delisted": 120.0, "unlisted": 40.0}
    for name, price in kept.items():
        assert (rows[name]["price"], rows[name]["source"]) == (price, "coingecko_free")
        assert rows[name]["last_updated"] < bitcoin["last_updated"]
    assert world.overruns == []


async def test_without_a_ranked_list_binance_warns_of_missing_fields(
    world: World, client: httpx.AsyncClient
) -> None:
    world.faults["coingecko_free"] = "http500"
    answer = await client.get("/api/market?limit=250")
    document = answer.json()
    assert document["meta"]["source"] == "binance"
    rows = {row["symbol"]: row for row in document["data"]}
    assert {"EUR", "DEAD", "DLST"} & set(rows) == set()
    assert [rows["BTC"][name] for name in ("id", "name", "market_cap", "market_cap_rank")] == [
        None
    ] * 4
    volumes = [row["volume_24h"] for row in rows.values()]
    assert volumes == sorted(volumes, reverse=True)
    assert "no ranked list" in document["meta"]["warnings"][0]
    coin = await client.get("/api/market/BTC")
    assert coin.json()["data"]["price"] == 50_500.0
    unknown = await client.get("/api/market/bitcoin")
    assert (unknown.status_code, unknown.json()["code"]) == (503, "not_ready")
