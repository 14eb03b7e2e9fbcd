"""The stream by WebSocket: one connection from its handshake to its end."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from starlette.types import Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.edge.client_limits import account_of
from api.edge.gateway_keys import GatewayKeys
from api.server.ws_transport import (
    SERVER_SEND,
    abort,
    abort_later,
    limit_kernel_buffer,
    websocket_protocol,
)
from api.stream import limits
from api.stream.broadcaster import Broadcaster, TooManyClients
from api.stream.commands import CommandError, Subscribe, auth_key, parse_command
from api.stream.frames import error
from api.stream.sinks import QueueSink, Sink, TransportSink
from api.stream.subscriber import Subscriber
from backend.clock import Clock
from backend.errors import ClientLimitReached, InvalidParameter, UnknownParameter

#: Reads the subscriptions in the query string. Raises CommandError, InvalidParameter,
#: UnknownParameter.
ReadQuery = Callable[[], tuple[Subscribe, ...]]


async def serve_websocket(websocket: WebSocket, read_query: ReadQuery) -> None:
    """Serves one client until it or the gateway closes the connection."""
    broadcaster: Broadcaster = websocket.app.state.broadcaster
    with suppress(WebSocketDisconnect):  # the client may leave at any moment
        await websocket.accept()
        limit_kernel_buffer(websocket.scope, broadcaster.limits["stuck_seconds"])
        if await _is_authorized(websocket, broadcaster.times.auth_s):
            await _serve_client(websocket, broadcaster, read_query)
        else:
            reason = "send a key, in a header or as the first message"
            await websocket.close(limits.UNAUTHORIZED, reason)
            abort_later(websocket.scope)


async def _is_authorized(websocket: WebSocket, timeout_s: float) -> bool:
    """The key comes in a header or, since browsers cannot set one, as the first message. Raises
    WebSocketDisconnect if the client leaves instead."""
    keys: GatewayKeys = websocket.app.state.keys
    if keys.admits(websocket.headers):
        return True
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        return keys.is_valid(auth_key(message.get("text")))
    return False


async def _serve_client(
    websocket: WebSocket, broadcaster: Broadcaster, read_query: ReadQuery
) -> None:
    async with _open_sink(websocket, broadcaster) as sink:
        try:
            subscriber = broadcaster.join(sink, account_of(websocket.scope))
        except TooManyClients as full:
            sink.close(limits.TRY_AGAIN_LATER, str(full))
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass
            return
        try:
            await _handle_messages(websocket, broadcaster, subscriber, read_query)
        finally:
            broadcaster.leave(subscriber)
            # A client that sent its close frame may still not read what is buffered.
            abort_later(websocket.scope)


async def _handle_messages(
    websocket: WebSocket, broadcaster: Broadcaster, subscriber: Subscriber, read_query: ReadQuery
) -> None:
    try:
        for command in read_query():
            await broadcaster.execute(subscriber, command)
    except (CommandError, InvalidParameter, UnknownParameter) as rejection:
        subscriber.send(error(rejection.code, str(rejection)))
    conversation = Conversation(broadcaster, subscriber, websocket.app.state.gateway.clock)
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        await conversation.handle(message.get("text"))


@asynccontextmanager
async def _open_sink(websocket: WebSocket, broadcaster: Broadcaster) -> AsyncIterator[Sink]:
    """The transport behind uvicorn; else a queue and a task that empties it."""
    is_direct = websocket.app.state.ws_direct
    if is_direct and (protocol := websocket_protocol(websocket.scope)):
        yield TransportSink(protocol)
        return
    sink = QueueSink(broadcaster.times.drain_s)
    writer = asyncio.create_task(_drain(websocket, sink), name="stream queue")
    try:
        yield sink
    finally:
        sink.close(1000, "")
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)


async def _drain(websocket: WebSocket, sink: QueueSink) -> None:
    send: Send = websocket.scope.get(SERVER_SEND, websocket.send)

    async def write() -> None:
        async for frame in sink.frames():
            await send(frame.message)
        await websocket.close(sink.code, sink.reason)

    if not await sink.drain(write()):
        abort(websocket.scope)


class Conversation:
    """Executes a client's messages one after the other, and waits while it does not read."""

    def __init__(self, broadcaster: Broadcaster, subscriber: Subscriber, clock: Clock) -> None:
        self._broadcaster = broadcaster
        self._subscriber = subscriber
        self._clock = clock
        #: Times of the last messages within the rate limit.
        self._accepted_at: deque[float] = deque(maxlen=limits.MESSAGES_PER_S)
        self._rejected = 0

    async def handle(self, text: str | None) -> None:
        """Handles one message; None is a binary one."""
        if text is not None and len(text) > limits.MAX_FRAME_BYTES:
            reason = f"a message has at most {limits.MAX_FRAME_BYTES} bytes"
            self._subscriber.close(limits.MESSAGE_TOO_BIG, reason)
            return
        if self._is_too_fast():
            self._reject(f"at most {limits.MESSAGES_PER_S} messages per second are allowed")
            return
        try:
            self._subscriber.account.charge(1)
        except ClientLimitReached as refusal:
            self._reject(str(refusal))
            return
        self._rejected = 0
        try:
            command = parse_command(text)
        except CommandError as rejection:
            self._subscriber.send(error(rejection.code, str(rejection), rejection.id))
        else:
            await self._broadcaster.execute(self._subscriber, command)
        while not self._subscriber.has_room:  # noqa: ASYNC110 - a transport has no event for it
            await asyncio.sleep(self._broadcaster.times.drain_poll_s)

    def _is_too_fast(self) -> bool:
        now = self._clock.monotonic()
        if len(self._accepted_at) == limits.MESSAGES_PER_S and now - self._accepted_at[0] < 1.0:
            return True
        self._accepted_at.append(now)
        return False

    def _reject(self, reason: str) -> None:
        self._rejected += 1
        if self._rejected > limits.MAX_REJECTED:
            self._subscriber.close(limits.POLICY_VIOLATION, "too many messages")
        else:
            self._subscriber.send(error("rate_limited", reason))
