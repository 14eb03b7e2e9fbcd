"""A feed: follows one channel while it has subscribers, and publishes its topics to them."""

import asyncio
import logging
from contextlib import aclosing
from typing import Any

from api.stream.channels import Channel, Coins
from api.stream.frames import Frame
from api.stream.subscriber import Subscriber
from api.stream.topics import RowCache, Topic
from backend.clock import Clock
from backend.errors import GatewayError
from backend.models.ticks import Flow

log = logging.getLogger("gateway")

#: Topics updated, and subscribers written to, before other tasks get a turn.
TOPICS_PER_TURN, SUBSCRIBERS_PER_TURN = 20, 250
#: Delay before a feed is restarted after an unexpected error, in seconds.
RESTART_S = 5.0


class Feed:
    """Follows a channel once, for all its topics and subscribers. `aclose` ends it."""

    def __init__(self, channel: Channel, clock: Clock) -> None:
        self._channel = channel
        self._clock = clock
        self._rows = RowCache()
        self._topics: dict[Coins, Topic] = {}
        self._subscribers: dict[Topic, dict[Subscriber, None]] = {}
        #: The last answer, and the error since then.
        self._answer: Any = None
        self._error: GatewayError | None = None
        self._task = asyncio.create_task(self._run(), name=f"feed {channel.name}")

    def __repr__(self) -> str:
        return f"<Feed {self._channel.name} {len(self._topics)} topics>"

    @property
    def has_subscribers(self) -> bool:
        return bool(self._topics)

    def topic(self, coins: Coins) -> Topic:
        """The topic for these coins; a new one has the last answer's content at once."""
        topic = self._topics.get(coins)
        if topic is None:
            topic = self._topics[coins] = Topic(self._channel, coins, self._rows, self._clock)
            self._subscribers[topic] = {}
            for last in (self._answer, self._error):
                if last is not None:
                    self._updated(topic, last)
            topic.set_flow(self._flow)
        return topic

    def subscribe(self, subscriber: Subscriber, topic: Topic) -> None:
        self._subscribers[topic][subscriber] = None
        subscriber.send_state(topic)

    def unsubscribe(self, subscriber: Subscriber, topic: Topic) -> None:
        """A topic ends with its last subscriber."""
        subscribers = self._subscribers.get(topic)
        if subscribers is not None:
            subscribers.pop(subscriber, None)
            if not subscribers:
                del self._topics[topic.coins], self._subscribers[topic]

    async def check_flow(self) -> None:
        """Sends a frame when a venue's ticks begin or end."""
        for topic in list(self._topics.values()):
            if frames := topic.set_flow(self._flow):
                await self.publish(topic, frames)

    async def publish(self, topic: Topic, frames: list[Frame]) -> None:
        """Sends the same frames to all present subscribers of the topic."""
        subscribers = list(self._subscribers.get(topic, ()))
        for start in range(0, len(subscribers), SUBSCRIBERS_PER_TURN):
            for subscriber in subscribers[start : start + SUBSCRIBERS_PER_TURN]:
                if topic not in subscriber.topics:
                    continue  # it has unsubscribed since the last turn
                for frame in frames:
                    if not subscriber.send_update(topic, frame):
                        break
            if start + SUBSCRIBERS_PER_TURN < len(subscribers):
                await asyncio.sleep(0)

    @property
    def _flow(self) -> Flow | None:
        return None if self._answer is None else self._channel.flow(self._answer)

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                async with aclosing(self._channel.watch()) as answers:
                    async for answer in answers:
                        await self._handle(answer)
            except Exception:  # an unexpected error must not end the feed
                log.exception("the feed of %s failed", self._channel.name)
            await asyncio.sleep(RESTART_S)

    async def _handle(self, answer: Any) -> None:
        if isinstance(answer, GatewayError):
            self._error = answer
        else:
            self._answer, self._error = answer, None
        for number, topic in enumerate(list(self._topics.values()), start=1):
            await self.publish(topic, self._updated(topic, answer))
            if number % TOPICS_PER_TURN == 0:
                await asyncio.sleep(0)

    def _updated(self, topic: Topic, answer: Any) -> list[Frame]:
        if isinstance(answer, GatewayError):
            return topic.fail(answer)
        try:
            return topic.update(self._channel.content(answer, topic.coins))
        except GatewayError as error:  # for example: the coins are no longer in the market
            return topic.fail(error)
