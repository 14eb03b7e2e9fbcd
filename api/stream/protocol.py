"""The stream's protocol: its messages, limits, times and close codes.

A message is one flat JSON object, which is encoded once for all clients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from api.encoding import to_json
from api.server.message_compression import MIN_BYTES, compressed
from backend.categories import CATEGORIES

PROTOCOL = 1
HEARTBEAT_S = 15.0
RECONNECT_AFTER_MS = 1_500
#: Categories with settings of their own have a channel.
CHANNELS = (*(name for name, one in CATEGORIES.items() if one.fixed is None), "status")

#: First byte of an unfragmented text frame (RFC 6455, 5.2); a server does not mask.
_TEXT_FRAME = b"\x81"
#: The same with RSV1: the message is compressed (RFC 7692, 6).
_COMPRESSED_FRAME = b"\xc1"

#: Topics of one client.
MAX_TOPICS = 32
#: Candle series of all clients together: each may cost one provider call per refresh.
MAX_SERIES = 200
#: Rows of a channel, and symbols of one command.
MAX_ROWS = 250
#: Largest message of a client, in bytes.
MAX_FRAME_BYTES = 64 * 1024
MESSAGES_PER_S = 20
#: Consecutive messages over the rate limit after which the connection is closed.
MAX_REJECTED = 200
#: Bytes buffered for one client above which it is lagging: it gets no updates until it has read.
#: A client of every channel receives snapshots of about this size at the start.
MAX_BUFFERED_BYTES = 256 * 1024
#: Bytes buffered for one client above which its connection is aborted, for example if it sends
#: commands and never reads the replies.
ABORT_BUFFERED_BYTES = 1024 * 1024

# Close codes (RFC 6455, 7.4.1, and the IANA registry); 4401 is from the private range.
GOING_AWAY, POLICY_VIOLATION, MESSAGE_TOO_BIG, TRY_AGAIN_LATER = 1001, 1008, 1009, 1013
UNAUTHORIZED = 4401


@dataclass(frozen=True)
class StreamTimes:
    """Intervals and time-outs of the stream, in seconds."""

    #: Interval of the checks for stuck clients, and for ticks that end.
    check_s: float = 1.0
    #: The same while a client lags or is closing.
    lag_check_s: float = 0.25
    #: Interval at which a client with a full buffer is polled: a transport has no event for it.
    drain_poll_s: float = 0.1
    #: Time-out for the first message, which carries the key of a client that sent no header.
    auth_s: float = 5.0
    #: Time in which a queue must be written out once it is closed.
    drain_s: float = 2.0


def _frame(first: bytes, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return first + bytes([size]) + payload
    if size < 65_536:
        return b"%b~%c%c%b" % (first, size >> 8, size & 255, payload)  # ~ is 126
    return first + b"\x7f" + size.to_bytes(8, "big") + payload


class _once:  # noqa: N801 - as the decorator that it is
    """`functools.cached_property` without the lock that Python 3.11 takes: one task makes it."""

    def __init__(self, make: Callable[[Any], bytes]) -> None:
        self._make = make

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, frame: Any, _kind: type | None = None) -> bytes:
        made = self._make(frame)
        frame.__dict__[self._name] = made
        return made


@dataclass(frozen=True)
class Frame:
    """One message, for WebSocket and for SSE. `event` and `seq` are SSE's event and id."""

    text: bytes
    event: str
    seq: int | None = None

    @_once
    def wire(self) -> bytes:
        """The whole WebSocket frame, header included."""
        return _frame(_TEXT_FRAME, self.text)

    @_once
    def compressed_wire(self) -> bytes:
        """The same for clients that take compressed messages; a short one is as it is."""
        if len(self.text) < MIN_BYTES:
            return self.wire
        return _frame(_COMPRESSED_FRAME, compressed(self.text))

    @cached_property
    def message(self) -> dict[str, str]:
        """The ASGI message that sends it by WebSocket."""
        return {"type": "websocket.send", "text": self.text.decode()}

    @cached_property
    def sse(self) -> bytes:
        """The SSE event. The JSON has no line breaks, so one data line is enough."""
        number = b"" if self.seq is None else b"id: %d\n" % self.seq
        return b"event: %s\n%sdata: %s\n\n" % (self.event.encode(), number, self.text)


def frame(op: str, **fields: Any) -> Frame:
    """A message. Its SSE event is its channel, or `op` if it has none. An error is the event
    `problem`: in a browser an event named `error` means a lost connection."""
    event = fields.get("channel") or ("problem" if op == "error" else op)
    return Frame(to_json({"op": op, **fields}), event, fields.get("seq"))


def error(code: str, message: str, id: Any = None, **labels: Any) -> Frame:  # noqa: A002 - the word on the wire
    return frame("error", id=id, code=code, message=message, **labels)
