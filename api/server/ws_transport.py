"""The way around ASGI to a connection's transport, where the server is uvicorn.

ASGI can only `await send`: this costs a task switch for each client, does not tell how many bytes
wait to be sent, and cannot close a connection whose client has stopped reading. uvicorn's protocol
object can do all three. This file holds everything that depends on it. With another server,
`websocket_protocol` gives None and the stream uses ASGI.
"""

import asyncio
from contextlib import suppress

from starlette.types import Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from api.server.bounded_http import BoundedHttp
from api.server.bounded_websocket import BoundedWebSocket
from api.server.hooks import hooks_of
from api.server.send_buffer import limit_send_buffer

#: Scope key of the server's own `send`, which every layer of the application wraps.
SERVER_SEND = "gateway.server_send"
#: Size of the kernel's send buffer, in bytes. Linux doubles it. It is several times what a fast
#: client far away needs in a round trip.
SEND_BUFFER_BYTES = 256 * 1024
#: Added to the time for which a client may be stuck, in seconds, so that our close frame is first.
SLACK_S = 30.0


def remember_server_send(scope: Scope, send: Send) -> None:
    """Must be called outside of every layer."""
    scope[SERVER_SEND] = send


def websocket_protocol(scope: Scope) -> WebSocketsSansIOProtocol | None:
    """uvicorn's protocol of this connection; None with another server."""
    server = getattr(scope.get(SERVER_SEND), "__self__", None)
    return server if isinstance(server, WebSocketsSansIOProtocol) else None


class WebSocketTransport:
    """The transport of one accepted WebSocket connection: it writes without a task in between."""

    def __init__(self, protocol: WebSocketsSansIOProtocol) -> None:
        self._protocol = protocol
        self._has_deadline = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.buffered_bytes} bytes buffered>"

    @property
    def buffered_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._protocol.transport.get_write_buffer_size()

    @property
    def is_closing(self) -> bool:
        return self._protocol.close_sent or self._protocol.transport.is_closing()

    def close(self, code: int, reason: str) -> None:
        """As uvicorn closes, but the connection ends `close_s` seconds later in any case.

        uvicorn itself would wait for as long as the peer's kernel keeps the connection.
        """
        protocol = self._protocol
        close_s = hooks_of(protocol.config.app).timeouts.close_s
        if not self.is_closing:
            with suppress(InvalidState):
                protocol.conn.send_close(code, reason)
            protocol.transport.write(b"".join(protocol.conn.data_to_send()))
            protocol.close_sent = True
            message = {"type": "websocket.disconnect", "code": code, "reason": reason}
            protocol.queue.put_nowait(message)  # type: ignore[arg-type] # its own TypedDict
            if isinstance(protocol, BoundedWebSocket):
                protocol.resume_parsing()
            else:
                protocol.transport.resume_reading()
            # uvicorn ends the connection when the peer's close frame comes, or by this timer.
            deadline = protocol.loop.call_later(close_s, protocol.transport.abort)
            protocol.close_timer = protocol.close_timer or deadline
        elif not self._has_deadline:
            protocol.loop.call_later(close_s, protocol.transport.abort)
        self._has_deadline = True

    def abort(self) -> None:
        self._protocol.transport.abort()


def abort(scope: Scope) -> None:
    """Ends the connection of a client that does not read; does nothing without uvicorn."""
    if transport := _transport(scope):
        transport.abort()


def abort_later(scope: Scope) -> None:
    """As `abort` for a WebSocket, after `close_s` seconds: bytes in transit may still arrive."""
    if protocol := websocket_protocol(scope):
        close_s = hooks_of(protocol.config.app).timeouts.close_s
        protocol.loop.call_later(close_s, protocol.transport.abort)


def limit_kernel_buffer(scope: Scope, stuck_s: float) -> None:
    """Limits the kernel's buffer for a client that does not read. Without a limit the kernel takes
    megabytes before we notice, and keeps them for minutes after the connection was closed."""
    transport = _transport(scope)
    connection = transport.get_extra_info("socket") if transport else None
    limit_send_buffer(connection, SEND_BUFFER_BYTES, stuck_s + SLACK_S)


def begin_endless_response(scope: Scope) -> None:
    """Makes this request the last one of its connection; requests behind it are ignored."""
    transport = _transport(scope)
    protocol = transport.get_protocol() if transport else None
    if isinstance(protocol, BoundedHttp):
        protocol.begin_endless_response()


def _transport(scope: Scope) -> asyncio.Transport | None:
    """uvicorn's, of either protocol; uvloop's has the methods of asyncio.Transport."""
    return getattr(getattr(scope.get(SERVER_SEND), "__self__", None), "transport", None)
