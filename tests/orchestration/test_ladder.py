from backend.orchestration.ladder import Ladder
from tests.clocks import ManualClock


def test_it_climbs_to_its_last_rung_and_stays(clock: ManualClock) -> None:
    ladder = Ladder(clock, (60, 300, 900))
    assert [ladder.climb() for _ in range(5)] == [60, 300, 900, 900, 900]


def test_it_falls_by_one_per_ten_clean_minutes(clock: ManualClock) -> None:
    ladder = Ladder(clock, (60, 300, 900))
    ladder.climb()
    ladder.climb()
    heights = []
    for _ in range(3):
        heights.append(ladder.height)
        clock.advance(600)
    assert heights == [2, 1, 0]


def test_time_shut_out_is_not_clean(clock: ManualClock) -> None:
    ladder = Ladder(clock)
    ladder.climb()
    ladder.hold(3_600)
    clock.advance(3_600 + 599)
    assert ladder.height == 1
    clock.advance(1)
    assert ladder.height == 0


def test_a_wait_ahead_does_not_raise_it(clock: ManualClock) -> None:
    ladder = Ladder(clock)
    ladder.climb()
    ladder.hold(86_400)
    assert ladder.height == 1


def test_a_ladder_without_rungs_only_counts(clock: ManualClock) -> None:
    ladder = Ladder(clock)
    assert ladder.climb() == 0
    assert repr(ladder) == "<Ladder 1>"
    ladder.reset()
    assert ladder.height == 0
