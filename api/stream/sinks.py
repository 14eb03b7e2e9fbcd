"""Sinks: where the frames of one client are written, with the number of bytes not yet taken."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from api.server.ws_transport import DirectTransport
from api.stream.protocol import Frame, StreamTimes


class TransportSink(DirectTransport):
    """Writes the same bytes for every client, in one of two forms."""

    __slots__ = ()

    def write(self, frame: Frame) -> None:
        """Does nothing once the connection is closing."""
        if self.is_open:
            self._write(frame.compressed_wire if self.takes_compressed else frame.wire)


class QueueSink:
    """A queue that a task of the connection empties: for SSE, and for any ASGI server."""

    #: Whether `buffered` has to be asked before each write.
    may_be_full = True

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
