"""The way around ASGI for a cached response: from the parser straight to the transport.

uvicorn makes a task, an event and a cycle for each request, and writes each response in two parts:
this doubles the cost of a cached response. This file holds everything that depends on uvicorn's
internals for that. With `HTTP_DIRECT=false`, or another server, ASGI sends the same bytes.

Clients that ask again send the same bytes again. Such a head is not parsed anew (`HeadCache`),
which halves the cost once more.
"""

from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from api.server.bounded_http import BoundedHttp
from api.server.head_cache import KnownHead

#: Largest number of cached responses for one read. Further requests of the client then wait, so
#: that other connections have their turn.
MAX_PER_READ = 32
#: Size in bytes up to which a body is copied behind its head and sent as one buffer; a larger one
#: is a second buffer.
MAX_COPIED = 16 * 1024


class DirectHttp(BoundedHttp):
    """Sends cached responses itself; the application answers all other requests."""

    #: Cached responses since the last read, and requests that began in it.
    _sent = _begun = 0
    #: No request is incomplete: the next byte begins one.
    _is_between = True
    #: What the last cached response depended on.
    _request: Any = None
    #: When the last cached response was sent, by the injected clock.
    _sent_at = 0.0

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        # Another application around ours, or a root path, may change responses.
        is_bare = config.loaded_app is config.app and not self.root_path
        self._cached_responses = self.hooks.cached_responses if is_bare else None
        self._heads = self.hooks.heads

    def data_received(self, data: bytes) -> None:
        self._sent = self._begun = 0
        if not self._is_between:
            BoundedHttp.data_received(self, data)
            return
        known = self._heads.get(data)
        if known is None:
            BoundedHttp.data_received(self, data)
            if self._sent == self._begun == 1 and self._is_between:
                self._heads.add(data, KnownHead(self._request, self.headers))
        elif not self._send_known(known):
            BoundedHttp.data_received(self, data)

    def _send_known(self, head: KnownHead) -> bool:
        if self._cached_responses is None or not self._is_idle():
            return False
        cached = self._cached_responses.respond(head.request, self.client)
        if cached is None:
            return False
        # The client's address is read from it if the client leaves the response unread.
        self.scope = {"client": self.client, "headers": head.headers}  # type: ignore[typeddict-item]
        self.end_head()
        self._send(cached)
        return True

    def on_message_begin(self) -> None:
        self._begun += 1
        self._is_between = False
        BoundedHttp.on_message_begin(self)

    def on_headers_complete(self) -> None:
        if not self._send_cached():
            self._unset_keepalive_if_required()  # of a cached response in the same packet
            BoundedHttp.on_headers_complete(self)

    def on_message_complete(self) -> None:
        self._is_between = True
        BoundedHttp.on_message_complete(self)

    def _send_cached(self) -> bool:
        responses = self._cached_responses
        if responses is None or not (self._is_idle() and self._is_plain()):
            return False
        method = self.parser.get_method().decode("ascii")
        self._request = responses.read(method, self.url, self.headers)
        cached = responses.respond(self._request, self.client) if self._request else None
        if cached is None:
            return False
        self._send(cached)
        self.ignores_message = True
        self.end_head()
        return True

    def _send(self, cached: tuple[int, bytes, bytes]) -> None:
        status, lines, body = cached
        server = b"".join([b"%b: %b\r\n" % pair for pair in self.server_state.default_headers])
        head = b"%b%b%b\r\n" % (STATUS_LINE[status], server, lines)
        if len(body) <= MAX_COPIED:
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))
        self._sent += 1
        # As uvicorn ends a response: it counts the request and starts the keep-alive timeout.
        self.server_state.total_requests += 1
        self._sent_at = self._clock.monotonic()
        if self.timeout_keep_alive_task is None:
            self._start_keep_alive(self.timeout_keep_alive)

    def _start_keep_alive(self, in_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(in_s, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """A timer that is set anew for each response would cost a tenth of it."""
        left_s = self._sent_at + self.timeout_keep_alive - self._clock.monotonic()
        if left_s > 0:
            self._start_keep_alive(left_s)
        else:
            self.close_when_read()

    def close_after_next_response(self) -> None:
        self._cached_responses = None  # ASGI can close the connection
        super().close_after_next_response()

    def _is_idle(self) -> bool:
        """Whether no other response is in progress or unread."""
        cycle = self.cycle
        return (
            (cycle is None or cycle.response_complete)
            and self.accepts_requests
            and not self.transport.is_closing()
            and self._sent < MAX_PER_READ
            and not (self.pipeline or self.flow.write_paused)
        )

    def _is_plain(self) -> bool:
        """Whether the head alone makes a response possible, after which the connection stays
        open."""
        parser = self.parser
        return (
            (self.host == self.valid_host or self.has_valid_host())
            and not (self.expect_100_continue or parser.should_upgrade())
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
        )
