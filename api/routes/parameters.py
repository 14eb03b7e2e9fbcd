"""Query parameters of every route: what is unknown, repeated or empty is refused, never ignored.

Health probes are no exception: whoever configures a probe sees the refusal at once, and a rule with
exceptions would have to be looked up. Pages and their files take any parameter, since browsers and
proxies add some to get past caches.
"""

import re
from collections.abc import Callable, Coroutine, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams

from backend.errors import InvalidParameter, UnknownName, UnknownParameter

#: An answer names so many unknown parameters, and this much of each name.
MOST_NAMED, LONGEST_NAME = 8, 64
MOST_SUGGESTIONS = 3
_BRACKETS = re.compile(r"\[.*$", re.DOTALL)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_COIN = ("symbol", "symbols", "ids")
_INTERVAL = ("interval",)
_START, _END = ("start", "since"), ("end",)
_LIMIT, _OFFSET, _SORT = ("limit", "days"), ("offset",), ("sort",)
#: By the name that other APIs have for it, in snake case: ours, of which a route knows some.
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
    """A route whose query parameters are those that it declares, each given once, none empty."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        allowed = tuple(_declared(self.dependant))

        async def handle(request: Request) -> Response:
            check(request.query_params, allowed)
            return await handler(request)

        return handle


def check(query: QueryParams, allowed: Sequence[str]) -> None:
    """Raises UnknownParameter; InvalidParameter for one that is repeated or empty."""
    given = query.multi_items()
    unknown = dict.fromkeys(name for name, _ in given if name not in allowed)
    if unknown:
        named = [_unknown(name, allowed) for name in list(unknown)[:MOST_NAMED]]
        raise UnknownParameter(named, allowed)
    if len(given) > len(query):
        names = [name for name, _ in given]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidParameter(twice, "is given more than once")
    for name, value in given:
        if not value:
            raise InvalidParameter(name, "is empty: give it a value, or leave it out")


def suggestions(name: str, allowed: Sequence[str]) -> tuple[str, ...]:
    """Which of the allowed names was probably meant, the likeliest first; empty if none is near."""
    plain = _plain(name)
    found = [one for one in (plain, *ALIASES.get(plain, ())) if one in allowed]
    found += get_close_matches(plain, allowed, MOST_SUGGESTIONS)
    return tuple(dict.fromkeys(found))[:MOST_SUGGESTIONS]


def _unknown(name: str, allowed: Sequence[str]) -> UnknownName:
    if len(name) > LONGEST_NAME:  # nobody means one of ours by that
        return UnknownName(f"{name[:LONGEST_NAME]}…")
    return UnknownName(name, suggestions(name, allowed))


def _plain(name: str) -> str:
    """`symbols[]`, `Symbols`, `startTime` and `start-time` without their writer's habits."""
    snake = _CAMEL.sub("_", _BRACKETS.sub("", name.strip()))
    return snake.replace("-", "_").lower()


def _declared(dependant: Dependant) -> Iterator[str]:
    """Names of the query parameters of an endpoint and of what it depends on."""
    yield from (parameter.alias for parameter in dependant.query_params)
    for dependency in dependant.dependencies:
        yield from _declared(dependency)
