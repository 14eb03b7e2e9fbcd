"""Shapes of responses for the OpenAPI document; nothing is validated by them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from backend.models.gas import GasFees
from backend.models.market import Coin
from backend.models.news import Article
from backend.models.ohlc import Candle
from backend.models.sentiment import FearGreed


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
class MarketEnvelope:
    data: list[Coin]
    meta: Meta


@dataclass
class CoinEnvelope:
    data: Coin
    meta: Meta


#: `format=arrays`: timestamp, open, high, low, close, volume.
CandleArray = tuple[int, float, float, float, float, float | None]


@dataclass
class OhlcEnvelope:
    data: list[Candle] | list[CandleArray]
    meta: Meta


@dataclass
class NewsEnvelope:
    data: list[Article]
    meta: Meta


@dataclass
class SentimentEnvelope:
    data: list[FearGreed]
    meta: Meta


@dataclass
class GasEnvelope:
    data: GasFees
    meta: Meta


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
    code: Literal[
        "bad_request",
        "invalid_parameter",
        "unknown_parameter",
        "unsupported",
        "unknown_symbol",
        "not_found",
        "method_not_allowed",
        "no_provider_configured",
        "all_providers_failed",
        "quota_exhausted",
        "not_ready",
        "too_many_clients",
        "deadline_exceeded",
        "internal_error",
        "upgrade_required",
        "unauthorized",
        "rate_limited",
        "uri_too_long",
        "headers_too_large",
        "body_too_large",
    ]
    request_id: str
    hint: str | None = None
    retry_after_seconds: int | None = None
    providers: list[ProviderReason] | None = None
    errors: list[WrongParameter] | None = None
    parameter: str | None = None
    allowed: list[str] | None = None
    available: list[str] | None = None
    suggestions: list[str] | None = None
