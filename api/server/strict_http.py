"""uvicorn's HTTP protocol with the checks of a request's head that RFC 9110 and 9112 ask for.

It strips white space from header values, keeps trailers apart from headers, and refuses requests
without exactly one valid Host and WebSocket handshakes that the library would leave unanswered.
A refusal is a problem document, is counted, and closes the connection.
"""

import re
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

from api.server.hooks import Refusal, hooks_of

#: A DNS name has at most 253 characters, a port 5 digits.
MAX_HOST_BYTES = 300
#: `uri-host [ ":" port ]` (RFC 9110, 7.2); empty where the target URI has no authority.
_HOST = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|\[v[0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+\]"
    rb"|([\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:\d*)?",
    re.ASCII,
)
BAD_HOST = Refusal(
    "bad_request", "a request must have one Host header, with a host and optionally a port"
)
#: 16 bytes in base64.
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
#: Stands for a Host that came more than once: an invalid value.
DUPLICATE_HOST = b" "

Headers = list[tuple[bytes, bytes]]


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
        self.hooks = hooks_of(config.app)

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, but strips the white space that the parser leaves at the end of a value
        (RFC 9110, 5.5)."""
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"host":
            self.host = value if self.host is None else DUPLICATE_HOST
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self.accepts_requests or self.transport.is_closing():
            self.ignores_message = True
            return
        self.headers = self.headers.copy()  # trailers must not be merged into it (RFC 9110, 6.5.1)
        if self.has_valid_host() and not self.parser.should_upgrade():
            HttpToolsProtocol.on_headers_complete(self)
            return
        app, self._refusal = self.app, self.find_refusal()
        if self._refusal is not None:
            self.app = self.hooks.refuse(self._refusal)
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

    def find_refusal(self) -> Refusal | None:
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


def is_host(value: bytes) -> bool:
    return len(value) <= MAX_HOST_BYTES and _HOST.fullmatch(value) is not None


def has_body(headers: Headers) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )


def handshake_refusal(method: bytes, url: bytes, headers: Headers) -> Refusal | None:
    """Why the WebSocket library would refuse this handshake, or leave it unanswered."""
    if method != b"GET":
        return Refusal("method_not_allowed", "a handshake must be a GET request", {"Allow": "GET"})
    return _too_large(url, headers) or _malformed(headers)


def _too_large(url: bytes, headers: Headers) -> Refusal | None:
    if len(b"GET  HTTP/1.1\r\n") + len(url) > MAX_LINE_LENGTH:
        detail = f"the request line of a handshake has at most {MAX_LINE_LENGTH} bytes"
        return Refusal("uri_too_long", detail)
    if len(headers) > MAX_NUM_HEADERS:
        detail = f"a handshake has at most {MAX_NUM_HEADERS} headers"
        return Refusal("headers_too_large", detail)
    if max((len(name) + len(value) for name, value in headers)) + 4 > MAX_LINE_LENGTH:
        detail = f"a header of a handshake has at most {MAX_LINE_LENGTH} bytes"
        return Refusal("headers_too_large", detail)
    return None


def _malformed(headers: Headers) -> Refusal | None:
    if has_body(headers):
        return Refusal("bad_request", "a handshake must not have a body")
    if _all(headers, b"sec-websocket-version") != [b"13"]:
        detail = "the supported version of WebSocket is 13"
        return Refusal("upgrade_required", detail, {"Sec-WebSocket-Version": "13"})
    keys = _all(headers, b"sec-websocket-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        detail = "a handshake must have one Sec-WebSocket-Key: 16 bytes in base64"
        return Refusal("bad_request", detail)
    if len(_all(headers, b"origin")) > 1:
        return Refusal("bad_request", "a request must have at most one Origin header")
    return None


def _all(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]
