"""Cross-origin access for pages in browsers: CORS headers, preflights, origins of WebSockets."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

#: Response headers that a page from another origin may read.
EXPOSED = ("Age", "ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Cache", "X-Request-Id")
METHODS = ("GET", "HEAD")


class AllowedOrigins:
    """The origins of CORS_ORIGINS; `*` among them allows every origin."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._allows_all = "*" in origins
        self._origins = frozenset(origins)
        # Starlette's middleware answers preflights; it is no layer here.
        self._cors = CORSMiddleware(
            _no_app, allow_origins=origins, allow_methods=METHODS, allow_headers=["*"]
        )
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

    def preflight(self, headers: Headers) -> Response:
        return self._cors.preflight_response(headers)

    def admits_websocket(self, headers: Headers) -> bool:
        """Whether the handshake comes from an allowed origin, from ours, or not from a page."""
        origin = headers.get("origin")
        if origin is None or self._allows_all or origin in self._origins:
            return True
        # The scheme is not compared: behind an unknown TLS proxy it differs from the page's.
        host = headers.get("host")
        return bool(host and origin.endswith(f"://{host}"))


def is_preflight(scope: Scope, headers: Headers) -> bool:
    return (
        scope["method"] == "OPTIONS"
        and "origin" in headers
        and "access-control-request-method" in headers
    )


async def _no_app(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("the middleware is not used as a layer")
