"""The one ASGI layer in front of the application: what is true of every request and response.

A request that the response cache can answer goes no further. For every other one the layer sets the
request id, counts it for its client, checks sizes and gateway keys, answers CORS preflights, and
turns HEAD into GET. On the way back it completes the headers and counts the response. It renders
the errors that no route handles.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.cache.response_cache import target_of
from api.edge.access_control import AccessControl
from api.edge.access_log import AccessLog
from api.edge.cached_responses import CachedResponses, request_id_for
from api.edge.error_log import ErrorLog
from api.edge.path_policies import RenderError, route_path
from api.edge.problems import RENDERER, problem, problem_json
from api.edge.request_counts import UNMATCHED, RequestCounts, labels_of, template_of
from api.edge.response_headers import ResponseHeaders
from api.server.hooks import Peer, Refusal

#: The extension by which a server answers a handshake with a response of ours.
DENIAL = "websocket.http.response"
#: The close code of a WebSocket that is refused before its handshake (RFC 6455, 7.4.1).
POLICY_VIOLATION = 1008
#: The first status of a server error.
SERVER_ERROR = 500
log = logging.getLogger("gateway")


def _set_state(scope: Scope, headers: Headers, renderer: RenderError) -> bytes:
    """Sets what errors are rendered with, and gives the request id."""
    request_id = request_id_for(headers.get("x-request-id", "").encode("latin-1"))
    state = scope.setdefault("state", {})
    state["request_id"] = request_id.decode()
    state[RENDERER] = renderer
    return request_id


class Exchange:
    """Reads a request's head, and wraps the server's `send` for the response.

    `scope` is what the application sees: HEAD is GET with `is_head`, the request id is in `state`.
    """

    def __init__(self, edge: "Edge", scope: Scope, receive: Receive, send: Send) -> None:
        self._edge = edge
        self._receive, self._send = receive, send
        self.request_headers = Headers(scope=scope)
        renderer = edge.access.policies.renderer(route_path(scope))
        self.request_id = _set_state(scope, self.request_headers, renderer)
        self.is_head = scope["method"] == "HEAD"
        self.scope = {**scope, "method": "GET", "is_head": True} if self.is_head else scope
        #: The RateLimit header of the response; None without one.
        self.rate_limit: bytes | None = None
        self.has_begun = False

    async def send(self, message: Message) -> None:
        """Completes the headers of the response and counts it; without a body for HEAD."""
        self.has_begun = True
        if message["type"] == "http.response.start":
            headers, status = list(message.get("headers", ())), message["status"]
            self._edge.counts[labels_of(template_of(self.scope), status, headers)] += 1
            if status >= SERVER_ERROR:
                self._edge.errors.record(self.scope, status)
            origin = self.request_headers.get("origin")
            complete = self._edge.headers.complete(
                headers,
                None if origin is None else origin.encode("latin-1"),
                self.rate_limit,
                self.request_id,
            )
            message = {**message, "headers": complete}
        elif self.is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    async def fail(self, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        if not self.has_begun:
            response = problem(Request(self.scope), code, detail, headers=headers)
            await response(self.scope, self._receive, self.send)


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """The edge in front of `app`, the routes. It lives as long as the application.

    `is_stopping` is true once the server stops and cancels the requests in progress.
    """

    app: ASGIApp
    access: AccessControl
    headers: ResponseHeaders
    cached: CachedResponses
    is_stopping: Callable[[], bool]
    counts: RequestCounts
    errors: ErrorLog
    access_log: AccessLog | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.access_log is None or scope["type"] == "lifespan":
            await self._answer(scope, receive, send)
        else:
            await self.access_log.run(self._answer, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = self.cached.read(scope["method"], target_of(scope), scope["headers"])
            found = self.cached.find(request, scope.get("client")) if request else None
            if found is None:
                await self._handle(scope, receive, send)
                return
            response, values = found
            headers = response.headers_with(values)
            await send(
                {"type": "http.response.start", "status": response.status, "headers": headers}
            )
            body = response.body if scope["method"] == "GET" else b""
            await send({"type": "http.response.body", "body": body})
        elif scope["type"] == "websocket":
            await self._open_websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _open_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A dialect's clients are refused in its words, where the server can send them."""
        headers, renderer = Headers(scope=scope), self.access.policies.renderer(route_path(scope))
        _set_state(scope, headers, renderer)
        refusal = self.access.check_websocket(scope, headers)
        if refusal is None:
            await self.app(scope, receive, send)
        elif renderer is problem_json or DENIAL not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await refusal(scope, receive, send)

    # All other requests

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(self, scope, receive, send)
        inner = exchange.scope
        try:
            exchange.rate_limit, answer = self.access.check(inner, exchange.request_headers)
            inner = exchange.scope = self.access.without_keys(inner)
            await (answer or self.app)(inner, receive, exchange.send)
        except asyncio.CancelledError:
            if not self.is_stopping():
                raise
            detail = "the gateway stops, and no provider has answered in time"
            await exchange.fail("deadline_exceeded", detail)
        except Exception:
            log.exception("request %s failed", exchange.request_id.decode())
            if exchange.has_begun:
                raise
            detail = "see the server log for this request id"
            await exchange.fail("internal_error", detail)

    # Refusals by the server

    def refuse(self, refusal: Refusal) -> ASGIApp:
        """An application that answers with this refusal. Like every request it is counted for its
        client, and in the metrics."""

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            exchange = Exchange(self, scope, receive, send)
            verdict = self.access.charge(exchange.scope, exchange.request_headers)
            exchange.rate_limit = verdict.header if verdict is not None else None
            headers = {"Connection": "close", **refusal.headers}
            await exchange.fail(refusal.code, refusal.detail, headers)

        return respond if self.access_log is None else partial(self.access_log.run, respond)

    def count_refusal(self, status: int, client: Peer) -> None:
        """Counts a refusal that the server has answered itself: its bytes were no valid request."""
        self.counts[UNMATCHED, status, ""] += 1
        self.access.charge_peer(client)
