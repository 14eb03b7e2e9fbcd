"""uvicorn's WebSocket protocol with what it lacks: bounds on what a client sends, counted before
anything is made of it, and an end for whoever goes on; and an answer to each refused handshake.
"""

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.protocol import State

from api.connections import Connections
from api.refusals import refusals_of
from api.sockets import reset

#: The library parses so many bytes, at most 170 frames, before it is looked how many they were.
SLICE_BYTES = 1_024
#: Frames of any kind: so many at once, and so many a second for ever. A client says at most 20
#: messages a second, and answers our pings.
BURST_FRAMES, FRAMES_PER_S = 500, 50
#: A message is whole within this, in seconds, however many fragments it comes in.
MESSAGE_S = 10.0
#: While more than this waits to be read, pings are not answered: they are the reader's own.
MOST_UNREAD = 64 * 1024
#: After our last word so long, and so many bytes, is waited for the client to close.
CLOSE_S, MOST_IGNORED = 3.0, 1024 * 1024
BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 27\r\n\r\nThis is no WebSocket start\n"
)


class Allowance:
    """A bucket of tokens: so many at once, and so many more each second."""

    def __init__(self, burst: int, per_s: float, now: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._left, self._at = float(burst), now

    def __repr__(self) -> str:
        return f"<Allowance {self._left:.0f} of {self._burst}>"

    def take(self, count: int, now: float) -> bool:
        """Whether there were so many."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s) - count
        self._at = now
        return self._left >= 0


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Parses a little at a time, and nothing while the application has a message to hear."""

    #: Bytes that were read and not parsed yet, from `_at` on.
    _data = b""
    _at = 0
    #: Bytes since our last word; None before it.
    _ignored: int | None = None
    #: Since when a message is incomplete, and what looks after that.
    _open_since: float | None = None
    _open_timer: asyncio.TimerHandle | None = None
    _address: str | None = None

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self._known: Connections | None = getattr(config.app, "connections", None)
        self._refusals = refusals_of(config.app)
        self._frames_left = Allowance(BURST_FRAMES, FRAMES_PER_S, self.loop.time())

    # The connection

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self._known is not None:
            self._address = self._known.admit(self.client)
            if self._address is None:
                reset(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._open_timer is not None:
            self._open_timer.cancel()
        if self._known is not None and self._address is not None:
            self._known.release(self._address)
            self._address = None
        super().connection_lost(exc)

    # What comes in

    def data_received(self, data: bytes) -> None:
        if self._ignored is not None:
            self._ignored += len(data)
            if self._ignored > MOST_IGNORED:
                reset(self.transport)
            return
        self._data, self._at = self._data[self._at :] + data, 0
        self.read_on()

    def read_on(self) -> None:
        """Parses what is there, until there is a message to hear."""
        while self._may_parse():
            piece = self._data[self._at : self._at + SLICE_BYTES]
            self._at += len(piece)
            self._parse(piece)
        if self._at >= len(self._data):
            self._data, self._at = b"", 0
        elif self._is_asked():
            self.transport.pause_reading()

    def _may_parse(self) -> bool:
        is_over = self._ignored is not None or self.transport.is_closing()
        has_more = self._at < len(self._data)
        return has_more and not (is_over or self.read_paused or self._is_asked())

    def _is_asked(self) -> bool:
        """The application has not said yet whether it accepts the handshake."""
        return self.handshake_initiated and not self.handshake_complete

    def _parse(self, piece: bytes) -> None:
        self.conn.receive_data(piece)
        count = len(self.conn.events)
        if not self._frames_left.take(count, self.loop.time()):
            self.conn.events_received()
            self.conn.data_to_send()  # pongs that nobody waits for
            self.leave(CloseCode.POLICY_VIOLATION, f"more than {FRAMES_PER_S} frames a second")
        elif self.conn.parser_exc is not None:
            self.handle_parser_exception()
        elif self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse()
        else:
            self.handle_events()
            self._watch_message(has_frames=bool(count))

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.response.status_code != 101:
            self._refusals.count(self.response.status_code)

    def _refuse(self) -> None:
        """The library did not read it as a request, or read too much of it."""
        output = b"".join(self.conn.data_to_send()) or BAD_REQUEST
        self._refusals.count(int(output.split(b" ", 2)[1]))
        self.handshake_complete = self.close_sent = True
        self.transport.write(output)
        self.transport.close()

    def start_keepalive(self) -> None:
        """The handshake is over: what came behind it may be parsed."""
        super().start_keepalive()
        self.hear_on()

    def handle_ping(self) -> None:
        if self.transport.get_write_buffer_size() < MOST_UNREAD:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def send_receive_event_to_app(self) -> None:
        self._open_since = None
        super().send_receive_event_to_app()

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.hear_on()
        return message

    def hear_on(self) -> None:
        """The application wants more: what is there already, and then what comes."""
        self.read_paused = False
        self.read_on()
        if not self.read_paused:
            self.transport.resume_reading()

    # Messages without end

    def _watch_message(self, *, has_frames: bool) -> None:
        is_in_fragments = self.conn.current_size is not None
        if has_frames and not is_in_fragments:
            self._open_since = None
        is_open = is_in_fragments or bool(self.conn.reader.buffer)
        if is_open and self._open_since is None and self.handshake_complete:
            self._open_since = self.loop.time()
            if self._open_timer is None:
                self._open_timer = self.loop.call_later(MESSAGE_S, self._look)

    def _look(self) -> None:
        """One timer for the connection, armed while there is an incomplete message."""
        self._open_timer = None
        if self._open_since is None or self._ignored is not None:
            return
        if self.read_paused:  # it is we who do not read
            self._open_since = self.loop.time()
        late_s = self._open_since + MESSAGE_S - self.loop.time()
        if late_s > 0:
            self._open_timer = self.loop.call_later(late_s, self._look)
        else:
            self.leave(CloseCode.POLICY_VIOLATION, f"a message is whole within {MESSAGE_S:g} s")

    # The end

    def handle_parser_exception(self) -> None:
        """What was wrong is in our goodbye, which the library has written already."""
        assert self.conn.close_sent is not None
        self.leave(self.conn.close_sent.code, self.conn.close_sent.reason)

    def leave(self, code: int, reason: str) -> None:
        """Says goodbye and hears nothing more; the client has a moment to take that and close."""
        if self.conn.state is State.OPEN:
            self.conn.send_close(code, reason)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.stop_keepalive()
        self.close_sent = self.disconnected = True
        self._data, self._at, self._ignored = b"", 0, 0
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(CLOSE_S, reset, self.transport)
        if not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.write_eof()
            self.transport.resume_reading()
