"""uvicorn's HTTP protocol with what it lacks: a bound on what is sent before an answer is due."""

import asyncio
from collections.abc import Sized
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Between the heads of two requests no more than this is taken, in bytes: a head, or a body.
MOST_BYTES = 256 * 1024
#: A request's head has come by then, in seconds.
HEAD_S = 10.0
#: Requests that wait for the answers of those before them.
MOST_PIPELINED = 1_000


class OneByOne(FlowControl):
    """Reads on when nothing waits any more: uvicorn's own does after each answer, and whenever an
    application looks for a body, however many requests are waiting."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class BoundedHttp(HttpToolsProtocol):
    """Closes on a head without end, a body beyond all bounds, a head that dribbles in, and on more
    requests at once than anybody sends in earnest."""

    _taken = 0
    #: Since when the rest of a request is awaited; None while there is none to come.
    _head_since: float | None = None
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = OneByOne(transport, self.pipeline)
        self._head_since = self.loop.time()
        self._head_timer = self.loop.call_later(HEAD_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_timers()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """The connection is another protocol's from here on; this one hears nothing of its end."""
        self._end_timers()
        super().handle_websocket_upgrade()

    def _end_timers(self) -> None:
        """Each of them would keep all of this: ours for ever, uvicorn's for a while."""
        if self._head_timer:
            self._head_timer.cancel()
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > MOST_BYTES:
            self._give_up()
            return
        if self._head_since is None:  # a head begins, or a body, which nobody waits for either
            self._head_since = self.loop.time()
        HttpToolsProtocol.data_received(self, data)  # super() looks it up anew on each request

    def end_head(self) -> None:
        """A head is complete: an answer is due, and then another head may come."""
        self._head_since = None
        self._taken = 0

    def on_headers_complete(self) -> None:
        self.end_head()
        HttpToolsProtocol.on_headers_complete(self)
        if self.pipeline and len(self.pipeline) > MOST_PIPELINED:
            self._give_up()

    def _look(self) -> None:
        """One timer for the connection, not for each request: it looks whether a head is late."""
        now = self.loop.time()
        due = (now if self._head_since is None else self._head_since) + HEAD_S
        if due <= now:
            self._give_up()
        else:
            self._head_timer = self.loop.call_later(due - now, self._look)

    def _give_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()
