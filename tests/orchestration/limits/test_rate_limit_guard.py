"""The rate-limit guard against an oracle that counts as the provider does."""

from collections import deque
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.window import (
    Cost,
    Permit,
    Priority,
    Refused,
    period_name,
    usable_limit,
)
from backend.providers.adapter import Window
from tests.clocks import ManualClock

ONE = Cost(1, 1)


def take(guard: RateLimitGuard, cost: Cost = ONE) -> Permit:
    permit = guard.try_acquire(cost)
    assert isinstance(permit, Permit)
    return permit


def spend(guard: RateLimitGuard, cost: Cost = ONE) -> None:
    guard.settle(take(guard, cost), was_sent=True, may_have_succeeded=True)


@pytest.mark.parametrize(
    ("limit", "usable"), [(1, 1), (2, 1), (5, 4), (30, 28), (100, 95), (6_000, 5_700)]
)
def test_five_percent_but_at_least_one_call_stays_unused(
    clock: ManualClock, limit: int, usable: int
) -> None:
    guard = RateLimitGuard(clock, [Window(limit, 60)])
    for _ in range(usable):
        spend(guard)
    assert isinstance(guard.try_acquire(ONE), Refused)


def test_a_call_leaves_the_window_a_whole_period_after_it_was_settled(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(2, 60)])
    permit = take(guard)
    clock.advance(3)  # it may have arrived over there as late as this
    guard.settle(permit, was_sent=True, may_have_succeeded=True)
    clock.advance(59.9)
    refused = guard.try_acquire(ONE)
    assert isinstance(refused, Refused)
    assert refused.retry_at - clock.monotonic() == pytest.approx(0.1)
    clock.advance(0.1)
    assert isinstance(guard.try_acquire(ONE), Permit)


def test_calls_in_flight_count(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(3, 60)])
    take(guard)
    take(guard)
    refused = guard.try_acquire(ONE)
    assert refused == Refused("minute", clock.monotonic() + 60)


def test_all_windows_are_reserved_or_none(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(100, 60), Window(3, 3_600)])
    spend(guard)
    spend(guard)
    refused = guard.try_acquire(ONE)
    assert isinstance(refused, Refused)
    assert refused.window == "hour"
    assert [quota.used for quota in guard.quotas()] == [2, 2]


def test_weights_and_requests_are_counted_apart(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(200, 60, unit="weight"), Window(100, 60)])
    spend(guard, Cost(1, 80))
    spend(guard, Cost(1, 80))
    assert [quota.used for quota in guard.quotas()] == [160, 2]
    refused = guard.check(Cost(1, 80))
    assert isinstance(refused, Refused)
    assert guard.check(Cost(1, 2)) is None


def test_the_refusal_names_the_moment_when_enough_has_left(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(101, 60, unit="weight")])
    began = clock.monotonic()
    spend(guard, Cost(1, 30))
    clock.advance(10)
    spend(guard, Cost(1, 60))
    assert guard.check(Cost(1, 30)) == Refused("minute", began + 60)
    assert guard.check(Cost(1, 95)) == Refused("minute", began + 70)


def test_of_several_refusing_windows_the_longest_wait_counts(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(2, 1), Window(2, 60)])
    spend(guard)
    refused = guard.check(ONE)
    assert refused == Refused("minute", clock.monotonic() + 60)


@pytest.mark.parametrize(
    ("counts_on", "was_sent", "may_have_succeeded", "used"),
    [
        ("attempt", True, True, 1),
        ("attempt", True, False, 1),
        ("attempt", False, True, 0),
        ("success", True, True, 1),
        ("success", True, False, 0),
        ("success", False, True, 0),
    ],
)
def test_a_call_is_settled_as_its_window_counts(
    clock: ManualClock, counts_on: str, was_sent: bool, may_have_succeeded: bool, used: int
) -> None:
    window = Window(10, 60, counts_on="attempt" if counts_on == "attempt" else "success")
    guard = RateLimitGuard(clock, [window])
    guard.settle(take(guard), was_sent=was_sent, may_have_succeeded=may_have_succeeded)
    assert guard.quotas()[0].used == used


def test_settling_twice_counts_once(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(10, 60)])
    permit = take(guard)
    guard.settle(permit, was_sent=True, may_have_succeeded=True)
    guard.settle(permit, was_sent=True, may_have_succeeded=True)
    assert guard.quotas()[0].used == 1


def test_a_higher_count_of_the_provider_is_adopted_at_once(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(6_000, 60, unit="weight", header="x-used")])
    spend(guard, Cost(1, 80))
    guard.observe({"x-used": "5690"})
    assert guard.quotas()[0].used == 5_690
    assert isinstance(guard.check(Cost(1, 80)), Refused)


@pytest.mark.parametrize("text", ["10", "", "-5", "many", "9" * 40, "1.5"])
def test_a_lower_count_or_junk_changes_nothing(clock: ManualClock, text: str) -> None:
    guard = RateLimitGuard(clock, [Window(6_000, 60, unit="weight", header="x-used")])
    spend(guard, Cost(1, 80))
    guard.observe({"x-used": text})
    assert guard.quotas()[0].used == 80


def test_headroom_is_the_smallest_share_left(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(101, 60), Window(11, 3_600)])
    assert guard.headroom() == 1.0
    for _ in range(5):
        spend(guard)
    assert guard.headroom() == 0.5
    assert RateLimitGuard(clock, []).headroom() == 1.0


def test_quotas_state_when_the_oldest_call_leaves(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(5, 60)])
    assert guard.quotas()[0].resets_at is None
    spend(guard)
    leaves_at = clock.now() + timedelta(seconds=60)
    clock.advance(20)
    spend(guard)
    quota = guard.quotas()[0]
    assert (quota.window, quota.limit, quota.used, quota.resets_at) == ("minute", 5, 2, leaves_at)
    assert repr(guard) == "<RateLimitGuard <minute 2+0/5>>"


@pytest.mark.parametrize(
    ("period_s", "name"),
    [
        (0.5, "0.5 seconds"),
        (1, "second"),
        (60, "minute"),
        (300, "5 minutes"),
        (3_600, "hour"),
        (43_200, "12 hours"),
        (86_400, "day"),
        (2_592_000, "30 days"),
    ],
)
def test_windows_are_named_by_their_period(period_s: float, name: str) -> None:
    assert period_name(Window(1, period_s)) == name


@given(
    limit=st.integers(1, 40),
    steps=st.lists(st.tuples(st.floats(0, 30), st.floats(0, 3)), max_size=120),
)
def test_no_call_ever_exceeds_the_providers_own_sliding_count(
    limit: int, steps: list[tuple[float, float]]
) -> None:
    """Each step waits, calls if allowed, and is counted over there somewhere in its flight."""
    clock = ManualClock()
    guard = RateLimitGuard(clock, [Window(limit, 60)])
    counted: deque[float] = deque()
    for wait_s, flight_s in steps:
        clock.advance(wait_s)
        permit = guard.try_acquire(ONE)
        if not isinstance(permit, Permit):
            continue
        clock.advance(flight_s / 2)
        counted.append(clock.monotonic())
        clock.advance(flight_s / 2)
        guard.settle(permit, was_sent=True, may_have_succeeded=True)
        recent = [at for at in counted if counted[-1] - at < 60]
        assert len(recent) <= limit


@given(
    limits=st.lists(st.integers(2, 30), min_size=1, max_size=3),
    steps=st.lists(st.tuples(st.sampled_from("asn"), st.floats(0, 40)), max_size=80),
)
def test_permits_are_conserved(limits: list[int], steps: list[tuple[str, float]]) -> None:
    """Each counts once in every window from its reservation on, and, not sent, never again."""
    clock = ManualClock()
    guard = RateLimitGuard(clock, [Window(limit, 3_600.0) for limit in limits])
    held: list[Permit] = []
    sent = 0
    for what, wait_s in steps:
        clock.advance(wait_s)  # less than the shortest window in all
        if what == "a" and isinstance(permit := guard.try_acquire(ONE), Permit):
            held.append(permit)
        elif what != "a" and held:
            sent += what == "s"
            guard.settle(held.pop(), was_sent=what == "s", may_have_succeeded=True)
        assert {quota.used for quota in guard.quotas()} == {sent + len(held)}
    for permit in held:
        guard.settle(permit, was_sent=False, may_have_succeeded=False)
    assert {quota.used for quota in guard.quotas()} == {sent}


@pytest.mark.parametrize(
    ("limit", "one_off"), [(1, 1), (2, 1), (3, 1), (5, 3), (30, 22), (6_000, 4_560)]
)
def test_a_one_off_question_leaves_the_last_share_of_a_short_window(
    clock: ManualClock, limit: int, one_off: int
) -> None:
    guard = RateLimitGuard(clock, [Window(limit, 60)])
    used = 0
    while guard.check(ONE, Priority.ONE_OFF) is None:
        assert isinstance(guard.try_acquire(ONE), Permit)
        used += 1
    assert used == one_off
    usable = usable_limit(limit)
    for _ in range(usable - one_off):
        assert guard.check(ONE, Priority.RECURRENT) is None
        assert isinstance(guard.try_acquire(ONE), Permit)
    assert isinstance(guard.check(ONE, Priority.SHARED), Refused)


def test_a_one_off_question_that_needs_a_whole_window_has_an_empty_one(clock: ManualClock) -> None:
    guard = RateLimitGuard(clock, [Window(30, 60)])
    assert guard.check(Cost(28, 28), Priority.ONE_OFF) is None
    assert isinstance(guard.try_acquire(ONE), Permit)
    assert isinstance(guard.check(Cost(28, 28), Priority.ONE_OFF), Refused)
