"""Over real sockets: Kraken's stream gives the ticks while Binance is off."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.stream.conftest import ServeStream
from tests.world.kraken_push import KrakenPushWorld, ticker_told

SETTINGS = {
    "BINANCE_ENABLED": "false",
    "KRAKEN_ENABLED": "true",
    "CACHE_TTL_MARKET": "60",
    "CACHE_TTL_OHLC": "60",
}


@pytest.fixture
async def kraken() -> AsyncIterator[KrakenPushWorld]:
    async with KrakenPushWorld() as made:
        yield made


def row_of(frame: dict[str, Any], symbol: str) -> dict[str, Any]:
    return next(row for row in frame["data"] if row["symbol"] == symbol)


async def test_prices_follow_krakens_tickers(
    serve_stream: ServeStream, kraken: KrakenPushWorld
) -> None:
    settings = {**SETTINGS, "KRAKEN_STREAM_URL": kraken.url}
    async with serve_stream(**settings) as served, served.reader("?channels=market") as reader:
        snapshot = await reader.next(op="data", type="snapshot")
        assert row_of(snapshot, "BTC")["source"] == "coingecko_free"
        await kraken.until_asked("ticker BTC/USD")
        assert kraken.paths == ["/"]
        await kraken.tell_ticker(ticker_told("BTC/USD", 51_000.0))
        row = row_of(await reader.next(op="data", type="update"), "BTC")
        assert (row["price"], row["source"]) == (51_000.0, "kraken")
        assert row["price_change_percentage_24h"] == 2.04
        assert row["volume_24h"] == pytest.approx(51_000.0 * 0.99 * 1_000.5)
        # A namesake's price, ten times another, does not enter.
        await kraken.tell_ticker(ticker_told("ETH/USD", 25_000.0))
        await reader.nothing(0.5, op="data", type="update")
        feeds = [frame for frame in reader.seen if frame["op"] == "feed"]
        assert (feeds[-1]["feed"], feeds[-1]["venue"]) == ("ticks", "kraken")


async def test_candles_of_kraken_follow_its_stream(
    serve_stream: ServeStream, kraken: KrakenPushWorld
) -> None:
    settings = {**SETTINGS, "KRAKEN_STREAM_URL": kraken.url}
    async with serve_stream(**settings) as served, served.reader() as reader:
        await reader.say(op="subscribe", id=1, channel="ohlc", symbols=["BTC"], interval="1d")
        snapshot = await reader.next(op="data", type="snapshot")
        assert snapshot["meta"]["source"] == "kraken"
        newest = snapshot["data"][-1]
        assert not newest["closed"]
        await kraken.until_asked("ohlc 1440 BTC/USD")
        begin = datetime.fromtimestamp(newest["timestamp"] / 1000, UTC).isoformat()
        candle = {"open": 50_500.0, "high": 52_000.0, "low": 50_000.0, "close": 51_500.0}
        row = {"symbol": "BTC/USD", "interval": 1_440, "interval_begin": begin, "volume": 14.5}
        await kraken.tell_ohlc(row | candle)
        (told,) = (await reader.next(op="data", type="update"))["data"]
        assert (told["close"], told["volume"], told["closed"]) == (51_500.0, 14.5, False)
