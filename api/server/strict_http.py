"""uvicorn's HTTP protocol with the checks of a request's head that RFC 9110 and 9112 ask for.

It strips white space from header values, keeps trailers apart from headers, and refuses requests
without exactly one valid Host and WebSocket handshakes that the library would leave unanswered.
A refusal is a problem document, is counted, and closes the connection.
"""

from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.server.heads import BAD_HOST, Refusal, handshake_refusal, has_body, is_host
from api.server.refusals import refusals_of

#: Stands for a Host that came more than once: an invalid value.
DUPLICATE_HOST = b" "


class StrictHttp(HttpToolsProtocol):
    """Calls uvicorn's methods through the class: super() would cost a lookup on each request."""

    #: False once a request was read that is the last one of its connection.
    accepts_requests = True
    #: The rest of the current message is ignored.
    ignores_message = False
    host: bytes | None = None
    #: The last Host that was found valid, so that it is checked once; initially an invalid value.
    valid_host = b"\n"
    _refusal: Refusal | None = None

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self.refusals = refusals_of(config.app)

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, but strips the white space that the parser leaves at the end of a value
        (RFC 9110, 5.5)."""
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"host":
            self.host = value if self.host is None else DUPLICATE_HOST
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def end_head(self) -> None:
        """Called once the head of a request is complete."""

    def on_headers_complete(self) -> None:
        self.end_head()
        if not self.accepts_requests or self.transport.is_closing():
            self.ignores_message = True
            return
        self.headers = self.headers.copy()  # trailers must not be merged into it (RFC 9110, 6.5.1)
        if self.has_valid_host() and not self.parser.should_upgrade():
            HttpToolsProtocol.on_headers_complete(self)
        else:
            self._start_unusual_request()

    def _start_unusual_request(self) -> None:
        app, self._refusal = self.app, self.fault()
        if self._refusal is not None:
            self.app = self.refusals.app(self._refusal)
        HttpToolsProtocol.on_headers_complete(self)
        self.app = app
        # The parser skips the body of an upgrade and would then read it as the next request.
        if not self._should_upgrade() and (self._refusal is not None or has_body(self.headers)):
            self.stop_requests()

    def on_body(self, body: bytes) -> None:
        if not self.ignores_message:
            HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        self.host = None
        if self.ignores_message:
            self.ignores_message = False
        else:
            HttpToolsProtocol.on_message_complete(self)

    def stop_requests(self) -> None:
        """Makes the newest request the last one of the connection."""
        self.accepts_requests = False
        self.cycle.keep_alive = False

    def has_valid_host(self) -> bool:
        """Whether there is one valid Host; HTTP/1.0 needs none (RFC 9112, 3.2)."""
        host = self.host
        if host == self.valid_host:
            return True
        if host is None:
            return self.parser.get_http_version() == "1.0"
        if is_host(host):
            self.valid_host = host
            return True
        return False

    def fault(self) -> Refusal | None:
        """The refusal of the request whose head is complete, if there is one."""
        if not self.has_valid_host():
            return BAD_HOST
        if self._should_upgrade():
            return handshake_refusal(self.parser.get_method(), self.url, self.headers)
        return None

    def _should_upgrade(self) -> bool:
        """HTTP/1.0 has no upgrades (RFC 9110, 7.8)."""
        is_possible = self._refusal is None and self.parser.get_http_version() != "1.0"
        return is_possible and super()._should_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """Not logged: HTTP allows to ignore an Upgrade, and a client could flood the log."""
