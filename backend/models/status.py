"""What `/api/status` tells of the providers; instants in UTC, durations in milliseconds."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LatencyStatus:
    """Of the last 100 successful calls, None before the first."""

    last: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Quota:
    """One rate-limit window. `resets_at` is when the oldest counted call leaves it."""

    window: str
    limit: int
    used: int
    remaining: int
    resets_at: datetime | None


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
