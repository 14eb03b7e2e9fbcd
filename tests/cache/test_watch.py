"""Watching a query: what a watcher gets, when it asks, and what wakes it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from backend.cache.cached_source import CachedSource
from backend.cache.freshness import Freshness
from backend.cache.ttl_cache import TTLCache
from backend.errors import DeadlineExceeded, GatewayError, NotReady
from backend.models.answer import Answer
from tests.clocks import LoopClock
from tests.walk import PriceQuery

pytestmark = pytest.mark.looptime
QUERY, OTHER = PriceQuery(), PriceQuery("eth")
TTL_S, MAX_STALE_S = 60.0, 600.0
Ask = Callable[[], Awaitable[tuple[PriceQuery, Answer[float]]]]


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Bench:
    """A cached source whose refreshes bring 1, 2, 3 ..., and watchers that note what they get."""

    capacity: int = 10
    delay_s: float = 0.0
    calls: int = 0
    #: Raised by `ask`.
    error: Exception | None = None
    asked_at: list[float] = field(default_factory=list)
    seen: list[tuple[float, Any]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = LoopClock()
        self.cached: CachedSource[PriceQuery, float] = CachedSource(
            self,
            TTLCache[Answer[float]](clock, self.capacity),
            clock=clock,
            emit=lambda _event: None,
            freshness=lambda _query, _answer: Freshness(TTL_S, MAX_STALE_S),
            deadline_s=4.0,
        )

    async def fetch(self, _query: PriceQuery) -> Answer[float]:
        self.calls += 1
        await asyncio.sleep(self.delay_s)
        return Answer(float(self.calls), "a", LoopClock().now(), 1.0)

    async def ask(self) -> tuple[PriceQuery, Answer[float]]:
        self.asked_at.append(now())
        if self.error:
            raise self.error
        return QUERY, await self.cached.fetch(QUERY)

    async def put(self, value: float, query: PriceQuery = QUERY) -> None:
        """As if another reader's refresh had brought `value`."""
        await self.cached.update(query, lambda answer: replace(answer, data=value), is_fresh=True)

    async def watch(self, ask: Ask | None = None) -> asyncio.Task[None]:
        """A watcher that has got as far as it can."""
        task = asyncio.create_task(self._note(self.cached.watch(ask or self.ask)))
        self.tasks.append(task)
        await asyncio.sleep(0.01)
        return task

    async def _note(self, answers: AsyncGenerator[Answer[float] | GatewayError]) -> None:
        async with aclosing(answers):
            async for answer in answers:
                value = answer.data if isinstance(answer, Answer) else answer
                self.seen.append((round(now(), 1), value))

    @property
    def values(self) -> list[Any]:
        return [value for _, value in self.seen]

    async def aclose(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.cached.aclose()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.aclose()


async def test_nothing_is_asked_before_the_watch_is_iterated(bench: Bench) -> None:
    answers = bench.cached.watch(bench.ask)
    await asyncio.sleep(3_600)
    await answers.aclose()
    assert (bench.asked_at, bench.calls) == ([], 0)


async def test_the_cached_answer_comes_at_once(bench: Bench) -> None:
    await bench.cached.fetch(QUERY)
    await bench.watch()
    assert (bench.seen, bench.calls) == ([(0, 1.0)], 1)


async def test_each_new_answer_comes_once_and_when_it_is_stored(bench: Bench) -> None:
    await bench.watch()
    for value in (2.0, 3.0):
        await asyncio.sleep(10)
        await bench.put(value)
    await asyncio.sleep(1)
    assert bench.seen == [(0, 1.0), (10, 2.0), (20, 3.0)]


async def test_an_update_that_keeps_the_times_is_a_new_answer(bench: Bench) -> None:
    await bench.watch()
    await asyncio.sleep(1)
    await bench.cached.update(QUERY, lambda answer: replace(answer, data=5.0))
    await asyncio.sleep(0.01)
    assert bench.values == [1.0, 5.0]


async def test_updates_that_come_at_once_come_as_the_last_one(bench: Bench) -> None:
    await bench.watch()
    for value in (5.0, 6.0, 7.0):
        await bench.cached.update(QUERY, partial(replace, data=value))
    await asyncio.sleep(0.01)
    assert (bench.values, bench.calls) == ([1.0, 7.0], 1)


async def test_an_update_wakes_no_watcher_whose_task_is_cancelled(bench: Bench) -> None:
    leaving, _staying = await bench.watch(), await bench.watch()
    leaving.cancel()
    await bench.cached.update(QUERY, partial(replace, data=5.0))
    await asyncio.sleep(0.01)
    assert sorted(bench.values) == [1.0, 1.0, 5.0]


async def test_nobody_asks_for_an_update_until_a_refresh_is_due(bench: Bench) -> None:
    await bench.watch()
    for second in range(70):
        await asyncio.sleep(1)
        await bench.cached.update(QUERY, partial(replace, data=10.0 + second))
    assert bench.asked_at[0] == 0
    assert bench.asked_at[1] == pytest.approx(TTL_S, abs=1.1)
    assert (bench.calls, bench.values[:3]) == (2, [1.0, 10.0, 11.0])
    await asyncio.sleep(0.01)
    assert bench.values[-1] == 79.0


async def test_an_answer_flagged_as_stale_is_no_update(bench: Bench) -> None:
    """It is asked for, so that the watcher's view of it is that of all readers."""
    await bench.watch()
    await bench.cached.update(
        QUERY, lambda answer: replace(answer, data=5.0, stale=True, stale_reason="timeout")
    )
    await asyncio.sleep(0.01)
    assert (bench.values, bench.asked_at) == ([1.0, 5.0], [0, 0.01])


async def test_an_update_to_none_is_no_new_answer(bench: Bench) -> None:
    await bench.watch()
    await bench.cached.update(QUERY, lambda _answer: None)
    await asyncio.sleep(1)
    assert bench.values == [1.0]


async def test_nothing_is_asked_while_the_answer_is_fresh(bench: Bench) -> None:
    await bench.watch()
    await asyncio.sleep(TTL_S - 0.1)
    assert bench.asked_at == [0]


async def test_an_expired_answer_is_asked_for_every_second(bench: Bench) -> None:
    await bench.watch()
    bench.delay_s = 1_000.0
    await asyncio.sleep(TTL_S + 3.5)
    assert bench.asked_at == pytest.approx([0, TTL_S, TTL_S + 1, TTL_S + 2, TTL_S + 3], abs=0.1)
    assert bench.values == [1.0]


async def test_the_refresh_of_an_expired_answer_comes_as_soon_as_it_is_stored(
    bench: Bench,
) -> None:
    await bench.watch()
    bench.delay_s = 0.3
    await asyncio.sleep(TTL_S + 2)
    assert bench.seen == [(0, 1.0), (61.3, 2.0)]


async def test_answers_stored_together_come_as_one(bench: Bench) -> None:
    await bench.watch()
    await bench.put(2.0)
    await bench.put(3.0)
    await asyncio.sleep(0.01)
    assert bench.values == [1.0, 3.0]


async def test_what_is_stored_while_a_watcher_is_busy_is_not_missed(bench: Bench) -> None:
    async with aclosing(bench.cached.watch(bench.ask)) as answers:
        first: Any = await anext(answers)
        await bench.put(2.0)
        second: Any = await anext(answers)
    assert (first.data, second.data, now()) == (1.0, 2.0, 0)


async def test_an_answer_that_becomes_stale_is_a_new_answer_but_only_once(bench: Bench) -> None:
    async def fail(_query: PriceQuery) -> Answer[float]:
        raise NotReady("down")

    await bench.watch()
    bench.fetch = fail  # type: ignore[method-assign] # from now on refreshes fail
    await asyncio.sleep(TTL_S * 5)
    assert bench.values == [1.0, 1.0]


async def test_an_error_comes_in_place_of_an_answer_and_is_asked_again_after_a_second(
    bench: Bench,
) -> None:
    first, second = NotReady("no universe"), DeadlineExceeded("late")
    bench.error = first
    await bench.watch()
    await asyncio.sleep(0.5)
    bench.error = second
    await asyncio.sleep(1)
    bench.error = None
    await asyncio.sleep(1)
    assert bench.seen == [(0, first), (1, second), (2, 1.0)]


async def test_after_an_error_the_same_answer_comes_again(bench: Bench) -> None:
    late = DeadlineExceeded("late")
    await bench.watch()
    await asyncio.sleep(TTL_S - 1)
    bench.error = late
    await asyncio.sleep(2.5)
    bench.error = None
    await asyncio.sleep(0.6)
    assert bench.seen[:4] == [(0, 1.0), (60, late), (61, late), (62, 1.0)]


async def test_a_bug_ends_the_watch(bench: Bench) -> None:
    watcher = await bench.watch()
    bench.error = KeyError("bug")
    await asyncio.sleep(TTL_S + 1)
    assert isinstance(watcher.exception(), KeyError)


async def test_other_queries_do_not_wake_a_watcher(bench: Bench) -> None:
    await bench.watch()
    await bench.cached.fetch(OTHER)
    await bench.put(9.0, OTHER)
    await asyncio.sleep(1)
    assert (bench.values, bench.asked_at) == ([1.0], [0])


async def test_watchers_do_not_take_answers_from_each_other(bench: Bench) -> None:
    await bench.watch()
    leaves = await bench.watch()
    await bench.watch()
    leaves.cancel()
    await asyncio.sleep(5)
    await bench.put(2.0)
    await asyncio.sleep(0.01)
    assert bench.values == [1.0] * 3 + [2.0] * 2
    assert bench.calls == 1


async def test_a_watcher_that_leaves_asks_nothing_any_more(bench: Bench) -> None:
    watcher = await bench.watch()
    watcher.cancel()
    await asyncio.sleep(500)
    assert bench.asked_at == [0]


async def test_the_next_answer_wakes_a_watcher_and_an_eviction_does_not() -> None:
    bench = Bench(capacity=1)
    await bench.watch()
    await bench.cached.fetch(OTHER)
    await asyncio.sleep(5)
    assert (bench.values, bench.asked_at) == ([1.0], [0])
    await bench.put(9.0)
    await asyncio.sleep(0.01)
    assert (bench.values, bench.calls) == ([1.0, 9.0], 2)
    await bench.aclose()


async def test_an_answer_evicted_before_the_watch_sees_it_is_asked_for_after_its_ttl() -> None:
    bench = Bench(capacity=1)

    async def ask() -> tuple[PriceQuery, Answer[float]]:
        asked = await bench.ask()
        await bench.cached.fetch(OTHER)
        return asked

    await bench.watch(ask)
    await asyncio.sleep(TTL_S + 1)
    assert bench.asked_at == [0, TTL_S]
    await bench.aclose()


async def test_an_answer_replaced_before_the_watch_sees_it_is_asked_for_again_at_once(
    bench: Bench,
) -> None:
    async def ask() -> tuple[PriceQuery, Answer[float]]:
        asked = await bench.ask()
        if len(bench.asked_at) == 1:
            await bench.put(2.0)
        return asked

    await bench.watch(ask)
    assert bench.seen == [(0, 1.0), (0, 2.0)]
    assert bench.asked_at == [0, 0]


async def test_closing_the_source_ends_the_watch(bench: Bench) -> None:
    watcher = await bench.watch()
    await bench.cached.aclose()
    await asyncio.sleep(0.01)
    assert watcher.done()
    assert bench.asked_at == [0]
