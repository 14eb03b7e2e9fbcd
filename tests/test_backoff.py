import pytest

from backend.backoff import Backoff, doubling
from tests.clocks import ManualClock


def test_waits_grow_up_to_the_last_one(clock: ManualClock) -> None:
    backoff = Backoff(clock, (60, 300, 900))
    assert [backoff.next_delay_s() for _ in range(5)] == [60, 300, 900, 900, 900]


def test_one_failure_is_forgotten_per_ten_quiet_minutes(clock: ManualClock) -> None:
    backoff = Backoff(clock, (60, 300, 900))
    backoff.next_delay_s()
    backoff.next_delay_s()
    counts = []
    for _ in range(3):
        counts.append(backoff.attempts)
        clock.advance(600)
    assert counts == [2, 1, 0]


def test_nothing_is_forgotten_during_a_pause(clock: ManualClock) -> None:
    backoff = Backoff(clock, (60,))
    backoff.next_delay_s()
    backoff.pause(3_600)
    clock.advance(3_600 + 599)
    assert backoff.attempts == 1
    clock.advance(1)
    assert backoff.attempts == 0


def test_a_long_pause_adds_no_failures(clock: ManualClock) -> None:
    backoff = Backoff(clock, (60,))
    backoff.next_delay_s()
    backoff.pause(86_400)
    assert backoff.attempts == 1


def test_a_reset_forgets_all_failures(clock: ManualClock) -> None:
    backoff = Backoff(clock, (60, 300))
    backoff.next_delay_s()
    assert repr(backoff) == "<Backoff 1>"
    backoff.reset()
    assert backoff.attempts == 0
    assert backoff.next_delay_s() == 60


@pytest.mark.parametrize(
    ("first_s", "longest_s", "delays_s"),
    [(30, 300, (30, 60, 120, 240, 300)), (60, 60, (60,)), (0.5, 1.5, (0.5, 1.0, 1.5))],
)
def test_doubling_waits_end_at_the_longest(
    first_s: float, longest_s: float, delays_s: tuple[float, ...]
) -> None:
    assert doubling(first_s, longest_s) == delays_s
