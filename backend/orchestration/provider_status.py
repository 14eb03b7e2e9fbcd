"""A provider's entry in `/api/status`."""

from collections.abc import Sequence

from backend.clock import Clock, instant_of
from backend.errors import AuthFailed
from backend.models.status import ProviderState, ProviderStatus, Quota
from backend.orchestration.health.call_stats import CallStats
from backend.orchestration.health.circuit_breaker import CircuitBreaker
from backend.orchestration.limits.ledger import Guard
from backend.providers.adapter import ProviderSpec


def provider_status(
    spec: ProviderSpec,
    breaker: CircuitBreaker,
    stats: CallStats,
    *,
    guard: Guard | None,
    key_is_refused: bool,
    clock: Clock,
) -> ProviderStatus:
    """`guard` is that of the plan in use, None for a provider that is off."""
    until, quotas = breaker.until, guard.quotas() if guard else ()
    return ProviderStatus(
        name=spec.name,
        categories=spec.categories,
        status=breaker.state,
        reason=breaker.reason or (AuthFailed.reason if key_is_refused else None),
        hint=_hint(spec, breaker, key_is_refused) or _assumption_hint(spec, quotas),
        success_rate=stats.success_rate,
        latency_ms=stats.latency,
        consecutive_failures=stats.consecutive_failures,
        requests=stats.requests,
        failures=stats.failures,
        last_success_at=stats.last_success_at,
        last_failure_at=stats.last_failure_at,
        last_error=stats.last_error,
        cooldown_until=None if until is None else instant_of(until, clock),
        quotas=quotas,
    )


def _assumption_hint(spec: ProviderSpec, quotas: Sequence[Quota]) -> str | None:
    if not any(quota.assumed_usage for quota in quotas) or spec.keyed is None:
        return None
    return f"if the key is new, set {spec.name.upper()}_KEY_IS_NEW=true: then no use is assumed"


def _hint(spec: ProviderSpec, breaker: CircuitBreaker, key_is_refused: bool) -> str | None:
    """What a user could do about its state, or what will happen next."""
    if breaker.until is not None and breaker.admits():
        return "its wait is over: the next query will try it"
    match breaker.state:
        case ProviderState.NOT_CONFIGURED:
            return f"set {spec.key_variable} to use it"
        case ProviderState.DISABLED:
            return f"{spec.name.upper()}_ENABLED is false"
        case ProviderState.AUTH_FAILED:
            return f"the key in {spec.key_variable} is refused"
    if key_is_refused:
        return f"the key in {spec.key_variable} is refused: the provider is used without a key"
    return None
