"""Which candle ticks are applied to a series, and how."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.models.answer import Answer
from backend.models.ohlc import DAY, HOUR, Candle, Candles, Interval
from backend.models.ticks import CandleTicks, CandleUpdate
from backend.services.live import with_candle
from tests.calls import counted
from tests.clocks import EPOCH, EPOCH_MS
from tests.instruments import instrument

NOW = EPOCH + timedelta(seconds=30)
OPEN, CLOSED = False, True


def candle(hours: int, closed: bool = CLOSED, price: float = 100.0, **changes: Any) -> Candle:
    """Opens `hours` after EPOCH."""
    made = Candle(EPOCH_MS + hours * HOUR, price, price * 1.01, price * 0.99, price, 12.0, closed)
    return replace(made, **changes)


BTC_HOURS = CandleTicks(instrument("BTCUSDT"), Interval.H1)
ETHUSDT = instrument("ETHUSDT")


def answer(*candles: Candle, **changes: Any) -> Answer[Candles]:
    series = Candles(Interval.H1, candles, instrument("BTCUSDT"))
    return Answer(
        replace(series, **changes),
        "binance",
        EPOCH,
        12.0,
        warnings=("of the provider",),
        refresh_id=7,
        expires_at=EPOCH + timedelta(seconds=15),
    )


def tick_of(row: Candle, **changes: Any) -> CandleUpdate:
    return replace(CandleUpdate("binance", BTC_HOURS, row), **changes)


def rows(series: Answer[Candles], tick: CandleUpdate) -> tuple[Candle, ...] | None:
    changed = with_candle(series, tick, NOW)
    return changed.data.candles if changed else None


FORMING = answer(candle(-2), candle(-1), candle(0, OPEN))
OVER = answer(candle(-2), candle(-1), candle(0, CLOSED))


@pytest.mark.parametrize("closed", [OPEN, CLOSED])
def test_a_tick_replaces_the_forming_candle(closed: bool) -> None:
    newer = candle(0, closed, 101.0)
    assert rows(FORMING, tick_of(newer)) == (candle(-2), candle(-1), newer)


def test_the_series_is_as_of_now_and_its_other_fields_stay() -> None:
    newer = candle(0, OPEN, 101.0)
    changed = with_candle(FORMING, tick_of(newer), NOW)
    assert changed == replace(
        FORMING,
        data=Candles(Interval.H1, (candle(-2), candle(-1), newer), instrument("BTCUSDT")),
        fetched_at=NOW,
    )
    assert FORMING.data.candles[-1] == candle(0, OPEN), "the cached one is unchanged"


def test_the_names_of_refused_candles_stay() -> None:
    series = answer(*FORMING.data.candles, refused=("number 7",))
    changed = with_candle(series, tick_of(candle(0, OPEN, 101.0)), NOW)
    assert changed is not None
    assert changed.data.refused == ("number 7",)


def test_a_tick_that_repeats_the_candle_changes_nothing() -> None:
    assert rows(FORMING, tick_of(candle(0, OPEN))) is None


@pytest.mark.parametrize("closed", [OPEN, CLOSED])
def test_a_closed_candle_does_not_change(closed: bool) -> None:
    assert rows(OVER, tick_of(candle(0, closed, 101.0))) is None


@pytest.mark.parametrize("closed", [OPEN, CLOSED])
def test_the_next_candle_follows_a_closed_one(closed: bool) -> None:
    following = candle(1, closed)
    assert rows(OVER, tick_of(following)) == (*OVER.data.candles, following)


def test_the_next_candle_does_not_follow_one_whose_closing_tick_was_missed() -> None:
    assert rows(FORMING, tick_of(candle(1, OPEN))) is None


def test_the_closing_tick_and_the_next_candle_are_applied_in_turn() -> None:
    over = with_candle(FORMING, tick_of(candle(0, CLOSED, 102.0)), NOW)
    assert over is not None
    assert rows(over, tick_of(candle(1, OPEN))) == (
        candle(-2),
        candle(-1),
        candle(0, CLOSED, 102.0),
        candle(1, OPEN),
    )


@pytest.mark.parametrize("series", [FORMING, OVER])
@pytest.mark.parametrize("hours", [-3, -2, -1, 2, 3, 24])
def test_an_older_candle_and_one_after_a_gap_are_not_applied(
    series: Answer[Candles], hours: int
) -> None:
    assert rows(series, tick_of(candle(hours, OPEN, 101.0))) is None


@pytest.mark.parametrize(
    ("series", "tick"),
    [
        (FORMING, tick_of(candle(0, OPEN, 101.0), source="kraken")),
        (replace(FORMING, source="kraken"), tick_of(candle(0, OPEN, 101.0))),
        (replace(FORMING, source=("binance", "kraken")), tick_of(candle(0, OPEN, 101.0))),
        (
            FORMING,
            tick_of(
                candle(0, OPEN, 101.0), subject=CandleTicks(instrument("BTCUSDC"), Interval.H1)
            ),
        ),
        (
            FORMING,
            tick_of(
                candle(0, OPEN, 101.0), subject=CandleTicks(instrument("BTCUSDT"), Interval.H2)
            ),
        ),
        (answer(*FORMING.data.candles, instrument=None), tick_of(candle(0, OPEN, 101.0))),
        (
            answer(*FORMING.data.candles, instrument=ETHUSDT),
            tick_of(candle(0, OPEN, 101.0)),
        ),
        (answer(), tick_of(candle(0, OPEN, 101.0))),
    ],
    ids=[
        "another teller",
        "another source",
        "several sources",
        "another pair",
        "another interval",
        "a series without a pair",
        "a series of another pair",
        "an empty series",
    ],
)
def test_a_tick_of_another_series_is_not_applied(
    series: Answer[Candles], tick: CandleUpdate
) -> None:
    assert with_candle(series, tick, NOW) is None


def test_a_monthly_tick_is_not_applied_to_a_series_of_minutes() -> None:
    minutes = answer(
        candle(0, OPEN),
        interval=Interval.M1,
    )
    tick = tick_of(
        candle(0, OPEN, 101.0), subject=CandleTicks(instrument("BTCUSDT"), Interval.MONTH)
    )
    assert with_candle(minutes, tick, NOW) is None


@pytest.mark.parametrize("closed", [OPEN, CLOSED])
def test_a_candle_off_the_grid_is_not_applied(closed: bool) -> None:
    newest = candle(0, CLOSED).timestamp
    off = candle(0, closed, 101.0, timestamp=newest + HOUR // 2)
    assert rows(OVER, tick_of(off)) is None


def test_a_weekly_series_takes_only_its_own_weekday() -> None:
    monday = Interval.W1.open_of(EPOCH_MS)
    series = answer(
        candle(0, CLOSED, timestamp=monday),
        interval=Interval.W1,
    )
    subject = CandleTicks(instrument("BTCUSDT"), Interval.W1)
    next_week = candle(0, OPEN, timestamp=monday + 7 * DAY)
    assert rows(series, tick_of(next_week, subject=subject)) is not None
    tuesday = replace(next_week, timestamp=monday + 8 * DAY)
    assert rows(series, tick_of(tuesday, subject=subject)) is None


@pytest.mark.parametrize(("price", "enters"), [(9_000.0, True), (11_000.0, False), (0.9, False)])
def test_an_implausible_jump_is_not_applied(price: float, enters: bool) -> None:
    assert (rows(OVER, tick_of(candle(1, OPEN, price))) is not None) is enters


def test_an_implausible_jump_of_the_forming_candle_is_not_applied() -> None:
    assert rows(FORMING, tick_of(candle(0, OPEN, 11_000.0))) is None


def test_months_follow_by_the_calendar() -> None:
    november = Interval.MONTH.open_of(EPOCH_MS)
    december = Interval.MONTH.next_open(november)
    subject = CandleTicks(instrument("BTCUSDT"), Interval.MONTH)
    series = answer(
        candle(0, CLOSED, timestamp=november),
        interval=Interval.MONTH,
    )
    following = candle(0, OPEN, timestamp=december)
    assert rows(series, tick_of(following, subject=subject)) == (*series.data.candles, following)
    early = replace(following, timestamp=november + Interval.MONTH.step_ms)
    assert rows(series, tick_of(early, subject=subject)) is None


@pytest.mark.parametrize("count", [999, 1_000])
def test_a_series_has_at_most_a_thousand_candles(count: int) -> None:
    series = answer(*(candle(hours) for hours in range(1 - count, 1)))
    following = candle(1, OPEN)
    found = rows(series, tick_of(following))
    assert found == (*series.data.candles, following)[-1_000:]
    assert len(found) == 1_000


#: What a venue says in three hours, four times each; the fourth closes the candle.
SAID = tuple(
    candle(hours, turn == 3, 100.0 + turn, volume=float(turn))
    for hours in range(1, 4)
    for turn in range(4)
)


@given(st.sets(st.integers(0, len(SAID) - 1)))
def test_lost_ticks_leave_no_wrong_candle_and_no_gap(lost: set[int]) -> None:
    """Between processes ticks may be lost. What was lost is missing until the next tick of the
    same candle, or until the next refresh."""
    series, closed = OVER, {row.timestamp: row for row in SAID if row.closed}
    for number, row in enumerate(SAID):
        if number not in lost:
            series = with_candle(series, tick_of(row), NOW) or series
        newest = series.data.candles[-1]
        assert newest.timestamp <= row.timestamp
        for one, other in pairwise(series.data.candles):
            assert other.timestamp - one.timestamp == HOUR
            assert one.closed
            assert one == closed.get(one.timestamp, one)
    if not lost:
        assert series.data.candles[-1] == SAID[-1]
    last_hour = {row.timestamp: row for row in SAID}
    refreshed = answer(candle(-2), *(last_hour[at] for at in sorted(last_hour)))
    assert rows(refreshed, tick_of(candle(4, OPEN))) is not None  # from there it goes on


def calls_of_a_tick(candles: int) -> int:
    series = answer(*(candle(hours - candles + 1, hours < candles - 1) for hours in range(candles)))
    with counted() as calls:
        changed = with_candle(series, tick_of(candle(0, OPEN, price=101.0)), NOW)
    assert changed is not None
    assert len(changed.data.candles) == candles
    return calls.made


def test_a_tick_costs_the_same_however_long_the_series_is() -> None:
    assert calls_of_a_tick(1_000) == calls_of_a_tick(250)


@given(st.integers(1, 4), st.sampled_from([1.0, 100.0, 101.0, 20_000.0]), st.integers(-2, 3))
def test_a_series_with_another_newest_candle_is_as_if_put_together_anew(
    count: int, price: float, hours: int
) -> None:
    given_rows = [candle(place - count + 1) for place in range(count)]
    series = Candles(Interval.H1, tuple(given_rows), BTC_HOURS.instrument, refused=("9",))
    newest = candle(hours, OPEN, price)
    kept = given_rows[:-1] if given_rows[-1].timestamp == newest.timestamp else given_rows
    try:
        expected: Any = replace(series, candles=(*kept, newest)[-3:])
    except ValueError as error:
        expected = str(error)
    try:
        changed: Any = series.with_newest(newest, 3)
    except ValueError as error:
        changed = str(error)
    assert changed == expected
