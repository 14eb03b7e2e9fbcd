"""uvicorn's HTTP protocol with what it lacks: bounds on what a client sends before an answer is
due, on what it leaves unread of its answers, and on how many connections one address has open.
"""

import asyncio
from collections.abc import Sized
from typing import Any, cast
from weakref import ref

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.connections import Connections
from api.heads import Refusal
from api.sockets import bound_sending, reset
from api.sound_http import SoundHttp
from api.unread import STUCK_S, Unread

#: Between the heads of two requests no more than this is taken, in bytes: a head, or a body.
MOST_BYTES = 256 * 1024
#: A request's head has come by then, in seconds.
HEAD_S = 10.0
#: Requests that wait for the answers of those before them.
MOST_PIPELINED = 1_000
#: What the kernel may hold of answers that are not read: enough for most answers as a whole.
KERNEL_BYTES = 96 * 1024
#: How often it is looked whether answers are read, in seconds.
LOOK_S = 1.0
#: The answer that is under way would be written into another protocol's frames.
EARLY = Refusal("bad_request", "a handshake is not sent before the last request was answered")


def _nothing() -> None:
    """What is done once an answer is complete and the connection ends."""


class OneByOne(FlowControl):
    """Reads on when nothing waits any more, neither requests nor answers: uvicorn's own does after
    each answer, and whenever an application looks for a body, however many are waiting."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline and not self.write_paused:
            super().resume_reading()


class PatientTransport:
    """What a request's answer is written to. To close is to wait until the answer was taken: else
    the kernel alone would hold it, for a reader of whom nobody knows any more."""

    def __init__(self, transport: asyncio.Transport, protocol: "BoundedHttp") -> None:
        self._protocol = ref(protocol)  # which has this: a circle would outlive the connection
        self.write, self.abort = transport.write, transport.abort
        self.is_closing = transport.is_closing
        self.get_protocol, self.get_extra_info = transport.get_protocol, transport.get_extra_info

    def close(self) -> None:
        if protocol := self._protocol():
            protocol.end()


class BoundedHttp(SoundHttp):
    """Closes on a head without end, a body beyond all bounds, a head that dribbles in, on more
    requests at once than anybody sends in earnest, and on a reader that does not read."""

    _taken = 0
    #: Since when the rest of a request is awaited; None while there is none to come.
    _head_since: float | None = None
    _timer: asyncio.TimerHandle | None = None
    _unread: Unread
    _patient: Any = None
    #: What this connection is counted by, as long as it is.
    _address: str | None = None
    #: The request that is being answered, or was last.
    _running: RequestResponseCycle | None = None
    #: The answer under way has no end: the stream has bounds of its own.
    _is_stream = False
    _is_ending = False

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self._known: Connections | None = getattr(config.app, "connections", None)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = OneByOne(transport, self.pipeline)
        self._unread = Unread(transport)
        self._patient = PatientTransport(transport, self)
        if self._known is not None:
            self._address = self._known.admit(self.client)
            if self._address is None:
                reset(transport)
                return
        bound_sending(transport.get_extra_info("socket"), KERNEL_BYTES, STUCK_S)
        self._head_since = self.loop.time()
        self._look_again(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go()
        if self._running is not None and not self._running.response_complete:
            # uvicorn tells the newest request only; requests behind this one may be waiting.
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """The connection is another protocol's from here on; this one hears nothing of its end."""
        self._let_go()
        super().handle_websocket_upgrade()

    def _let_go(self) -> None:
        """A timer would keep all of this: ours for ever, uvicorn's for a while."""
        if self._timer:
            self._timer.cancel()
        self._unset_keepalive_if_required()
        if self._known is not None:
            self._known.forget_unread(self)
            if self._address is not None:
                self._known.release(self._address)
                self._address = None

    def _give_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    # Requests

    def data_received(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > MOST_BYTES:
            self._give_up()
            return
        if not self.takes_requests:
            return
        if self._head_since is None:  # a head begins, or a body, which nobody waits for either
            self._head_since = self.loop.time()
        HttpToolsProtocol.data_received(self, data)  # super() looks it up anew on each request

    def end_head(self) -> None:
        self._head_since = None
        self._taken = 0

    def on_headers_complete(self) -> None:
        SoundHttp.on_headers_complete(self)
        if self.cycle is not None:  # None before the first request, and for a handshake
            self.cycle.transport = self._patient
        if self.pipeline and len(self.pipeline) > MOST_PIPELINED:
            self._give_up()

    def fault(self) -> Refusal | None:
        is_early = self._is_answering() and self.parser.should_upgrade() and self._should_upgrade()
        return EARLY if is_early else super().fault()

    def take_no_more(self) -> None:
        super().take_no_more()
        self._head_since = None

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP; answers that are due to requests before it come first."""
        if not self._is_answering():
            self.refusals.count(400)
            super().send_400_response(msg)
        elif self.cycle.more_body:
            self._give_up()  # it is the body of a request that broke
        else:
            self.take_no_more()

    # Answers

    def _is_answering(self) -> bool:
        running = self._running
        return bool(self.pipeline) or (running is not None and not running.response_complete)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Once those before it are taken: what an application makes would only be piled up."""
        if self.flow.write_paused:
            self.pipeline.append((cycle, app))
            self.flow.pause_reading()
        else:
            self._running = cycle
            super()._start_asgi_task(cycle, app)

    def answer_without_end(self) -> None:
        """The answer under way has none: nothing that is sent behind its request is ever read, but
        that the client leaves is."""
        if self._running is not None:
            self.cycle = self._running
            self.pipeline.clear()
            self._is_stream = True
            self.take_no_more()
            self.flow.resume_reading()

    def end(self) -> None:
        """Closes once the answers are taken; the client hears at once that there are no more."""
        if self._is_ending or self.transport.is_closing():
            return
        self._is_ending = True
        self.takes_requests, self._head_since = False, None
        self.pipeline.clear()
        if self._running is not None:
            self._running.on_response = _nothing  # uvicorn would go on to the next request
        self._unset_keepalive_if_required()
        self._unread.look(self.loop.time())
        if self._unread.waiting and self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()  # to hear that the client closes
            self._look_again(LOOK_S)
        else:
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        self.end()

    def pause_writing(self) -> None:
        super().pause_writing()
        if not self._is_stream:
            self.flow.pause_reading()
            if not self._may_leave_unread(self.transport.get_write_buffer_size()):
                reset(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._known is not None:
            self._known.forget_unread(self)
        if self.pipeline and (self._running is None or self._running.response_complete):
            self._start_asgi_task(*self.pipeline.pop())
        self.flow.resume_reading()

    def _may_leave_unread(self, waiting: int) -> bool:
        scope = cast("Scope", self.scope)  # uvicorn has its own words for it
        return self._known is None or self._known.note_unread(self, scope, waiting)

    # One timer for the connection, not for each request

    def _look(self) -> None:
        now = self.loop.time()
        if self._head_since is not None and self._is_answering():
            self._head_since = now  # the next head is not waited for yet
        late_s = HEAD_S if self._head_since is None else self._head_since + HEAD_S - now
        if not (self._is_stream or self._is_read(now)):
            reset(self.transport)
        elif late_s <= 0:
            self._give_up()
        elif self._is_ending and not self._unread.waiting:
            self.transport.close()
        else:
            self._look_again(late_s)

    def _look_again(self, in_s: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(min(in_s, LOOK_S), self._look)

    def _is_read(self, now: float) -> bool:
        """False when the reader had its time, or its address leaves too much unread."""
        takes = self._unread.look(now)
        if self._unread.is_stuck(now):
            return False
        if takes and self._known is not None:
            self._known.forget_unread(self)
        return takes or self._may_leave_unread(self._unread.waiting)
