from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.orchestration.routing import SmoothRotation, weight_of


@pytest.mark.parametrize(
    ("headroom", "weight"),
    [(1.0, 1.0), (2.0, 1.0), (0.6, 0.55), (0.2, 0.1), (0.1, 0.1), (0.0, 0.1)],
)
def test_the_weight_falls_from_one_to_a_tenth_at_a_fifth(headroom: float, weight: float) -> None:
    assert weight_of(headroom) == pytest.approx(weight)


def test_equals_take_turns() -> None:
    rotation = SmoothRotation()
    turns = [rotation.pick({"a": 1.0, "b": 1.0, "c": 1.0}) for _ in range(6)]
    assert turns == ["a", "b", "c", "a", "b", "c"]


def test_a_larger_weight_gets_its_share_without_a_burst() -> None:
    rotation = SmoothRotation()
    turns = "".join(rotation.pick({"a": 5.0, "b": 1.0, "c": 1.0}) for _ in range(7))
    assert turns == "aabacaa"


def test_a_provider_that_returns_does_not_take_the_turns_it_missed() -> None:
    rotation = SmoothRotation()
    for _ in range(100):
        rotation.pick({"a": 1.0})
    turns = [rotation.pick({"a": 1.0, "b": 1.0}) for _ in range(4)]
    assert Counter(turns) == {"a": 2, "b": 2}


def test_no_eligible_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        SmoothRotation().pick({})


@given(st.lists(st.floats(0.1, 1.0), min_size=1, max_size=5))
def test_turns_are_spread_by_weight(weights: list[float]) -> None:
    rotation, named = SmoothRotation(), {str(i): weight for i, weight in enumerate(weights)}
    turns = Counter(rotation.pick(named) for _ in range(500))
    for name, weight in named.items():
        assert turns[name] == pytest.approx(500 * weight / sum(weights), abs=len(weights))
    assert repr(rotation).startswith("<SmoothRotation {")


def test_a_peek_returns_the_next_name_and_takes_no_turn() -> None:
    rotation, weights = SmoothRotation(), {"a": 1.0, "b": 0.5}
    for _ in range(20):
        told = [rotation.peek(weights) for _ in range(3)]
        assert told == [rotation.pick(weights)] * 3
