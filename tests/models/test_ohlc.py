"""Candles: the UTC grid of every interval, plausibility of one candle and of a series."""

import math
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backend.models.ohlc import DAY, HOUR, Candle, Candles, Interval, OhlcQuery
from backend.models.sifting import sifted
from tests.instruments import instrument


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


T0 = ms("2026-11-22T08:00")
ALPUSDT = instrument("ALPUSDT")


def candle(timestamp: int = T0, price: float = 100.0, **changes: Any) -> Candle:
    fields: dict[str, Any] = {
        "timestamp": timestamp,
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "volume": 3.5,
        "closed": True,
    }
    return Candle(**(fields | changes))


def series(interval: Interval, *opens: int) -> Candles:
    return Candles(interval, tuple(candle(at) for at in opens))


@pytest.mark.parametrize(
    ("interval", "instant", "expected"),
    [
        ("1m", "2026-11-22T08:34:56", "2026-11-22T08:34"),
        ("3m", "2026-11-22T08:34:56", "2026-11-22T08:33"),
        ("5m", "2026-11-22T08:34:56", "2026-11-22T08:30"),
        ("15m", "2026-11-22T08:34:56", "2026-11-22T08:30"),
        ("30m", "2026-11-22T08:34:56", "2026-11-22T08:30"),
        ("1h", "2026-11-22T08:34:56", "2026-11-22T08:00"),
        ("2h", "2026-11-22T09:34:56", "2026-11-22T08:00"),
        ("4h", "2026-11-22T11:59:59", "2026-11-22T08:00"),
        ("6h", "2026-11-22T08:34:56", "2026-11-22T06:00"),
        ("8h", "2026-11-22T15:59:59", "2026-11-22T08:00"),
        ("12h", "2026-11-22T11:59:59", "2026-11-22T00:00"),
        ("1d", "2026-11-22T23:59:59", "2026-11-22T00:00"),
        ("1w", "2026-11-22T23:59:59", "2026-11-16T00:00"),
        ("1w", "2026-11-23T00:00:00", "2026-11-23T00:00"),
        ("1w", "2026-11-26T12:00:00", "2026-11-23T00:00"),
        ("1M", "2026-11-30T23:59:59", "2026-11-01T00:00"),
        ("1M", "2028-02-29T12:00:00", "2028-02-01T00:00"),
        ("1M", "2026-12-01T00:00:00", "2026-12-01T00:00"),
    ],
)
def test_an_instant_belongs_to_the_candle_that_opened_last(
    interval: str, instant: str, expected: str
) -> None:
    assert Interval(interval).open_of(ms(instant)) == ms(expected)


@pytest.mark.parametrize(
    ("interval", "opened", "expected"),
    [
        ("1m", "2026-11-22T08:59", "2026-11-22T09:00"),
        ("4h", "2026-11-22T20:00", "2026-11-23T00:00"),
        ("1d", "2028-02-28T00:00", "2028-02-29T00:00"),
        ("3d", "2026-11-30T00:00", "2026-12-03T00:00"),
        ("1w", "2026-12-28T00:00", "2027-01-04T00:00"),
        ("1M", "2026-01-01T00:00", "2026-02-01T00:00"),
        ("1M", "2026-02-01T00:00", "2026-03-01T00:00"),
        ("1M", "2028-02-01T00:00", "2028-03-01T00:00"),
        ("1M", "2026-04-01T00:00", "2026-05-01T00:00"),
        ("1M", "2026-12-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_the_next_candle_opens_where_this_one_closes(
    interval: str, opened: str, expected: str
) -> None:
    assert Interval(interval).next_open(ms(opened)) == ms(expected)


@pytest.mark.parametrize("interval", [each for each in Interval if each is not Interval.D3])
def test_every_candle_ends_where_the_next_begins(interval: Interval) -> None:
    opened = interval.open_of(T0)
    following = interval.next_open(opened)
    assert interval.open_of(opened) == opened
    assert interval.open_of(following - 1) == opened
    assert interval.open_of(following) == following


def test_a_minute_is_not_a_month() -> None:
    assert Interval("1m") is Interval.M1
    assert Interval("1M") is Interval.MONTH
    with pytest.raises(ValueError, match="1H"):
        Interval("1H")


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "100", True, None])
@pytest.mark.parametrize("name", ["open", "high", "low", "close"])
def test_a_candle_without_positive_prices_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=name):
        candle(**{name: value})


@pytest.mark.parametrize(
    "changes",
    [
        {"high": 99.0},
        {"low": 101.0},
        {"open": 120.0, "high": 110.0},
        {"close": 120.0, "high": 110.0},
        {"open": 80.0, "low": 90.0},
        {"close": 80.0, "low": 90.0},
        {"high": 90.0, "low": 110.0},
    ],
    ids=str,
)
def test_a_candle_whose_open_or_close_leaves_low_to_high_is_refused(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(ValidationError, match="outside of low to high"):
        candle(**changes)


@pytest.mark.parametrize("volume", [None, 0, 0.0, 12])
def test_a_candle_may_lack_volume_or_have_none_traded(volume: float | None) -> None:
    assert candle(volume=volume).volume == volume


@pytest.mark.parametrize("volume", [-1, math.nan, math.inf, "3", True])
def test_a_volume_below_zero_or_no_number_is_refused(volume: object) -> None:
    with pytest.raises(ValidationError, match="volume"):
        candle(volume=volume)


@pytest.mark.parametrize("timestamp", [-1, 1.5, "0", True, None, T0 * 1000])
def test_a_timestamp_in_another_unit_or_type_is_refused(timestamp: Any) -> None:
    with pytest.raises(ValidationError, match="timestamp"):
        candle(timestamp)


def test_an_ascending_series_on_the_grid_is_accepted_with_gaps() -> None:
    opens = (T0, T0 + HOUR, T0 + 5 * HOUR)
    assert [each.timestamp for each in series(Interval.H1, *opens).candles] == list(opens)
    assert series(Interval.H1).candles == ()


@pytest.mark.parametrize("opens", [(T0, T0), (T0 + HOUR, T0), (T0, T0 + 2 * HOUR, T0 + HOUR)])
def test_a_series_that_does_not_ascend_is_refused(opens: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        series(Interval.H1, *opens)


@pytest.mark.parametrize(
    ("interval", "off_grid"),
    [
        ("1m", "2026-11-22T08:00:01"),
        ("1h", "2026-11-22T08:30"),
        ("4h", "2026-11-22T09:00"),
        ("1d", "2026-11-22T08:00"),
        ("3d", "2026-11-22T08:00"),
        ("1w", "2026-11-19T00:00"),
        ("1w", "2026-11-22T00:00"),
        ("1M", "2026-11-02T00:00"),
        ("1M", "2026-11-01T01:00"),
    ],
)
def test_a_candle_off_the_grid_is_refused(interval: str, off_grid: str) -> None:
    with pytest.raises(ValueError, match="grid"):
        series(Interval(interval), ms(off_grid))


@pytest.mark.parametrize(
    ("interval", "opens"),
    [
        ("1w", ("2026-11-16", "2026-11-23", "2026-11-30")),
        ("1M", ("2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01")),
        ("1M", ("2028-01-01", "2028-02-01", "2028-03-01")),
        ("1d", ("2028-02-28", "2028-02-29", "2028-03-01")),
        ("3d", ("2026-11-20", "2026-11-23")),
        ("3d", ("2026-11-21", "2026-11-24")),
    ],
)
def test_weeks_from_monday_and_months_of_any_length_are_contiguous(
    interval: str, opens: tuple[str, ...]
) -> None:
    grid = [ms(each) for each in opens]
    for one, other in pairwise(grid):
        assert Interval(interval).next_open(one) == other
    assert len(series(Interval(interval), *grid).candles) == len(opens)


@pytest.mark.parametrize("factor", [101.0, 1 / 101.0, 1000.0])
def test_a_leap_between_contiguous_candles_is_a_unit_error(factor: float) -> None:
    rows = (candle(T0, 100.0), candle(T0 + HOUR, 100.0 * factor))
    with pytest.raises(ValueError, match="leaps"):
        Candles(Interval.H1, rows)


@pytest.mark.parametrize("factor", [99.0, 1 / 99.0])
def test_a_wild_hour_is_no_unit_error(factor: float) -> None:
    rows = (candle(T0, 100.0), candle(T0 + HOUR, 100.0 * factor))
    assert Candles(Interval.H1, rows).candles == rows


def test_a_leap_across_a_gap_is_allowed() -> None:
    rows = (candle(T0, 100.0), candle(T0 + 2 * HOUR, 100_000.0))
    assert Candles(Interval.H1, rows).candles == rows


def test_a_leap_between_february_and_march_is_one_between_contiguous_candles() -> None:
    rows = (candle(ms("2026-02-01"), 1.0), candle(ms("2026-03-01"), 1_000.0))
    with pytest.raises(ValueError, match="leaps"):
        Candles(Interval.MONTH, rows)


def hours(*told: tuple[int, float]) -> tuple[Candle, ...]:
    """Candles by their hours from T0, each of one price."""
    return tuple(candle(T0 + hour * HOUR, price) for hour, price in told)


def kept(series: Candles) -> list[int]:
    return [(one.timestamp - T0) // HOUR for one in series.candles]


def names(*told: int) -> tuple[str, ...]:
    return tuple(str(T0 + hour * HOUR) for hour in told)


def test_well_formed_candles_are_unchanged() -> None:
    told = hours((0, 100.0), (1, 101.0), (5, 90_000.0))
    assert sifted(Interval.H1, told, ALPUSDT, ("number 7",)) == Candles(
        Interval.H1, told, ALPUSDT, ("number 7",)
    )


def test_candles_out_of_order_are_sorted_and_duplicates_are_dropped() -> None:
    told = hours((2, 100.0), (0, 100.0), (1, 100.0), (0, 100.0))
    assert sifted(Interval.H1, told) == Candles(Interval.H1, hours((0, 100), (1, 100), (2, 100)))


def test_candles_of_the_same_time_that_differ_are_all_refused() -> None:
    series = sifted(Interval.H1, hours((0, 100), (1, 100), (1, 101), (1, 100), (2, 100)))
    assert (kept(series), series.refused) == ([0, 2], names(1))


def test_a_candle_off_the_grid_is_left_out() -> None:
    off = candle(T0 + HOUR // 2)
    series = sifted(Interval.H1, (*hours((0, 100)), off, *hours((1, 100))), refused=("number 1",))
    assert (kept(series), series.refused) == ([0, 1], ("number 1", str(off.timestamp)))


LEAPS: list[tuple[str, list[tuple[int, float]], list[int]]] = [
    ("an odd one in the middle", [(0, 1), (1, 1), (2, 1000), (3, 1), (4, 1)], [2]),
    ("the newest", [(0, 1), (1, 1), (2, 1), (3, 1000)], [3]),
    ("the oldest", [(0, 1000), (1, 1), (2, 1), (3, 1)], [0]),
    ("two odd ones", [(0, 1), (1, 1000), (2, 1), (3, 1), (4, 0.001), (5, 1)], [1, 4]),
    ("an odd pair", [(0, 1), (1, 1), (2, 1000), (3, 1000), (4, 1), (5, 1)], [2, 3]),
    ("another unit since", [(0, 1), (1, 1), (2, 1), (3, 1000), (4, 1000)], [3, 4]),
    ("another unit before", [(0, 1000), (1, 1000), (2, 1), (3, 1), (4, 1)], [0, 1]),
    ("two halves", [(0, 1000), (1, 1000), (2, 1), (3, 1)], [0, 1]),
    ("beside a gap", [(0, 1), (1, 1), (2, 1), (3, 1000), (5, 1), (6, 1)], [3]),
    ("behind a gap", [(0, 1), (1, 1), (3, 1000), (4, 1), (5, 1), (6, 1)], [3]),
    ("a gap that is one", [(0, 1), (1, 1000), (2, 1), (3, 1), (5, 5000), (6, 5000)], [1]),
]


@pytest.mark.parametrize(("told", "odd"), [case[1:] for case in LEAPS], ids=[c[0] for c in LEAPS])
def test_at_a_leap_the_longest_run_and_what_continues_it_are_kept(
    told: list[tuple[int, float]], odd: list[int]
) -> None:
    series = sifted(Interval.H1, hours(*told))
    assert kept(series) == [hour for hour, _ in told if hour not in odd]
    assert series.refused == names(*odd)


def test_ten_thousand_leaps_take_no_longer_than_ten_thousand_candles() -> None:
    told = hours(*((hour, 1000.0 if hour % 2 else 1.0) for hour in range(10_000)))
    series = sifted(Interval.H1, told)
    assert len(series.candles) + len(series.refused) == 10_000


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12), st.sampled_from([1.0, 1.5, 900.0, 1e-29, 9e29]), st.booleans()
        ),
        max_size=14,
    )
)
def test_any_candles_give_a_series_and_all_others_are_named(
    told: list[tuple[int, float, bool]],
) -> None:
    candles = [candle(T0 + hour * HOUR + off, price) for hour, price, off in told]
    series = sifted(Interval.H1, candles)
    assert set(series.candles) <= set(candles)
    opens = {str(one.timestamp) for one in series.candles}
    assert opens | set(series.refused) == {str(one.timestamp) for one in candles}
    assert not opens & set(series.refused)


def test_the_reference_price_is_no_part_of_a_querys_identity() -> None:
    one = OhlcQuery("alpha", (ALPUSDT,), Interval.H1, reference_price=1.0)
    other = OhlcQuery("alpha", (ALPUSDT,), Interval.H1, reference_price=2.0)
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    "other",
    [
        OhlcQuery("beta", (ALPUSDT,), Interval.H1),
        OhlcQuery("alpha", (), Interval.H1),
        OhlcQuery("alpha", (ALPUSDT,), Interval.H4),
        OhlcQuery("alpha", (ALPUSDT,), Interval.H1, start_ms=0, end_ms=DAY),
    ],
)
def test_coin_instruments_interval_and_range_are_a_querys_identity(other: OhlcQuery) -> None:
    assert OhlcQuery("alpha", (ALPUSDT,), Interval.H1) != other


def test_a_series_is_named_by_coin_or_symbol_and_interval() -> None:
    assert OhlcQuery("alpha", (ALPUSDT,), Interval.MONTH).series == "alpha/1M"
    assert OhlcQuery(None, (ALPUSDT,), Interval.M1).series == "ALPUSDT/1m"
