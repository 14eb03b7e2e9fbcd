"""Binance: payload in, model out; the dead, the frozen and the namesakes stay out."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from backend.errors import MalformedResponse, ProviderError, QueryRefused
from backend.models.market import PairTicker, PairTickers, QuotesQuery
from backend.models.ohlc import DAY, HOUR, MINUTE, WEEK, Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import MIB, Call, Context
from backend.providers.client import parsed
from backend.providers.vendors import binance
from tests.clocks import EPOCH_MS
from tests.instruments import instrument, instruments

CONTEXT = Context("binance", "public", EPOCH_MS)
LAST_TRADE = EPOCH_MS - 5_000
NEWEST = OhlcQuery("bitcoin", instruments("BTCUSDT"), Interval.H1, reference_price=100.0)
RANGE = replace(NEWEST, start_ms=EPOCH_MS - 8 * HOUR, end_ms=EPOCH_MS - 4 * HOUR)


def ticker(symbol: str, **changes: Any) -> dict[str, Any]:
    row = {
        "symbol": symbol,
        "priceChange": "-1.00000000",
        "priceChangePercent": "-1.026",
        "weightedAvgPrice": "98.00000000",
        "lastPrice": "97.50000000",
        "lastQty": "0.10000000",
        "openPrice": "98.50000000",
        "highPrice": "99.00000000",
        "lowPrice": "96.00000000",
        "volume": "1000.00000000",
        "quoteVolume": "98000.00000000",
        "openTime": LAST_TRADE - DAY,
        "closeTime": LAST_TRADE,
        "firstId": 10,
        "lastId": 19,
        "count": 10,
    }
    return row | changes


def dead(symbol: str, **changes: Any) -> dict[str, Any]:
    zeros = dict.fromkeys(("lastPrice", "highPrice", "lowPrice", "quoteVolume"), "0.00000000")
    return ticker(symbol, **zeros, firstId=-1, lastId=-1, count=0, **changes)


def tickers(*rows: Any) -> PairTickers:
    return binance.parse_tickers(QuotesQuery(), [list(rows)], CONTEXT)


def pairs(*rows: Any) -> list[str]:
    return [found.instrument.symbol for found in tickers(*rows).tickers]


def kline(open_ms: int, step_ms: int = HOUR, close: str = "100.50000000") -> list[Any]:
    prices = ["100.00000000", "101.00000000", "99.00000000", close]
    rest = ["1250.0", 321, "6.0", "600.0", "0"]
    return [open_ms, *prices, "12.50000000", open_ms + step_ms - 1, *rest]


PROBE = kline(EPOCH_MS - MINUTE, MINUTE)


def klines(query: OhlcQuery, *pages: Any) -> Candles:
    return parsed(binance.parse_klines, query, pages, CONTEXT)


def test_a_row_becomes_a_ticker_with_its_percentage_unchanged() -> None:
    assert tickers(ticker("BTCUSDT")).tickers == (
        PairTicker(
            instrument=instrument("BTCUSDT"),
            price=97.5,
            high=99.0,
            low=96.0,
            quote_volume=98_000.0,
            change=-1.0,
            change_percentage=-1.026,
            closed_at=datetime(2026, 11, 22, 7, 59, 55, tzinfo=UTC),
        ),
    )


@pytest.mark.parametrize(("behind_ms", "is_kept"), [(HOUR, True), (HOUR + 1, False)])
def test_a_pair_that_last_traded_over_an_hour_before_the_newest_is_left_out(
    behind_ms: int, is_kept: bool
) -> None:
    frozen = ticker("XMRUSDT", closeTime=LAST_TRADE - behind_ms)
    assert pairs(ticker("BTCUSDT"), frozen) == ["BTCUSDT"] + ["XMRUSDT"] * is_kept


def test_a_pair_delisted_weeks_ago_is_left_out() -> None:
    frozen = ticker("XMRUSDT", closeTime=LAST_TRADE - 20 * DAY)
    assert pairs(frozen, ticker("BTCUSDT")) == ["BTCUSDT"]


@pytest.mark.parametrize("close_time", [LAST_TRADE - 80 * DAY, LAST_TRADE])
def test_any_number_of_rows_without_trades_is_left_out(close_time: int) -> None:
    rows = [dead(f"OLD{n}USDT", closeTime=close_time) for n in range(10)]
    assert pairs(*rows, ticker("BTCUSDT")) == ["BTCUSDT"]


def test_a_live_dollar_pair_replaces_a_delisted_one() -> None:
    frozen = ticker("BTCUSDT", closeTime=LAST_TRADE - 2 * DAY)
    assert pairs(frozen, ticker("BTCUSDC")) == ["BTCUSDC"]


@pytest.mark.parametrize(
    ("quotes", "chosen"),
    [
        (["USDC", "FDUSD", "USDT"], "USDT"),
        (["USDT", "USDC", "FDUSD"], "USDT"),
        (["USDC", "FDUSD"], "FDUSD"),
        (["USDC"], "USDC"),
    ],
)
def test_a_coin_is_priced_in_usdt_else_fdusd_else_usdc_for_any_volume(
    quotes: list[str], chosen: str
) -> None:
    rows = [ticker(f"BTC{quote}", quoteVolume=f"{10**n}.0") for n, quote in enumerate(quotes)]
    found = tickers(*rows).tickers
    assert [(one.instrument.symbol, one.instrument.quote) for one in found] == [
        (f"BTC{chosen}", chosen)
    ]


@pytest.mark.parametrize("money", "EUR GBP TRY BRL JPY AUD UAH PLN".split())
def test_fiat_currencies_are_left_out(money: str) -> None:
    assert pairs(ticker(f"{money}USDT"), ticker(f"{money}USDC"), ticker("BTCUSDT")) == ["BTCUSDT"]


@pytest.mark.parametrize(
    ("pair", "base"),
    [
        ("JUPUSDT", "JUP"),
        ("1000SATSUSDT", "1000SATS"),
        ("币安人生USDT", "币安人生"),
        ("USDCUSDT", "USDC"),
        ("FDUSDUSDT", "FDUSD"),
        ("TUSDT", "T"),
    ],
)
def test_unusual_symbols_are_split_at_their_quote(pair: str, base: str) -> None:
    assert [
        (one.instrument.symbol, one.instrument.base) for one in tickers(ticker(pair)).tickers
    ] == [(pair, base)]


@pytest.mark.parametrize("pair", "ETHBTC BTCTRY USDTTRY BTCBUSD BTCEUR USDT BTCUSD".split())
def test_pairs_against_other_quotes_are_left_out(pair: str) -> None:
    assert pairs(ticker(pair), ticker("SOLUSDT")) == ["SOLUSDT"]


@pytest.mark.parametrize("off_ms", [-13 * HOUR, 13 * HOUR])
def test_a_list_that_is_not_current_is_refused(off_ms: int) -> None:
    with pytest.raises(ValueError, match="not current"):
        tickers(ticker("BTCUSDT", closeTime=EPOCH_MS + off_ms))


ABSURD = [
    {"lastPrice": "97500.0"},
    {"lastPrice": "0.00000000"},
    {"lastPrice": "-97.5"},
    {"lastPrice": "NaN"},
    {"lastPrice": None},
    {"highPrice": "90.0"},
    {"highPrice": "Infinity"},
    {"quoteVolume": "-1"},
    {"priceChangePercent": "nan"},
    {"priceChange": ""},
]


@pytest.mark.parametrize("change", ABSURD)
def test_at_most_half_of_the_dollar_pairs_may_be_malformed(change: dict[str, Any]) -> None:
    good = [ticker(f"C{n}USDT") for n in range(3)]
    absurd = [ticker(f"ODD{n}USDT", **change) for n in range(4)]
    found = tickers(*absurd[:3], *good, ticker("ETHBTC"))
    assert [one.instrument.symbol for one in found.tickers] == [row["symbol"] for row in good]
    assert found.refused == ("ODD0USDT", "ODD1USDT", "ODD2USDT")
    with pytest.raises(ValueError, match="4 rows are malformed"):
        tickers(*absurd, *good, ticker("ETHBTC"))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ticker("ODDUSDT").items() if key != name}


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (None, "number 2"),
        ([], "number 2"),
        ("BTCUSDT", "number 2"),
        ({}, "number 2"),
        (without("symbol"), "number 2"),
        (ticker("ODD\nUSDT"), "number 2"),
        (ticker("\u202eUSDT"), "number 2"),
        (ticker("ODDUSDT") | {"symbol": None}, "number 2"),
        (without("count"), "ODDUSDT"),
        (without("closeTime"), "ODDUSDT"),
        (without("lastPrice"), "ODDUSDT"),
        (ticker("ODDUSDT", count=None), "ODDUSDT"),
        (ticker("ODDUSDT", count="10"), "ODDUSDT"),
        (ticker("ODDUSDT", closeTime=str(LAST_TRADE)), "ODDUSDT"),
        (ticker("ODDUSDT", closeTime=LAST_TRADE + 2 * HOUR), "ODDUSDT"),
        (ticker("ODDUSDT", closeTime=2**70), "ODDUSDT"),
    ],
    ids=str,
)
def test_a_value_that_is_not_a_row_is_left_out_and_named(row: Any, name: str) -> None:
    found = tickers(ticker("BTCUSDT"), row, ticker("ETHUSDT"))
    assert [one.instrument.symbol for one in found.tickers] == ["BTCUSDT", "ETHUSDT"]
    assert found.refused == (name,)


NO_DECIMALS: list[Any] = [
    " 97.5",
    "97.5 ",
    "9_7.5",
    "9.75e1",
    "1e400",
    "Infinity",
    "NaN",
    "+97.5",
    "0x61",
    "",
]
NO_DECIMALS += ["٩٧", "97,5", "9" * 400, "97.5.0", "-", True, 97.5, 2**70, None, ["97.5"]]


@pytest.mark.parametrize("figure", NO_DECIMALS, ids=str)
@pytest.mark.parametrize("field", ["lastPrice", "quoteVolume", "priceChange"])
def test_a_row_with_a_number_that_is_not_a_plain_decimal_is_left_out(
    field: str, figure: Any
) -> None:
    found = tickers(ticker("BTCUSDT"), ticker("ODDUSDT", **{field: figure}))
    assert [one.instrument.symbol for one in found.tickers] == ["BTCUSDT"]
    assert found.refused == ("ODDUSDT",)


def test_a_row_with_a_symbol_that_is_too_long_is_left_out_and_named() -> None:
    found = tickers(ticker("BTCUSDT"), ticker("ETHUSDT"), ticker("A" * 201 + "USDT"))
    assert [one.instrument.symbol for one in found.tickers] == ["BTCUSDT", "ETHUSDT"]
    assert found.refused == ("A" * 200,)


def test_changes_missing_in_all_rows_are_unknown() -> None:
    rows = [ticker(pair) for pair in ("BTCUSDT", "ETHUSDT")]
    for row in rows:
        del row["priceChange"], row["priceChangePercent"]
    found = tickers(*rows)
    assert [(one.change, one.change_percentage) for one in found.tickers] == [(None, None)] * 2
    assert found.refused == ()


def test_too_many_rows_are_malformed() -> None:
    with pytest.raises(ValueError, match="10001 rows, at most 10000"):
        tickers(*[ticker("BTCUSDT")] * 10_001)


def test_a_list_without_a_live_dollar_pair_is_malformed() -> None:
    with pytest.raises(ValueError, match="0 rows are malformed, 0 are not"):
        tickers(ticker("ETHBTC"), dead("OLDUSDT"))


def test_candles_keep_their_open_time_and_are_closed_by_their_close_time() -> None:
    series = klines(NEWEST, [kline(EPOCH_MS - HOUR), kline(EPOCH_MS)])
    assert series == Candles(
        Interval.H1,
        (
            Candle(EPOCH_MS - HOUR, 100.0, 101.0, 99.0, 100.5, volume=12.5, closed=True),
            Candle(EPOCH_MS, 100.0, 101.0, 99.0, 100.5, volume=12.5, closed=False),
        ),
        instrument=instrument("BTCUSDT"),
    )


@pytest.mark.parametrize(("now_ms", "is_closed"), [(EPOCH_MS - 1, False), (EPOCH_MS, True)])
def test_a_candle_is_closed_once_its_close_time_has_passed(now_ms: int, is_closed: bool) -> None:
    rows = [[kline(EPOCH_MS - HOUR)]]
    (candle,) = binance.parse_klines(NEWEST, rows, replace(CONTEXT, now_ms=now_ms)).candles
    assert candle.closed is is_closed


def test_a_month_is_on_the_calendars_grid_and_stays_open_until_its_end() -> None:
    opens = [int(datetime(2026, n, 1, tzinfo=UTC).timestamp() * 1000) for n in (10, 11, 12)]
    rows = [kline(a, b - a) for a, b in pairwise(opens)]
    series = klines(replace(NEWEST, interval=Interval.MONTH), rows)
    assert [(one.timestamp, one.closed) for one in series.candles] == [
        (opens[0], True),
        (opens[1], False),
    ]


def test_an_empty_list_means_an_unknown_pair() -> None:
    with pytest.raises(QueryRefused):
        klines(NEWEST, [])


@pytest.mark.parametrize("interval", ["1m", "1h", "4h"])
def test_a_pair_without_candles_since_yesterday_is_refused(interval: str) -> None:
    query = replace(NEWEST, interval=Interval(interval))
    step = query.interval.step_ms
    with pytest.raises(QueryRefused, match="no longer traded"):
        klines(query, [kline(EPOCH_MS - DAY, step)])


@pytest.mark.parametrize("interval", Interval)
def test_a_range_of_a_delisted_pair_is_refused_for_every_interval(
    interval: Interval,
) -> None:
    last_minute = kline(EPOCH_MS - 6 * DAY, MINUTE)
    with pytest.raises(QueryRefused, match="no longer traded"):
        klines(replace(RANGE, interval=interval), [last_minute], [])


@pytest.mark.parametrize(
    ("reference", "is_taken"),
    [
        (100.5, True),
        (10.06, True),
        (1_004.0, True),
        (10.04, False),
        (1_006.0, False),
        (None, False),
    ],
)
def test_candles_far_from_the_known_price_are_of_another_coin(
    reference: float | None, is_taken: bool
) -> None:
    query = replace(NEWEST, reference_price=reference)
    if is_taken:
        assert len(klines(query, [kline(EPOCH_MS)]).candles) == 1
    else:
        with pytest.raises(QueryRefused, match="price is not the coin's"):
            klines(query, [kline(EPOCH_MS)])


def test_a_range_joins_its_pages_without_the_probe() -> None:
    hours = [kline(EPOCH_MS - n * HOUR) for n in (8, 7, 6, 5)]
    series = klines(RANGE, [PROBE], hours[:2], hours[2:])
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - n * HOUR for n in (8, 7, 6, 5)]
    assert all(one.closed for one in series.candles)


@pytest.mark.parametrize("hours_ago", [(8, 7, 3), (11, 8)])
def test_a_candle_outside_the_range_is_left_out_unless_most_are(
    hours_ago: tuple[int, ...],
) -> None:
    rows = [kline(EPOCH_MS - n * HOUR) for n in hours_ago]
    (outside,) = [row[0] for row in rows if not EPOCH_MS - 8 * HOUR <= row[0] < EPOCH_MS - 4 * HOUR]
    series = klines(RANGE, [PROBE], rows)
    assert len(series.candles) == len(rows) - 1
    assert series.refused == (str(outside),)
    with pytest.raises(MalformedResponse):
        klines(RANGE, [PROBE], [kline(EPOCH_MS - n * HOUR) for n in (8, 20, 21)])


def test_old_prices_of_a_range_may_differ_from_the_known_price() -> None:
    query = replace(RANGE, reference_price=5.0 * 100)
    assert len(klines(query, [PROBE], [kline(EPOCH_MS - 8 * HOUR)]).candles) == 1


@pytest.mark.parametrize("probe", [[], [PROBE]])
def test_a_range_whose_probe_is_another_market_is_refused(probe: list[Any]) -> None:
    with pytest.raises(QueryRefused):
        klines(replace(RANGE, reference_price=9_999.0), probe, [kline(EPOCH_MS - 8 * HOUR)])


def test_a_range_before_the_pairs_first_trade_is_an_empty_answer() -> None:
    assert klines(RANGE, [PROBE], []).candles == ()


@pytest.mark.parametrize("page", [{}, "", {"code": -1000, "msg": "unknown"}, None, [PROBE]])
def test_a_page_that_is_not_a_list_of_candles_is_malformed(page: Any) -> None:
    with pytest.raises(ProviderError):
        klines(RANGE, [PROBE], page)


@pytest.mark.parametrize("query", [NEWEST, replace(RANGE, end_ms=EPOCH_MS + DAY)])
def test_a_candle_in_the_future_is_left_out(query: OhlcQuery) -> None:
    probe = [] if query is NEWEST else [[PROBE]]
    series = klines(query, *probe, [kline(EPOCH_MS), kline(EPOCH_MS + 4 * HOUR)])
    assert [one.timestamp for one in series.candles] == [EPOCH_MS]
    assert series.refused == (str(EPOCH_MS + 4 * HOUR),)


def changed(row: list[Any], **places: Any) -> list[Any]:
    for place, value in places.items():
        row[int(place.removeprefix("at"))] = value
    return row


AT = EPOCH_MS - 6 * HOUR
ODD_CANDLES: list[Any] = [
    None,
    {},
    "candle",
    [],
    kline(AT)[:6],
    kline(AT + 1),
    kline(AT + HOUR // 2),
    *(kline(AT, step_ms) for step_ms in (-HOUR, 0, 1, HOUR + 1, DAY)),
    changed(kline(AT), at0=str(AT)),
    changed(kline(AT), at0=True),
    changed(kline(AT), at1="0.00000000", at2="0.00000000", at3="0.00000000", at4="0.00000000"),
    changed(kline(AT), at2="99.5"),
    changed(kline(AT), at3="100.2"),
    changed(kline(AT), at4="-100.5"),
    changed(kline(AT), at4="1e2"),
    changed(kline(AT), at4=100.5),
    changed(kline(AT), at5="NaN"),
    changed(kline(AT), at5="-1"),
    changed(kline(AT), at5=" 12.5"),
    changed(kline(AT), at1="100000.0", at2="100000.0", at3="100000.0", at4="100000.0"),
]


@pytest.mark.parametrize("odd", ODD_CANDLES, ids=str)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_malformed_candle_is_left_out_and_named(odd: Any, place: int) -> None:
    rows = [kline(EPOCH_MS - n * HOUR) for n in (8, 7, 5, 4)]
    query = replace(RANGE, end_ms=EPOCH_MS)
    series = klines(query, [PROBE], [*rows[:place], odd, *rows[place:]])
    assert [one.timestamp for one in series.candles] == [row[0] for row in rows]
    assert len(series.refused) == 1


def test_a_newest_candle_with_a_price_jump_is_left_out() -> None:
    leap = changed(kline(EPOCH_MS), at1="100000.0", at2="100000.0", at3="100.0", at4="100.0")
    series = klines(NEWEST, [*(kline(EPOCH_MS - n * HOUR) for n in (2, 1)), leap])
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - 2 * HOUR, EPOCH_MS - HOUR]
    assert series.refused == (str(EPOCH_MS),)


@pytest.mark.parametrize("odd", ODD_CANDLES[:-1], ids=str)
def test_a_malformed_newest_candle_is_left_out(odd: Any) -> None:
    rows = [kline(EPOCH_MS - n * HOUR) for n in (2, 1)]
    series = klines(NEWEST, [*rows, odd])
    assert [one.timestamp for one in series.candles] == [row[0] for row in rows]


def test_a_pair_without_a_valid_current_candle_is_malformed_and_not_delisted() -> None:
    rows = [kline(EPOCH_MS - n * HOUR) for n in (9, 8)]
    with pytest.raises(MalformedResponse):
        klines(NEWEST, [*rows, changed(kline(EPOCH_MS), at4="0")])


def test_candles_out_of_order_are_sorted() -> None:
    series = klines(RANGE, [PROBE], [kline(EPOCH_MS - n * HOUR) for n in (5, 8, 6, 7)])
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - n * HOUR for n in (8, 7, 6, 5)]
    assert series.refused == ()


def test_a_repeated_candle_is_kept_once() -> None:
    page = [kline(EPOCH_MS - 8 * HOUR), kline(EPOCH_MS - 7 * HOUR)]
    series = klines(RANGE, [PROBE], page, page[1:])
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - 8 * HOUR, EPOCH_MS - 7 * HOUR]
    assert series.refused == ()


def test_two_different_candles_of_one_time_are_both_left_out() -> None:
    rows = [kline(EPOCH_MS - n * HOUR) for n in (8, 7, 6)]
    series = klines(RANGE, [PROBE], [*rows, kline(EPOCH_MS - 7 * HOUR, close="100.75")])
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - 8 * HOUR, EPOCH_MS - 6 * HOUR]
    assert series.refused == (str(EPOCH_MS - 7 * HOUR),)


def test_too_many_candles_are_malformed() -> None:
    with pytest.raises(ValueError, match="2001 rows, at most 2000"):
        binance.parse_klines(NEWEST, [[kline(EPOCH_MS)] * 2_001], CONTEXT)


def test_all_tickers_are_one_call_for_trading_pairs() -> None:
    assert binance.build_tickers(QuotesQuery(), CONTEXT) == (
        Call("/api/v3/ticker/24hr", (("symbolStatus", "TRADING"),), 80, max_bytes=8 * MIB),
    )


def klines_call(interval: str, limit: str, *bounds: int) -> Call:
    names = zip(("startTime", "endTime"), map(str, bounds), strict=False)
    params = (("symbol", "BTCUSDT"), ("interval", interval), ("limit", limit), *names)
    return Call("/api/v3/klines", params, weight=2)


@pytest.mark.parametrize("interval", ["1m", "1h", "1d", "1w", "1M"])
def test_the_newest_candles_are_one_call_with_the_interval_as_written(interval: str) -> None:
    query = replace(NEWEST, interval=Interval(interval))
    assert binance.build_klines(query, CONTEXT) == (klines_call(interval, "1000"),)


def test_a_range_is_a_probe_and_pages_of_a_thousand_that_do_not_overlap() -> None:
    start, end = EPOCH_MS - 2_500 * HOUR, EPOCH_MS
    calls = binance.build_klines(replace(NEWEST, start_ms=start, end_ms=end), CONTEXT)
    assert calls == (
        klines_call("1m", "1"),
        klines_call("1h", "1000", start, start + 1_000 * HOUR - 1),
        klines_call("1h", "1000", start + 1_000 * HOUR, start + 2_000 * HOUR - 1),
        klines_call("1h", "1000", start + 2_000 * HOUR, end - 1),
    )


def test_a_range_of_months_keeps_the_case_of_its_interval() -> None:
    query = replace(NEWEST, interval=Interval.MONTH, start_ms=EPOCH_MS - WEEK, end_ms=EPOCH_MS)
    calls = binance.build_klines(query, CONTEXT)
    assert calls == (klines_call("1m", "1"), klines_call("1M", "1000", EPOCH_MS - WEEK, LAST_MS))


LAST_MS = EPOCH_MS - 1


@pytest.mark.parametrize("interval", Interval)
def test_every_interval_is_served_newest_or_ranged(interval: Interval) -> None:
    assert binance.serves_klines(replace(NEWEST, interval=interval), CONTEXT)
    assert binance.serves_klines(replace(RANGE, interval=interval), CONTEXT)


ELSEWHERE = instrument("BTCUSDT", "elsewhere")


@pytest.mark.parametrize(
    "unknown", [{"instruments": ()}, {"instruments": (ELSEWHERE,)}, {"reference_price": None}]
)
def test_candles_need_an_instrument_and_a_known_price(unknown: dict[str, Any]) -> None:
    assert not binance.serves_klines(replace(NEWEST, **unknown), CONTEXT)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"code": -1121, "msg": "no such symbol"}, -1121),
        ({"code": 0, "msg": "not from here"}, 0),
        ({"code": "-1121"}, None),
        ({"msg": "nothing else"}, None),
        ([{"code": -1003}], None),
        ("<html>", None),
        (None, None),
    ],
)
def test_the_error_code_is_a_number_at_the_top(payload: Any, code: int | None) -> None:
    assert binance.error_code(payload) == code


@pytest.mark.parametrize(
    ("payload", "until_ms"),
    [
        ({"code": -1003, "msg": f"Too much; IP banned until {EPOCH_MS}. Use streams."}, EPOCH_MS),
        ({"code": -1003, "msg": "IP banned until further notice"}, None),
        ({"code": -1003, "msg": "too much weight used"}, None),
        ({"code": -1003, "msg": None}, None),
        ({}, None),
        ([], None),
        ("banned until 1795334400000", None),
        (None, None),
    ],
)
def test_the_end_of_a_ban_is_read_from_the_text(payload: Any, until_ms: int | None) -> None:
    assert binance.banned_until_ms(payload) == until_ms


def test_candles_in_the_future_are_malformed() -> None:
    rows = [kline(EPOCH_MS - EPOCH_MS % HOUR + 5 * HOUR)]
    with pytest.raises(MalformedResponse):
        parsed(binance.parse_klines, NEWEST, [rows], CONTEXT)
