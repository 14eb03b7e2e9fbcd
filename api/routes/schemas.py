"""Shapes of responses for the OpenAPI document; nothing is validated by them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from api.edge.problems import STATUS


@dataclass
class AttemptSchema:
    """One provider's outcome in a refresh: `ok`, or why it failed."""

    provider: str
    outcome: str
    latency_ms: float | None


@dataclass
class Meta:
    """Describes one refresh; the same for all clients until the next one."""

    source: str | list[str]
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
class Health:
    """`ok` of `/healthz`, `ready` of `/readyz`."""

    status: Literal["ok", "ready"]


@dataclass
class ProviderReason:
    provider: str
    reason: str
    retry_at: datetime | None
    detail: str | None


@dataclass
class WrongParameter:
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
