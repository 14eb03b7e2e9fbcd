"""The cached source over a scripted source and virtual time, one behaviour each."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from backend.cache import cached_source
from backend.cache.cached_source import CachedSource
from backend.cache.freshness import Freshness, constant
from backend.cache.ttl_cache import TTLCache
from backend.errors import (
    AllProvidersFailed,
    DeadlineExceeded,
    GatewayError,
    UpstreamFailed,
)
from backend.events import Event, RefreshFailing
from backend.models.answer import Answer, Attempt
from backend.models.status import Refusal
from tests.clocks import EPOCH, LoopClock
from tests.walk import PriceQuery

pytestmark = pytest.mark.looptime
QUERY = PriceQuery()
TTL_S, MAX_STALE_S = 60.0, 600.0
DOWN = AllProvidersFailed(
    "down",
    [Refusal("a", "upstream_5xx"), Refusal("b", "geo_blocked")],
    [Attempt("a", "upstream_5xx", 5.0)],
)


@dataclass
class ScriptedSource:
    """Answers the number of the call after `delay_s`; fails while `error` is set."""

    clock: LoopClock = field(default_factory=LoopClock)
    delay_s: float = 0.0
    error: Exception | None = None
    calls: int = 0
    ended: int = 0
    urgent: list[bool] = field(default_factory=list)
    later: Callable[[], Awaitable[Answer[float]]] | None = None

    async def fetch(self, query: PriceQuery) -> Answer[float]:
        self.calls += 1
        self.urgent.append(query.is_urgent)
        number = self.calls
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        self.ended += 1
        return Answer(float(number), "a", self.clock.now(), 1.0, late_answer=self.later)


@dataclass
class Bench:
    source: ScriptedSource
    cached: CachedSource[PriceQuery, float]
    events: list[Event]
    saved: list[Answer[float]]
    adopted: list[Answer[float]]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock, source, events = LoopClock(), ScriptedSource(), list[Event]()
    saved, adopted = list[Answer[float]](), list[Answer[float]]()
    cached = CachedSource(
        source,
        TTLCache[Answer[float]](clock, 10),
        clock=clock,
        emit=events.append,
        freshness=lambda _query, _answer: Freshness(TTL_S, MAX_STALE_S),
        deadline_s=4.0,
        save=lambda _query, answer: saved.append(answer),
        adopt=adopted.append,
    )
    yield Bench(source, cached, events, saved, adopted)
    await cached.aclose()


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def test_a_query_costs_a_call_unless_it_is_fresh_or_being_refreshed(
    bench: Bench,
) -> None:
    assert await bench.cached.costs_a_call(QUERY)
    flight = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not await bench.cached.costs_a_call(QUERY)
    await flight
    assert not await bench.cached.costs_a_call(QUERY)


async def test_a_query_that_failed_is_asked_again_when_its_pause_is_ended(bench: Bench) -> None:
    bench.source.error = DOWN
    for _ in range(2):
        with pytest.raises(AllProvidersFailed):
            await bench.cached.fetch(QUERY)
    assert bench.source.calls == 1
    bench.source.error = None
    bench.cached.end_pauses()
    assert (await bench.cached.fetch(QUERY)).data == 2.0


async def test_running_refreshes_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of different cold questions is refused, and what is under way goes on."""
    monkeypatch.setattr(cached_source, "MOST_REFRESHES", 3)
    asked = [asyncio.create_task(bench.cached.fetch(PriceQuery(str(n)))) for n in range(5)]
    again = asyncio.create_task(bench.cached.fetch(PriceQuery("0")))
    done = await asyncio.gather(*asked, again, return_exceptions=True)
    assert [isinstance(one, AllProvidersFailed) for one in done] == [False] * 3 + [True] * 2 + [
        False
    ]
    assert (await bench.cached.fetch(PriceQuery("4"))).cache == "miss"


async def test_a_query_is_a_miss_first_and_then_a_hit(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S)
    second = await bench.cached.fetch(QUERY)
    assert (first.cache, second.cache, bench.source.calls) == ("miss", "hit", 1)
    assert (second.age_s, second.ttl_left_s) == (TTL_S, 0.0)
    assert first.expires_at is not None
    assert (first.expires_at - first.fetched_at).total_seconds() == TTL_S
    assert first.refresh_id == second.refresh_id == 1


async def test_each_query_is_cached_by_itself(bench: Bench) -> None:
    await bench.cached.fetch(PriceQuery("btc"))
    await bench.cached.fetch(PriceQuery("eth"))
    assert bench.source.calls == 2
    assert len(bench.cached) == 2


async def test_readers_of_one_uncached_query_share_one_refresh(bench: Bench) -> None:
    bench.source.delay_s = 1
    answers = await asyncio.gather(*(bench.cached.fetch(QUERY) for _ in range(10_000)))
    assert bench.source.calls == 1
    assert {answer.data for answer in answers} == {1.0}


@pytest.mark.parametrize(
    ("age_s", "joined"),
    [
        (None, 2),  # no cached answer: all three wait for the first one's refresh
        (TTL_S - 1, 0),  # fresh
        (TTL_S + 1, 0),  # refreshed in the background: no one waits
        (TTL_S * 2 + 1, 2),  # too old for that: all three wait again
    ],
)
async def test_readers_that_wait_for_another_readers_refresh_are_counted_as_joined(
    bench: Bench, age_s: float | None, joined: int
) -> None:
    if age_s is not None:
        await bench.cached.fetch(QUERY)
        await asyncio.sleep(age_s)
    bench.source.delay_s = 1
    await asyncio.gather(*(bench.cached.fetch(QUERY) for _ in range(3)))
    assert bench.cached.counters.joined == joined


async def test_a_reader_that_leaves_does_not_cancel_the_refresh_for_the_others(
    bench: Bench,
) -> None:
    bench.source.delay_s = 1
    leader = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0.1)
    follower = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0.1)
    leader.cancel()
    assert (await follower).data == 1.0
    assert leader.cancelled()


async def test_an_answer_is_cached_even_if_every_reader_has_left(bench: Bench) -> None:
    bench.source.delay_s = 1
    readers = [asyncio.create_task(bench.cached.fetch(QUERY)) for _ in range(3)]
    await asyncio.sleep(0.1)
    for reader in readers:
        reader.cancel()
    await asyncio.sleep(1)
    assert (await bench.cached.fetch(QUERY)).cache == "hit"
    assert bench.source.calls == 1


async def test_just_expired_the_old_answer_comes_at_once_and_is_refreshed_in_the_background(
    bench: Bench,
) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S + 1)
    bench.source.delay_s = 1
    began = seconds()
    old = await bench.cached.fetch(QUERY)
    assert (old.data, old.cache, old.stale, seconds()) == (1.0, "hit", False, began)
    await asyncio.sleep(1.1)
    new = await bench.cached.fetch(QUERY)
    assert (new.data, new.cache, new.refresh_id) == (2.0, "hit", 2)


async def test_long_expired_a_reader_waits_for_a_quick_refresh(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.delay_s = 1
    answer = await bench.cached.fetch(QUERY)
    assert (answer.data, answer.cache) == (2.0, "miss")


async def test_long_expired_a_reader_gets_the_stale_answer_if_the_refresh_is_slow(
    bench: Bench,
) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.delay_s = 3
    began = seconds()
    answer = await bench.cached.fetch(QUERY)
    assert seconds() - began == pytest.approx(1.2)
    assert (answer.data, answer.cache, answer.stale_reason) == (1.0, "stale", "timeout")
    await asyncio.sleep(2)
    assert (await bench.cached.fetch(QUERY)).data == 2.0


async def test_if_the_refresh_fails_the_old_answer_is_flagged_as_stale(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = DOWN
    stale = await bench.cached.fetch(QUERY)
    assert (stale.data, stale.cache, stale.stale) == (1.0, "stale", True)
    assert stale.stale_reason == "upstream_5xx"
    assert stale.tried == (Attempt("a", "upstream_5xx", 5.0),)
    assert stale.fetched_at == first.fetched_at
    assert stale.refresh_id != first.refresh_id


async def test_a_stale_answer_is_the_same_for_every_reader(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = DOWN
    stale = [await bench.cached.fetch(QUERY) for _ in range(5)]
    assert len({answer.refresh_id for answer in stale}) == 1
    assert bench.cached.counters.stale_served == 5
    assert bench.cached.counters.stale_by_reason == {"upstream_5xx": 5}


async def test_a_failed_background_refresh_flags_the_answer(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S + 1)
    bench.source.error = DOWN
    assert (await bench.cached.fetch(QUERY)).cache == "hit"
    await asyncio.sleep(0.1)
    assert (await bench.cached.fetch(QUERY)).cache == "stale"


async def test_a_flagged_answer_stays_flagged_while_the_next_refresh_runs(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S + 1)
    bench.source.error = DOWN
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.1)
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(11)
    answer = await bench.cached.fetch(QUERY)
    assert (answer.cache, answer.stale) == ("stale", True)
    assert bench.cached.newest is not None
    assert bench.cached.newest.stale


async def test_after_a_failure_the_next_refresh_waits_ten_seconds_doubling_to_sixty(
    bench: Bench,
) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = DOWN
    tried_at, began = [], seconds()
    for _ in range(2_000):
        before = bench.source.calls
        await bench.cached.fetch(QUERY)
        if bench.source.calls > before:
            tried_at.append(round(seconds() - began))
        await asyncio.sleep(0.1)
    assert tried_at == [0, 10, 30, 70, 130, 190]


async def test_the_first_success_ends_the_staleness(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = DOWN
    await bench.cached.fetch(QUERY)
    bench.source.error = None
    await asyncio.sleep(10)
    answer = await bench.cached.fetch(QUERY)
    assert (answer.data, answer.stale, answer.cache) == (3.0, False, "miss")
    reasons = [event.reason for event in bench.events if isinstance(event, RefreshFailing)]
    assert reasons == ["upstream_5xx", None]


async def test_an_answer_older_than_max_stale_is_not_served(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    bench.source.error = DOWN
    await asyncio.sleep(MAX_STALE_S - 0.1)
    assert (await bench.cached.fetch(QUERY)).stale
    await asyncio.sleep(0.1)
    with pytest.raises(AllProvidersFailed):
        await bench.cached.fetch(QUERY)
    assert bench.cached.newest is None


async def test_a_failure_without_a_cached_answer_is_remembered(bench: Bench) -> None:
    bench.source.error = DOWN
    for _ in range(50):
        with pytest.raises(AllProvidersFailed):
            await bench.cached.fetch(QUERY)
    assert bench.source.calls == 1
    assert bench.cached.counters.misses == 1


async def test_a_reader_without_a_cached_answer_waits_until_its_deadline(bench: Bench) -> None:
    bench.source.delay_s = 10
    began = seconds()
    with pytest.raises(DeadlineExceeded):
        await bench.cached.fetch(QUERY)
    assert seconds() - began == pytest.approx(4)
    await asyncio.sleep(7)
    assert (await bench.cached.fetch(QUERY)).cache == "hit"


async def test_a_deadline_is_the_stale_reason_timeout(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = DeadlineExceeded("late")
    answer = await bench.cached.fetch(QUERY)
    assert (answer.stale_reason, answer.tried) == ("timeout", ())


async def test_a_bug_is_not_hidden_behind_a_stale_answer(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = KeyError("bug")
    with pytest.raises(KeyError):
        await bench.cached.fetch(QUERY)


async def test_closing_cancels_running_refreshes(bench: Bench) -> None:
    bench.source.delay_s = 100
    reader = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0.1)
    assert repr(bench.cached) == "<CachedSource <TTLCache 0 entries, 0/10> 1 refreshing>"
    await bench.cached.aclose()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert bench.source.ended == 0


async def test_remembered_failures_are_bounded(bench: Bench) -> None:
    bench.source.error = DOWN

    async def ask(coin: str) -> None:
        with pytest.raises(GatewayError):
            await bench.cached.fetch(PriceQuery(coin))

    for part in (range(900), range(900, 1_030)):  # within MOST_REFRESHES at once
        await asyncio.gather(*(ask(f"coin-{number}") for number in part))
    assert repr(bench.cached._failures) == "<Failures 1024/1024>"


async def test_newest_is_the_answer_stored_last_and_does_not_count_as_a_read(bench: Bench) -> None:
    assert bench.cached.newest is None
    await bench.cached.fetch(PriceQuery("btc"))
    await asyncio.sleep(5)
    await bench.cached.fetch(PriceQuery("eth"))
    await asyncio.sleep(5)
    newest: Any = bench.cached.newest
    assert (newest.data, newest.age_s) == (2.0, 5.0)
    assert bench.cached.counters.hits == 0


async def test_newest_to_is_the_answer_to_that_query(bench: Bench) -> None:
    btc, eth = PriceQuery("btc"), PriceQuery("eth")
    assert bench.cached.newest_to(btc) is None
    await bench.cached.fetch(btc)
    await asyncio.sleep(5)
    await bench.cached.fetch(eth)
    answers: list[Any] = [bench.cached.newest_to(btc), bench.cached.newest_to(eth)]
    assert [(one.data, one.age_s) for one in answers] == [(1.0, 5.0), (2.0, 0.0)]
    assert bench.cached.counters.hits == 0


async def test_a_bug_does_not_cost_one_upstream_call_per_reader(bench: Bench) -> None:
    bench.source.error = KeyError("bug")
    for _ in range(20):
        with pytest.raises(KeyError):
            await bench.cached.fetch(QUERY)
    assert bench.source.calls == 1


async def test_after_a_bug_the_stale_answer_is_served_with_internal_error(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = KeyError("bug")
    with pytest.raises(KeyError):
        await bench.cached.fetch(QUERY)
    answer = await bench.cached.fetch(QUERY)
    assert (answer.stale_reason, answer.tried) == ("internal_error", ())


async def test_the_pause_after_a_failure_ends_when_a_provider_is_back(bench: Bench) -> None:
    back_at = LoopClock().now() + timedelta(seconds=3)
    bench.source.error = AllProvidersFailed("down", [Refusal("a", "rate_limited", back_at)])
    with pytest.raises(AllProvidersFailed):
        await bench.cached.fetch(QUERY)
    bench.source.error = None
    await asyncio.sleep(2.9)
    with pytest.raises(AllProvidersFailed):
        await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.1)
    assert (await bench.cached.fetch(QUERY)).data == 2.0


def doubled(answer: Answer[float]) -> Answer[float]:
    return replace(answer, data=answer.data * 2)


async def test_without_a_cached_answer_an_update_does_nothing(bench: Bench) -> None:
    given: list[Answer[float]] = []

    def change(answer: Answer[float]) -> Answer[float]:
        given.append(answer)
        return answer

    await bench.cached.update(QUERY, change)
    await bench.cached.update(QUERY, change, is_fresh=True)
    assert (given, bench.source.calls, len(bench.cached)) == ([], 0, 0)


@pytest.mark.parametrize("is_fresh", [False, True])
async def test_an_update_to_none_changes_nothing(bench: Bench, is_fresh: bool) -> None:
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(5)
    await bench.cached.update(QUERY, lambda _answer: None, is_fresh=is_fresh)
    updated = await bench.cached.fetch(QUERY)
    assert (updated.data, updated.refresh_id) == (1.0, first.refresh_id)
    assert updated.ttl_left_s == pytest.approx(TTL_S - 5, abs=0.1)


async def test_an_update_keeps_the_times_and_has_its_own_refresh_id(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(20)
    await bench.cached.update(QUERY, doubled)
    updated = await bench.cached.fetch(QUERY)
    assert (updated.data, updated.refresh_id, updated.cache) == (2.0, first.refresh_id + 1, "hit")
    assert (updated.fetched_at, updated.expires_at) == (first.fetched_at, first.expires_at)
    assert (updated.age_s, updated.ttl_left_s) == (20, TTL_S - 20)
    newest: Any = bench.cached.newest
    assert (newest.data, newest.age_s) == (2.0, 20)
    assert bench.source.calls == 1


async def test_an_update_does_not_delay_the_next_refresh(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    for _ in range(int(TTL_S) + 1):
        await asyncio.sleep(1)
        await bench.cached.update(QUERY, doubled)
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.01)
    assert bench.source.calls == 2
    assert (await bench.cached.fetch(QUERY)).data == 2.0


async def test_an_update_with_is_fresh_counts_as_a_refresh(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(20)
    ticked_at = bench.source.clock.now()
    await bench.cached.update(
        QUERY, lambda answer: replace(doubled(answer), fetched_at=ticked_at), is_fresh=True
    )
    updated = await bench.cached.fetch(QUERY)
    assert (updated.data, updated.refresh_id, updated.cache) == (2.0, first.refresh_id + 1, "hit")
    assert (updated.fetched_at, updated.age_s, updated.ttl_left_s) == (ticked_at, 0, TTL_S)
    assert updated.expires_at == ticked_at + timedelta(seconds=TTL_S)
    await asyncio.sleep(TTL_S)
    assert (await bench.cached.fetch(QUERY)).refresh_id == updated.refresh_id
    assert bench.source.calls == 1


async def test_an_update_leaves_a_stale_answer_stale(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = DOWN
    await bench.cached.fetch(QUERY)
    await bench.cached.update(QUERY, doubled)
    updated = await bench.cached.fetch(QUERY)
    assert (updated.data, updated.stale, updated.stale_reason) == (2.0, True, "upstream_5xx")
    assert updated.cache == "stale"


async def test_an_update_with_is_fresh_makes_a_stale_answer_fresh(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = DOWN
    await bench.cached.fetch(QUERY)
    await bench.cached.update(QUERY, doubled, is_fresh=True)
    updated = await bench.cached.fetch(QUERY)
    assert (updated.data, updated.stale, updated.stale_reason) == (2.0, False, None)
    assert (updated.cache, updated.ttl_left_s) == ("hit", TTL_S)
    newest: Any = bench.cached.newest
    assert (newest.data, newest.stale) == (2.0, False)


async def test_an_expired_answer_can_be_updated_and_stays_expired(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 5)
    await bench.cached.update(QUERY, doubled)
    newest: Any = bench.cached.newest
    assert (newest.data, newest.age_s, newest.ttl_left_s) == (2.0, TTL_S * 5, 0)
    assert (await bench.cached.fetch(QUERY)).cache == "miss"


@pytest.mark.parametrize("is_fresh", [False, True])
async def test_an_answer_older_than_max_stale_is_not_updated(bench: Bench, is_fresh: bool) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(MAX_STALE_S)
    await bench.cached.update(QUERY, doubled, is_fresh=is_fresh)
    assert bench.cached.newest is None
    assert (await bench.cached.fetch(QUERY)).data == 2.0
    assert bench.source.calls == 2


async def test_an_update_of_another_answer_does_not_become_the_newest(bench: Bench) -> None:
    await bench.cached.fetch(PriceQuery("btc"))
    await bench.cached.fetch(PriceQuery("eth"))
    await bench.cached.update(PriceQuery("btc"), doubled)
    newest: Any = bench.cached.newest
    assert newest.data == 2.0, "the second answer, not the first one doubled"
    assert newest.refresh_id == 2


async def test_a_refresh_replaces_an_update_that_came_while_it_ran(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S + 1)
    bench.source.delay_s = 1
    await bench.cached.fetch(QUERY)
    await bench.cached.update(QUERY, lambda answer: replace(answer, data=-1.0))
    assert (await bench.cached.fetch(QUERY)).data == -1.0
    await asyncio.sleep(1.1)
    assert (await bench.cached.fetch(QUERY)).data == 2.0


async def test_after_a_failed_wait_a_reader_gets_the_update_that_came_meanwhile_flagged(
    bench: Bench,
) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error, bench.source.delay_s = DOWN, 1.0
    waiting = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0.5)
    await bench.cached.update(QUERY, doubled)
    answer = await waiting
    assert (answer.data, answer.cache) == (2.0, "stale")
    assert (answer.stale, answer.stale_reason) == (True, "upstream_5xx")


async def test_after_a_failed_wait_a_reader_gets_the_fresh_update_that_came_meanwhile(
    bench: Bench,
) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error, bench.source.delay_s = DOWN, 1.0
    waiting = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0.5)
    await bench.cached.update(QUERY, doubled, is_fresh=True)
    answer = await waiting
    assert (answer.data, answer.cache, answer.stale) == (2.0, "hit", False)


async def test_only_refreshes_and_fresh_updates_are_saved(bench: Bench) -> None:
    refreshed = await bench.cached.fetch(QUERY)
    await bench.cached.fetch(QUERY)
    await bench.cached.update(QUERY, doubled)
    assert bench.saved == [refreshed]
    await bench.cached.update(QUERY, doubled, is_fresh=True)
    assert [answer.data for answer in bench.saved] == [1.0, 4.0]
    bench.source.error = DOWN
    await asyncio.sleep(3 * TTL_S)
    assert (await bench.cached.fetch(QUERY)).stale
    assert len(bench.saved) == 2


def of_another_process(age_s: float) -> Answer[float]:
    ticked_at = LoopClock().now() - timedelta(seconds=age_s)
    return Answer(7.0, "b", ticked_at, 1.0, (Attempt("b", "ok", 1.0),), ("careful",))


async def test_an_imported_answer_that_is_still_fresh_is_a_hit_with_its_age(
    bench: Bench,
) -> None:
    assert await bench.cached.import_answer(QUERY, of_another_process(TTL_S - 10))
    answer = await bench.cached.fetch(QUERY)
    assert (answer.data, answer.source, answer.warnings) == (7.0, "b", ("careful",))
    assert (answer.cache, answer.stale) == ("hit", False)
    assert (answer.age_s, answer.ttl_left_s) == pytest.approx((TTL_S - 10, 10.0))
    assert answer.expires_at == LoopClock().now() + timedelta(seconds=10)
    assert bench.source.calls == 0
    await asyncio.sleep(10.1)
    assert (await bench.cached.fetch(QUERY)).data == 7.0
    await asyncio.sleep(0.1)
    assert (await bench.cached.fetch(QUERY)).data == 1.0


async def test_an_expired_imported_answer_is_refreshed_first(bench: Bench) -> None:
    await bench.cached.import_answer(QUERY, of_another_process(MAX_STALE_S - 100))
    answer = await bench.cached.fetch(QUERY)
    assert (answer.data, answer.cache, answer.stale) == (1.0, "miss", False)


async def test_an_imported_answer_is_served_flagged_if_the_refresh_fails(
    bench: Bench,
) -> None:
    bench.source.error = DOWN
    await bench.cached.import_answer(QUERY, of_another_process(MAX_STALE_S - 100))
    answer = await bench.cached.fetch(QUERY)
    assert (answer.data, answer.cache) == (7.0, "stale")
    assert answer.age_s == pytest.approx(MAX_STALE_S - 100)
    assert (answer.stale, answer.stale_reason) == (True, "upstream_5xx")
    assert [attempt.provider for attempt in answer.tried] == ["a"]


async def test_an_imported_answer_is_served_if_the_refresh_is_slow(bench: Bench) -> None:
    bench.source.delay_s = 3.0
    await bench.cached.import_answer(QUERY, of_another_process(MAX_STALE_S - 100))
    assert (await bench.cached.fetch(QUERY)).stale_reason == "timeout"
    await asyncio.sleep(3.0)
    assert (await bench.cached.fetch(QUERY)).data == 1.0


async def test_an_imported_answer_is_dropped_at_its_max_stale_age(bench: Bench) -> None:
    bench.source.error = DOWN
    await bench.cached.import_answer(QUERY, of_another_process(MAX_STALE_S - 1))
    assert (await bench.cached.fetch(QUERY)).stale
    await asyncio.sleep(1.1)
    with pytest.raises(AllProvidersFailed):
        await bench.cached.fetch(QUERY)


@pytest.mark.parametrize("age_s", [MAX_STALE_S, MAX_STALE_S * 9, -0.001, -7_200.0])
async def test_an_answer_too_old_or_from_the_future_is_not_imported(
    bench: Bench, age_s: float
) -> None:
    assert not await bench.cached.import_answer(QUERY, of_another_process(age_s))
    assert len(bench.cached) == 0
    assert bench.cached.newest is None


async def test_an_imported_answer_is_the_newest_and_is_adopted_but_not_saved(bench: Bench) -> None:
    await bench.cached.import_answer(QUERY, of_another_process(5.0))
    newest: Any = bench.cached.newest
    assert (newest.data, newest.age_s, newest.refresh_id) == (7.0, pytest.approx(5.0), 1)
    assert bench.saved == []
    assert [answer.data for answer in bench.adopted] == [7.0]


@pytest.mark.parametrize("query", [QUERY, PriceQuery("eth")])
def test_a_constant_freshness_is_the_same_for_every_query(query: PriceQuery) -> None:
    answer = Answer(1.0, "a", EPOCH, 1.0)
    assert constant(Freshness(TTL_S, MAX_STALE_S), query, answer) == Freshness(TTL_S, MAX_STALE_S)


@pytest.mark.parametrize(
    ("affordable_s", "max_stale_s", "fresh_s"),
    [
        (0.0, MAX_STALE_S, TTL_S),
        (TTL_S / 2, MAX_STALE_S, TTL_S),
        (300.0, MAX_STALE_S, 300.0),
        (5_000.0, MAX_STALE_S, MAX_STALE_S),
        (5_000.0, 10.0, TTL_S),  # what may not be stale at all is still fresh for a while
        (5_000.0, 0.0, TTL_S),
    ],
)
async def test_an_answer_is_fresh_for_the_interval_that_budgets_sustain(
    affordable_s: float, max_stale_s: float, fresh_s: float
) -> None:
    source, clock = ScriptedSource(), LoopClock()
    cached = CachedSource(
        source,
        TTLCache[Answer[float]](clock, 10),
        clock=clock,
        emit=list[Event]().append,
        freshness=lambda _query, _answer: Freshness(TTL_S, max_stale_s),
        deadline_s=4.0,
        budget_interval_s=lambda _query: affordable_s,
    )
    first = await cached.fetch(QUERY)
    assert first.ttl_left_s == fresh_s
    await asyncio.sleep(fresh_s - 1)
    assert (await cached.fetch(QUERY)).cache == "hit"
    assert source.calls == 1
    await asyncio.sleep(2)
    await cached.fetch(QUERY)
    await asyncio.sleep(1)
    assert source.calls == 2
    await cached.aclose()


async def test_only_a_refresh_without_a_cached_answer_is_urgent(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    for age_s in (TTL_S + 1, TTL_S * 3, MAX_STALE_S + 1):
        await asyncio.sleep(age_s)
        await bench.cached.fetch(QUERY)
        await asyncio.sleep(0)
    assert bench.source.urgent == [True, False, False, True]


def with_late_answer(bench: Bench, after_s: float, value: float) -> None:
    """The next fetch will have a second answer to come."""

    async def later() -> Answer[float]:
        await asyncio.sleep(after_s)
        return Answer(value, "slow", bench.source.clock.now(), 1.0)

    bench.source.later = later


async def test_a_late_answer_replaces_the_first_one(bench: Bench) -> None:
    with_late_answer(bench, 2, 77.0)
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(2.1)
    second = await bench.cached.fetch(QUERY)
    assert (first.data, second.data, second.source) == (1.0, 77.0, "slow")
    assert second.refresh_id > first.refresh_id
    assert second.age_s == pytest.approx(0.1)
    assert [answer.source for answer in bench.saved] == ["a", "slow"]
    assert bench.source.calls == 1


async def test_a_late_answer_that_fails_changes_nothing(bench: Bench) -> None:
    async def later() -> Answer[float]:
        raise UpstreamFailed

    bench.source.later = later
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(1)
    assert (await bench.cached.fetch(QUERY)).data == 1.0


async def test_a_late_answer_older_than_the_cached_one_is_dropped(bench: Bench) -> None:
    fetched_at = bench.source.clock.now()

    async def later() -> Answer[float]:
        await asyncio.sleep(TTL_S * 3)
        return Answer(77.0, "slow", fetched_at, 1.0)

    bench.source.later = later
    await bench.cached.fetch(QUERY)
    bench.source.later = None
    await asyncio.sleep(TTL_S * 2 + 1)
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S)
    assert (await bench.cached.fetch(QUERY)).data == 2.0


async def test_closing_ends_the_wait_for_a_late_answer(bench: Bench) -> None:
    with_late_answer(bench, 1_000, 77.0)
    await bench.cached.fetch(QUERY)
    await bench.cached.aclose()
    assert len(asyncio.all_tasks()) == 1


async def poll(bench: Bench, every_s: float, for_s: float) -> list[float]:
    """What each reader waited, in seconds."""
    waited = []
    while seconds() < for_s:
        began = seconds()
        await bench.cached.fetch(QUERY)
        waited.append(seconds() - began)
        await asyncio.sleep(every_s)
    return waited


@pytest.mark.parametrize("every_s", [0.05, 0.3, 0.9])
async def test_no_reader_of_a_busy_query_waits_for_a_refresh(bench: Bench, every_s: float) -> None:
    bench.source.delay_s = 0.5
    bench.cached._answers.freshness = lambda _query, _answer: Freshness(1.0, MAX_STALE_S)
    bench.cached._answers._refresh_share = lambda: 0.85
    first, *others = await poll(bench, every_s, 10.0)
    assert first == 0.5
    assert set(others) == {0.0}
    assert bench.source.calls <= 12


async def test_an_answer_that_is_read_is_refreshed_before_it_expires(bench: Bench) -> None:
    bench.cached._answers._refresh_share = lambda: 0.8
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.79 * TTL_S)
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.02 * TTL_S)
    assert bench.source.calls == 1
    assert (await bench.cached.fetch(QUERY)).data == 1.0
    await asyncio.sleep(0.1)
    assert bench.source.calls == 2
    assert (await bench.cached.fetch(QUERY)).data == 2.0
    await asyncio.sleep(3 * TTL_S)
    assert bench.source.calls == 2, "no reader: no call"


async def test_an_answer_is_not_refreshed_earlier_than_budgets_sustain(bench: Bench) -> None:
    bench.cached._answers._refresh_share = lambda: 0.5
    bench.cached._answers._budget_interval_s = lambda _query: 0.9 * TTL_S
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.89 * TTL_S)
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0)
    assert bench.source.calls == 1


async def test_readers_do_not_notice_a_refresh_ahead_that_fails(bench: Bench) -> None:
    bench.cached._answers._refresh_share = lambda: 0.5
    await bench.cached.fetch(QUERY)
    bench.source.error = DOWN
    await asyncio.sleep(0.6 * TTL_S)
    answers = []
    for _ in range(20):
        answers.append(await bench.cached.fetch(QUERY))
        await asyncio.sleep(0.1)
    assert {answer.cache for answer in answers} == {"hit"}
    assert bench.source.calls == 2, "not again before its time"


async def test_validity_ends_with_an_update_a_due_refresh_and_the_cache(
    bench: Bench,
) -> None:
    first = await bench.cached.fetch(QUERY)
    validity: Any = first.validity
    await asyncio.sleep(TTL_S / 2)
    assert validity.current_age_s() == TTL_S / 2
    validity.note_hit()
    assert bench.cached.counters.hits == 1
    await bench.cached.update(QUERY, lambda answer: replace(answer, data=5.0))
    assert validity.current_age_s() is None
    amended: Any = (await bench.cached.fetch(QUERY)).validity
    assert amended.current_age_s() == TTL_S / 2
    await asyncio.sleep(TTL_S / 2)
    assert amended.current_age_s() is None, "a refresh is due"
    await bench.cached.fetch(QUERY)
    renewed: Any = (await bench.cached.fetch(QUERY)).validity
    await bench.cached.aclose()
    assert renewed.current_age_s() is None


async def test_an_update_that_lost_the_race_leaves_the_newer_answer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.cached.fetch(QUERY)
    cache = bench.cached._cache
    swap = cache.swap
    newer = Answer(9.0, "a", bench.source.clock.now(), 1.0)

    async def swap_too_late(*asked: Any) -> Any:
        await bench.cached.import_answer(QUERY, newer)
        return await swap(*asked)

    monkeypatch.setattr(cache, "swap", swap_too_late)
    await bench.cached.update(QUERY, lambda answer: replace(answer, data=5.0))
    answer = await bench.cached.fetch(QUERY)
    assert answer.data == 9.0
    assert answer.validity is not None
    assert answer.validity.current_age_s() == 0.0


async def test_reads_are_counted_by_what_they_were(bench: Bench) -> None:
    for _ in range(4):
        await bench.cached.fetch(QUERY)
    await bench.cached.fetch(PriceQuery("eth"))
    counters = bench.cached.counters
    assert (counters.misses, counters.hits, counters.stale_served) == (2, 3, 0)
    await asyncio.sleep(2 * TTL_S + 1)
    await bench.cached.fetch(QUERY)
    assert (counters.misses, counters.hits) == (3, 3)


async def test_only_an_answer_that_is_not_stale_may_be_reused(bench: Bench) -> None:
    assert (await bench.cached.fetch(QUERY)).validity is not None
    await asyncio.sleep(2 * TTL_S + 1)
    bench.source.error = DOWN
    stale = await bench.cached.fetch(QUERY)
    assert (stale.stale, stale.validity) == (True, None)


async def test_a_fresh_update_ends_a_failure_and_keeps_successful_attempts_only(
    bench: Bench,
) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(2 * TTL_S + 1)
    bench.source.error = DOWN
    assert (await bench.cached.fetch(QUERY)).tried == DOWN.tried
    attempts = (*DOWN.tried, Attempt("c", "ok", 1.0))
    await bench.cached.update(QUERY, lambda answer: replace(answer, tried=attempts), is_fresh=True)
    assert (await bench.cached.fetch(QUERY)).tried == (Attempt("c", "ok", 1.0),)
    reasons = [event.reason for event in bench.events if isinstance(event, RefreshFailing)]
    assert (len(reasons), reasons[-1]) == (2, None)
