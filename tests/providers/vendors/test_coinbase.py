"""Coinbase Exchange: statistics and candles become models; everything else is left out."""

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
from backend.providers.vendors import coinbase
from tests.clocks import EPOCH, EPOCH_MS

CONTEXT = Context("coinbase", "public", EPOCH_MS)
BTC_USD = Instrument("coinbase", "BTC", "USD", "BTC-USD")
NEWEST = OhlcQuery("bitcoin", (BTC_USD,), Interval.H1, reference_price=100.0)
RANGE = replace(NEWEST, start_ms=EPOCH_MS - 8 * HOUR, end_ms=EPOCH_MS - 4 * HOUR)


def block(**changes: Any) -> dict[str, Any]:
    day = {
        "open": "98.5",
        "high": "99",
        "low": "96",
        "last": "97.5",
        "volume": "1000.25",
        "rfq_volume": "3.5",
    }
    return {
        "stats_30day": {"volume": "30000.5", "rfq_volume": "90.25"},
        "stats_24hour": day | changes,
    }


def tickers(products: Any) -> PairTickers:
    found: PairTickers = parsed(coinbase.parse_stats, QuotesQuery(), [products], CONTEXT)
    return found


def symbols(products: Any) -> list[str]:
    return [one.instrument.symbol for one in tickers(products).tickers]


def test_statistics_become_a_ticker_of_the_rolling_day_at_the_time_of_the_answer() -> None:
    assert tickers({"BTC-USD": block()}).tickers == (
        PairTicker(
            instrument=BTC_USD,
            price=97.5,
            high=99.0,
            low=96.0,
            quote_volume=None,
            change=-1.0,
            change_percentage=-1.015,
            closed_at=datetime.fromtimestamp(EPOCH_MS / 1000, UTC),
        ),
    )


def test_the_volume_in_coins_is_not_taken_for_an_amount_of_money() -> None:
    assert tickers({"BTC-USD": block(volume="123456789")}).tickers[0].quote_volume is None


@pytest.mark.parametrize(
    ("opened", "last", "change", "percentage"),
    [
        ("96", "98.4", 2.4, 2.5),
        ("97.5", "97.5", 0.0, 0.0),
        ("99.1", "97.5", -1.6, -1.615),
        ("0", "97.5", None, None),
        ("9", "97.5", None, None),
        ("9000", "97.5", None, None),
    ],
)
def test_the_change_is_that_since_the_open_unless_the_open_is_absurd(
    opened: str, last: str, change: float | None, percentage: float | None
) -> None:
    (one,) = tickers({"BTC-USD": block(open=opened, last=last)}).tickers
    assert (one.change, one.change_percentage) == (change, percentage)


def test_a_coin_of_many_decimals_keeps_its_change() -> None:
    day = block(open="0.0000123", last="0.0000125", high="0.000013", low="0.000012")
    (one,) = tickers({"PEPE-USD": day}).tickers
    assert (one.change, one.change_percentage) == (2e-7, 1.626)


def test_books_in_euros_and_pounds_are_apart_from_those_in_dollars() -> None:
    found = tickers({"BTC-EUR": block(), "BTC-USD": block(), "BTC-GBP": block()})
    assert [one.instrument.symbol for one in found.tickers] == ["BTC-USD"]
    assert [one.instrument.symbol for one in found.others] == ["BTC-EUR", "BTC-GBP"]


@pytest.mark.parametrize("product", ["ETH-BTC", "BTC-USDT", "BTC-USDC", "EUR-USD", "-USD", "USD"])
def test_other_books_and_national_currencies_are_left_out(product: str) -> None:
    assert symbols({product: block(), "BTC-USD": block()}) == ["BTC-USD"]
    assert tickers({product: block(), "BTC-USD": block()}).refused == ()


@pytest.mark.parametrize(
    "empty",
    [
        {},
        {"stats_24hour": {}},
        {"stats_30day": {}, "stats_24hour": {}},
        block(open="", high="", low="", last="", volume="", rfq_volume=""),
        block(volume="0"),
        block(open="0", high="0", low="0", last="0", volume="0.00000000"),
    ],
    ids=str,
)
def test_products_without_statistics_or_trades_are_left_out_in_any_number(empty: Any) -> None:
    products = {f"OLD{n}-USD": empty for n in range(9)} | {"BTC-USD": block()}
    assert symbols(products) == ["BTC-USD"]
    assert tickers(products).refused == ()


def test_a_list_of_products_that_have_no_trades_is_malformed() -> None:
    with pytest.raises(MalformedResponse):
        tickers({"BTC-USD": block(volume="0"), "ETH-USD": {}})


MALFORMED: list[Any] = [
    None,
    [],
    "text",
    {"stats_24hour": None},
    {"stats_24hour": [1]},
    {"stats_24hour": {"volume": "1000"}},
    *(block(last=value) for value in ("0", "-97.5", "NaN", "9.75e1", "97500", "", None, 97.5)),
    *(block(open=value) for value in ("NaN", "", None, True)),
    *(block(volume=value) for value in ("-1", "Infinity", "", None, 1000.25)),
    block(high="90"),
]


@pytest.mark.parametrize("odd", MALFORMED, ids=str)
def test_a_malformed_product_is_left_out_and_named_unless_most_are(odd: Any) -> None:
    good = {f"C{n}-USD": block() for n in range(3)}
    found = tickers({"ODD-USD": odd} | good)
    assert [one.instrument.base for one in found.tickers] == ["C0", "C1", "C2"]
    assert found.refused == ("ODD-USD",)
    with pytest.raises(MalformedResponse):
        tickers({f"ODD{n}-USD": odd for n in range(4)} | good)


@pytest.mark.parametrize("product", ["BT\nC-USD", "\u202eBTC-USD", "A" * 201 + "-USD"], ids=ascii)
def test_a_product_whose_name_cannot_be_shown_is_left_out(product: str) -> None:
    found = tickers({product: block(), "BTC-USD": block()})
    assert [one.instrument.symbol for one in found.tickers] == ["BTC-USD"]
    assert len(found.refused) == 1
    assert found.refused[0].isprintable()


@pytest.mark.parametrize("payload", [[], None, "text", 1, {}, [block()], {"message": "NotFound"}])
def test_an_answer_that_is_not_a_list_of_products_is_malformed(payload: Any) -> None:
    with pytest.raises(MalformedResponse):
        tickers(payload)


def test_too_many_products_are_malformed() -> None:
    with pytest.raises(MalformedResponse):
        tickers({f"C{n}-USD": {} for n in range(5_001)})


def test_all_statistics_are_one_call() -> None:
    assert coinbase.build_stats(QuotesQuery(), CONTEXT) == (Call("/products/stats"),)


def row(open_ms: int, close: float = 100.5) -> list[Any]:
    """Time in seconds, low, high, open, close, volume."""
    return [open_ms // 1000, 99, 101.25, 100, close, 12.5]


PROBE = [row(EPOCH_MS - MINUTE)]


def candles(query: OhlcQuery, *pages: Any) -> Any:
    return parsed(coinbase.parse_pages, query, pages, CONTEXT)


def newest(*rows: Any, query: OhlcQuery = NEWEST) -> Any:
    return candles(query, list(rows), [], [], [])


def test_the_order_of_a_row_is_low_high_open_close() -> None:
    series = newest(row(EPOCH_MS), row(EPOCH_MS - HOUR))
    assert series.instrument == BTC_USD
    assert series.candles == (
        Candle(EPOCH_MS - HOUR, 100.0, 101.25, 99.0, 100.5, volume=12.5, closed=True),
        Candle(EPOCH_MS, 100.0, 101.25, 99.0, 100.5, volume=12.5, closed=False),
    )


def test_pages_and_rows_come_newest_first_and_candles_oldest_first() -> None:
    hours = [EPOCH_MS - n * HOUR for n in range(8)]
    pages = [[row(at) for at in hours[n : n + 2]] for n in range(0, 8, 2)]
    assert [one.timestamp for one in candles(NEWEST, *pages).candles] == hours[::-1]


def test_intervals_without_trades_stay_gaps() -> None:
    series = newest(row(EPOCH_MS), row(EPOCH_MS - 5 * HOUR))
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - 5 * HOUR, EPOCH_MS]
    assert series.refused == ()


def test_a_young_coin_has_empty_pages() -> None:
    assert len(newest(row(EPOCH_MS)).candles) == 1


def test_a_product_without_candles_is_refused() -> None:
    with pytest.raises(QueryRefused, match="no candles"):
        newest()


@pytest.mark.parametrize("interval", ["1m", "1h", "6h"])
def test_a_product_that_was_delisted_yesterday_is_refused(interval: str) -> None:
    query = replace(NEWEST, interval=Interval(interval))
    with pytest.raises(QueryRefused, match="no longer traded"):
        newest(row(EPOCH_MS // (6 * HOUR) * 6 * HOUR - 2 * DAY), query=query)


@pytest.mark.parametrize("reference", [10.04, 1_006.0, None])
def test_candles_far_from_the_known_price_are_another_coins(reference: float | None) -> None:
    with pytest.raises(QueryRefused, match="price is not the coin's"):
        newest(row(EPOCH_MS), query=replace(NEWEST, reference_price=reference))


def test_a_range_is_checked_by_its_probe() -> None:
    hours = [EPOCH_MS - n * HOUR for n in (5, 6, 7, 8)]
    series = candles(RANGE, PROBE, [row(at) for at in hours])
    assert [one.timestamp for one in series.candles] == hours[::-1]
    assert candles(RANGE, PROBE, []).candles == ()
    for probe in ([], [row(EPOCH_MS - 6 * HOUR)], [[EPOCH_MS // 1000, 9, 9, 9, 9, 1]]):
        with pytest.raises(QueryRefused):
            candles(RANGE, probe, [row(at) for at in hours])


def changed(place: int, value: Any) -> list[Any]:
    odd = row(EPOCH_MS - 2 * HOUR)
    odd[place] = value
    return odd


ODD_ROWS: list[Any] = [
    None,
    {},
    "text",
    [],
    row(EPOCH_MS - 2 * HOUR)[:5],
    [*row(EPOCH_MS - 2 * HOUR), 1],
    row(EPOCH_MS - 2 * HOUR - 1_000),
    row(EPOCH_MS + 4 * HOUR),
    changed(0, EPOCH_MS - 2 * HOUR),
    changed(0, str(EPOCH_MS // 1000)),
    changed(0, float(EPOCH_MS // 1000)),
    changed(1, 100.2),
    changed(2, 99.5),
    changed(3, 150),
    changed(4, 0),
    *(changed(place, value) for place in (1, 2, 3, 4) for value in ("100", None, True, -100)),
    *(changed(5, value) for value in ("12.5", None, -1, float("nan"))),
]


@pytest.mark.parametrize("odd", ODD_ROWS, ids=str)
def test_a_malformed_candle_is_left_out_and_named(odd: Any) -> None:
    rows = [row(EPOCH_MS - n * HOUR) for n in (0, 1, 3)]
    series = newest(*rows[:2], odd, rows[2])
    assert [one.timestamp for one in series.candles] == [one[0] * 1000 for one in rows[::-1]]
    assert len(series.refused) == 1


@pytest.mark.parametrize("page", [{}, "", None, 1, {"message": "NotFound"}, [[1]], [PROBE]])
def test_a_page_that_is_not_a_list_of_candles_is_malformed(page: Any) -> None:
    with pytest.raises(ProviderError):
        candles(RANGE, PROBE, page)


@pytest.mark.parametrize("page", [{}, "", None, 1, {"message": "NotFound"}, [[1], [2]]])
@pytest.mark.parametrize("place", range(4))
def test_no_page_of_the_newest_candles_may_be_malformed(place: int, page: Any) -> None:
    pages: list[Any] = [[row(EPOCH_MS)], [], [], []]
    pages[place] = page
    with pytest.raises(ProviderError):
        candles(NEWEST, *pages)


def test_a_page_with_more_rows_than_the_venue_gives_is_malformed() -> None:
    with pytest.raises(MalformedResponse):
        newest(*[row(EPOCH_MS)] * 301)


def asked(call: Call) -> tuple[int, int, int]:
    """Granularity, start and end of a call, in seconds."""
    granularity, start, end = (int(dict(call.params)[name]) for name in GIVEN)
    return granularity, start, end


GIVEN = ("granularity", "start", "end")


@pytest.mark.parametrize("interval", coinbase.INTERVALS)
@pytest.mark.parametrize("now_ms", [EPOCH_MS, EPOCH_MS + 1, EPOCH_MS - 1])
def test_the_newest_thousand_candles_are_four_calls_newest_first(
    interval: Interval, now_ms: int
) -> None:
    query, step_s = replace(NEWEST, interval=interval), interval.step_ms // 1000
    calls = coinbase.build_candles(query, replace(CONTEXT, now_ms=now_ms))
    assert {call.path for call in calls} == {"/products/BTC-USD/candles"}
    assert [asked(call)[0] for call in calls] == [step_s] * 4
    forming_s = interval.open_of(now_ms) // 1000
    opens = [at for call in reversed(calls) for at in opens_in(call)]
    assert opens == [forming_s - n * step_s for n in range(999, -1, -1)]


def opens_in(call: Call) -> range:
    """The opens that a call asks for. It has the same ones if the venue leaves out the end."""
    granularity, start, end = asked(call)
    assert start % granularity == 0
    assert end % granularity != 0
    return range(start, end, granularity)


def test_no_call_asks_for_more_than_300_rows_even_if_the_venue_rounds_both_ends_outwards() -> None:
    span = replace(NEWEST, start_ms=EPOCH_MS - 2_000 * HOUR, end_ms=EPOCH_MS + 500 * HOUR)
    for query in (NEWEST, span):
        calls = coinbase.build_candles(query, CONTEXT)
        assert all(len(opens_in(call)) + 2 <= 300 for call in calls)


def test_a_range_is_a_probe_and_pages_that_do_not_overlap() -> None:
    start, end = EPOCH_MS - 600 * HOUR, EPOCH_MS - 50 * HOUR
    probe, *pages = coinbase.build_candles(replace(NEWEST, start_ms=start, end_ms=end), CONTEXT)
    assert asked(probe) == (60, EPOCH_MS // 1000 - 249 * 60, EPOCH_MS // 1000 + 59)
    opens = [at * 1000 for call in reversed(pages) for at in opens_in(call)]
    assert opens == list(range(start, end, HOUR))
    assert len(pages) == 3


def test_a_range_is_asked_for_up_to_now_only() -> None:
    query = replace(NEWEST, start_ms=EPOCH_MS - 2 * HOUR, end_ms=EPOCH_MS + 900 * HOUR)
    calls = coinbase.build_candles(query, CONTEXT)
    assert list(opens_in(calls[-1]))[-1] == EPOCH_MS // 1000
    assert len(calls) == 2


def test_two_blocks_of_candles_are_served_and_more_are_not() -> None:
    blocks = replace(NEWEST, start_ms=EPOCH_MS - 2_500 * HOUR, end_ms=EPOCH_MS - 500 * HOUR)
    assert coinbase.serves_range(blocks, CONTEXT)
    longer = replace(blocks, start_ms=EPOCH_MS - 2_501 * HOUR)
    assert not coinbase.serves_range(longer, CONTEXT)


def test_the_calls_of_the_longest_range_fit_into_the_limit() -> None:
    blocks = replace(NEWEST, start_ms=EPOCH_MS - 2_500 * HOUR, end_ms=EPOCH_MS - 500 * HOUR)
    calls = coinbase.build_candles(blocks, CONTEXT)
    assert all(len(calls) <= usable_limit(window.limit) for window in coinbase.PUBLIC.windows)


@pytest.mark.parametrize("interval", Interval)
def test_only_the_venues_own_granularities_are_served(interval: Interval) -> None:
    granularities = {60, 300, 900, 3_600, 21_600, 86_400}
    is_own = interval.step_ms // 1000 in granularities
    for query in (NEWEST, RANGE):
        assert coinbase.serves_range(replace(query, interval=interval), CONTEXT) is is_own


@pytest.mark.parametrize("unknown", [{"instruments": ()}, {"reference_price": None}])
def test_candles_need_an_instrument_and_a_known_price(unknown: dict[str, Any]) -> None:
    assert not coinbase.serves_range(replace(NEWEST, **unknown), CONTEXT)


def test_a_guessed_name_cannot_leave_its_place_in_the_path() -> None:
    guessed = Instrument("coinbase", "A/B?C", "USD", "A/B?C-USD")
    calls = coinbase.build_candles(replace(NEWEST, instruments=(guessed,)), CONTEXT)
    assert calls[0].path == "/products/A%2FB%3FC-USD/candles"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"message": "Public rate limit exceeded"}, RateLimited),
        (404, {"message": "NotFound"}, QueryRefused),
        (400, {"message": "granularity too small for the requested time range"}, QueryRefused),
        (500, {"message": "Internal server error"}, UpstreamFailed),
        (403, None, GeoBlocked),
    ],
)
def test_errors_have_the_meaning_of_their_status(
    status: int, body: Any, kind: type[ProviderError]
) -> None:
    text = json.dumps(body).encode()
    error = refusal_in(coinbase.ADAPTER, status, {}, body, text, EPOCH)
    assert type(error) is kind
