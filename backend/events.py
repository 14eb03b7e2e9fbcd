"""Events as frozen values, emitted to one sink: logs, metrics and the history read them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from backend.models.status import ProviderChosen


@dataclass(frozen=True, slots=True)
class ProviderCalled:
    """An attempt has ended. `outcome` is `ok` or a reason of the contract."""

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
    """A call failed inside an attempt that continued. `how` is `another_host`, `once_more`, ..."""

    at: datetime
    provider: str
    reason: str
    how: str
    #: The HTTP status, if there was one.
    status: int | None = None


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
    """The refreshes of a query began to fail, or work again (`reason` None)."""

    at: datetime
    category: str
    subject: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class TickFeedChanged:
    """A venue's push connection was lost, or delivers ticks again (`reason` None)."""

    at: datetime
    provider: str
    reason: str | None
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RawStreamsChanged:
    """The connection to a venue's raw streams was lost, or is back (`reason` None)."""

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
    | RawStreamsChanged
)
EventSink = Callable[[Event], None]
