"""The quotas of an account that several processes share, as the status shows them."""

import pytest

from backend.orchestration.limits.cluster_guard import ClusterGuard, ClusterLimits
from backend.orchestration.limits.paced_window import NO_HISTORY
from backend.orchestration.limits.window import Cost, Permit
from backend.providers.adapter import Window
from tests.clocks import ManualClock

PLENTY, SCARCE = Window(6_000, 60.0), Window(5, 60.0)


class Process:
    """One of four processes, and its guard. The calls of its share are known: none."""

    def __init__(self, clock: ManualClock, window: Window) -> None:
        self.is_leader, self.may_share = False, True
        self.limits = ClusterLimits(lambda: self.is_leader, lambda: self.may_share, 4, 0)
        self.guard = ClusterGuard(
            clock, (window,), lambda _name: NO_HISTORY, self.limits, share_is_known=True
        )

    def call(self, *, was_sent: bool = True) -> None:
        permit = self.guard.try_acquire(Cost(1, 1))
        assert isinstance(permit, Permit)
        self.guard.settle(permit, was_sent=was_sent, may_have_succeeded=was_sent)

    @property
    def quota(self) -> tuple[int, int, int]:
        (quota,) = self.guard.quotas()
        return quota.limit, quota.used, quota.remaining


def test_the_leader_shows_the_limit_and_another_process_its_share(clock: ManualClock) -> None:
    process = Process(clock, PLENTY)
    process.call()
    assert process.quota == (356, 1, 355)
    process.is_leader = True
    assert process.quota == (6_000, 0, 6_000)


@pytest.mark.parametrize("window", [PLENTY, SCARCE])
def test_without_a_share_nothing_is_left(clock: ManualClock, window: Window) -> None:
    process = Process(clock, window)
    process.may_share = False
    assert process.quota == (window.limit, 0, 0)


def test_a_limit_that_is_not_shared_out_leaves_nothing_to_others(clock: ManualClock) -> None:
    assert Process(clock, SCARCE).quota == (5, 0, 0)


def test_calls_within_the_share_are_counted_if_they_were_sent(clock: ManualClock) -> None:
    process = Process(clock, PLENTY)
    process.call()
    process.call()
    process.call(was_sent=False)
    process.is_leader = True
    process.call()
    assert process.limits.share_calls == 2
