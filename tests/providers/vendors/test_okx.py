"""OKX: payload in, model out; shares, suspended pairs and pages that are cut stay out."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from backend.clock import SystemClock
from backend.errors import (
    MalformedResponse,
    ProviderError,
    QueryRefused,
    RateLimited,
    UpstreamFailed,
)
from backend.identity.instruments import Instrument, guessed_instruments
from backend.models.market import PairTicker, PairTickers, QuotesQuery
from backend.models.ohlc import DAY, HOUR, Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import MIB, Context
from backend.providers.client import parsed
from backend.providers.refusals import refusal_in
from backend.providers.vendors import okx
from tests.clocks import EPOCH_MS

CONTEXT = Context("okx", "public", EPOCH_MS)
TOLD_MS = EPOCH_MS - 4_000
BTC = Instrument("okx", "BTC", "USDT", "BTC-USDT")
NEWEST = OhlcQuery("bitcoin", (BTC,), Interval.H1, reference_price=100.0)
RANGE = replace(NEWEST, start_ms=EPOCH_MS - 1_000 * HOUR, end_ms=EPOCH_MS)


def ticker(symbol: str, **changes: Any) -> dict[str, Any]:
    row = {
        "instType": "SPOT",
        "instId": symbol,
        "last": "2.05",
        "lastSz": "3.1",
        "askPx": "2.06",
        "bidPx": "2.05",
        "open24h": "2",
        "high24h": "2.1",
        "low24h": "1.95",
        "volCcy24h": "2050.5",
        "vol24h": "1000.25",
        "ts": str(TOLD_MS),
        "sodUtc0": "2.02",
        "sodUtc8": "1.99",
    }
    return row | changes


def reply(rows: Any, code: Any = "0") -> dict[str, Any]:
    return {"code": code, "msg": "", "data": rows}


def tickers(*rows: Any) -> PairTickers:
    return parsed(okx.parse_tickers, QuotesQuery(), [reply(list(rows))], CONTEXT)


def symbols(*rows: Any) -> list[str]:
    return [found.instrument.symbol for found in tickers(*rows).tickers]


def candle(
    open_ms: int, confirm: str = "1", close: str = "101.5", volume: str = "7.5"
) -> list[Any]:
    return [str(open_ms), "100", "102", "99.5", close, volume, "757.5", "757.5", confirm]


def page(newest_ms: int, count: int, step_ms: int = HOUR) -> dict[str, Any]:
    """Newest first, as the venue sends them."""
    return reply([candle(newest_ms - back * step_ms) for back in range(count)])


FORMING = candle(EPOCH_MS, "0")
PROBE = reply([FORMING])
EMPTY = reply([])


def candles(query: OhlcQuery, *pages: Any) -> Candles:
    return parsed(okx.parse_pages, query, pages, CONTEXT)


def refusal(status: int, payload: Any) -> ProviderError | None:
    return refusal_in(okx.ADAPTER, status, {}, payload, b"", SystemClock().now())


# --- tickers


def test_a_row_becomes_a_ticker_whose_change_is_that_since_24_hours_ago() -> None:
    assert tickers(ticker("NEAR-USDT")).tickers == (
        PairTicker(
            instrument=Instrument("okx", "NEAR", "USDT", "NEAR-USDT"),
            price=2.05,
            high=2.1,
            low=1.95,
            quote_volume=2050.5,
            change=0.05,
            change_percentage=2.5,
            closed_at=datetime(2026, 11, 22, 7, 59, 56, tzinfo=UTC),
        ),
    )


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        (["BTC-USDC", "BTC-USDT", "BTC-USD"], "BTC-USD"),
        (["BTC-USDC", "BTC-USDT"], "BTC-USDT"),
        (["BTC-USDC"], "BTC-USDC"),
    ],
)
def test_the_preferred_dollar_of_each_coin_is_chosen(given: list[str], chosen: str) -> None:
    assert symbols(*map(ticker, given)) == [chosen]


LEFT_OUT = "AAPL-USDT AAPLX-USDT TSLA-USDC EUR-USDT ETH-BTC BTC-EUR BTC-USDT-SWAP BTCUSDT".split()


@pytest.mark.parametrize("symbol", LEFT_OUT)
def test_shares_currencies_and_other_quotes_are_left_out(symbol: str) -> None:
    found = tickers(ticker(symbol), ticker("SOL-USDT"))
    assert [one.instrument.symbol for one in found.tickers] == ["SOL-USDT"]
    assert (found.refused, found.others) == ((), ())


def test_other_kinds_of_instruments_are_left_out() -> None:
    assert symbols(ticker("BTC-USDT", instType="SWAP"), ticker("ETH-USDT")) == ["ETH-USDT"]


@pytest.mark.parametrize("volume", ["", "0", "0.00"])
def test_a_pair_without_trades_is_left_out_without_a_word(volume: str) -> None:
    empty = dict.fromkeys(("last", "open24h", "high24h", "low24h", "volCcy24h"), "")
    found = tickers(ticker("NEW-USDT", vol24h=volume, **empty), ticker("ETH-USDT"))
    assert [one.instrument.symbol for one in found.tickers] == ["ETH-USDT"]
    assert found.refused == ()


@pytest.mark.parametrize(
    ("off_ms", "kept", "refused"),
    [
        (-HOUR, True, ()),
        (-HOUR - 1, False, ()),
        (HOUR, True, ()),
        (HOUR + 1, False, ("ODD-USDT",)),
    ],
)
def test_a_pair_far_behind_the_list_is_suspended_and_one_ahead_is_malformed(
    off_ms: int, kept: bool, refused: tuple[str, ...]
) -> None:
    odd = ticker("ODD-USDT", ts=str(TOLD_MS + off_ms))
    found = tickers(ticker("BTC-USDT"), odd, ticker("ETH-USDT"))
    assert ("ODD-USDT" in [one.instrument.symbol for one in found.tickers]) is kept
    assert found.refused == refused


@pytest.mark.parametrize("off_ms", [-13 * HOUR, 13 * HOUR])
def test_a_list_that_is_not_current_is_refused(off_ms: int) -> None:
    with pytest.raises(MalformedResponse):
        tickers(ticker("BTC-USDT", ts=str(EPOCH_MS + off_ms)))


ODD: list[dict[str, Any]] = [
    {"last": "205"},
    {"last": "0"},
    {"last": "-2"},
    {"last": 2.05},
    {"last": ""},
    {"last": "NaN"},
    {"last": None},
    {"high24h": "1.9"},
    {"volCcy24h": "-1"},
    {"open24h": "x"},
    {"vol24h": None},
    {"ts": TOLD_MS},
    {"ts": "soon"},
    {"ts": ""},
    {"instId": None},
    {"instId": "A\n-USDT"},
    {"instId": "A" * 201 + "-USDT"},
]


@pytest.mark.parametrize("change", ODD, ids=str)
def test_a_malformed_row_costs_itself_only(change: dict[str, Any]) -> None:
    found = tickers(ticker("BTC-USDT"), ticker("ODD-USDT") | change, ticker("ETH-USDT"))
    assert [one.instrument.symbol for one in found.tickers] == ["BTC-USDT", "ETH-USDT"]
    assert len(found.refused) == 1


def test_a_malformed_majority_refuses_the_list() -> None:
    odd = [ticker(f"ODD{number}-USDT", last="") for number in range(3)]
    with pytest.raises(MalformedResponse):
        tickers(*odd, ticker("BTC-USDT"), ticker("ETH-USDT"))


def test_an_open_of_another_magnitude_gives_no_change() -> None:
    (found,) = tickers(ticker("BTC-USDT", open24h="0.001")).tickers
    assert (found.change, found.change_percentage) == (None, None)


@pytest.mark.parametrize("code", ["1", 0, None, "50000"])
def test_only_the_text_zero_is_a_success(code: Any) -> None:
    rows = [ticker("BTC-USDT")]
    with pytest.raises(MalformedResponse):
        parsed(okx.parse_tickers, QuotesQuery(), [reply(rows, code)], CONTEXT)


def test_all_tickers_are_one_call_with_room_for_a_doubled_list() -> None:
    (call,) = okx.build_tickers(QuotesQuery(), CONTEXT)
    assert (call.path, call.params) == ("/api/v5/market/tickers", (("instType", "SPOT"),))
    assert call.max_bytes == 2 * MIB


# --- candles


def test_rows_newest_first_become_candles_oldest_first() -> None:
    rows = [FORMING, candle(EPOCH_MS - HOUR)]
    assert candles(NEWEST, reply(rows)).candles == (
        Candle(EPOCH_MS - HOUR, 100.0, 102.0, 99.5, 101.5, 7.5, closed=True),
        Candle(EPOCH_MS, 100.0, 102.0, 99.5, 101.5, 7.5, closed=False),
    )


@pytest.mark.parametrize("confirm", ["", "2", 1, True, None])
def test_a_candle_is_closed_by_the_venues_word_alone(confirm: Any) -> None:
    rows = [FORMING, candle(EPOCH_MS - HOUR, confirm), candle(EPOCH_MS - 2 * HOUR)]
    assert candles(NEWEST, reply(rows)).refused == (str(EPOCH_MS - HOUR),)


@pytest.mark.parametrize(
    ("interval", "bar"),
    [
        ("1m", "1m"),
        ("3m", "3m"),
        ("30m", "30m"),
        ("1h", "1H"),
        ("2h", "2H"),
        ("4h", "4H"),
        ("6h", "6Hutc"),
        ("12h", "12Hutc"),
        ("1d", "1Dutc"),
        ("3d", "3Dutc"),
        ("1w", "1Wutc"),
        ("1M", "1Mutc"),
    ],
)
def test_intervals_of_six_hours_and_more_are_asked_for_in_utc(interval: str, bar: str) -> None:
    for call in okx.build_candles(replace(NEWEST, interval=Interval(interval)), CONTEXT):
        assert dict(call.params)["bar"] == bar


def test_every_interval_but_eight_hours_is_served() -> None:
    served = [one for one in Interval if okx.serves_range(replace(NEWEST, interval=one), CONTEXT)]
    assert served == [one for one in Interval if one is not Interval.H8]


def test_the_newest_candles_are_a_page_without_bounds_and_three_behind_it() -> None:
    calls = okx.build_candles(NEWEST, CONTEXT)
    assert {call.path for call in calls} == {"/api/v5/market/history-candles"}
    end = EPOCH_MS + HOUR
    bounds = [(290, 590), (590, 890), (890, 1_000)]
    assert [call.params for call in calls] == [
        (("instId", "BTC-USDT"), ("bar", "1H"), ("limit", "300")),
        *(
            (
                ("instId", "BTC-USDT"),
                ("bar", "1H"),
                ("limit", "300"),
                ("after", str(end - newest * HOUR)),
                ("before", str(end - oldest * HOUR - 1)),
            )
            for newest, oldest in bounds
        ),
    ]


@pytest.mark.parametrize(("interval", "calls"), [("1M", 1), ("1w", 2), ("3d", 4), ("1d", 4)])
def test_the_newest_candles_are_not_asked_for_before_the_venue_opened(
    interval: str, calls: int
) -> None:
    query = replace(NEWEST, interval=Interval(interval))
    assert len(okx.build_candles(query, CONTEXT)) == calls


def test_a_range_is_a_current_candle_and_pages_that_do_not_overlap() -> None:
    probe, *pages = okx.build_candles(RANGE, CONTEXT)
    assert probe.params == (("instId", "BTC-USDT"), ("bar", "1m"), ("limit", "1"))
    bounds = [(int(dict(call.params)["before"]), int(dict(call.params)["after"])) for call in pages]
    ends = [EPOCH_MS - back * HOUR for back in (0, 300, 600, 900)]
    starts = [EPOCH_MS - back * HOUR - 1 for back in (300, 600, 900, 1_000)]
    assert bounds == list(zip(starts, ends, strict=True))


@pytest.mark.parametrize(("blocks", "is_served"), [(1, True), (2, True), (3, False)])
def test_a_range_of_more_than_eight_pages_is_not_served(blocks: int, is_served: bool) -> None:
    query = replace(RANGE, start_ms=EPOCH_MS - blocks * 1_000 * HOUR)
    assert okx.serves_range(query, CONTEXT) is is_served
    if is_served:
        assert len(okx.build_candles(query, CONTEXT)) <= okx.PUBLIC.windows[0].limit


@pytest.mark.parametrize("unknown", [{"instruments": ()}, {"reference_price": None}], ids=str)
def test_candles_need_an_instrument_and_a_known_price(unknown: dict[str, Any]) -> None:
    assert not okx.serves_range(replace(NEWEST, **unknown), CONTEXT)


def test_pages_are_joined_and_their_overlap_is_kept_once() -> None:
    first, second = page(EPOCH_MS, 300), page(EPOCH_MS - 290 * HOUR, 300)
    series = candles(NEWEST, first, second, EMPTY, EMPTY)
    assert (len(series.candles), series.refused) == (590, ())
    assert series.instrument == BTC


def test_pages_cut_at_the_documented_size_are_malformed_as_candles_are_missing() -> None:
    with pytest.raises(MalformedResponse):
        candles(NEWEST, page(EPOCH_MS, 100), page(EPOCH_MS - 290 * HOUR, 100))


def test_a_hundred_candles_are_no_cut_if_there_is_nothing_older() -> None:
    assert len(candles(NEWEST, page(EPOCH_MS, 100), EMPTY).candles) == 100


def test_a_range_joins_its_pages_without_the_current_candle() -> None:
    pages = [page(EPOCH_MS - HOUR, 300), page(EPOCH_MS - 301 * HOUR, 5)]
    assert len(candles(RANGE, PROBE, *pages, EMPTY, EMPTY).candles) == 305


def test_a_range_without_candles_is_too_old_for_this_venue() -> None:
    with pytest.raises(QueryRefused):
        candles(RANGE, PROBE, EMPTY, EMPTY, EMPTY, EMPTY)


def test_no_newest_candle_means_no_such_pair() -> None:
    with pytest.raises(QueryRefused):
        candles(NEWEST, EMPTY, EMPTY, EMPTY, EMPTY)


@pytest.mark.parametrize(
    "probe",
    [EMPTY, reply([candle(EPOCH_MS - DAY)]), reply([[str(EPOCH_MS), *["5000"] * 7, "0"]])],
    ids=["none", "of yesterday", "of another coin"],
)
def test_a_range_of_another_market_is_refused(probe: Any) -> None:
    with pytest.raises(QueryRefused):
        candles(RANGE, probe, page(EPOCH_MS - HOUR, 300))


@pytest.mark.parametrize("price", [9.0, 1_100.0])
def test_candles_far_from_the_known_price_are_of_another_coin(price: float) -> None:
    with pytest.raises(QueryRefused):
        candles(replace(NEWEST, reference_price=price), reply([FORMING]))


ODD_CANDLES: list[Any] = [
    None,
    [],
    {},
    candle(EPOCH_MS - HOUR)[:8],
    candle(EPOCH_MS - HOUR + 1),
    candle(EPOCH_MS - HOUR, close="150"),
    candle(EPOCH_MS - HOUR, close="NaN"),
    candle(EPOCH_MS - HOUR, volume="-1"),
    candle(EPOCH_MS + 13 * HOUR),
    [EPOCH_MS - HOUR, *candle(0)[1:]],
]


@pytest.mark.parametrize("odd", ODD_CANDLES, ids=str)
def test_a_malformed_candle_is_left_out_and_named(odd: Any) -> None:
    series = candles(NEWEST, reply([FORMING, odd, candle(EPOCH_MS - 2 * HOUR)]))
    assert [one.timestamp for one in series.candles] == [EPOCH_MS - 2 * HOUR, EPOCH_MS]
    assert len(series.refused) == 1


def test_more_rows_than_asked_for_are_malformed() -> None:
    with pytest.raises(MalformedResponse):
        candles(NEWEST, page(EPOCH_MS, 301))


@pytest.mark.parametrize(
    "payload", [[], {}, None, {"code": "0"}, reply(None), reply({}), reply("")]
)
def test_a_page_that_is_not_a_list_of_candles_is_malformed(payload: Any) -> None:
    with pytest.raises(MalformedResponse):
        candles(RANGE, PROBE, payload)


def test_the_day_of_a_daily_candle_opens_at_midnight_utc() -> None:
    query, midnight = replace(NEWEST, interval=Interval.D1), EPOCH_MS - 8 * HOUR
    at_16_utc = [candle(midnight - 8 * HOUR - back * DAY) for back in range(3)]
    with pytest.raises(MalformedResponse):
        candles(query, reply(at_16_utc))
    assert len(candles(query, reply([candle(midnight, "0")])).candles) == 1


def test_weeks_that_do_not_begin_on_monday_are_malformed() -> None:
    query, thursday = replace(NEWEST, interval=Interval.W1), EPOCH_MS - 8 * HOUR - 3 * DAY
    with pytest.raises(MalformedResponse):
        candles(query, reply([candle(thursday - back * 7 * DAY) for back in range(3)]))


# --- errors


@pytest.mark.parametrize(
    ("status", "payload", "kind"),
    [
        (200, reply([], "51001"), QueryRefused),
        (400, reply([], "51000"), QueryRefused),
        (429, {"msg": "Too Many Requests", "code": "50011"}, RateLimited),
        (200, reply([], "50011"), RateLimited),
        (200, reply([], "50013"), UpstreamFailed),
        (503, reply([], "50001"), UpstreamFailed),
        (404, {"code": 404, "data": {}, "error_code": "404", "msg": "Not Found"}, UpstreamFailed),
    ],
)
def test_errors_are_read_from_the_code_also_with_status_200(
    status: int, payload: Any, kind: type[ProviderError]
) -> None:
    assert type(refusal(status, payload)) is kind


@pytest.mark.parametrize("payload", [reply([]), [], None, "0", {"code": None}, {"code": "x" * 99}])
def test_other_answers_have_no_error_code(payload: Any) -> None:
    assert refusal(200, payload) is None


def test_an_error_that_is_not_in_the_table_is_malformed() -> None:
    assert refusal(200, reply([], "59999")) is None
    with pytest.raises(MalformedResponse):
        candles(NEWEST, reply([], "59999"))


# --- identity


def test_the_guess_of_a_pair_is_spelled_with_a_dash() -> None:
    guesses = {one.venue: one for one in guessed_instruments("BTC")}
    assert guesses["okx"] == BTC
    assert "okx" not in {one.venue for one in guessed_instruments("BTC", "EUR")}


def test_the_limits_leave_half_of_the_allowed_calls() -> None:
    (window,) = okx.PUBLIC.windows
    assert (window.limit, window.period_s) == (10, 2)
