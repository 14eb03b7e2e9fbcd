"""Where a reader's frames go. What is waiting to be read is bounded, whoever the reader is."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Protocol

from api.server.ws_transport import WebSocketTransport
from api.stream.frames import Frame

#: More than this waiting, and the reader lags: it gets nothing until it has read. The snapshots
#: that a reader of everything begins with are about as much.
MOST_BUFFERED = 256 * 1024


#: However it comes about (a reader may ask and ask, and never read), no more than this.
MOST_WAITING = 1024 * 1024


class Outlet(Protocol):
    """A TransportSink or a QueueOutlet."""

    @property
    def waiting(self) -> int:
        """Bytes that the reader has not taken, as far as we know."""

    @property
    def is_closing(self) -> bool:
        """Nothing goes out any more."""

    def write(self, frame: Frame) -> None:
        """Takes the frame; whoever has a choice asks first how much is waiting."""

    def close(self, code: int, reason: str) -> None:
        """Says goodbye and soon ends the connection, whether it is read or not."""

    def abort(self) -> None:
        """Ends the connection now."""


class TransportSink(WebSocketTransport):
    """Writes to uvicorn's transport: the same bytes for every reader, with no task in between."""

    @property
    def waiting(self) -> int:
        return self.buffered_bytes

    def write(self, frame: Frame) -> None:
        self.write_bytes(frame.wire)


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
    def waiting(self) -> int:
        return self._bytes

    @property
    def is_closing(self) -> bool:
        return self.closed.is_set()

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

    def abort(self) -> None:
        """Its task sees that it is closed, and ends the connection."""
        self._frames.clear()
        self.close(1006, "")

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
