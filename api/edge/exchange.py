"""One request and the response to it, on its way through the edge."""

import os
import re
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from api.edge.problems import problem
from api.edge.request_counts import RequestCounts, labels_of, template_of
from api.edge.response_headers import ResponseHeaders

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
#: Bytes of a random id, and the number of ids for which random bytes are read at once.
ID_BYTES, IDS_PER_READ = 16, 256


def _random_ids() -> Iterator[bytes]:
    """Reads random bytes for many ids at once: a read for each one took a tenth of a response."""
    while True:
        text = os.urandom(ID_BYTES * IDS_PER_READ).hex().encode()
        yield from (text[at : at + 2 * ID_BYTES] for at in range(0, len(text), 2 * ID_BYTES))


_new_id = _random_ids().__next__


def request_id_for(sent: bytes) -> bytes:
    """`sent` (the X-Request-Id of the request) if it is a valid id, else a new one."""
    if sent and _REQUEST_ID.fullmatch(sent):
        return sent
    return _new_id()


class Exchange:
    """Reads a request's head, and wraps the server's `send` for the response.

    `scope` is what the application sees: HEAD is GET with `is_head`, the request id is in `state`.
    """

    def __init__(
        self, scope: Scope, send: Send, headers: ResponseHeaders, counts: RequestCounts
    ) -> None:
        self._send = send
        self._headers = headers
        self._counts = counts
        self.request_headers = Headers(scope=scope)
        self.request_id = request_id_for(
            self.request_headers.get("x-request-id", "").encode("latin-1")
        )
        scope.setdefault("state", {})["request_id"] = self.request_id.decode()
        self.is_head = scope["method"] == "HEAD"
        self.scope = {**scope, "method": "GET", "is_head": True} if self.is_head else scope
        #: The RateLimit header of the response; None without one.
        self.rate_limit: bytes | None = None
        self.has_begun = False

    async def send(self, message: Message) -> None:
        """Completes the headers of the response and counts it; without a body for HEAD."""
        self.has_begun = True
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            self._counts[labels_of(template_of(self.scope), message["status"], headers)] += 1
            origin = self.request_headers.get("origin")
            complete = self._headers.complete(
                headers,
                None if origin is None else origin.encode("latin-1"),
                self.rate_limit,
                self.request_id,
            )
            message = {**message, "headers": complete}
        elif self.is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    async def fail(self, code: str, detail: str, receive: Receive) -> None:
        """Responds with an error, unless the response has begun."""
        if not self.has_begun:
            response = problem(Request(self.scope), code, detail)
            await response(self.scope, receive, self.send)
