"""The origins whose pages may use the gateway (CORS)."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Scope

#: Response headers that a page from another origin may read.
EXPOSED = (
    "Age",
    "ETag",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Cache",
    "X-MBX-USED-WEIGHT",
    "X-MBX-USED-WEIGHT-1M",
    "X-Request-Id",
    "X-Source",
    "X-Stale-Reason",
)
#: Names of this machine, as an origin has them.
LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))


class AllowedOrigins:
    """The origins of CORS_ORIGINS; `*` among them allows every origin."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._allows_all = "*" in origins
        self._origins = frozenset(origins)
        self._expose = (b"access-control-expose-headers", ", ".join(EXPOSED).encode())

    def headers(self, origin: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
        """The CORS headers of a response to a request with this Origin header."""
        if origin is None:
            return ()
        if self._allows_all:
            return (b"access-control-allow-origin", b"*"), self._expose
        if origin.decode("latin-1") in self._origins:
            return self._expose, (b"access-control-allow-origin", origin)
        return (self._expose,)

    def preflight(self, scope: Scope, headers: Headers, methods: Sequence[str]) -> Response | None:
        """The answer to a preflight of a path with these methods; None for any other request."""
        is_preflight = (
            scope["method"] == "OPTIONS"
            and "origin" in headers
            and "access-control-request-method" in headers
        )
        if not is_preflight:
            return None
        # Starlette's middleware answers preflights; it is no layer here, so its app is not called.
        origins = ["*"] if self._allows_all else sorted(self._origins)
        cors = CORSMiddleware(
            Response(), allow_origins=origins, allow_methods=methods, allow_headers=["*"]
        )
        return cors.preflight_response(headers)

    def admits_websocket(self, headers: Headers) -> bool:
        """Whether the handshake comes from an allowed origin, from ours, or not from a page."""
        origin = headers.get("origin")
        if origin is None or self._allows_all or origin in self._origins:
            return True
        return _is_same_host(origin, headers)

    def names(self, origin: str, headers: Headers) -> bool:
        """Whether this origin is listed, ours, or one of this machine. `*` names none: a page
        anywhere could use a gateway that only its reader's machine can reach."""
        if origin in self._origins - {"*"} or _is_same_host(origin, headers):
            return True
        try:
            return urlsplit(origin).hostname in LOCAL
        except ValueError:
            return False


def _is_same_host(origin: str, headers: Headers) -> bool:
    # The scheme is not compared: behind an unknown TLS proxy it differs from the page's.
    host = headers.get("host")
    return bool(host and origin.endswith(f"://{host}"))
