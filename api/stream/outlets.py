"""Where a reader's frames go. What is waiting to be read is bounded, whoever the reader is."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Protocol

from api.stream.frames import Frame
from api.stream.wire import Wire

#: More than this waiting, and the reader lags: it gets nothing until it has read. The snapshots
#: that a reader of everything begins with are about as much.
MOST_BUFFERED = 256 * 1024


class Outlet(Protocol):
    @property
    def is_free(self) -> bool:
        """False while the reader lags."""

    def write(self, frame: Frame) -> None:
        """Takes the frame, always; whoever has a choice asks `is_free` first."""

    def close(self, code: int, reason: str) -> None:
        """Says goodbye and ends the connection, whether it is read or not."""


class WireOutlet:
    """Straight to the transport: the same bytes for every reader, no task in between."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def is_free(self) -> bool:
        return self._wire.buffered <= MOST_BUFFERED

    def write(self, frame: Frame) -> None:
        self._wire.write(frame.wire)

    def close(self, code: int, reason: str) -> None:
        self._wire.close(code, reason)


class QueueOutlet:
    """A short queue that the connection's own task empties: for SSE, and for any ASGI server."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self.closed = asyncio.Event()
        self.code, self.reason = 1000, ""

    def __repr__(self) -> str:
        return f"<QueueOutlet {len(self._frames)} frames, {self._bytes} bytes>"

    @property
    def is_free(self) -> bool:
        return self._bytes <= MOST_BUFFERED or self.closed.is_set()

    def write(self, frame: Frame) -> None:
        if not self.closed.is_set():
            self._frames.append(frame)
            self._bytes += len(frame.text)
            self._changed.set()

    def close(self, code: int, reason: str) -> None:
        if not self.closed.is_set():
            self.code, self.reason = code, reason
            self.closed.set()
            self._changed.set()

    async def frames(self) -> AsyncGenerator[Frame]:
        """Frames as they come, until closed; each counts as waiting until the next is asked for."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                yield frame
                self._bytes -= len(frame.text)
            if self.closed.is_set():
                return
            self._changed.clear()
            await self._changed.wait()
