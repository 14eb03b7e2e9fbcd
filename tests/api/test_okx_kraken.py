"""OKX stands in for prices and candles, Kraken for candles."""

from typing import Any

import pytest

from tests.api.conftest import Serve
from tests.world.server import World

OKX, KRAKEN = {"OKX_ENABLED": "true"}, {"KRAKEN_ENABLED": "true"}
OHLC = "/api/market/ohlc?symbol=BTC"
#: Of the world, in dollars.
BTC, NAMESAKE = 50_500.0, 3.0
HOUR_S = 3_600


async def read(serve: Serve, path: str, **settings: str) -> Any:
    return (await (await serve(**settings)).get(path)).json()


@pytest.mark.parametrize("interval", ["1m", "5m", "1h", "4h", "1d"])
async def test_without_binance_and_coingecko_okx_has_prices_and_candles(
    world: World, serve: Serve, interval: str
) -> None:
    world.faults |= {"binance": "451", "coingecko_free": "http500"}
    document = await read(serve, f"{OHLC}&interval={interval}&limit=1000", **OKX)
    assert document["meta"]["source"] == "okx"
    assert len(document["data"]) == 1_000
    assert {row["close"] for row in document["data"]} == {BTC}
    assert [row["closed"] for row in document["data"][-2:]] == [True, False]
    assert "prices are those of BTC-USDT" in document["meta"]["warnings"][0]
    assert world.overruns == []


async def test_a_range_of_the_past_is_whole_at_okx(world: World, serve: Serve) -> None:
    world.faults["binance"] = "451"
    start = (int(world.now_s) // HOUR_S - 2_400) * HOUR_S
    span = f"start={start}&end={start + 999 * HOUR_S}"
    document = await read(serve, f"{OHLC}&interval=1h&{span}&limit=1000", **OKX)
    assert document["meta"]["source"] == "okx"
    opens = [row["timestamp"] // 1000 for row in document["data"]]
    assert opens == list(range(start, start + 1_000 * HOUR_S, HOUR_S))
    assert world.overruns == []


async def test_okx_alone_answers_from_a_cold_start(world: World, serve: Serve) -> None:
    world.faults |= {"binance": "451", "coingecko_free": "http500"}
    document = await read(serve, "/api/market?limit=250", **OKX)
    rows = {row["symbol"]: row for row in document["data"]}
    assert document["meta"]["source"] == "okx"
    assert (rows["BTC"]["price"], rows["BTC"]["volume_24h"]) == (BTC, BTC * 1000)
    assert rows["BTC"]["price_change_percentage_24h"] == pytest.approx(2.041)
    assert rows["BTC"]["id"] is None
    assert not rows.keys() & {"AAPL", "OLD", "NEW", "DLST", "EUR"}


@pytest.mark.parametrize("symbol", ["namesake", "delisted", "unlisted"])
async def test_what_a_venue_does_not_have_is_not_its_fault(
    world: World, serve: Serve, symbol: str
) -> None:
    path = f"/api/market/ohlc?symbol={symbol}&interval=4h"
    client = await serve(BINANCE_ENABLED="false", **OKX, **KRAKEN)
    document = (await client.get(path)).json()
    assert document["meta"]["source"] == "coingecko_free"
    outcomes = {row["provider"]: row["outcome"] for row in document["meta"]["tried"]}
    assert outcomes.get("okx") == outcomes.get("kraken") == "unsupported"
    states = {row["name"]: row for row in (await client.get("/api/status")).json()["providers"]}
    assert (states["okx"]["status"], states["kraken"]["status"]) == ("active", "active")


async def test_kraken_has_720_candles_and_gaps_where_nothing_was_traded(
    world: World, serve: Serve
) -> None:
    world.faults["binance"] = "451"
    document = await read(serve, f"{OHLC}&interval=1h&limit=1000", **KRAKEN)
    rows = document["data"]
    assert document["meta"]["source"] == "kraken"
    assert len(rows) == 685  # 36 of 721 intervals had no trades
    assert all(row["volume"] > 0 for row in rows)
    assert [row["closed"] for row in rows[-2:]] == [True, False]
    assert any("kraken has 1h candles only since" in text for text in document["meta"]["warnings"])


async def test_weeks_do_not_come_from_kraken(world: World, serve: Serve) -> None:
    world.faults["binance"] = "451"
    await read(serve, f"{OHLC}&interval=1w", **KRAKEN)
    assert world.calls["kraken"] == 0


async def test_candles_in_euros_come_from_krakens_book(world: World, serve: Serve) -> None:
    world.faults["binance"] = "451"
    document = await read(serve, f"{OHLC}&interval=1h&currency=eur", **KRAKEN)
    assert (document["meta"]["source"], document["meta"]["currency"]) == ("kraken", "EUR")
    assert {row["close"] for row in document["data"]} == {46_000.0}
    warnings = document["meta"]["warnings"]
    assert any("prices are those of BTC/EUR" in text for text in warnings)
