"""Bitstamp: tickers and candles become models; perpetuals and closed markets are left out."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from backend.errors import (
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    QueryRefused,
    RateLimited,
    UpstreamFailed,
)
from backend.identity.instruments import Instrument
from backend.models.market import PairTicker, PairTickers, QuotesQuery
from backend.models.ohlc import DAY, HOUR, MINUTE, Candle, Interval, OhlcQuery
from backend.orchestration.limits.window import usable_limit
from backend.providers.adapter import Call, Context
from backend.providers.client import parsed
from backend.providers.refusals import refusal_in
from backend.providers.vendors import bitstamp
from backend.services.candles.service import BLOCK, MOST_CANDLES
from tests.clocks import EPOCH, EPOCH_MS

CONTEXT = Context("bitstamp", "public", EPOCH_MS)
BTC_USD = Instrument("bitstamp", "BTC", "USD", "btcusd")
NEWEST = OhlcQuery("bitcoin", (BTC_USD,), Interval.H1, reference_price=100.0)
RANGE = replace(NEWEST, start_ms=EPOCH_MS - 8 * HOUR, end_ms=EPOCH_MS - 4 * HOUR)
AT_S = EPOCH_MS // 1000 - 3


def market(name: str, **changes: Any) -> dict[str, Any]:
    row = {
        "timestamp": str(AT_S),
        "open": "91.25",
        "high": "99",
        "low": "96",
        "last": "97.5",
        "volume": "1000.5",
        "vwap": "98",
        "bid": "97.4",
        "ask": "97.6",
        "side": "0",
        "open_24": "98.5",
        "percent_change_24": "-1.02",
        "market_type": "SPOT",
        "pair": name,
        "market": name,
    }
    return row | changes


def tickers(*rows: Any) -> PairTickers:
    found: PairTickers = parsed(bitstamp.parse_tickers, QuotesQuery(), [list(rows)], CONTEXT)
    return found


def symbols(*rows: Any) -> list[str]:
    return [one.instrument.symbol for one in tickers(*rows).tickers]


def test_a_row_becomes_a_ticker_with_its_own_time_and_its_percentage_unchanged() -> None:
    assert tickers(market("BTC/USD")).tickers == (
        PairTicker(
            instrument=BTC_USD,
            price=97.5,
            high=99.0,
            low=96.0,
            quote_volume=98_049.0,
            change=-1.0,
            change_percentage=-1.02,
            closed_at=datetime.fromtimestamp(AT_S, UTC),
        ),
    )


def test_the_change_is_that_of_24_hours_and_not_that_since_midnight() -> None:
    (one,) = tickers(market("BTC/USD", open="50", open_24="97")).tickers
    assert one.change == 0.5


@pytest.mark.parametrize("missing", [{"open_24": None, "percent_change_24": None}, {}])
def test_an_unknown_change_is_unknown(missing: dict[str, Any]) -> None:
    row = market("BTC/USD", **missing)
    if not missing:
        del row["open_24"], row["percent_change_24"]
    (one,) = tickers(row).tickers
    assert (one.change, one.change_percentage) == (None, None)


def test_markets_in_euros_and_pounds_are_apart_from_those_in_dollars() -> None:
    found = tickers(market("BTC/EUR"), market("BTC/USD"), market("BTC/GBP"))
    assert [one.instrument.symbol for one in found.tickers] == ["btcusd"]
    assert [one.instrument.symbol for one in found.others] == ["btceur", "btcgbp"]


@pytest.mark.parametrize("name", ["ETH/BTC", "BTC/USDT", "EUR/USD", "GBP/EUR", "/USD", "USD"])
def test_other_markets_and_national_currencies_are_left_out(name: str) -> None:
    found = tickers(market(name), market("BTC/USD"))
    assert [one.instrument.symbol for one in found.tickers] == ["btcusd"]
    assert found.refused == ()


@pytest.mark.parametrize("name", ["", "B\x00TC/USD", "B" * 201])
def test_a_row_without_a_printable_name_is_malformed(name: str) -> None:
    found = tickers(market(name), market("BTC/USD"), market("ETH/USD"))
    assert len(found.tickers) == 2
    assert len(found.refused) == 1


@pytest.mark.parametrize("name", ["BTC/USD", "BTC/USD-PERP"])
def test_perpetuals_are_left_out(name: str) -> None:
    perpetual = market(name, market_type="PERPETUAL", last="98.5")
    found = tickers(perpetual, market("BTC/USD"))
    assert [one.price for one in found.tickers] == [97.5]
    assert found.refused == ()


@pytest.mark.parametrize(
    "closed",
    [
        {"volume": "0"},
        {"volume": "0.00000000", "vwap": "0", "high": "0", "low": "0"},
        {"timestamp": str(AT_S - 3_601)},
        {"timestamp": str(AT_S - 90 * 86_400)},
    ],
    ids=str,
)
def test_markets_without_current_trades_are_left_out(closed: dict[str, Any]) -> None:
    rows = [market(f"C{n}/USD") for n in range(3)]
    found = tickers(market("OLD/USD", **closed), *rows)
    assert [one.instrument.base for one in found.tickers] == ["C0", "C1", "C2"]
    assert found.refused == ()


def test_a_row_from_the_future_is_left_out_and_named() -> None:
    rows = [market(f"C{n}/USD") for n in range(3)]
    assert tickers(market("ODD/USD", timestamp=str(AT_S + 4_000)), *rows).refused == ("ODD/USD",)


@pytest.mark.parametrize("off_s", [-13 * 3_600, 13 * 3_600])
def test_a_list_that_is_not_current_is_malformed(off_s: int) -> None:
    with pytest.raises(MalformedResponse):
        tickers(market("BTC/USD", timestamp=str(AT_S + off_s)))


MALFORMED: list[dict[str, Any]] = [
    *({"last": value} for value in ("0", "-97.5", "NaN", "9.75e1", "97500", "", None, 97.5)),
    *({"vwap": value} for value in ("-1", "Infinity", "", None, True)),
    *({"volume": value} for value in ("NaN", "", None, 5)),
    *({"open_24": value} for value in ("NaN", "", 98.5)),
    *({"percent_change_24": value} for value in ("2 %", "", 2.31)),
    *({"timestamp": value} for value in (AT_S, f"{AT_S}.5", "", None, "9" * 12)),
    {"high": "90"},
]


@pytest.mark.parametrize("change", MALFORMED, ids=str)
def test_a_malformed_row_is_left_out_and_named_unless_most_are(change: dict[str, Any]) -> None:
    good = [market(f"C{n}/USD") for n in range(3)]
    found = tickers(market("ODD/USD", **change), *good)
    assert [one.instrument.base for one in found.tickers] == ["C0", "C1", "C2"]
    assert found.refused == ("ODD/USD",)
    with pytest.raises(MalformedResponse):
        tickers(*(market(f"ODD{n}/USD", **change) for n in range(4)), *good)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in market("ODD/USD").items() if key != name}


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        "text",
        {},
        without("market"),
        without("market_type"),
        market("BT\nC/USD"),
        market("A" * 201 + "/USD"),
        market("BTC/USD", market=7),
    ],
    ids=str,
)
def test_a_value_that_is_not_a_row_is_left_out(row: Any) -> None:
    found = tickers(row, market("BTC/USD"), market("ETH/USD"))
    assert [one.instrument.symbol for one in found.tickers] == ["btcusd", "ethusd"]
    assert len(found.refused) == 1


@pytest.mark.parametrize("payload", [{}, None, "text", [], {"status": "error", "reason": "-"}])
def test_an_answer_that_is_not_a_list_of_markets_is_malformed(payload: Any) -> None:
    with pytest.raises(MalformedResponse):
        parsed(bitstamp.parse_tickers, QuotesQuery(), [payload], CONTEXT)


def test_all_tickers_are_one_call() -> None:
    assert bitstamp.build_tickers(QuotesQuery(), CONTEXT) == (Call("/api/v2/ticker/"),)


def row(open_ms: int, **changes: Any) -> dict[str, Any]:
    figures = {"open": "100.00", "high": "101", "low": "99", "close": "100.50", "volume": "12.5"}
    return {"timestamp": str(open_ms // 1000), **figures} | changes


def page(*rows: Any) -> dict[str, Any]:
    return {"data": {"pair": "BTC/USD", "ohlc": list(rows)}}


PROBE = page(row(EPOCH_MS - MINUTE))


def candles(query: OhlcQuery, *pages: Any) -> Any:
    return parsed(bitstamp.parse_pages, query, pages, CONTEXT)


def opens(query: OhlcQuery, *pages: Any) -> list[int]:
    return [one.timestamp for one in candles(query, *pages).candles]


def test_candles_are_dated_by_their_open_in_seconds_and_the_last_one_is_forming() -> None:
    series = candles(NEWEST, page(row(EPOCH_MS - HOUR), row(EPOCH_MS)))
    assert series.instrument == BTC_USD
    assert series.candles == (
        Candle(EPOCH_MS - HOUR, 100.0, 101.0, 99.0, 100.5, volume=12.5, closed=True),
        Candle(EPOCH_MS, 100.0, 101.0, 99.0, 100.5, volume=12.5, closed=False),
    )


def test_rows_before_the_range_are_no_part_of_it_and_not_malformed() -> None:
    """A page has `limit` rows if they exist, however far back they are."""
    old = [row(EPOCH_MS - n * HOUR) for n in range(900, 9, -1)]
    series = candles(RANGE, PROBE, page(*old, row(EPOCH_MS - 7 * HOUR), row(EPOCH_MS - 5 * HOUR)))
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - n * HOUR for n in (7, 5)]
    assert series.refused == ()
    assert opens(RANGE, PROBE, page(*old)) == []


def test_rows_of_two_pages_that_overlap_are_kept_once() -> None:
    rows = [row(EPOCH_MS - n * HOUR) for n in (8, 7, 6)]
    series = candles(RANGE, PROBE, page(*rows[:2]), page(*rows))
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - n * HOUR for n in (8, 7, 6)]
    assert series.refused == ()


def test_of_a_row_that_is_repeated_with_later_trades_the_last_one_counts() -> None:
    """A recorded page of 1,000 days has one day twice, the second time with more volume."""
    first, later = row(EPOCH_MS - HOUR), row(EPOCH_MS - HOUR, close="100.75", volume="12.75")
    series = candles(NEWEST, page(row(EPOCH_MS - 2 * HOUR), first, later, row(EPOCH_MS)))
    assert [one.close for one in series.candles] == [100.5, 100.75, 100.5]
    assert series.refused == ()


def test_a_row_after_the_range_is_malformed() -> None:
    rows = [row(EPOCH_MS - n * HOUR) for n in (8, 7, 4)]
    assert candles(RANGE, PROBE, page(*rows)).refused == (str(EPOCH_MS - 4 * HOUR),)


def test_a_market_without_candles_is_refused() -> None:
    with pytest.raises(QueryRefused, match="no candles"):
        candles(NEWEST, page())


def test_a_market_that_was_closed_yesterday_is_refused() -> None:
    with pytest.raises(QueryRefused, match="no longer traded"):
        candles(NEWEST, page(row(EPOCH_MS - DAY)))


@pytest.mark.parametrize("reference", [10.04, 1_006.0, None])
def test_candles_far_from_the_known_price_are_another_coins(reference: float | None) -> None:
    with pytest.raises(QueryRefused, match="price is not the coin's"):
        candles(replace(NEWEST, reference_price=reference), page(row(EPOCH_MS)))


def test_a_range_is_checked_by_its_probe() -> None:
    rows = [row(EPOCH_MS - n * HOUR) for n in (8, 7)]
    for probe in (page(), page(row(EPOCH_MS - 6 * HOUR)), page(row(EPOCH_MS, **NAMESAKE))):
        with pytest.raises(QueryRefused):
            candles(RANGE, probe, page(*rows))


NAMESAKE = dict.fromkeys(("open", "high", "low", "close"), "9")


@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        "text",
        {},
        row(EPOCH_MS - 2 * HOUR - 1_000),
        row(EPOCH_MS + 4 * HOUR),
        row(EPOCH_MS - 2 * HOUR) | {"timestamp": EPOCH_MS // 1000 - 7_200},
        row(EPOCH_MS - 2 * HOUR) | {"timestamp": str(EPOCH_MS - 2 * HOUR)},
        row(EPOCH_MS - 2 * HOUR, low="100.2"),
        row(EPOCH_MS - 2 * HOUR, high="99.5"),
        *(
            row(EPOCH_MS - 2 * HOUR, **{name: value})
            for name in ("open", "high", "low", "close", "volume")
            for value in ("-1", "NaN", "", None, 100.0)
        ),
    ],
    ids=str,
)
def test_a_malformed_candle_is_left_out_and_named(odd: Any) -> None:
    rows = [row(EPOCH_MS - n * HOUR) for n in (3, 1, 0)]
    series = candles(NEWEST, page(rows[0], odd, *rows[1:]))
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - n * HOUR for n in (3, 1, 0)]
    assert len(series.refused) == 1


@pytest.mark.parametrize(
    "odd", [{}, [], None, "", {"data": []}, {"data": {"ohlc": {}}}, {"code": "400.002"}], ids=str
)
def test_a_page_that_is_not_a_list_of_candles_is_malformed(odd: Any) -> None:
    with pytest.raises(ProviderError):
        candles(RANGE, PROBE, odd)


def test_a_page_with_more_rows_than_asked_for_is_malformed() -> None:
    with pytest.raises(MalformedResponse):
        candles(NEWEST, page(*[row(EPOCH_MS)] * 1_001))


def call(step: int, limit: int, end_ms: int | None = None) -> Call:
    params = [("step", str(step)), ("limit", str(limit))]
    params += [("end", str(end_ms // 1000 - 1))] if end_ms else []
    return Call("/api/v2/ohlc/btcusd/", tuple(params))


def test_the_newest_candles_are_one_call_without_bounds() -> None:
    assert bitstamp.build_candles(NEWEST, CONTEXT) == (call(3_600, 1_000),)


def test_a_range_is_a_probe_and_pages_that_are_named_by_their_end_only() -> None:
    start, end = EPOCH_MS - 2_500 * HOUR, EPOCH_MS
    assert bitstamp.build_candles(replace(NEWEST, start_ms=start, end_ms=end), CONTEXT) == (
        call(60, 1),
        call(3_600, 1_000, start + 1_000 * HOUR),
        call(3_600, 1_000, start + 2_000 * HOUR),
        call(3_600, 1_000, end),
    )


def test_the_calls_of_the_longest_range_fit_into_the_limit() -> None:
    most = MOST_CANDLES + 2 * BLOCK
    query = replace(NEWEST, start_ms=EPOCH_MS - most * HOUR, end_ms=EPOCH_MS)
    calls = bitstamp.build_candles(query, CONTEXT)
    assert all(len(calls) <= usable_limit(window.limit) for window in bitstamp.PUBLIC.windows)


@pytest.mark.parametrize("interval", Interval)
def test_eight_hours_weeks_and_months_are_not_served(interval: Interval) -> None:
    (serves,) = [one.serves for one in bitstamp.ADAPTER.operations if one.query_type is OhlcQuery]
    is_served = interval not in {"8h", "1w", "1M"}
    assert serves(replace(NEWEST, interval=interval), CONTEXT) is is_served


def test_259200_seconds_are_three_days() -> None:
    query = replace(NEWEST, interval=Interval.D3)
    assert dict(bitstamp.build_candles(query, CONTEXT)[0].params)["step"] == "259200"


def test_a_guessed_name_cannot_leave_its_place_in_the_path() -> None:
    guessed = Instrument("bitstamp", "A/B?C", "USD", "a/b?cusd")
    calls = bitstamp.build_candles(replace(NEWEST, instruments=(guessed,)), CONTEXT)
    assert calls[0].path == "/api/v2/ohlc/a%2Fb%3Fcusd/"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, None, RateLimited),
        (404, {"status": "error", "reason": "Not found", "code": "404.001"}, QueryRefused),
        (400, {"code": "400.002", "errors": [{"field": "step"}]}, QueryRefused),
        (502, None, UpstreamFailed),
        (403, None, GeoBlocked),
    ],
)
def test_errors_have_the_meaning_of_their_status(
    status: int, body: Any, kind: type[ProviderError]
) -> None:
    text = json.dumps(body).encode()
    error = refusal_in(bitstamp.ADAPTER, status, {}, body, text, EPOCH)
    assert type(error) is kind
