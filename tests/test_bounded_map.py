"""The bounded map: its size, its order of eviction, and expiry."""

from hypothesis import given
from hypothesis import strategies as st

from backend.bounded_map import BoundedMap
from tests.clocks import ManualClock


def test_the_least_recently_used_entry_goes_first() -> None:
    kept = BoundedMap[str, int](2)
    kept.set("a", 1)
    kept.set("b", 2)
    assert kept.get("a") == 1
    kept.set("c", 3)
    assert [kept.get(key) for key in "abc"] == [1, None, 3]
    assert repr(kept) == "<BoundedMap 2/2>"


def test_an_entry_that_is_set_again_is_the_newest() -> None:
    kept = BoundedMap[str, int](2)
    for key in "abac":
        kept.set(key, 1)
    assert [key in kept for key in "abc"] == [True, False, True]


def test_an_entry_expires_after_its_ttl(clock: ManualClock) -> None:
    kept = BoundedMap[str, int](5, ttl_s=10, timer=clock.monotonic)
    kept.set("a", 1)
    kept.set("b", 2, ttl_s=20)
    clock.advance(9.9)
    assert kept.get("a") == 1
    clock.advance(0.1)
    assert [kept.get("a"), kept.pop("a"), kept.get("b")] == [None, None, 2]
    clock.advance(10)
    assert kept.pop("b") is None
    assert len(kept) == 0


def test_a_popped_entry_is_gone() -> None:
    kept = BoundedMap[str, int](5)
    kept.set("a", 1)
    assert (kept.pop("a"), kept.pop("a"), kept.get("a")) == (1, None, None)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans())))
def test_it_keeps_the_keys_used_last(steps: list[tuple[int, bool]]) -> None:
    kept = BoundedMap[int, int](3)
    order: list[int] = []
    for key, is_write in steps:
        if is_write:
            kept.set(key, key)
        elif kept.get(key) is None:
            continue
        order = [*(one for one in order if one != key), key][-3:]
    assert [key for key in range(10) if key in kept] == sorted(order)
