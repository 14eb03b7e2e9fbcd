"""The way around ASGI for a cached response: from the parser straight to the transport.

uvicorn makes a task, an event and a cycle for each request, and writes each response in two parts:
this doubles the cost of a cached response. This file holds everything that depends on uvicorn's
internals for that. With `HTTP_DIRECT=false`, or another server, ASGI sends the same bytes.
"""

from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from api.server.bounded_http import BoundedHttp

#: Largest number of cached responses for one read. Further requests of the client then wait, so
#: that other connections have their turn.
MAX_PER_READ = 32


class DirectHttp(BoundedHttp):
    """Sends cached responses itself; the application answers all other requests."""

    #: Cached responses since the last read.
    _sent = 0

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        # Another application around ours, or a root path, may change responses.
        is_bare = config.loaded_app is config.app and not self.root_path
        self._cached_response = self.hooks.cached_response if is_bare else None

    def data_received(self, data: bytes) -> None:
        self._sent = 0
        BoundedHttp.data_received(self, data)

    def on_headers_complete(self) -> None:
        if not self._send_cached():
            self._unset_keepalive_if_required()  # of a cached response in the same packet
            BoundedHttp.on_headers_complete(self)

    def _send_cached(self) -> bool:
        if self._cached_response is None or not self._is_idle():
            return False
        method = self.parser.get_method().decode("ascii")
        cached = self._cached_response(self.scope, method, self.url)  # type: ignore[arg-type] # its own TypedDict
        if cached is None:
            return False
        status, lines, body = cached
        server = b"".join([b"%b: %b\r\n" % pair for pair in self.server_state.default_headers])
        self.transport.writelines((b"%b%b%b\r\n" % (STATUS_LINE[status], server, lines), body))
        self.ignores_message = True
        self.end_head()
        self._sent += 1
        # As uvicorn ends a response: it counts the request and starts the keep-alive timeout.
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
        return True

    def close_after_next_response(self) -> None:
        self._cached_response = None  # ASGI can close the connection
        super().close_after_next_response()

    def _is_idle(self) -> bool:
        """Whether nothing else is in progress, and the connection stays open after the response."""
        cycle, parser = self.cycle, self.parser
        return (
            (cycle is None or cycle.response_complete)
            and self.accepts_requests
            and not self.transport.is_closing()
            and (self.host == self.valid_host or self.has_valid_host())
            and self._sent < MAX_PER_READ
            and not (self.pipeline or self.flow.write_paused)
            and not (self.expect_100_continue or parser.should_upgrade())
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
        )
