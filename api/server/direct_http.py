"""The way around ASGI for a known answer: from the parser straight to the transport.

uvicorn makes a task, an event and a cycle for each request, and two writes of each answer: twice
what a prepared answer costs otherwise. Everything that reaches into it for that stands in this
file. `HTTP_DIRECT=false`, or another server, is the plain way; answers are the same, byte for byte.
"""

from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from api.cache.response_cache import PreparedAnswers
from api.server.bounded_http import BoundedHttp

#: Known answers of one read: then others have their turn, and this client's next ones wait.
MOST_AT_ONCE = 32


class DirectHttp(BoundedHttp):
    """Asks the application's prepared answers before it troubles the application."""

    _at_once = 0

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        known = getattr(config.app, "prepared", None)
        is_bare = config.loaded_app is config.app and not self.root_path  # else others have a say
        self._prepared: PreparedAnswers | None = known if is_bare else None

    def data_received(self, data: bytes) -> None:
        self._at_once = 0
        BoundedHttp.data_received(self, data)

    def on_headers_complete(self) -> None:
        if not self._answers_at_once():
            self._unset_keepalive_if_required()  # of a known answer in the same packet
            BoundedHttp.on_headers_complete(self)

    def _answers_at_once(self) -> bool:
        if self._prepared is None or not self._is_plain():
            return False
        method = self.parser.get_method().decode("ascii")
        known = self._prepared.at_once(self.scope, method, self.url)  # type: ignore[arg-type] # its own TypedDict
        if known is None:
            return False
        status, lines, body = known
        own = b"".join([b"%b: %b\r\n" % pair for pair in self.server_state.default_headers])
        self.transport.writelines((b"%b%b%b\r\n" % (STATUS_LINE[status], own, lines), body))
        self.ignores_message = True
        self._end_answer()
        return True

    def _is_plain(self) -> bool:
        """Nothing of this connection is under way, and it stays open after the answer."""
        cycle, parser = self.cycle, self.parser
        return (
            (cycle is None or cycle.response_complete)
            and self.accepts_requests
            and not self.transport.is_closing()
            and (self.host == self.valid_host or self.has_valid_host())
            and self._at_once < MOST_AT_ONCE
            and not (self.pipeline or self.flow.write_paused)
            and not (self.expect_100_continue or parser.should_upgrade())
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
        )

    def _end_answer(self) -> None:
        """As uvicorn does: the connection may rest for a while."""
        self.end_head()
        self._at_once += 1
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
