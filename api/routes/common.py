"""What the routes share: the gateway, common parameters, and documented errors."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import make_dataclass
from typing import Annotated, Any

from fastapi import Query, Request

from api.cache.formats import Format
from api.edge.problems import PROBLEM, STATUS, TITLES
from api.routes.responder import Responder
from api.routes.schemas import Meta
from backend.errors import InvalidParameter, Unsupported
from backend.gateway import Gateway
from backend.services.market.service import MOST_NAMES


def gateway_of(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def responder_of(request: Request) -> Responder:
    responder: Responder = request.app.state.responder
    return responder


Instant = Annotated[
    str | None,
    Query(
        max_length=40,
        description="ISO date or time, or Unix time in seconds or ms",
        examples=["2026-11-20", "2026-11-20T12:00:00Z", "1795132800"],
    ),
]
#: Currencies of amounts.
CURRENCIES = ("usd",)
Currency = Annotated[
    str | None,
    Query(
        description="currency of all amounts, in any case",
        examples=["usd"],
        json_schema_extra={"enum": list(CURRENCIES)},
    ),
]
VsCurrency = Annotated[
    str | None,
    Query(
        description="another name of `currency`",
        examples=["usd"],
        json_schema_extra={"enum": list(CURRENCIES)},
    ),
]
TableFormat = Annotated[
    Format, Query(description="csv has the rows without `meta`", examples=["csv"])
]

#: Error codes of the edge, of routes that use providers, and of those that also resolve symbols.
EDGE_ERRORS = (
    "unauthorized",
    "body_too_large",
    "uri_too_long",
    "rate_limited",
    "headers_too_large",
)
PROVIDER_ERRORS = (
    "invalid_parameter",
    "unknown_parameter",
    "all_providers_failed",
    "no_provider_configured",
    "quota_exhausted",
    "deadline_exceeded",
)
SYMBOL_ERRORS = (*PROVIDER_ERRORS, "unknown_symbol", "not_ready")


def refuse_other_currencies(currency: str | None, vs_currency: str | None) -> None:
    """Raises Unsupported; InvalidParameter where both names are given."""
    if currency is not None and vs_currency is not None:
        raise InvalidParameter("vs_currency", "is another name of currency: give only one of them")
    refuse_others("currency", currency, CURRENCIES)
    refuse_others("vs_currency", vs_currency, CURRENCIES)


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


def documented(name: str, data: Any, *codes: str) -> dict[int | str, Any]:
    """The `responses` of a data route: the envelope with this name, a CSV table, and errors."""
    envelope = make_dataclass(name, [("data", data), ("meta", Meta)])
    content = {"application/json": {}, "text/csv": {"schema": {"type": "string"}}}
    return {
        200: {"model": envelope, "content": content},
        304: {"description": "unchanged since the ETag in If-None-Match"},
        **documented_errors(*codes),
    }


def documented_errors(*codes: str) -> dict[int | str, Any]:
    """Error responses by status, with the codes of each."""
    texts: dict[int, list[str]] = {}
    for code in codes:
        texts.setdefault(STATUS[code], []).append(f"`{code}`: {TITLES[code]}")
    # The model under its own media type, not under application/json.
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": "; ".join(lines), "content": deepcopy(content)}
        for status, lines in sorted(texts.items())
    }
