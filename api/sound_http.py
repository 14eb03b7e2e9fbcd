"""uvicorn's HTTP protocol, which reads heads as HTTP has it: no white space around a value, one
Host that may be one, no trailers among the headers, no handshake that nobody would answer. What
is wrong with a request is told as a problem, counted, and the connection's last answer.
"""

from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.heads import BAD_HOST, Refusal, handshake_refusal, has_body, is_host
from api.refusals import refusals_of

#: In the place of a host that came twice: no host.
TWICE = b" "


class SoundHttp(HttpToolsProtocol):
    """Calls uvicorn's methods by their class: super() looks them up anew on each request."""

    #: Requests are read: not behind one that is the connection's last.
    takes_requests = True
    #: What is left of the message under way is nobody's.
    is_done = False
    host: bytes | None = None
    #: The last one that was looked at and found to be one; at first what none can be.
    sound_host = b"\n"
    _refusal: Refusal | None = None

    def __init__(self, config: uvicorn.Config, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self.refusals = refusals_of(config.app)

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn has it, but without the white space that the parser leaves behind a value
        (RFC 9110, 5.5)."""
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"host":
            self.host = value if self.host is None else TWICE
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def end_head(self) -> None:
        """A head is complete: an answer is due, and then another head may come."""

    def on_headers_complete(self) -> None:
        self.end_head()
        if not self.takes_requests or self.transport.is_closing():
            self.is_done = True
            return
        self.headers = self.headers.copy()  # trailers are no headers (RFC 9110, 6.5.1)
        if self.has_sound_host() and not self.parser.should_upgrade():
            HttpToolsProtocol.on_headers_complete(self)
        else:
            self._take_odd_request()

    def _take_odd_request(self) -> None:
        app, self._refusal = self.app, self.fault()
        if self._refusal is not None:
            self.app = self.refusals.app(self._refusal)
        HttpToolsProtocol.on_headers_complete(self)
        self.app = app
        # Of an upgrade that is not made, a body would be read as the next request.
        if not self._should_upgrade() and (self._refusal is not None or has_body(self.headers)):
            self.take_no_more()

    def on_body(self, body: bytes) -> None:
        if not self.is_done:
            HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        self.host = None
        if self.is_done:
            self.is_done = False
        else:
            HttpToolsProtocol.on_message_complete(self)

    def take_no_more(self) -> None:
        """The newest request is the connection's last."""
        self.takes_requests = False
        self.cycle.keep_alive = False

    def has_sound_host(self) -> bool:
        """There is one, and it may be one; HTTP/1.0 can do without (RFC 9112, 3.2)."""
        host = self.host
        if host == self.sound_host:
            return True
        if host is None:
            return self.parser.get_http_version() == "1.0"
        if is_host(host):
            self.sound_host = host
            return True
        return False

    def fault(self) -> Refusal | None:
        """Why the request whose head is complete is not answered."""
        if not self.has_sound_host():
            return BAD_HOST
        if self._should_upgrade():
            return handshake_refusal(self.parser.get_method(), self.url, self.headers)
        return None

    def _should_upgrade(self) -> bool:
        return self._refusal is None and super()._should_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """It is answered as if nobody had asked, which HTTP allows: no line in the log for each."""
