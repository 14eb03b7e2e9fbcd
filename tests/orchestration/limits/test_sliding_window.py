"""What refusals by rate teach a window of seconds or minutes, and how it forgets it again."""

from collections import Counter
from datetime import timedelta

import pytest

from backend.models.account import AccountLimits
from backend.orchestration.limits.paced_window import UsageHistory
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.sliding_window import COUNTED_LATE_S, MAX_UNSAVED, SlidingWindow
from backend.orchestration.limits.window import Cost, Permit, Refused
from backend.providers.adapter import Window
from tests.clocks import ManualClock

HOUR_S, DAY_S = 3_600.0, 86_400.0
ONE = Cost(1, 1)
MINUTE = Window(30, 60)  # 28 usable
LONG = {
    "alone": (),
    "with a day": (Window(100_000, DAY_S),),
    "with a month": (Window(1_000_000, 30 * DAY_S, kind="month"),),
}


def refuse(guard: RateLimitGuard, after: int) -> None:
    """A 429 to the call after so many that went."""
    for _ in range(after + 1):
        permit = guard.try_acquire(ONE)
        assert isinstance(permit, Permit)
        if _ == after:
            guard.learn()
        guard.settle(permit, was_sent=True, may_have_succeeded=_ < after)


def usable(guard: RateLimitGuard, clock: ManualClock) -> int:
    """How many calls go through at once, a minute from now."""
    clock.advance(60)
    permits = []
    while isinstance(permit := guard.try_acquire(ONE), Permit):
        permits.append(permit)
    for permit in permits:
        guard.settle(permit, was_sent=False, may_have_succeeded=False)
    return len(permits)


def test_a_refusal_near_the_limit_lowers_the_limit(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [MINUTE])
    refuse(guard, after=19)
    assert usable(guard, clock) == 18  # nine tenths of the twenty that were too many


def test_a_refusal_far_below_the_limit_is_foreign_use(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [MINUTE])
    refuse(guard, after=4)
    assert guard.quotas()[0].foreign_usage == 25
    assert usable(guard, clock) == 28


def test_two_refusals_at_the_same_count_lower_the_limit(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [MINUTE])
    refuse(guard, after=9)
    clock.advance(HOUR_S)
    refuse(guard, after=10)
    assert usable(guard, clock) == 9


@pytest.mark.parametrize(("pause_s", "after"), [(HOUR_S, 4), (7 * HOUR_S, 9)])
def test_refusals_at_other_counts_or_much_later_do_not_lower_it(
    clock: ManualClock, pause_s: float, after: int
) -> None:
    guard = RateLimitGuard(clock, [MINUTE])
    refuse(guard, after=9)
    clock.advance(pause_s)
    refuse(guard, after=after)
    assert usable(guard, clock) == 28


def test_refusals_of_one_burst_are_one(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [MINUTE])
    for _ in range(20):
        guard.settle(permit_of(guard), was_sent=True, may_have_succeeded=True)
    for _ in range(5):
        guard.learn()
        clock.advance(1)
    assert usable(guard, clock) == 18


def test_refusals_a_few_seconds_apart_are_not_one_burst_for_ever(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [MINUTE])
    answered: list[float] = []
    for _ in range(200):  # a call every three seconds, of which ten a minute are answered
        clock.advance(3)
        permit = guard.try_acquire(ONE)
        if isinstance(permit, Permit):
            is_refused = len([at for at in answered if clock.elapsed - at < 60]) >= 10
            if is_refused:
                guard.learn()
            else:
                answered.append(clock.elapsed)
            guard.settle(permit, was_sent=True, may_have_succeeded=not is_refused)
    assert usable(guard, clock) < 20


def permit_of(guard: RateLimitGuard) -> Permit:
    permit = guard.try_acquire(ONE)
    assert isinstance(permit, Permit)
    return permit


def test_a_lowered_limit_stays_for_a_day_and_then_grows_by_the_hour(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [MINUTE])
    refuse(guard, after=19)
    learnt_at = clock.elapsed
    clock.advance(DAY_S - 60)
    assert usable(guard, clock) == 18
    assert clock.elapsed == learnt_at + DAY_S
    clock.advance(HOUR_S - 60)
    assert usable(guard, clock) == 19  # 5 % of 28 an hour
    clock.advance(4 * HOUR_S - 60)
    assert usable(guard, clock) == 25
    clock.advance(DAY_S)
    assert usable(guard, clock) == 28


def test_each_further_time_a_lowered_limit_stays_twice_as_long(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [MINUTE])
    refuse(guard, after=19)
    clock.advance(3 * DAY_S)
    refuse(guard, after=19)
    clock.advance(2 * DAY_S - 60)
    assert usable(guard, clock) == 18
    clock.advance(HOUR_S)
    assert usable(guard, clock) > 18


def test_a_limit_is_never_lowered_below_one_call(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(2, 60)])
    refuse(guard, after=0)
    assert usable(guard, clock) == 1


@pytest.mark.many_rounds
@pytest.mark.parametrize("long", LONG.values(), ids=list(LONG))
@pytest.mark.parametrize(("gap_s", "burst"), [(61, 15), (600, 12), (5, 1), (20, 4)])
def test_a_cut_from_thirty_to_ten_a_minute_costs_three_refusals_a_day_at_most(
    clock: ManualClock, long: tuple[Window, ...], gap_s: float, burst: int
) -> None:
    guard = RateLimitGuard(clock, [MINUTE, *long])
    answered: list[float] = []
    refused: list[float] = []
    while clock.elapsed < DAY_S:
        clock.advance(gap_s)
        for _ in range(burst):
            permit = guard.try_acquire(ONE)
            if not isinstance(permit, Permit):
                break
            answered = [second for second in answered[-10:] if clock.elapsed - second < 60]
            is_refused = len(answered) >= 10
            (refused if is_refused else answered).append(clock.elapsed)
            if is_refused:
                guard.learn()
            guard.settle(permit, was_sent=True, may_have_succeeded=not is_refused)
            if is_refused:
                clock.advance(30)  # half of the breaker's least
                break
    assert 1 <= len(refused) <= 3


def test_a_refused_call_that_was_alone_in_its_window_lowers_nothing(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(5, 60)])
    for _ in range(3):
        refuse(guard, after=0)
        clock.advance(300)
    assert usable(guard, clock) == 4
    assert guard.quotas()[0].foreign_usage == 4


def test_of_several_short_windows_the_fullest_is_blamed(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(100, 1), MINUTE])
    refuse(guard, after=19)
    assert guard._short[0].remaining_share(clock.monotonic() + 1) == 1.0
    assert usable(guard, clock) == 18


def test_without_a_short_window_there_is_nothing_to_learn(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(100, DAY_S)])
    before = guard.quotas()
    guard.learn()
    assert guard.quotas() == before


def test_foreign_use_stated_by_the_provider_is_shown(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(100, 60, header="x-used")])
    guard.observe({"x-used": "40"})
    guard.observe({"x-used": "45"})
    assert guard.quotas()[0].foreign_usage == 45
    clock.advance(60)
    assert guard.quotas()[0].used == 0


def test_the_oldest_call_says_when_something_is_free_again(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [MINUTE])
    assert guard.quotas()[0].resets_at is None
    guard.settle(permit_of(guard), was_sent=True, may_have_succeeded=True)
    assert guard.quotas()[0].resets_at == clock.now() + timedelta(seconds=60)


@pytest.mark.parametrize(("keeps", "limits"), [(False, [100, 2_000]), (True, [30, 10_000])])
def test_limits_stated_by_the_provider_apply_unless_the_user_set_some(
    clock: ManualClock, keeps: bool, limits: list[int]
) -> None:
    month = Window(10_000, 30 * DAY_S, kind="month")
    guard = RateLimitGuard(clock, [MINUTE, Window(1_000, DAY_S), month])
    before = guard.quotas()
    guard.redeclare(AccountLimits(100, 2_000, 9_000), keeps_limits=keeps)
    minute, day, told = guard.quotas()
    assert [minute.limit, told.limit] == limits
    assert day == before[1]
    assert told.used == 9_000


def test_missing_account_figures_change_nothing(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [MINUTE, Window(10_000, 30 * DAY_S, kind="month")])
    before = guard.quotas()
    guard.redeclare(AccountLimits(None, None, None), keeps_limits=False)
    assert guard.quotas() == before


def test_a_window_of_no_calls_says_so(clock: ManualClock) -> None:
    window = SlidingWindow(Window(30, 60), clock)
    assert window.remaining_share(clock.monotonic()) == 1.0
    assert window.quota(clock.monotonic()).used == 0


def test_without_long_windows_there_is_no_pace(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [MINUTE])
    assert (guard.budget_wait_s(ONE), guard.interval_s(ONE)) == (0.0, 0.0)
    assert guard.unsaved() == {}


Store = Counter[tuple[str, int]]


def after_a_restart(clock: ManualClock, store: Store) -> RateLimitGuard:
    def past(name: str) -> UsageHistory:
        return UsageHistory(
            {tick: n for (window, tick), n in store.items() if window == name}, None
        )

    return RateLimitGuard(clock, [MINUTE], past)


def test_the_calls_of_a_minute_outlive_a_restart(clock: ManualClock) -> None:
    """A restart of keyless CoinGecko overran its 5 a minute."""
    guard, store = RateLimitGuard(clock, [MINUTE]), Store()
    for _ in range(27):
        permit = guard.try_acquire(ONE)
        assert isinstance(permit, Permit)
        store.update(guard.unsaved())  # before it leaves: whatever happens to us, it counts
        guard.settle(permit, was_sent=True, may_have_succeeded=True)
        clock.advance(1)
    again = after_a_restart(clock, store)
    assert again.quotas()[0].used == 27
    assert isinstance(again.try_acquire(ONE), Permit)
    refused = again.check(ONE)
    assert isinstance(refused, Refused)
    in_s = refused.retry_at - clock.monotonic()
    assert in_s == pytest.approx(60 - 27 + COUNTED_LATE_S)
    clock.advance(in_s)
    assert again.check(ONE) is None


def test_a_call_that_never_left_is_given_back_to_the_store(clock: ManualClock) -> None:
    guard, store = RateLimitGuard(clock, [MINUTE]), Store()
    permit = guard.try_acquire(ONE)
    assert isinstance(permit, Permit)
    store.update(guard.unsaved())
    clock.advance(3)
    guard.settle(permit, was_sent=False, may_have_succeeded=False)
    store.update(guard.unsaved())
    assert list(store.values()) == [0]
    assert after_a_restart(clock, store).quotas()[0].used == 0


@pytest.mark.parametrize(("ahead_s", "for_s"), [(COUNTED_LATE_S, 60 + COUNTED_LATE_S), (1_000, 60)])
def test_a_call_that_may_be_under_way_at_a_restart_counts_until_its_end(
    clock: ManualClock, ahead_s: int, for_s: float
) -> None:
    """The provider may count it as late as that. One dated later is a wrong clock's."""
    past = {int(clock.now().timestamp()) + ahead_s: 2}
    window = SlidingWindow(MINUTE, clock, past)
    for seconds, used in ((0.0, 2), (for_s - 0.1, 2), (for_s + 0.1, 0)):
        clock.elapsed = seconds
        assert window.quota(clock.monotonic()).used == used


@pytest.mark.parametrize("skew_s", [-7_200.0, 7_200.0])
def test_a_clock_set_back_during_a_restart_blocks_no_calls(
    clock: ManualClock, skew_s: float
) -> None:
    guard, store = RateLimitGuard(clock, [MINUTE]), Store()
    assert all(isinstance(guard.try_acquire(ONE), Permit) for _ in range(28))
    store.update(guard.unsaved())
    clock.skew = skew_s
    again = after_a_restart(clock, store)
    clock.advance(60)
    assert again.check(ONE) is None


def test_unsaved_calls_are_bounded(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(10, 1)])
    for _ in range(MAX_UNSAVED + 50):
        permit = guard.try_acquire(ONE)
        assert isinstance(permit, Permit)
        guard.settle(permit, was_sent=True, may_have_succeeded=True)
        clock.advance(1)
    assert len(guard.unsaved()) == MAX_UNSAVED


@pytest.mark.parametrize(
    ("period_s", "name"),
    [
        (0.5, "0.5 seconds"),
        (1, "second"),
        (60, "minute"),
        (300, "5 minutes"),
        (3_600, "hour"),
        (7 * DAY_S, "7 days"),
    ],
)
def test_a_window_is_named_by_its_period(clock: ManualClock, period_s: float, name: str) -> None:
    assert RateLimitGuard(clock, [Window(10, period_s)]).quotas()[0].window == name


def test_calls_under_way_are_a_part_of_what_is_assumed(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(3, 60)])
    assert isinstance(guard.try_acquire(ONE), Permit)
    guard.assume_short_used()
    assert isinstance(guard.try_acquire(ONE), Refused)
    assert guard.quotas()[0].used == 2


def test_nothing_is_assumed_where_all_is_under_way(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(2, 60)])
    assert isinstance(guard.try_acquire(ONE), Permit)
    guard.assume_short_used()
    assert guard.quotas()[0].used == 1
