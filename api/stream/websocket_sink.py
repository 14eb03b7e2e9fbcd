"""Opens the sink of a WebSocket: its transport where the server is uvicorn, else a queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Send
from starlette.websockets import WebSocket

from api.server.ws_transport import SERVER_SEND, abort, websocket_protocol
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


async def _drain(websocket: WebSocket, sink: QueueSink) -> None:
    send: Send = websocket.scope.get(SERVER_SEND, websocket.send)

    async def write() -> None:
        async for frame in sink.frames():
            await send(frame.message)
        await websocket.close(sink.code, sink.reason)

    if not await sink.drain(write()):
        abort(websocket.scope)
