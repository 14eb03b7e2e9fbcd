"""uvicorn's HTTP protocol with what it lacks: a bound on what is sent before an answer is due."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Between the heads of two requests no more than this is taken, in bytes: a head, or a body.
MOST_BYTES = 256 * 1024
#: A request's head has come by then, in seconds.
HEAD_S = 10.0


class BoundedHttp(HttpToolsProtocol):
    """Closes on a head without end, a body beyond all bounds, and a head that dribbles in."""

    _taken = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > MOST_BYTES:
            self._give_up()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(HEAD_S, self._give_up)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._taken = 0
        super().on_headers_complete()

    def _stop_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._stop_timer()
        if self.transport is not None:
            self.transport.abort()
