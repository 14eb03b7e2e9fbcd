"""Answers of several processes: asked of the leader, pushed to all, adopted with their times.

Each process has a real CachedSource, SharedSource and AnswerExchange; the bus is the tests' own.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from backend.cache import answer_exchange
from backend.cache.answer_exchange import ACK_S, ASK_AGAIN_S, REFRESH_LATER_S, AnswerExchange
from backend.cache.answer_messages import MessageCodec
from backend.cache.answer_store import AnswerCodec, KeptAnswer
from backend.cache.cached_source import CachedSource
from backend.cache.freshness import Freshness, SharedAnswer
from backend.cache.shared_source import SharedSource
from backend.cache.ttl_cache import TTLCache
from backend.cluster.contract import Channel
from backend.errors import AllProvidersFailed, DeadlineExceeded, SourceUnavailable
from backend.models.answer import Answer, Query
from backend.models.status import Refusal
from tests.clocks import LoopClock
from tests.cluster.fake_cluster import FakeBus, FakeNetwork
from tests.walk import PriceQuery, SeriesQuery

pytestmark = pytest.mark.looptime
QUERY = PriceQuery()
TTL_S, MAX_STALE_S, DEADLINE_S = 60.0, 600.0, 4.0
DOWN = AllProvidersFailed("down", [Refusal("a", "upstream_5xx")])
CODEC = MessageCodec({"price": AnswerCodec(KeptAnswer[PriceQuery, float])})
SERIES = MessageCodec({"price": AnswerCodec(KeptAnswer[SeriesQuery, float])})


@dataclass
class Part:
    """A process's part in the cluster, as a test sets it."""

    bus: FakeBus
    leads: bool = False
    hears_leader: bool = True
    heard_at: float = float("-inf")
    expects_leader: bool = True

    def state(self) -> Any:
        raise NotImplementedError

    def count_readers_by(self, readers: Callable[[], int]) -> None:
        raise NotImplementedError


@dataclass
class Providers:
    """Answers the number of the call after `delay_s`; fails while `error` is set."""

    clock: LoopClock = field(default_factory=LoopClock)
    delay_s: float = 0.02
    error: Exception | None = None
    calls: int = 0

    async def fetch(self, _query: PriceQuery) -> Answer[float]:
        self.calls += 1
        number = self.calls
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        return Answer(float(number), "a", self.clock.now(), 1.0)


class Process:
    def __init__(
        self,
        network: FakeNetwork,
        name: str,
        *,
        leads: bool = False,
        codec: MessageCodec = CODEC,
    ) -> None:
        self.part = Part(FakeBus(network, name), leads, not leads)
        self.providers, self.saved, clock = Providers(), list[Answer[float]](), LoopClock()
        self.adopted, self.read = list[Answer[float]](), list[Query[Any]]()
        by_category: dict[str, CachedSource[Any, Any]] = {}
        self.exchange = AnswerExchange(
            self.part, codec, by_category, clock, note_read=self.read.append
        )
        self.source = SharedSource(
            "price", self.providers, self.exchange, self.part, clock=clock, deadline_s=3.5
        )
        self.cached: CachedSource[PriceQuery, float] = CachedSource(
            self.source,
            TTLCache[Answer[float]](clock, 10),
            clock=clock,
            emit=lambda _event: None,
            freshness=lambda _query, _answer: Freshness(TTL_S, MAX_STALE_S),
            deadline_s=DEADLINE_S,
            save=lambda _query, answer: self.saved.append(answer),
            adopt=self.adopted.append,
            refresh_share=lambda: 0.8,
            on_refresh=lambda query: self.exchange.publish("price", query),
        )
        by_category["price"] = self.cached

    async def aclose(self) -> None:
        await self.cached.aclose()
        await self.exchange.aclose()


@dataclass
class Processes:
    network: FakeNetwork
    leader: Process
    followers: tuple[Process, Process]

    @property
    def all(self) -> tuple[Process, ...]:
        return (self.leader, *self.followers)

    @property
    def calls(self) -> int:
        return sum(process.providers.calls for process in self.all)

    def sent(self, channel: Channel) -> int:
        return sum(of == channel for _, of, _ in self.network.sent)


@pytest.fixture
async def cluster() -> AsyncIterator[Processes]:
    network = FakeNetwork()
    processes = Processes(
        network,
        Process(network, "vm/0", leads=True),
        (Process(network, "vm/1"), Process(network, "vm/2")),
    )
    yield processes
    for process in processes.all:
        await process.aclose()


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def test_a_cold_query_is_called_once_for_all_processes(cluster: Processes) -> None:
    reads = [process.cached.fetch(QUERY) for process in cluster.all for _ in range(20)]
    answers = await asyncio.gather(*reads)
    assert cluster.calls == cluster.leader.providers.calls == 1
    assert {(answer.data, answer.stale) for answer in answers} == {(1.0, False)}
    assert repr(cluster.leader.exchange) == "<AnswerExchange 0 asked, 0 answering>"
    assert repr(cluster.leader.source) == "<SharedSource price>"
    kept = "<CachedAnswers <TTLCache 1 entries, 1/10>>"
    assert repr(cluster.leader.cached._answers) == kept
    follower = cluster.followers[0]
    assert (follower.exchange.asked, follower.exchange.asked_s > 0) == (1, True)
    assert cluster.leader.read[0] == QUERY


async def test_a_refresh_is_pushed_and_nobody_waits_for_it(cluster: Processes) -> None:
    await cluster.leader.cached.fetch(QUERY)
    await asyncio.sleep(0.01)
    began = seconds()
    for follower in cluster.followers:
        answer = await follower.cached.fetch(QUERY)
        assert (answer.data, answer.cache) == (1.0, "hit")
        assert [one.data for one in follower.adopted] == [1.0]
        assert [one.data for one in follower.saved] == [1.0]
    assert seconds() == began
    assert cluster.calls == 1


async def test_an_adopted_answer_has_the_leaders_age_and_times(cluster: Processes) -> None:
    """A follower refreshes a little later: then the leader finds the refresh due, too."""
    await cluster.leader.cached.fetch(QUERY)
    await asyncio.sleep(7)
    follower = cluster.followers[0]
    mine, theirs = cluster.leader.cached.shared(QUERY), follower.cached.shared(QUERY)
    assert mine
    assert theirs
    assert abs(theirs.age_s - mine.age_s) < 0.01
    assert theirs.ttl_s == mine.ttl_s == TTL_S
    assert theirs.refresh_s == mine.refresh_s + REFRESH_LATER_S


async def test_a_due_refresh_of_a_follower_is_made_by_the_leader(cluster: Processes) -> None:
    follower = cluster.followers[0]
    await follower.cached.fetch(QUERY)
    await asyncio.sleep(0.8 * TTL_S + 1)
    assert (await follower.cached.fetch(QUERY)).data == 1.0
    await asyncio.sleep(1)
    assert [(await process.cached.fetch(QUERY)).data for process in cluster.all] == [2.0] * 3
    assert cluster.leader.providers.calls == cluster.calls == 2


async def test_the_leaders_error_is_raised_and_asked_for_once(cluster: Processes) -> None:
    cluster.leader.providers.error = DOWN
    for _ in range(3):
        with pytest.raises(AllProvidersFailed, match="down") as failed:
            await cluster.followers[0].cached.fetch(QUERY)
    assert failed.value.refusals == DOWN.refusals
    # After the leader's error it asks its own providers: they may have a share.
    assert cluster.leader.providers.calls == 1


async def test_an_old_answer_of_the_leader_is_stale_at_a_follower(cluster: Processes) -> None:
    await cluster.leader.cached.fetch(QUERY)
    cluster.leader.providers.error = DOWN
    late = Process(cluster.network, "vm/3")
    late.providers.error = DOWN
    await asyncio.sleep(3 * TTL_S)
    answer = await late.cached.fetch(QUERY)
    assert (answer.data, answer.stale, answer.stale_reason) == (1.0, True, DOWN.reason)
    assert answer.age_s >= 3 * TTL_S
    assert (await late.cached.fetch(QUERY)).stale
    await late.aclose()


async def test_a_bug_at_the_leader_is_an_error_without_its_text(
    cluster: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.leader.providers.error = RuntimeError("a secret")
    cluster.followers[0].providers.error = DOWN
    with pytest.raises(AllProvidersFailed, match="an error of the gateway"):
        await cluster.followers[0].cached.fetch(QUERY)
    assert "a question of another process failed" in caplog.text


async def test_a_leader_that_does_not_confirm_is_not_waited_for(cluster: Processes) -> None:
    follower = cluster.followers[0]
    cluster.leader.part.leads = False  # and nobody else does
    began = seconds()
    assert (await follower.cached.fetch(QUERY)).data == 1.0
    assert ACK_S < seconds() - began < ACK_S + 0.2
    assert (follower.providers.calls, cluster.calls) == (1, 1)


async def test_where_no_leader_is_heard_the_own_share_is_used_at_once(cluster: Processes) -> None:
    follower = cluster.followers[0]
    follower.part.hears_leader = False
    assert (await follower.cached.fetch(QUERY)).data == 1.0
    assert seconds() < 0.05
    assert cluster.sent("ask") == 0


async def test_a_leader_that_falls_silent_meanwhile_is_not_waited_for(cluster: Processes) -> None:
    follower = cluster.followers[0]
    cluster.leader.providers.delay_s = 3.0
    read = asyncio.create_task(follower.cached.fetch(QUERY))
    await asyncio.sleep(1)
    follower.part.hears_leader = False
    assert (await read).data == 1.0
    assert seconds() < 1.3
    assert follower.providers.calls == 1


async def test_a_slow_leader_is_asked_again_and_calls_once(cluster: Processes) -> None:
    follower = cluster.followers[0]
    cluster.leader.providers.delay_s = 2.0
    assert (await follower.cached.fetch(QUERY)).data == 1.0
    assert cluster.sent("ask") == 1 + int(2.0 / ASK_AGAIN_S)
    assert cluster.calls == 1


async def test_the_leader_has_the_readers_deadline(cluster: Processes) -> None:
    """A late reply is adopted all the same."""
    follower = cluster.followers[0]
    cluster.leader.providers.delay_s = 3.9
    with pytest.raises(DeadlineExceeded, match="the leader of the cluster has no answer yet"):
        await follower.source.fetch(QUERY)
    assert 3.5 <= seconds() <= 3.7
    await asyncio.sleep(1)
    assert (await follower.cached.fetch(QUERY)).cache == "hit"


async def test_a_late_error_has_nobody_to_be_raised_at(
    cluster: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    follower = cluster.followers[0]
    cluster.leader.providers.delay_s, cluster.leader.providers.error = 1.0, DOWN
    leaving = asyncio.create_task(follower.source.fetch(QUERY))
    await asyncio.sleep(0.99)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await asyncio.sleep(2)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_lost_reply_is_asked_for_again(
    cluster: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower, lost = cluster.followers[0], [True]
    send = cluster.network.send

    def lossy(sender: str, channel: Channel, message: bytes) -> None:
        if channel == "answers" and b"age_s" in message and lost:
            lost.pop()
        else:
            send(sender, channel, message)

    monkeypatch.setattr(cluster.network, "send", lossy)
    assert (await follower.cached.fetch(QUERY)).data == 1.0
    assert seconds() < ASK_AGAIN_S + 0.3
    assert cluster.calls == 1


async def test_without_a_share_a_cold_query_waits_for_the_next_leader(cluster: Processes) -> None:
    follower, other = cluster.followers
    cluster.leader.part.leads = False
    follower.providers.error = DOWN
    read = asyncio.create_task(follower.cached.fetch(QUERY))
    await asyncio.sleep(2)
    assert not read.done()
    other.part.leads, other.part.hears_leader = True, False
    follower.part.heard_at = seconds()
    assert (await read).data == 1.0
    assert seconds() < 2.3
    assert other.providers.calls == 1


async def test_it_may_come_to_lead_itself(cluster: Processes) -> None:
    follower = cluster.followers[0]
    follower.part.hears_leader, follower.providers.error = False, DOWN
    read = asyncio.create_task(follower.cached.fetch(QUERY))
    await asyncio.sleep(1)
    follower.part.leads, follower.providers.error = True, None
    assert (await read).data == 2.0


@pytest.mark.parametrize("expects_leader", [True, False])
async def test_it_does_not_wait_for_ever_or_without_a_store(
    cluster: Processes, expects_leader: bool
) -> None:
    follower = cluster.followers[0]
    follower.part.hears_leader, follower.providers.error = False, DOWN
    follower.part.expects_leader = expects_leader
    with pytest.raises(SourceUnavailable, match="down"):
        await follower.cached.fetch(QUERY)
    assert (3.4 < seconds() < 3.7) == expects_leader
    assert expects_leader or seconds() < 0.1


async def test_a_leaders_own_error_is_final(cluster: Processes) -> None:
    cluster.leader.providers.error = DOWN
    with pytest.raises(SourceUnavailable, match="down"):
        await cluster.leader.cached.fetch(QUERY)
    assert (seconds() < 0.1, cluster.leader.providers.calls) == (True, 1)


async def test_a_query_that_is_not_urgent_does_not_wait(cluster: Processes) -> None:
    follower = cluster.followers[0]
    follower.part.hears_leader, follower.providers.error = False, DOWN
    with pytest.raises(SourceUnavailable, match="down"):
        await follower.source.fetch(QUERY)
    assert seconds() < 0.1


async def test_questions_that_the_leader_works_on_are_bounded(
    cluster: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_exchange, "MOST_QUESTIONS", 2)
    cluster.leader.providers.delay_s = 1.0
    follower = cluster.followers[0]
    reads = [asyncio.create_task(follower.cached.fetch(PriceQuery(str(n)))) for n in range(4)]
    await asyncio.sleep(0.1)
    assert repr(cluster.leader.exchange) == "<AnswerExchange 0 asked, 2 answering>"
    await asyncio.gather(*reads)
    assert (cluster.leader.providers.calls, follower.providers.calls) == (2, 2)


async def test_series_that_nobody_here_reads_are_not_decoded() -> None:
    """Answers to queries that clients chose go to who asked, or has an older one."""
    network, query = FakeNetwork(), SeriesQuery("eth")
    leader, follower, other = (
        Process(network, f"vm/{n}", leads=n == 0, codec=SERIES) for n in range(3)
    )
    await follower.cached.fetch(query)
    assert follower.cached.shared(query)
    assert other.cached.shared(query) is None
    await asyncio.sleep(TTL_S + 1)
    await leader.cached.fetch(query)
    await asyncio.sleep(0.1)
    held = follower.cached.shared(query)
    assert held
    assert held.answer.data == 2.0
    for process in (leader, follower, other):
        await process.aclose()


JUNK = [b"", b"{}", b'{"category": "gas", "query": {}}', b"\xff" * 50]


@pytest.mark.parametrize("message", JUNK)
async def test_messages_of_others_that_make_no_sense_are_dropped(
    cluster: Processes, message: bytes
) -> None:
    for channel in ("ask", "answers"):
        cluster.network.send("vm/9", channel, message)
    assert (await cluster.followers[0].cached.fetch(QUERY)).data == 1.0


async def test_questions_of_a_category_that_is_not_here_are_dropped(cluster: Processes) -> None:
    cluster.leader.exchange._cached = {}
    cluster.followers[1].exchange._cached = {}
    cluster.network.send("vm/9", "ask", CODEC.question("price", QUERY, None))
    cluster.network.send("vm/9", "answers", CODEC.ack("price", QUERY))
    await asyncio.sleep(0.1)
    assert cluster.calls == 0


async def test_an_answer_that_json_cannot_hold_is_logged_and_not_sent(
    cluster: Processes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> bytes:
        raise ValueError("no JSON")

    monkeypatch.setattr(CODEC._codecs["price"], "encoded", fail)
    assert (await cluster.leader.cached.fetch(QUERY)).data == 1.0
    assert "an answer of price cannot be sent" in caplog.text
    assert cluster.sent("answers") == 0


async def test_a_reply_that_cannot_be_decoded_is_no_answer(cluster: Processes) -> None:
    follower = cluster.followers[0]
    cluster.leader.part.leads = False
    read = asyncio.create_task(follower.cached.fetch(QUERY))
    await asyncio.sleep(0.05)
    shared = SharedAnswer(Answer(7.0, "a", LoopClock().now(), 1.0), 0.0, TTL_S, TTL_S)
    whole = CODEC.reply("price", QUERY, shared, None)
    cluster.network.send("vm/0", "answers", whole.replace(b"7.0", b'"x"'))
    await asyncio.sleep(0.1)
    assert not read.done()
    assert (await read).data == 1.0  # by its own share


async def test_the_end_cancels_what_is_under_way(cluster: Processes) -> None:
    cluster.leader.providers.delay_s = 3.0
    read = asyncio.create_task(cluster.followers[0].cached.fetch(QUERY))
    await asyncio.sleep(0.1)
    assert "1 answering" in repr(cluster.leader.exchange)
    await cluster.leader.exchange.aclose()
    assert "0 answering" in repr(cluster.leader.exchange)
    read.cancel()


def answer_of(value: float, age_s: float) -> Answer[float]:
    clock = LoopClock()
    return Answer(value, "a", clock.now() - timedelta(seconds=age_s), 1.0)


def shared_of(value: float, age_s: float) -> SharedAnswer[float]:
    return SharedAnswer(answer_of(value, age_s), age_s, TTL_S, 0.8 * TTL_S)


async def test_the_answer_fetched_last_stays(cluster: Processes) -> None:
    cached = cluster.followers[0].cached
    await cached.adopt(QUERY, shared_of(1.0, 10.0))
    older = await cached.adopt(QUERY, shared_of(2.0, 11.0))
    assert older
    assert older.data == 1.0
    assert await cached.adopt(QUERY, shared_of(3.0, 5.0))
    assert (await cached.fetch(QUERY)).data == 3.0
    assert len(cluster.followers[0].saved) == 2


async def test_a_fresh_answer_replaces_an_expired_one_of_a_machine_whose_clock_was_ahead(
    cluster: Processes,
) -> None:
    cached = cluster.followers[0].cached
    ahead = replace(shared_of(1.0, 0.0), answer=answer_of(1.0, -300.0))
    await cached.adopt(QUERY, ahead)
    assert await cached.adopt(QUERY, shared_of(2.0, 1.0))
    assert (await cached.fetch(QUERY)).data == 1.0  # it is fresh still
    await asyncio.sleep(TTL_S + 0.1)
    await cached.adopt(QUERY, shared_of(3.0, 0.0))
    answer = await cached.fetch(QUERY)
    assert (answer.data, answer.stale) == (3.0, False)


async def test_an_answer_that_may_not_be_served_any_more_is_not_adopted(
    cluster: Processes,
) -> None:
    cached = cluster.followers[0].cached
    assert await cached.adopt(QUERY, shared_of(1.0, MAX_STALE_S)) is None
    assert cached.shared(QUERY) is None
    await cached.adopt(QUERY, shared_of(1.0, MAX_STALE_S - 1))
    assert cached.shared(QUERY)
    entry = cached._cache.newest(QUERY)
    await asyncio.sleep(1.5)
    assert entry
    assert cached.shared(QUERY) is None
    assert await cached.adopt(QUERY, shared_of(2.0, MAX_STALE_S - 5))


async def test_a_fresh_answer_of_another_ends_a_failure_and_an_old_one_does_not(
    cluster: Processes,
) -> None:
    cached, providers = cluster.leader.cached, cluster.leader.providers
    providers.error = DOWN
    with pytest.raises(AllProvidersFailed):
        await cached.fetch(QUERY)
    assert cached.failure(QUERY) is DOWN
    await cached.adopt(QUERY, shared_of(1.0, 100.0))
    assert cached.failure(QUERY) is DOWN
    answer = await cached.fetch(QUERY)
    assert (answer.stale, answer.stale_reason) == (True, DOWN.reason)
    await cached.adopt(QUERY, shared_of(2.0, 1.0))
    assert cached.failure(QUERY) is None
    assert not (await cached.fetch(QUERY)).stale


async def test_a_newer_answer_than_the_askers_is_waited_for_if_a_refresh_runs(
    cluster: Processes,
) -> None:
    cached = cluster.leader.cached
    first = await cached.fetch(QUERY)
    held_at = first.fetched_at.timestamp()
    assert (await cached.fetch_newer(QUERY, None)).data == 1.0
    assert (await cached.fetch_newer(QUERY, held_at - 1)).data == 1.0
    assert (await cached.fetch_newer(QUERY, held_at)).data == 1.0  # no refresh is due
    await asyncio.sleep(0.9 * TTL_S)
    assert (await cached.fetch_newer(QUERY, held_at)).data == 2.0
    cluster.leader.providers.error = DOWN
    await asyncio.sleep(5 * TTL_S)
    late = await cached.fetch_newer(QUERY, held_at + 1e6)
    assert late.stale


async def test_an_adopted_answer_that_was_evicted_at_once_is_stored_again(
    cluster: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = cluster.followers[0]
    monkeypatch.setattr(follower.cached._cache, "newest", lambda _query: None)
    answer = await follower.cached.fetch(QUERY)
    assert answer.data == 1.0


async def test_a_reply_without_an_answer_or_an_error_ends_no_wait(cluster: Processes) -> None:
    follower = cluster.followers[0]
    cluster.leader.part.leads = False
    read = asyncio.create_task(follower.source.fetch(replace(QUERY, is_urgent=True)))
    await asyncio.sleep(0.05)
    cluster.network.send("vm/0", "answers", CODEC.reply("price", QUERY, None, None))
    too_old = CODEC.reply("price", QUERY, shared_of(9.0, MAX_STALE_S), None)
    cluster.network.send("vm/0", "answers", too_old)
    await asyncio.sleep(0.05)
    assert not read.done()
    assert (await read).data == 1.0


async def test_a_leader_whose_call_the_store_refused_uses_its_share(cluster: Processes) -> None:
    """It leads no more: the question goes to whoever leads now, or to its own share."""
    process = cluster.leader
    process.providers.error, process.providers.delay_s = DOWN, 0.1
    read = asyncio.create_task(process.cached.fetch(QUERY))
    await asyncio.sleep(0.05)
    process.part.leads = False
    await asyncio.sleep(0.1)
    process.providers.error = None
    assert (await read).data == 2.0
    assert seconds() < 0.4
