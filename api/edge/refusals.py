"""Responses to requests that the server refuses before the application sees them."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge.access_control import CountClients
from api.edge.client_limits import ClientLimits, normalized_address
from api.edge.middleware import RequestId
from api.edge.problems import problem
from api.edge.request_counts import UNMATCHED, CountRequests, RequestCounts
from api.edge.security_headers import SecurityHeaders
from api.server.hooks import Refusal

_KEY = "gateway.refusal"


class Refusals:
    """Problem documents that close the connection, counted with all other requests: in the
    metrics, and as a unit of their client's limit."""

    def __init__(
        self, counts: RequestCounts, limits: ClientLimits, trusted_proxies: int = 0
    ) -> None:
        self._counts = counts
        self._limits = limits
        self._trusted_proxies = trusted_proxies
        counted = CountClients(_respond, limits=limits, trusted_proxies=trusted_proxies)
        self._app: ASGIApp = RequestId(CountRequests(SecurityHeaders(counted), counts, {}))

    def count(self, status: int, client: Sequence[object] | None) -> None:
        """Counts a refusal that the server answered itself, because the bytes are no request.

        Behind a proxy they come from the proxy, so no client is charged.
        """
        self._counts[UNMATCHED, status, ""] += 1
        if self._limits and client and not self._trusted_proxies:
            self._limits.hit(normalized_address(str(client[0])))

    def app(self, refusal: Refusal) -> ASGIApp:
        """An ASGI application that answers with this refusal."""

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            await self._app({**scope, _KEY: refusal}, receive, send)

        return respond


async def _respond(scope: Scope, receive: Receive, send: Send) -> None:
    refusal: Refusal = scope[_KEY]
    # Starlette builds the URL from the Host header, which may be invalid here.
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    request = Request({**scope, "headers": headers})
    response = problem(
        request,
        refusal.code,
        refusal.detail,
        headers={"Connection": "close", **refusal.headers},
    )
    await response(scope, receive, send)
