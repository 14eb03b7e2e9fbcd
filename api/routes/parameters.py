"""Query parameters: unknown, repeated and empty ones are refused, never ignored.

This holds for health probes too: a wrongly configured probe fails at once. Pages and their files
accept any parameter, as browsers and proxies add some to bypass caches.
"""

import re
from collections.abc import Callable, Coroutine, Sequence
from difflib import get_close_matches
from functools import wraps
from inspect import signature
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from backend.bounded_map import BoundedMap
from backend.errors import InvalidParameter, UnknownName, UnknownParameter

#: Unknown parameters that an error names, characters of each name, and suggestions for each.
MAX_NAMED, MAX_NAME_LENGTH, MAX_SUGGESTIONS = 8, 64, 3
#: URLs of one route whose arguments are remembered, and their longest parameters in bytes.
MAX_REMEMBERED_URLS, MAX_REMEMBERED_LENGTH = 256, 512
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

    Where the endpoint takes `request`, FastAPI validates the parameters of a URL once and the
    arguments are remembered; the next request of that URL goes to the endpoint at once. That
    saves most of the time of a request whose answer is cached. Such an endpoint takes nothing
    else that differs between two requests of one URL.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        arguments = BoundedMap[tuple[Any, ...], dict[str, Any]](MAX_REMEMBERED_URLS)

        @wraps(endpoint)
        async def remember(request: Request, **given: Any) -> Response:
            key = _key(request.scope)
            if sum(map(len, key)) <= MAX_REMEMBERED_LENGTH:
                arguments.set(key, given)
            response: Response = await endpoint(request=request, **given)
            return response

        self._endpoint, self._arguments = endpoint, arguments
        takes_request = "request" in signature(endpoint).parameters
        super().__init__(path, remember if takes_request else endpoint, **options)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = (
            self._arguments.get(_key(scope)) if scope["method"] in (self.methods or ()) else None
        )
        if given is None:
            await super().handle(scope, receive, send)
            return
        response = await self._endpoint(request=Request(scope, receive, send), **given)
        await response(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        allowed = tuple(parameter.alias for parameter in self.dependant.query_params)

        async def handle(request: Request) -> Response:
            check(request.query_params, allowed)
            return await handler(request)

        return handle


def _key(scope: Scope) -> tuple[Any, ...]:
    return scope["query_string"], *scope["path_params"].values()


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
