"""CoinGecko's candles: closes become opens, short ones become whole longer ones."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from backend.errors import ProviderError
from backend.models.ohlc import DAY, HOUR, MINUTE, Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import Call, Context
from backend.providers.client import parsed
from backend.providers.vendors import coingecko_candles as candles
from tests.clocks import EPOCH_MS
from tests.instruments import instruments

NEWEST = OhlcQuery("bitcoin", instruments("BTCUSDT"), Interval.H1)
HALF_PAST = EPOCH_MS + 30 * MINUTE


def context(plan: str = "keyless", now_ms: int = HALF_PAST) -> Context:
    return Context("coingecko_free", plan, now_ms)


def bar(close_ms: int, low: float = 90, high: float = 110) -> list[float]:
    """A row whose open is just above its low, whose close just below its high."""
    return [close_ms, low + 1, high, low, high - 1]


def times(series: Candles) -> list[tuple[int, bool]]:
    return [(candle.timestamp, candle.closed) for candle in series.candles]


def merged(interval: Interval, rows: Any, now_ms: int = HALF_PAST) -> Candles:
    query = replace(NEWEST, interval=interval)
    return candles.parse_merged(query, [rows], context(now_ms=now_ms))


def native(interval: Interval, rows: Any, now_ms: int = HALF_PAST) -> Candles:
    query = replace(NEWEST, interval=interval)
    return candles.parse_native(query, [rows], context("pro", now_ms))


def test_a_close_time_becomes_an_open_time_and_the_volume_is_none() -> None:
    series = native(Interval.H1, [bar(EPOCH_MS)])
    assert series.interval is Interval.H1
    assert series.instrument is None
    assert series.candles == (
        Candle(EPOCH_MS - HOUR, open=91, high=110, low=90, close=109, volume=None, closed=True),
    )


def test_the_newest_candle_with_a_future_close_is_not_closed() -> None:
    rows = [bar(EPOCH_MS - HOUR), bar(EPOCH_MS), bar(EPOCH_MS + HOUR)]
    assert times(native(Interval.H1, rows)) == [
        (EPOCH_MS - 2 * HOUR, True),
        (EPOCH_MS - HOUR, True),
        (EPOCH_MS, False),
    ]


@pytest.mark.parametrize(("after_close", "is_closed"), [(14 * MINUTE, False), (15 * MINUTE, True)])
def test_the_last_candle_is_closed_once_the_vendors_cache_expired(
    after_close: int, is_closed: bool
) -> None:
    now_ms = EPOCH_MS + after_close
    hourly = native(Interval.H1, [bar(EPOCH_MS - HOUR), bar(EPOCH_MS)], now_ms)
    halves = merged(Interval.H1, [bar(EPOCH_MS - HOUR // 2), bar(EPOCH_MS)], now_ms)
    assert times(hourly) == [(EPOCH_MS - 2 * HOUR, True), (EPOCH_MS - HOUR, is_closed)]
    assert times(halves) == [(EPOCH_MS - HOUR, is_closed)]


def test_a_candle_with_a_successor_is_closed() -> None:
    rows = [bar(EPOCH_MS), bar(EPOCH_MS + HOUR)]
    series = native(Interval.H1, rows, EPOCH_MS + 5 * MINUTE)
    assert times(series) == [(EPOCH_MS - HOUR, True), (EPOCH_MS, False)]


def test_an_hour_without_its_second_half_is_not_closed() -> None:
    rows = [bar(EPOCH_MS - HOUR), bar(EPOCH_MS - 30 * MINUTE)]
    assert (EPOCH_MS - HOUR, True) not in times(merged(Interval.H1, rows))


def test_two_half_hours_make_an_hour() -> None:
    rows = [bar(EPOCH_MS - 30 * MINUTE, 90, 110), bar(EPOCH_MS, 80, 105)]
    assert merged(Interval.H1, rows).candles == (
        Candle(EPOCH_MS - HOUR, open=91, high=110, low=80, close=104, volume=None, closed=True),
    )


def test_six_four_hour_candles_make_a_day_and_the_current_day_stays_open() -> None:
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


def test_an_incomplete_current_hour_is_kept() -> None:
    rows = [bar(EPOCH_MS - 30 * MINUTE), bar(EPOCH_MS), bar(HALF_PAST, 95, 99)]
    forming = merged(Interval.H1, rows, EPOCH_MS + 20 * MINUTE).candles[-1]
    assert forming == Candle(EPOCH_MS, 96, 99, 95, 98, volume=None, closed=False)


def test_an_hour_whose_second_half_ends_in_the_future_is_not_closed() -> None:
    rows = [bar(HALF_PAST), bar(EPOCH_MS + HOUR)]
    assert times(merged(Interval.H1, rows, EPOCH_MS + 40 * MINUTE)) == [(EPOCH_MS, False)]


def test_unordered_and_repeated_rows_become_ascending_and_unique() -> None:
    rows = [bar(EPOCH_MS), bar(EPOCH_MS - HOUR), bar(EPOCH_MS)]
    assert times(native(Interval.H1, rows)) == [
        (EPOCH_MS - 2 * HOUR, True),
        (EPOCH_MS - HOUR, True),
    ]


ABSURD = [
    [91, -110, 90, 109],
    [91, 80, 90, 109],
    [-91, 110, 90, 109],
    [0, 0, 0, 0],
    ["91", 110, 90, 109],
    [91, 110, 90],
    [91e6, 110e6, 90e6, 109e6],
    [1e308, 1e308, 1e308, 1e308],
]


@pytest.mark.parametrize("part", ABSURD, ids=str)
@pytest.mark.parametrize("place", [0, 1])
def test_a_candle_with_a_malformed_part_is_left_out_and_named(part: list[Any], place: int) -> None:
    rows: list[Any] = [bar(EPOCH_MS - n * 30 * MINUTE) for n in (5, 4, 3, 2, 1, 0)]
    at = 2 + place
    rows[at] = [rows[at][0], *part]
    series = merged(Interval.H1, rows)
    assert times(series) == [(EPOCH_MS - 3 * HOUR, True), (EPOCH_MS - HOUR, True)]
    assert series.refused == (str(rows[at][0] - 30 * MINUTE),)


@pytest.mark.parametrize("row", [None, [], {}, "bar", [EPOCH_MS - HOUR], bar(EPOCH_MS - HOUR + 1)])
def test_a_value_that_is_not_a_candle_is_left_out_and_named(row: Any) -> None:
    rows = [bar(EPOCH_MS - 2 * HOUR), row, bar(EPOCH_MS)]
    series = native(Interval.H1, rows)
    assert times(series) == [(EPOCH_MS - 3 * HOUR, True), (EPOCH_MS - HOUR, True)]
    assert len(series.refused) == 1


def test_a_malformed_newest_candle_is_left_out() -> None:
    rows = [bar(EPOCH_MS - HOUR), bar(EPOCH_MS), [EPOCH_MS + HOUR, 0, 0, 0, 0]]
    series = native(Interval.H1, rows, EPOCH_MS + MINUTE)
    assert times(series) == [(EPOCH_MS - 2 * HOUR, True), (EPOCH_MS - HOUR, False)]
    assert series.refused == (str(EPOCH_MS),)


def test_two_different_candles_of_one_time_are_both_left_out() -> None:
    rows = [bar(EPOCH_MS - n * HOUR) for n in (3, 2, 1, 0)]
    series = native(Interval.H1, [*rows, bar(EPOCH_MS - 2 * HOUR, 80, 120)])
    assert [at for at, _ in times(series)] == [EPOCH_MS - n * HOUR for n in (4, 2, 1)]
    assert series.refused == (str(EPOCH_MS - 3 * HOUR),)


@pytest.mark.parametrize("absurd", [[], {}, None, [EPOCH_MS, 1]])
def test_a_majority_of_malformed_candles_is_refused(absurd: Any) -> None:
    with pytest.raises(ProviderError):
        parsed(candles.parse_native, NEWEST, [[bar(EPOCH_MS), absurd, absurd]], context("pro"))
    with pytest.raises(ProviderError):
        parsed(candles.parse_native, NEWEST, [[absurd]], context("pro"))


def test_malformed_candles_are_counted_over_all_pages_of_a_range() -> None:
    hours = [bar(EPOCH_MS - n * HOUR) for n in (3, 2, 1)]
    series = candles.parse_range(RANGE, [hours, [None]], context("pro"))
    assert times(series) == [(EPOCH_MS - n * HOUR, True) for n in (4, 3, 2)]
    assert series.refused == ("number 4",)


@pytest.mark.parametrize(
    ("parse", "interval", "most"),
    [
        (candles.parse_merged, Interval.H1, 48),
        (candles.parse_merged, Interval.H4, 180),
        (candles.parse_native, Interval.H1, 2_160),
        (candles.parse_native, Interval.D1, 180),
    ],
)
def test_too_many_candles_are_malformed(parse: Any, interval: Interval, most: int) -> None:
    query, rows = replace(NEWEST, interval=interval), [bar(EPOCH_MS)] * (2 * most + 1)
    with pytest.raises(ValueError, match=f"at most {2 * most}"):
        parse(query, [rows], context("pro"))


def test_candles_of_yesterday_are_refused() -> None:
    rows = [bar(EPOCH_MS - DAY - 30 * MINUTE), bar(EPOCH_MS - DAY)]
    with pytest.raises(ValueError, match="not current"):
        merged(Interval.H1, rows)
    with pytest.raises(ValueError, match="not current"):
        native(Interval.H1, rows)


@pytest.mark.parametrize("hour", [1, 11, 13, 20, 23])
def test_daily_candles_are_current_at_any_hour(hour: int) -> None:
    midnight = EPOCH_MS - 8 * HOUR
    series = native(Interval.D1, [bar(midnight), bar(midnight + DAY)], midnight + hour * HOUR)
    assert times(series) == [(midnight - DAY, True), (midnight, False)]


RANGE = replace(NEWEST, start_ms=EPOCH_MS - 4 * HOUR, end_ms=EPOCH_MS - HOUR)


def test_a_range_has_each_candle_that_opens_in_it_once() -> None:
    hours = [bar(EPOCH_MS - n * HOUR) for n in range(6, -1, -1)]
    series = candles.parse_range(RANGE, [hours[:4], hours[3:]], context("pro"))
    assert times(series) == [(EPOCH_MS - n * HOUR, True) for n in (4, 3, 2)]


def test_a_range_before_the_coins_first_trade_is_an_empty_answer() -> None:
    assert candles.parse_range(RANGE, [[]], context("pro")).candles == ()


@pytest.mark.parametrize("junk", [{}, "", {"error": "coin not found"}])
def test_a_range_that_is_not_a_list_is_malformed(junk: Any) -> None:
    with pytest.raises(ProviderError):
        parsed(candles.parse_range, RANGE, [junk], context("pro"))


@pytest.mark.parametrize(
    ("interval", "days"), [("30m", "1"), ("1h", "1"), ("2h", "1"), ("4h", "30"), ("1d", "30")]
)
def test_merging_requests_the_days_that_give_the_needed_interval(interval: str, days: str) -> None:
    calls = candles.build_merged(replace(NEWEST, interval=Interval(interval)), context())
    assert calls == (Call("/coins/bitcoin/ohlc", (("vs_currency", "usd"), ("days", days))),)


@pytest.mark.parametrize(
    ("interval", "name", "days"), [("1h", "hourly", "90"), ("1d", "daily", "180")]
)
def test_native_candles_are_requested_by_the_interval_name(
    interval: str, name: str, days: str
) -> None:
    calls = candles.build_native(replace(NEWEST, interval=Interval(interval)), context("pro"))
    params = (("vs_currency", "usd"), ("days", days), ("interval", name))
    assert calls == (Call("/coins/bitcoin/ohlc", params),)


@pytest.mark.parametrize(
    ("interval", "name", "step", "most"),
    [("1h", "hourly", HOUR, 744), ("1d", "daily", DAY, 180)],
)
def test_a_range_is_split_into_calls_of_the_largest_size(
    interval: str, name: str, step: int, most: int
) -> None:
    start, now = EPOCH_MS - 1_000 * step, EPOCH_MS
    end = EPOCH_MS - 100 * step
    query = OhlcQuery("bitcoin", (), Interval(interval), start, end)
    calls = [dict(call.params) for call in candles.build_range(query, context("pro", now))]
    spans = [(int(call["from"]) * 1000, int(call["to"]) * 1000) for call in calls]
    assert {call["interval"] for call in calls} == {name}
    closes = [close for first, last in spans for close in range(first, last + 1, step)]
    assert closes == list(range(start + step, end + 1, step))
    assert max((last - first) // step + 1 for first, last in spans) == most


def test_a_range_is_limited_to_the_vendors_history_and_to_now() -> None:
    query = OhlcQuery("bitcoin", (), Interval.D1, 1_400_000_000_000, EPOCH_MS + 400 * DAY)
    calls = [dict(call.params) for call in candles.build_range(query, context("pro", EPOCH_MS))]
    assert calls[0]["from"] == str(int(datetime(2018, 2, 10, tzinfo=UTC).timestamp()))
    assert int(calls[-1]["to"]) <= EPOCH_MS // 1000


def test_a_range_before_the_vendors_history_is_not_served() -> None:
    query = OhlcQuery("bitcoin", (), Interval.D1, 1_400_000_000_000, 1_500_000_000_000)
    assert not candles.serves_range(query, context("pro"))


def test_candles_outside_the_requested_range_are_malformed() -> None:
    with pytest.raises(ProviderError):
        parsed(candles.parse_range, RANGE, [[bar(EPOCH_MS - 400 * DAY)]], context("pro"))


def test_a_coin_id_is_escaped_in_the_path() -> None:
    odd = replace(RANGE, coin_id="../ping?x=a b")
    paths = {build(odd, context("pro"))[0].path for build in BUILDS}
    assert paths == {f"/coins/..%2Fping%3Fx%3Da%20b/ohlc{end}" for end in ("", "/range")}


BUILDS = (candles.build_merged, candles.build_native, candles.build_range)


@pytest.mark.parametrize("interval", Interval)
def test_newest_candles_are_merged_on_every_plan(
    interval: Interval,
) -> None:
    serves = interval in {"30m", "1h", "2h", "4h", "8h", "12h", "1d"}
    query = replace(NEWEST, interval=interval)
    for plan in ("pro", "demo", "keyless"):
        assert candles.serves_merged(query, context(plan)) is serves


@pytest.mark.parametrize("interval", Interval)
def test_native_and_range_candles_are_the_pro_plans_hourly_and_daily(interval: Interval) -> None:
    serves = interval in {"1h", "1d"}
    newest, ranged = (replace(query, interval=interval) for query in (NEWEST, RANGE))
    assert candles.serves_native(newest, context("pro")) is serves
    assert candles.serves_range(ranged, context("pro")) is serves
    for plan in ("demo", "keyless"):
        assert not candles.serves_native(newest, context(plan))
        assert not candles.serves_range(ranged, context(plan))


def test_each_operation_serves_only_its_kind_of_query_with_a_known_id() -> None:
    pro, unknown = context("pro"), replace(NEWEST, coin_id=None)
    assert not candles.serves_merged(RANGE, pro)
    assert not candles.serves_native(RANGE, pro)
    assert not candles.serves_range(NEWEST, pro)
    assert not candles.serves_merged(unknown, pro)
    assert not candles.serves_native(unknown, pro)
    assert not candles.serves_range(replace(RANGE, coin_id=None), pro)
