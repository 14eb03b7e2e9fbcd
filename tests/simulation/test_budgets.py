"""A month in virtual time: no provider is asked more than it allows, whatever happens.

The suite has the middle ten days of each month, in which everything happens; `chaos` has thirty.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backend.providers.adapter import Window
from tests.simulation.budgets import DEMO, Plot, simulate
from tests.simulation.oracles import DAY_S, CalendarMonth, Fixed, Limit, Sliding

HOUR_S = 3_600.0
#: Fewer readers than in the full month: these are about limits.
FEW = Plot(read_every_s=720.0)
Span = Callable[[Plot], Plot]
LEAP_YEAR = datetime(2028, 2, 10, tzinfo=UTC)
WEEK = (Window(600, 7 * DAY_S),)
HALF_DAY = (Window(50, 12 * HOUR_S),)
DAY = (Window(100, DAY_S, kind="day"),)


def middle(plot: Plot) -> Plot:
    """The eleventh to the twentieth day of a month: its faults are all in these."""
    skipped = 10 * DAY_S
    return replace(
        plot,
        start=plot.start + timedelta(seconds=skipped),
        days=10.0,
        spike_at=plot.spike_at - skipped,
        restarts=tuple(at - skipped for at in plot.restarts if at > skipped),
        down=tuple((since - skipped, until - skipped) for since, until in plot.down),
        clock_jumps=tuple((at - skipped, by) for at, by in plot.clock_jumps if at > skipped),
    )


def whole(plot: Plot) -> Plot:
    return plot


#: How much of a month: each test has both.
SPAN = pytest.mark.parametrize("span", [middle, pytest.param(whole, marks=pytest.mark.chaos)])


@pytest.mark.timeout(240)
@SPAN
async def test_two_hot_keys_are_never_older_than_a_quarter_of_an_hour(span: Span) -> None:
    plot = span(Plot(read_every_s=100.0))
    outcome, oracle = await simulate(plot)
    assert oracle.overruns == []
    assert outcome.reads > 900 * plot.days
    assert (outcome.errors, outcome.stale) == (0, 0)
    assert outcome.share_within_quarter == 1.0
    assert outcome.calls > 7_000 / 30 * plot.days, "the budget is there to be used"


@pytest.mark.timeout(240)
@SPAN
async def test_without_pacing_the_month_is_over_in_days(span: Span) -> None:
    """The switch of the simulation: what the pace is good for, and that it is not the oracle."""
    plot = span(replace(FEW, hot_keys=8))
    calls = int(100 * plot.days)  # a third of what so many readers would take
    month = Window(calls, 30 * DAY_S, kind="month", counts_on="success")
    plot = replace(
        plot, windows=(DEMO[0], month), limits=lambda: (Sliding(30, 60), CalendarMonth(calls))
    )
    outcome, oracle = await simulate(plot, is_paced=False)
    assert oracle.overruns == []
    assert outcome.share_within_quarter < 0.9
    assert len(outcome.bad_days) > 3


async def test_series_that_are_asked_once_take_little_of_what_all_readers_share() -> None:
    """One new series every five minutes, for ever; the market list has its share all the same."""
    plot = replace(FEW, days=8.0, hot_keys=1, one_off_every_s=300.0)
    outcome, oracle = await simulate(plot)
    assert oracle.overruns == []
    assert (outcome.errors, outcome.share_within_quarter) == (0, 1.0)


def month() -> tuple[Limit, ...]:
    return Sliding(30, 60), CalendarMonth(10_000)


def month_from_the_twelfth() -> tuple[Limit, ...]:
    """Their month begins when they like: we don't know when."""
    return Sliding(30, 60), Fixed(10_000, 30 * DAY_S, phase_s=12.3 * DAY_S)


PLOTS = {
    "month end and leap day": replace(FEW, start=LEAP_YEAR),
    "a month of their own": replace(FEW, hot_keys=6, limits=month_from_the_twelfth),
    "twenty times the readers and the questions": replace(FEW, spike_keys=20),
    "killed every six hours": replace(
        FEW, hot_keys=6, restarts=tuple(n * 6 * HOUR_S for n in range(1, 120))
    ),
    "killed daily, and no state is kept": replace(
        FEW, hot_keys=6, keeps_state=False, restarts=tuple(n * DAY_S for n in range(1, 30))
    ),
    "the clock is set at the month's end": replace(
        FEW,
        start=datetime(2026, 11, 16, tzinfo=UTC),
        hot_keys=6,
        clock_jumps=((14.9 * DAY_S, 7_200.0), (15.2 * DAY_S, -7_200.0), (16 * DAY_S, 0.0)),
    ),
    "down for five hours": replace(FEW, down=((12 * DAY_S, 12.2 * DAY_S),)),
    "600 a week": replace(FEW, windows=WEEK, limits=lambda: (Sliding(600, 7 * DAY_S),)),
    "600 in their week": replace(
        FEW, windows=WEEK, limits=lambda: (Fixed(600, 7 * DAY_S, phase_s=99_999),)
    ),
    "50 in 12 hours": replace(FEW, windows=HALF_DAY, limits=lambda: (Sliding(50, 12 * HOUR_S),)),
    "100 a day": replace(FEW, windows=DAY, limits=lambda: (Fixed(100, DAY_S),)),
    "100 a day, and the clock is set": replace(
        FEW,
        windows=DAY,
        limits=lambda: (Fixed(100, DAY_S),),
        clock_jumps=tuple((n * DAY_S / 2, (-1) ** n * 7_200.0) for n in range(2, 40)),
    ),
}


@pytest.mark.timeout(240)
@SPAN
@pytest.mark.parametrize("name", PLOTS)
async def test_no_call_is_over_any_limit_and_readers_are_answered(name: str, span: Span) -> None:
    plot = span(PLOTS[name])
    outcome, oracle = await simulate(plot)
    assert oracle.overruns == []
    assert outcome.calls > 50 * plot.days
    assert outcome.share_answered >= 0.999
