"""What happened, as frozen values. The core emits them to one sink; logs and metrics consume."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from backend.models.status import ProviderChosen


@dataclass(frozen=True, slots=True)
class ProviderCalled:
    """One attempt's end. `outcome` is `ok` or a reason of the contract."""

    at: datetime
    provider: str
    category: str
    outcome: str
    latency_ms: float
    success_rate: float | None
    http_status: int | None = None
    detail: str | None = None
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallRetried:
    """A call failed inside an attempt that went on. `how` is `another_host`, `same_key`, ..."""

    at: datetime
    provider: str
    reason: str
    how: str
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderStateChanged:
    at: datetime
    provider: str
    was: str
    now: str
    reason: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefreshFailing:
    """A question's refreshes began to fail, or work again (`reason` None)."""

    at: datetime
    category: str
    subject: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class TickFeedChanged:
    """A venue's push connection fell, or ticks come in again (`reason` None)."""

    at: datetime
    provider: str
    reason: str | None
    retry_at: datetime | None = None


Event = (
    ProviderChosen
    | ProviderCalled
    | CallRetried
    | ProviderStateChanged
    | RefreshFailing
    | TickFeedChanged
)
EventSink = Callable[[Event], None]
