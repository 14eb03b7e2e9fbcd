"""CoinGecko: payload in, model out; the traps of its answers, one by one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from backend.errors import ProviderError
from backend.models.market import Coin, QuotesQuery, Ranking
from backend.models.ohlc import DAY, HOUR, MINUTE, Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import Call, Context
from backend.providers.client import parsed
from backend.providers.vendors import coingecko
from tests.clocks import EPOCH, EPOCH_MS

NEWEST = OhlcQuery("bitcoin", "BTCUSDT", Interval.H1)
HALF_PAST = EPOCH_MS + 30 * MINUTE


def context(plan: str = "keyless", now_ms: int = HALF_PAST) -> Context:
    return Context("coingecko_free", plan, now_ms)


def coin_row(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "bitcoin",
        "symbol": "btc",
        "name": "Bitcoin",
        "image": "https://img.example/bitcoin.png?1",
        "current_price": 50_000,
        "market_cap": 1_000_000_000_000,
        "market_cap_rank": 1,
        "fully_diluted_valuation": None,
        "total_volume": 30_000_000_000.5,
        "high_24h": 51_000,
        "low_24h": 49_000.25,
        "price_change_24h": -750.5,
        "price_change_percentage_24h": -1.5,
        "circulating_supply": 20_000_000.0,
        "max_supply": None,
        "ath_date": "2025-10-06T10:57:42.000Z",
        "roi": None,
        "last_updated": "2026-11-22T08:29:20.000Z",
    }
    return row | changes


def markets(*rows: Any) -> Ranking:
    return coingecko.parse_markets(QuotesQuery(), [list(rows)], context())


def many(count: int, *others: Any) -> list[Any]:
    good = [coin_row(id=f"coin-{n}", market_cap_rank=n) for n in range(1, count + 1)]
    return [*good[:5], *others, *good[5:]]


def bar(close_ms: int, low: float = 90, high: float = 110) -> list[float]:
    """A row whose open is just above its low, whose close just below its high."""
    return [close_ms, low + 1, high, low, high - 1]


def times(series: Candles) -> list[tuple[int, bool]]:
    return [(candle.timestamp, candle.closed) for candle in series.candles]


def merged(interval: Interval, rows: Any, now_ms: int = HALF_PAST) -> Candles:
    query = replace(NEWEST, interval=interval)
    return coingecko.parse_merged(query, [rows], context(now_ms=now_ms))


def native(interval: Interval, rows: Any, now_ms: int = HALF_PAST) -> Candles:
    query = replace(NEWEST, interval=interval)
    return coingecko.parse_native(query, [rows], context("pro", now_ms))


def test_a_row_becomes_a_coin_in_dollars_and_percent() -> None:
    assert markets(coin_row()).coins == (
        Coin(
            id="bitcoin",
            symbol="BTC",
            name="Bitcoin",
            image="https://img.example/bitcoin.png?1",
            market_cap_rank=1,
            price=50_000.0,
            market_cap=1e12,
            volume_24h=30_000_000_000.5,
            high_24h=51_000.0,
            low_24h=49_000.25,
            price_change_24h=-750.5,
            price_change_percentage_24h=-1.5,
            circulating_supply=20_000_000.0,
            last_updated=datetime(2026, 11, 22, 8, 29, 20, tzinfo=UTC),
            source="coingecko_free",
        ),
    )


@pytest.mark.parametrize(("told", "symbol"), [("AVAX", "AVAX"), ("btc.b", "BTC.B")])
def test_symbols_are_upper_case_whatever_their_case_was(told: str, symbol: str) -> None:
    assert markets(coin_row(symbol=told)).coins[0].symbol == symbol


def test_ranks_out_of_order_are_sorted_and_coins_without_a_rank_come_last() -> None:
    rows = [coin_row(id=f"of-{rank}", market_cap_rank=rank) for rank in (76, 78, None, 77)]
    assert [coin.market_cap_rank for coin in markets(*rows).coins] == [76, 77, 78, None]


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ("current_price", "price"),
        ("market_cap", "market_cap"),
        ("total_volume", "volume_24h"),
        ("high_24h", "high_24h"),
        ("low_24h", "low_24h"),
        ("price_change_24h", "price_change_24h"),
        ("price_change_percentage_24h", "price_change_percentage_24h"),
        ("circulating_supply", "circulating_supply"),
        ("market_cap_rank", "market_cap_rank"),
        ("image", "image"),
    ],
)
def test_null_stays_null(told: str, field: str) -> None:
    coin = markets(coin_row(**{told: None})).coins[0]
    assert getattr(coin, field) is None
    assert coin.id == "bitcoin"


@pytest.mark.parametrize(
    ("text", "after_08_29"),
    [
        ("2026-11-22T16:29:20+08:00", 20.0),
        ("2026-11-22T08:29:20Z", 20.0),
        ("2026-11-22T08:29:20.000Z", 20.0),
        ("2026-11-22T08:29:20.5Z", 20.5),
        ("2026-11-22T08:29:20.123456+00:00", 20.123456),
    ],
)
def test_dates_are_read_with_their_offset_and_cut_milliseconds(
    text: str, after_08_29: float
) -> None:
    instant = EPOCH + timedelta(minutes=29, seconds=after_08_29)
    assert markets(coin_row(last_updated=text)).coins[0].last_updated == instant


def test_numbers_may_be_ints_floats_or_exponents_and_become_floats() -> None:
    tiny = coin_row(current_price=8.5e-05, high_24h=9e-05, low_24h=8e-05, market_cap=1_700)
    coin = markets(tiny).coins[0]
    assert (coin.price, coin.market_cap) == (8.5e-05, 1_700.0)
    assert type(coin.market_cap) is float


def test_a_market_cap_of_zero_is_not_known() -> None:
    assert markets(coin_row(market_cap=0)).coins[0].market_cap is None


def test_an_image_without_a_host_is_none() -> None:
    assert markets(coin_row(image="missing_large.png")).coins[0].image is None


def test_an_id_that_comes_twice_is_kept_once_as_first_told() -> None:
    twice = markets(coin_row(), coin_row(name="Bitcoin again"))
    assert [(coin.id, coin.name) for coin in twice.coins] == [("bitcoin", "Bitcoin")]


ABSURD = [
    {"current_price": -1},
    {"current_price": 0},
    {"current_price": "50000"},
    {"current_price": 50_000_000},
    {"current_price": float("nan")},
    {"high_24h": float("inf")},
    {"high_24h": 40_000, "low_24h": 60_000},
    {"market_cap": 1_000_000_000_000_000},
    {"market_cap_rank": 0},
    {"last_updated": "2026-11-22T08:29:20"},
    {"last_updated": 1_795_335_000},
    {"symbol": ""},
]


@pytest.mark.parametrize("change", ABSURD)
def test_one_absurd_row_of_fifty_is_left_out_and_named(change: dict[str, Any]) -> None:
    ranking = markets(*many(49, coin_row(id="absurd", **change)))
    assert ranking.refused == ("absurd",)
    assert [coin.id for coin in ranking.coins] == [f"coin-{n}" for n in range(1, 50)]


@pytest.mark.parametrize("change", ABSURD)
def test_one_absurd_row_of_forty_nine_makes_the_list_absurd(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="absurd"):
        markets(*many(48, coin_row(id="absurd", **change)))


def test_a_row_that_is_days_old_is_kept_with_its_date() -> None:
    old = coin_row(id="slow", last_updated="2026-11-20T08:00:00Z", high_24h=None, low_24h=None)
    coins = markets(coin_row(market_cap_rank=1), old | {"market_cap_rank": 2}).coins
    assert [coin.last_updated for coin in coins][1] == datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-11-21T08:00:00Z", "2026-11-23T08:00:00Z"])
def test_a_list_whose_newest_row_is_not_of_now_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not of now"):
        markets(coin_row(last_updated=text))


def test_a_stamp_of_the_close_becomes_one_of_the_open_and_volume_is_none() -> None:
    series = native(Interval.H1, [bar(EPOCH_MS)])
    assert series.interval is Interval.H1
    assert series.pair is None
    assert series.candles == (
        Candle(EPOCH_MS - HOUR, open=91, high=110, low=90, close=109, volume=None, closed=True),
    )


def test_the_forming_candle_is_stamped_in_the_future_and_not_closed() -> None:
    rows = [bar(EPOCH_MS - HOUR), bar(EPOCH_MS), bar(EPOCH_MS + HOUR)]
    assert times(native(Interval.H1, rows)) == [
        (EPOCH_MS - 2 * HOUR, True),
        (EPOCH_MS - HOUR, True),
        (EPOCH_MS, False),
    ]


@pytest.mark.parametrize(("after_close", "is_closed"), [(14 * MINUTE, False), (15 * MINUTE, True)])
def test_the_last_candle_is_final_only_once_the_vendors_cache_has_run_out(
    after_close: int, is_closed: bool
) -> None:
    now_ms = EPOCH_MS + after_close
    hourly = native(Interval.H1, [bar(EPOCH_MS - HOUR), bar(EPOCH_MS)], now_ms)
    halves = merged(Interval.H1, [bar(EPOCH_MS - HOUR // 2), bar(EPOCH_MS)], now_ms)
    assert times(hourly) == [(EPOCH_MS - 2 * HOUR, True), (EPOCH_MS - HOUR, is_closed)]
    assert times(halves) == [(EPOCH_MS - HOUR, is_closed)]


def test_a_candle_that_another_follows_is_final_at_once() -> None:
    rows = [bar(EPOCH_MS), bar(EPOCH_MS + HOUR)]
    series = native(Interval.H1, rows, EPOCH_MS + 5 * MINUTE)
    assert times(series) == [(EPOCH_MS - HOUR, True), (EPOCH_MS, False)]


def test_an_hour_whose_second_half_never_came_is_not_told_as_closed() -> None:
    rows = [bar(EPOCH_MS - HOUR), bar(EPOCH_MS - 30 * MINUTE)]
    assert (EPOCH_MS - HOUR, True) not in times(merged(Interval.H1, rows))


def test_two_half_hours_make_an_hour() -> None:
    rows = [bar(EPOCH_MS - 30 * MINUTE, 90, 110), bar(EPOCH_MS, 80, 105)]
    assert merged(Interval.H1, rows).candles == (
        Candle(EPOCH_MS - HOUR, open=91, high=110, low=80, close=104, volume=None, closed=True),
    )


def test_six_four_hours_make_a_day_and_the_day_under_way_is_kept_open() -> None:
    midnight = EPOCH_MS - 8 * HOUR
    closes = range(midnight - 20 * HOUR, midnight + 12 * HOUR + 1, 4 * HOUR)
    rows = [bar(close_ms, 90 + n, 120 + n) for n, close_ms in enumerate(closes)]
    assert merged(Interval.D1, rows).candles == (
        Candle(midnight - DAY, open=91, high=125, low=90, close=124, volume=None, closed=True),
        Candle(midnight, open=97, high=128, low=96, close=127, volume=None, closed=False),
    )


def test_four_hours_need_no_merging() -> None:
    series = merged(Interval.H4, [bar(EPOCH_MS), bar(EPOCH_MS + 4 * HOUR)])
    assert times(series) == [(EPOCH_MS - 4 * HOUR, True), (EPOCH_MS, False)]


@pytest.mark.parametrize("missing", [0, 1])
def test_an_hour_with_a_missing_half_is_left_out(missing: int) -> None:
    halves = [EPOCH_MS - 90 * MINUTE, EPOCH_MS - HOUR]
    del halves[missing]
    rows = [bar(at) for at in (*halves, EPOCH_MS - 30 * MINUTE, EPOCH_MS, HALF_PAST)]
    assert times(merged(Interval.H1, rows)) == [(EPOCH_MS - HOUR, True), (EPOCH_MS, False)]


def test_a_forming_hour_is_kept_with_what_there_is_of_it() -> None:
    rows = [bar(EPOCH_MS - 30 * MINUTE), bar(EPOCH_MS), bar(HALF_PAST, 95, 99)]
    forming = merged(Interval.H1, rows, EPOCH_MS + 20 * MINUTE).candles[-1]
    assert forming == Candle(EPOCH_MS, 96, 99, 95, 98, volume=None, closed=False)


def test_an_hour_whose_second_half_is_stamped_in_the_future_is_not_closed() -> None:
    rows = [bar(HALF_PAST), bar(EPOCH_MS + HOUR)]
    assert times(merged(Interval.H1, rows, EPOCH_MS + 40 * MINUTE)) == [(EPOCH_MS, False)]


def test_rows_out_of_order_and_told_twice_become_ascending_and_unique() -> None:
    rows = [bar(EPOCH_MS), bar(EPOCH_MS - HOUR), bar(EPOCH_MS)]
    assert times(native(Interval.H1, rows)) == [
        (EPOCH_MS - 2 * HOUR, True),
        (EPOCH_MS - HOUR, True),
    ]


@pytest.mark.parametrize("part", [[91, -110, 90, 109], [91, 80, 90, 109], [-91, 110, 90, 109]])
@pytest.mark.parametrize("place", [0, 1])
def test_an_absurd_part_is_noticed_though_the_merged_candle_would_hide_it(
    part: list[float], place: int
) -> None:
    rows = [bar(EPOCH_MS - 30 * MINUTE), bar(EPOCH_MS)]
    rows[place] = [rows[place][0], *part]
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's words, not ours
        merged(Interval.H1, rows)


def test_candles_of_yesterday_are_refused() -> None:
    rows = [bar(EPOCH_MS - DAY - 30 * MINUTE), bar(EPOCH_MS - DAY)]
    with pytest.raises(ValueError, match="not of now"):
        merged(Interval.H1, rows)
    with pytest.raises(ValueError, match="not of now"):
        native(Interval.H1, rows)


@pytest.mark.parametrize("hour", [1, 11, 13, 20, 23])
def test_daily_candles_are_of_now_at_any_hour_of_the_day(hour: int) -> None:
    midnight = EPOCH_MS - 8 * HOUR
    series = native(Interval.D1, [bar(midnight), bar(midnight + DAY)], midnight + hour * HOUR)
    assert times(series) == [(midnight - DAY, True), (midnight, False)]


RANGE = replace(NEWEST, start_ms=EPOCH_MS - 4 * HOUR, end_ms=EPOCH_MS - HOUR)


def test_a_range_holds_what_opens_in_it_from_all_pages_once() -> None:
    hours = [bar(EPOCH_MS - n * HOUR) for n in range(6, -1, -1)]
    series = coingecko.parse_range(RANGE, [hours[:4], hours[3:]], context("pro"))
    assert times(series) == [(EPOCH_MS - n * HOUR, True) for n in (4, 3, 2)]


def test_a_range_before_the_coins_first_trade_is_an_empty_answer() -> None:
    assert coingecko.parse_range(RANGE, [[]], context("pro")).candles == ()


@pytest.mark.parametrize("junk", [{}, "", {"error": "coin not found"}])
def test_a_range_that_is_no_list_is_no_answer(junk: Any) -> None:
    with pytest.raises(ProviderError):
        parsed(coingecko.parse_range, RANGE, [junk], context("pro"))


def test_the_market_is_one_call_for_250_coins() -> None:
    params = {"vs_currency": "usd", "order": "market_cap_desc", "per_page": "250", "page": "1"}
    (call,) = coingecko.build_markets(QuotesQuery(), context())
    assert call.path == "/coins/markets"
    assert dict(call.params) == params


@pytest.mark.parametrize(
    ("interval", "days"), [("30m", "1"), ("1h", "1"), ("2h", "1"), ("4h", "30"), ("1d", "30")]
)
def test_merging_asks_for_the_days_that_bring_the_right_grain(interval: str, days: str) -> None:
    calls = coingecko.build_merged(replace(NEWEST, interval=Interval(interval)), context())
    assert calls == (Call("/coins/bitcoin/ohlc", (("vs_currency", "usd"), ("days", days))),)


@pytest.mark.parametrize(
    ("interval", "name", "days"), [("1h", "hourly", "90"), ("1d", "daily", "180")]
)
def test_native_candles_are_asked_for_by_name(interval: str, name: str, days: str) -> None:
    calls = coingecko.build_native(replace(NEWEST, interval=Interval(interval)), context("pro"))
    params = (("vs_currency", "usd"), ("days", days), ("interval", name))
    assert calls == (Call("/coins/bitcoin/ohlc", params),)


@pytest.mark.parametrize(
    ("interval", "name", "step", "most"),
    [("1h", "hourly", HOUR, 744), ("1d", "daily", DAY, 180)],
)
def test_a_range_is_cut_into_what_one_call_may_hold(
    interval: str, name: str, step: int, most: int
) -> None:
    start, now = EPOCH_MS - 1_000 * step, EPOCH_MS
    query = OhlcQuery("bitcoin", None, Interval(interval), start, EPOCH_MS - 100 * step)
    calls = coingecko.build_range(query, context("pro", now))
    cuts = [*range(start, EPOCH_MS - 99 * step, most * step), EPOCH_MS - 99 * step]
    assert calls == tuple(
        Call(
            "/coins/bitcoin/ohlc/range",
            (
                ("vs_currency", "usd"),
                ("from", str(cut // 1000)),
                ("to", str(until // 1000)),
                ("interval", name),
            ),
        )
        for cut, until in pairwise(cuts)
    )


def test_a_range_begins_where_the_vendors_history_does_and_ends_with_the_candle_of_now() -> None:
    query = OhlcQuery("bitcoin", None, Interval.D1, 1_400_000_000_000, EPOCH_MS + 400 * DAY)
    calls = [dict(call.params) for call in coingecko.build_range(query, context("pro", EPOCH_MS))]
    assert calls[0]["from"] == str(int(datetime(2018, 2, 9, tzinfo=UTC).timestamp()))
    assert calls[-1]["to"] == str((EPOCH_MS + DAY) // 1000)


def test_a_coin_id_cannot_leave_its_place_in_the_path() -> None:
    odd = replace(RANGE, coin_id="../ping?x=a b")
    paths = {build(odd, context("pro"))[0].path for build in BUILDS}
    assert paths == {f"/coins/..%2Fping%3Fx%3Da%20b/ohlc{end}" for end in ("", "/range")}


BUILDS = (coingecko.build_merged, coingecko.build_native, coingecko.build_range)


@pytest.mark.parametrize("interval", Interval)
def test_newest_candles_are_merged_on_every_plan_where_the_grain_divides(
    interval: Interval,
) -> None:
    serves = interval in {"30m", "1h", "2h", "4h", "8h", "12h", "1d"}
    query = replace(NEWEST, interval=interval)
    for plan in ("pro", "demo", "keyless"):
        assert coingecko.serves_merged(query, context(plan)) == (2 if serves else None)


@pytest.mark.parametrize("interval", Interval)
def test_native_and_range_candles_are_the_pro_plans_hourly_and_daily(interval: Interval) -> None:
    tier = 1 if interval in {"1h", "1d"} else None
    newest, ranged = (replace(query, interval=interval) for query in (NEWEST, RANGE))
    assert coingecko.serves_native(newest, context("pro")) == tier
    assert coingecko.serves_range(ranged, context("pro")) == tier
    for plan in ("demo", "keyless"):
        assert coingecko.serves_native(newest, context(plan)) is None
        assert coingecko.serves_range(ranged, context(plan)) is None


def test_each_operation_serves_only_its_kind_of_question_about_a_known_id() -> None:
    pro, unknown = context("pro"), replace(NEWEST, coin_id=None)
    assert coingecko.serves_merged(RANGE, pro) is None
    assert coingecko.serves_native(RANGE, pro) is None
    assert coingecko.serves_range(NEWEST, pro) is None
    assert coingecko.serves_merged(unknown, pro) is None
    assert coingecko.serves_native(unknown, pro) is None
    assert coingecko.serves_range(replace(RANGE, coin_id=None), pro) is None


@pytest.mark.parametrize("is_known", [False, True])
def test_the_ranked_list_is_always_asked_first(is_known: bool) -> None:
    query = QuotesQuery(universe_known=is_known)
    assert coingecko.serves_markets(query, context()) == 0


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"status": {"error_code": 429, "error_message": "slow down"}}, 429),
        ({"status": {"timestamp": "2026-11-22T08:00:00Z", "error_code": 10005}}, 10005),
        ({"error_code": 10010, "status": {"error_message": "other host"}}, 10010),
        ({"error": {"status": {"error_code": 10012, "error_message": "too far"}}}, 10012),
        ({"error": "coin not found"}, None),
        ({"status": 500, "error": "Internal Server Error"}, None),
        ({"status": {"error_code": "429"}}, None),
        ({"error": {"status": 400}}, None),
        ({"error": {}, "status": None}, None),
        ([], None),
        ([{"error_code": 429}], None),
        ("<html>", None),
        (None, None),
        (7, None),
    ],
)
def test_the_error_code_is_read_from_any_of_the_four_shapes(payload: Any, code: int | None) -> None:
    assert coingecko.error_code(payload) == code
