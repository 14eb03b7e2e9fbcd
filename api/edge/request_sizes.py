"""Size limits of a request: its URL, parameters, headers and body."""

from starlette.datastructures import Headers
from starlette.types import Scope

#: In bytes. A URL may carry all parameters at their longest, each character in twelve bytes.
MAX_URL_BYTES, MAX_HEADER_BYTES, MAX_BODY_BYTES = 128 * 1024, 32 * 1024, 64 * 1024
#: Parameters of a URL: 63,000 empty ones took 70 ms to be parsed and refused.
MAX_PARAMETERS = 256
#: Digits of the longest Content-Length that is read as a number.
MAX_LENGTH_DIGITS = 12


def has_too_many_parameters(scope: Scope) -> bool:
    return bool(scope["query_string"].count(b"&") >= MAX_PARAMETERS)


def size_error(scope: Scope, headers: Headers) -> tuple[str, str] | None:
    """Error code and detail for a request that is too large, else None."""
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URL_BYTES:
        return "uri_too_long", f"a URL has at most {MAX_URL_BYTES} bytes"
    if has_too_many_parameters(scope):
        return "uri_too_long", f"a URL has at most {MAX_PARAMETERS} parameters"
    if sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEADER_BYTES:
        return "headers_too_large", f"headers have at most {MAX_HEADER_BYTES} bytes together"
    length = headers.get("content-length", "0")
    is_number = length.isdecimal() and len(length) <= MAX_LENGTH_DIGITS
    if not is_number or int(length) > MAX_BODY_BYTES:
        return "body_too_large", f"a request body has at most {MAX_BODY_BYTES} bytes"
    return None
