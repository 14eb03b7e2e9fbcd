"""What a provider tells of itself in `/api/status`: its state in the contract's words."""

from datetime import datetime, timedelta

from backend.clock import Clock
from backend.errors import AuthFailed
from backend.models.status import ProviderState, ProviderStatus, Quota
from backend.orchestration.health.call_stats import CallStats
from backend.orchestration.health.circuit_breaker import CircuitBreaker
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.providers.adapter import ProviderSpec


def provider_status(
    spec: ProviderSpec,
    breaker: CircuitBreaker,
    stats: CallStats,
    *,
    guard: RateLimitGuard | None,
    key_is_refused: bool,
    clock: Clock,
) -> ProviderStatus:
    """`guard` is that of the plan in use, None for a provider that is off."""
    until = breaker.until
    return ProviderStatus(
        name=spec.name,
        categories=spec.categories,
        status=breaker.state,
        reason=breaker.reason or (AuthFailed.reason if key_is_refused else None),
        hint=_hint(spec, breaker, key_is_refused),
        success_rate=stats.success_rate,
        latency_ms=stats.latency,
        consecutive_failures=stats.consecutive_failures,
        requests=stats.requests,
        failures=stats.failures,
        last_success_at=stats.last_success_at,
        last_failure_at=stats.last_failure_at,
        last_error=stats.last_error,
        cooldown_until=None if until is None else instant_of(until, clock),
        quotas=_quotas(guard, clock) if guard else (),
    )


def instant_of(monotonic: float, clock: Clock) -> datetime:
    """The UTC instant of a reading of Clock.monotonic()."""
    return clock.now() + timedelta(seconds=monotonic - clock.monotonic())


def _to_the_second(monotonic: float | None, clock: Clock) -> datetime | None:
    """Two clocks are read one after the other: midnight must not become 23:59:59.999."""
    if monotonic is None:
        return None
    return (instant_of(monotonic, clock) + timedelta(milliseconds=500)).replace(microsecond=0)


def _hint(spec: ProviderSpec, breaker: CircuitBreaker, key_is_refused: bool) -> str | None:
    """What a user could do about its state, or what will happen next."""
    if breaker.until is not None and breaker.admits():
        return "its time is over: the next question that needs it will try it"
    match breaker.state:
        case ProviderState.NOT_CONFIGURED:
            return f"set {spec.key_variable} to use it"
        case ProviderState.DISABLED:
            return f"{spec.name.upper()}_ENABLED is false"
        case ProviderState.AUTH_FAILED:
            return f"the key in {spec.key_variable} is refused"
    if key_is_refused:
        return f"the key in {spec.key_variable} is refused: it goes on without one"
    return None


def _quotas(guard: RateLimitGuard, clock: Clock) -> tuple[Quota, ...]:
    return tuple(
        Quota(
            use.window,
            use.limit,
            use.used,
            max(0, use.limit - use.used),
            _to_the_second(use.resets_at, clock),
            use.foreign_usage,
            use.assumed,
            _to_the_second(use.exhausted_at, clock),
        )
        for use in guard.quotas()
    )
