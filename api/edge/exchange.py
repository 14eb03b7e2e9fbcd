"""One request and the response to it, on its way through the edge."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from api.edge.origins import Header
from api.edge.problems import problem
from api.edge.request_id import request_id_for
from api.edge.response_headers import ResponseHeaders

#: Counts a response, given the request's scope, the status and the route's headers.
CountResponse = Callable[[Scope, int, list[Header]], None]


class Exchange:
    """Reads a request's head, and wraps the server's `send` for the response.

    `scope` is what the application sees: HEAD is GET with `is_head`, the request id is in `state`.
    """

    __slots__ = (
        "_count",
        "_headers",
        "_send",
        "has_begun",
        "is_head",
        "rate_limit",
        "request_headers",
        "request_id",
        "scope",
    )

    def __init__(
        self, scope: Scope, send: Send, headers: ResponseHeaders, count: CountResponse
    ) -> None:
        self._send = send
        self._headers = headers
        self._count = count
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
            self._count(self.scope, message["status"], headers)
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
