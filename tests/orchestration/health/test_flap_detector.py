"""Who comes last: after failures that follow each other, for twice the span between them."""

from hypothesis import given
from hypothesis import strategies as st

from backend.orchestration.health.call_stats import MAX_PENALTY_S, STEADY_AFTER, FlapDetector
from tests.clocks import ManualClock


def failed_twice(clock: ManualClock, apart_s: float, answers: int = 0) -> FlapDetector:
    flaps = FlapDetector(clock)
    flaps.record_failure()
    for _ in range(answers):
        flaps.record_success()
    clock.advance(apart_s)
    flaps.record_failure()
    return flaps


def test_one_failure_is_not_flapping(clock: ManualClock) -> None:
    flaps = FlapDetector(clock)
    flaps.record_failure()
    assert not flaps.is_flapping
    assert repr(flaps) == "<FlapDetector steady>"


def test_it_is_asked_last_for_twice_the_time_between_its_failures(clock: ManualClock) -> None:
    flaps = failed_twice(clock, 100)
    clock.advance(199)
    assert flaps.is_flapping
    assert repr(flaps) == "<FlapDetector flapping>"
    clock.advance(1)
    assert not flaps.is_flapping


def test_never_for_longer_than_six_hours(clock: ManualClock) -> None:
    flaps = failed_twice(clock, 30 * 86_400)
    clock.advance(MAX_PENALTY_S)
    assert not flaps.is_flapping


def test_after_ten_answers_a_failure_is_forgotten(clock: ManualClock) -> None:
    assert not failed_twice(clock, 100, answers=STEADY_AFTER).is_flapping
    assert failed_twice(clock, 100, answers=STEADY_AFTER - 1).is_flapping


def test_two_failures_at_once_shorten_nothing(clock: ManualClock) -> None:
    flaps = failed_twice(clock, 100)
    clock.advance(10)
    flaps.record_failure()
    clock.advance(180)
    assert flaps.is_flapping


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 7_200)), max_size=60))
def test_flapping_ends_after_six_hours_at_most(steps: list[tuple[bool, float]]) -> None:
    clock = ManualClock()
    flaps = FlapDetector(clock)
    for is_good, seconds in steps:
        clock.advance(seconds)
        (flaps.record_success if is_good else flaps.record_failure)()
    clock.advance(MAX_PENALTY_S)
    assert not flaps.is_flapping
