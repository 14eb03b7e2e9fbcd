"""Provider states and figures of `/api/status`; times in UTC, durations in milliseconds."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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
    that may change, None if unknown. `window` is our own limit that prevented the call, if one
    did; `budget` if a daily or monthly budget is reserved.
    """

    provider: str
    reason: str
    until: datetime | None = None
    detail: str | None = None
    window: str | None = None


@dataclass(frozen=True, slots=True)
class LatencyStatus:
    """Of the last 100 successful calls, None before the first."""

    last: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Quota:
    """One rate-limit window. `resets_at` is when the oldest counted call leaves it, or when a day
    or month ends. `foreign_usage`: what somebody else spent of it, as far as the provider told;
    `assumed_usage`: of it, what stands for the unknown time before the start;
    `forecast_exhausted_at`: when it is spent if calls go on as lately, null where it resets before.
    """

    window: str
    limit: int
    used: int
    remaining: int
    resets_at: datetime | None
    foreign_usage: int = 0
    assumed_usage: int = 0
    forecast_exhausted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """How far two providers' prices were apart when both told of the same time, in percent.

    `coins` were compared; `largest_of` is the one they differed most about.
    """

    compared_at: datetime
    providers: tuple[str, str]
    coins: int
    median_percentage: float
    largest_percentage: float
    largest_of: str


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """One provider now. `hint` says in words what a user could do about it."""

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
