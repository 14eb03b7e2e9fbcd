"""A followed question: what its follower is told, and what is asked meanwhile."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from backend.errors import DeadlineExceeded, GatewayError, NotReady
from backend.models.answer import Answer, Query
from backend.models.ohlc import Interval
from backend.models.ticks import CandleTicks, Flow, MarketTicks, TickSubject
from backend.services.following import Following
from tests.clocks import EPOCH
from tests.walk import PriceQuery

pytestmark = pytest.mark.looptime
QUERY = PriceQuery()
TTL_S = 60.0


@dataclass
class ScriptedHeld:
    """Holds one answer, fresh for its time since it was put; fails while `error` is set."""

    ttl_s: float = TTL_S
    error: GatewayError | None = None
    asked_at: list[float] = field(default_factory=list)
    waiting: int = 0

    def __post_init__(self) -> None:
        self._answer = Answer(0.0, "a", EPOCH, 1.0, refresh_id=0)
        self._put_at = 0.0
        self._changes = asyncio.Event()

    def put(self, number: int, source: str = "a") -> None:
        """Refresh `number` brought `number`."""
        self._answer = Answer(float(number), source, EPOCH, 1.0, refresh_id=number)
        self._put_at = now()
        self._changes.set()
        self._changes = asyncio.Event()

    async def fetch(self, _query: PriceQuery) -> Answer[float]:
        self.asked_at.append(now())
        if self.error:
            raise self.error
        left_s = max(0.0, self._put_at + self.ttl_s - now())
        return replace(self._answer, ttl_left_s=left_s)

    async def changed(self, query: PriceQuery, since: int) -> None:
        assert query == QUERY
        self.waiting += 1
        try:
            while self._answer.refresh_id == since:
                await self._changes.wait()
        finally:
            self.waiting -= 1

    async def amend(
        self,
        query: PriceQuery,
        change: Callable[[Answer[float]], Answer[float] | None],
        *,
        renews: bool = False,
    ) -> None:
        raise AssertionError("a follower amends nothing")


@dataclass
class Listener:
    """Remembers who wanted what, in turn."""

    told: list[tuple[TickSubject | None, Query[Any] | None]] = field(default_factory=list)
    retold: list[tuple[TickSubject | None, int]] = field(default_factory=list)

    def listen(
        self,
        _following: Following[Any, Any],
        subject: TickSubject | None,
        query: Query[Any] | None,
    ) -> None:
        self.told.append((subject, query))

    async def retell(self, subject: TickSubject | None, answer: Answer[Any]) -> None:
        self.retold.append((subject, answer.refresh_id))

    def flow(self, subject: TickSubject) -> Flow:
        return Flow(isinstance(subject, MarketTicks), "down")


@dataclass
class Bench:
    held: ScriptedHeld = field(default_factory=ScriptedHeld)
    listener: Listener = field(default_factory=Listener)
    heard: list[tuple[float, Any]] = field(default_factory=list)
    #: By the source of the answer.
    subjects: dict[str, TickSubject] = field(default_factory=dict)
    readers: list[asyncio.Task[None]] = field(default_factory=list)

    def following(self) -> Following[PriceQuery, float]:
        async def ask() -> tuple[PriceQuery, Answer[float]]:
            return QUERY, await self.held.fetch(QUERY)

        return Following(
            self.listener,
            ask,
            self.held,
            lambda answer: self.subjects.get(answer.sources[0]),
        )

    def follow(self, following: Following[PriceQuery, float] | None = None) -> asyncio.Task[None]:
        """A follower that hears all that there is."""
        reader = asyncio.create_task(self._read((following or self.following()).answers()))
        self.readers.append(reader)
        return reader

    async def _read(self, answers: AsyncGenerator[Answer[float] | GatewayError]) -> None:
        async with aclosing(answers) as told:
            async for answer in told:
                said = answer.data if isinstance(answer, Answer) else answer
                self.heard.append((now(), said))

    async def leave(self) -> None:
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)
        self.readers.clear()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.leave()


def flow_of(following: Following[PriceQuery, float]) -> Flow | None:
    """As it is now: a type checker takes a property for a constant."""
    return following.flow


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_nothing_is_asked_before_somebody_iterates(bench: Bench) -> None:
    following = bench.following()
    answers = following.answers()
    await asyncio.sleep(3_600)
    assert (bench.held.asked_at, bench.listener.told, following.flow) == ([], [], None)
    await answers.aclose()
    assert bench.held.asked_at == []


async def test_the_answer_at_hand_is_told_at_once(bench: Bench) -> None:
    bench.held.put(7)
    bench.follow()
    await asyncio.sleep(0.01)
    assert bench.heard == [(0, 7.0)]


async def test_each_new_refresh_is_told_once_and_when_it_comes(bench: Bench) -> None:
    bench.held.put(1)
    bench.follow()
    for number in (2, 3):
        await asyncio.sleep(10)
        bench.held.put(number)
    await asyncio.sleep(0.01)
    assert bench.heard == [(0, 1.0), (10, 2.0), (20, 3.0)]
    await asyncio.sleep(500)
    assert len(bench.heard) == 3
    assert len(bench.held.asked_at) > 10, "it goes on asking all the same"


async def test_nobody_asks_while_the_answer_is_fresh(bench: Bench) -> None:
    bench.held.put(1)
    bench.follow()
    await asyncio.sleep(TTL_S - 0.1)
    assert bench.held.asked_at == [0]
    assert bench.held.waiting == 1


async def test_it_is_asked_again_when_the_answer_is_over_and_each_second_then(
    bench: Bench,
) -> None:
    bench.held.put(1)
    bench.follow()
    await asyncio.sleep(TTL_S + 3.5)
    assert bench.held.asked_at == [0, TTL_S, TTL_S + 1, TTL_S + 2, TTL_S + 3]


async def test_refreshes_that_came_together_are_told_as_one(bench: Bench) -> None:
    bench.held.put(1)
    bench.follow()
    await asyncio.sleep(1)
    bench.held.put(2)
    bench.held.put(3)
    await asyncio.sleep(0.01)
    assert [said for _, said in bench.heard] == [1.0, 3.0]


async def test_where_there_is_no_answer_the_error_is_told_and_it_is_asked_again_in_a_second(
    bench: Bench,
) -> None:
    first, second = NotReady("no universe"), DeadlineExceeded("late")
    bench.held.error = first
    bench.follow()
    await asyncio.sleep(0.5)
    bench.held.error = second
    await asyncio.sleep(1)
    bench.held.error = None
    bench.held.put(1)
    await asyncio.sleep(1)
    assert bench.heard == [(0, first), (1, second), (2, 1.0)]


async def test_an_error_between_two_answers_is_told(bench: Bench) -> None:
    late = DeadlineExceeded("late")
    bench.held.put(1)
    bench.follow()
    await asyncio.sleep(TTL_S - 1)
    bench.held.error = late
    await asyncio.sleep(2.5)
    bench.held.error = None
    bench.held.put(2)
    await asyncio.sleep(1)
    assert bench.heard == [(0, 1.0), (60, late), (61, late), (62, 2.0)]


async def test_a_bug_ends_it_and_it_wants_nothing_any_more(bench: Bench) -> None:
    bench.held.put(1)
    bench.subjects["a"] = MarketTicks()
    reader = bench.follow()
    await asyncio.sleep(1)
    bench.held.error = KeyError("bug")  # type: ignore[assignment] # a bug has any type
    await asyncio.sleep(TTL_S)
    assert isinstance(reader.exception(), KeyError)
    assert bench.listener.told[-1] == (None, None)


async def test_ticks_are_wanted_of_what_the_answer_says_and_before_it_is_told(
    bench: Bench,
) -> None:
    candles = CandleTicks("BTCUSDT", Interval.H1)
    bench.subjects = {"a": MarketTicks(), "b": candles}
    bench.held.put(1, "a")
    following = bench.following()
    async with aclosing(following.answers()) as answers:
        await anext(answers)
        assert bench.listener.told == [(MarketTicks(), QUERY)]
        assert flow_of(following) == Flow(True, "down")
        bench.held.put(2, "b")
        await anext(answers)
        assert bench.listener.told[-1] == (candles, QUERY)
        assert flow_of(following) == Flow(False, "down")
        bench.held.put(3, "nobody that pushes")
        await anext(answers)
        assert bench.listener.told[2:] == [(None, QUERY)]
        assert flow_of(following) is None


async def test_an_error_does_not_let_go_of_the_ticks(bench: Bench) -> None:
    bench.subjects["a"] = MarketTicks()
    bench.held.put(1)
    bench.follow()
    await asyncio.sleep(1)
    bench.held.error = DeadlineExceeded("late")
    await asyncio.sleep(TTL_S + 5)
    assert set(bench.listener.told) == {(MarketTicks(), QUERY)}


async def test_who_leaves_wants_nothing_and_waits_for_nothing_any_more(bench: Bench) -> None:
    bench.subjects["a"] = MarketTicks()
    bench.held.put(1)
    following = bench.following()
    bench.follow(following)
    await asyncio.sleep(1)
    assert flow_of(following) is not None
    await bench.leave()
    assert bench.listener.told == [(MarketTicks(), QUERY), (None, None)]
    assert bench.held.waiting == 0
    assert flow_of(following) is None
    asked = len(bench.held.asked_at)
    await asyncio.sleep(500)
    assert len(bench.held.asked_at) == asked


async def test_who_leaves_between_two_answers_wants_nothing_any_more(bench: Bench) -> None:
    bench.subjects["a"] = MarketTicks()
    bench.held.put(1)
    async with aclosing(bench.following().answers()) as answers:
        await anext(answers)
    assert bench.listener.told[-1] == (None, None)


async def test_followers_do_not_take_answers_from_each_other(bench: Bench) -> None:
    bench.held.put(1)
    bench.follow()
    bench.follow()
    await asyncio.sleep(5)
    bench.held.put(2)
    await asyncio.sleep(0.01)
    assert bench.heard == [(0, 1.0), (0, 1.0), (5, 2.0), (5, 2.0)]
