"""A day's or month's budget: resets to the second, pace, restarts, clocks that jump."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from backend.models.account import AccountLimits
from backend.models.status import Quota
from backend.orchestration.limits.paced_window import NO_HISTORY, PacedWindow, UsageHistory
from backend.orchestration.limits.period import MinuteLog, Period
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.sliding_window import LearnedLimit
from backend.orchestration.limits.window import Cost, Permit, Priority, Refused
from backend.providers.adapter import Window
from tests.clocks import EPOCH, EPOCH_MS, ManualClock

HOUR_S, DAY_S = 3_600.0, 86_400.0
ONE, MINUTE = Cost(1, 1), EPOCH_MS // 60_000
A_DAY = Window(100, DAY_S, kind="day", header="x-used")  # 95 usable, 1 to save up or to borrow
ANY_DAY = Window(100, DAY_S)
A_MONTH = Window(10_000, 30 * DAY_S, kind="month")  # 9 500 usable, 190 to save up or to borrow


def at(text: str) -> ManualClock:
    return ManualClock(datetime.fromisoformat(text).replace(tzinfo=UTC))


def guard_of(
    clock: ManualClock, window: Window, past: UsageHistory | None = None
) -> RateLimitGuard:
    """As after a restart without a pause, if no past is given."""
    known = past or UsageHistory({}, clock.now().timestamp())
    return RateLimitGuard(clock, [window], lambda _name: known)


def spend(guard: RateLimitGuard, cost: Cost = ONE) -> bool:
    permit = guard.try_acquire(cost)
    if isinstance(permit, Permit):
        guard.settle(permit, was_sent=True, may_have_succeeded=True)
    return isinstance(permit, Permit)


def wait_s(guard: RateLimitGuard, clock: ManualClock, cost: Cost = ONE) -> float:
    refused = guard.check(cost)
    return refused.retry_at - clock.monotonic() if refused else 0.0


def spent_by_asking(
    guard: RateLimitGuard, clock: ManualClock, until_s: float, step_s: float
) -> int:
    """How many of the calls that are tried every `step_s` go through."""
    went = 0
    while clock.elapsed < until_s:
        clock.advance(step_s)
        went += spend(guard)
    return went


# The calendar


@pytest.mark.parametrize(
    ("start", "window", "resets_in_s"),
    [
        ("2026-11-22T08:00", A_DAY, 16 * HOUR_S),
        ("2026-11-22T23:59:30", A_DAY, 30),
        ("2026-11-22T00:00", A_DAY, DAY_S),
        ("2026-12-31T23:00", A_DAY, HOUR_S),
        ("2026-11-22T00:00", A_MONTH, 9 * DAY_S),
        ("2026-12-31T00:00", A_MONTH, DAY_S),
        ("2028-02-28T00:00", A_MONTH, 2 * DAY_S),
        ("2027-02-28T00:00", A_MONTH, DAY_S),
        ("2026-02-10T00:00", Window(10_000, 30 * DAY_S, kind="month", anchor_day=31), 18 * DAY_S),
        ("2028-02-10T00:00", Window(10_000, 30 * DAY_S, kind="month", anchor_day=29), 19 * DAY_S),
        ("2026-12-30T00:00", Window(10_000, 30 * DAY_S, kind="month", anchor_day=30), 31 * DAY_S),
    ],
)
def test_a_calendars_use_is_gone_at_its_reset_to_the_second(
    start: str, window: Window, resets_in_s: float
) -> None:
    clock = at(start)
    guard = guard_of(clock, window)
    assert spend(guard)
    assert guard.quotas()[0].resets_at == clock.now() + timedelta(seconds=resets_in_s)
    clock.advance(resets_in_s - 1)
    assert guard.quotas()[0].used == 1
    clock.advance(1)
    assert guard.quotas()[0].used == 0


def test_a_sliding_days_use_leaves_it_a_day_and_its_minute_later(clock: ManualClock) -> None:
    guard = guard_of(clock, ANY_DAY)
    assert guard.quotas()[0].resets_at is None
    clock.advance(30)
    assert spend(guard)
    assert guard.quotas()[0].resets_at == clock.now() + timedelta(seconds=DAY_S + 30)
    clock.advance(DAY_S + 29.5)
    assert guard.quotas()[0].used == 1
    clock.advance(0.5)
    assert guard.quotas()[0].used == 0


def test_a_spent_day_is_refused_until_midnight(clock: ManualClock) -> None:
    guard = guard_of(clock, A_DAY, UsageHistory({MINUTE: 95}, EPOCH.timestamp()))
    assert guard.check(ONE) == Refused("day", clock.monotonic() + 16 * HOUR_S)
    assert guard.quotas()[0].forecast_exhausted_at == clock.now()
    assert guard.headroom() == 0.0
    clock.advance(16 * HOUR_S)
    assert spend(guard)


def test_a_spent_sliding_day_is_refused_until_enough_has_left(clock: ManualClock) -> None:
    past = UsageHistory({MINUTE - 600: 50, MINUTE - 300: 45}, EPOCH.timestamp())
    guard = guard_of(clock, ANY_DAY, past)
    in_s = DAY_S - 599 * 60
    assert guard.check(ONE) == Refused("day", clock.monotonic() + in_s)
    assert wait_s(guard, clock, Cost(60, 60)) == DAY_S - 299 * 60  # when both have left
    clock.advance(in_s - 1)
    assert not spend(guard)
    clock.advance(1)
    assert spend(guard)


def test_calls_in_flight_that_fill_a_sliding_day_are_in_the_way_for_a_day(
    clock: ManualClock,
) -> None:
    guard = guard_of(clock, Window(2, DAY_S))
    assert isinstance(guard.try_acquire(ONE), Permit)
    assert guard.check(ONE) == Refused("day", clock.monotonic() + DAY_S)
    assert repr(guard) == "<RateLimitGuard <day 0+1/2>>"


def test_calls_before_the_period_do_not_count(clock: ManualClock) -> None:
    yesterday = UsageHistory({MINUTE - 8 * 60 - 1: 40, MINUTE - 8 * 60: 2}, EPOCH.timestamp())
    assert guard_of(clock, A_DAY, yesterday).quotas()[0].used == 2


# The pace


def test_a_saved_up_and_a_borrowed_call_then_the_exact_moment_of_the_next() -> None:
    clock = at("2026-11-22T00:00")
    guard = guard_of(clock, ANY_DAY)  # 93 tokens a day come in
    assert guard.budget_wait_s(ONE) == 0
    assert spend(guard)  # saved up
    assert guard.budget_wait_s(ONE) == pytest.approx(DAY_S / 93)
    assert spend(guard)  # borrowed
    assert guard.budget_wait_s(ONE) == pytest.approx(2 * DAY_S / 93)
    refused = guard.check(ONE)
    assert isinstance(refused, Refused)
    in_s = refused.retry_at - clock.monotonic()
    assert in_s == pytest.approx(DAY_S / 93)
    clock.advance(in_s - 0.01)
    assert not spend(guard)
    clock.advance(0.02)
    assert spend(guard)
    assert guard.interval_s(ONE) == pytest.approx(DAY_S / 93)


def test_no_more_is_saved_up_than_two_percent(clock: ManualClock) -> None:
    guard = guard_of(clock, Window(10_000, 30 * DAY_S))
    clock.advance(20 * DAY_S)
    went = 0
    while guard.budget_wait_s(ONE) == 0 and spend(guard):
        went += 1
    assert went == 190
    while spend(guard):
        went += 1
    assert went == 380  # and as much again is borrowed


def test_a_cost_above_what_can_be_saved_up_passes_with_all_tokens_saved(clock: ManualClock) -> None:
    guard = guard_of(clock, ANY_DAY)
    three = Cost(3, 3)
    assert guard.budget_wait_s(three) == 0
    assert spend(guard, three)  # two in debt
    assert wait_s(guard, clock, three) == pytest.approx(3 * DAY_S / 93)
    clock.advance(wait_s(guard, clock, three) + 1)
    assert spend(guard, three)


def test_a_wait_for_the_pace_ends_with_the_day_at_the_latest() -> None:
    clock = at("2026-11-22T23:30")
    guard = guard_of(clock, A_DAY)
    assert spend(guard)
    assert spend(guard)
    assert DAY_S / 93 < 1_800 < 3 * DAY_S / 93
    assert guard.budget_wait_s(Cost(1, 1)) == pytest.approx(1_800)
    clock.advance(1_800)
    assert spend(guard)


def test_borrowed_tokens_are_forgiven_at_the_reset() -> None:
    clock = at("2026-11-30T23:59")
    guard = guard_of(clock, A_MONTH)
    while spend(guard):
        pass
    clock.advance(60)
    assert guard.quotas()[0].used == 0
    assert wait_s(guard, clock) == 0.0
    assert sum(spend(guard) for _ in range(400)) == 190  # borrowed, nothing is saved up yet


@pytest.mark.parametrize("window", [A_DAY, ANY_DAY])
def test_constant_demand_is_served_evenly_and_never_beyond_the_limit(window: Window) -> None:
    clock = at("2026-11-22T00:00")
    guard = guard_of(clock, window)
    by_quarter = [spent_by_asking(guard, clock, n * DAY_S / 4, 60) for n in range(1, 5)]
    assert sum(by_quarter) <= 95
    assert all(22 <= went <= 26 for went in by_quarter)


def test_late_in_a_spent_day_the_rest_is_shared_out_evenly() -> None:
    clock = at("2026-11-22T12:00")
    guard = guard_of(clock, A_DAY)
    guard.observe({"x-used": "85"})  # somebody else's: 10 are left for 12 hours
    assert guard.interval_s(ONE) == pytest.approx(12 * HOUR_S / 10)
    assert spent_by_asking(guard, clock, 12 * HOUR_S - 60, 60) == 10


def test_a_long_window_of_weights_counts_weights(clock: ManualClock) -> None:
    guard = guard_of(clock, Window(10_000, 30 * DAY_S, unit="weight"))
    assert spend(guard, Cost(1, 40))
    assert guard.quotas()[0].used == 40


def test_a_window_of_successes_gives_failures_back(clock: ManualClock) -> None:
    guard = guard_of(clock, Window(100, DAY_S, counts_on="success"))
    permit = guard.try_acquire(ONE)
    assert isinstance(permit, Permit)
    guard.settle(permit, was_sent=True, may_have_succeeded=False)
    assert guard.quotas()[0].used == 0
    guard.settle(permit, was_sent=True, may_have_succeeded=True)  # a second time is nothing
    assert guard.quotas()[0].used == 0
    assert guard.unsaved() == {}


def test_headroom_is_relative_to_the_time_that_is_left() -> None:
    clock = at("2026-11-22T12:00")
    spent = UsageHistory({int(clock.now().timestamp()) // 60 - 5: 71}, clock.now().timestamp())
    guard = guard_of(clock, A_DAY, spent)
    assert guard.headroom() == pytest.approx(24 / 95 * 2)
    assert guard_of(clock, A_DAY).headroom() == 1.0


def test_a_sliding_windows_headroom_is_what_may_still_be_borrowed(clock: ManualClock) -> None:
    guard = guard_of(clock, Window(10_000, 30 * DAY_S))
    assert guard.headroom() == 1.0
    for _ in range(190 + 95):
        spend(guard)
    assert guard.headroom() == pytest.approx(0.5)
    for _ in range(95):
        spend(guard)
    assert guard.headroom() == 0.0


# What is not known


@pytest.mark.parametrize(
    ("start", "window", "assumed"),
    [
        ("2026-11-22T06:00", A_DAY, int(95 / 4)),
        ("2026-11-22T12:00", A_DAY, int(95 / 2)),
        ("2026-11-22T23:59", A_DAY, 94),  # but never all: one may be saved up
        ("2026-11-22T00:00", A_DAY, 0),
        ("2026-11-22T00:00:30", A_DAY, 0),
        ("2026-11-22T12:00", ANY_DAY, 94),
        ("2026-11-16T00:00", A_MONTH, 4_750),
    ],
)
def test_without_history_the_elapsed_share_of_the_period_counts_as_used(
    start: str, window: Window, assumed: int
) -> None:
    guard = guard_of(at(start), window, NO_HISTORY)
    quota = guard.quotas()[0]
    assert (quota.used, quota.assumed_usage) == (assumed, assumed)
    assert sum(guard.unsaved().values()) == assumed  # the next start is to know it


def test_an_unknown_gap_counts_at_an_even_pace_with_what_is_known(clock: ManualClock) -> None:
    past = UsageHistory({MINUTE - 300: 10}, EPOCH.timestamp() - 4 * HOUR_S)
    quota = guard_of(clock, A_DAY, past).quotas()[0]
    assert (quota.used, quota.assumed_usage) == (10 + 15, 15)


def test_a_sign_of_life_a_minute_ago_leaves_no_gap(clock: ManualClock) -> None:
    past = UsageHistory({MINUTE - 300: 10}, EPOCH.timestamp() - 60)
    assert guard_of(clock, A_DAY, past).quotas()[0].assumed_usage == 0


def test_assumed_calls_leave_the_window_minute_by_minute(clock: ManualClock) -> None:
    guard = guard_of(clock, ANY_DAY, NO_HISTORY)
    uses = []
    for _ in range(24):
        clock.advance(HOUR_S)
        uses.append(guard.quotas()[0])
    assert all(3 <= a.assumed_usage - b.assumed_usage <= 5 for a, b in pairwise(uses))
    clock.advance(60)
    assert guard.quotas()[0].assumed_usage == 0


def test_more_calls_than_minutes_are_spread_over_the_minutes() -> None:
    clock = at("2026-11-22T00:10")
    guard = guard_of(clock, Window(100_000, DAY_S, kind="day"), NO_HISTORY)
    amounts = guard.unsaved()
    assert len(amounts) == 10
    assert sum(amounts.values()) == int(95_000 * 600 / DAY_S)
    assert max(amounts.values()) - min(amounts.values()) <= 1


def test_excess_use_of_the_past_ends_at_the_reset() -> None:
    clock = at("2026-11-28T12:00")
    minute = int(clock.now().timestamp()) // 60 - 60
    past = UsageHistory({minute: 9_000}, clock.now().timestamp())
    guard = guard_of(clock, Window(3_000, 30 * DAY_S, kind="month"), past)
    assert wait_s(guard, clock) == 2.5 * DAY_S
    clock.advance(2.5 * DAY_S)
    assert spend(guard)


# What others say


def test_foreign_use_counts_against_the_limit_but_not_against_the_pace(clock: ManualClock) -> None:
    guard = guard_of(clock, A_DAY)
    guard.observe({"x-used": "50"})
    quota = guard.quotas()[0]
    assert (quota.used, quota.foreign_usage) == (50, 50)
    assert spend(guard)
    assert list(guard.unsaved().values()) == [51]
    guard.observe({"x-used": "51"})
    guard.observe({"x-used": "12"})
    assert guard.quotas()[0].foreign_usage == 50


def test_foreign_use_of_all_that_is_left_ends_at_the_reset() -> None:
    clock = at("2026-11-22T12:00")
    guard = guard_of(clock, A_DAY)
    guard.observe({"x-used": "95"})
    assert wait_s(guard, clock) == 12 * HOUR_S
    clock.advance(12 * HOUR_S)
    assert spend(guard)


def test_a_call_in_flight_is_not_foreign_use(clock: ManualClock) -> None:
    guard = guard_of(clock, A_DAY)
    permit = guard.try_acquire(ONE)
    assert isinstance(permit, Permit)
    guard.observe({"x-used": "1"})
    guard.settle(permit, was_sent=True, may_have_succeeded=True)
    assert (guard.quotas()[0].used, guard.quotas()[0].foreign_usage) == (1, 0)


def test_a_limit_stated_by_the_provider_applies_at_once(clock: ManualClock) -> None:
    window = PacedWindow(Window(10_000, DAY_S), clock, UsageHistory({}, EPOCH.timestamp()))
    window.redeclare(100)
    assert window.can_afford(Cost(95, 95), 0.0, Priority.SHARED)
    assert not window.can_afford(Cost(96, 96), 0.0, Priority.SHARED)
    pace = window.quota(clock.monotonic()).calls_per_hour
    assert pace == pytest.approx(3_600 / window.interval_s(ONE), abs=0.01)
    assert window.quota(0.0) == Quota("day", 100, 0, 100, None, calls_per_hour=pace)
    assert window.interval_s(ONE) == pytest.approx(DAY_S / 93)
    assert repr(window) == "<day 0+0/100>"


# The forecast


def test_a_rate_that_exhausts_the_budget_has_a_forecast(clock: ManualClock) -> None:
    guard = guard_of(clock, A_DAY)
    assert guard.quotas()[0].forecast_exhausted_at is None
    clock.advance(HOUR_S)
    guard.observe({"x-used": "60"})  # 60 in six hours, and 35 are left
    assert guard.quotas()[0].forecast_exhausted_at == clock.now() + timedelta(hours=3.5)


def test_a_rate_that_lasts_until_the_reset_has_no_forecast(clock: ManualClock) -> None:
    guard = guard_of(clock, A_DAY)
    guard.observe({"x-used": "20"})
    assert guard.quotas()[0].forecast_exhausted_at is None


def test_many_assumed_calls_stand_in_few_minutes_and_none_is_forgotten_too_soon() -> None:
    """Each minute is a row of the saved state."""
    clock = at("2026-11-29T12:00")
    window = PacedWindow(Window(10_000, 30 * DAY_S), clock, NO_HISTORY)
    first_week = clock.now().timestamp() - 23 * DAY_S
    assert window.unsaved() == {}
    rows = window.unsaved_assumed()
    assert len(rows) <= 1_000
    assert sum(rows.values()) == 9_500 - 190
    assert max(rows) * 60 <= clock.now().timestamp()
    share = sum(n for minute, n in rows.items() if minute * 60 < first_week) / sum(rows.values())
    assert 7 / 30 - 0.002 < share <= 7 / 30


def test_assumed_calls_make_no_forecast() -> None:
    guard = guard_of(at("2026-11-22T18:00"), A_DAY, NO_HISTORY)
    assert guard.quotas()[0].forecast_exhausted_at is None


# Clocks that jump


@pytest.mark.parametrize("skew_s", [2 * HOUR_S, -2 * HOUR_S])
@pytest.mark.parametrize("window", [A_DAY, ANY_DAY, A_MONTH])
def test_a_jump_of_the_wall_clock_forgets_nothing_and_frees_nothing(
    clock: ManualClock, window: Window, skew_s: float
) -> None:
    guard = guard_of(clock, window)
    assert spend(guard)
    clock.skew = skew_s
    assert guard.quotas()[0].used == 1
    clock.advance(HOUR_S)
    assert spend(guard)
    assert guard.quotas()[0].used == 2
    clock.skew = 0.0
    assert guard.quotas()[0].used == 2


@pytest.mark.parametrize("skew_s", [2 * HOUR_S, -2 * HOUR_S])
def test_midnight_by_only_one_clock_is_no_reset(skew_s: float) -> None:
    clock = at("2026-11-22T23:00")
    guard = guard_of(clock, A_DAY)
    assert spend(guard)
    clock.skew = skew_s
    assert guard.quotas()[0].used == 1
    clock.advance(HOUR_S + max(0.0, -skew_s))
    assert guard.quotas()[0].used == 0


@pytest.mark.parametrize("skew_s", [2 * HOUR_S, -2 * HOUR_S])
@pytest.mark.parametrize("window", [A_DAY, ANY_DAY])
def test_whatever_the_wall_clock_does_no_real_day_exceeds_the_limit(
    window: Window, skew_s: float
) -> None:
    clock = at("2026-11-22T00:00")
    guard = guard_of(clock, window)
    went: list[float] = []
    for step in range(6 * 24 * 12):
        clock.skew = skew_s if step % 400 > 200 else 0.0
        clock.advance(300)
        if spend(guard):
            went.append(clock.elapsed)
    days = [sum(day * DAY_S <= second < (day + 1) * DAY_S for second in went) for day in range(6)]
    assert max(days) <= 100
    assert min(days) >= 60


def test_a_sliding_period_is_a_span_however_the_wall_clock_is_set() -> None:
    clock = at("2026-11-22T00:00")
    guard = guard_of(clock, Window(100, DAY_S / 2))
    clock.skew = 2 * HOUR_S
    assert spend(guard)
    clock.skew = -2 * HOUR_S
    clock.advance(60)
    assert spend(guard)
    resets_at = guard.quotas()[0].resets_at
    assert resets_at is not None
    clock.advance((resets_at - clock.now()).total_seconds() - 1)
    assert guard.quotas()[0].used == 2
    clock.advance(1)
    assert guard.quotas()[0].used == 1
    clock.advance(60)
    assert guard.quotas()[0].used == 0


@pytest.mark.parametrize("skew_s", [2 * HOUR_S, -2 * HOUR_S])
def test_after_a_restart_no_call_of_a_sliding_window_is_counted_too_early(skew_s: float) -> None:
    clock = at("2026-11-22T00:00")
    guard = guard_of(clock, ANY_DAY)
    clock.skew = skew_s
    assert spend(guard)
    stored = {minute * 60.0 for _, minute in guard.unsaved()}
    assert min(stored) >= clock.now().timestamp() - 60


# Restarts


def restarted(
    guard: RateLimitGuard, clock: ManualClock, kept: dict[int, int]
) -> Callable[[str], UsageHistory]:
    for (_, minute), amount in guard.unsaved().items():
        kept[minute] = kept.get(minute, 0) + amount
    return lambda _name: UsageHistory(dict(kept), clock.now().timestamp())


@pytest.mark.parametrize("window", [A_DAY, ANY_DAY])
def test_repeated_restarts_never_exceed_the_limit(window: Window) -> None:
    clock, kept = at("2026-11-22T00:00"), dict[int, int]()
    guard = guard_of(clock, window)
    went = 0
    while clock.elapsed < DAY_S - 600:
        clock.advance(600)
        guard = RateLimitGuard(clock, [window], restarted(guard, clock, kept))
        went += sum(spend(guard) for _ in range(5))
    assert went <= 95
    assert sum(kept.values()) <= 95


def test_the_providers_own_figure_replaces_assumed_calls(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(100, 86_400, kind="day")])
    before = guard.quotas()[0]
    assert before.assumed_usage == before.used > 20
    limits = AccountLimits(None, None, None)
    guard.redeclare(limits, keeps_limits=True)
    assert guard.quotas()[0] == before, "it said nothing"
    guard._long[0].reconcile_usage(7)
    assert (guard.quotas()[0].used, guard.quotas()[0].assumed_usage) == (7, 7)
    guard._long[0].reconcile_usage(0)
    assert (guard.quotas()[0].used, guard.quotas()[0].assumed_usage) == (0, 0)
    guard._long[0].reconcile_usage(9)
    assert (guard.quotas()[0].used, guard.quotas()[0].foreign_usage) == (9, 9)
    guard._long[0].reconcile_usage(3)
    assert guard.quotas()[0].used == 9, "what was really counted stays"


@pytest.mark.parametrize("priority", [Priority.ONE_OFF, Priority.RECURRENT])
def test_only_a_shared_question_may_borrow(priority: Priority) -> None:
    clock = at("2026-11-22T00:00")
    guard = guard_of(clock, ANY_DAY)  # one call is saved up, one may be borrowed
    assert guard.check(ONE, priority) is None
    assert spend(guard)
    refused = guard.check(ONE, priority)
    assert isinstance(refused, Refused)
    assert refused.retry_at - clock.monotonic() == pytest.approx(DAY_S / 93)
    assert guard.check(ONE, Priority.SHARED) is None
    clock.advance(DAY_S / 93 + 0.01)
    assert guard.check(ONE, priority) is None


def test_the_parts_of_a_window_show_their_figures(clock: ManualClock) -> None:
    log = MinuteLog({MINUTE: 3}, {MINUTE: 2})
    assert repr(log) == "<MinuteLog 5 in 1 minutes>"
    assert repr(Period(A_DAY, clock)) == "<Period day 86400 s>"
    assert repr(LearnedLimit(clock, 100, 60)) == "<LearnedLimit 95/100>"
