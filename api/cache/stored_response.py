"""A response that is ready to be sent again, except for the headers that differ by request."""

from typing import NamedTuple

from api.cache.request_fields import RawHeaders

AGE, REQUEST_ID, RATE_LIMIT, X_CACHE = b"age", b"x-request-id", b"ratelimit", b"x-cache"
#: The headers that differ by request, in the order in which a response has them.
PER_REQUEST = (AGE, RATE_LIMIT, REQUEST_ID)


class StoredResponse(NamedTuple):
    """`labels` are those that each further use is counted with."""

    status: int
    headers: RawHeaders
    #: Positions in `headers` of those that differ by request.
    positions: tuple[int, ...]
    #: The headers as HTTP/1.1 sends them, with a `%b` for each value that differs by request.
    lines: bytes
    body: bytes
    labels: tuple[str, int, str]

    def headers_with(self, values: tuple[bytes, ...]) -> RawHeaders:
        """`values` of the headers that differ by request, in their order."""
        headers = self.headers.copy()
        for position, value in zip(self.positions, values, strict=True):
            headers[position] = headers[position][0], value
        return headers


def stored_response(status: int, headers: RawHeaders, body: bytes, template: str) -> StoredResponse:
    """From a response with all of its headers: a hit from now on, whatever it was at first."""
    headers = [(name, b"hit" if name == X_CACHE else value) for name, value in headers]
    positions = [(name, at) for at, (name, _) in enumerate(headers) if name in PER_REQUEST]
    assert [name for name, _ in positions] == [one for one in PER_REQUEST if one in dict(headers)]
    return StoredResponse(
        status,
        headers,
        tuple(at for _, at in positions),
        _lines(headers),
        body,
        (template, status, "hit"),
    )


def _lines(headers: RawHeaders) -> bytes:
    return b"".join(
        b"%b: %%b\r\n" % name
        if name in PER_REQUEST
        else b"%b: %b\r\n" % (name, value.replace(b"%", b"%%"))
        for name, value in headers
    )
