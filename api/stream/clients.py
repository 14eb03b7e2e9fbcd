"""The clients of the stream, by WebSocket and by Server-Sent Events."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from fastapi.responses import StreamingResponse
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.edge.access_control import GatewayKeys
from api.edge.client_limits import account_of
from api.edge.problems import problem
from api.server.ws_transport import (
    abort,
    abort_later,
    begin_endless_response,
    limit_kernel_buffer,
)
from api.stream import protocol
from api.stream.address_limits import TooManyClients
from api.stream.broadcaster import Broadcaster
from api.stream.commands import CommandError, Subscribe, auth_key, parse_command
from api.stream.feed import Subscriber
from api.stream.protocol import error
from api.stream.sinks import QueueSink
from api.stream.websocket_sink import open_sink, receiving
from backend.clock import Clock
from backend.errors import ClientLimitReached, InvalidParameter, UnknownParameter

SSE_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
#: Reads the subscriptions in the query string. Raises CommandError, InvalidParameter,
#: UnknownParameter.
ReadQuery = Callable[[], tuple[Subscribe, ...]]


class WebSocketClient:
    """Executes the messages of one client, one after the other, and not while it does not read the
    replies."""

    __slots__ = ("_accepted_at", "_broadcaster", "_clock", "_rejected", "_subscriber")

    def __init__(self, broadcaster: Broadcaster, subscriber: Subscriber, clock: Clock) -> None:
        self._broadcaster, self._subscriber, self._clock = broadcaster, subscriber, clock
        #: Times of the last messages within the rate limit; None before the first message.
        self._accepted_at: deque[float] | None = None
        #: Consecutive messages over the rate limit.
        self._rejected = 0

    def connection_lost(self) -> None:
        self._broadcaster.leave(self._subscriber)

    async def receive(self, text: str | None) -> None:
        subscriber = self._subscriber
        if text is not None and len(text) > protocol.MAX_FRAME_BYTES:
            reason = f"a message has at most {protocol.MAX_FRAME_BYTES} bytes"
            subscriber.close(protocol.MESSAGE_TOO_BIG, reason)
            return
        if reason := self._over_limit():
            self._rejected += 1
            if self._rejected > protocol.MAX_REJECTED:
                subscriber.close(protocol.POLICY_VIOLATION, "too many messages")
            else:
                subscriber.send(error("rate_limited", reason))
            return
        self._rejected = 0
        try:
            command = parse_command(text)
        except CommandError as rejection:
            subscriber.send(error(rejection.code, str(rejection), rejection.id))
        else:
            await self._broadcaster.execute(subscriber, command)
        while not subscriber.has_room:  # noqa: ASYNC110 - a transport has no event for it
            await asyncio.sleep(self._broadcaster.times.drain_poll_s)

    def _over_limit(self) -> str:
        """Why the message exceeds a limit; empty if it does not. Counts it then."""
        if self._accepted_at is None:
            self._accepted_at = deque(maxlen=protocol.MESSAGES_PER_S)
        now, times = self._clock.monotonic(), self._accepted_at
        if len(times) == protocol.MESSAGES_PER_S and now - times[0] < 1.0:
            return f"at most {protocol.MESSAGES_PER_S} messages per second are allowed"
        times.append(now)
        try:
            self._subscriber.account.charge(1)
        except ClientLimitReached as refusal:
            return str(refusal)
        return ""


class WebSocketSession:
    """One connection, from the handshake until it or the gateway closes it."""

    def __init__(self, websocket: WebSocket, read_query: ReadQuery) -> None:
        self._websocket = websocket
        self._read_query = read_query
        self._broadcaster: Broadcaster = websocket.app.state.broadcaster
        self._clock: Clock = websocket.app.state.gateway.clock

    async def run(self) -> None:
        """Returns at the end of the connection, or once the server gives its messages to a
        `WebSocketClient`."""
        websocket = self._websocket
        with suppress(WebSocketDisconnect):  # the client may leave at any moment
            await websocket.accept()
            limit_kernel_buffer(websocket.scope, self._broadcaster.limits["stuck_seconds"])
            if await self._is_authorized():
                await self._serve()
            else:
                reason = "send a key, in a header or as the first message"
                await websocket.close(protocol.UNAUTHORIZED, reason)
                abort_later(websocket.scope)

    async def _is_authorized(self) -> bool:
        """The key comes in a header or, since browsers cannot set one, as the first message.
        Raises WebSocketDisconnect if the client leaves instead."""
        keys: GatewayKeys = self._websocket.app.state.keys
        if keys.admits(self._websocket.headers):
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._broadcaster.times.auth_s):
                message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1006))
            return keys.is_valid(auth_key(message.get("text")))
        return False

    async def _serve(self) -> None:
        websocket = self._websocket
        async with open_sink(websocket, self._broadcaster.times.drain_s) as sink:
            try:
                subscriber = self._broadcaster.join(sink, account_of(websocket.scope))
            except TooManyClients as full:
                sink.close(protocol.TRY_AGAIN_LATER, str(full))
                while (await websocket.receive())["type"] != "websocket.disconnect":
                    pass
                return
            client = WebSocketClient(self._broadcaster, subscriber, self._clock)
            async with receiving(websocket, sink, client):
                try:
                    for command in self._read_query():
                        await self._broadcaster.execute(subscriber, command)
                except (CommandError, InvalidParameter, UnknownParameter) as rejection:
                    subscriber.send(error(rejection.code, str(rejection)))


class EventStream(StreamingResponse):
    """The response of `/api/stream`. Its client joins the broadcaster when the response begins, and
    leaves it when the client disconnects."""

    def __init__(self, request: Request, commands: tuple[Subscribe, ...]) -> None:
        self._request = request
        self._commands = commands
        self._broadcaster: Broadcaster = request.app.state.broadcaster
        self._sink = QueueSink(self._broadcaster.times.drain_s)
        super().__init__(self._events(), headers=SSE_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._subscriber = self._broadcaster.join(self._sink, account_of(scope))
        except TooManyClients as full:
            code, headers = "too_many_clients", {"Retry-After": "5"}
            refusal = problem(self._request, code, str(full), headers=headers)
            await refusal(scope, receive, send)
            return
        try:
            limit_kernel_buffer(scope, self._broadcaster.limits["stuck_seconds"])
            begin_endless_response(scope)
            if not await self._sink.drain(super().__call__(scope, receive, send)):
                abort(scope)
        finally:
            self._broadcaster.leave(self._subscriber)

    async def _events(self) -> AsyncGenerator[bytes]:
        yield b"retry: %d\n\n" % protocol.RECONNECT_AFTER_MS
        for command in self._commands:
            await self._broadcaster.execute(self._subscriber, command)
        async for frame in self._sink.frames():
            yield frame.sse
