"""Coinbase and Bitstamp stand in: for prices, and for candles of the intervals that they have."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.api.conftest import Serve
from tests.world.server import World

ALL = {"COINBASE_ENABLED": "true", "BITSTAMP_ENABLED": "true"}
COINBASE = {"COINBASE_ENABLED": "true"}
BITSTAMP = {"BITSTAMP_ENABLED": "true"}
OHLC = "/api/market/ohlc?symbol=BTC"
#: Of the world, in dollars.
BTC, NAMESAKE = 50_500.0, 3.0


async def tried(client: httpx.AsyncClient, path: str) -> tuple[Any, list[tuple[str, str]]]:
    document = (await client.get(path)).json()
    attempts = document.get("meta", document).get("tried", [])
    return document, [(one["provider"], one["outcome"]) for one in attempts]


@pytest.mark.parametrize(
    ("interval", "source"),
    [
        *((one, "coinbase") for one in ("1m", "5m", "15m", "1h", "6h", "1d")),
        *((one, "bitstamp") for one in ("3m", "30m", "2h", "4h", "12h", "3d")),
    ],
)
async def test_without_binance_and_coingecko_each_interval_has_a_venue(
    world: World, serve: Serve, interval: str, source: str
) -> None:
    world.faults |= {"binance": "451", "coingecko_free": "http500"}
    client = await serve(**ALL)
    document, _ = await tried(client, f"{OHLC}&interval={interval}&limit=1000")
    assert document["meta"]["source"] == source
    assert len(document["data"]) == 1_000
    assert {row["close"] for row in document["data"]} == {BTC}
    assert [row["closed"] for row in document["data"][-2:]] == [True, False]
    assert world.overruns == []


@pytest.mark.parametrize("interval", ["8h", "1w", "1M"])
async def test_an_interval_that_no_venue_has_is_no_other_interval(
    world: World, serve: Serve, interval: str
) -> None:
    world.faults |= {"binance": "451", "coingecko_free": "http500"}
    client = await serve(**ALL)
    answer = await client.get(f"{OHLC}&interval={interval}")
    assert answer.status_code == 503
    assert world.calls["coinbase"] + world.calls["bitstamp"] == 1  # for the coin's price


@pytest.mark.parametrize(("settings", "venue"), [(COINBASE, "coinbase"), (BITSTAMP, "bitstamp")])
async def test_a_range_of_the_past_is_whole(
    world: World, serve: Serve, settings: dict[str, str], venue: str
) -> None:
    world.faults["binance"] = "451"
    client = await serve(**settings)
    hour = 3_600
    start = (int(world.now_s) // hour - 2_400) * hour
    path = f"{OHLC}&interval=1h&start={start}&end={start + 999 * hour}&limit=1000"
    document, _ = await tried(client, path)
    assert document["meta"]["source"] == venue
    opens = [row["timestamp"] // 1000 for row in document["data"]]
    assert opens == list(range(start, start + 1_000 * hour, hour))
    assert world.calls[venue] <= 10
    assert world.overruns == []


@pytest.mark.parametrize(("settings", "venue"), [(COINBASE, "coinbase"), (BITSTAMP, "bitstamp")])
async def test_prices_of_a_venue_enter_under_the_ranks_of_coingecko(
    world: World, serve: Serve, settings: dict[str, str], venue: str
) -> None:
    client = await serve(CACHE_TTL_MARKET="0.05", **settings)
    before = (await client.get("/api/market?limit=250")).json()["data"]
    world.faults |= {"binance": "451", "coingecko_free": "http500"}
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        while (document := (await client.get("/api/market?limit=250")).json())["meta"][
            "source"
        ] != venue:
            await asyncio.sleep(0.05)
    rows = {row["id"]: row for row in document["data"]}
    bitcoin = rows["bitcoin"]
    assert (bitcoin["price"], bitcoin["source"], bitcoin["market_cap_rank"]) == (BTC, venue, 1)
    assert bitcoin["price_change_percentage_24h"] == pytest.approx(2.04, abs=0.01)
    own = next(row["volume_24h"] for row in before if row["id"] == "bitcoin")
    assert bitcoin["volume_24h"] == (own if venue == "coinbase" else BTC * 1000)
    # NAME at the venue is another coin, and the perpetual and the lesser coin are none.
    assert rows["namesake"]["price"] == NAMESAKE
    assert rows["fake-bitcoin"]["price"] == 0.002
    assert [row["id"] for row in document["data"]] == [row["id"] for row in before]


@pytest.mark.parametrize(("settings", "venue"), [(COINBASE, "coinbase"), (BITSTAMP, "bitstamp")])
async def test_a_venue_alone_answers_from_a_cold_start(
    world: World, serve: Serve, settings: dict[str, str], venue: str
) -> None:
    world.faults |= {"binance": "451", "coingecko_free": "http500"}
    client = await serve(**settings)
    document, _ = await tried(client, "/api/market?limit=250")
    rows = {row["symbol"]: row for row in document["data"]}
    assert document["meta"]["source"] == venue
    assert rows["BTC"]["price"] == BTC
    assert rows["BTC"]["market_cap"] is rows["BTC"]["id"] is None
    assert (rows["BTC"]["volume_24h"] is None) is (venue == "coinbase")
    assert not rows.keys() & {"NEW", "HALT", "OLD", "DLST", "EUR"}


@pytest.mark.parametrize("symbol", ["namesake", "delisted", "unlisted"])
async def test_what_a_venue_does_not_have_is_not_its_fault(
    world: World, serve: Serve, symbol: str
) -> None:
    client = await serve(**ALL)
    document, outcomes = await tried(client, f"/api/market/ohlc?symbol={symbol}&interval=4h")
    assert document["meta"]["source"] == "coingecko_free"
    assert ("bitstamp", "unsupported") in outcomes
    status = (await client.get("/api/status")).json()["providers"]
    states = {row["name"]: row["status"] for row in status}
    assert (states["coinbase"], states["bitstamp"]) == ("active", "active")


async def test_a_rate_limit_of_a_venue_is_kept(world: World, serve: Serve) -> None:
    world.faults |= {"binance": "451", "coinbase": "429_30"}
    client = await serve(**ALL)
    document, outcomes = await tried(client, f"{OHLC}&interval=1h")
    assert document["meta"]["source"] == "bitstamp"
    assert ("coinbase", "rate_limited") in outcomes
    status = (await client.get("/api/status")).json()["providers"]
    assert {row["name"]: row["status"] for row in status}["coinbase"] == "rate_limited"
    assert world.calls["coinbase"] == 1


@pytest.mark.parametrize("has_ranks", [True, False])
async def test_candles_in_euros_come_from_a_venue_alone_and_others_are_unsupported(
    world: World, serve: Serve, has_ranks: bool
) -> None:
    """Bitstamp of this world has a book in euros, and none in pounds."""
    world.faults |= {"binance": "451"} | ({} if has_ranks else {"coingecko_free": "http500"})
    client = await serve(**BITSTAMP, BINANCE_ENABLED="false")
    document = (await client.get(f"{OHLC}&currency=eur&limit=5")).json()
    assert document["meta"]["currency"] == "EUR"
    assert document["meta"]["warnings"][-1] == "prices are those of btceur: they are in EUR"
    problem = (await client.get(f"{OHLC}&currency=gbp&limit=5")).json()
    assert (problem["status"], problem["code"]) == (422, "unsupported")
    assert problem["parameter"] == "currency"
    assert "usd" in problem["available"]
    assert "gbp" not in problem["available"]
