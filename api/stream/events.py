"""The stream by Server-Sent Events."""

from collections.abc import AsyncGenerator

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.edge.client_limits import account_of
from api.edge.problems import problem
from api.server.ws_transport import abort, begin_endless_response, limit_kernel_buffer
from api.stream.broadcaster import Broadcaster, TooManyClients
from api.stream.commands import Subscribe
from api.stream.frames import RECONNECT_AFTER_MS
from api.stream.sinks import QueueSink

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class EventStream(StreamingResponse):
    """The response of `/api/stream`. Its client joins the broadcaster when the response begins, and
    leaves it when the client disconnects."""

    def __init__(self, request: Request, commands: tuple[Subscribe, ...]) -> None:
        self._request = request
        self._commands = commands
        self._broadcaster: Broadcaster = request.app.state.broadcaster
        self._sink = QueueSink(self._broadcaster.times.drain_s)
        super().__init__(self._events(), headers=HEADERS)

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
        yield b"retry: %d\n\n" % RECONNECT_AFTER_MS
        for command in self._commands:
            await self._broadcaster.execute(self._subscriber, command)
        async for frame in self._sink.frames():
            yield frame.sse
