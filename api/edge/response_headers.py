"""Headers that the edge adds to every response: security, CORS, rate limit, request id."""

from api.cache.response_cache import RawHeaders
from api.edge.origins import AllowedOrigins

#: Hosts that may show the pages in a frame: a Hugging Face Space shows its app in one.
FRAME_ANCESTORS = "frame-ancestors 'self' https://huggingface.co https://*.hf.space"
#: The policy of every response that brings none of its own: data is not a page.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Content-Security-Policy": DATA_POLICY,
}
_SECURITY = tuple(
    (name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()
)
RATE_LIMIT, REQUEST_ID, VARY = b"ratelimit", b"x-request-id", b"vary"
#: A header that only the answer to a preflight has.
PREFLIGHT = b"access-control-allow-methods"


class ResponseHeaders:
    """Completes the headers of responses. `rate_limit_policy` is empty where there is no limit."""

    def __init__(self, origins: AllowedOrigins, rate_limit_policy: str) -> None:
        self._origins = origins
        self._policy = rate_limit_policy.encode()

    def complete(
        self,
        headers: RawHeaders,
        origin: bytes | None,
        rate_limit: bytes | None,
        request_id: bytes,
    ) -> RawHeaders:
        """`headers` with those of the edge. Without `rate_limit` (None) there is no such header."""
        names = {name for name, _ in headers}
        if PREFLIGHT in names:  # it has all its CORS headers
            complete = headers.copy()
        else:
            vary = b", ".join([value for name, value in headers if name == VARY] + [b"Origin"])
            complete = [header for header in headers if header[0] != VARY]
            complete += (VARY, vary), *self._origins.headers(origin)
        if rate_limit is not None:
            complete += (b"ratelimit-policy", self._policy), (RATE_LIMIT, rate_limit)
        complete += [header for header in _SECURITY if header[0] not in names]
        complete.append((REQUEST_ID, request_id))
        return complete

    def complete_stored(self, headers: RawHeaders, origin: bytes | None) -> RawHeaders:
        """For a response to be stored: empty values in the headers that differ by request."""
        return self.complete(headers, origin, b"" if self._policy else None, b"")
