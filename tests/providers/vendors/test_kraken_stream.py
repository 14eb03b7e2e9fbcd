"""Kraken's stream: frame in, tick out; commands by channel; refusals of pairs are no failures."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.clock import SystemClock
from backend.errors import MalformedResponse, ProviderError
from backend.events import Event
from backend.identity.instruments import Instrument
from backend.models.market import PairTicker
from backend.models.ohlc import HOUR, MINUTE, Candle, Interval
from backend.models.ticks import (
    CandleTicks,
    CandleUpdate,
    MarketTicks,
    Tick,
    TickerUpdates,
    TickSubject,
)
from backend.orchestration.push.tick_stream import TickStream
from backend.providers.adapter import Context
from backend.providers.client import parsed
from backend.providers.push_client import PushClient
from backend.providers.vendors import kraken
from backend.providers.vendors.kraken_stream import PUSH_FEED
from tests.clocks import EPOCH_MS
from tests.world.kraken_push import KrakenPushWorld, ticker_told

CONTEXT = Context("kraken", "push", EPOCH_MS)
TOLD = "2026-11-22T07:59:59.844359Z"
BTC = Instrument("kraken", "BTC", "USD", "BTC/USD")
ETH = Instrument("kraken", "ETH", "USD", "ETH/USD")
#: The coin LUNC, whose name at Kraken is LUNA.
LUNC = Instrument("kraken", "LUNC", "USD", "LUNA/USD")
LISTED = MarketTicks((BTC, ETH, LUNC))
BTC_HOURS, ETH_HOURS = CandleTicks(BTC, Interval.H1), CandleTicks(ETH, Interval.H1)
BTC_MINUTES = CandleTicks(BTC, Interval.M1)


def ticker(symbol: str = "BTC/USD", **changes: Any) -> dict[str, Any]:
    row = {
        "symbol": symbol,
        "bid": 97.4,
        "bid_qty": 0.5,
        "ask": 97.6,
        "ask_qty": 0.5,
        "last": 97.5,
        "volume": 1_000.0,
        "vwap": 98.0,
        "low": 96,
        "high": 99.0,
        "change": -1.0,
        "change_pct": -1.02,
        "trades": 321,
        "timestamp": TOLD,
    }
    return row | changes


def ohlc(**changes: Any) -> dict[str, Any]:
    row = {
        "symbol": "BTC/USD",
        "open": 100.0,
        "high": 101,
        "low": 99.0,
        "close": 100.5,
        "trades": 33,
        "volume": 12.5,
        "vwap": 100.2,
        "interval_begin": "2026-11-22T08:00:00.000000000Z",
        "interval": 60,
        "timestamp": "2026-11-22T09:00:00.000000Z",
    }
    return row | changes


def framed(channel: str, *rows: Any, kind: str = "update") -> dict[str, Any]:
    return {"channel": channel, "type": kind, "timestamp": TOLD, "data": list(rows)}


def parse(frame: Any) -> Tick | None:
    tick: Tick | None = parsed(PUSH_FEED.parse, frame, CONTEXT)
    return tick


def test_a_ticker_has_its_rolling_change_in_percent_and_its_volume_in_dollars() -> None:
    assert parse(framed("ticker", ticker())) == TickerUpdates(
        "kraken",
        (
            PairTicker(
                instrument=BTC,
                price=97.5,
                high=99.0,
                low=96.0,
                quote_volume=98_000.0,
                change=-1.0,
                change_percentage=-1.02,
                closed_at=datetime(2026, 11, 22, 7, 59, 59, 844_359, tzinfo=UTC),
            ),
        ),
    )


def test_the_ticker_of_another_name_is_the_coins() -> None:
    tick = parse(framed("ticker", ticker("LUNA/USD")))
    assert isinstance(tick, TickerUpdates)
    assert [one.instrument for one in tick.tickers] == [LUNC]


@pytest.mark.parametrize(
    "row",
    [
        ticker("EUR/USD"),
        ticker("BTC/EUR"),
        ticker("ETH/BTC"),
        ticker("AAPLx/USD"),
        ticker(volume=0, last=0, high=0, low=0, vwap=0),
        ticker(timestamp="2026-11-22T04:00:00.000000Z"),
    ],
    ids=["currency", "euros", "coin", "share", "dead book", "old"],
)
def test_a_ticker_that_is_not_a_traded_coins_in_dollars_is_no_tick(row: dict[str, Any]) -> None:
    assert parse(framed("ticker", row)) is None


ODD_TICKERS: list[Any] = [
    None,
    {},
    "text",
    *(
        ticker(**change)
        for change in (
            {"last": "97.5"},
            {"last": 0},
            {"last": -97.5},
            {"last": True},
            {"last": None},
            {"last": float("nan")},
            {"last": 9_750.0},
            {"high": 90.0},
            {"volume": -1},
            {"vwap": None},
            {"change": "x"},
            {"change_pct": float("inf")},
            {"timestamp": 1},
            {"timestamp": "2026-11-22T07:59:59"},
            {"timestamp": "2026-11-22T13:00:00Z"},
            {"symbol": None},
            {"symbol": "A" * 300 + "/USD"},
            {"symbol": "A\n/USD"},
        )
    ),
]


@pytest.mark.parametrize("odd", ODD_TICKERS, ids=str)
def test_a_malformed_row_is_left_out_and_alone_it_condemns_the_frame(odd: Any) -> None:
    tick = parse(framed("ticker", ticker(), odd, ticker("ETH/USD")))
    assert isinstance(tick, TickerUpdates)
    assert [one.instrument for one in tick.tickers] == [BTC, ETH]
    with pytest.raises(MalformedResponse):
        parse(framed("ticker", odd))


def test_a_candle_is_never_marked_as_closed() -> None:
    expected = Candle(EPOCH_MS, 100.0, 101.0, 99.0, 100.5, 12.5, closed=False)
    assert parse(framed("ohlc", ohlc())) == CandleUpdate("kraken", BTC_HOURS, expected)
    late = parse(framed("ohlc", ohlc(interval_begin="2026-11-22T07:00:00Z")))
    assert isinstance(late, CandleUpdate)
    assert (late.candle.timestamp, late.candle.closed) == (EPOCH_MS - HOUR, False)


@pytest.mark.parametrize(
    ("minutes", "interval"),
    [(1, "1m"), (5, "5m"), (15, "15m"), (30, "30m"), (60, "1h"), (240, "4h"), (1_440, "1d")],
)
def test_intervals_are_in_minutes(minutes: int, interval: str) -> None:
    begin = Interval(interval).open_of(EPOCH_MS)
    text = datetime.fromtimestamp(begin / 1000, UTC).isoformat()
    tick = parse(framed("ohlc", ohlc(interval=minutes, interval_begin=text)))
    assert isinstance(tick, CandleUpdate)
    assert tick.subject == CandleTicks(BTC, Interval(interval))
    assert tick.candle.timestamp == begin


def test_of_several_candles_the_newest_counts() -> None:
    rows = [ohlc(interval_begin=f"2026-11-22T0{hour}:00:00.000000000Z") for hour in (6, 8, 7)]
    tick = parse(framed("ohlc", *rows, kind="snapshot"))
    assert isinstance(tick, CandleUpdate)
    assert tick.candle.timestamp == EPOCH_MS


@pytest.mark.parametrize(
    "change",
    [
        {"interval": 10_080},
        {"interval": "60"},
        {"interval": None},
        {"interval_begin": "2026-11-21T00:00:00Z"},
        {"interval_begin": "2026-11-22T12:00:00Z"},
        {"interval_begin": EPOCH_MS},
        {"open": "100"},
        {"close": 150.0},
        {"volume": -1},
        {"low": 0},
        {"symbol": ""},
        {"symbol": None},
    ],
    ids=str,
)
def test_a_malformed_candle_is_no_tick(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponse):
        parse(framed("ohlc", ohlc(**change)))


def test_a_candle_of_another_pair_is_no_tick() -> None:
    assert parse(framed("ohlc", ohlc(symbol="ETH/BTC"))) is None


@pytest.mark.parametrize(
    "frame",
    [
        framed("status", {"version": "2.0.10", "system": "online", "api_version": "v2"}),
        {"channel": "heartbeat"},
        {"method": "subscribe", "result": {"channel": "ticker"}, "success": True, "req_id": 1},
        {
            "method": "subscribe",
            "error": "Currency pair not supported XBT/USD",
            "success": False,
            "symbol": "XBT/USD",
        },
        {"method": "unsubscribe", "success": True},
        {"method": "pong"},
    ],
    ids=["banner", "heartbeat", "ack", "refusal", "unsubscribed", "pong"],
)
def test_frames_about_the_connection_are_neither_ticks_nor_malformed(frame: Any) -> None:
    assert parse(frame) is None
    assert not PUSH_FEED.is_shutdown_notice(frame)


@pytest.mark.parametrize(
    "frame",
    [
        None,
        [],
        {},
        "text",
        {"channel": "book", "data": []},
        {"channel": "ticker"},
        {"channel": "ticker", "data": {}},
        {"channel": "ohlc", "data": []},
        {"channel": "ohlc", "data": [None]},
        {"channel": "ticker", "data": [ticker()] * 1_001},
    ],
    ids=lambda frame: str(frame)[:40],
)
def test_other_frames_are_malformed(frame: Any) -> None:
    with pytest.raises(MalformedResponse):
        parse(frame)


@settings(deadline=None)
@given(
    channel=st.sampled_from(["ticker", "ohlc"]),
    name=st.sampled_from(sorted(ticker().keys() | ohlc().keys())),
    value=st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none()),
)
def test_whatever_stands_in_one_field_is_a_tick_or_malformed(
    channel: str, name: str, value: Any
) -> None:
    row = ticker() if channel == "ticker" else ohlc()
    try:
        tick = parse(framed(channel, {**row, name: value}))
    except ProviderError:
        return
    assert tick is None or isinstance(tick, TickerUpdates | CandleUpdate)


def commands(*subjects: TickSubject) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in PUSH_FEED.subscribe(subjects, 12)]


def test_the_address_carries_no_subjects() -> None:
    assert (PUSH_FEED.base_url, PUSH_FEED.path([LISTED])) == ("wss://ws.kraken.com/v2", "")
    assert PUSH_FEED.subjects_in_path == 0
    assert PUSH_FEED.lists_instruments


def test_one_frame_asks_for_all_tickers_and_one_for_each_interval() -> None:
    assert commands(BTC_HOURS, LISTED, BTC_MINUTES, ETH_HOURS) == [
        {
            "method": "subscribe",
            "params": {"channel": "ohlc", "interval": 60, "symbol": ["BTC/USD", "ETH/USD"]},
            "req_id": 12,
        },
        {
            "method": "subscribe",
            "params": {"channel": "ticker", "symbol": ["BTC/USD", "ETH/USD", "LUNA/USD"]},
            "req_id": 12,
        },
        {
            "method": "subscribe",
            "params": {"channel": "ohlc", "interval": 1, "symbol": ["BTC/USD"]},
            "req_id": 12,
        },
    ]


def test_dropping_names_what_was_asked_for() -> None:
    (frame,) = PUSH_FEED.unsubscribe([LISTED], 3)
    command = json.loads(frame)
    assert (command["method"], command["req_id"]) == ("unsubscribe", 3)
    assert command["params"]["symbol"] == ["BTC/USD", "ETH/USD", "LUNA/USD"]


def test_a_hundred_instruments_are_in_a_frame_at_most() -> None:
    many = tuple(Instrument("kraken", f"C{n}", "USD", f"C{n}/USD") for n in range(250))
    counts = [len(command["params"]["symbol"]) for command in commands(MarketTicks(many))]
    assert counts == [100, 100, 50]


@pytest.mark.parametrize("subject", [MarketTicks(), CandleTicks(BTC, Interval.W1)], ids=str)
def test_subjects_without_a_channel_are_not_asked_for(subject: TickSubject) -> None:
    assert commands(subject) == []


def test_listed_tickers_never_pause_and_candles_pause_without_trades() -> None:
    assert PUSH_FEED.always_active(LISTED)
    assert not PUSH_FEED.always_active(MarketTicks())
    assert not PUSH_FEED.always_active(BTC_HOURS)
    assert (PUSH_FEED.silence_s(LISTED), PUSH_FEED.silence_s(BTC_HOURS)) == (10, 60)


# --- over sockets


@dataclass
class Walk:
    world: KrakenPushWorld
    stream: TickStream
    heard: list[Tick]

    async def until_heard(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.heard) < count:
                await asyncio.sleep(0.01)


@pytest.fixture
async def walk() -> AsyncIterator[Walk]:
    clock, events, heard = SystemClock(), list[Event](), list[Tick]()
    client = PushClient(clock)
    async with KrakenPushWorld() as world:
        stream = TickStream(
            "kraken",
            replace(PUSH_FEED, commands_per_s=20),
            lambda path: client.open(kraken.ADAPTER, world.url + path),
            clock=clock,
            emit=events.append,
            jitter=lambda: 0.01,
        )

        async def read() -> None:
            async for tick in stream.ticks():
                heard.append(tick)

        reader = asyncio.create_task(read())
        yield Walk(world, stream, heard)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def test_over_sockets_listed_tickers_and_candles_flow(walk: Walk) -> None:
    unknown = Instrument("kraken", "ODD", "USD", "ODD/USD")
    listed = MarketTicks((BTC, unknown))
    walk.stream.want((listed, BTC_MINUTES))
    await walk.world.until_asked("ohlc 1 BTC/USD")
    await walk.world.tell_ticker(ticker_told("BTC/USD", 50_000.0))
    opened_ms = int(datetime.now(UTC).timestamp() * 1000) // MINUTE * MINUTE
    begin = datetime.fromtimestamp(opened_ms / 1000, UTC).isoformat()
    await walk.world.tell_ohlc(ohlc(interval=1, interval_begin=begin))
    await walk.until_heard(2)
    tickers, candle = walk.heard
    assert isinstance(tickers, TickerUpdates)
    assert tickers.tickers[0].price == 50_000.0
    assert isinstance(candle, CandleUpdate)
    assert candle.subject == BTC_MINUTES
    assert walk.stream.flow(listed).is_live
    assert walk.stream.flow(BTC_MINUTES).is_live
    assert len(walk.world.sessions) == 1


async def test_over_sockets_another_list_replaces_the_subscription(walk: Walk) -> None:
    walk.stream.want((MarketTicks((BTC,)),))
    await walk.world.until_asked("ticker BTC/USD")
    walk.stream.want((MarketTicks((BTC, ETH)),))
    await walk.world.until_asked("ticker ETH/USD")
    (session,) = walk.world.sessions
    assert sorted(session.streams) == ["ticker BTC/USD", "ticker ETH/USD"]
    await walk.world.tell_ticker(ticker_told("ETH/USD", 2_500.0))
    await walk.until_heard(1)
    assert walk.stream.status().state == "live"
