"""One reader of the stream: its topics, and what it missed while it lagged."""

from dataclasses import dataclass

from api.edge.client_limits import UNLIMITED, ClientAccount
from api.stream.frames import Frame
from api.stream.outlets import MOST_BUFFERED, MOST_WAITING, Outlet
from api.stream.topics import Topic
from backend.clock import Clock

TOO_SLOW = 1008


@dataclass(slots=True)
class Counters:
    """Frames that went out, and frames that lagging readers missed."""

    sent: int = 0
    dropped: int = 0


class Subscriber:
    """Holds no frame: what a lagging reader missed, one fresh snapshot a topic makes good."""

    def __init__(
        self,
        outlet: Outlet,
        clock: Clock,
        counters: Counters,
        account: ClientAccount = UNLIMITED,
    ) -> None:
        self.account = account
        self._outlet = outlet
        self._clock = clock
        self._counters = counters
        self._behind: dict[Topic, None] = {}
        self._waited, self._took_at = 0, clock.monotonic()
        #: What it reads, and the number of the last state that it was shown.
        self.topics: dict[Topic, int] = {}

    def __repr__(self) -> str:
        return f"<Subscriber {len(self.topics)} topics, behind in {len(self._behind)}>"

    @property
    def is_free(self) -> bool:
        """False while it lags; one that is leaving keeps nobody waiting."""
        return self._outlet.waiting <= MOST_BUFFERED or self._outlet.is_closing

    @property
    def lags(self) -> bool:
        return bool(self._behind)

    def tell(self, frame: Frame) -> None:
        """A part of the conversation: always goes out."""
        self._outlet.write(frame)
        self._counters.sent += 1

    def tell_if_free(self, frame: Frame) -> None:
        """What the next one of its kind makes good, like a heartbeat."""
        if self.is_free:
            self.tell(frame)

    def offer(self, topic: Topic, frame: Frame) -> bool:
        """News of a topic. False when the reader lags, and will get a snapshot in its place.

        A state that it was shown already, by a snapshot that came in between, is no news.
        """
        waits = self._outlet.waiting > MOST_BUFFERED  # is_free, but for each reader and frame
        if topic in self._behind or (waits and not self._outlet.is_closing):
            self._behind[topic] = None
            self._counters.dropped += 1
            return False
        if frame.seq is not None:
            if frame.seq <= self.topics.get(topic, 0):
                return True
            self.topics[topic] = frame.seq
        self._outlet.write(frame)
        self._counters.sent += 1
        return True

    def present(self, topic: Topic, *, is_return: bool = False) -> None:
        """All that a topic has to show, as to a new reader."""
        self.topics.setdefault(topic, 0)
        if not self.is_free:
            self._behind[topic] = None
            return
        self.topics[topic] = topic.seq
        for frame in topic.present(is_return=is_return):
            self.tell(frame)

    def catch_up(self) -> None:
        """A snapshot of each topic that was missed, as far as the reader takes them now."""
        while self._behind and self.is_free:
            topic = next(iter(self._behind))
            del self._behind[topic]
            self.present(topic, is_return=True)

    def look_after(self, stuck_s: float) -> None:
        """Ends it when more is waiting than may, or anything on a connection that is closing (by
        the server's own keepalive, say), and for so long nothing of it was taken.

        To be called now and then: it compares with the last time.
        """
        waiting, now = self._outlet.waiting, self._clock.monotonic()
        may_wait = waiting <= MOST_BUFFERED and not self._outlet.is_closing
        if may_wait or waiting < self._waited:
            self._took_at = now
        self._waited = waiting
        if now - self._took_at > stuck_s:
            self.close(TOO_SLOW, f"nothing was read for {stuck_s:g} s")
        if waiting > MOST_WAITING:
            self._outlet.abort()

    def forget(self, topic: Topic) -> None:
        self.topics.pop(topic, None)
        self._behind.pop(topic, None)

    def close(self, code: int, reason: str) -> None:
        self._outlet.close(code, reason)
