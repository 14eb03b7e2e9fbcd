"""Messages of the stream: one flat JSON object each, encoded once for all clients."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from api.encoding import to_json
from backend.categories import CATEGORIES

PROTOCOL = 1
HEARTBEAT_S = 15.0
RECONNECT_AFTER_MS = 1_500
CHANNELS = (*CATEGORIES, "status")

#: SSE names of some operations: in a browser an event named `error` means a lost connection.
EVENTS = {"error": "problem"}
#: First byte of an unfragmented text frame (RFC 6455, 5.2); a server does not mask.
_TEXT_FRAME = b"\x81"


@dataclass(frozen=True)
class Frame:
    """One message, for WebSocket and for SSE. `event` and `seq` are SSE's event and id."""

    text: bytes
    event: str
    seq: int | None = None

    @cached_property
    def wire(self) -> bytes:
        """The whole WebSocket frame, header included."""
        size = len(self.text)
        if size < 126:
            return _TEXT_FRAME + bytes([size]) + self.text
        if size < 65_536:
            return _TEXT_FRAME + b"\x7e" + size.to_bytes(2, "big") + self.text
        return _TEXT_FRAME + b"\x7f" + size.to_bytes(8, "big") + self.text

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
    """A message. Its SSE event is its channel, or `op` if it has none."""
    event = fields.get("channel") or EVENTS.get(op, op)
    return Frame(to_json({"op": op, **fields}), event, fields.get("seq"))


def shutdown() -> Frame:
    return frame("shutdown", reconnect_after_ms=RECONNECT_AFTER_MS)


def error(code: str, message: str, id: Any = None, **labels: Any) -> Frame:  # noqa: A002 - the word on the wire
    return frame("error", id=id, code=code, message=message, **labels)
