"""Coins beyond the list, search, currencies and sparklines: the whole gateway over loopback."""

import asyncio
import csv
import io
from dataclasses import fields, replace
from typing import Any

import httpx
import pytest

from backend import sources
from backend.cache.freshness import Freshness
from backend.categories import RATES
from backend.identity.currencies import CURRENCIES
from backend.models.market import Coin, CoinWithSparkline
from tests.api.conftest import Serve
from tests.api.serving import serving
from tests.world import lists
from tests.world.server import WITH_LISTS, World

#: As with a key: a keyless plan has too few calls a minute for some of these tests.
MORE = {"COINGECKO_FREE_LIMITS": "100/minute"}
EUR = float(lists.RATES["EUR"])


async def get(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def paths(world: World) -> list[str]:
    """What CoinGecko was asked for."""
    return [path.removeprefix("/api/v3") for path in world.paths["coingecko_free"]]


@pytest.fixture
async def client(world: World, serve: Serve) -> httpx.AsyncClient:
    world.limits["coingecko_free"] = (100, 60.0)
    return await serve(**MORE)


@pytest.fixture
def quick_rates(monkeypatch: pytest.MonkeyPatch, world: World) -> dict[str, str]:
    """Rates that are refreshed at once when they are read again; the settings for it."""
    quick = replace(RATES, fixed=Freshness(0.05, 3_600.0))
    monkeypatch.setattr(sources, "RATES", quick)
    world.limits["coinbase_rates"] = (1_000, 60.0)
    return {"COINBASE_RATES_LIMITS": "1000/minute", "CACHE_TTL_MARKET": "600"}


# Coins beyond the list


@pytest.mark.parametrize("name", ["far-away", "FAR-AWAY", "FAR", "far", "FARUSDT", "far/usd"])
async def test_a_coin_beyond_the_list_is_found_by_id_ticker_or_pair(
    world: World, client: httpx.AsyncClient, name: str
) -> None:
    document = await get(client, f"/api/market/{name}")
    coin = document["data"]
    assert (coin["id"], coin["symbol"], coin["price"]) == ("far-away", "FAR", 0.25)
    assert coin["market_cap_rank"] == 900
    assert paths(world) == ["/coins/markets", "/coins/list", "/coins/markets"]
    assert world.overruns == []


async def test_an_ambiguous_ticker_beyond_the_list_says_so(client: httpx.AsyncClient) -> None:
    warnings = (await get(client, "/api/market/FAR"))["meta"]["warnings"]
    assert warnings == ["FAR is ambiguous: far-away is the best ranked of 2 coins with this ticker"]


async def test_keyless_a_coin_beyond_the_list_is_within_the_limit(
    world: World, serve: Serve
) -> None:
    keyless = await serve()
    document = await get(keyless, "/api/market?ids=far-away,btc-of-mars&symbols=BTCM")
    assert {row["id"] for row in document["data"]} == {"far-away", "btc-of-mars"}
    assert document["meta"]["warnings"] == []
    assert world.calls["coingecko_free"] == 3
    assert world.overruns == []


async def test_the_list_and_coins_beyond_it_are_one_answer(client: httpx.AsyncClient) -> None:
    document = await get(client, "/api/market?ids=far-away,btc-of-mars,far-cousin&symbols=ETH,FAR")
    rows = {row["id"]: row["market_cap_rank"] for row in document["data"]}
    assert rows == {"ethereum": 2, "far-away": 900, "btc-of-mars": 1_200, "far-cousin": 2_400}
    assert document["meta"]["count"] == document["meta"]["total"] == 4


async def test_a_herd_of_readers_of_several_coins_costs_one_call(
    world: World, client: httpx.AsyncClient
) -> None:
    await get(client, "/api/market/far-away")  # the lists are known now
    before = len(paths(world))
    world.delay_s = 0.1
    names = ("far-cousin", "btc-of-mars", "far-cousin", "btc-of-mars") * 12
    answers = await asyncio.gather(*(client.get(f"/api/market/{one}") for one in names))
    assert {one.status_code for one in answers} == {200}
    assert len(paths(world)) == before + 1


async def test_a_second_read_is_a_hit_and_costs_nothing(
    world: World, client: httpx.AsyncClient
) -> None:
    first = await client.get("/api/market/far-away")
    before = sum(world.calls.values())
    again = await client.get("/api/market/far-away")
    assert again.headers["x-cache"] == "hit"
    assert (again.content, again.headers["etag"]) == (first.content, first.headers["etag"])
    same = await client.get(
        "/api/market/far-away", headers={"If-None-Match": again.headers["etag"]}
    )
    assert same.status_code == 304
    assert sum(world.calls.values()) == before


async def test_nonsense_is_404_and_costs_the_list_of_names_once(
    world: World, client: httpx.AsyncClient
) -> None:
    for n in range(40):
        answer = await client.get(f"/api/market/nonsense-{n}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_symbol")
    ohlc = await client.get("/api/market/ohlc?symbol=nonsense")
    assert (ohlc.status_code, ohlc.json()["code"]) == (404, "unknown_symbol")
    listed = await client.get("/api/market?symbols=nonsense,also-nonsense")
    assert listed.status_code == 404
    assert paths(world) == ["/coins/markets", "/coins/list"]


async def test_an_unknown_name_has_suggestions(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/market/bitcoyn")
    assert answer.status_code == 404
    assert "bitcoin" in answer.json()["suggestions"]


async def test_while_the_names_fail_nonsense_costs_one_call_for_all(
    world: World, client: httpx.AsyncClient
) -> None:
    await get(client, "/api/market")
    world.faults["coingecko_free"] = "http500"
    for n in range(30):
        answer = await client.get(f"/api/market/nonsense-{n}")
        assert answer.status_code == 503, "it is not known whether it is a coin"
    assert paths(world) == ["/coins/markets", "/coins/list"]


async def test_candles_of_a_coin_beyond_the_list_are_never_a_namesakes(
    world: World, client: httpx.AsyncClient
) -> None:
    """Binance trades no FAR here; its C5 is another coin's. A namesake by id gets no instrument."""
    document = await get(client, "/api/market/ohlc?symbol=far-cousin")
    assert document["meta"]["source"] == "coingecko_free"
    assert {row["close"] for row in document["data"]} == {9.0}
    assert world.calls["binance"] == 0


async def test_an_implausible_single_coin_does_not_stop_coingecko_for_all(
    world: World, client: httpx.AsyncClient
) -> None:
    await get(client, "/api/market/far-away")
    world.scripts["coingecko_free"] = iter(["zero"])
    document = await get(client, "/api/market/btc-of-mars")
    assert (document["data"]["id"], document["data"]["price"]) == ("btc-of-mars", None)
    status = (await client.get("/api/status")).json()
    states = {one["name"]: one["status"] for one in status["providers"]}
    assert states["coingecko_free"] == "active"


async def test_beside_foreign_ranks_single_coins_have_none(world: World, serve: Serve) -> None:
    client = await serve(**WITH_LISTS, **MORE, CACHE_TTL_MARKET="0.05")
    world.limits["coingecko_free"] = (1_000, 60.0)
    await get(client, "/api/market/far-away")
    world.faults["coingecko_free"] = "http500"
    world.faults["binance"] = "http500"
    for _ in range(40):
        document = await get(client, "/api/market?ids=bitcoin,far-away")
        if document["meta"]["source"] in ("coinmarketcap", "coinpaprika"):
            break
        await asyncio.sleep(0.1)
    assert document["meta"]["source"] in ("coinmarketcap", "coinpaprika")
    ranks = {row["id"]: row["market_cap_rank"] for row in document["data"]}
    assert ranks["bitcoin"] == 1
    assert ranks.get("far-away") is None


async def test_single_coins_outlive_a_restart(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    async with serving(world, surroundings) as client:
        before = await get(client, "/api/market/far-away?currency=eur")
    for name in ("coingecko_free", "binance", "coinbase_rates", "frankfurter"):
        world.faults[name] = "http500"
    async with serving(world, surroundings) as client:
        after = await get(client, "/api/market/far-away?currency=eur")
    assert after["data"] == before["data"]
    assert after["meta"]["fx"] == before["meta"]["fx"]


# Search


async def search(client: httpx.AsyncClient, query: str) -> list[str]:
    return [row["id"] for row in (await get(client, f"/api/search?{query}"))["data"]]


async def test_exact_names_come_first_then_ranks(client: httpx.AsyncClient) -> None:
    assert await search(client, "q=btc") == ["bitcoin", "fake-bitcoin", "btc-of-mars"]
    assert await search(client, "q=BitCoin") == ["bitcoin", "fake-bitcoin", "btc-of-mars"]
    assert await search(client, "q=far&limit=1") == ["far-away"]


async def test_rows_beyond_the_list_have_no_rank_and_no_picture(client: httpx.AsyncClient) -> None:
    document = await get(client, "/api/search?q=far-away")
    assert document["data"] == [
        {
            "id": "far-away",
            "symbol": "FAR",
            "name": "Far Away",
            "market_cap_rank": None,
            "image": None,
        }
    ]
    assert "currency" not in document["meta"]


async def test_names_beyond_the_list_cost_units_of_the_client(world: World, serve: Serve) -> None:
    """Otherwise one client keeps the call for all others' coins full."""
    client = await serve(CLIENT_RATE_LIMIT="30/minute")
    names = ",".join(f"unknown-{n}" for n in range(249))
    assert (await client.get(f"/api/market?symbols=BTC,{names}")).status_code == 200
    refused = await client.get(f"/api/market?symbols=ETH,{names}")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert (await client.get("/api/market?symbols=BTC,ETH,far-away")).status_code == 200


@pytest.mark.parametrize(
    "query", ["q=", "q=%20%20", "q=%0A", "q=%E3%80%80", f"q={'x' * 65}", "limit=5"]
)
async def test_a_search_without_text_or_with_too_much_is_refused(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get(f"/api/search?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


@pytest.mark.parametrize("query", [f"q={'x' * 64}", "q=%F0%9F%92%A9", "q=%00", "q=zzzz"])
async def test_what_matches_nothing_is_an_empty_list(client: httpx.AsyncClient, query: str) -> None:
    assert await search(client, query) == []


async def test_searches_cost_no_calls_but_the_two_lists(
    world: World, client: httpx.AsyncClient
) -> None:
    for text in ("a", "b", "c", "btc"):
        await search(client, f"q={text}")
    assert paths(world) == ["/coins/markets", "/coins/list"]


async def test_a_search_is_answered_from_the_ranked_list_while_the_names_fail(
    world: World, client: httpx.AsyncClient
) -> None:
    await get(client, "/api/market")
    world.faults["coingecko_free"] = "http500"
    answer = await client.get("/api/search?q=btc")
    assert [row["id"] for row in answer.json()["data"]] == ["bitcoin", "fake-bitcoin"]
    assert "only the ranked list was searched" in answer.json()["meta"]["warnings"][0]


# Currencies


async def test_amounts_are_converted_by_a_rate_that_is_named(
    world: World, client: httpx.AsyncClient
) -> None:
    dollars = await get(client, "/api/market?limit=3")
    euros = await get(client, "/api/market?limit=3&currency=eur")
    for before, after in zip(dollars["data"], euros["data"], strict=True):
        for name in ("price", "market_cap", "volume_24h", "high_24h", "low_24h"):
            assert after[name] == pytest.approx(before[name] * EUR)
        assert after["price_change_24h"] is after["price_change_percentage_24h"] is None
        assert after["circulating_supply"] == before["circulating_supply"]
    meta = euros["meta"]
    assert (meta["currency"], meta["fx"]["source"], meta["fx"]["rate"]) == (
        "EUR",
        "coinbase_rates",
        EUR,
    )
    assert any("changes over 1 h, 24 h, 7 d are unknown in EUR" in one for one in meta["warnings"])
    assert (dollars["meta"]["currency"], dollars["meta"]["fx"]) == ("USD", None)
    assert world.calls["coinbase_rates"] == 1


@pytest.mark.parametrize("spelling", ["currency=EUR", "currency=Eur", "vs_currency=eur"])
async def test_the_spelling_does_not_matter(client: httpx.AsyncClient, spelling: str) -> None:
    document = await get(client, f"/api/market/bitcoin?{spelling}")
    assert document["data"]["price"] == pytest.approx(50_000 * EUR)
    assert document["meta"]["currency"] == "EUR"


@pytest.mark.parametrize("query", ["currency=usd", "currency=USD", "vs_currency=usd"])
async def test_dollars_need_no_rate(world: World, client: httpx.AsyncClient, query: str) -> None:
    document = await get(client, f"/api/market/bitcoin?{query}")
    assert (document["meta"]["currency"], document["meta"]["fx"]) == ("USD", None)
    assert world.calls["coinbase_rates"] == 0


async def test_bitcoin_in_bitcoin_is_one(client: httpx.AsyncClient) -> None:
    document = await get(client, "/api/market/bitcoin?currency=btc")
    assert document["data"]["price"] == pytest.approx(1)


@pytest.mark.parametrize("query", ["currency=xau", "currency=doge", "vs_currency=euro"])
async def test_an_unknown_currency_is_422_with_the_list(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get(f"/api/market?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported")
    assert answer.json()["available"] == [code.lower() for code in CURRENCIES]


async def test_both_names_of_the_currency_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/market?currency=eur&vs_currency=eur")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


async def test_a_currency_without_a_rate_has_null_amounts_and_a_named_warning(
    client: httpx.AsyncClient,
) -> None:
    document = await get(client, "/api/market?limit=1&currency=uyu")
    assert (document["data"][0]["price"], document["data"][0]["market_cap_rank"]) == (None, 1)
    assert (document["meta"]["currency"], document["meta"]["fx"]) == ("UYU", None)
    assert document["meta"]["warnings"] == [
        "amounts are unknown: coinbase_rates has no rate of UYU"
    ]


async def test_the_bank_answers_when_coinbase_does_not_with_its_day(
    world: World, client: httpx.AsyncClient
) -> None:
    world.faults["coinbase_rates"] = "http500"
    fx = (await get(client, "/api/market/bitcoin?currency=eur"))["meta"]["fx"]
    assert fx["source"] == "frankfurter"
    assert fx["as_of"].endswith("T00:00:00.000Z")


async def test_without_any_rate_the_amounts_are_unknown_in_another_currency_only(
    world: World, client: httpx.AsyncClient
) -> None:
    world.faults |= {"coinbase_rates": "http500", "frankfurter": "http500"}
    document = await get(client, "/api/market?currency=eur")
    assert {row["price"] for row in document["data"]} == {None}
    assert (document["meta"]["currency"], document["meta"]["fx"]) == ("EUR", None)
    assert any("amounts are unknown" in warning for warning in document["meta"]["warnings"])
    assert None not in {row["price"] for row in (await get(client, "/api/market"))["data"]}


async def test_a_change_of_the_rate_changes_the_body_and_its_etag(
    world: World, serve: Serve, quick_rates: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await serve(**quick_rates)
    first = await client.get("/api/market?limit=2&currency=eur")
    monkeypatch.setitem(lists.RATES, "EUR", str(EUR * 1.02))
    for _ in range(20):
        await asyncio.sleep(0.06)
        now = await client.get("/api/market?limit=2&currency=eur")
        if now.content != first.content:
            break
    assert now.json()["data"][0]["price"] == pytest.approx(50_000 * EUR * 1.02)
    assert now.json()["meta"]["fx"]["rate"] == pytest.approx(EUR * 1.02)
    assert now.headers["etag"] != first.headers["etag"]
    kept = {"If-None-Match": first.headers["etag"]}
    changed = await client.get("/api/market?limit=2&currency=eur", headers=kept)
    assert changed.status_code == 200
    assert world.calls["coingecko_free"] == 1, "the market is as it was"


async def test_a_leaping_rate_waits_for_a_second_report_and_the_last_one_is_used_till_then(
    world: World, serve: Serve, quick_rates: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await serve(**quick_rates, FRANKFURTER_ENABLED="false")
    prices = [(await get(client, "/api/market/bitcoin?currency=eur"))["data"]["price"]]
    monkeypatch.setitem(lists.RATES, "EUR", str(EUR * 1.5))
    for _ in range(20):
        await asyncio.sleep(0.06)
        document = await get(client, "/api/market/bitcoin?currency=eur")
        prices.append(document["data"]["price"])
    seen = list(dict.fromkeys(prices))
    assert seen == [
        pytest.approx(50_000 * EUR),
        pytest.approx(50_000 * EUR * 1.5),
    ]


async def test_views_of_two_currencies_do_not_mix(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        for code, rate in (("eur", EUR), ("usd", 1.0), ("jpy", 150.125)):
            document = await get(client, f"/api/market/bitcoin?currency={code}")
            assert document["data"]["price"] == pytest.approx(50_000 * rate)


async def test_a_hit_in_a_currency_says_so_and_is_the_same_bytes(
    world: World, client: httpx.AsyncClient
) -> None:
    path = "/api/market?limit=2&currency=eur&sparkline=true"
    first, again = await client.get(path), await client.get(path)
    assert (first.headers["x-cache"], again.headers["x-cache"]) == ("miss", "hit")
    assert first.content == again.content
    assert world.calls["coinbase_rates"] == 1


async def test_rows_are_sorted_by_what_is_shown(client: httpx.AsyncClient) -> None:
    """The changes of a day are unknown in euros: the order is that of the ranks."""
    document = await get(client, "/api/market?limit=5&currency=eur&sort=-price_change_24h")
    assert [row["market_cap_rank"] for row in document["data"]] == [1, 2, 3, 4, 5]
    dear = await get(client, "/api/market?limit=2&currency=eur&sort=-price")
    assert [row["id"] for row in dear["data"]] == ["bitcoin", "ethereum"]


# Sparklines and tables


async def test_sparklines_cost_one_call_more_for_all_readers(
    world: World, client: httpx.AsyncClient
) -> None:
    await get(client, "/api/market")
    documents = [
        await get(client, f"/api/market?limit=250&sparkline=true&offset={n}") for n in (0, 1)
    ]
    lines = [row["sparkline_7d"] for row in documents[0]["data"]]
    assert (len(lines[0]), len(lines[-2]), lines[-1]) == (168, 1, None)
    assert lines[0][0] == 50_000.0
    assert paths(world) == ["/coins/markets", "/coins/markets"]
    assert "sparkline_7d" not in (await get(client, "/api/market?limit=1"))["data"][0]


async def test_one_coin_has_a_sparkline_and_one_beyond_the_list_has_none(
    client: httpx.AsyncClient,
) -> None:
    bitcoin = await get(client, "/api/market/bitcoin?sparkline=true")
    assert len(bitcoin["data"]["sparkline_7d"]) == 168
    far = await get(client, "/api/market/far-away?sparkline=true")
    assert far["data"]["sparkline_7d"] is None


async def test_a_table_has_the_currencys_amounts_and_sparklines_in_a_cell(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/api/market?limit=2&currency=eur&sparkline=true&format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(rows[0]) == [one.name for one in fields(CoinWithSparkline)]
    assert float(rows[0]["price"]) == pytest.approx(50_000 * EUR)
    assert rows[0]["sparkline_7d"] == ""
    dollars = await client.get("/api/market?limit=2&sparkline=true&format=csv")
    cell = next(csv.DictReader(io.StringIO(dollars.text)))["sparkline_7d"]
    assert len(cell.split(" ")) == 168
    plain = await client.get("/api/market?limit=2&format=csv")
    assert plain.text.splitlines()[0].split(",") == [one.name for one in fields(Coin)]


async def test_without_sparklines_the_market_is_answered_with_a_warning(
    world: World, client: httpx.AsyncClient
) -> None:
    await get(client, "/api/market")
    world.faults["coingecko_free"] = "http500"
    document = await get(client, "/api/market?limit=1&sparkline=true")
    assert document["data"][0]["sparkline_7d"] is None
    assert "sparklines are unknown" in document["meta"]["warnings"][0]


# Changes over an hour and a week


async def test_changes_over_an_hour_and_a_week_are_those_of_the_list(
    client: httpx.AsyncClient,
) -> None:
    coin = (await get(client, "/api/market/bitcoin"))["data"]
    changes = (coin["price_change_percentage_1h"], coin["price_change_percentage_7d"])
    assert changes == (0.25, -4.5)
