"""How a venue's newest candle enters a series, and when it does not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.models.answer import Answer
from backend.models.ohlc import DAY, HOUR, Candle, Candles, Interval
from backend.models.ticks import CandleTicks, CandleUpdate
from backend.services.candles.candle_ticks import with_candle
from tests.clocks import EPOCH, EPOCH_MS
from tests.instruments import instrument

NOW = EPOCH + timedelta(seconds=30)
OPEN, CLOSED = False, True


def candle(hours: int, closed: bool = CLOSED, price: float = 100.0, **changes: Any) -> Candle:
    """Opens so many hours after EPOCH."""
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


def told(row: Candle, **changes: Any) -> CandleUpdate:
    return replace(CandleUpdate("binance", BTC_HOURS, row), **changes)


def rows(held: Answer[Candles], tick: CandleUpdate) -> tuple[Candle, ...] | None:
    changed = with_candle(held, tick, NOW)
    return changed.data.candles if changed else None


FORMING = answer(candle(-2), candle(-1), candle(0, OPEN))
OVER = answer(candle(-2), candle(-1), candle(0, CLOSED))


@pytest.mark.parametrize("closed", [OPEN, CLOSED])
def test_the_forming_candle_is_replaced_by_what_is_told_of_it(closed: bool) -> None:
    newer = candle(0, closed, 101.0)
    assert rows(FORMING, told(newer)) == (candle(-2), candle(-1), newer)


def test_the_series_is_as_of_now_and_all_else_about_it_stays() -> None:
    newer = candle(0, OPEN, 101.0)
    changed = with_candle(FORMING, told(newer), NOW)
    assert changed == replace(
        FORMING,
        data=Candles(Interval.H1, (candle(-2), candle(-1), newer), instrument("BTCUSDT")),
        fetched_at=NOW,
    )
    assert FORMING.data.candles[-1] == candle(0, OPEN), "the held one is not touched"


def test_the_names_of_refused_candles_stay() -> None:
    held = answer(*FORMING.data.candles, refused=("number 7",))
    changed = with_candle(held, told(candle(0, OPEN, 101.0)), NOW)
    assert changed is not None
    assert changed.data.refused == ("number 7",)


def test_the_same_candle_told_again_is_no_news() -> None:
    assert rows(FORMING, told(candle(0, OPEN))) is None


@pytest.mark.parametrize("closed", [OPEN, CLOSED])
def test_a_candle_that_is_over_changes_no_more(closed: bool) -> None:
    assert rows(OVER, told(candle(0, closed, 101.0))) is None


@pytest.mark.parametrize("closed", [OPEN, CLOSED])
def test_the_next_candle_follows_one_that_is_over(closed: bool) -> None:
    following = candle(1, closed)
    assert rows(OVER, told(following)) == (*OVER.data.candles, following)


def test_the_next_candle_does_not_follow_one_whose_last_word_was_missed() -> None:
    assert rows(FORMING, told(candle(1, OPEN))) is None


def test_the_last_word_and_the_next_candle_enter_one_after_the_other() -> None:
    over = with_candle(FORMING, told(candle(0, CLOSED, 102.0)), NOW)
    assert over is not None
    assert rows(over, told(candle(1, OPEN))) == (
        candle(-2),
        candle(-1),
        candle(0, CLOSED, 102.0),
        candle(1, OPEN),
    )


@pytest.mark.parametrize("held", [FORMING, OVER])
@pytest.mark.parametrize("hours", [-3, -2, -1, 2, 3, 24])
def test_neither_an_older_candle_nor_one_behind_a_gap_enters(
    held: Answer[Candles], hours: int
) -> None:
    assert rows(held, told(candle(hours, OPEN, 101.0))) is None


@pytest.mark.parametrize(
    ("held", "tick"),
    [
        (FORMING, told(candle(0, OPEN, 101.0), source="kraken")),
        (replace(FORMING, source="kraken"), told(candle(0, OPEN, 101.0))),
        (replace(FORMING, source=("binance", "kraken")), told(candle(0, OPEN, 101.0))),
        (
            FORMING,
            told(candle(0, OPEN, 101.0), subject=CandleTicks(instrument("BTCUSDC"), Interval.H1)),
        ),
        (
            FORMING,
            told(candle(0, OPEN, 101.0), subject=CandleTicks(instrument("BTCUSDT"), Interval.H2)),
        ),
        (answer(*FORMING.data.candles, instrument=None), told(candle(0, OPEN, 101.0))),
        (
            answer(*FORMING.data.candles, instrument=ETHUSDT),
            told(candle(0, OPEN, 101.0)),
        ),
        (answer(), told(candle(0, OPEN, 101.0))),
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
def test_a_candle_of_something_else_does_not_enter(
    held: Answer[Candles], tick: CandleUpdate
) -> None:
    assert with_candle(held, tick, NOW) is None


def test_a_minute_is_no_month() -> None:
    minutes = answer(
        candle(0, OPEN),
        interval=Interval.M1,
    )
    tick = told(candle(0, OPEN, 101.0), subject=CandleTicks(instrument("BTCUSDT"), Interval.MONTH))
    assert with_candle(minutes, tick, NOW) is None


@pytest.mark.parametrize("closed", [OPEN, CLOSED])
def test_a_candle_off_the_grid_does_not_enter(closed: bool) -> None:
    newest = candle(0, CLOSED).timestamp
    off = candle(0, closed, 101.0, timestamp=newest + HOUR // 2)
    assert rows(OVER, told(off)) is None


def test_a_series_off_the_grid_of_weeks_takes_no_other_weekday() -> None:
    monday = Interval.W1.open_of(EPOCH_MS)
    held = answer(
        candle(0, CLOSED, timestamp=monday),
        interval=Interval.W1,
    )
    subject = CandleTicks(instrument("BTCUSDT"), Interval.W1)
    next_week = candle(0, OPEN, timestamp=monday + 7 * DAY)
    assert rows(held, told(next_week, subject=subject)) is not None
    tuesday = replace(next_week, timestamp=monday + 8 * DAY)
    assert rows(held, told(tuesday, subject=subject)) is None


@pytest.mark.parametrize(("price", "enters"), [(9_000.0, True), (11_000.0, False), (0.9, False)])
def test_a_leap_that_no_market_makes_does_not_enter(price: float, enters: bool) -> None:
    assert (rows(OVER, told(candle(1, OPEN, price))) is not None) is enters


def test_a_leap_within_the_forming_candle_does_not_enter() -> None:
    assert rows(FORMING, told(candle(0, OPEN, 11_000.0))) is None


def test_months_follow_by_the_calendar() -> None:
    november = Interval.MONTH.open_of(EPOCH_MS)
    december = Interval.MONTH.next_open(november)
    subject = CandleTicks(instrument("BTCUSDT"), Interval.MONTH)
    held = answer(
        candle(0, CLOSED, timestamp=november),
        interval=Interval.MONTH,
    )
    following = candle(0, OPEN, timestamp=december)
    assert rows(held, told(following, subject=subject)) == (*held.data.candles, following)
    early = replace(following, timestamp=november + Interval.MONTH.step_ms)
    assert rows(held, told(early, subject=subject)) is None


@pytest.mark.parametrize("count", [999, 1_000])
def test_a_series_never_holds_more_than_a_thousand(count: int) -> None:
    held = answer(*(candle(hours) for hours in range(1 - count, 1)))
    following = candle(1, OPEN)
    found = rows(held, told(following))
    assert found == (*held.data.candles, following)[-1_000:]
    assert len(found) == 1_000
