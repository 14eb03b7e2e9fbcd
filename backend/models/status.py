"""Provider states and the documents of `/api/status`; times in UTC, durations in milliseconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from backend.models.cluster import SINGLE, ClusterStatus
from backend.models.ticks import TickStatus

Health = Literal["ok", "degraded", "down"]


class ProviderState(StrEnum):
    """Whether a provider can be called, and if not, why. The values are part of the contract."""

    ACTIVE = "active"
    COOLDOWN = "cooldown"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    AUTH_FAILED = "auth_failed"
    GEO_BLOCKED = "geo_blocked"
    NOT_CONFIGURED = "not_configured"
    DISABLED = "disabled"


#: States of a provider that the settings switch off.
OFF = (ProviderState.NOT_CONFIGURED, ProviderState.DISABLED)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one provider did not answer a query, or was not called at all.

    `reason` is a word of the contract, `detail` explains it. `until` is the earliest time at which
    that may change, null if unknown. `window` is our own limit that prevented the call, if one
    did; `budget` if a daily or monthly budget is reserved.
    """

    provider: str
    reason: str
    until: datetime | None = None
    detail: str | None = None
    window: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderChosen:
    """The choice of a provider for one attempt; `provider` is null if none was eligible."""

    at: datetime
    category: str
    provider: str | None
    reason: str
    passed_over: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class LatencyStatus:
    """Latencies of the last 100 successful calls, null before the first."""

    last: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Quota:
    """The usage of one rate-limit window.

    `resets_at`: when the oldest counted call leaves the window, or when the day or month ends.
    `foreign_usage`: the part that other clients used, as far as the provider reports it.
    `assumed_usage`: the part that is only assumed, for time before the start without records;
    `called`: the rest of `used`, calls that were made.
    `calls_per_hour`: the pace at which a daily or monthly budget is spent now, null for others.
    `forecast_exhausted_at`: when it is used up at the current rate, null if it resets before.
    """

    window: str
    limit: int
    used: int
    remaining: int
    resets_at: datetime | None
    foreign_usage: int = 0
    assumed_usage: int = 0
    called: int = 0
    calls_per_hour: float | None = None
    forecast_exhausted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """The difference between two providers' prices of the same time, in percent.

    `coins` is the number of coins compared, `largest_of` the coin with the largest difference.
    """

    compared_at: datetime
    providers: tuple[str, str]
    coins: int
    median_percentage: float
    largest_percentage: float
    largest_of: str


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """One provider now. `hint` says what a user can do about its state, or what happens next."""

    name: str
    categories: tuple[str, ...]
    status: str
    reason: str | None
    hint: str | None
    success_rate: float | None
    latency_ms: LatencyStatus
    consecutive_failures: int
    requests: int
    failures: int
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str | None
    cooldown_until: datetime | None
    quotas: tuple[Quota, ...]


@dataclass(frozen=True, slots=True)
class CategoryStatus:
    """One category now. `providers` can answer its plain query, in the order of their tiers.

    `age_seconds` and `next_refresh_at` describe the newest cached answer. `ttl_effective_seconds`
    is the refresh interval that the budgets allow permanently; `ttl_note` explains it if it is
    longer than the setting. Answers older than `max_stale_seconds` are not served.
    """

    status: Health
    providers: tuple[str, ...]
    fresh: bool
    age_seconds: float | None
    next_refresh_at: datetime | None
    ttl_effective_seconds: float
    ttl_note: str | None
    max_stale_seconds: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """`/api/status/explain`: the provider that would be chosen now for the plain query, and why."""

    category: str
    chosen: str | None
    reason: str
    passed_over: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """The counters of all caches together."""

    entries: int
    hits: int
    misses: int
    stale_served: int


@dataclass(frozen=True, slots=True)
class WebSocketStatus:
    """The stream's counters: clients now, frames sent, frames that slow clients missed."""

    clients: int = 0
    messages_sent: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class LeaderStatus:
    """What the leader of a cluster tells the others: the providers, which it alone calls.

    `explanations` are by category.
    """

    categories: Mapping[str, CategoryStatus]
    providers: tuple[ProviderStatus, ...]
    rotation: tuple[ProviderChosen, ...]
    explanations: Mapping[str, Explanation]
    ticks: TickStatus | None
    spread: Spread | None


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """`/api/status`. `spread` is null until two providers gave prices of the same time.

    `cluster` says whether this process is the whole gateway. At a follower, `providers`,
    `rotation`, `ticks`, `spread` and the `categories` are the leader's, up to 2 s old; `fresh`,
    `age_seconds` and everything else are this process's own.
    """

    status: Health
    version: str
    uptime_seconds: float
    categories: Mapping[str, CategoryStatus]
    providers: tuple[ProviderStatus, ...]
    rotation: tuple[ProviderChosen, ...]
    cache: CacheStatus
    websocket: WebSocketStatus
    ticks: TickStatus | None
    spread: Spread | None = None
    cluster: ClusterStatus = SINGLE
