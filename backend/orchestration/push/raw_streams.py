"""A venue's streams for programs that speak its protocol, by one connection for all of them."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from typing import Any

import orjson

from backend.clock import Clock
from backend.errors import ConnectionBroken, MalformedResponse, ProviderError, ProviderTimeout
from backend.events import EventSink, RawStreamsChanged
from backend.models.raw_streams import RawFrame
from backend.models.ticks import TickState
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.push.connection_state import ConnectionState
from backend.orchestration.push.raw_subscriptions import RawSubscriptions
from backend.orchestration.push.reconnects import Reconnects, ShutdownNotice
from backend.orchestration.push.tick_stream import MAX_MALFORMED, Connect
from backend.providers.adapter import RawFeed
from backend.providers.client import parsed
from backend.providers.push_client import PushConnection
from backend.waiting import SHORTEST_S

log = logging.getLogger("gateway")

#: Time after which a connection without readers is closed, in seconds.
IDLE_CLOSE_S = 5.0

Publish = Callable[[RawFrame], Awaitable[None]]


class RawStreams:
    """The frames of the subscribed streams, for the one consumer that awaits `run`.

    Frames are passed on in the venue's bytes: none is delayed, repeated or changed.
    """

    def __init__(
        self,
        provider: str,
        feed: RawFeed,
        connect: Connect,
        *,
        connects: RateLimitGuard,
        clock: Clock,
        emit: EventSink,
        jitter: Callable[[], float],
    ) -> None:
        """`connects` is the venue's limit for all connections of this process."""
        self.provider = provider
        self.most_streams = feed.most_streams
        self.is_stream = feed.is_stream
        #: When the venue was last known to be connected (monotonic seconds): at its last message,
        #: and at the end of a connection that was not silent.
        self.reached_at = float("-inf")
        self._feed = feed
        self._connect = connect
        self._clock = clock
        self._emit = emit
        self._reconnects = Reconnects(clock, connects, jitter)
        self._state = ConnectionState(clock, self._report)
        #: Each subscribed stream, with the number of its subscriptions.
        self._readers: dict[str, int] = {}
        self._unread_since = 0.0
        self._subscriptions: RawSubscriptions | None = None
        self._connection: PushConnection | None = None
        self._opened_at = 0.0
        self._malformed = 0

    def __repr__(self) -> str:
        return f"<RawStreams {self.provider} {self.state} {len(self._readers)} streams>"

    @property
    def state(self) -> TickState:
        return self._state.current

    @property
    def room(self) -> int:
        """How many further streams may be subscribed to."""
        return self.most_streams - len(self._readers)

    def has(self, stream: str) -> bool:
        return stream in self._readers

    def subscribe(self, stream: str) -> None:
        """Each call has its `unsubscribe`. Raises ValueError if there is no room."""
        if stream not in self._readers and self.room <= 0:
            raise ValueError(f"at most {self.most_streams} streams")
        self._readers[stream] = self._readers.get(stream, 0) + 1
        self._note_change()

    def unsubscribe(self, stream: str) -> None:
        self._readers[stream] -= 1
        if not self._readers[stream]:
            del self._readers[stream]
        self._note_change()

    async def run(self, publish: Publish) -> None:
        """Awaits `publish` for every frame of a subscribed stream; never ends by itself."""
        while True:
            await self._reconnects.until_due(lambda: self._state.enter("off"))
            self._state.enter("connecting", self._state.reason)
            try:
                async with self._connect(self._feed.path) as connection:
                    self._subscriptions = RawSubscriptions(self._clock, self._feed)
                    self._connection = connection
                    self._opened_at, self._malformed = self._clock.monotonic(), 0
                    async with aclosing(self._read(connection, self._subscriptions)) as frames:
                        async for frame in frames:
                            await publish(frame)
                self._end(None)
            except ProviderError as error:
                self._end(error)
            except Exception:  # an internal error must not end the streams
                log.exception("the raw streams of %s failed", self.provider)
                self._end(ConnectionBroken("internal error"))

    async def _read(
        self, connection: PushConnection, subscriptions: RawSubscriptions
    ) -> AsyncGenerator[RawFrame]:
        """Frames, until nobody has read for `IDLE_CLOSE_S`. Raises ProviderError, also for a
        shutdown notice."""
        while self._readers or self._clock.monotonic() < self._unread_since + IDLE_CLOSE_S:
            if command := subscriptions.next_command(self._readers):
                build = self._feed.command
                await connection.send(build(command.method, command.streams, command.number))
            frame = await self._next_frame(connection, subscriptions)
            if frame is not None and frame.stream in self._readers:
                yield frame

    async def _next_frame(
        self, connection: PushConnection, subscriptions: RawSubscriptions
    ) -> RawFrame | None:
        due = subscriptions.next_command_at()
        if not self._readers:
            due = min(due, self._unread_since + IDLE_CLOSE_S)
        wait_s = max(due - self._clock.monotonic(), SHORTEST_S)
        text = await connection.receive_bytes(wait_s)
        return None if text is None else self._parse(text, subscriptions)

    def _parse(self, text: bytes, subscriptions: RawSubscriptions) -> RawFrame | None:
        """The frame in a message; None for others. Raises ProviderError for a shutdown notice, and
        for too many malformed messages in a row."""
        try:
            frame = self._parse_valid(text, subscriptions)
        except MalformedResponse:
            self._malformed += 1
            if self._malformed >= MAX_MALFORMED:
                raise
            return None
        self._malformed = 0
        self.reached_at = self._clock.monotonic()
        subscriptions.note_message()
        if self.state != "live":
            self._state.enter("live")
        return frame

    def _parse_valid(self, text: bytes, subscriptions: RawSubscriptions) -> RawFrame | None:
        found = parsed(self._feed.split, text)
        message = _json(found[1] if found else text)
        if self._feed.is_shutdown_notice(message):
            raise ShutdownNotice("the venue announced the end of the connection")
        if found is None:
            subscriptions.note_reply(parsed(self._feed.parse_reply, message))
            return None
        return RawFrame(found[0], found[1], text)

    def _end(self, error: ProviderError | None) -> None:
        """The connection has ended: nobody reads any more, or it failed."""
        subscriptions, self._subscriptions = self._subscriptions, None
        self._connection = None
        if error is None or not self._readers:
            self._reconnects.note_idle()
            self._state.enter("off")
            return
        was_live = subscriptions is not None and self.reached_at >= self._opened_at
        if was_live and not isinstance(error, ProviderTimeout):
            self.reached_at = self._clock.monotonic()
        self._reconnects.note_failure(error, self._opened_at if was_live else None)
        self._state.enter("down", error.reason, self._reconnects.retry_at)

    def _note_change(self) -> None:
        if not self._readers:
            self._unread_since = self._clock.monotonic()
        self._reconnects.note_wanted(bool(self._readers))
        if self._subscriptions is not None:
            self._subscriptions.note_change()
        if self._connection is not None:
            self._connection.interrupt()

    def _report(self, reason: str | None, retry_at: datetime | None) -> None:
        self._emit(RawStreamsChanged(self._clock.now(), self.provider, reason, retry_at))


def _json(text: bytes) -> Any:
    """Strict, since clients get these bytes. Raises MalformedResponse."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise MalformedResponse("the message is not JSON") from None
