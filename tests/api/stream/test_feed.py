"""A feed over a channel whose answers the test gives."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from api.stream import feed as feed_module
from api.stream.channels import Channel, Coins, Content
from api.stream.feed import Counters, Feed, Subscriber
from api.stream.sinks import QueueSink
from backend.errors import GatewayError, UnknownSymbol
from backend.models.ticks import Flow
from tests.clocks import ManualClock


class Answers:
    """The channel's answers, in the order in which the test gives them."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.watches = 0

    async def watch(self) -> AsyncGenerator[Any]:
        self.watches += 1
        while True:
            answer = await self.queue.get()
            if isinstance(answer, Exception) and not isinstance(answer, GatewayError):
                raise answer
            yield answer


def content(answer: Any, coins: Coins) -> Content:
    if "gone" in coins:
        raise UnknownSymbol("gone")
    return Content({"price": answer, "coins": list(coins)}, {})


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def feed(answers: Answers, clock: ManualClock) -> AsyncIterator[Feed]:
    made = Feed(Channel(("gas",), answers.watch, content), clock)
    yield made
    await made.aclose()


class Client:
    """A subscriber of one topic."""

    def __init__(self, feed: Feed, clock: ManualClock, *coins: str) -> None:
        self._sink = QueueSink()
        self.subscriber = Subscriber(self._sink, clock, Counters())
        self.topic = feed.topic(coins)
        feed.subscribe(self.subscriber, self.topic)
        self._frames = self._sink.frames()

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            frame: dict[str, Any] = json.loads((await anext(self._frames)).text)
        return frame


async def test_a_later_topic_begins_with_the_last_answer(
    feed: Feed, answers: Answers, clock: ManualClock
) -> None:
    first = Client(feed, clock)
    answers.queue.put_nowait(1.0)
    assert (await first.next())["data"]["price"] == 1.0
    second = Client(feed, clock, "bitcoin")
    assert (await second.next())["data"] == {"price": 1.0, "coins": ["bitcoin"]}
    assert answers.watches == 1


async def test_a_later_topic_begins_with_the_last_error(
    feed: Feed, answers: Answers, clock: ManualClock
) -> None:
    first = Client(feed, clock)
    answers.queue.put_nowait(UnknownSymbol("x"))
    assert (await first.next())["op"] == "error"
    second = Client(feed, clock, "bitcoin")
    assert [(await second.next())["op"] for _ in "ab"] == ["error", "status"]


async def test_a_topic_whose_coins_are_gone_becomes_stale_and_others_go_on(
    feed: Feed, answers: Answers, clock: ManualClock
) -> None:
    gone, other = Client(feed, clock, "gone"), Client(feed, clock)
    answers.queue.put_nowait(1.0)
    assert [(await gone.next())["op"] for _ in "ab"] == ["error", "status"]
    assert (await other.next())["op"] == "data"


async def test_an_unexpected_error_restarts_the_feed(
    feed: Feed, answers: Answers, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RESTART_S", 0.0)
    client = Client(feed, clock)
    answers.queue.put_nowait(RuntimeError("a bug"))
    answers.queue.put_nowait(2.0)
    assert (await client.next())["data"]["price"] == 2.0
    assert answers.watches == 2


async def test_a_feed_has_subscribers_until_the_last_one_unsubscribes(
    feed: Feed, clock: ManualClock
) -> None:
    clients = [Client(feed, clock), Client(feed, clock), Client(feed, clock, "bitcoin")]
    assert repr(feed) == "<Feed gas 2 topics>"
    for client in clients:
        assert feed.has_subscribers
        feed.unsubscribe(client.subscriber, client.topic)
        feed.unsubscribe(client.subscriber, client.topic)
    assert not feed.has_subscribers


async def test_the_flow_is_asked_for_once_however_many_topics_there_are(
    answers: Answers, clock: ManualClock
) -> None:
    asked: list[Any] = []

    def flow(answer: Any) -> Flow:
        asked.append(answer)
        return Flow(len(asked) > 2)

    feed = Feed(Channel(("gas",), answers.watch, content, flow=flow), clock)
    clients = [Client(feed, clock, name) for name in ("a", "b", "c")]
    answers.queue.put_nowait(1.0)
    for client in clients:
        assert (await client.next())["op"] == "data"
    await feed.check_flow()
    assert asked == [1.0, 1.0], "once with the answer"
    await feed.check_flow()
    assert asked == [1.0, 1.0, 1.0]
    assert [(await client.next())["feed"] for client in clients] == ["ticks"] * 3
    await feed.aclose()


async def test_ticks_that_begin_are_told_with_the_first_answer_that_they_make(
    answers: Answers, clock: ManualClock
) -> None:
    flow = [Flow(False)]
    feed = Feed(Channel(("gas",), answers.watch, content, flow=lambda _answer: flow[0]), clock)
    client = Client(feed, clock)
    answers.queue.put_nowait(1.0)
    assert (await client.next())["op"] == "data"
    flow[0] = Flow(True)
    answers.queue.put_nowait(2.0)
    assert (await client.next())["op"] == "data"
    assert (await client.next())["feed"] == "ticks"
    await feed.aclose()
