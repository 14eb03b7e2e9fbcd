"""The messages about ticks: what was encoded comes back, and everything else is None."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.models.market import PairTicker
from backend.models.ohlc import Candle, Interval
from backend.models.ticks import CandleTicks, CandleUpdate, Flow, TickerUpdates, TickStatus
from backend.orchestration.push.tick_messages import (
    MOST_BYTES,
    MOST_CANDLES,
    Head,
    StreamState,
    TickCodec,
    Wants,
)
from tests.clocks import EPOCH
from tests.instruments import instrument

CODEC = TickCodec()
BTC = CandleTicks(instrument("BTCUSDT"), Interval.MONTH)
CANDLE = CandleUpdate("binance", BTC, Candle(0, 1.0, 2.5, 0.5, 1.5, None, True))
TICKER = PairTicker(BTC.instrument, 1.5, 2.0, 1.0, None, None, -0.5, EPOCH)
TICKERS = TickerUpdates("binance", (TICKER, replace(TICKER, price=1.25, change=0.1)))
LIVE = Flow(True, venue="binance")
STATE = StreamState(
    TickStatus("binance", "down", "timeout", EPOCH, 3, EPOCH + timedelta(seconds=1.5)),
    LIVE,
    ((BTC, Flow(False, "connect_error")),),
)


def test_ticks_state_and_wants_come_back_as_they_were() -> None:
    found = CODEC.read_head(CODEC.tickers(7, 12, [TICKERS]))
    assert found
    assert found[0] == Head("tickers", 7, 12)
    assert CODEC.read_ticks("tickers", found[1]) == (TICKERS,)
    found = CODEC.read_head(CODEC.candles(7, 13, [CANDLE, CANDLE]))
    assert found
    assert CODEC.read_ticks("candles", found[1]) == (CANDLE, CANDLE)
    found = CODEC.read_head(CODEC.state(7, 14, STATE))
    assert found
    assert CODEC.read_state(found[1]) == STATE
    wants = Wants(True, (BTC,))
    assert CODEC.read_wants(CODEC.wants(wants)) == wants


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"tickers",
        b"tickers 1",
        b"tickers 1 2 3",
        b"tickers  1",
        b"tickers 1 ",
        b"tickers -1 2",
        b"tickers 1.0 2",
        b"prices 1 2",
        b"tickers 1 " + b"9" * 60,
        "tickers \u0661 1".encode(),
    ],
)
def test_a_malformed_head_is_refused(head: bytes) -> None:
    assert CODEC.read_head(head + b"\n[]") is None


def test_messages_that_are_too_large_are_not_read() -> None:
    body = b" " * MOST_BYTES
    assert CODEC.read_head(b"tickers 1 2\n" + body) is None
    assert CODEC.read_wants(body + b"{}") is None


def test_a_process_cannot_want_more_candles_than_a_venue_has_room_for() -> None:
    many = tuple(
        CandleTicks(instrument(f"C{number}USDT"), Interval.M1) for number in range(MOST_CANDLES)
    )
    assert CODEC.read_wants(CODEC.wants(Wants(False, many))) == Wants(False, many)
    assert CODEC.read_wants(CODEC.wants(Wants(False, (*many, BTC)))) is None


@pytest.mark.parametrize("symbol", ["btcusdt&streams=x", "a b", "a?b", "a%2fb", 'a"b', "x" * 41])
def test_a_symbol_cannot_change_the_command_to_the_venue(symbol: str) -> None:
    odd = replace(BTC, instrument=replace(BTC.instrument, symbol=symbol))
    assert CODEC.read_wants(CODEC.wants(Wants(True, (odd, BTC)))) == Wants(True, (BTC,))


@pytest.mark.parametrize("symbol", ["BTC/USD", "币安人生USDT", "BTC-USD", "1000SATSUSDT"])
def test_symbols_of_venues_are_accepted(symbol: str) -> None:
    wants = Wants(True, (replace(BTC, instrument=replace(BTC.instrument, symbol=symbol)),))
    assert CODEC.read_wants(CODEC.wants(wants)) == wants


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("status", "reason"), "<script>"),
        (("status", "provider"), "x" * 41),
        (("status", "state"), "fine"),
        (("status", "since"), EPOCH.replace(tzinfo=None).isoformat()),
        (("status", "retry_at"), "soon"),
        (("status", "subjects"), "3"),
        (("market", "venue"), ""),
        (("market", "is_live"), 1),
        (("market", "reason"), "Down!"),
    ],
)
def test_a_state_that_clients_must_not_see_is_refused(
    place: tuple[str, str], value: object
) -> None:
    body = json.loads(CODEC.state(1, 1, STATE).partition(b"\n")[2])
    body[place[0]][place[1]] = value
    assert CODEC.read_state(json.dumps(body).encode()) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("price", -1.0),
        ("price", 1e40),
        ("price", "1.5"),
        ("high", 0.1),
        ("closed_at", datetime(2026, 1, 1).isoformat()),  # noqa: DTZ001 - without a zone
        ("instrument", {"venue": "binance", "base": "", "quote": "USDT", "symbol": "X"}),
        ("more", 1),
    ],
)
def test_an_implausible_ticker_is_refused(field: str, value: object) -> None:
    body = json.loads(CODEC.tickers(1, 1, [TICKERS]).partition(b"\n")[2])
    body[0]["tickers"][1][field] = value
    assert CODEC.read_ticks("tickers", json.dumps(body).encode()) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_junk_is_refused_or_read_as_what_it_says(body: bytes) -> None:
    for found in (
        CODEC.read_ticks("tickers", body),
        CODEC.read_ticks("candles", body),
    ):
        assert found in (None, ())
    assert CODEC.read_state(body) is None
    assert CODEC.read_wants(body) in (None, Wants(), Wants(True))
    head = CODEC.read_head(body)
    assert head is None or head[1] == body.partition(b"\n")[2]


@given(st.integers(0, 400), st.binary(min_size=1, max_size=3))
def test_damaged_messages_are_refused_or_valid(at: int, damage: bytes) -> None:
    """Nothing raises, and what is read keeps the models' rules."""
    body = CODEC.candles(1, 1, [CANDLE]).partition(b"\n")[2]
    for tick in CODEC.read_ticks("candles", body[:at] + damage + body[at + 1 :]) or ():
        assert isinstance(tick, CandleUpdate)
        assert tick.candle.low <= tick.candle.close <= tick.candle.high
