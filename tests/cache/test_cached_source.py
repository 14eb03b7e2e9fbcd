"""The cached source's states, one behaviour each, over a scripted source and virtual time."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from backend.cache import cached_source
from backend.cache.cached_source import CachedSource
from backend.cache.freshness import Freshness, always
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
    kept: list[Answer[float]]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    clock, source, events = LoopClock(), ScriptedSource(), list[Event]()
    kept = list[Answer[float]]()
    cached = CachedSource(
        source,
        TTLCache[Answer[float]](clock, 10),
        clock=clock,
        emit=events.append,
        freshness=lambda _query, _answer: Freshness(TTL_S, MAX_STALE_S),
        deadline_s=4.0,
        keep=lambda _query, answer: kept.append(answer),
    )
    yield Bench(source, cached, events, kept)
    await cached.aclose()


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def test_a_question_costs_a_call_unless_an_answer_is_at_hand_or_on_its_way(
    bench: Bench,
) -> None:
    assert await bench.cached.costs_a_call(QUERY)
    flight = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not await bench.cached.costs_a_call(QUERY)
    await flight
    assert not await bench.cached.costs_a_call(QUERY)


async def test_refreshes_under_way_are_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of different cold questions is refused, and what is under way goes on."""
    monkeypatch.setattr(cached_source, "MOST_FLIGHTS", 3)
    asked = [asyncio.create_task(bench.cached.fetch(PriceQuery(str(n)))) for n in range(5)]
    again = asyncio.create_task(bench.cached.fetch(PriceQuery("0")))
    done = await asyncio.gather(*asked, again, return_exceptions=True)
    assert [isinstance(one, AllProvidersFailed) for one in done] == [False] * 3 + [True] * 2 + [
        False
    ]
    assert (await bench.cached.fetch(PriceQuery("4"))).cache == "miss"


async def test_a_cold_key_is_a_miss_and_then_a_hit(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S)
    second = await bench.cached.fetch(QUERY)
    assert (first.cache, second.cache, bench.source.calls) == ("miss", "hit", 1)
    assert (second.age_s, second.ttl_left_s) == (TTL_S, 0.0)
    assert first.expires_at is not None
    assert (first.expires_at - first.fetched_at).total_seconds() == TTL_S
    assert first.refresh_id == second.refresh_id == 1


async def test_other_questions_are_other_keys(bench: Bench) -> None:
    await bench.cached.fetch(PriceQuery("btc"))
    await bench.cached.fetch(PriceQuery("eth"))
    assert bench.source.calls == 2
    assert len(bench.cached) == 2


async def test_readers_of_one_cold_key_share_one_flight(bench: Bench) -> None:
    bench.source.delay_s = 1
    answers = await asyncio.gather(*(bench.cached.fetch(QUERY) for _ in range(10_000)))
    assert bench.source.calls == 1
    assert {answer.data for answer in answers} == {1.0}


@pytest.mark.parametrize(
    ("age_s", "joined"),
    [
        (None, 2),  # nothing is held: all three wait, for the first one's refresh
        (TTL_S - 1, 0),  # fresh
        (TTL_S + 1, 0),  # refreshed behind their backs: nobody waits
        (TTL_S * 2 + 1, 2),  # too old for that: all three wait again
    ],
)
async def test_who_waits_for_anothers_refresh_has_joined(
    bench: Bench, age_s: float | None, joined: int
) -> None:
    if age_s is not None:
        await bench.cached.fetch(QUERY)
        await asyncio.sleep(age_s)
    bench.source.delay_s = 1
    await asyncio.gather(*(bench.cached.fetch(QUERY) for _ in range(3)))
    assert bench.cached.counters.joined == joined


async def test_the_leaders_leaving_hurts_no_other_reader(bench: Bench) -> None:
    bench.source.delay_s = 1
    leader = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0.1)
    follower = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0.1)
    leader.cancel()
    assert (await follower).data == 1.0
    assert leader.cancelled()


async def test_an_answer_is_kept_even_if_every_reader_left(bench: Bench) -> None:
    bench.source.delay_s = 1
    readers = [asyncio.create_task(bench.cached.fetch(QUERY)) for _ in range(3)]
    await asyncio.sleep(0.1)
    for reader in readers:
        reader.cancel()
    await asyncio.sleep(1)
    assert (await bench.cached.fetch(QUERY)).cache == "hit"
    assert bench.source.calls == 1


async def test_just_expired_the_old_answer_comes_at_once_and_a_refresh_runs_behind(
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


async def test_long_expired_nobody_waits_for_a_slow_refresh(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.delay_s = 3
    began = seconds()
    answer = await bench.cached.fetch(QUERY)
    assert seconds() - began == pytest.approx(1.2)
    assert (answer.data, answer.cache, answer.stale_reason) == (1.0, "stale", "timeout")
    await asyncio.sleep(2)
    assert (await bench.cached.fetch(QUERY)).data == 2.0


async def test_when_refreshing_fails_the_old_answer_says_that_it_is_stale(bench: Bench) -> None:
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


async def test_a_failed_refresh_behind_flags_the_answer(bench: Bench) -> None:
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


async def test_after_a_failure_the_source_is_left_alone_ten_seconds_doubling_to_sixty(
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


async def test_the_first_success_heals(bench: Bench) -> None:
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


async def test_beyond_the_longest_staleness_there_is_only_the_error(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    bench.source.error = DOWN
    await asyncio.sleep(MAX_STALE_S - 0.1)
    assert (await bench.cached.fetch(QUERY)).stale
    await asyncio.sleep(0.1)
    with pytest.raises(AllProvidersFailed):
        await bench.cached.fetch(QUERY)
    assert bench.cached.newest is None


async def test_a_cold_failure_is_remembered_too(bench: Bench) -> None:
    bench.source.error = DOWN
    for _ in range(50):
        with pytest.raises(AllProvidersFailed):
            await bench.cached.fetch(QUERY)
    assert bench.source.calls == 1
    assert bench.cached.counters.misses == 1


async def test_a_cold_reader_waits_no_longer_than_its_deadline(bench: Bench) -> None:
    bench.source.delay_s = 10
    began = seconds()
    with pytest.raises(DeadlineExceeded):
        await bench.cached.fetch(QUERY)
    assert seconds() - began == pytest.approx(4)
    await asyncio.sleep(7)
    assert (await bench.cached.fetch(QUERY)).cache == "hit"


async def test_a_deadline_reads_as_a_timeout_in_the_stale_answer(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = DeadlineExceeded("late")
    answer = await bench.cached.fetch(QUERY)
    assert (answer.stale_reason, answer.tried) == ("timeout", ())


async def test_our_own_bug_is_not_hidden_behind_a_stale_answer(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = KeyError("bug")
    with pytest.raises(KeyError):
        await bench.cached.fetch(QUERY)


async def test_closing_ends_the_flights(bench: Bench) -> None:
    bench.source.delay_s = 100
    reader = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0.1)
    assert repr(bench.cached) == "<CachedSource <TTLCache 0 entries, 0/10> 1 in flight>"
    await bench.cached.aclose()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert bench.source.ended == 0


async def test_remembered_failures_are_bounded(bench: Bench) -> None:
    bench.source.error = DOWN

    async def ask(coin: str) -> None:
        with pytest.raises(GatewayError):
            await bench.cached.fetch(PriceQuery(coin))

    for part in (range(900), range(900, 1_030)):  # so many at once are allowed
        await asyncio.gather(*(ask(f"coin-{number}") for number in part))
    assert repr(bench.cached._failures) == "<Failures 1024/1024>"


async def test_newest_is_the_last_answer_had_and_no_read(bench: Bench) -> None:
    assert bench.cached.newest is None
    await bench.cached.fetch(PriceQuery("btc"))
    await asyncio.sleep(5)
    await bench.cached.fetch(PriceQuery("eth"))
    await asyncio.sleep(5)
    newest: Any = bench.cached.newest
    assert (newest.data, newest.age_s) == (2.0, 5.0)
    assert bench.cached.counters.hits == 0


async def test_our_own_bug_does_not_cost_an_upstream_call_a_reader(bench: Bench) -> None:
    bench.source.error = KeyError("bug")
    for _ in range(20):
        with pytest.raises(KeyError):
            await bench.cached.fetch(QUERY)
    assert bench.source.calls == 1


async def test_a_bug_met_once_is_told_as_staleness_afterwards(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = KeyError("bug")
    with pytest.raises(KeyError):
        await bench.cached.fetch(QUERY)
    answer = await bench.cached.fetch(QUERY)
    assert (answer.stale_reason, answer.tried) == ("internal_error", ())


async def test_nobody_waits_beyond_the_time_when_a_provider_will_be_back(bench: Bench) -> None:
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


async def wait(bench: Bench, since: int, query: PriceQuery = QUERY) -> asyncio.Task[None]:
    """A reader of `changed` that got as far as it can."""
    waiter = asyncio.create_task(bench.cached.changed(query, since))
    await asyncio.sleep(0.01)
    return waiter


async def leave(*waiters: asyncio.Task[None]) -> None:
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)


def doubled(answer: Answer[float]) -> Answer[float]:
    return replace(answer, data=answer.data * 2)


async def test_a_change_is_the_next_refresh_whoever_asked_for_it(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    waiters = [await wait(bench, first.refresh_id) for _ in range(3)]
    await asyncio.sleep(TTL_S + 1)
    assert not any(waiter.done() for waiter in waiters), "who waits for changes asks nobody"
    assert bench.source.calls == 1
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.01)
    assert all(waiter.done() for waiter in waiters)
    assert (await bench.cached.fetch(QUERY)).refresh_id == 2


async def test_without_anything_held_the_first_answer_is_a_change(bench: Bench) -> None:
    waiter = await wait(bench, 0)
    assert not waiter.done()
    assert bench.source.calls == 0
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.01)
    assert waiter.done()


async def test_what_changed_already_is_no_wait(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    waiter = await wait(bench, 0)
    assert waiter.done()


async def test_an_amended_answer_is_a_change(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    waiter = await wait(bench, first.refresh_id)
    await bench.cached.amend(QUERY, doubled)
    await asyncio.sleep(0.01)
    assert waiter.done()


async def test_an_answer_that_is_called_stale_from_now_on_is_a_change(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    waiter = await wait(bench, first.refresh_id)
    bench.source.error = DOWN
    stale = await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.01)
    assert waiter.done()
    again = await wait(bench, stale.refresh_id)
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.01)
    assert not again.done(), "the same staleness told again is none"
    await leave(again)


async def test_a_failed_refresh_without_anything_held_is_no_change(bench: Bench) -> None:
    waiter = await wait(bench, 0)
    bench.source.error = DOWN
    with pytest.raises(AllProvidersFailed):
        await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.01)
    assert not waiter.done()
    await leave(waiter)


async def test_other_questions_change_nothing(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    waiter = await wait(bench, first.refresh_id)
    other = PriceQuery("eth")
    await bench.cached.fetch(other)
    await bench.cached.amend(other, doubled)
    await asyncio.sleep(0.01)
    assert not waiter.done()
    await leave(waiter)


async def test_who_leaves_takes_no_other_waiter_along(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    leaves, stays = [await wait(bench, first.refresh_id) for _ in range(2)]
    await leave(leaves)
    assert not stays.done()
    await bench.cached.amend(QUERY, doubled)
    await asyncio.sleep(0.01)
    assert stays.done()


async def test_who_waits_again_waits_for_the_next_change(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    seen = []
    for _ in range(3):
        held = await bench.cached.fetch(QUERY)
        waiter = await wait(bench, held.refresh_id)
        assert not waiter.done()
        await bench.cached.amend(QUERY, doubled)
        await waiter
        seen.append(held.data)
    assert seen == [1.0, 2.0, 4.0]


async def test_nothing_is_remembered_of_those_who_waited_and_left(bench: Bench) -> None:
    for number in range(10):
        await leave(await wait(bench, 0, PriceQuery(f"coin-{number}")))
    await asyncio.sleep(0.01)
    gc.collect()
    assert len(bench.cached._watched) == 0


async def test_without_an_answer_there_is_nothing_to_amend(bench: Bench) -> None:
    given: list[Answer[float]] = []

    def change(answer: Answer[float]) -> Answer[float]:
        given.append(answer)
        return answer

    waiter = await wait(bench, 0)
    await bench.cached.amend(QUERY, change)
    await bench.cached.amend(QUERY, change, renews=True)
    await asyncio.sleep(0.01)
    assert (given, bench.source.calls, len(bench.cached)) == ([], 0, 0)
    assert not waiter.done()
    await leave(waiter)


@pytest.mark.parametrize("renews", [False, True])
async def test_an_amendment_that_is_none_leaves_all_as_it_is(bench: Bench, renews: bool) -> None:
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(5)
    waiter = await wait(bench, first.refresh_id)
    await bench.cached.amend(QUERY, lambda _answer: None, renews=renews)
    await asyncio.sleep(0.01)
    assert not waiter.done()
    held = await bench.cached.fetch(QUERY)
    assert (held.data, held.refresh_id) == (1.0, first.refresh_id)
    assert held.ttl_left_s == pytest.approx(TTL_S - 5, abs=0.1)
    await leave(waiter)


async def test_an_amendment_keeps_the_times_and_is_another_refresh(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(20)
    await bench.cached.amend(QUERY, doubled)
    held = await bench.cached.fetch(QUERY)
    assert (held.data, held.refresh_id, held.cache) == (2.0, first.refresh_id + 1, "hit")
    assert (held.fetched_at, held.expires_at) == (first.fetched_at, first.expires_at)
    assert (held.age_s, held.ttl_left_s) == (20, TTL_S - 20)
    newest: Any = bench.cached.newest
    assert (newest.data, newest.age_s) == (2.0, 20)
    assert bench.source.calls == 1


async def test_an_amendment_does_not_put_off_the_next_refresh(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    for _ in range(int(TTL_S) + 1):
        await asyncio.sleep(1)
        await bench.cached.amend(QUERY, doubled)
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.01)
    assert bench.source.calls == 2
    assert (await bench.cached.fetch(QUERY)).data == 2.0


async def test_an_amendment_that_renews_is_as_good_as_a_refresh(bench: Bench) -> None:
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(20)
    told_at = bench.source.clock.now()
    await bench.cached.amend(
        QUERY, lambda answer: replace(doubled(answer), fetched_at=told_at), renews=True
    )
    held = await bench.cached.fetch(QUERY)
    assert (held.data, held.refresh_id, held.cache) == (2.0, first.refresh_id + 1, "hit")
    assert (held.fetched_at, held.age_s, held.ttl_left_s) == (told_at, 0, TTL_S)
    assert held.expires_at == told_at + timedelta(seconds=TTL_S)
    await asyncio.sleep(TTL_S)
    assert (await bench.cached.fetch(QUERY)).refresh_id == held.refresh_id
    assert bench.source.calls == 1


async def test_an_amendment_leaves_a_stale_answer_stale(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = DOWN
    await bench.cached.fetch(QUERY)
    await bench.cached.amend(QUERY, doubled)
    held = await bench.cached.fetch(QUERY)
    assert (held.data, held.stale, held.stale_reason) == (2.0, True, "upstream_5xx")
    assert held.cache == "stale"


async def test_an_amendment_that_renews_makes_a_stale_answer_fresh(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error = DOWN
    await bench.cached.fetch(QUERY)
    await bench.cached.amend(QUERY, doubled, renews=True)
    held = await bench.cached.fetch(QUERY)
    assert (held.data, held.stale, held.stale_reason) == (2.0, False, None)
    assert (held.cache, held.ttl_left_s) == ("hit", TTL_S)
    newest: Any = bench.cached.newest
    assert (newest.data, newest.stale) == (2.0, False)


async def test_an_answer_that_is_only_kept_can_be_amended_and_stays_old(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 5)
    await bench.cached.amend(QUERY, doubled)
    newest: Any = bench.cached.newest
    assert (newest.data, newest.age_s, newest.ttl_left_s) == (2.0, TTL_S * 5, 0)
    assert (await bench.cached.fetch(QUERY)).cache == "miss"


@pytest.mark.parametrize("renews", [False, True])
async def test_an_answer_that_is_too_old_to_be_served_is_not_amended(
    bench: Bench, renews: bool
) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(MAX_STALE_S)
    await bench.cached.amend(QUERY, doubled, renews=renews)
    assert bench.cached.newest is None
    assert (await bench.cached.fetch(QUERY)).data == 2.0
    assert bench.source.calls == 2


async def test_an_amendment_of_another_answer_is_not_the_newest(bench: Bench) -> None:
    await bench.cached.fetch(PriceQuery("btc"))
    await bench.cached.fetch(PriceQuery("eth"))
    await bench.cached.amend(PriceQuery("btc"), doubled)
    newest: Any = bench.cached.newest
    assert newest.data == 2.0, "the second answer, not the first one doubled"
    assert newest.refresh_id == 2


async def test_an_amendment_before_a_quick_refresh_lands_gives_way_to_it(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S + 1)
    bench.source.delay_s = 1
    await bench.cached.fetch(QUERY)
    await bench.cached.amend(QUERY, lambda answer: replace(answer, data=-1.0))
    assert (await bench.cached.fetch(QUERY)).data == -1.0
    await asyncio.sleep(1.1)
    assert (await bench.cached.fetch(QUERY)).data == 2.0


async def test_a_reader_that_waited_in_vain_gets_what_was_told_meanwhile_and_flagged(
    bench: Bench,
) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error, bench.source.delay_s = DOWN, 1.0
    waiting = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0.5)
    await bench.cached.amend(QUERY, doubled)
    answer = await waiting
    assert (answer.data, answer.cache) == (2.0, "stale")
    assert (answer.stale, answer.stale_reason) == (True, "upstream_5xx")


async def test_a_reader_that_waited_in_vain_gets_what_was_renewed_meanwhile(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(TTL_S * 2 + 1)
    bench.source.error, bench.source.delay_s = DOWN, 1.0
    waiting = asyncio.create_task(bench.cached.fetch(QUERY))
    await asyncio.sleep(0.5)
    await bench.cached.amend(QUERY, doubled, renews=True)
    answer = await waiting
    assert (answer.data, answer.cache, answer.stale) == (2.0, "hit", False)


async def test_each_refresh_and_renewal_is_handed_over_and_nothing_else(bench: Bench) -> None:
    refreshed = await bench.cached.fetch(QUERY)
    await bench.cached.fetch(QUERY)
    await bench.cached.amend(QUERY, doubled)
    assert bench.kept == [refreshed]
    await bench.cached.amend(QUERY, doubled, renews=True)
    assert [answer.data for answer in bench.kept] == [1.0, 4.0]
    bench.source.error = DOWN
    await asyncio.sleep(3 * TTL_S)
    assert (await bench.cached.fetch(QUERY)).stale
    assert len(bench.kept) == 2


def of_an_earlier_run(age_s: float) -> Answer[float]:
    told_at = LoopClock().now() - timedelta(seconds=age_s)
    return Answer(7.0, "b", told_at, 1.0, (Attempt("b", "ok", 1.0),), ("careful",))


async def test_a_recalled_answer_that_is_still_fresh_is_a_hit_as_old_as_it_is(
    bench: Bench,
) -> None:
    assert await bench.cached.recall(QUERY, of_an_earlier_run(TTL_S - 10))
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


async def test_a_recalled_answer_is_not_served_in_place_of_a_fresh_one(bench: Bench) -> None:
    await bench.cached.recall(QUERY, of_an_earlier_run(MAX_STALE_S - 100))
    answer = await bench.cached.fetch(QUERY)
    assert (answer.data, answer.cache, answer.stale) == (1.0, "miss", False)


async def test_a_recalled_answer_is_served_flagged_when_there_is_no_fresh_one(
    bench: Bench,
) -> None:
    bench.source.error = DOWN
    await bench.cached.recall(QUERY, of_an_earlier_run(MAX_STALE_S - 100))
    answer = await bench.cached.fetch(QUERY)
    assert (answer.data, answer.cache) == (7.0, "stale")
    assert answer.age_s == pytest.approx(MAX_STALE_S - 100)
    assert (answer.stale, answer.stale_reason) == (True, "upstream_5xx")
    assert [attempt.provider for attempt in answer.tried] == ["a"]


async def test_a_recalled_answer_is_served_when_a_fresh_one_takes_too_long(bench: Bench) -> None:
    bench.source.delay_s = 3.0
    await bench.cached.recall(QUERY, of_an_earlier_run(MAX_STALE_S - 100))
    assert (await bench.cached.fetch(QUERY)).stale_reason == "timeout"
    await asyncio.sleep(3.0)
    assert (await bench.cached.fetch(QUERY)).data == 1.0


async def test_a_recalled_answer_is_over_when_it_is_too_old(bench: Bench) -> None:
    bench.source.error = DOWN
    await bench.cached.recall(QUERY, of_an_earlier_run(MAX_STALE_S - 1))
    assert (await bench.cached.fetch(QUERY)).stale
    await asyncio.sleep(1.1)
    with pytest.raises(AllProvidersFailed):
        await bench.cached.fetch(QUERY)


@pytest.mark.parametrize("age_s", [MAX_STALE_S, MAX_STALE_S * 9, -0.001, -7_200.0])
async def test_what_is_too_old_or_of_a_time_to_come_is_not_recalled(
    bench: Bench, age_s: float
) -> None:
    assert not await bench.cached.recall(QUERY, of_an_earlier_run(age_s))
    assert len(bench.cached) == 0
    assert bench.cached.newest is None


async def test_a_recalled_answer_is_the_newest_and_not_handed_over_again(bench: Bench) -> None:
    await bench.cached.recall(QUERY, of_an_earlier_run(5.0))
    newest: Any = bench.cached.newest
    assert (newest.data, newest.age_s, newest.refresh_id) == (7.0, pytest.approx(5.0), 1)
    assert bench.kept == []


@pytest.mark.parametrize("query", [QUERY, PriceQuery("eth")])
def test_what_is_always_as_fresh_is_so_for_every_question(query: PriceQuery) -> None:
    answer = Answer(1.0, "a", EPOCH, 1.0)
    assert always(TTL_S, MAX_STALE_S)(query, answer) == Freshness(TTL_S, MAX_STALE_S)


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
async def test_an_answer_is_fresh_for_as_long_as_budgets_want(
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
        affordable_s=lambda _query: affordable_s,
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


async def test_only_who_has_nothing_at_all_is_urgent(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    for age_s in (TTL_S + 1, TTL_S * 3, MAX_STALE_S + 1):
        await asyncio.sleep(age_s)
        await bench.cached.fetch(QUERY)
        await asyncio.sleep(0)
    assert bench.source.urgent == [True, False, False, True]


def late_answer(bench: Bench, after_s: float, value: float) -> None:
    """The next fetch will have a second answer to come."""

    async def later() -> Answer[float]:
        await asyncio.sleep(after_s)
        return Answer(value, "slow", bench.source.clock.now(), 1.0)

    bench.source.later = later


async def test_what_a_slower_provider_brought_takes_the_answers_place(bench: Bench) -> None:
    late_answer(bench, 2, 77.0)
    first = await bench.cached.fetch(QUERY)
    await asyncio.sleep(2.1)
    second = await bench.cached.fetch(QUERY)
    assert (first.data, second.data, second.source) == (1.0, 77.0, "slow")
    assert second.refresh_id > first.refresh_id
    assert second.age_s == pytest.approx(0.1)
    assert [answer.source for answer in bench.kept] == ["a", "slow"]
    assert bench.source.calls == 1


async def test_a_late_answer_that_fails_harms_nobody(bench: Bench) -> None:
    async def later() -> Answer[float]:
        raise UpstreamFailed

    bench.source.later = later
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(1)
    assert (await bench.cached.fetch(QUERY)).data == 1.0


async def test_a_late_answer_older_than_what_is_held_is_dropped(bench: Bench) -> None:
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
    late_answer(bench, 1_000, 77.0)
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
async def test_while_it_is_read_nobody_waits_for_a_refresh(bench: Bench, every_s: float) -> None:
    bench.source.delay_s = 0.5
    bench.cached._freshness = lambda _query, _answer: Freshness(1.0, MAX_STALE_S)
    bench.cached._ahead = lambda: 0.85
    first, *others = await poll(bench, every_s, 10.0)
    assert first == 0.5
    assert set(others) == {0.0}
    assert bench.source.calls <= 12


async def test_what_is_read_is_refreshed_before_it_expires(bench: Bench) -> None:
    bench.cached._ahead = lambda: 0.8
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
    assert bench.source.calls == 2, "nobody there: no call"


async def test_what_the_budget_does_not_afford_is_not_refreshed_early(bench: Bench) -> None:
    bench.cached._ahead = lambda: 0.5
    bench.cached._affordable_s = lambda _query: 0.9 * TTL_S
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0.89 * TTL_S)
    await bench.cached.fetch(QUERY)
    await asyncio.sleep(0)
    assert bench.source.calls == 1


async def test_a_refresh_ahead_that_fails_costs_the_readers_nothing(bench: Bench) -> None:
    bench.cached._ahead = lambda: 0.5
    await bench.cached.fetch(QUERY)
    bench.source.error = DOWN
    await asyncio.sleep(0.6 * TTL_S)
    answers = []
    for _ in range(20):
        answers.append(await bench.cached.fetch(QUERY))
        await asyncio.sleep(0.1)
    assert {answer.cache for answer in answers} == {"hit"}
    assert bench.source.calls == 2, "not again before its time"


async def test_what_holds_an_answer_ends_with_a_refresh_an_amendment_and_the_cache(
    bench: Bench,
) -> None:
    first = await bench.cached.fetch(QUERY)
    held: Any = first.validity
    await asyncio.sleep(TTL_S / 2)
    assert held.current_age_s() == TTL_S / 2
    held.note_hit()
    assert bench.cached.counters.hits == 1
    await bench.cached.amend(QUERY, lambda answer: replace(answer, data=5.0))
    assert held.current_age_s() is None
    amended: Any = (await bench.cached.fetch(QUERY)).validity
    assert amended.current_age_s() == TTL_S / 2
    await asyncio.sleep(TTL_S / 2)
    assert amended.current_age_s() is None, "a refresh is due"
    await bench.cached.fetch(QUERY)
    renewed: Any = (await bench.cached.fetch(QUERY)).validity
    await bench.cached.aclose()
    assert renewed.current_age_s() is None


async def test_an_amendment_that_comes_too_late_leaves_the_newer_answer_as_it_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.cached.fetch(QUERY)
    cache = bench.cached._cache
    restate = cache.restate
    newer = Answer(9.0, "a", bench.source.clock.now(), 1.0)

    async def restate_too_late(*asked: Any) -> Any:
        await bench.cached.recall(QUERY, newer)
        return await restate(*asked)

    monkeypatch.setattr(cache, "restate", restate_too_late)
    await bench.cached.amend(QUERY, lambda answer: replace(answer, data=5.0))
    answer = await bench.cached.fetch(QUERY)
    assert answer.data == 9.0
    assert answer.validity is not None
    assert answer.validity.current_age_s() == 0.0
