"""Who comes last: after failures that follow each other, for twice the span between them."""

from hypothesis import given
from hypothesis import strategies as st

from backend.orchestration.relapses import MOST_REST_S, STEADY_AFTER, Relapses
from tests.clocks import ManualClock


def failed_twice(clock: ManualClock, apart_s: float, answers: int = 0) -> Relapses:
    relapses = Relapses(clock)
    relapses.note_failure()
    for _ in range(answers):
        relapses.note_success()
    clock.advance(apart_s)
    relapses.note_failure()
    return relapses


def test_one_failure_is_no_habit(clock: ManualClock) -> None:
    relapses = Relapses(clock)
    relapses.note_failure()
    assert not relapses.is_unsteady
    assert repr(relapses) == "<Relapses steady>"


def test_it_comes_last_for_twice_the_span_between_its_failures(clock: ManualClock) -> None:
    relapses = failed_twice(clock, 100)
    clock.advance(199)
    assert relapses.is_unsteady
    assert repr(relapses) == "<Relapses unsteady>"
    clock.advance(1)
    assert not relapses.is_unsteady


def test_never_for_longer_than_six_hours(clock: ManualClock) -> None:
    relapses = failed_twice(clock, 30 * 86_400)
    clock.advance(MOST_REST_S)
    assert not relapses.is_unsteady


def test_after_ten_good_answers_a_failure_is_history(clock: ManualClock) -> None:
    assert not failed_twice(clock, 100, answers=STEADY_AFTER).is_unsteady
    assert failed_twice(clock, 100, answers=STEADY_AFTER - 1).is_unsteady


def test_two_at_once_shorten_nothing(clock: ManualClock) -> None:
    relapses = failed_twice(clock, 100)
    clock.advance(10)
    relapses.note_failure()
    clock.advance(180)
    assert relapses.is_unsteady


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 7_200)), max_size=60))
def test_it_is_always_first_again_after_six_hours(steps: list[tuple[bool, float]]) -> None:
    clock = ManualClock()
    relapses = Relapses(clock)
    for is_good, seconds in steps:
        clock.advance(seconds)
        (relapses.note_success if is_good else relapses.note_failure)()
    clock.advance(MOST_REST_S)
    assert not relapses.is_unsteady
