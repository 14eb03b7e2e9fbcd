"""`/api/global`, and the market when only vendors with ids of their own are left."""

import httpx
import pytest

from tests.api.conftest import Serve
from tests.world.lists import RATES
from tests.world.server import WITH_LISTS, World

FIGURES = {
    "market_cap": 2.5e12,
    "volume_24h": 9.0e10,
    "market_cap_change_percentage_24h": 1.25,
    "btc_dominance": 55.5,
    "eth_dominance": 12.25,
    "active_coins": 9_876,
}
KEY = "one-key-of-coinmarketcap"


async def test_the_whole_market_in_a_few_figures(world: World, client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/global")
    document = answer.json()
    assert answer.status_code == 200
    assert document["data"].items() >= FIGURES.items()
    assert document["data"]["last_updated"].endswith("Z")
    assert (document["meta"]["source"], document["meta"]["count"]) == ("coingecko_free", 1)
    assert (await client.get("/api/global")).headers["x-cache"] == "hit"
    assert world.paths["coingecko_free"].count("/api/v3/global") == 1


async def test_it_is_fresh_for_five_minutes_and_is_a_table(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/global?format=csv")
    assert answer.text.splitlines()[0] == ",".join([*FIGURES, "last_updated"])
    assert answer.headers["cache-control"] == "public, max-age=300"


@pytest.mark.parametrize("question", ["limit=1", "format=xml", "symbols=BTC"])
async def test_it_takes_no_other_parameter(reader: httpx.AsyncClient, question: str) -> None:
    assert (await reader.get(f"/api/global?{question}")).status_code == 422


async def test_the_next_vendor_answers_when_one_fails(world: World, serve: Serve) -> None:
    world.faults |= {"coingecko_free": "http500", "coinmarketcap": "html"}
    document = (await (await serve(**WITH_LISTS)).get("/api/global")).json()
    assert document["meta"]["source"] == "coinpaprika"
    assert [one["provider"] for one in document["meta"]["tried"]] == [
        "coingecko_free",
        "coinmarketcap",
        "coinpaprika",
    ]
    assert document["data"].items() >= {**FIGURES, "eth_dominance": None}.items()


async def test_without_any_vendor_it_is_the_precise_error(world: World, serve: Serve) -> None:
    world.faults["coingecko_free"] = "http500"
    answer = await (await serve()).get("/api/global")
    assert (answer.status_code, answer.json()["code"]) == (503, "all_providers_failed")


@pytest.mark.parametrize("vendor", ["coinmarketcap", "coinpaprika"])
async def test_the_market_has_ranks_without_coingecko_and_binance(
    world: World, serve: Serve, vendor: str
) -> None:
    (other,) = {"coinmarketcap", "coinpaprika"} - {vendor}
    world.faults |= dict.fromkeys(("coingecko_free", "binance", other), "http500")
    document = (await (await serve(**WITH_LISTS)).get("/api/market?limit=3")).json()
    assert document["meta"]["source"] == vendor
    first = document["data"][0]
    assert (first["id"], first["symbol"], first["market_cap_rank"]) == ("bitcoin", "BTC", 1)
    assert (first["price"], first["high_24h"], first["low_24h"]) == (50_000.0, None, None)
    assert first["image"] is None
    assert first["price_change_24h"] == pytest.approx(50_000 - 50_000 / 1.0101)


async def test_a_key_has_its_own_path_and_is_sent(world: World, serve: Serve) -> None:
    client = await serve(**WITH_LISTS, COINMARKETCAP_API_KEY=KEY, COINGECKO_FREE_ENABLED="false")
    assert (await client.get("/api/global")).json()["meta"]["source"] == "coinmarketcap"
    assert world.paths["coinmarketcap"] == ["/v1/global-metrics/quotes/latest"]
    assert world.keys["coinmarketcap"] == [KEY]


async def test_a_refused_key_is_replaced_by_calls_without_one_and_status_says_so(
    world: World, serve: Serve
) -> None:
    world.limits["coinmarketcap"] = (30, 60.0)  # with a key
    world.revoked.add("coinmarketcap")
    client = await serve(**WITH_LISTS, COINMARKETCAP_API_KEY=KEY, COINGECKO_FREE_ENABLED="false")
    assert (await client.get("/api/global")).json()["meta"]["source"] == "coinmarketcap"
    assert world.keys["coinmarketcap"] == [KEY, KEY, ""]
    assert world.paths["coinmarketcap"][-1] == "/public-api/v1/global-metrics/quotes/latest"
    providers = (await client.get("/api/status")).json()["providers"]
    status = next(one for one in providers if one["name"] == "coinmarketcap")
    assert (status["status"], status["reason"]) == ("active", "auth_failed")


async def test_amounts_are_converted_and_shares_are_not(reader: httpx.AsyncClient) -> None:
    dollars = (await reader.get("/api/global")).json()
    euros = (await reader.get("/api/global?currency=eur")).json()
    assert (dollars["meta"]["currency"], dollars["meta"]["fx"]) == ("USD", None)
    assert euros["meta"]["currency"] == "EUR"
    rate = euros["meta"]["fx"]["rate"]
    assert rate == float(RATES["EUR"])
    for name in ("market_cap", "volume_24h"):
        assert euros["data"][name] == pytest.approx(dollars["data"][name] * rate)
    assert euros["data"]["btc_dominance"] == dollars["data"]["btc_dominance"]
    # The rate of a day ago is not known yet.
    assert euros["data"]["market_cap_change_percentage_24h"] is None
    assert any("24 h" in warning for warning in euros["meta"]["warnings"])


async def test_in_a_currency_without_a_rate_the_amounts_are_unknown(
    reader: httpx.AsyncClient,
) -> None:
    document = (await reader.get("/api/global?vs_currency=zmw")).json()
    assert (document["data"]["market_cap"], document["data"]["volume_24h"]) == (None, None)
    assert document["data"]["btc_dominance"] is not None
    assert any("ZMW" in warning for warning in document["meta"]["warnings"])
