"""The way around ASGI for a known answer: from the parser straight to the transport.

uvicorn makes a task, an event and a cycle for each request, and two writes of each answer: twice
what a prepared answer costs otherwise. Everything that reaches into it for that stands in this
file. `HTTP_DIRECT=false`, or another server, is the plain way; answers are the same, byte for byte.
"""

from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from api.bounded_http import BoundedHttp
from api.prepared import PreparedAnswers


class DirectHttp(BoundedHttp):
    """Asks the application's prepared answers before it troubles the application."""

    _is_answered = False

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        known = getattr(config.app, "prepared", None)
        self._prepared: PreparedAnswers | None = None if self.root_path else known

    def on_headers_complete(self) -> None:
        if not self._answers_at_once():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._is_answered:
            self._is_answered = False
        else:
            super().on_message_complete()

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
        self._is_answered = True
        self._end_answer()
        return True

    def _is_plain(self) -> bool:
        """Nothing of this connection is under way, and it stays open after the answer."""
        cycle, parser = self.cycle, self.parser
        return (
            (cycle is None or cycle.response_complete)
            and not (self.pipeline or self.flow.write_paused or self.transport.is_closing())
            and not (self.expect_100_continue or parser.should_upgrade())
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
        )

    def _end_answer(self) -> None:
        """As uvicorn does: the connection may rest for a while."""
        self.end_head()
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
