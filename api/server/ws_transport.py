"""The way around ASGI to a connection's transport, where the server is uvicorn.

With another server `websocket_protocol` gives None, and the other functions do nothing.
"""

import asyncio

from starlette.types import Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.server.bounded_http import BoundedHttp
from api.server.bounded_websocket import BoundedWebSocket, MessageReceiver
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
    server = getattr(scope.get(SERVER_SEND), "__self__", None)
    return server if isinstance(server, WebSocketsSansIOProtocol) else None


def take_over(scope: Scope, receiver: MessageReceiver) -> bool:
    """Gives further messages of a WebSocket to `receiver`: the application is to return. False
    where the server is another one, and the application has to wait for them."""
    protocol = websocket_protocol(scope)
    if not isinstance(protocol, BoundedWebSocket):
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
