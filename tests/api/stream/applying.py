"""A client that knows only docs/stream.md: it applies snapshots and updates, checks numbers."""

from typing import Any

#: channel -> (key of a row, order of rows, whether the last rows are kept)
RULES: dict[str, tuple[Any, Any, bool]] = {
    "market": (
        lambda row: row["id"] or row["symbol"],
        lambda row: (row["market_cap_rank"] is None, row["market_cap_rank"] or 0),
        False,
    ),
    "ohlc": (lambda row: row["timestamp"], lambda row: row["timestamp"], True),
    "news": (lambda row: row["id"], lambda row: _descending(row["published_at"]), False),
    "sentiment": (lambda row: row["timestamp"], lambda row: _descending(row["timestamp"]), False),
}


def _descending(text: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in text)


class Applied:
    """The content of one channel for such a client."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self.seq: int | None = None
        self.data: Any = None
        self.meta: Any = None

    def take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "snapshot":
            self.data = frame["data"]
        else:
            assert self.seq is not None
            assert frame["seq"] == self.seq + 1, "an update is missing"
            self.data = self._updated(frame)
        self.seq, self.meta = frame["seq"], frame["meta"]

    def _updated(self, frame: dict[str, Any]) -> Any:
        if not isinstance(self.data, list):
            return frame["data"]
        key, order, keeps_last = RULES[self._channel]
        rows = {key(row): row for row in self.data} | {key(row): row for row in frame["data"]}
        ordered, count = sorted(rows.values(), key=order), frame["meta"]["count"]
        return ordered[max(0, len(ordered) - count) :] if keeps_last else ordered[:count]
