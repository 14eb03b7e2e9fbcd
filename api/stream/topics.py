"""A topic: one view of a channel, its numbered states, and the frames that lead through them."""

from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from api.encoding import to_json
from api.stream.channels import Channel, Shown, View
from api.stream.frames import Frame, error, frame
from backend.clock import Clock
from backend.errors import GatewayError
from backend.models.ticks import Flow

if TYPE_CHECKING:
    from api.stream.subscriber import Subscriber

MOST_ROWS_HELD = 2_000
#: Nothing is said of a feed that is as readers take it to be.
POLLED = Flow(False)


class RowCache:
    """Each row's JSON, once for all topics of a channel, for as long as the row stays."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, tuple[Any, orjson.Fragment]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def encoded(self, key: Hashable, row: Any) -> orjson.Fragment:
        held = self._rows.get(key)
        if held is None or held[0] is not row:
            if len(self._rows) >= MOST_ROWS_HELD:  # of coins and articles that are long gone
                self._rows.clear()
            held = self._rows[key] = row, orjson.Fragment(to_json(row))
        return held[1]


class Topic:
    """What one view shows now. Every frame is encoded once, whoever gets it."""

    def __init__(
        self,
        key: tuple[str, ...],
        channel: Channel,
        view: View,
        rows: RowCache,
        clock: Clock,
    ) -> None:
        """`key` is the place of the feed that this is a view of."""
        self.key = key
        self.channel = channel
        self.view = view
        self.subscribers: dict[Subscriber, None] = {}
        self.seq = 0
        self._rows = rows
        self._clock = clock
        self._shown: Shown | None = None
        self._at: datetime = clock.now()
        self._snapshot: Frame | None = None
        self._error: Frame | None = None
        self._stale_reason: str | None = None
        self._flow = POLLED
        self._has_told_state = self._has_told_feed = False

    def __repr__(self) -> str:
        return f"<Topic {self.channel.name} {self.view} seq {self.seq}>"

    def show(self, shown: Shown) -> list[Frame]:
        """A new state: the frames that bring a reader of the old one to it, if it is another."""
        before, self._shown = self._shown, shown
        if before is not None and _is_no_news(before, shown):  # ticks moved other coins than these
            return self._state_frames(shown.stale_reason)
        self._snapshot = self._error = None
        self.seq, self._at = self.seq + 1, self._clock.now()
        changed = None if before is None else self._changed(before.data, shown.data)
        data = self.snapshot() if changed is None else self._data("update", changed)
        return [data, *self._state_frames(shown.stale_reason)]

    def fail(self, problem: GatewayError) -> list[Frame]:
        """There is nothing new, and not even the old can be called current."""
        frames = []
        if self._shown is None and self._error is None:
            self._error = error(problem.code, str(problem), **self._about)
            frames.append(self._error)
        return [*frames, *self._state_frames(problem.reason)]

    def turn(self, flow: Flow | None) -> list[Frame]:
        """Ticks begin or end; nothing where that is known already."""
        flow = flow or POLLED
        if flow == self._flow:
            return []
        self._flow, self._has_told_feed = flow, True
        return [self._feed_frame()]

    def present(self, *, is_return: bool = False) -> list[Frame]:
        """All that a reader needs who knows nothing, or on its return may have missed anything."""
        frames = [] if self._shown is None else [self.snapshot()]
        if self._shown is None and self._error:
            frames.append(self._error)
        if self._stale_reason or (is_return and self._has_told_state):
            frames.append(self._status_frame())
        if self._flow != POLLED or (is_return and self._has_told_feed):
            frames.append(self._feed_frame())
        return frames

    def snapshot(self) -> Frame:
        """The state as it is, encoded when the first one needs it."""
        assert self._shown is not None
        if self._snapshot is None:
            self._snapshot = self._data("snapshot", self._shown.data)
        return self._snapshot

    @property
    def _about(self) -> dict[str, str]:
        return {"channel": self.channel.name, **self.channel.labels}

    def _changed(self, before: Any, after: Any) -> Any:
        """What an update must hold; None where only a snapshot leads from one to the other."""
        key = self.channel.key
        if key is None:
            return after
        old = {key(row): row for row in before}
        changed = [row for row in after if not _same(old.get(key(row)), row)]
        led_to = applied(self.channel, before, changed, len(after))
        is_right = len(led_to) == len(after) and all(map(_same, led_to, after))
        return changed if is_right else None

    def _data(self, kind: str, data: Any) -> Frame:
        assert self._shown is not None
        if key := self.channel.key:
            data = [self._rows.encoded(key(row), row) for row in data]
        return frame(
            "data",
            **self._about,
            type=kind,
            seq=self.seq,
            time=self._at,
            data=data,
            meta=self._shown.meta,
        )

    def _state_frames(self, stale_reason: str | None) -> list[Frame]:
        if stale_reason == self._stale_reason:
            return []
        self._stale_reason, self._has_told_state = stale_reason, True
        return [self._status_frame()]

    def _status_frame(self) -> Frame:
        state = "stale" if self._stale_reason else "live"
        return frame(
            "status",
            **self._about,
            state=state,
            reason=self._stale_reason,
            time=self._clock.now(),
        )

    def _feed_frame(self) -> Frame:
        return frame(
            "feed",
            **self._about,
            feed="ticks" if self._flow.is_live else "polled",
            reason=self._flow.reason,
            time=self._clock.now(),
        )


def applied(
    channel: Channel, before: Sequence[Any], changed: Sequence[Any], count: int
) -> list[Any]:
    """What a reader makes of an update: the rule of `Channel`, as docs/stream.md gives it."""
    key = channel.key
    assert key is not None
    rows = {key(row): row for row in before} | {key(row): row for row in changed}
    ordered = sorted(rows.values(), key=channel.order)
    surplus = max(0, len(ordered) - count)
    return ordered[surplus:] if channel.keeps_last else ordered[:count]


def _is_no_news(before: Shown, after: Shown) -> bool:
    if before.meta is None or before.meta != after.meta:
        return False
    if not isinstance(before.data, tuple) or not isinstance(after.data, tuple):
        return _same(before.data, after.data)
    return len(before.data) == len(after.data) and all(map(_same, before.data, after.data))


def _same(one: Any, other: Any) -> bool:
    return one is other or bool(one == other)
