"""Routes that check the names of their parameters, and remember how a URL is read."""

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from inspect import signature
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge.path_policies import Access, GatewayRouter
from api.edge.problems import HANDLERS
from api.routes.parameters import check
from backend.bounded_map import BoundedMap
from backend.errors import GatewayError

#: URLs whose calls are remembered (1 kB each), and the length of the longest one. More URLs than
#: these in turn would each be validated anew, which takes 0.1 ms.
MAX_REMEMBERED_URLS, MAX_REMEMBERED_LENGTH = 2_048, 512
#: The key of a validated call in the scope.
_CALL = "gateway.call"


class CheckedRoute(APIRoute):
    """A route that accepts only the query parameters it declares, each once and none empty.

    `RememberedCalls` may call an endpoint again for the same URL, if it takes `request` and nothing
    else that could differ: no headers, cookies, body or dependencies.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        @wraps(endpoint)
        async def call(request: Request, **arguments: Any) -> Response:
            if not any(differing):
                request.scope[_CALL] = partial(endpoint, **arguments)
            response: Response = await endpoint(request=request, **arguments)
            return response

        takes_request = "request" in signature(endpoint).parameters
        super().__init__(path, call if takes_request else endpoint, **options)
        takes = self.dependant
        differing = takes.header_params, takes.cookie_params, takes.body_params, takes.dependencies

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        allowed = tuple(parameter.alias for parameter in self.dependant.query_params)

        async def handle(request: Request) -> Response:
            check(request.query_params, allowed)
            return await handler(request)

        return handle


class RememberedCalls:
    """A layer before FastAPI's: it finds the route of a URL and validates its parameters once; the
    next request of that URL goes to the endpoint at once. That saves most of the time of a request
    whose answer is cached.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._calls = BoundedMap[tuple[Any, ...], tuple[Any, Callable[..., Any]]](
            MAX_REMEMBERED_URLS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        url = scope["method"], scope.get("root_path", ""), scope["path"], scope["query_string"]
        remembered = self._calls.get(url)
        if remembered is not None:
            scope["route"], call = remembered
            request = Request(scope, receive, send)
            try:
                response = await call(request=request)
            except GatewayError as error:
                response = await HANDLERS[GatewayError](request, error)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)
        if _CALL in scope and sum(map(len, url)) <= MAX_REMEMBERED_LENGTH:
            self._calls.set(url, (scope["route"], scope[_CALL]))


def checked_router(tag: str, access: Access = Access.KEY) -> GatewayRouter:
    return GatewayRouter(
        access=access, tags=[tag], route_class=CheckedRoute, default_response_class=Response
    )
