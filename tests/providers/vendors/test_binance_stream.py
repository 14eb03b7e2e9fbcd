"""Binance's stream: frame in, tick out; junk rows stay out, and a frame of junk is none."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import MalformedResponse
from backend.models.market import PairTicker
from backend.models.ohlc import HOUR, Candle, Interval
from backend.models.ticks import (
    CandleTicks,
    CandleUpdate,
    MarketTicks,
    Tick,
    TickerUpdates,
    TickSubject,
)
from backend.providers.adapter import Context
from backend.providers.client import parsed
from backend.providers.vendors import binance, binance_stream
from backend.providers.vendors.binance_stream import PUSH_FEED
from tests.clocks import EPOCH_MS
from tests.instruments import instrument

CONTEXT = Context("binance", "push", EPOCH_MS)
TOLD_MS = EPOCH_MS - 400
ALL = "!miniTicker@arr"
BTC_HOURS = CandleTicks(instrument("BTCUSDT"), Interval.H1)


def mini(symbol: str, **changes: Any) -> dict[str, Any]:
    """As in web-socket-streams.md: open 98.5, last 97.5."""
    row = {
        "e": "24hrMiniTicker",
        "E": TOLD_MS,
        "s": symbol,
        "c": "97.50000000",
        "o": "98.50000000",
        "h": "99.00000000",
        "l": "96.00000000",
        "v": "1000.00000000",
        "q": "98000.00000000",
    }
    return row | changes


def kline(told: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    body = {
        "t": EPOCH_MS,
        "T": EPOCH_MS + HOUR - 1,
        "s": "BTCUSDT",
        "i": "1h",
        "f": 100,
        "L": 200,
        "o": "100.00000000",
        "c": "100.50000000",
        "h": "101.00000000",
        "l": "99.00000000",
        "v": "12.50000000",
        "n": 100,
        "x": False,
        "q": "1250.00000000",
        "V": "6.0",
        "Q": "600.0",
        "B": "0",
    }
    return {"e": "kline", "E": TOLD_MS, "s": "BTCUSDT", "k": body | changes} | (told or {})


def framed(data: Any, stream: str = ALL) -> dict[str, Any]:
    return {"stream": stream, "data": data}


def parse(frame: Any) -> Tick | None:
    tick: Tick | None = parsed(PUSH_FEED.parse, frame, CONTEXT)
    return tick


def told(*rows: Any) -> tuple[PairTicker, ...]:
    tick = parse(framed(list(rows)))
    assert isinstance(tick, TickerUpdates)
    return tick.tickers


def candle(frame: dict[str, Any]) -> CandleUpdate:
    tick = parse(framed(frame, "btcusdt@kline_1h"))
    assert isinstance(tick, CandleUpdate)
    return tick


def test_a_row_becomes_a_ticker_with_its_change_and_percentage_computed() -> None:
    assert parse(framed([mini("BTCUSDT")])) == TickerUpdates(
        "binance",
        (
            PairTicker(
                instrument=instrument("BTCUSDT"),
                price=97.5,
                high=99.0,
                low=96.0,
                quote_volume=98_000.0,
                change=-1.0,
                change_percentage=-1.015,
                closed_at=datetime(2026, 11, 22, 7, 59, 59, 600_000, tzinfo=UTC),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("opened", "last", "change", "percentage"),
    [
        ("100", "100", 0.0, 0.0),
        ("0.1", "0.3", 0.2, 200.0),
        ("3", "4", 1.0, 33.333),
        ("3", "2", -1.0, -33.333),
        ("0.00001234", "0.00001235", 0.00000001, 0.081),
        ("0.12345678", "0.12345679", 0.00000001, 0.0),
        ("60000.01", "60000.03", 0.02, 0.0),
    ],
)
def test_change_and_percentage_are_rounded_to_the_venues_digits(
    opened: str, last: str, change: float, percentage: float
) -> None:
    (ticker,) = told(mini("BTCUSDT", o=opened, c=last, h=last, l=last))
    assert (ticker.change, ticker.change_percentage) == (change, percentage)


def test_pairs_against_dollars_count_and_others_do_not() -> None:
    symbols = ["BTCUSDT", "ETHBTC", "ETHUSDC", "BNBFDUSD", "USDTTRY", "BTCEUR", "USDT", "BTCBUSD"]
    found = {
        ticker.instrument.symbol: (ticker.instrument.base, ticker.instrument.quote)
        for ticker in told(*map(mini, symbols))
    }
    assert found == {
        "BTCUSDT": ("BTC", "USDT"),
        "ETHUSDC": ("ETH", "USDC"),
        "BNBFDUSD": ("BNB", "FDUSD"),
    }


def test_every_dollar_pair_of_a_coin_is_in_the_tick_the_preferred_quote_first() -> None:
    rows = [mini(symbol) for symbol in ("BTCUSDC", "BTCFDUSD", "BTCUSDT")]
    assert [one.instrument.symbol for one in told(*rows)] == [
        "BTCUSDT",
        "BTCFDUSD",
        "BTCUSDC",
    ]


@pytest.mark.parametrize("symbol", ["EURUSDT", "TRYUSDT", "GBPUSDC"])
def test_fiat_currencies_are_left_out(symbol: str) -> None:
    assert [one.instrument.symbol for one in told(mini(symbol), mini("BTCUSDT"))] == ["BTCUSDT"]


@pytest.mark.parametrize("rows", [[], [mini("ETHBTC")], [mini("EURUSDT"), mini("BTCTRY")]])
def test_a_frame_without_dollar_pairs_is_an_empty_tick(rows: list[Any]) -> None:
    assert parse(framed(rows)) == TickerUpdates("binance", ())


def test_a_symbol_need_not_be_ascii() -> None:
    (ticker,) = told(mini("\u5e01\u5b89\u4eba\u751fUSDT"))
    assert ticker.instrument.base == "\u5e01\u5b89\u4eba\u751f"


JUNK_ROWS: list[dict[str, Any]] = [
    {"c": "NaN"},
    {"c": "9_7.5"},
    {"c": " 97.5"},
    {"c": "9.75e1"},
    {"c": 97.5},
    {"c": True},
    {"c": "Infinity"},
    {"c": "0.00000000"},
    {"c": "-97.5"},
    {"c": ""},
    {"c": None},
    {"c": []},
    {"c": "1000"},
    {"c": "1"},
    {"o": "NaN"},
    {"o": "Infinity"},
    {"o": "0.00000000"},
    {"o": None},
    {"h": "NaN"},
    {"h": "95"},
    {"h": "0"},
    {"l": "0"},
    {"l": "-1"},
    {"l": "200"},
    {"l": {}},
    {"q": "-1"},
    {"q": "NaN"},
    {"q": None},
    {"E": EPOCH_MS - 4 * HOUR},
    {"E": EPOCH_MS + 4 * HOUR},
    {"E": EPOCH_MS // 1_000},
    {"E": 0},
    {"E": str(TOLD_MS)},
    {"E": None},
    {"E": float("nan")},
    {"s": "X" * 300 + "USDT"},
]


@pytest.mark.parametrize("junk", JUNK_ROWS, ids=str)
def test_a_malformed_row_is_left_out_of_the_tick(junk: dict[str, Any]) -> None:
    tickers = told(mini("BTCUSDT"), mini("ODDUSDT", **junk), mini("ETHUSDT"))
    assert [one.instrument.symbol for one in tickers] == ["BTCUSDT", "ETHUSDT"]


@pytest.mark.parametrize("name", ["E", "c", "o", "h", "l", "q"])
def test_a_row_without_a_field_is_left_out(name: str) -> None:
    row = mini("ODDUSDT")
    del row[name]
    assert [one.instrument.symbol for one in told(row, mini("BTCUSDT"))] == ["BTCUSDT"]


@pytest.mark.parametrize(
    "junk", [None, 7, "BTCUSDT", [], {}, {"s": 7}, {"s": None}, {"c": "1"}], ids=str
)
def test_a_value_that_is_not_a_row_is_left_out_of_the_tick(junk: Any) -> None:
    tickers = told(mini("BTCUSDT"), junk, mini("ETHBTC"), mini("ETHUSDT"))
    assert [one.instrument.symbol for one in tickers] == ["BTCUSDT", "ETHUSDT"]


def test_too_many_rows_are_malformed() -> None:
    with pytest.raises(MalformedResponse):
        told(*[mini("BTCUSDT")] * 10_001)


@pytest.mark.parametrize(
    "opened", ["0.00000001", "0." + "0" * 320 + "1", "9" * 320, "1" + "0" * 29]
)
def test_the_change_is_unknown_if_the_open_is_implausible(
    opened: str,
) -> None:
    (ticker,) = told(mini("BTCUSDT", o=opened))
    assert (ticker.price, ticker.high, ticker.low) == (97.5, 99.0, 96.0)
    assert (ticker.change, ticker.change_percentage) == (None, None)


@pytest.mark.parametrize(
    "pair", ["BIT\nUSDT", "\u202eBTCUSDT", "B\x1b[31mUSDT", "B\ud800USDT"], ids=ascii
)
def test_a_pair_that_is_not_printable_is_left_out(pair: str) -> None:
    assert [one.instrument.symbol for one in told(mini(pair), mini("BTCUSDT"))] == ["BTCUSDT"]


def test_symbols_that_are_too_long_are_left_out_and_not_kept_in_memory() -> None:
    before = binance._instrument_of.cache_info().misses
    long = [mini("X" * 10_000 + "USDT"), mini("X" * 10_000)]
    found = told(mini("BTCUSDT"), mini("ETHUSDT"), *long)
    assert [one.instrument.symbol for one in found] == ["BTCUSDT", "ETHUSDT"]
    assert binance._instrument_of.cache_info().misses <= before + 2


def test_a_clock_error_of_two_hours_is_accepted() -> None:
    rows = [mini("BTCUSDT", E=EPOCH_MS - 2 * HOUR), mini("ETHUSDT", E=EPOCH_MS + 2 * HOUR)]
    assert len(told(*rows)) == 2


def test_at_most_half_of_the_rows_may_be_malformed() -> None:
    good, junk = mini("BTCUSDT"), mini("ODDUSDT", c="NaN")
    assert len(told(good, junk)) == 1
    with pytest.raises(MalformedResponse):
        parse(framed([good, junk, junk]))
    with pytest.raises(MalformedResponse):
        parse(framed([junk]))


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_candle_frame_becomes_an_open_or_a_closed_candle(is_closed: bool) -> None:
    assert candle(kline(x=is_closed)) == CandleUpdate(
        "binance", BTC_HOURS, Candle(EPOCH_MS, 100.0, 101.0, 99.0, 100.5, 12.5, is_closed)
    )


@pytest.mark.parametrize("interval", list(Interval))
def test_each_interval_is_parsed_as_it_is_subscribed(interval: Interval) -> None:
    tick = candle(kline(i=str(interval)))
    assert tick.subject == CandleTicks(instrument("BTCUSDT"), interval)
    assert PUSH_FEED.path([tick.subject]).endswith(f"btcusdt@kline_{interval.value}")


JUNK_CANDLES: list[dict[str, Any]] = [
    {"o": "NaN"},
    {"o": "0"},
    {"o": None},
    {"h": "98"},
    {"l": "102"},
    {"c": "-1"},
    {"c": "200"},
    {"v": "-1"},
    {"v": "1_2"},
    {"v": 12.5},
    {"v": "Infinity"},
    {"x": None},
    {"x": 1},
    {"x": "false"},
    {"t": None},
    {"t": -1},
    {"t": str(EPOCH_MS)},
    {"t": EPOCH_MS + 0.5},
    {"t": EPOCH_MS * 1_000},
    {"t": EPOCH_MS + 24 * HOUR},
    {"t": EPOCH_MS - 24 * HOUR},
    {"i": "1H"},
    {"i": "1s"},
    {"i": None},
    {"i": []},
]


@pytest.mark.parametrize("junk", JUNK_CANDLES, ids=str)
def test_an_invalid_candle_is_malformed(junk: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponse):
        candle(kline(**junk))


@pytest.mark.parametrize("name", ["t", "s", "i", "o", "c", "h", "l", "v", "x"])
def test_a_candle_without_a_field_is_malformed(name: str) -> None:
    frame = kline()
    del frame["k"][name]
    with pytest.raises(MalformedResponse):
        candle(frame)


@pytest.mark.parametrize(
    "event_ms", [EPOCH_MS - 4 * HOUR, EPOCH_MS + 4 * HOUR, EPOCH_MS // 1_000, None, str(TOLD_MS)]
)
def test_a_candle_that_is_not_current_is_malformed(event_ms: Any) -> None:
    with pytest.raises(MalformedResponse):
        candle(kline({"E": event_ms}))


@pytest.mark.parametrize(
    "answer",
    [
        {"result": None, "id": 1},
        {"id": 7, "result": ["btcusdt@kline_1h"]},
        {"result": True},
    ],
)
def test_the_answer_to_a_command_is_not_a_tick(answer: Any) -> None:
    assert parse(answer) is None


@pytest.mark.parametrize(
    "error",
    [
        {"code": 2, "msg": "Invalid request: unknown variant"},
        {"error": {"code": 2, "msg": "Invalid request"}, "id": 3},
        {"code": 0, "msg": "Unknown property", "id": None},
    ],
)
def test_a_refused_command_is_neither_a_tick_nor_malformed(error: Any) -> None:
    assert parse(error) is None


@pytest.mark.parametrize(
    "junk",
    [
        None,
        0,
        1.5,
        True,
        "",
        "stream",
        [],
        [[]],
        ["stream"],
        {},
        {"data": []},
        {"e": "24hrMiniTicker"},
        mini("BTCUSDT"),
        kline(),
        {"stream": ALL},
        framed(None),
        framed(7),
        framed([None]),
        framed([7]),
        framed(["BTCUSDT"]),
        framed([[]]),
        framed({"s": "BTCUSDT"}),
        framed([mini("BTCUSDT") | {"s": 7}]),
        framed([{"c": "1"}]),
        framed(None, "btcusdt@kline_1h"),
        framed([], "btcusdt@kline_1h"),
        framed({}, "btcusdt@kline_1h"),
        framed({"E": TOLD_MS, "k": None}, "btcusdt@kline_1h"),
        framed({"E": TOLD_MS, "k": []}, "btcusdt@kline_1h"),
        framed([mini("BTCUSDT")], "btcusdt@kline_1h"),
        framed(kline()),
        framed({"e": "news"}, "!news"),
        {"stream": None, "data": None},
    ],
    ids=str,
)
def test_any_other_frame_is_malformed(junk: Any) -> None:
    with pytest.raises(MalformedResponse):
        parse(junk)


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        (MarketTicks(), "!miniTicker@arr"),
        (CandleTicks(instrument("BTCUSDT"), Interval.M1), "btcusdt@kline_1m"),
        (CandleTicks(instrument("BTCUSDT"), Interval.MONTH), "btcusdt@kline_1M"),
        (CandleTicks(instrument("1000SATSFDUSD"), Interval.W1), "1000satsfdusd@kline_1w"),
    ],
)
def test_symbols_are_lower_case_and_intervals_keep_their_case(
    subject: TickSubject, name: str
) -> None:
    assert binance_stream.stream_name(subject) == name


def test_tickers_of_chosen_instruments_are_those_of_all() -> None:
    chosen = MarketTicks((instrument("BTCUSDT"),))
    assert PUSH_FEED.path([chosen]) == PUSH_FEED.path([MarketTicks()])
    assert PUSH_FEED.subscribe([chosen], 1) == PUSH_FEED.subscribe([MarketTicks()], 1)
    assert PUSH_FEED.silence_s(chosen) == 10
    assert PUSH_FEED.always_active(chosen)


def test_the_path_subscribes_to_all_its_subjects() -> None:
    path = PUSH_FEED.path([MarketTicks(), BTC_HOURS])
    url = urlsplit(PUSH_FEED.base_url + path)
    assert (url.scheme, url.path) == ("wss", "/stream")
    assert parse_qs(url.query) == {"streams": ["!miniTicker@arr/btcusdt@kline_1h"]}


@pytest.mark.parametrize(
    ("build", "method"),
    [(PUSH_FEED.subscribe, "SUBSCRIBE"), (PUSH_FEED.unsubscribe, "UNSUBSCRIBE")],
)
def test_commands_are_numbered_and_name_their_streams(
    build: Callable[[Any, int], tuple[str, ...]], method: str
) -> None:
    (frame,) = build([BTC_HOURS, MarketTicks()], 12)
    assert json.loads(frame) == {
        "method": method,
        "params": ["btcusdt@kline_1h", "!miniTicker@arr"],
        "id": 12,
    }


def test_a_command_of_a_hundred_symbols_stays_small_and_is_ascii() -> None:
    subjects = [
        CandleTicks(instrument(f"\u5e01{number}USDT"), Interval.MONTH) for number in range(100)
    ]
    (text,) = PUSH_FEED.subscribe(subjects, 1)
    assert text.isascii()
    assert len(text) < 4_096


def test_tickers_have_a_shorter_silence_than_candles() -> None:
    assert PUSH_FEED.silence_s(MarketTicks()) == 10
    assert PUSH_FEED.silence_s(BTC_HOURS) == 60


@pytest.mark.parametrize(
    "frame",
    [
        {"e": "serverShutdown", "E": TOLD_MS},
        {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": TOLD_MS}},
        {"stream": None, "data": {"e": "serverShutdown"}},
    ],
)
def test_a_shutdown_notice_is_recognised_in_both_forms(frame: Any) -> None:
    assert PUSH_FEED.is_shutdown_notice(frame)


@pytest.mark.parametrize(
    "frame",
    [
        None,
        7,
        "serverShutdown",
        ["serverShutdown"],
        {},
        {"data": None},
        {"data": "serverShutdown"},
        {"data": [{"e": "serverShutdown"}]},
        {"stream": "!serverShutdown", "data": {}},
        framed([mini("BTCUSDT")]),
        framed(kline(), "btcusdt@kline_1h"),
        {"result": None, "id": 1},
    ],
    ids=str,
)
def test_no_other_frame_is_a_shutdown_notice(frame: Any) -> None:
    assert PUSH_FEED.is_shutdown_notice(frame) is False


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["0", "-1", "NaN", "1e308", "1e-308", "BTCUSDT", "1M", ALL, TOLD_MS])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["s", "k", "E", "e", "c", "data"]), inner, max_size=3)
    ),
    max_leaves=6,
)
WHOLE = [
    framed([mini("BTCUSDT"), mini("ETHUSDC"), mini("ETHBTC")]),
    framed([mini("BTCUSDT")]),
    framed(kline(), "btcusdt@kline_1h"),
    {"result": None, "id": 1},
    {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": TOLD_MS}},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every part of `value` but itself."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for name, inner in parts:
        found.append((*path, name))
        if isinstance(inner, dict | list):
            found += places(inner, (*path, name))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A good frame in which some parts were replaced, or are gone."""
    frame = deepcopy(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 3))):
        ways = places(frame)
        if not ways:
            return frame
        *path, last = draw(st.sampled_from(ways))
        holder: Any = frame
        for name in path:
            holder = holder[name]
        if draw(st.booleans()):
            holder[last] = draw(VALUES)
        else:
            del holder[last]
    return frame


def is_plausible(tick: Tick) -> bool:
    if isinstance(tick, CandleUpdate):
        row = tick.candle
        return 0 < row.low <= min(row.open, row.close) <= row.high < float("inf")
    return all(
        ticker.instrument.symbol == ticker.instrument.base + ticker.instrument.quote
        and 0 < ticker.low <= ticker.high < float("inf")
        and ticker.low / 2 <= ticker.price <= ticker.high * 2
        and abs(ticker.closed_at.timestamp() * 1_000 - EPOCH_MS) <= 3 * HOUR
        for ticker in tick.tickers
    )


@settings(max_examples=400, deadline=None)
@given(frame=mutated() | VALUES)
def test_any_frame_is_malformed_or_a_plausible_tick(frame: Any) -> None:
    assert PUSH_FEED.is_shutdown_notice(frame) in (True, False)
    try:
        tick = parse(frame)
    except MalformedResponse:
        return
    assert tick is None or (tick.source == "binance" and is_plausible(tick))
