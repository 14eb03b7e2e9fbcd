"""The pool and the shares of a cluster's limit, in one process of it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from backend.models.account import AccountLimits
from backend.orchestration.limits.cluster_guard import (
    RETRY_S,
    ClusterGuard,
    ClusterLimits,
    has_shares,
    share_of,
)
from backend.orchestration.limits.paced_window import NO_HISTORY, UsageHistory
from backend.orchestration.limits.sliding_window import COUNTED_LATE_S
from backend.orchestration.limits.window import Cost, Permit, Priority, Refused, usable_limit
from backend.providers.adapter import Window
from tests.clocks import EPOCH_MS, ManualClock

ONE = Cost(1, 1)
PROCESSES = 4
HEADER = "x-used"
MINUTE = Window(60, 60.0, header=HEADER)
SCARCE = Window(5, 60.0)
DAY = Window(1_000, 86_400.0, kind="day")
TICK = EPOCH_MS // 1_000 + COUNTED_LATE_S


@dataclass
class Part:
    """What this process may do now."""

    leads: bool = True
    has_share: bool = True


def guarded(
    clock: ManualClock,
    part: Part,
    *windows: Window,
    is_known: bool = True,
    history: Callable[[str], UsageHistory] = lambda _window: NO_HISTORY,
) -> tuple[ClusterGuard, ClusterLimits]:
    shared = ClusterLimits(lambda: part.leads, lambda: part.has_share, PROCESSES, 2)
    guard = ClusterGuard(clock, windows, history, shared, share_is_known=is_known)
    return guard, shared


def take_all(guard: ClusterGuard) -> list[Permit]:
    permits = []
    while isinstance(permit := guard.try_acquire(ONE), Permit):
        permits.append(permit)
    return permits


@pytest.mark.parametrize(
    ("limit", "processes", "share"),
    [(60, 4, 3), (60, 1, 14), (60, 57, 0), (20, 1, 0), (22, 1, 5), (6_000, 4, 356), (5, 2, 0)],
)
def test_the_pool_and_all_shares_are_within_the_limit(
    limit: int, processes: int, share: int
) -> None:
    assert share_of(limit, processes) == share
    assert processes * share < usable_limit(limit)
    assert has_shares([Window(limit, 60.0)], processes) == (share > 0)


def test_accounts_with_a_long_window_have_no_shares() -> None:
    assert has_shares([MINUTE], PROCESSES)
    assert not has_shares([MINUTE, DAY], PROCESSES)
    assert not has_shares([MINUTE, SCARCE], PROCESSES)


def test_the_leader_uses_the_pool_and_the_others_their_share(clock: ManualClock) -> None:
    part = Part()
    guard, shared = guarded(clock, part, MINUTE)
    share = share_of(60, PROCESSES)
    assert len(take_all(guard)) == usable_limit(60) - PROCESSES * share
    refused = guard.try_acquire(ONE)
    assert isinstance(refused, Refused)
    assert refused.window == "minute"
    assert guard.headroom() == 0.0
    part.leads = False
    assert guard.headroom() == 1.0
    permits = take_all(guard)
    assert len(permits) == share
    for permit in permits:
        guard.settle(permit, was_sent=True, may_have_succeeded=True)
    assert shared.share_calls == share
    assert isinstance(guard.check(ONE), Refused)


def test_a_call_is_settled_where_it_was_reserved(clock: ManualClock) -> None:
    part = Part()
    guard, shared = guarded(clock, part, MINUTE)
    permit = guard.try_acquire(ONE)
    assert isinstance(permit, Permit)
    part.leads = False
    guard.settle(permit, was_sent=False, may_have_succeeded=True)
    assert shared.share_calls == 0
    assert guard.quotas()[0].used == 0
    part.leads = True
    assert guard.quotas()[0].used == 0


@pytest.mark.parametrize("window", [SCARCE, MINUTE])
def test_without_a_share_nothing_is_called(clock: ManualClock, window: Window) -> None:
    """It asks again when another may lead."""
    part = Part(leads=False, has_share=window is SCARCE)
    guard, _ = guarded(clock, part, window)
    for refused in (guard.try_acquire(ONE), guard.check(ONE, Priority.ONE_OFF)):
        assert isinstance(refused, Refused)
        assert (refused.window, refused.retry_at) == ("cluster", clock.monotonic() + RETRY_S)
    assert (guard.headroom(), guard.quotas()[0].remaining) == (0.0, 0)
    assert guard.unsaved() == {}
    guard.learn()  # a refusal of no call teaches nothing
    part.leads = True
    assert guard.check(ONE) is None
    assert guard.quotas()[0].remaining == window.limit


def test_a_share_that_is_not_known_begins_used_up(clock: ManualClock) -> None:
    guard, shared = guarded(clock, Part(leads=False), MINUTE, is_known=False)
    assert take_all(guard) == []
    clock.advance(60 + COUNTED_LATE_S)
    assert len(take_all(guard)) == share_of(60, PROCESSES)
    assert shared.mark == "cluster/share-2/known"


def test_the_share_is_recalled_under_a_name_of_its_own(clock: ManualClock) -> None:
    names: list[str] = []

    def history(window: str) -> UsageHistory:
        names.append(window)
        return UsageHistory({EPOCH_MS // 1_000: 1} if "share" in window else {}, None)

    guard, _ = guarded(clock, Part(leads=False), MINUTE, history=history)
    assert names == ["minute", "share-2/minute"]
    assert len(take_all(guard)) == share_of(60, PROCESSES) - 1
    assert guard.unsaved() == {("share-2/minute", TICK): share_of(60, PROCESSES) - 1}


def test_quotas_are_those_that_this_process_may_use(clock: ManualClock) -> None:
    part = Part()
    guard, _ = guarded(clock, part, MINUTE)
    take_all(guard)[:2]
    assert guard.quotas()[0].limit == 60
    part.leads = False
    quota, share = guard.quotas()[0], share_of(60, PROCESSES)
    assert (quota.limit, quota.used, quota.remaining) == (share, 0, share)


def test_only_the_leader_compares_its_count_with_the_providers(clock: ManualClock) -> None:
    part = Part(leads=False)
    guard, _ = guarded(clock, part, MINUTE)
    guard.observe({HEADER: "30"})
    assert guard.quotas()[0].used == 0
    part.leads = True
    guard.observe({HEADER: "30"})
    assert guard.quotas()[0].used == 30


def test_the_leader_hedges_and_paces_by_the_pool(clock: ManualClock) -> None:
    part = Part()
    guard, _ = guarded(clock, part, Window(1_000, 60.0))
    paced, _ = guarded(clock, part, DAY)
    assert guard.allows_hedging(ONE)
    assert (guard.budget_wait_s(ONE), paced.interval_s(ONE) > 0) == (0.0, True)
    assert paced.passed_part == 0.0
    part.leads = False
    assert not guard.allows_hedging(ONE)


def test_a_refusal_by_the_provider_lowers_the_limit_in_use(clock: ManualClock) -> None:
    part = Part()
    guard, _ = guarded(clock, part, MINUTE)
    permits = take_all(guard)
    for permit in permits:
        guard.settle(permit, was_sent=True, may_have_succeeded=True)
    guard.learn()
    clock.advance(61)
    assert len(take_all(guard)) < len(permits)
    part.leads = False
    assert len(take_all(guard)) == share_of(60, PROCESSES)


def test_a_stated_limit_is_that_of_the_pool(clock: ManualClock) -> None:
    guard, _ = guarded(clock, Part(), MINUTE)
    guard.redeclare(
        AccountLimits(per_minute=120, per_month=None, used_this_month=None), keeps_limits=False
    )
    most = usable_limit(120) - PROCESSES * share_of(120, PROCESSES)
    assert len(take_all(guard)) == most


def test_corrections_of_the_pool_are_left_out_while_another_leads(clock: ManualClock) -> None:
    part = Part()
    guard, _ = guarded(clock, part, MINUTE)
    permit = guard.try_acquire(ONE)
    assert isinstance(permit, Permit)
    assert guard.unsaved() == {("minute", TICK): 1}
    part.leads = False
    guard.settle(permit, was_sent=False, may_have_succeeded=True)
    assert guard.unsaved() == {}
    part.leads = True
    assert guard.unsaved() == {}


def test_a_call_reserved_just_before_the_lease_ended_is_shown_to_the_store(
    clock: ManualClock,
) -> None:
    """The store refuses it."""
    part = Part()
    guard, _ = guarded(clock, part, MINUTE)
    assert isinstance(guard.try_acquire(ONE), Permit)
    part.leads = False
    assert guard.unsaved() == {("minute", TICK): 1}


def test_it_says_which_part_is_in_use(clock: ManualClock) -> None:
    part = Part()
    guard, _ = guarded(clock, part, MINUTE)
    assert repr(guard) == "<ClusterGuard pool <RateLimitGuard <minute 0+0/60>>>"
    assert guard.pool.check(ONE) is None
    part.leads = False
    assert repr(guard).startswith("<ClusterGuard share")
