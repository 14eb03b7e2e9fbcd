"""The state that a read finds, as a table; and for how long an answer may be reused."""

import asyncio
from weakref import ref

import pytest

from backend.cache.freshness import EntryState, EntryValidity, state_of
from backend.cache.refreshes import Failure
from backend.cache.ttl_cache import CacheEntry
from backend.models.answer import CacheCounters
from tests.clocks import ManualClock

FAILURE = Failure(KeyError("down"), retry_at=1_000.0, pause_s=10.0)


def entry() -> CacheEntry[str]:
    return CacheEntry(
        "value",
        stored_at=0.0,
        refresh_at=80.0,
        fresh_until=100.0,
        grace_until=200.0,
        kept_until=600.0,
        key="key",
    )


@pytest.mark.parametrize(
    ("now", "failure", "state"),
    [
        (0.0, None, EntryState.FRESH),
        (80.0, None, EntryState.FRESH),
        (80.1, None, EntryState.REFRESH_AHEAD),
        (100.0, None, EntryState.REFRESH_AHEAD),
        (100.1, None, EntryState.STALE_WHILE_REVALIDATE),
        (200.0, None, EntryState.STALE_WHILE_REVALIDATE),
        (200.1, None, EntryState.STALE),
        (599.0, None, EntryState.STALE),
        (80.0, FAILURE, EntryState.FRESH),
        (100.0, FAILURE, EntryState.FRESH),
        (100.1, FAILURE, EntryState.STALE_IF_ERROR),
        (599.0, FAILURE, EntryState.STALE_IF_ERROR),
    ],
)
def test_an_entrys_state_by_time_and_failure(
    now: float, failure: Failure | None, state: EntryState
) -> None:
    assert state_of(entry(), failure, now) is state


@pytest.mark.parametrize("failure", [None, FAILURE])
def test_without_an_entry_the_state_is_a_miss(failure: Failure | None) -> None:
    assert state_of(None, failure, 0.0) is EntryState.MISS


@pytest.mark.parametrize(("passed_s", "age_s"), [(0.0, 0.0), (79.0, 79.0), (80.0, None)])
def test_an_answer_is_valid_until_its_refresh_is_due(
    clock: ManualClock, passed_s: float, age_s: float | None
) -> None:
    kept, counters = entry(), CacheCounters()
    validity = EntryValidity(ref(kept), clock, counters)
    clock.advance(passed_s - clock.monotonic())
    assert validity.current_age_s() == age_s
    validity.note_hit()
    assert counters.hits == 1


async def test_an_answer_is_not_valid_once_its_entry_is_superseded_or_gone(
    clock: ManualClock,
) -> None:
    clock.advance(-clock.monotonic())
    kept = entry()
    validity = EntryValidity(ref(kept), clock, CacheCounters())
    assert validity.current_age_s() == 0.0
    kept.superseded.set()
    assert validity.current_age_s() is None
    await asyncio.sleep(0)
    kept = entry()
    validity = EntryValidity(ref(kept), clock, CacheCounters())
    assert validity.current_age_s() == 0.0
    del kept
    assert validity.current_age_s() is None
