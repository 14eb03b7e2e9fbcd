"""Binance's market-data streams by their own names, for clients that speak Binance's protocol.

Documentation: github binance/binance-spot-api-docs (web-socket-streams.md, 2026-07). Streams of a
user's account have other names, so that none of them can be asked for.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from backend.models.raw_streams import CommandReply
from backend.providers.adapter import RawCommand, RawFeed

#: Symbols are in lower case here; some have letters beyond ASCII.
_SYMBOL = r"(?:[^\WA-Z]|[.-]){1,50}"
_INTERVAL = "1s|1m|3m|5m|15m|30m|1h|2h|4h|6h|8h|12h|1d|3d|1w|1M"
_WINDOW = "1h|4h|1d"
#: What follows the symbol, by kind of stream.
_KINDS = (
    "trade",
    "aggTrade",
    "blockTrade",
    rf"kline_(?:{_INTERVAL})(?:@\+08:00)?",
    "miniTicker",
    "ticker",
    rf"ticker_(?:{_WINDOW})",
    "bookTicker",
    "avgPrice",
    "referencePrice",
    r"depth(?:5|10|20)?(?:@(?:100|1000)ms)?",
)
#: `!ticker@arr` is retired, but stays a name that clients ask for. python-binance and Binance's own
#: page name the speed of the mini tickers, which is not documented.
_ALL_MARKETS = rf"!(?:miniTicker@arr(?:@[13]000ms)?|ticker@arr|ticker_(?:{_WINDOW})@arr)"
_STREAM = re.compile(rf"{_SYMBOL}@(?:{'|'.join(_KINDS)})|{_ALL_MARKETS}")
_SPACE = rb"[ \t\r\n]*"
_NAME, _DATA = rb'("(?:[^"\\]|\\.){1,400}")', rb"(.*[^ \t\r\n])"
#: A frame of a combined connection: the stream's name, and the bytes of its data.
_ENVELOPE = re.compile(
    _SPACE.join((b"", rb"\{", b'"stream"', b":", _NAME, b",", b'"data"', b":", _DATA, rb"\}", b"")),
    re.DOTALL,
)


def is_stream(name: str) -> bool:
    return _STREAM.fullmatch(name) is not None


def build_command(method: RawCommand, streams: Sequence[str], number: int) -> str:
    params = {"params": list(streams)} if streams else {}
    return json.dumps({"method": method, **params, "id": number})


def split_frame(text: bytes) -> tuple[str, bytes] | None:
    """The stream and the bytes of its data. None for a message that is no frame of a stream."""
    found = _ENVELOPE.fullmatch(text)
    return (json.loads(found[1]), found[2]) if found else None


def parse_reply(message: Any) -> CommandReply:
    """Raises KeyError, TypeError or ValueError for anything but the reply to a command."""
    number = message["id"]
    if type(number) is not int:
        raise ValueError("a reply has the number of a command")
    is_refused = "code" in message or "error" in message
    if not is_refused and "result" not in message:
        raise ValueError("a reply has a result or an error")
    return CommandReply(number, is_refused)


def is_shutdown_notice(data: Any) -> bool:
    return isinstance(data, dict) and data.get("e") == "serverShutdown"


RAW_FEED = RawFeed(
    path="/stream",
    most_streams=1_024,
    # 5 per second are allowed, including pongs.
    commands_per_s=3,
    is_stream=is_stream,
    command=build_command,
    split=split_frame,
    parse_reply=parse_reply,
    is_shutdown_notice=is_shutdown_notice,
)
