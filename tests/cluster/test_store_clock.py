"""Ticks of machines whose clocks differ, by the clock of the store."""

import pytest

from backend.cluster.store_clock import BELIEVED_AFTER_S, CLOCKS_DIFFER_S, SAME_S, StoreClock
from tests.clocks import ManualClock

SECOND, MINUTE = 1_790_000_000, 29_833_333


def opened(clock: ManualClock, ahead_s: float) -> StoreClock:
    """After one reading of a store that is ahead of this machine."""
    store_clock = StoreClock(clock)
    read(store_clock, clock, ahead_s)
    return store_clock


def read(store_clock: StoreClock, clock: ManualClock, ahead_s: float) -> None:
    store_clock.set(clock.now().timestamp() + ahead_s)


def test_before_the_first_reading_the_clocks_count_as_equal(clock: ManualClock) -> None:
    store_clock = StoreClock(clock)
    assert (store_clock.ahead_s, store_clock.to_store(SECOND, 1)) == (0.0, SECOND)
    assert store_clock.from_store(SECOND, 1) == SECOND + CLOCKS_DIFFER_S
    assert store_clock.now_s == clock.now().timestamp()
    assert repr(store_clock) == "<StoreClock +0.0 s>"


@pytest.mark.parametrize("ahead_s", [0.0, SAME_S, -SAME_S])
def test_a_small_difference_is_that_of_the_measurement(clock: ManualClock, ahead_s: float) -> None:
    assert opened(clock, ahead_s).to_store(SECOND, 1) == SECOND


@pytest.mark.parametrize("ahead_s", [-7_200.0, -40.0, 90.0, 5_000.0])
def test_a_tick_arrives_as_it_left_or_a_little_later(clock: ManualClock, ahead_s: float) -> None:
    store_clock = opened(clock, ahead_s)
    stored = store_clock.to_store(SECOND, 1)
    assert stored == SECOND + ahead_s
    assert store_clock.from_store(stored, 1) == SECOND + CLOCKS_DIFFER_S
    assert store_clock.from_store(store_clock.to_store(MINUTE, 60), 60) == MINUTE
    clock.advance(10)
    assert store_clock.now_s == clock.now().timestamp() + ahead_s


def test_a_store_set_forward_makes_no_call_older(clock: ManualClock) -> None:
    store_clock = opened(clock, 0.0)
    stored = store_clock.to_store(SECOND, 1)
    read(store_clock, clock, 1_000.0)
    assert store_clock.from_store(stored, 1) == SECOND + CLOCKS_DIFFER_S
    assert store_clock.to_store(SECOND, 1) == SECOND + 1_000
    clock.advance(BELIEVED_AFTER_S)
    read(store_clock, clock, 1_000.0)
    assert store_clock.from_store(stored, 1) == SECOND + CLOCKS_DIFFER_S
    clock.advance(1)
    read(store_clock, clock, 1_000.0)  # all calls of before are old
    assert store_clock.from_store(stored, 1) == SECOND + CLOCKS_DIFFER_S - 1_000


def test_a_jump_that_is_taken_back_is_forgotten(clock: ManualClock) -> None:
    store_clock = opened(clock, 0.0)
    read(store_clock, clock, 1_000.0)
    read(store_clock, clock, 0.1)
    clock.advance(BELIEVED_AFTER_S + 1)
    read(store_clock, clock, 1_000.0)
    assert store_clock.from_store(SECOND, 1) == SECOND + CLOCKS_DIFFER_S


def test_a_store_set_back_counts_calls_for_longer(clock: ManualClock) -> None:
    store_clock = opened(clock, 0.0)
    stored = store_clock.to_store(SECOND, 1)
    read(store_clock, clock, -300.0)
    assert store_clock.from_store(stored, 1) == SECOND + CLOCKS_DIFFER_S + 300
