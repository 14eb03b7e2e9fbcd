"""Query parameters: unknown, repeated and empty ones are refused, never ignored.

This holds for health probes too: a wrongly configured probe fails at once. Pages and their files
accept any parameter, as browsers and proxies add some to bypass caches.
"""

import re
from collections.abc import Callable, Coroutine, Sequence
from difflib import get_close_matches
from functools import partial, wraps
from inspect import signature
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Receive, Scope, Send

from api.edge.problems import HANDLERS
from backend.bounded_map import BoundedMap
from backend.errors import GatewayError, InvalidParameter, UnknownName, UnknownParameter

#: Unknown parameters that an error names, characters of each name, and suggestions for each.
MAX_NAMED, MAX_NAME_LENGTH, MAX_SUGGESTIONS = 8, 64, 3
#: URLs whose calls are remembered, and the length of the longest one.
MAX_REMEMBERED_URLS, MAX_REMEMBERED_LENGTH = 512, 512
#: The key of a validated call in the scope.
_CALL = "gateway.call"
_BRACKETS = re.compile(r"\[.*$", re.DOTALL)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_COIN = ("symbol", "symbols", "ids")
_INTERVAL = ("interval",)
_START, _END = ("start", "since"), ("end",)
_LIMIT, _OFFSET, _SORT = ("limit", "days"), ("offset",), ("sort",)
#: Our parameters by the names that other APIs use, in snake case.
ALIASES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("coin", "coins", "pair", "pairs", "ticker", "tickers", "asset"), _COIN),
    **dict.fromkeys(("base", "fsym", "fsyms", "instrument", "inst_id", "product_id"), _COIN),
    "currencies": ("symbols",),
    "symbol": ("symbols",),
    "symbols": ("symbol",),
    "id": ("ids", "symbol"),
    "name": ("symbols", "symbol", "source"),
    "names": ("symbols",),
    **dict.fromkeys(("timeframe", "granularity", "resolution", "period", "bar"), _INTERVAL),
    **dict.fromkeys(("from", "start_time", "since", "after", "start_date", "from_date"), _START),
    **dict.fromkeys(("start", "time_start"), _START),
    **dict.fromkeys(("to", "end_time", "until", "before", "end_date", "to_date"), _END),
    **dict.fromkeys(("count", "per_page", "page_size", "size", "top", "n", "limit"), _LIMIT),
    **dict.fromkeys(("page", "skip", "start_at", "cursor"), _OFFSET),
    **dict.fromkeys(("order", "order_by", "sort_by", "sort_dir"), _SORT),
    **dict.fromkeys(("convert", "quote", "quotes", "fiat", "vs", "tsym", "tsyms"), ("currency",)),
    **dict.fromkeys(("network", "blockchain", "chain_id"), ("chain",)),
    **dict.fromkeys(("type", "output", "fmt", "output_format"), ("format",)),
    **dict.fromkeys(("mood", "filter", "kind"), ("sentiment",)),
    **dict.fromkeys(("provider", "publisher", "domains", "sources"), ("source",)),
    **dict.fromkeys(("channel", "topic", "topics", "streams"), ("channels",)),
}


class CheckedRoute(APIRoute):
    """A route that accepts only the query parameters it declares, each once and none empty.

    An endpoint that takes `request` takes nothing else that differs between two requests of one
    URL: `RememberedCalls` calls it again with the same arguments.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        @wraps(endpoint)
        async def call(request: Request, **arguments: Any) -> Response:
            request.scope[_CALL] = partial(endpoint, **arguments)
            response: Response = await endpoint(request=request, **arguments)
            return response

        takes_request = "request" in signature(endpoint).parameters
        super().__init__(path, call if takes_request else endpoint, **options)

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


def check(query: QueryParams, allowed: Sequence[str]) -> None:
    """Raises UnknownParameter; InvalidParameter for one that is repeated or empty."""
    given = query.multi_items()
    unknown = dict.fromkeys(name for name, _ in given if name not in allowed)
    if unknown:
        named = [_unknown(name, allowed) for name in list(unknown)[:MAX_NAMED]]
        raise UnknownParameter(named, allowed)
    if len(given) > len(query):
        names = [name for name, _ in given]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidParameter(twice, "is given more than once")
    for name, value in given:
        if not value:
            raise InvalidParameter(name, "must not be empty: give a value, or omit it")


def suggestions(name: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """The allowed names that were probably meant, the likeliest first; empty if none is close."""
    plain = _plain(name)
    found = [one for one in (plain, *ALIASES.get(plain, ())) if one in allowed]
    found += get_close_matches(plain, allowed, MAX_SUGGESTIONS)
    return tuple(dict.fromkeys(found))[:MAX_SUGGESTIONS]


def _unknown(name: str, allowed: Sequence[str]) -> UnknownName:
    if len(name) > MAX_NAME_LENGTH:  # no misspelling of a parameter is so long
        return UnknownName(f"{name[:MAX_NAME_LENGTH]}…")
    return UnknownName(name, suggestions(name, allowed))


def _plain(name: str) -> str:
    """Brackets, case and hyphens removed: of `symbols[]`, `Symbols`, `startTime`, `start-time`."""
    snake = _CAMEL.sub("_", _BRACKETS.sub("", name.strip()))
    return snake.replace("-", "_").lower()
