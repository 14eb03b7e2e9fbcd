"""The way around ASGI to a connection's transport, where the server is ours.

With another server `websocket_protocol` gives None, and the other functions do nothing.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.types import Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from api.server.bounded_http import BoundedHttp
from api.server.bounded_websocket import BoundedWebSocket, MessageReceiver
from api.server.hooks import hooks_of
from api.server.message_compression import takes_compressed
from api.server.send_buffer import limit_send_buffer

#: Scope key of the server's own `send`, which every layer of the application wraps.
SERVER_SEND = "gateway.server_send"
#: Size of the kernel's send buffer, in bytes. Linux doubles it. It is several times what a fast
#: client far away needs in a round trip.
SEND_BUFFER_BYTES = 256 * 1024
#: Added to the time for which a client may be stuck, in seconds, so that our close frame is first.
SLACK_S = 30.0


class DirectTransport:
    """Writes finished frames straight to the transport of uvicorn's protocol.

    ASGI can only `await send`: this costs a task switch for each client, does not tell how many
    bytes wait to be sent, and cannot close a connection whose client has stopped reading.
    """

    __slots__ = (
        "_is_transport_closing",
        "_protocol",
        "_write",
        "buffered",
        "is_open",
        "may_be_full",
        "takes_compressed",
    )

    def __init__(self, protocol: BoundedWebSocket) -> None:
        self._protocol = protocol
        transport = protocol.transport
        #: Whether frames may still be written, and whether so many bytes wait that `buffered` has
        #: to be called before. The protocol sets both: to ask it for each frame would cost more.
        self.is_open = not (protocol.close_sent or transport.is_closing())
        self.may_be_full = not protocol.writable.is_set()
        protocol.direct = self
        self._write, self._is_transport_closing = transport.write, transport.is_closing
        #: Gives the number of bytes that the kernel has not taken yet.
        self.buffered: Callable[[], int] = transport.get_write_buffer_size
        #: Whether frames of `message_compression.compressed` are right for this client.
        self.takes_compressed = takes_compressed(protocol.conn)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.buffered()} bytes buffered>"

    @property
    def is_closing(self) -> bool:
        return not self.is_open or self._is_transport_closing()

    def close(self, code: int, reason: str) -> None:
        """As uvicorn closes, but the connection ends `close_s` seconds later in any case.

        uvicorn itself would wait for as long as the peer's kernel keeps the connection.
        """
        protocol = self._protocol
        if not self.is_closing:
            with suppress(InvalidState):
                protocol.conn.send_close(code, reason)
            protocol.transport.write(b"".join(protocol.conn.data_to_send()))
            protocol.close_sent = True
            message = {"type": "websocket.disconnect", "code": code, "reason": reason}
            protocol.queue.put_nowait(message)  # type: ignore[arg-type] # its own TypedDict
            protocol.resume_parsing()
        if protocol.close_timer is None:
            # uvicorn ends the connection when the peer's close frame comes, or by this timer.
            close_s = hooks_of(protocol.config.app).timeouts.close_s
            protocol.close_timer = protocol.loop.call_later(close_s, protocol.transport.abort)

    def abort(self) -> None:
        self._protocol.transport.abort()


def remember_server_send(scope: Scope, send: Send) -> None:
    """Must be called outside of every layer."""
    scope[SERVER_SEND] = send


def is_websocket(connection: object) -> bool:
    """Whether a connection of uvicorn's registry speaks WebSocket."""
    return isinstance(connection, WebSocketsSansIOProtocol)


def websocket_protocol(scope: Scope) -> BoundedWebSocket | None:
    server = getattr(scope.get(SERVER_SEND), "__self__", None)
    return server if isinstance(server, BoundedWebSocket) else None


def take_over(scope: Scope, receiver: MessageReceiver) -> bool:
    """Gives further messages of a WebSocket to `receiver`: the application is to return. False
    where the server is another one, and the application has to wait for them."""
    protocol = websocket_protocol(scope)
    if protocol is None:
        return False
    protocol.take_over(receiver)
    return True


def abort(scope: Scope) -> None:
    """Ends the connection of a client that does not read."""
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
    if transport := _transport(scope):
        limit_send_buffer(transport, SEND_BUFFER_BYTES, stuck_s + SLACK_S)


def begin_endless_response(scope: Scope) -> None:
    """Makes this request the last one of its connection; requests behind it are ignored."""
    transport = _transport(scope)
    protocol = transport.get_protocol() if transport else None
    if isinstance(protocol, BoundedHttp):
        protocol.begin_endless_response()


def _transport(scope: Scope) -> asyncio.Transport | None:
    """uvicorn's, of either protocol; uvloop's has the methods of asyncio.Transport."""
    return getattr(getattr(scope.get(SERVER_SEND), "__self__", None), "transport", None)
