"""`/ws` and `/api/stream`: the same stream by WebSocket and by Server-Sent Events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, WebSocket
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from api.edge.access_control import GatewayKeys
from api.edge.client_limits import account_of
from api.edge.problems import problem
from api.routes.common import BY_NAME, documented_errors
from api.routes.parameters import CheckedRoute, check
from api.server.ws_transport import (
    SERVER_SEND,
    abort,
    abort_later,
    begin_endless_response,
    limit_kernel_buffer,
    websocket_protocol,
)
from api.stream.commands import Refused, Subscribe, commands_in, key_in
from api.stream.conversation import Conversation
from api.stream.frames import CHANNELS, RECONNECT_AFTER_MS, error
from api.stream.outlets import Outlet, QueueOutlet, TransportSink
from api.stream.subscriber import Subscriber
from api.ws_data_broadcaster import TRY_LATER, Broadcaster, TooManyReaders
from backend.errors import InvalidParameter, UnknownParameter
from backend.models.ohlc import Interval

router = APIRouter(tags=["stream"])
events_router = APIRouter(tags=["stream"], route_class=CheckedRoute)

#: A client that has a key says so within this, in seconds.
AUTH_S = 5.0
NOT_AUTHORISED = 4401
#: What an address of `/ws` may ask for, as that of `/api/stream` does.
PARAMETERS = ("channels", "symbols", "interval")
LATER = {"Retry-After": "5"}
#: A goodbye that is not taken in this time is not taken at all.
GOODBYE_S = 2.0
SSE_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


@router.websocket("/ws")
async def read_websocket(websocket: WebSocket) -> None:
    """The protocol is described in docs/stream.md."""
    with suppress(WebSocketDisconnect):  # it left before it was let in
        await websocket.accept()
        broadcaster: Broadcaster = websocket.app.state.broadcaster
        limit_kernel_buffer(websocket.scope, broadcaster.limits["stuck_seconds"])
        if await _has_key(websocket):
            await _follow(websocket, broadcaster)
        else:
            await websocket.close(NOT_AUTHORISED, "send a key, by header or as the first message")
            abort_later(websocket.scope)


async def _follow(websocket: WebSocket, broadcaster: Broadcaster) -> None:
    async with _outlet(websocket) as outlet:
        try:
            subscriber = broadcaster.join(outlet, account_of(websocket.scope))
        except TooManyReaders as full:
            outlet.close(TRY_LATER, str(full))
            await _until_gone(websocket)
            return
        try:
            await _converse(websocket, broadcaster, subscriber)
        finally:
            broadcaster.leave(subscriber)
            abort_later(websocket.scope)  # it may have said goodbye and still not read what waits


async def _has_key(websocket: WebSocket) -> bool:
    """By header, or as the first message: browsers can't send headers with a WebSocket. Raises
    WebSocketDisconnect for one that left instead."""
    keys: GatewayKeys = websocket.app.state.keys
    if keys.admits(websocket.headers):
        return True
    with suppress(TimeoutError):
        async with asyncio.timeout(AUTH_S):
            message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        return keys.knows(key_in(message.get("text")))
    return False


async def _converse(websocket: WebSocket, broadcaster: Broadcaster, subscriber: Subscriber) -> None:
    conversation = Conversation(broadcaster, subscriber, websocket.app.state.gateway.clock)
    try:
        query = websocket.query_params
        check(query, PARAMETERS)
        asked = commands_in(query.get("channels"), query.get("symbols"), query.get("interval"))
        await conversation.begin(asked)
    except (Refused, InvalidParameter, UnknownParameter) as refusal:
        subscriber.tell(error(refusal.code, str(refusal)))
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        await conversation.hear(message.get("text"))


@asynccontextmanager
async def _outlet(websocket: WebSocket) -> AsyncIterator[Outlet]:
    """Straight to the wire where the server is known, else through a task of this connection."""
    is_direct = websocket.app.state.ws_direct
    protocol = websocket_protocol(websocket.scope) if is_direct else None
    if protocol:
        yield TransportSink(protocol)
        return
    outlet = QueueOutlet()
    writer = asyncio.create_task(_drain(websocket, outlet), name="stream writer")
    try:
        yield outlet
    finally:
        outlet.close(1000, "")
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)


async def _drain(websocket: WebSocket, outlet: QueueOutlet) -> None:
    """Until the outlet is closed; what is queued then has a little time left."""

    send: Send = websocket.scope.get(SERVER_SEND, websocket.send)

    async def send_all() -> None:
        async for told in outlet.frames():
            await send(told.message)
        await websocket.close(outlet.code, outlet.reason)

    try:
        if not await _done_soon_after(outlet, asyncio.create_task(send_all())):
            abort(websocket.scope)
    finally:
        outlet.close(1006, "")  # nobody takes from it any more


async def _until_gone(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _done_soon_after(
    outlet: QueueOutlet, sending: asyncio.Task[None], *gone: asyncio.Task[None]
) -> bool:
    """Waits for the sending to end; once the outlet is closed, or the reader `gone`, not long."""
    closed = asyncio.create_task(outlet.closed.wait())
    tasks = {sending, closed, *gone}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not any(task.done() for task in gone):
            await asyncio.wait(
                {sending, *gone}, timeout=GOODBYE_S, return_when=asyncio.FIRST_COMPLETED
            )
        return any(task.done() for task in (sending, *gone))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class EventStream(Response):
    """The stream as Server-Sent Events: joins when it is sent, leaves when the reader does."""

    def __init__(self, request: Request, commands: tuple[Subscribe, ...]) -> None:
        super().__init__()
        self._request = request
        self._commands = commands

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        broadcaster: Broadcaster = self._request.app.state.broadcaster
        outlet = QueueOutlet()
        try:
            subscriber = broadcaster.join(outlet, account_of(scope))
        except TooManyReaders as full:
            refusal = problem(self._request, "too_many_clients", str(full), headers=LATER)
            await refusal(scope, receive, send)
            return
        try:
            limit_kernel_buffer(scope, broadcaster.limits["stuck_seconds"])
            begin_endless_response(scope)
            sending = asyncio.create_task(_send_events(outlet, send))
            gone = asyncio.create_task(_until_disconnect(receive))
            for command in self._commands:
                await broadcaster.do(subscriber, command)
            if not await _done_soon_after(outlet, sending, gone):
                abort(scope)
        finally:
            broadcaster.leave(subscriber)


async def _send_events(outlet: QueueOutlet, send: Send) -> None:
    headers = [(name.lower().encode(), text.encode()) for name, text in SSE_HEADERS.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    body = b"retry: %d\n\n" % RECONNECT_AFTER_MS
    await send({"type": "http.response.body", "body": body, "more_body": True})
    async for told in outlet.frames():
        await send({"type": "http.response.body", "body": told.sse, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@router.get("/ws", include_in_schema=False)
async def read_without_upgrade(request: Request) -> Response:
    """A browser's address line, or a proxy that does not pass the upgrade on."""
    told = "this path speaks WebSocket; /api/stream sends the same by plain HTTP"
    return problem(request, "upgrade_required", told, headers={"Upgrade": "websocket"})


@events_router.get(
    "/api/stream",
    summary="The stream, as Server-Sent Events",
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **documented_errors(*BY_NAME, "too_many_clients"),
    },
    response_class=Response,
)
async def read_stream(
    request: Request,
    channels: Annotated[
        str,
        Query(
            max_length=200,
            description=f"comma list of {', '.join(CHANNELS)}",
            examples=["market,gas"],
        ),
    ] = "market",
    symbols: Annotated[
        str | None,
        Query(
            max_length=5_000,
            description="comma list, for market, ohlc and news; none is all",
            examples=["BTC,ETH"],
        ),
    ] = None,
    interval: Annotated[
        Interval | None, Query(description="of ohlc's candles", examples=["1h"])
    ] = None,
) -> Response:
    """Each event has its channel's name, `seq` as its id, and a WebSocket message as its data.

    A reader that comes back with `Last-Event-ID` gets a snapshot, as every new one does.
    """
    broadcaster: Broadcaster = request.app.state.broadcaster
    try:
        commands = commands_in(channels, symbols, interval)
        await broadcaster.foresee(commands, account_of(request.scope))
    except Refused as refusal:
        raise InvalidParameter("channels", str(refusal)) from None
    if request.scope.get("is_head"):
        return Response(headers=SSE_HEADERS)
    return EventStream(request, commands)
