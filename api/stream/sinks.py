"""Sinks: where the frames of one client are written, with the number of bytes not yet taken."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from api.server.bounded_websocket import BoundedWebSocket
from api.server.hooks import hooks_of
from api.server.message_compression import takes_compressed
from api.stream.protocol import Frame, StreamTimes


class TransportSink:
    """Writes the same bytes for every client straight to the transport of uvicorn's protocol.

    ASGI can only `await send`: this costs a task switch for each client, does not tell how many
    bytes wait to be sent, and cannot close a connection whose client has stopped reading.
    """

    __slots__ = ("_is_compressed", "_is_transport_closing", "_protocol", "_write", "buffered")

    def __init__(self, protocol: WebSocketsSansIOProtocol) -> None:
        self._protocol = protocol
        self._is_compressed = takes_compressed(protocol.conn)
        transport = protocol.transport
        self._write, self._is_transport_closing = transport.write, transport.is_closing
        #: Gives the number of bytes that the kernel has not taken yet.
        self.buffered: Callable[[], int] = transport.get_write_buffer_size

    def __repr__(self) -> str:
        return f"<TransportSink {self.buffered()} bytes buffered>"

    @property
    def is_closing(self) -> bool:
        return self._protocol.close_sent or self._is_transport_closing()

    def write(self, frame: Frame) -> None:
        """Does nothing once the connection is closing."""
        if not (self._protocol.close_sent or self._is_transport_closing()):
            self._write(frame.compressed_wire if self._is_compressed else frame.wire)

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
            if isinstance(protocol, BoundedWebSocket):
                protocol.resume_parsing()
            else:
                protocol.transport.resume_reading()
        if protocol.close_timer is None:
            # uvicorn ends the connection when the peer's close frame comes, or by this timer.
            close_s = hooks_of(protocol.config.app).timeouts.close_s
            protocol.close_timer = protocol.loop.call_later(close_s, protocol.transport.abort)

    def abort(self) -> None:
        self._protocol.transport.abort()


class QueueSink:
    """A queue that a task of the connection empties: for SSE, and for any ASGI server."""

    def __init__(self, drain_s: float = StreamTimes.drain_s) -> None:
        self._drain_s = drain_s
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._closed = asyncio.Event()
        self.code, self.reason = 1000, ""

    def __repr__(self) -> str:
        return f"<QueueSink {len(self._frames)} frames, {self._bytes} bytes>"

    def buffered(self) -> int:
        """Bytes that were not sent yet (back-pressure)."""
        return self._bytes

    @property
    def is_closing(self) -> bool:
        return self._closed.is_set()

    def write(self, frame: Frame) -> None:
        if not self._closed.is_set():
            self._frames.append(frame)
            self._bytes += len(frame.text)
            self._changed.set()

    def close(self, code: int, reason: str) -> None:
        if not self._closed.is_set():
            self.code, self.reason = code, reason
            self._closed.set()
            self._changed.set()

    def abort(self) -> None:
        """Drops the queued frames; `drain` ends the connection."""
        self._frames.clear()
        self.close(1006, "")

    async def frames(self) -> AsyncGenerator[Frame]:
        """Frames until the sink is closed; each counts as buffered until the next is asked for."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                yield frame
                self._bytes -= len(frame.text)
            if self._closed.is_set():
                return
            self._changed.clear()
            await self._changed.wait()

    async def drain(self, writing: Coroutine[Any, Any, None]) -> bool:
        """Runs `writing`, which sends `frames()`. Once the sink is closed, it has `drain_s`
        seconds left. False if it was cancelled then: the client does not read."""
        writer = asyncio.create_task(writing, name="stream writer")
        closed = asyncio.create_task(self._closed.wait(), name="stream sink closed")
        try:
            await asyncio.wait({writer, closed}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({writer}, timeout=self._drain_s)
            return writer.done()
        finally:
            self.close(1006, "")  # nothing is written any more
            writer.cancel()
            closed.cancel()
            await asyncio.gather(writer, closed, return_exceptions=True)


Sink = TransportSink | QueueSink
