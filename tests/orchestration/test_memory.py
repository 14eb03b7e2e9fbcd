from backend.orchestration.memory import Memory
from tests.clocks import ManualClock


def test_what_was_noted_holds_for_its_time(clock: ManualClock) -> None:
    memory = Memory(clock)
    assert not memory.holds("a")
    memory.note("a", 10)
    clock.advance(9.9)
    assert memory.holds("a")
    clock.advance(0.1)
    assert not memory.holds("a")


def test_the_oldest_note_goes_first(clock: ManualClock) -> None:
    memory = Memory(clock, capacity=2)
    for key in ("a", "b", "a", "c"):
        memory.note(key, 10)
    assert [memory.holds(key) for key in "abc"] == [True, False, True]
    assert repr(memory) == "<Memory 2/2>"
