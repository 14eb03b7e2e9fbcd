"""Checks of a request's head that come before routing: its Host and WebSocket handshakes."""

import base64
import binascii
import re
from dataclasses import dataclass, field

from websockets.http11 import MAX_LINE_LENGTH, MAX_NUM_HEADERS

#: A DNS name has at most 253 characters, a port 5 digits.
LONGEST_HOST = 300
#: `uri-host [ ":" port ]` (RFC 9110, 7.2); empty where the target URI has no authority.
_HOST = re.compile(
    rb"(\[[0-9A-Fa-f:.]+\]|\[v[0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+\]"
    rb"|([\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(:\d*)?",
    re.ASCII,
)
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal of a request: the problem's code and detail, and headers of the answer."""

    code: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


BAD_HOST = Refusal(
    "bad_request", "a request must have one Host header, with a host and optionally a port"
)


def is_host(value: bytes) -> bool:
    return len(value) <= LONGEST_HOST and _HOST.fullmatch(value) is not None


def has_body(headers: Headers) -> bool:
    """Whether the headers announce a body."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )


def handshake_refusal(method: bytes, url: bytes, headers: Headers) -> Refusal | None:
    """Why the WebSocket library would refuse this handshake; some it would leave unanswered."""
    if method != b"GET":
        return Refusal("method_not_allowed", "a handshake must be a GET request", {"Allow": "GET"})
    return _too_large(url, headers) or _malformed(headers)


def _too_large(url: bytes, headers: Headers) -> Refusal | None:
    if len(b"GET  HTTP/1.1\r\n") + len(url) > MAX_LINE_LENGTH:
        told = f"the request line of a handshake has at most {MAX_LINE_LENGTH} bytes"
        return Refusal("uri_too_long", told)
    if len(headers) > MAX_NUM_HEADERS:
        told = f"a handshake has at most {MAX_NUM_HEADERS} headers"
        return Refusal("headers_too_large", told)
    if max((len(name) + len(value) for name, value in headers)) + 4 > MAX_LINE_LENGTH:
        told = f"a header of a handshake has at most {MAX_LINE_LENGTH} bytes"
        return Refusal("headers_too_large", told)
    return None


def _malformed(headers: Headers) -> Refusal | None:
    if has_body(headers):
        return Refusal("bad_request", "a handshake must not have a body")
    if _all(headers, b"sec-websocket-version") != [b"13"]:
        told = "the supported version of WebSocket is 13"
        return Refusal("upgrade_required", told, {"Sec-WebSocket-Version": "13"})
    if not _are_one_key(_all(headers, b"sec-websocket-key")):
        return Refusal(
            "bad_request", "a handshake must have one Sec-WebSocket-Key: 16 bytes in base64"
        )
    if len(_all(headers, b"origin")) > 1:
        return Refusal("bad_request", "a request must have at most one Origin header")
    return None


def _all(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def _are_one_key(keys: list[bytes]) -> bool:
    try:
        return len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
    except binascii.Error:
        return False
