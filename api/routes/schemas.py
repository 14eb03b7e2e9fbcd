"""What the OpenAPI document says of responses: shapes and errors. Nothing is validated by them."""

from copy import deepcopy
from dataclasses import dataclass, make_dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from api.edge.problems import PROBLEM, STATUS, TITLES

#: The group of all facades in the document.
FACADE_TAG = "Drop-in"
#: The answer to a request with If-None-Match; an operation that has it answers with data.
UNCHANGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "unchanged since the ETag in If-None-Match"}
}
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


@dataclass
class AttemptSchema:
    """One provider's outcome in a refresh: `ok`, or why it failed."""

    provider: str
    outcome: str
    latency_ms: float | None


@dataclass
class FxSchema:
    """The exchange rate that converted the amounts: units of the currency for one dollar."""

    source: str
    rate: float
    as_of: datetime


@dataclass
class Meta:
    """Describes one refresh; the same for all clients until the next one."""

    source: str | list[str]
    sources: list[str]
    latency_ms: float | None
    fetched_at: datetime
    expires_at: datetime
    stale: bool
    stale_reason: str | None
    tried: list[AttemptSchema]
    count: int
    total: int
    warnings: list[str]


@dataclass
class MoneyMeta(Meta):
    """As Meta, for amounts of money; `fx` is null for amounts that were not converted."""

    currency: str
    fx: FxSchema | None


@dataclass
class Health:
    """`ok` of `/healthz`, `ready` of `/readyz`."""

    status: Literal["ok", "ready"]


@dataclass
class ProviderReason:
    """Why one provider gave no answer."""

    provider: str
    reason: str
    retry_at: datetime | None
    detail: str | None


@dataclass
class WrongParameter:
    """One parameter that was refused."""

    parameter: str
    detail: str
    allowed: list[str] | None
    suggestions: list[str] | None = None


@dataclass
class Problem:
    """Problem details (RFC 9457). Members after `request_id` belong to some errors only."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: Annotated[str, Field(json_schema_extra={"enum": list(STATUS)})]
    request_id: str
    hint: str | None = None
    retry_after_seconds: int | None = None
    providers: list[ProviderReason] | None = None
    errors: list[WrongParameter] | None = None
    parameter: str | None = None
    allowed: list[str] | None = None
    available: list[str] | None = None
    suggestions: list[str] | None = None


def documented(name: str, data: Any, *codes: str, meta: type[Meta] = Meta) -> dict[int | str, Any]:
    """The `responses` of a data route: the envelope with this name, a CSV table, and errors."""
    described = {
        "__doc__": "An answer: the data, and its provenance.",
        # Only the document needs it: building all of them takes 10 ms of the start.
        "__pydantic_config__": ConfigDict(defer_build=True),
    }
    envelope = make_dataclass(name, [("data", data), ("meta", meta)], namespace=described)
    content = {"application/json": {}, "text/csv": {"schema": {"type": "string"}}}
    return {
        200: {"model": envelope, "content": content},
        **UNCHANGED,
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
