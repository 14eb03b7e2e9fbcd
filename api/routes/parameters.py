"""Query parameters: the ones that routes share, and the refusal of all that are not declared.

Unknown, repeated and empty parameters are refused, never ignored. This holds for health probes too:
a wrongly configured probe fails at once. Pages and their files accept any parameter, as browsers
and proxies add some to bypass caches.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any

from fastapi import Query
from starlette.datastructures import QueryParams

from api.cache.formats import Format
from backend.errors import InvalidParameter, UnknownName, UnknownParameter, Unsupported
from backend.identity.currencies import CURRENCIES
from backend.identity.instruments import BOOK_CURRENCIES, DOLLAR
from backend.services.market.service import MOST_NAMES

#: Unknown parameters that an error names, characters of each name, and suggestions for each.
MAX_NAMED, MAX_NAME_LENGTH, MAX_SUGGESTIONS = 8, 64, 3
_BRACKETS = re.compile(r"\[.*$", re.DOTALL)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

#: The names that other APIs use, in snake case, and our parameters that they may mean.
_SYNONYMS = {
    "coin coins pair pairs ticker tickers asset base fsym fsyms": "symbol symbols ids",
    "instrument inst_id product_id": "symbol symbols ids",
    "currencies symbol names": "symbols",
    "symbols": "symbol",
    "id": "ids symbol",
    "name": "symbols symbol source",
    "timeframe granularity resolution period bar": "interval",
    "from start start_time time_start since after start_date from_date": "start since",
    "to end_time until before end_date to_date": "end",
    "count per_page page_size size top n limit": "limit days",
    "page skip start_at cursor": "offset",
    "order order_by sort_by sort_dir": "sort",
    "convert quote quotes fiat vs tsym tsyms": "currency",
    "network blockchain chain_id": "chain",
    "type output fmt output_format": "format",
    "mood filter kind": "sentiment",
    "provider publisher domains sources": "source",
    "channel topic topics streams": "channels",
}
ALIASES = {
    name: tuple(meant.split()) for names, meant in _SYNONYMS.items() for name in names.split()
}


def choice(description: str, values: Sequence[str]) -> Any:
    """A parameter whose values are documented here and checked by `refuse_others`."""
    values = list(values)
    return Query(description=description, examples=values[:1], json_schema_extra={"enum": values})


Instant = Annotated[
    str | None,
    Query(
        max_length=40,
        description="ISO date or time, or Unix time in seconds or ms",
        examples=["2026-11-20", "2026-11-20T12:00:00Z", "1795132800"],
    ),
]
#: Currencies of amounts, and of the books from which candles come.
AMOUNTS = tuple(code.lower() for code in CURRENCIES)
BOOKS = tuple(code.lower() for code in (DOLLAR, *BOOK_CURRENCIES))
Currency = Annotated[
    str | None, choice("currency of all amounts, in any case; default `usd`", AMOUNTS)
]
VsCurrency = Annotated[str | None, choice("another name of `currency`", AMOUNTS)]
BookCurrency = Annotated[
    str | None,
    choice("quote currency of the books, in any case; default `usd`: never converted", BOOKS),
]
VsBookCurrency = Annotated[str | None, choice("another name of `currency`", BOOKS)]
TableFormat = Annotated[
    Format, Query(description="csv has the rows without `meta`", examples=["csv"])
]


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


def currency_of(
    currency: str | None, vs_currency: str | None, available: Sequence[str] = AMOUNTS
) -> str:
    """The code in capitals, USD by default. Raises Unsupported with the available ones;
    InvalidParameter where both names are given."""
    if currency is not None and vs_currency is not None:
        raise InvalidParameter("vs_currency", "is another name of currency: give only one of them")
    refuse_others("currency", currency, available)
    refuse_others("vs_currency", vs_currency, available)
    return (currency or vs_currency or DOLLAR).upper()


def refuse_others(parameter: str, value: str | None, available: Sequence[str]) -> None:
    """Raises Unsupported for a value that is not available. Case does not matter."""
    if value is not None and value.lower() not in available:
        raise Unsupported(parameter, value, available)


def comma_list(parameter: str, *lists: str | None) -> tuple[str, ...]:
    """The unique parts of comma lists. Raises InvalidParameter on too many."""
    if not any(lists):
        return ()
    parts = [part.strip() for names in lists if names for part in names.split(",")]
    unique = tuple(dict.fromkeys(part for part in parts if part))
    if not unique and any(names is not None for names in lists):
        raise InvalidParameter(parameter, "must not be empty: give a value, or omit it")
    if len(unique) > MOST_NAMES:
        raise InvalidParameter(parameter, f"at most {MOST_NAMES} names per request")
    return unique
