"""One reader of the stream: its topics, and what it missed while it lagged."""

from dataclasses import dataclass

from api.stream.frames import Frame
from api.stream.outlets import Outlet
from api.stream.topics import Topic
from backend.clock import Clock


@dataclass(slots=True)
class Counters:
    """Frames that went out, and frames that lagging readers missed."""

    sent: int = 0
    dropped: int = 0


class Subscriber:
    """Holds no frame: what a lagging reader missed, one fresh snapshot a topic makes good."""

    def __init__(self, outlet: Outlet, clock: Clock, counters: Counters) -> None:
        self._outlet = outlet
        self._clock = clock
        self._counters = counters
        self._behind: dict[Topic, None] = {}
        self._lags_since: float | None = None
        self.topics: dict[Topic, None] = {}

    def __repr__(self) -> str:
        return f"<Subscriber {len(self.topics)} topics, behind in {len(self._behind)}>"

    @property
    def is_free(self) -> bool:
        return self._outlet.is_free

    @property
    def lags(self) -> bool:
        return self._lags_since is not None

    def tell(self, frame: Frame) -> None:
        """A part of the conversation: always goes out."""
        self._outlet.write(frame)
        self._counters.sent += 1

    def tell_if_free(self, frame: Frame) -> None:
        """What the next one of its kind makes good, like a heartbeat."""
        if self._outlet.is_free:
            self.tell(frame)

    def offer(self, topic: Topic, frame: Frame) -> bool:
        """News of a topic. False when the reader lags, and will get a snapshot in its place."""
        if topic in self._behind or not self._outlet.is_free:
            self._fall_behind(topic)
            return False
        self.tell(frame)
        return True

    def catch_up(self) -> None:
        """A snapshot of each topic that was missed, as far as the reader takes them now."""
        while self._behind and self._outlet.is_free:
            topic = next(iter(self._behind))
            del self._behind[topic]
            for frame in topic.present(is_return=True):
                self.tell(frame)
            self._lags_since = self._clock.monotonic()  # it has read something
        if not self._behind:
            self._lags_since = None

    def is_stuck(self, for_s: float) -> bool:
        """True when it has lagged for so long and taken nothing."""
        since = self._lags_since
        return since is not None and self._clock.monotonic() - since > for_s

    def forget(self, topic: Topic) -> None:
        self.topics.pop(topic, None)
        self._behind.pop(topic, None)

    def close(self, code: int, reason: str) -> None:
        self._outlet.close(code, reason)

    def _fall_behind(self, topic: Topic) -> None:
        self._behind[topic] = None
        self._counters.dropped += 1
        if self._lags_since is None:
            self._lags_since = self._clock.monotonic()
