"""A topic: one subscription's content, its numbered states, and the frames between them."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any

from api.encoding import instant, to_json
from api.stream.channels import Channel, Coins, Content
from api.stream.protocol import Frame, error, frame
from backend.clock import Clock
from backend.errors import GatewayError, Unsupported
from backend.models.ticks import Flow

MAX_CACHED_ROWS = 2_000
#: The flow that clients assume at first; a frame is sent only when it is another one.
POLLED = Flow(False)


class RowCache:
    """The JSON of each row, shared by all topics of a channel, while the row is unchanged.

    `shape` makes what clients get from a row; None: the row itself.
    """

    def __init__(self, shape: Callable[[Any], Any] | None = None) -> None:
        self._shape = shape
        self._rows: dict[Hashable, tuple[Any, bytes]] = {}

    def encoded(self, key: Hashable, row: Any) -> bytes:
        cached = self._rows.get(key)
        if cached is None or cached[0] is not row:
            if cached is None and len(self._rows) >= MAX_CACHED_ROWS:  # rows that left, too
                self._rows.clear()
            encoded = to_json(self._shape(row) if self._shape else row)
            cached = self._rows[key] = row, b"%b" % encoded  # a copy: encoding.to_json says why
        return cached[1]


class Topic:
    """The content of a channel for some coins. Each frame is encoded once for all clients."""

    def __init__(self, channel: Channel, coins: Coins, rows: RowCache, clock: Clock) -> None:
        self.channel = channel
        self.coins = coins
        #: Number of the content: a new one has the next number.
        self.seq = 0
        #: The answer that the content is of, for the feed.
        self.answer: Any = None
        self._rows = rows
        self._clock = clock
        self._content: Content | None = None
        #: The places of the content's rows by their keys; None until an update needs them.
        self._places: dict[Hashable, int] | None = None
        #: How each data frame begins, and the last `meta` with its JSON.
        self._name = channel.name
        self._head = to_json({"op": "data", "channel": channel.name, **channel.labels})[:-1]
        self._meta: tuple[Any, bytes] = None, b"null"
        #: True if the rows are in the channel's order and no two have the same key.
        self._is_ordered = False
        self._time: datetime = clock.now()
        self._snapshot: Frame | None = None
        self._error: Frame | None = None
        self._stale_reason: str | None = None
        #: Whether the content was dropped because it is too old to be shown.
        self._is_expired = False
        self._flow = POLLED
        self._has_sent_status = self._has_sent_feed = False

    def __repr__(self) -> str:
        return f"<Topic {self.channel.name} {self.coins} seq {self.seq}>"

    def update(self, content: Content) -> list[Frame]:
        """New content: the frames that lead from the old one to it; none if it is the same."""
        before, self._content = self._content, content
        self._places = None
        # The same where other coins have changed. The status has no `meta`, and is always new.
        if before and before.meta and before.meta == content.meta and before.data == content.data:
            return self._set_stale(content.stale_reason)
        self._snapshot = self._error = None
        self._is_expired = False
        self.seq, self._time = self.seq + 1, self._clock.now()
        changed = None if before is None else self._changed(before.data, content.data)
        data = self.snapshot() if changed is None else self._data_frame(b"update", changed)
        return [data, *self._set_stale(content.stale_reason)]

    def update_rows(self, changed: Mapping[Any, Any], answer: Any) -> list[Frame] | None:
        """As `update`, by the rows of all coins in which `answer` differs from the one before it.
        None where the content is not known to be in order, so that `update` must compare."""
        content, row_key = self._content, self.channel.row_key
        if content is None or row_key is None or not self._is_ordered:
            return None
        if self._places is None:
            self._places = {row_key(row): place for place, row in enumerate(content.data)}
        self.answer, rows = answer, list(content.data)
        shown = [key for key in changed if key in self._places]
        if not shown:
            return self._set_stale(content.stale_reason)
        for key in shown:
            rows[self._places[key]] = changed[key]
        self._content = Content(tuple(rows), content.meta, content.stale_reason, content.fetched_at)
        self._snapshot = self._error = None
        self._is_expired = False
        self.seq, self._time = self.seq + 1, self._clock.now()
        encoded = [self._rows.encoded(key, changed[key]) for key in shown]
        frames = [self._encoded_frame(b"update", b"[%b]" % b",".join(encoded))]
        if content.stale_reason != self._stale_reason:
            frames += self._set_stale(content.stale_reason)
        return frames

    def fail(self, problem: GatewayError) -> list[Frame]:
        """There is no new content: the state `stale`, or `expired` for content that is too old;
        and an error if there is none to show."""
        if self._is_too_old():
            self._content = self._snapshot = self._stale_reason = None
            self._is_expired = True
        frames = []
        if self._content is None and self._error is None:
            self._error = self._error_frame(problem)
            frames.append(self._error)
        return [*frames, *self._set_stale(problem.reason)]

    def _is_too_old(self) -> bool:
        fetched_at = self._content.fetched_at if self._content else None
        if fetched_at is None:
            return False
        age = self._clock.now() - fetched_at
        return age.total_seconds() >= self.channel.max_stale_s()

    def _error_frame(self, problem: GatewayError) -> Frame:
        fields: dict[str, Any] = {"channel": self.channel.name, **self.channel.labels}
        if isinstance(problem, Unsupported):
            fields |= {"parameter": problem.parameter, "available": problem.available}
        return error(problem.code, str(problem), **fields)

    def set_flow(self, flow: Flow | None) -> list[Frame]:
        """A frame if ticks begin or end."""
        flow = flow or POLLED
        if flow == self._flow:
            return []
        self._flow, self._has_sent_feed = flow, True
        return [self._feed_frame()]

    def current_frames(self, *, after_lag: bool = False) -> list[Frame]:
        """The whole state for a new client, or for one that may have missed any change of it."""
        frames = [] if self._content is None else [self.snapshot()]
        if self._content is None and self._error:
            frames.append(self._error)
        if self._stale_reason or (after_lag and self._has_sent_status):
            frames.append(self._status_frame())
        if self._flow != POLLED or (after_lag and self._has_sent_feed):
            frames.append(self._feed_frame())
        return frames

    def snapshot(self) -> Frame:
        """The content, encoded when the first client needs it."""
        assert self._content is not None
        if self._snapshot is None:
            self._snapshot = self._data_frame(b"snapshot", self._content.data)
        return self._snapshot

    def _changed(self, before: Any, after: Any) -> Any:
        """The data of an update; None where only a snapshot leads from `before` to `after`."""
        row_key, order = self.channel.row_key, self.channel.order
        if row_key is None:
            return after
        if self._is_ordered and len(before) == len(after):
            pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not b and a != b]
            if all(row_key(a) == row_key(b) and order(a) == order(b) for a, b in pairs):
                return [row for _, row in pairs]  # nearly always: a tick changes a few rows
        old = {row_key(row): row for row in before}
        changed = [row for row in after if old.get(row_key(row)) != row]
        rows = list(after)
        if applied(self.channel, before, changed, len(rows)) == rows:
            self._is_ordered = True
            return changed
        self._is_ordered = applied(self.channel, rows, (), len(rows)) == rows
        return None

    def _set_stale(self, reason: str | None) -> list[Frame]:
        if reason == self._stale_reason:
            return []
        self._stale_reason, self._has_sent_status = reason, True
        return [self._status_frame()]

    def _data_frame(self, kind: bytes, data: Any) -> Frame:
        row_key = self.channel.row_key
        if row_key is None:
            return self._encoded_frame(kind, to_json(data))
        encoded = [self._rows.encoded(row_key(row), row) for row in data]
        return self._encoded_frame(kind, b"[%b]" % b",".join(encoded))

    def _encoded_frame(self, kind: bytes, data: bytes) -> Frame:
        """`data` is JSON."""
        assert self._content is not None
        meta = self._content.meta
        if meta is not self._meta[0]:  # a tick leaves it as it was
            self._meta = meta, to_json(meta)
        text = b'%b,"type":"%b","seq":%d,"time":"%b","data":%b,"meta":%b}' % (
            self._head,
            kind,
            self.seq,
            instant(self._time).encode(),
            data,
            self._meta[1],
        )
        return Frame(text, self._name, self.seq)

    def _status_frame(self) -> Frame:
        reason = self._stale_reason
        state = "live" if reason is None else "expired" if self._is_expired else "stale"
        return self._frame("status", state=state, reason=reason, time=self._clock.now())

    def _feed_frame(self) -> Frame:
        feed, reason = "ticks" if self._flow.is_live else "polled", self._flow.reason
        venue, now = self._flow.venue, self._clock.now()
        return self._frame("feed", feed=feed, venue=venue, reason=reason, time=now)

    def _frame(self, op: str, **fields: Any) -> Frame:
        return frame(op, channel=self.channel.name, **self.channel.labels, **fields)


def applied(
    channel: Channel, before: Sequence[Any], changed: Sequence[Any], count: int
) -> list[Any]:
    """The rows of a client that applies an update by the rule of `Channel`."""
    row_key = channel.row_key
    assert row_key is not None
    rows = {row_key(row): row for row in before} | {row_key(row): row for row in changed}
    ordered = sorted(rows.values(), key=channel.order)
    surplus = max(0, len(ordered) - count)
    return ordered[surplus:] if channel.keeps_last else ordered[:count]
