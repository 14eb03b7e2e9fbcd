"""A feed follows one channel while it has subscribers, and publishes its topics to them."""

import asyncio
import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from api.edge.client_limits import UNLIMITED, ClientAccount
from api.stream.channels import Channel, Coins
from api.stream.protocol import ABORT_BUFFERED_BYTES, MAX_BUFFERED_BYTES, POLICY_VIOLATION, Frame
from api.stream.sinks import Sink
from api.stream.topics import RowCache, Topic
from backend.clock import Clock
from backend.errors import GatewayError
from backend.models.ticks import Flow

log = logging.getLogger("gateway")

#: Topics updated, and subscribers written to, before other tasks get a turn.
TOPICS_PER_TURN, SUBSCRIBERS_PER_TURN = 20, 250
#: What a client has missed that does not lag: one for all.
NOTHING: dict[Topic, None] = {}
#: Delay before a feed is restarted after an unexpected error, in seconds.
RESTART_S = 5.0


@dataclass(slots=True)
class Counters:
    """Frames sent to all clients, and updates that lagging clients missed."""

    sent: int = 0
    dropped: int = 0


class Subscriber:
    """One connected client. It buffers no frames: a lagging client misses updates, and gets one
    snapshot of each such topic once it has read.

    While it lags or closes it is in `watched`, so that nothing has to look at all the others.
    """

    __slots__ = (
        "_counters",
        "_last_buffered",
        "_missed",
        "_monotonic",
        "_newest",
        "_read_at",
        "_sink",
        "_watched",
        "account",
        "topics",
    )

    def __init__(
        self,
        sink: Sink,
        clock: Clock,
        counters: Counters,
        account: ClientAccount = UNLIMITED,
        watched: "dict[Subscriber, None] | None" = None,
    ) -> None:
        self.account = account
        self._sink = sink
        self._monotonic = clock.monotonic
        self._counters = counters
        self._watched = {} if watched is None else watched
        #: Topics whose updates it missed.
        self._missed: dict[Topic, None] = NOTHING
        #: Buffered bytes at the last check, and the last time at which the client was reading.
        self._last_buffered, self._read_at = 0, 0.0
        #: Its topics, and the number of the content that it received last as a whole.
        self.topics: dict[Topic, int] = {}
        #: The highest of these numbers.
        self._newest = 0

    def __repr__(self) -> str:
        return f"<Subscriber {len(self.topics)} topics, missed updates of {len(self._missed)}>"

    @property
    def has_room(self) -> bool:
        """False while too many bytes are buffered; True once the connection is closing."""
        return self._sink.buffered() <= MAX_BUFFERED_BYTES or self._sink.is_closing

    def send(self, frame: Frame) -> None:
        """Sends a reply or a notice, however much is buffered."""
        self._sink.write(frame)
        self._counters.sent += 1
        if self._sink.buffered() > MAX_BUFFERED_BYTES:
            self.watch()

    def send_heartbeat(self, frame: Frame) -> None:
        """A client without room goes without: the next heartbeat is as good."""
        if self.has_room and not self._sink.is_closing:
            self.send(frame)
        else:  # the server closes it, and does not tell; or no update came since it has no room
            self.watch()

    def send_update(self, topic: Topic, frame: Frame) -> bool:
        """Sends a change of a topic. False if the client lags and will get a snapshot instead.

        Content that the client already has, by a snapshot that came in between, is not sent. Most
        of what this costs is memory that is looked at for each client: it is as little as can be.
        """
        sink, seq = self._sink, frame.seq
        if (self._missed or sink.may_be_full) and (topic in self._missed or not self.has_room):
            self._miss(topic)
            self._counters.dropped += 1
            return False
        if seq is not None and seq <= self._newest and seq <= self.topics.get(topic, 0):
            return True
        sink.write(frame)
        self._counters.sent += 1
        return True

    def send_state(self, topic: Topic, *, after_lag: bool = False) -> None:
        """Sends the topic's whole state, now or once the client has room."""
        self.topics.setdefault(topic, 0)
        if not self.has_room:
            self._miss(topic)
            return
        self.topics[topic] = topic.seq
        self._newest = max(self._newest, topic.seq)
        for frame in topic.current_frames(after_lag=after_lag):
            self.send(frame)

    def _miss(self, topic: Topic) -> None:
        if self._missed is NOTHING:
            self._missed = {}
        self._missed[topic] = None
        self.watch()

    def watch(self) -> None:
        """From now on it has to be looked at: it lags or closes."""
        if self not in self._watched:
            self._watched[self] = None
            self._last_buffered, self._read_at = self._sink.buffered(), self._monotonic()

    def check(self) -> None:
        """Catches up where there is room. To be called regularly while it is watched."""
        self.catch_up()
        if not (self._missed or self._sink.is_closing) and self.has_room:
            del self._watched[self]

    def catch_up(self) -> None:
        """Sends a snapshot of each topic with missed updates, as long as there is room."""
        while self._missed and self.has_room:
            topic = next(iter(self._missed))
            self._forget_missed(topic)
            self.send_state(topic, after_lag=True)

    def _forget_missed(self, topic: Topic) -> None:
        self._missed.pop(topic, None)
        if not self._missed:
            self._missed = NOTHING

    def close_if_stuck(self, stuck_s: float) -> None:
        """Ends the connection if for `stuck_s` seconds nothing was read, while too many bytes were
        buffered or the connection was closing; and at once if far too many are buffered.

        To be called regularly while it is watched: it compares with the last call.
        """
        buffered, now = self._sink.buffered(), self._monotonic()
        is_in_bounds = buffered <= MAX_BUFFERED_BYTES and not self._sink.is_closing
        if is_in_bounds or buffered < self._last_buffered:
            self._read_at = now
        self._last_buffered = buffered
        if now - self._read_at > stuck_s:
            self.close(POLICY_VIOLATION, f"nothing was read for {stuck_s:g} s")
        if buffered > ABORT_BUFFERED_BYTES:
            self._sink.abort()

    def remove_topic(self, topic: Topic) -> None:
        self.topics.pop(topic, None)
        self._forget_missed(topic)

    def close(self, code: int, reason: str) -> None:
        self._sink.close(code, reason)
        self.watch()

    def leave(self) -> None:
        """The connection has ended."""
        self._watched.pop(self, None)


class Feed:
    """Follows a channel once, for all its topics and subscribers. `aclose` ends it."""

    def __init__(self, channel: Channel, clock: Clock) -> None:
        self._channel = channel
        self._clock = clock
        self._rows = RowCache(channel.shape)
        self._topics: dict[Coins, Topic] = {}
        self._subscribers: dict[Topic, dict[Subscriber, None]] = {}
        #: How often a subscriber has left a topic.
        self._left = 0
        #: The last answer, and the error since then.
        self._answer: Any = None
        self._error: GatewayError | None = None
        #: Whether ticks came in at the last check.
        self._has_ticks = False
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
        subscribers = self._subscribers.get(topic)
        if subscribers is not None:
            subscribers.pop(subscriber, None)
            self._left += 1
            if not subscribers:
                del self._topics[topic.coins], self._subscribers[topic]

    async def check_flow(self) -> None:
        flow = self._flow
        self._has_ticks = flow is not None and flow.is_live
        for topic in list(self._topics.values()):
            if frames := topic.set_flow(flow):
                await self.publish(topic, frames)

    async def publish(self, topic: Topic, frames: list[Frame]) -> None:
        if topic not in self._subscribers:
            return  # the last one has left
        subscribers, left = list(self._subscribers[topic]), self._left
        count = len(subscribers)
        for start in range(0, count, SUBSCRIBERS_PER_TURN):
            for subscriber in subscribers[start : start + SUBSCRIBERS_PER_TURN]:
                if self._left != left and topic not in subscriber.topics:
                    continue  # it has unsubscribed since the first turn
                for frame in frames:
                    if not subscriber.send_update(topic, frame):
                        break
            if start + SUBSCRIBERS_PER_TURN < count:
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
        before, changed = self._answer, None
        if isinstance(answer, GatewayError):
            self._error = answer
        else:
            self._answer, self._error = answer, None
            if before is not None:
                changed = self._channel.changes(before, answer)
        for number, topic in enumerate(list(self._topics.values()), start=1):
            frames: list[Frame] | None = None
            if changed is not None and topic.answer is before:
                frames = topic.update_rows(changed, answer)
            await self.publish(topic, self._updated(topic, answer) if frames is None else frames)
            if number % TOPICS_PER_TURN == 0:
                await asyncio.sleep(0)
        if not self._has_ticks or self._channel.flow_varies:  # this may be the first one
            await self.check_flow()

    def _updated(self, topic: Topic, answer: Any) -> list[Frame]:
        if isinstance(answer, GatewayError):
            return topic.fail(answer)
        try:
            frames = topic.update(self._channel.content(answer, topic.coins))
            topic.answer = answer
            return frames
        except GatewayError as error:  # for example: the coins are no longer in the market
            return topic.fail(error)
