"""The way around ASGI to a WebSocket's transport, where the server is the one that we know.

ASGI can only `await send`: for each reader a task switch, no word about how much is waiting to be
written, and no way to close a connection whose reader has stopped reading. uvicorn's protocol
object knows all three. Everything that reaches into it stands in this file; with another server,
or `WS_DIRECT=false`, `wire_behind` gives None and the stream goes the plain way.
"""

import asyncio
from contextlib import suppress

from starlette.types import Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from api.server.bounded_http import BoundedHttp
from api.server.bounded_websocket import CLOSE_S, BoundedWebSocket
from api.server.sockets import bound_sending
from api.stream.frames import Frame

#: Where the server's own `send` is kept before anybody wraps it.
KEY = "gateway.server_send"
#: Linux doubles it; still several times what a fast reader far away needs in a round trip.
KERNEL_BYTES = 256 * 1024
#: Added to the time that a reader may be stuck, in seconds, so that our close frame comes first.
KERNEL_SLACK_S = 30.0


def keep_send(scope: Scope, send: Send) -> None:
    """Remembers the server's `send`, outside of every layer: each one wraps it."""
    scope[KEY] = send


class Wire:
    """One accepted WebSocket connection of uvicorn's: an Outlet that writes the same bytes for
    every reader, with no task in between."""

    def __init__(self, protocol: WebSocketsSansIOProtocol) -> None:
        self._protocol = protocol
        self._has_end = False

    def __repr__(self) -> str:
        return f"<Wire {self.waiting} bytes waiting>"

    @property
    def waiting(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._protocol.transport.get_write_buffer_size()

    @property
    def is_closing(self) -> bool:
        return self._protocol.close_sent or self._protocol.transport.is_closing()

    def write(self, frame: Frame) -> None:
        """As it stands; nothing once the connection is closing."""
        protocol = self._protocol  # not by is_closing: this is done for each reader
        if not (protocol.close_sent or protocol.transport.is_closing()):
            protocol.transport.write(frame.wire)

    def close(self, code: int, reason: str) -> None:
        """As uvicorn closes, but without waiting for a reader that does not read.

        What is closing already, by whose will ever, gets its end set: uvicorn itself would wait
        for as long as the peer's kernel keeps the connection.
        """
        protocol = self._protocol
        if not self.is_closing:
            with suppress(InvalidState):
                protocol.conn.send_close(code, reason)
            protocol.transport.write(b"".join(protocol.conn.data_to_send()))
            protocol.close_sent = True
            message = {"type": "websocket.disconnect", "code": code, "reason": reason}
            protocol.queue.put_nowait(message)  # type: ignore[arg-type] # its own TypedDict
            if isinstance(protocol, BoundedWebSocket):
                protocol.resume_hearing()
            else:
                protocol.transport.resume_reading()
            # uvicorn then leaves the transport to the peer's goodbye, or to this.
            end = protocol.loop.call_later(CLOSE_S, protocol.transport.abort)
            protocol.close_timer = protocol.close_timer or end
        elif not self._has_end:
            protocol.loop.call_later(CLOSE_S, protocol.transport.abort)
        self._has_end = True

    def abort(self) -> None:
        self._protocol.transport.abort()


def wire_behind(scope: Scope) -> Wire | None:
    """The wire of this connection; None behind a server that we don't know."""
    server = getattr(scope.get(KEY), "__self__", None)
    return Wire(server) if isinstance(server, WebSocketsSansIOProtocol) else None


def abort(scope: Scope) -> None:
    """Ends the connection of a reader that does not read; without uvicorn, it lingers."""
    if transport := _transport(scope):
        transport.abort()


def abort_soon(scope: Scope) -> None:
    """As `abort`, with a little time for what is still on its way."""
    asyncio.get_running_loop().call_later(CLOSE_S, abort, scope)


def bound_kernel_buffer(scope: Scope, stuck_s: float) -> None:
    """Limits what the kernel takes for a client that does not read: without it megabytes, before
    we notice, which it keeps for minutes after the connection was closed."""
    transport = _transport(scope)
    connection = transport.get_extra_info("socket") if transport else None
    bound_sending(connection, KERNEL_BYTES, stuck_s + KERNEL_SLACK_S)


def begin_endless_answer(scope: Scope) -> None:
    """Makes this request the last one of its connection; requests behind it are ignored."""
    transport = _transport(scope)
    protocol = transport.get_protocol() if transport else None
    if isinstance(protocol, BoundedHttp):
        protocol.begin_endless_answer()


def _transport(scope: Scope) -> asyncio.Transport | None:
    """uvicorn's, of either protocol; uvloop's is an asyncio.Transport in all but name."""
    return getattr(getattr(scope.get(KEY), "__self__", None), "transport", None)
