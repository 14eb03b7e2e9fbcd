"""Good lists with rows made wrong, and lists that are too long, in every vendor's own shape."""

import json
import re
from collections.abc import Callable
from typing import Any

from tests.world import data
from tests.world.junk import FIRST
from tests.world.messages import Reply

#: What a row needs to be told from others. (One of CryptoPanic without an address is none of ours.)
IDENTITY = frozenset("id symbol instId timestamp url title".split())
#: What readers are shown of a row.
SHOWN = ("name", "title", "value_classification")
#: Where the rows stand in vendors' documents.
LISTS = ("data", "results", "articles", "ohlc")
#: Where they are under the name of their pair.
KRAKENS = "result"
ITEM = re.compile(rb"<item>.*?</item>", re.DOTALL)
TITLE = re.compile(rb"(?<=<title>)[^<]*")
CONTROL_CHARACTERS = "\r\n\x1b[31m\x07\x7f"
MANY_ROWS, LARGE_BYTES = 14_500, 26_000_000
#: Some rows, each as it was, to what they become.
RowChange = Callable[[Any], Any]
#: The same of a feed's item, in bytes.
ItemChange = Callable[[bytes], bytes]


def one_row(change: RowChange, item_change: ItemChange) -> Callable[[Reply], Reply]:
    """The row in the middle changed."""
    return _changed(change, item_change, lambda count: range(count // 2, count // 2 + 1))


def first_row(change: RowChange) -> Callable[[Reply], Reply]:
    """The one that everybody else knows, too."""
    return _changed(change, bytes, lambda _count: range(1))


def most_rows(change: RowChange, item_change: ItemChange) -> Callable[[Reply], Reply]:
    """Two of three changed, and one more."""
    return _changed(change, item_change, lambda count: range(min(count, count * 2 // 3 + 1)))


def too_many(row_bytes: int = 0) -> Callable[[Reply], Reply]:
    """The first row again and again, each of at least so many bytes."""

    def apply(reply: Reply) -> Reply:
        begins, row, ends = _split(reply)
        padded = row + b" " * (row_bytes - len(row))
        separator = b"," if reply.content_type == "application/json" else b""
        body = begins + separator.join([padded] * MANY_ROWS) + ends
        return Reply(reply.status, body, reply.headers, reply.content_type)

    return apply


def with_surrogate(reply: Reply) -> Reply:
    """Half a character in a field that nobody reads, or in a feed's headline."""
    if reply.content_type != "application/json":
        return one_row(_same, lambda item: TITLE.sub(rb"&#xD83D;&#xDE80; \g<0> &#x110000;", item))(
            reply
        )
    document = json.loads(reply.body)
    for row in _rows(document) if _has_rows(document) else [document]:
        if isinstance(row, dict):
            row["odd"] = "\ud800"
        elif isinstance(row[-1], str):  # of a candle: its last field means nothing
            row[-1] = "\ud800"
    return _as_json(reply, document)


def null(_row: Any) -> Any:
    return None


def without_identity(row: Any) -> Any:
    if isinstance(row, list):
        return row[1:]
    return {name: value for name, value in row.items() if name not in IDENTITY}


def absurd(row: Any) -> Any:
    """A candle off its grid; figures far below zero; a report of next year."""
    if isinstance(row, list):
        return [_like(row[0], int(row[0]) + 1_234), *row[1:]]
    if "stats_24hour" in row:
        return row | {"stats_24hour": absurd(row["stats_24hour"])}
    figures = {name: _like(row[name], -4_000.0) for name in FIRST & row.keys()}
    stamps = dict.fromkeys({"published_at", "publishedAt"} & row.keys(), "2099-01-01T00:00:00Z")
    return row | figures | stamps


def huge_supply(row: Any) -> Any:
    return row | {"circulating_supply": 1.7e308, "market_cap": None}


def with_control_characters(row: Any) -> Any:
    return row | {name: row[name] + CONTROL_CHARACTERS for name in SHOWN if name in row}


def emptied(_item: bytes) -> bytes:
    return b"<item></item>"


def without_names(item: bytes) -> bytes:
    return re.sub(rb"<(title|link|guid)>.*?</\1>", b"", item)


def of_another_time(item: bytes) -> bytes:
    return re.sub(rb"(?<=<pubDate>)[^<]*", b"Thu, 01 Jan 2099 00:00:00 GMT", item)


def titled_with_control_characters(item: bytes) -> bytes:
    return TITLE.sub(rb"\g<0>&#27;[31m&#7;&#13;&#10;" + b"\x1b\x07", item)


def _same(value: Any) -> Any:
    return value


def _changed(
    change: RowChange, item_change: ItemChange, which: Callable[[int], range]
) -> Callable[[Reply], Reply]:
    def apply(reply: Reply) -> Reply:
        if reply.content_type != "application/json":
            return _with_items(reply, item_change, which)
        document = json.loads(reply.body)
        rows = _rows(document)
        for number in which(len(rows)):
            rows[number] = change(rows[number])
        return _as_json(reply, document)

    return apply


def _with_items(reply: Reply, change: ItemChange, which: Callable[[int], range]) -> Reply:
    items = list(ITEM.finditer(reply.body))
    body = reply.body
    for number in reversed(which(len(items))):  # from behind, so that places stay
        item = items[number]
        body = body[: item.start()] + change(item[0]) + body[item.end() :]
    return Reply(reply.status, body, reply.headers, reply.content_type)


def _split(reply: Reply) -> tuple[bytes, bytes, bytes]:
    """What stands before the rows, the first of them, and what stands behind them all."""
    if reply.content_type != "application/json":
        items = list(ITEM.finditer(reply.body))
        return reply.body[: items[0].start()], items[0][0], reply.body[items[-1].end() :]
    document = json.loads(reply.body)
    rows = _rows(document)
    row, rows[:] = data.to_json(rows[0]), ["HERE"]
    begins, _, ends = data.to_json(document).partition(b'"HERE"')
    return begins, row, ends


def _has_rows(document: Any) -> bool:
    return isinstance(document, list) or any(isinstance(document.get(name), list) for name in LISTS)


def _rows(document: Any) -> Any:
    """They are changed in their place."""
    if isinstance(document, list):
        return document
    if isinstance(pairs := document.get(KRAKENS), dict):
        return next(value for value in pairs.values() if isinstance(value, list))
    found = next((document[name] for name in LISTS if name in document), None)
    return Values(document) if found is None else _rows(found)


class Values:
    """The rows of a list that is an object, as Coinbase's, by their places."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._names = list(document)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, place: int) -> Any:
        return self._document[self._names[place]]

    def __setitem__(self, place: int, row: Any) -> None:
        self._document[self._names[place]] = row


def _like(value: Any, figure: float) -> Any:
    return str(figure) if isinstance(value, str) else figure


def _as_json(reply: Reply, document: Any) -> Reply:
    return Reply(reply.status, data.to_json(document), reply.headers)
