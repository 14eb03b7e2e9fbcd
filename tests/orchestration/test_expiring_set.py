from backend.orchestration.expiring_set import ExpiringSet
from tests.clocks import ManualClock


def test_what_was_noted_holds_for_its_time(clock: ManualClock) -> None:
    memory = ExpiringSet(clock)
    assert "a" not in memory
    memory.add("a", 10)
    clock.advance(9.9)
    assert "a" in memory
    clock.advance(0.1)
    assert "a" not in memory


def test_the_oldest_note_goes_first(clock: ManualClock) -> None:
    memory = ExpiringSet(clock, capacity=2)
    for key in ("a", "b", "a", "c"):
        memory.add(key, 10)
    assert [key in memory for key in "abc"] == [True, False, True]
    assert repr(memory) == "<ExpiringSet 2/2>"
