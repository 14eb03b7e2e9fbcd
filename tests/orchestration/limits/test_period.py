"""Calendar time: two clocks that disagree, and the days on which months begin."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.orchestration.limits.period import WallTime, month_start, next_month_start
from tests.clocks import EPOCH, ManualClock

DAY_S, HOUR_S = 86_400.0, 3_600.0


def instant(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("at", "anchor_day", "begins", "ends"),
    [
        ("2026-11-22T08:00", 1, "2026-11-01", "2026-12-01"),
        ("2026-11-01T00:00", 1, "2026-11-01", "2026-12-01"),
        ("2026-11-30T23:59:59", 1, "2026-11-01", "2026-12-01"),
        ("2026-12-31T23:59:59", 1, "2026-12-01", "2027-01-01"),
        ("2027-01-01T00:00", 1, "2027-01-01", "2027-02-01"),
        ("2026-11-22T08:00", 15, "2026-11-15", "2026-12-15"),
        ("2026-11-14T23:59:59", 15, "2026-10-15", "2026-11-15"),
        ("2027-01-14T12:00", 15, "2026-12-15", "2027-01-15"),
        ("2026-12-20T12:00", 15, "2026-12-15", "2027-01-15"),
        ("2026-02-10T00:00", 29, "2026-01-29", "2026-02-28"),
        ("2026-02-28T00:00", 29, "2026-02-28", "2026-03-29"),
        ("2026-03-28T12:00", 30, "2026-02-28", "2026-03-30"),
        ("2026-02-27T23:59:59", 31, "2026-01-31", "2026-02-28"),
        ("2026-03-01T00:00", 31, "2026-02-28", "2026-03-31"),
        ("2026-04-30T00:00", 31, "2026-04-30", "2026-05-31"),
        ("2026-04-29T23:59:59", 31, "2026-03-31", "2026-04-30"),
        ("2026-12-31T00:00", 31, "2026-12-31", "2027-01-31"),
        ("2027-01-30T12:00", 31, "2026-12-31", "2027-01-31"),
        ("2028-02-29T00:00", 29, "2028-02-29", "2028-03-29"),
        ("2028-02-28T23:59:59", 29, "2028-01-29", "2028-02-29"),
        ("2028-02-29T12:00", 31, "2028-02-29", "2028-03-31"),
        ("2028-02-29T12:00", 1, "2028-02-01", "2028-03-01"),
    ],
)
def test_a_month_begins_on_its_anchor_day_or_the_last_it_has(
    at: str, anchor_day: int, begins: str, ends: str
) -> None:
    assert month_start(instant(at), anchor_day) == instant(begins)
    assert next_month_start(instant(at), anchor_day) == instant(ends)


@given(st.integers(0, 4_000_000_000), st.integers(1, 31))
def test_every_instant_is_in_a_month_of_28_to_31_days(at_s: int, anchor_day: int) -> None:
    begins, ends = month_start(at_s, anchor_day), next_month_start(at_s, anchor_day)
    assert begins <= at_s < ends
    assert 28 <= (ends - begins) / DAY_S <= 31
    assert month_start(ends, anchor_day) == ends
    assert month_start(ends - 1, anchor_day) == begins


def test_clocks_that_agree_give_one_time(clock: ManualClock) -> None:
    time = WallTime(clock)
    clock.advance(HOUR_S)
    clock.skew = 0.5  # what a disciplined clock drifts by
    assert time.latest == EPOCH.timestamp() + HOUR_S + 0.5
    assert time.earliest == EPOCH.timestamp() + HOUR_S


@pytest.mark.parametrize("skew_s", [2 * HOUR_S, -2 * HOUR_S])
def test_after_a_jump_the_truth_lies_in_between(clock: ManualClock, skew_s: float) -> None:
    time = WallTime(clock)
    clock.advance(60)
    clock.skew = skew_s
    steady = EPOCH.timestamp() + 60
    assert time.earliest == min(steady, steady + skew_s)
    assert time.latest == max(steady, steady + skew_s)
    assert repr(time) == "<WallTime 7200 s apart>"


@pytest.mark.parametrize("skew_s", [2 * HOUR_S, -2 * HOUR_S])
def test_a_clock_that_stays_set_for_a_day_is_believed(clock: ManualClock, skew_s: float) -> None:
    time = WallTime(clock)
    clock.skew = skew_s
    assert time.latest - time.earliest == 2 * HOUR_S
    clock.advance(DAY_S)
    assert time.latest - time.earliest == 2 * HOUR_S
    clock.advance(1)
    assert time.earliest == time.latest == EPOCH.timestamp() + DAY_S + 1 + skew_s


def test_a_jump_of_the_clock_that_is_undone_is_forgotten(clock: ManualClock) -> None:
    time = WallTime(clock)
    clock.skew = HOUR_S
    assert time.latest - time.earliest == HOUR_S
    clock.advance(DAY_S - 1)
    clock.skew = 0.0
    assert time.latest == time.earliest
    clock.skew = HOUR_S
    assert time.latest - time.earliest == HOUR_S
    clock.advance(DAY_S)  # two days since the first jump, but one since this
    assert time.latest - time.earliest == HOUR_S
