"""Opens the sink of a WebSocket: its transport where the server is uvicorn, else a queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Send
from starlette.websockets import WebSocket

from api.server.bounded_websocket import MessageReceiver
from api.server.ws_transport import (
    SERVER_SEND,
    abort,
    abort_later,
    take_over,
    websocket_protocol,
)
from api.stream.sinks import QueueSink, Sink, TransportSink


@asynccontextmanager
async def open_sink(websocket: WebSocket, drain_s: float) -> AsyncIterator[Sink]:
    """`drain_s` is the time in seconds in which a queue must be written out once it is closed."""
    is_direct = websocket.app.state.ws_direct
    if is_direct and (server := websocket_protocol(websocket.scope)):
        yield TransportSink(server)
        return
    sink = QueueSink(drain_s)
    writer = asyncio.create_task(_drain(websocket, sink), name="stream queue")
    try:
        yield sink
    finally:
        sink.close(1000, "")
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)


@asynccontextmanager
async def receiving(
    websocket: WebSocket, sink: Sink, receiver: MessageReceiver
) -> AsyncIterator[None]:
    """What follows this block are the messages of the client, which `receiver` gets. Where they
    come by ASGI, the block ends with the connection."""
    has_begun = False
    try:
        yield
        if isinstance(sink, TransportSink) and take_over(websocket.scope, receiver):
            has_begun = True
            return
        while (message := await websocket.receive())["type"] == "websocket.receive":
            await receiver.receive(message.get("text"))
    finally:
        if not has_begun:
            receiver.connection_lost()
            # A client that sent its close frame may still not read what is buffered.
            abort_later(websocket.scope)


async def _drain(websocket: WebSocket, sink: QueueSink) -> None:
    send: Send = websocket.scope.get(SERVER_SEND, websocket.send)

    async def write() -> None:
        async for frame in sink.frames():
            await send(frame.message)
        await websocket.close(sink.code, sink.reason)

    if not await sink.drain(write()):
        abort(websocket.scope)
