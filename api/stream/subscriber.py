"""A subscriber: one connected client, its topics, and those in which it missed updates."""

from dataclasses import dataclass

from api.edge.client_limits import UNLIMITED, ClientAccount
from api.stream.frames import Frame
from api.stream.limits import ABORT_BUFFERED_BYTES, MAX_BUFFERED_BYTES, POLICY_VIOLATION
from api.stream.sinks import Sink
from api.stream.topics import Topic
from backend.clock import Clock


@dataclass(slots=True)
class Counters:
    """Frames sent to all clients, and updates that lagging clients missed."""

    sent: int = 0
    dropped: int = 0


class Subscriber:
    """Buffers no frames itself: a lagging client misses updates, and gets one snapshot of each
    such topic once it has read."""

    def __init__(
        self, sink: Sink, clock: Clock, counters: Counters, account: ClientAccount = UNLIMITED
    ) -> None:
        self.account = account
        self._sink = sink
        self._clock = clock
        self._counters = counters
        self._missed: dict[Topic, None] = {}
        #: Buffered bytes at the last check, and the last time at which the client was reading.
        self._last_buffered, self._read_at = 0, clock.monotonic()
        #: Its topics, and the number of the last content that it received.
        self.topics: dict[Topic, int] = {}

    def __repr__(self) -> str:
        return f"<Subscriber {len(self.topics)} topics, missed updates of {len(self._missed)}>"

    @property
    def has_room(self) -> bool:
        """False while too many bytes are buffered; True once the connection is closing."""
        return self._sink.buffered_bytes <= MAX_BUFFERED_BYTES or self._sink.is_closing

    def send(self, frame: Frame) -> None:
        """Sends a reply or a notice, however much is buffered."""
        self._sink.write(frame)
        self._counters.sent += 1

    def send_heartbeat(self, frame: Frame) -> None:
        """A client without room goes without: the next heartbeat is as good."""
        if self.has_room:
            self.send(frame)

    def send_update(self, topic: Topic, frame: Frame) -> bool:
        """Sends a change of a topic. False if the client lags and will get a snapshot instead.

        Content that the client already has, by a snapshot that came in between, is not sent.
        """
        is_full = self._sink.buffered_bytes > MAX_BUFFERED_BYTES  # has_room, without its calls
        if topic in self._missed or (is_full and not self._sink.is_closing):
            self._missed[topic] = None
            self._counters.dropped += 1
            return False
        if frame.seq is not None:
            if frame.seq <= self.topics.get(topic, 0):
                return True
            self.topics[topic] = frame.seq
        self._sink.write(frame)
        self._counters.sent += 1
        return True

    def send_state(self, topic: Topic, *, after_lag: bool = False) -> None:
        """Sends the topic's whole state, now or once the client has room."""
        self.topics.setdefault(topic, 0)
        if not self.has_room:
            self._missed[topic] = None
            return
        self.topics[topic] = topic.seq
        for frame in topic.current_frames(after_lag=after_lag):
            self.send(frame)

    def catch_up(self) -> None:
        """Sends a snapshot of each topic with missed updates, as long as there is room."""
        while self._missed and self.has_room:
            topic = next(iter(self._missed))
            del self._missed[topic]
            self.send_state(topic, after_lag=True)

    def close_if_stuck(self, stuck_s: float) -> None:
        """Ends the connection if for `stuck_s` seconds nothing was read, while too many bytes were
        buffered or the connection was closing; and at once if far too many are buffered.

        To be called regularly: it compares with the last call.
        """
        buffered, now = self._sink.buffered_bytes, self._clock.monotonic()
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
        self._missed.pop(topic, None)

    def close(self, code: int, reason: str) -> None:
        self._sink.close(code, reason)
