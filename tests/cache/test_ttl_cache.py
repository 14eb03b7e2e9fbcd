"""TTLCache: times, bounds, and the order in which entries go."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from backend.cache.ttl_cache import TTLCache
from tests.clocks import ManualClock


async def test_an_entry_is_fresh_for_its_own_time(clock: ManualClock) -> None:
    cache = TTLCache[str](clock, 10)
    await cache.set("a", "short", ttl_s=10)
    await cache.set("b", "long", ttl_s=20)
    clock.advance(10)
    assert await cache.get("a") is None
    entry = await cache.get("b")
    assert entry is not None
    assert entry.value == "long"
    assert entry.fresh_until - clock.monotonic() == 10


async def test_an_expired_entry_is_kept_as_stale_for_keep_s(clock: ManualClock) -> None:
    cache = TTLCache[str](clock, 10)
    await cache.set("a", "value", ttl_s=10, keep_s=60)
    clock.advance(59.9)
    entry = await cache.get("a")
    assert entry is not None
    assert entry.fresh_until < clock.monotonic()
    clock.advance(0.1)
    assert await cache.get("a") is None
    assert len(cache) == 0


async def test_an_entry_may_be_stored_with_an_age(clock: ManualClock) -> None:
    cache = TTLCache[str](clock, 10)
    await cache.set("a", "value", ttl_s=10, keep_s=60, age_s=50)
    entry = await cache.get("a")
    assert entry is not None
    assert clock.monotonic() - entry.stored_at == 50
    assert clock.monotonic() - entry.fresh_until == 40
    clock.advance(10)
    assert await cache.get("a") is None


async def test_the_least_recently_used_entry_goes_first(clock: ManualClock) -> None:
    cache = TTLCache[int](clock, 2)
    await cache.set("a", 1, ttl_s=10)
    await cache.set("b", 2, ttl_s=10)
    await cache.get("a")
    await cache.set("c", 3, ttl_s=10)
    assert await cache.get("b") is None
    assert await cache.get("a") is not None
    assert repr(cache) == "<TTLCache 2 entries, 2/2>"


async def test_entries_may_have_sizes(clock: ManualClock) -> None:
    cache = TTLCache[str](clock, 10, size=len)
    await cache.set("a", "xxxx", ttl_s=10)
    await cache.set("b", "xxxxxx", ttl_s=10)
    await cache.set("a", "xxxxx", ttl_s=10)
    assert await cache.get("b") is None
    await cache.set("huge", "x" * 11, ttl_s=10)
    assert len(cache) == 0


async def test_a_swapped_value_counts_with_its_own_size(clock: ManualClock) -> None:
    cache = TTLCache[str](clock, 10, size=len)
    await cache.set("a", "xxxxxx", ttl_s=10)
    await cache.swap(await cache.set("b", "xxxx", ttl_s=10), "x")
    await cache.set("c", "xxx", ttl_s=10)
    assert len(cache) == 3
    await cache.set("d", "x", ttl_s=10)
    assert await cache.get("a") is None


async def test_a_swap_keeps_the_times(clock: ManualClock) -> None:
    cache = TTLCache[str](clock, 10)
    entry = await cache.set("a", "old", ttl_s=10, keep_s=60)
    clock.advance(5)
    swapped = await cache.swap(entry, "flagged")
    assert await cache.get("a") == swapped
    assert (swapped.value, swapped.stored_at) == ("flagged", entry.stored_at)


async def test_a_swap_does_not_overwrite_a_newer_entry(clock: ManualClock) -> None:
    cache = TTLCache[str](clock, 10)
    entry = await cache.set("a", "old", ttl_s=10)
    newer = await cache.set("a", "new", ttl_s=10)
    await cache.swap(entry, "flagged")
    assert await cache.get("a") == newer


async def test_many_tasks_at_once_leave_it_whole(clock: ManualClock) -> None:
    cache = TTLCache[int](clock, 50)

    async def work(number: int) -> None:
        await cache.set(number % 80, number, ttl_s=10)
        await cache.get((number * 7) % 80)

    await asyncio.gather(*(work(number) for number in range(1_000)))
    assert len(cache) == 50


@given(
    steps=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5), st.floats(0, 8)), max_size=60)
)
def test_it_stays_within_its_capacity_and_serves_no_dropped_entry(
    steps: list[tuple[int, int, float]],
) -> None:
    async def run() -> None:
        clock = ManualClock()
        cache = TTLCache[int](clock, 8, size=lambda value: value)
        stored: dict[int, tuple[int, float]] = {}
        for key, size, wait_s in steps:
            await cache.set(key, size, ttl_s=5, keep_s=10)
            stored[key] = size, clock.monotonic()
            clock.advance(wait_s)
            # Without the entries: one that is referred to is found after its eviction.
            seen = [(name, await value_and_time(cache, name)) for name in range(7)]
            found = {name: one for name, one in seen if one}
            assert sum(value for value, _ in found.values()) <= 8
            for name, one in found.items():
                assert one == stored[name]
                assert clock.monotonic() - one[1] < 10

    asyncio.run(run())


async def value_and_time(cache: TTLCache[int], name: int) -> tuple[int, float] | None:
    entry = await cache.get(name)
    return (entry.value, entry.stored_at) if entry else None


async def test_an_evicted_entry_is_found_while_something_refers_to_it(clock: ManualClock) -> None:
    cache = TTLCache[str](clock, 1)
    entry = await cache.set("a", "watched", ttl_s=10)
    await cache.set("b", "other", ttl_s=10)
    assert await cache.get("a") is entry
    assert len(cache) == 1
    clock.advance(10)
    assert await cache.get("a") is None
    assert entry.value == "watched"


async def test_a_swap_of_an_evicted_entry_does_not_bring_it_back(clock: ManualClock) -> None:
    cache = TTLCache[str](clock, 1)
    entry = await cache.set("a", "old", ttl_s=10)
    await cache.set("b", "other", ttl_s=10)
    assert (await cache.swap(entry, "flagged")).value == "flagged"
    assert len(cache) == 1
    del entry  # it refers to what took its place
    assert await cache.get("a") is None


async def test_of_two_swaps_of_one_entry_the_first_wins(clock: ManualClock) -> None:
    cache = TTLCache[str](clock, 10)
    entry = await cache.set("a", "old", ttl_s=10)
    first = await cache.swap(entry, "first")
    assert await cache.swap(entry, "second") is first


async def test_an_entry_is_superseded_by_the_next_one_even_after_its_eviction(
    clock: ManualClock,
) -> None:
    cache = TTLCache[str](clock, 1)
    entry = await cache.set("a", "old", ttl_s=10)
    await cache.set("b", "other", ttl_s=10)
    assert not entry.superseded.is_set
    newer = await cache.set("a", "new", ttl_s=10)
    assert entry.superseded.is_set
    assert not newer.superseded.is_set
    assert cache.newest("a") is newer


async def test_a_swapped_entry_is_superseded_and_so_are_all_when_the_cache_closes(
    clock: ManualClock,
) -> None:
    cache = TTLCache[str](clock, 10)
    entry = await cache.set("a", "old", ttl_s=10)
    swapped = await cache.swap(entry, "flagged")
    assert (entry.superseded.is_set, swapped.superseded.is_set) == (True, False)
    cache.close()
    assert swapped.superseded.is_set


async def test_nothing_is_remembered_of_an_evicted_entry(clock: ManualClock) -> None:
    cache = TTLCache[int](clock, 1)
    for number in range(10):
        await cache.set(number, number, ttl_s=10)
    assert (len(cache), len(cache._dropped)) == (1, 0)
