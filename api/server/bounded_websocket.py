"""uvicorn's WebSocket protocol with limits: of a client's frames a second, counted before they are
processed, of the time that a message takes, and of the pongs that wait for a client to read.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

import uvicorn
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode
from websockets.protocol import Protocol as WebSocketParser
from websockets.protocol import Side, State
from websockets.streams import StreamReader

from api.server.hooks import hooks_of
from api.server.message_compression import offer_compression
from api.server.send_buffer import reset

#: Bytes that are parsed at a time: at most 170 frames, which are then counted.
SLICE_BYTES = 1_024
#: Frames of any kind at once, and a second in the long run. A client may send 20 messages a
#: second, and answers our pings.
BURST_FRAMES, FRAMES_PER_S = 500, 50
#: While more bytes than this are unread, pings are not answered.
MAX_UNREAD = 64 * 1024
#: Bytes that are ignored after our close frame; a client that sends more is disconnected.
MAX_IGNORED = 1024 * 1024
BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 27\r\n\r\nInvalid WebSocket handshake"
)


class TokenBucket:
    """Holds `burst` tokens, and gains `per_s` a second."""

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, burst: int, per_s: float, now: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._left, self._at = float(burst), now

    def __repr__(self) -> str:
        return f"<TokenBucket {self._left:.0f} of {self._burst}>"

    def take(self, count: int, now: float) -> bool:
        """Takes tokens. False when there were too few."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s) - count
        self._at = now
        return self._left >= 0


class MessageReceiver(Protocol):
    """What gets the messages of a connection that it has taken over, one after the other."""

    async def receive(self, text: str | None) -> None:
        """A message; None for one of bytes. The next one is read when this returns."""

    def connection_lost(self) -> None:
        """There will be no more messages. Called once."""


class DirectWriter(Protocol):
    """What writes frames to the transport as long as it `is_open`, and looks at how much waits
    while it `may_be_full`."""

    is_open: bool
    may_be_full: bool


class _Ignored:
    """Replaces what only an ASGI application uses, and does nothing: its queue of events, and the
    event that it may send."""

    def put_nowait(self, _event: object) -> None: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...


class _Dispatch:
    """Replaces the application's queue: passes each event on at once."""

    __slots__ = ("put_nowait",)

    def __init__(self, pass_on: Callable[[Any], None]) -> None:
        self.put_nowait = pass_on


IGNORED: Any = _Ignored()


def is_in_message(parser: WebSocketParser) -> bool:
    """Whether a frame or a message of several frames is incomplete.

    The parser takes a frame's head from its buffer before the rest has come, so that an empty
    buffer does not tell: but it waits in `at_eof` only before the first byte of a frame.
    """
    if parser.current_size is not None:
        return True
    waiting: Any = parser.parser
    while waiting.gi_yieldfrom is not None:
        waiting = waiting.gi_yieldfrom
    return bool(waiting.gi_code is not StreamReader.at_eof.__code__)


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Parses a slice at a time, and nothing while the application has a message to process."""

    #: Bytes that were read; those from `_at` on are not parsed yet.
    _data = b""
    _at = 0
    #: Bytes that came after our close frame; None before it.
    _ignored_bytes: int | None = None
    #: Runs while a message is incomplete.
    _message_timer: asyncio.TimerHandle | None = None
    _address: str | None = None
    _is_close_sent = False
    #: What writes frames straight to the transport.
    direct: "DirectWriter | None" = None
    #: Gets the messages in place of the ASGI application.
    _receiver: MessageReceiver | None = None
    _is_taken_over = _is_processing = False
    #: Messages of one slice that wait for the one before them.
    _unprocessed: list[str | None]

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        # At the level DEBUG the library would log headers and messages, and the keys in them.
        self.conn.debug = False
        hooks = hooks_of(config.app)
        self._clock, self._timeouts = hooks.clock, hooks.timeouts
        self._connections, self._count_refusal = hooks.connections, hooks.count_refusal
        self._compressed_paths = hooks.compressed_paths
        self._frame_budget = TokenBucket(BURST_FRAMES, FRAMES_PER_S, self._clock.monotonic())

    # The connection

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self._connections.admit(self.client)
        if self._address is None:
            reset(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_message_timer()
        if self._address is not None:
            self._connections.release(self._address)
            self._address = None
        super().connection_lost(exc)
        self._stop_direct_writes()
        self.direct = None  # each refers to the other

    @property
    def close_sent(self) -> bool:
        """As uvicorn's attribute, but who writes around this protocol learns of it, too."""
        return self._is_close_sent

    @close_sent.setter
    def close_sent(self, is_sent: bool) -> None:
        self._is_close_sent = is_sent
        if is_sent:
            self._stop_direct_writes()

    def _stop_direct_writes(self) -> None:
        if self.direct is not None:
            self.direct.is_open = False

    def eof_received(self) -> None:
        self._stop_direct_writes()  # the transport closes itself

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.direct is not None:
            self.direct.may_be_full = True

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.direct is not None:
            self.direct.may_be_full = False

    def handle_close(self, event: Any) -> None:
        self._stop_direct_writes()
        super().handle_close(event)

    def shutdown(self) -> None:
        """As uvicorn's, which fails where the client has closed and does not read."""
        self._stop_direct_writes()
        if not self.transport.is_closing():
            super().shutdown()

    # Without the ASGI application

    def take_over(self, receiver: MessageReceiver) -> None:
        """From now on `receiver` gets the messages, and the application may return: its task, and
        all that it keeps alive, use more memory than the connection."""
        waiting, self.queue = self.queue, cast("Any", _Dispatch(self._dispatch))
        self._receiver, self._is_taken_over, self.writable = receiver, True, IGNORED
        self._unprocessed = []
        self.scope = self.request = self.response = None  # type: ignore[assignment] # the handshake's
        self._forget_request()
        while not waiting.empty():
            self.queue.put_nowait(waiting.get_nowait())

    def _forget_request(self) -> None:
        """The library's parser keeps the request: another one goes on at the end of a message."""
        old = self.conn
        if is_in_message(old) or old.state is not State.OPEN:
            return
        limits = old.max_message_size, old.max_fragment_size
        self.conn = conn = WebSocketParser(Side.SERVER, max_size=limits, logger=old.logger)  # type: ignore[assignment] # its base class
        conn.debug, conn.extensions = False, old.extensions

    def _dispatch(self, event: Any) -> None:
        if event["type"] != "websocket.receive":  # the connection ends
            self.queue = IGNORED
            if not self._is_processing:
                self.loop.call_soon(self._end_receiver)
            return
        self._unprocessed.append(event.get("text"))
        if not self._is_processing:
            self._is_processing = True
            task = self.loop.create_task(self._process(self._receiver))
            task.add_done_callback(self.on_task_complete)
            self.tasks.add(task)

    async def _process(self, receiver: Any) -> None:
        try:
            while self._unprocessed:
                await receiver.receive(self._unprocessed.pop(0))
        except Exception:
            self.logger.exception("Exception in ASGI application\n")
            self.transport.abort()
        finally:
            self._is_processing = False
            if self.queue is IGNORED:
                self._end_receiver()
            elif not self.transport.is_closing():
                self.resume_parsing()

    def _end_receiver(self) -> None:
        assert self._receiver is not None
        self._receiver.connection_lost()
        self._receiver = None
        # A client that sent its close frame may still not read what is buffered.
        self.loop.call_later(self._timeouts.close_s, self.transport.abort)

    async def run_asgi(self) -> None:
        """As uvicorn's, but a connection that was taken over stays open."""
        try:
            await self.app(self.scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:
            self.logger.exception("Exception in ASGI application\n")
            self.send_500_response()
        else:
            if not self.handshake_complete:
                self.logger.error("ASGI callable returned without completing handshake.")
                self.send_500_response()
        if self.close_timer is None and not self._is_taken_over:
            self.transport.close()

    # Received bytes

    def data_received(self, data: bytes) -> None:
        if self._ignored_bytes is not None:
            self._ignored_bytes += len(data)
            if self._ignored_bytes > MAX_IGNORED:
                reset(self.transport)
            return
        self._data, self._at = self._data[self._at :] + data, 0
        self._parse_received()

    def _parse_received(self) -> None:
        """Parses what was read, until there is a message for the application."""
        while (
            self._at < len(self._data)
            and self._ignored_bytes is None
            and not (self.transport.is_closing() or self.read_paused or self._awaits_accept())
        ):
            piece = self._data[self._at : self._at + SLICE_BYTES]
            self._at += len(piece)
            self._parse(piece)
        if self._at >= len(self._data):
            self._data, self._at = b"", 0
        elif self._awaits_accept():
            self.transport.pause_reading()

    def _awaits_accept(self) -> bool:
        return self.handshake_initiated and not self.handshake_complete

    def _parse(self, piece: bytes) -> None:
        self.conn.receive_data(piece)
        count = len(self.conn.events)
        if not self._frame_budget.take(count, self._clock.monotonic()):
            self.conn.events_received()
            self.conn.data_to_send()  # drops the pongs
            reason = f"too many frames: at most {FRAMES_PER_S} a second"
            self.close(CloseCode.POLICY_VIOLATION, reason)
        elif self.conn.parser_exc is not None:
            self.handle_parser_exception()
        elif self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse()
        else:
            self.handle_events()
            self._time_message(has_frames=bool(count))

    def handle_connect(self, event: Any) -> None:
        if event.path.partition("?")[0] in self._compressed_paths:
            offer_compression(self.conn)
        super().handle_connect(event)
        if self.response.status_code != 101:
            self._count_refusal(self.response.status_code, self.client)

    def _refuse(self) -> None:
        """The library rejected the request while it parsed it, maybe without an answer."""
        output = b"".join(self.conn.data_to_send()) or BAD_REQUEST
        self._count_refusal(int(output.split(b" ", 2)[1]), self.client)
        self.handshake_complete = self.close_sent = True
        self.transport.write(output)
        self.transport.close()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.close_sent:  # a response in place of the handshake: uvicorn would log an error
            self.handshake_complete = True

    def start_keepalive(self) -> None:
        """Called when the handshake is complete: frames that came early are parsed now."""
        super().start_keepalive()
        self.resume_parsing()

    def handle_ping(self) -> None:
        is_closed = self._ignored_bytes is not None  # by a message before it, in the same slice
        if not is_closed and self.transport.get_write_buffer_size() < MAX_UNREAD:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def send_receive_event_to_app(self) -> None:
        self._stop_message_timer()
        with suppress(InvalidState):  # invalid UTF-8, but the client's close frame is behind it
            super().send_receive_event_to_app()

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.resume_parsing()
        return message

    def resume_parsing(self) -> None:
        """Goes on with what was read already, and then with the socket."""
        self.read_paused = False
        self._parse_received()
        if not self.read_paused:
            self.transport.resume_reading()

    # Incomplete messages

    def _time_message(self, *, has_frames: bool) -> None:
        if has_frames and self.conn.current_size is None:
            self._stop_message_timer()
        if self._message_timer is None and self.handshake_complete and is_in_message(self.conn):
            self._start_message_timer()

    def _start_message_timer(self) -> None:
        self._message_timer = self.loop.call_later(self._timeouts.message_s, self._end_message)

    def _stop_message_timer(self) -> None:
        if self._message_timer is not None:
            self._message_timer.cancel()
            self._message_timer = None

    def _end_message(self) -> None:
        if self.read_paused:  # our application causes the delay
            self._start_message_timer()
        elif self._ignored_bytes is None:
            reason = f"a message must be complete within {self._timeouts.message_s:g} s"
            self.close(CloseCode.POLICY_VIOLATION, reason)

    # Closing

    def handle_parser_exception(self) -> None:
        """The library has queued a close frame that says what was wrong."""
        assert self.conn.close_sent is not None
        self.close(self.conn.close_sent.code, self.conn.close_sent.reason)

    def close(self, code: int, reason: str) -> None:
        """Sends a close frame, ignores what comes after it, and resets the connection after
        `close_s` seconds if the client does not close it."""
        if self.conn.state is State.OPEN:
            self.conn.send_close(code, reason)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.stop_keepalive()
        self.close_sent = self.disconnected = True
        self._data, self._at, self._ignored_bytes = b"", 0, 0
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(self._timeouts.close_s, reset, self.transport)
        if not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.write_eof()
            self.transport.resume_reading()
