"""uvicorn's HTTP protocol with limits: of what a client sends before a response is due, of what it
leaves unread, and of the connections and unread responses of one address.
"""

import asyncio
from collections.abc import Sized
from typing import Any, cast
from weakref import ref

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.server.hooks import Refusal
from api.server.send_buffer import ReadProgress, limit_send_buffer, reset
from api.server.strict_http import StrictHttp

#: Largest number of bytes from one complete head to the next: a body and a head, in bytes.
MAX_REQUEST_BYTES = 256 * 1024
#: Largest number of pipelined requests that wait for the responses before theirs.
MAX_PIPELINED = 1_000
#: Size of the kernel's send buffer, in bytes: most responses fit as a whole.
SEND_BUFFER_BYTES = 96 * 1024
#: A handshake behind an unanswered request: its response would be written into the frames.
EARLY_HANDSHAKE = Refusal(
    "bad_request", "a handshake must not be sent before the last request was answered"
)


class PipelineFlowControl(FlowControl):
    """Resumes reading only when no request and no response waits. uvicorn's own resumes after each
    response, and whenever an application asks for a body, however many requests wait."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline and not self.write_paused:
            super().resume_reading()


class DrainingTransport:
    """The transport as a request's cycle sees it: `close` waits until the client has read all.

    A socket that is closed earlier leaves the response in the kernel, outside of all our limits.
    """

    def __init__(self, transport: asyncio.Transport, protocol: "BoundedHttp") -> None:
        self._protocol = ref(protocol)  # a reference cycle would outlive the connection
        self.write, self.abort = transport.write, transport.abort
        self.is_closing = transport.is_closing
        self.get_protocol, self.get_extra_info = transport.get_protocol, transport.get_extra_info

    def close(self) -> None:
        if protocol := self._protocol():
            protocol.close_when_read()


class BoundedHttp(StrictHttp):
    """Closes a connection for a head or a body that is too large, a head that comes too slowly, too
    many pipelined requests, and responses that the client does not read."""

    #: Bytes since the last complete head.
    _received_bytes = 0
    #: When the incomplete head began; None while there is none.
    _head_since: float | None = None
    _timer: asyncio.TimerHandle | None = None
    _progress: ReadProgress
    _draining: Any = None
    #: The address that this connection is counted by; None if it is not counted.
    _address: str | None = None
    #: The request that is being answered, or was answered last.
    _running: RequestResponseCycle | None = None
    #: The current response is endless: the stream has its own limits for slow clients.
    _is_stream = False
    _is_closing = False
    #: The next response closes the connection.
    _is_leaving = False

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self._clock, self._timeouts = self.hooks.clock, self.hooks.timeouts
        self._connections = self.hooks.connections

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = PipelineFlowControl(transport, self.pipeline)
        self._progress = ReadProgress(transport, self._timeouts.stalled_s)
        self._draining = DrainingTransport(transport, self)
        self._address = self._connections.admit(self.client)
        if self._address is None:
            reset(transport)
            return
        limit_send_buffer(transport, SEND_BUFFER_BYTES, self._timeouts.stalled_s)
        self._head_since = self._clock.monotonic()
        self._schedule_check(self._timeouts.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        if self._running is not None and not self._running.response_complete:
            # uvicorn marks only the newest request, which may still wait behind this one.
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """The WebSocket protocol owns the connection from here on."""
        self._release()
        super().handle_websocket_upgrade()

    def _release(self) -> None:
        """Cancels the timers, which would keep this object alive, and leaves `Connections`."""
        if self._timer:
            self._timer.cancel()
        self._unset_keepalive_if_required()
        self._connections.forget_unread(self)
        if self._address is not None:
            self._connections.release(self._address)
            self._address = None

    # Requests

    def data_received(self, data: bytes) -> None:
        self._received_bytes += len(data)
        if self._received_bytes > MAX_REQUEST_BYTES:
            self.transport.abort()
            return
        if not self.accepts_requests:
            return
        if self._head_since is None:  # a head begins, or a body
            self._head_since = self._clock.monotonic()
        HttpToolsProtocol.data_received(self, data)  # super() looks it up anew on each request

    def end_head(self) -> None:
        self._head_since = None
        self._received_bytes = 0

    def on_headers_complete(self) -> None:
        self.end_head()
        StrictHttp.on_headers_complete(self)
        if self.cycle is not None:  # None before the first request, and for a handshake
            self.cycle.transport = self._draining
            if self._is_leaving:
                self.cycle.keep_alive = False
        if self.pipeline and len(self.pipeline) > MAX_PIPELINED:
            self.transport.abort()

    def find_refusal(self) -> Refusal | None:
        is_early = self._is_answering() and self.parser.should_upgrade() and self._should_upgrade()
        return EARLY_HANDSHAKE if is_early else super().find_refusal()

    def stop_requests(self) -> None:
        super().stop_requests()
        self._head_since = None

    def send_400_response(self, msg: str) -> None:
        """Invalid bytes; earlier requests are answered first."""
        if not self._is_answering():
            self.hooks.count_refusal(400, self.client)
            super().send_400_response(msg)
        elif self.cycle.more_body:
            self.transport.abort()  # the body of the current request is broken
        else:
            self.stop_requests()

    # Responses

    def _is_answering(self) -> bool:
        running = self._running
        return bool(self.pipeline) or (running is not None and not running.response_complete)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Starts a request, but not while the client leaves earlier responses unread."""
        if self.flow.write_paused:
            self.pipeline.append((cycle, app))
            self.flow.pause_reading()
        else:
            self._running = cycle
            super()._start_asgi_task(cycle, app)

    def begin_endless_response(self) -> None:
        """Makes the current request the last one. Reading goes on, to notice that the client
        leaves; what it sends is ignored."""
        if self._running is not None:
            self.cycle = self._running
            self.pipeline.clear()
            self._is_stream = True
            self.stop_requests()
            self.flow.resume_reading()

    def close_after_next_response(self) -> None:
        """The server ends: the response in progress closes the connection, else the next one."""
        self._is_leaving = True
        if self._is_answering():
            self.cycle.keep_alive = False

    def close_when_read(self) -> None:
        """Half-closes now, and closes once the client has read everything."""
        if self._is_closing or self.transport.is_closing():
            return
        self._is_closing = True
        self.accepts_requests, self._head_since = False, None
        self.pipeline.clear()
        if self._running is not None:
            self._running.on_response = lambda: None  # uvicorn would start the next request
        self._unset_keepalive_if_required()
        self._progress.update(self._clock.monotonic())
        if self._progress.unread and self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()  # to notice that the client closes
            self._schedule_check(self._timeouts.check_s)
        else:
            self.transport.close()

    timeout_keep_alive_handler = close_when_read

    def pause_writing(self) -> None:
        super().pause_writing()
        if not self._is_stream:
            self.flow.pause_reading()
            if not self._may_leave_unread(self.transport.get_write_buffer_size()):
                reset(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._connections.forget_unread(self)
        if self.pipeline and (self._running is None or self._running.response_complete):
            self._start_asgi_task(*self.pipeline.pop())
        self.flow.resume_reading()

    def _may_leave_unread(self, unread: int) -> bool:
        scope = cast("Scope", self.scope)  # uvicorn has a TypedDict of its own
        return self._connections.record_unread(self, scope, unread)

    # One timer for the connection, not for each request

    def _check_deadlines(self) -> None:
        if self._is_stream and not self._is_closing:
            self._timer = None  # no head is due, and its sink looks whether the client reads
            return
        now = self._clock.monotonic()
        if self._head_since is not None and self._is_answering():
            self._head_since = now  # the next head has its full time after the response
        head_s = self._timeouts.head_s
        left_s = head_s if self._head_since is None else self._head_since + head_s - now
        if not self._is_read(now):
            reset(self.transport)
        elif left_s <= 0:
            self.transport.abort()
        elif self._is_closing and not self._progress.unread:
            self.transport.close()
        else:
            self._schedule_check(left_s)

    def _schedule_check(self, in_s: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(min(in_s, self._timeouts.check_s), self._check_deadlines)

    def _is_read(self, now: float) -> bool:
        """False when the client is stalled, or its address is over a limit."""
        reads = self._progress.update(now)
        if self._progress.is_stalled(now):
            return False
        if reads:
            self._connections.forget_unread(self)
        return reads or self._may_leave_unread(self._progress.unread)
