"""The streams of the live check."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from backend.providers.adapter import ProviderSpec
from backend.providers.vendors import kraken, kraken_stream
from backend.settings import load_configuration
from tests.live import listen
from tests.live.conftest import Ask, of
from tests.live.loopback import DEAD
from tests.live.row import OK
from tests.live.run import run
from tests.world.data import FAMOUS
from tests.world.kraken_push import KrakenPushWorld, iso, ticker_told
from tests.world.push import PushWorld, candle_told, mini_ticker, now_ms

PRICE = next(row[3] for row in FAMOUS if row[0] == "bitcoin")
STREAM = ("push tickers", "push candles 1m")


@asynccontextmanager
async def repeating(tell: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    async def forever() -> None:
        while True:
            with suppress(ConnectionClosed):
                await tell()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def binance_stream() -> AsyncIterator[PushWorld]:
    """Binance's stream with a ticker and a candle of Bitcoin, over and over."""
    async with PushWorld() as push:

        async def tell() -> None:
            await push.tell_tickers([mini_ticker("BTCUSDT", PRICE)])
            minute = now_ms() - now_ms() % 60_000
            await push.tell_candle(candle_told("BTCUSDT", "1m", minute, PRICE))

        async with repeating(tell):
            yield push


async def test_a_stream_with_ticks_is_well(ask: Ask) -> None:
    async with binance_stream() as push:
        rows = await ask("binance", push=push)
    streamed = [of(rows, "binance", name) for name in STREAM]
    assert [(row.outcome, row.bitcoin, row.problems) for row in streamed] == [(OK, PRICE, [])] * 2
    assert all(row.shape for row in streamed)


async def test_a_silent_stream_is_a_failure_and_a_blocked_one_is_none(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "TICK_S", 0.3)
    async with PushWorld() as push:
        silent = await ask("binance", push=push)
        push.status = 451
        blocked = await ask("binance", push=push)
    row = of(silent, "binance", "push tickers")
    assert row.has_failed
    assert row.notes == ["no tick within 0.3 s, 0 other frames"]
    assert [of(blocked, "binance", name).outcome for name in STREAM] == ["geo_blocked"] * 2
    assert not of(blocked, "binance", "push").has_failed


async def test_a_stream_without_subscriptions_in_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = ProviderSpec(
        "kraken", kraken.ADAPTER, keyless=kraken.PUBLIC, push=kraken_stream.PUSH_FEED
    )
    monkeypatch.chdir(tmp_path)
    async with KrakenPushWorld() as push:

        async def tell() -> None:
            await push.tell_ticker(ticker_told("BTC/USD", PRICE))
            begun = datetime.now(UTC).replace(second=0, microsecond=0)
            figures = dict.fromkeys(("open", "high", "low", "close"), PRICE)
            row = {"symbol": "BTC/USD", **figures, "volume": 1.5, "vwap": PRICE, "trades": 3}
            await push.tell_ohlc(row | {"interval": 1, "interval_begin": iso(begun)})

        monkeypatch.setenv("KRAKEN_BASE_URL", f"http://{DEAD}")
        monkeypatch.setenv("KRAKEN_STREAM_URL", push.url)
        async with repeating(tell):
            rows = await run(load_configuration(["kraken"]), [spec])
    streamed = [row for row in rows if row.operation in STREAM]
    assert [(row.outcome, row.bitcoin, row.problems) for row in streamed] == [(OK, PRICE, [])] * 2
