"""A feed: one channel followed for as long as anybody reads it, shown in all its topics."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

from api.stream.channels import Channel, View
from api.stream.frames import Frame
from api.stream.topics import RowCache, Topic
from backend.clock import Clock
from backend.errors import GatewayError

log = logging.getLogger("gateway")

#: Many readers may have a choice of coins each: others have their turn in between.
TOPICS_AT_ONCE = 20
#: A bug of ours must not end a feed for good.
RESTART_S = 5.0

Publish = Callable[[Topic, list[Frame]], Awaitable[None]]


class Feed:
    """What is followed is asked for once, however many topics and readers there are."""

    def __init__(
        self, key: tuple[str, ...], channel: Channel, clock: Clock, publish: Publish
    ) -> None:
        """`key` is the feed's place among the others."""
        self._key = key
        self._channel = channel
        self._clock = clock
        self._publish = publish
        self._rows = RowCache()
        self._topics: dict[View, Topic] = {}
        #: The last answer, and the trouble since then.
        self._answer: Any = None
        self._problem: GatewayError | None = None
        self._task = asyncio.create_task(self._run(), name=f"feed {channel.name}")

    def __repr__(self) -> str:
        return f"<Feed {self._channel.name} {len(self._topics)} topics>"

    @property
    def is_unread(self) -> bool:
        return not self._topics

    def topic(self, view: View) -> Topic:
        """The topic of this view, which shows at once what is known."""
        topic = self._topics.get(view)
        if topic is None:
            topic = self._topics[view] = Topic(
                self._key, self._channel, view, self._rows, self._clock
            )
            if self._answer is not None:
                self._shown(topic, self._answer)
            if self._problem is not None:
                topic.fail(self._problem)
            topic.turn(self._channel.followed.flow)
        return topic

    def drop_if_unread(self, topic: Topic) -> None:
        if not topic.subscribers:
            self._topics.pop(topic.view, None)

    async def tell_flow(self) -> None:
        """Readers are told when a venue's ticks begin or end."""
        flow = self._channel.followed.flow
        for topic in list(self._topics.values()):
            if frames := topic.turn(flow):
                await self._publish(topic, frames)

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                async with aclosing(self._channel.followed.answers()) as answers:
                    async for answer in answers:
                        await self._take(answer)
            except Exception:
                log.exception("the feed of %s broke", self._channel.name)
            await asyncio.sleep(RESTART_S)

    async def _take(self, answer: Any) -> None:
        if isinstance(answer, GatewayError):
            self._problem = answer
        else:
            self._answer, self._problem = answer, None
        for number, topic in enumerate(list(self._topics.values()), start=1):
            await self._publish(topic, self._shown(topic, answer))
            if number % TOPICS_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _shown(self, topic: Topic, answer: Any) -> list[Frame]:
        if isinstance(answer, GatewayError):
            return topic.fail(answer)
        try:
            return topic.show(self._channel.show(answer, topic.view))
        except GatewayError as problem:  # the coins that were chosen are in the list no more
            return topic.fail(problem)
