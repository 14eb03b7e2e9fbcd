from backend.orchestration.health.backoff import Backoff
from tests.clocks import ManualClock


def test_it_climbs_to_its_last_rung_and_stays(clock: ManualClock) -> None:
    backoff = Backoff(clock, (60, 300, 900))
    assert [backoff.next_delay_s() for _ in range(5)] == [60, 300, 900, 900, 900]


def test_it_falls_by_one_per_ten_clean_minutes(clock: ManualClock) -> None:
    backoff = Backoff(clock, (60, 300, 900))
    backoff.next_delay_s()
    backoff.next_delay_s()
    counts = []
    for _ in range(3):
        counts.append(backoff.attempts)
        clock.advance(600)
    assert counts == [2, 1, 0]


def test_time_shut_out_is_not_clean(clock: ManualClock) -> None:
    backoff = Backoff(clock)
    backoff.next_delay_s()
    backoff.pause(3_600)
    clock.advance(3_600 + 599)
    assert backoff.attempts == 1
    clock.advance(1)
    assert backoff.attempts == 0


def test_a_wait_ahead_does_not_raise_it(clock: ManualClock) -> None:
    backoff = Backoff(clock)
    backoff.next_delay_s()
    backoff.pause(86_400)
    assert backoff.attempts == 1


def test_a_ladder_without_rungs_only_counts(clock: ManualClock) -> None:
    backoff = Backoff(clock)
    assert backoff.next_delay_s() == 0
    assert repr(backoff) == "<Backoff 1>"
    backoff.reset()
    assert backoff.attempts == 0
