"""A provider: a vendor's adapter in use, with its key, limits and health."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backend.bounded_map import BoundedMap
from backend.clock import Clock, instant_of
from backend.errors import (
    LeaseRefused,
    ProviderError,
    QueryRefused,
    UnexpectedFailure,
    UpstreamFailed,
)
from backend.events import CallRetried, EventSink, ProviderCalled, ProviderStateChanged
from backend.models.answer import Answer, Attempt, Query, T
from backend.models.status import (
    OFF,
    LatencyStatus,
    ProviderState,
    ProviderStatus,
    Quota,
    Refusal,
)
from backend.orchestration.calls.endpoint import Endpoint
from backend.orchestration.calls.executor import Executor, PlannedCalls
from backend.orchestration.health.call_stats import CallStats, FlapDetector
from backend.orchestration.health.circuit_breaker import Block, CircuitBreaker, Lease
from backend.orchestration.limits.demand_tracker import DemandTracker
from backend.orchestration.limits.window import Priority
from backend.orchestration.provider_status import provider_status
from backend.providers.adapter import ProviderSpec
from backend.providers.unexpected import UnexpectedErrors

NO_OPERATION = "it has no operation that answers this query"


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider can answer a query now, by the calls of `planned`.

    `headroom`: remaining share of its limits, 0 to 1. `budget_wait_s`: seconds until its daily or
    monthly budget can spare the calls; 0 where it can, or where it has no such budget.
    `is_flapping`: it failed repeatedly of late, and comes after providers that did not.
    `is_early_probe`: its cooldown is not over.
    """

    provider: "Provider"
    planned: PlannedCalls[Any]
    headroom: float
    budget_wait_s: float = 0.0
    is_flapping: bool = False
    is_early_probe: bool = False

    @property
    def tier(self) -> int:
        return self.planned.tier

    @property
    def rank(self) -> tuple[bool, int]:
        """The lowest rank is asked first; providers of equal rank take turns."""
        return self.is_flapping, self.tier

    @property
    def allows_hedging(self) -> bool:
        """True when a second, perhaps wasted, call costs the provider nothing worth keeping."""
        return self.planned.endpoint.guard.allows_hedging(self.planned.cost)


class Provider:
    """A vendor in use: answers queries within its limits, and records its own health."""

    def __init__(
        self,
        spec: ProviderSpec,
        *,
        keyed: Endpoint | None,
        keyless: Endpoint | None,
        breaker: CircuitBreaker,
        clock: Clock,
        emit: EventSink,
        redact: Callable[[str], str] = str,
        on_block: Callable[[Block | None], None] = lambda _block: None,
    ) -> None:
        """`on_block` receives the block in force after each attempt that may have changed it."""
        self.name = spec.name
        self.categories = spec.categories
        self._spec = spec
        self._breaker = breaker
        self._clock = clock
        self._emit = emit
        self._redact = redact
        self._on_block = on_block
        self._stats = CallStats()
        self._flaps = FlapDetector(clock)
        self._unexpected = UnexpectedErrors()
        #: Queries that the provider refused. They are not sent to it for ten minutes.
        self._refused = BoundedMap[Query[Any], bool](1_024, ttl_s=600.0, timer=clock.monotonic)
        #: Of the gateway's own queries, and of those that are passed through: each shares out its
        #: part of a budget.
        self._demand, self._passed_demand = DemandTracker(clock), DemandTracker(clock)
        self._executor = Executor(
            spec, keyed=keyed, keyless=keyless, clock=clock, on_retry=self._emit_retry
        )

    def __repr__(self) -> str:
        return f"<Provider {self.name} {self._breaker!r}>"

    @property
    def success_rate(self) -> float | None:
        """0 to 1 over the last 100 calls, None before the first."""
        return self._stats.success_rate

    @property
    def latency(self) -> LatencyStatus:
        """Of the last 100 successful calls, in milliseconds."""
        return self._stats.latency

    @property
    def consecutive_failures(self) -> int:
        return self._stats.consecutive_failures

    @property
    def state(self) -> ProviderState:
        return self._breaker.state

    @property
    def is_configured(self) -> bool:
        """False where the settings switch it off, or a required key is missing."""
        return self.state not in OFF

    @property
    def is_usable(self) -> bool:
        """True when its state admits an attempt, whatever the query."""
        return self._breaker.admits()

    @property
    def retry_at(self) -> datetime | None:
        """When its state admits again; None while it does, or where no time is set."""
        until = self._breaker.until
        return None if until is None else instant_of(until, self._clock)

    @property
    def usual_s(self) -> float:
        """The 90th percentile of its answer times, in seconds; a guess before the first answer."""
        return self._stats.usual_s

    @property
    def quotas(self) -> tuple[Quota, ...]:
        """The windows of the plan in use; none of a provider that is off."""
        return self._executor.endpoint().guard.quotas() if self.is_configured else ()

    def offer(self, query: Query[Any], *, is_early_probe: bool = False) -> Offer | Refusal:
        """The calls that would answer `query` now, or why it cannot be asked. Makes no call."""
        if not self.is_configured:
            return Refusal(self.name, self._breaker.state)
        if query in self._refused:
            detail = "it refused this query less than ten minutes ago"
            return Refusal(self.name, "unsupported", detail=detail)
        planned = self._plan(query)
        if planned is None:
            return Refusal(self.name, "unsupported", detail=NO_OPERATION)
        if not self._breaker.admits(is_early_probe=is_early_probe):
            return Refusal(self.name, self._breaker.reason or self._breaker.state, self.retry_at)
        guard, cost, priority = planned.endpoint.guard, planned.cost, self._priority(query)
        refused = guard.check(cost, priority)
        if refused:
            until, window = instant_of(refused.retry_at, self._clock), refused.window
            detail = refused.detail or f"the limit per {window} has nothing to spare"
            return Refusal(self.name, "rate_limited", until, detail, window)
        return Offer(
            self,
            planned,
            guard.headroom(),
            max(
                guard.budget_wait_s(cost, priority),
                self._share_wait_s(query, planned),
            ),
            self._flaps.is_flapping,
            is_early_probe,
        )

    def has_operation_for(self, query: Query[Any]) -> bool:
        """False if none of its operations answers `query`, whatever its state."""
        return not self.is_configured or self._plan(query) is not None

    def interval_s(self, query: Query[Any]) -> float | None:
        """Seconds between refreshes of `query` that its budget affords for ever, together with
        those of the other queries in demand; None where it can't answer it."""
        planned = None if query in self._refused or not self.is_usable else self._plan(query)
        if planned is None:
            return None
        return self._share_s(query, planned)

    def rank_for(self, query: Query[Any]) -> tuple[bool, int] | None:
        """As the rank of its offer for `query`; None where it can't answer it now."""
        planned = None if query in self._refused or not self.is_usable else self._plan(query)
        return None if planned is None else (self._flaps.is_flapping, planned.tier)

    async def fetch(
        self, query: Query[T], timeout_s: float, *, offer: Offer | None = None
    ) -> Answer[T]:
        """One attempt: all its calls end within `timeout_s`. Raises ProviderError.

        `offer` is this provider's, made just now; without one the calls are planned here.
        """
        began = self._clock.monotonic()
        lease = self._breaker.acquire(is_early_probe=offer is not None and offer.is_early_probe)
        if lease is None:
            raise self._ended(LeaseRefused(), 0.0)
        deadline = began + timeout_s
        try:
            planned = offer.planned if offer else self._executor.plan(query)
            data = await self._executor.execute(planned, query, deadline)
        except Exception as cause:
            error = self._as_provider_error(cause, query)
            self._ended(error, self._record(query, lease, began, error))
            if error is cause:
                raise
            raise error from cause
        except BaseException:  # cancelled: this says nothing about the provider
            self._breaker.release(lease)
            raise
        latency_ms = self._record(query, lease, began, None)
        return Answer(data, self.name, self._clock.now(), latency_ms)

    def status(self) -> ProviderStatus:
        """The provider's entry in `/api/status`, without I/O."""
        return provider_status(
            self._spec,
            self._breaker,
            self._stats,
            guard=self._executor.endpoint().guard if self.is_configured else None,
            key_is_refused=self._executor.key_is_refused(),
            clock=self._clock,
        )

    def _as_provider_error(self, cause: Exception, query: Query[Any]) -> ProviderError:
        if isinstance(cause, QueryRefused) and query.is_fixed:
            # A 404 in the place of a list: the provider is at fault, not the query.
            return UpstreamFailed(str(cause), http_status=cause.http_status)
        if isinstance(cause, ProviderError):
            return cause
        self._unexpected.log(f"an attempt of {self.name}", cause)
        return UnexpectedFailure(type(cause).__name__)

    def _plan(self, query: Query[Any]) -> PlannedCalls[Any] | None:
        """None where no operation answers `query`. Never raises: a bug in one vendor's file must
        not keep the other providers from being asked."""
        try:
            return self._executor.plan(query)
        except Exception as error:
            self._unexpected.log(f"the plan of {self.name} for {query.subject}", error)
            return None

    def _share_s(self, query: Query[Any], planned: PlannedCalls[Any]) -> float:
        """Seconds between answers to `query` that leave the others their share of a budget."""
        guard = planned.endpoint.guard
        interval_s = guard.interval_s(planned.cost, self._priority(query))
        if not interval_s:
            return 0.0
        reserved = 0.0 if query.is_pass_through else guard.passed_part
        return interval_s * self._demand_of(query).interval_factor(interval_s, query, reserved)

    def _share_wait_s(self, query: Query[Any], planned: PlannedCalls[Any]) -> float:
        """Seconds until `query` has its next share of the budget; 0 where it has."""
        asked_s_ago = self._demand_of(query).answered_s_ago(query)
        return max(0.0, self._share_s(query, planned) - asked_s_ago)

    def _demand_of(self, query: Query[Any]) -> DemandTracker:
        return self._passed_demand if query.is_pass_through else self._demand

    def _priority(self, query: Query[Any]) -> Priority:
        if query.is_pass_through:
            return Priority.PASS_THROUGH
        if query.is_shared:
            return Priority.SHARED
        return Priority.RECURRENT if self._demand.is_recurrent(query) else Priority.ONE_OFF

    def _ended(self, error: ProviderError, latency_ms: float) -> ProviderError:
        """`error`, with the attempt that it ended and the earliest time to ask again."""
        until = self.retry_at
        if until is None and error.retry_after_s is not None:
            until = instant_of(self._clock.monotonic() + error.retry_after_s, self._clock)
        error.attempt = Attempt(self.name, error.reason, latency_ms)
        error.refusal = Refusal(self.name, error.reason, until, str(error))
        return error

    def _emit_retry(self, error: ProviderError, how: str) -> None:
        now = self._clock.now()
        self._emit(CallRetried(now, self.name, error.reason, how, error.http_status))

    def _record(
        self, query: Query[Any], lease: Lease, began: float, error: ProviderError | None
    ) -> float:
        """Records how an attempt ended; returns its latency in milliseconds."""
        was, now = self._breaker.state, self._clock.now()
        latency_ms = (self._clock.monotonic() - began) * 1000
        if error is None:
            self._demand_of(query).record(query)
            self._breaker.record_success(lease)
            self._flaps.record_success()
            self._stats.record_success(now, latency_ms)
        else:
            self._record_failure(query, lease, error)
        self._on_block(self._breaker.block)
        status = self._breaker.state
        self._emit(
            ProviderCalled(
                at=now,
                provider=self.name,
                category=query.category,
                outcome=error.reason if error else "ok",
                latency_ms=latency_ms,
                success_rate=self.success_rate,
                http_status=error.http_status if error else None,
                detail=str(error) if error else None,
                retry_at=self.retry_at,
            )
        )
        if status is not was:
            reason = self._breaker.reason
            self._emit(ProviderStateChanged(now, self.name, was, status, reason, self.retry_at))
        return latency_ms

    def _record_failure(self, query: Query[Any], lease: Lease, error: ProviderError) -> None:
        if isinstance(error, QueryRefused):
            self._refused.set(query, True)
        self._breaker.record_failure(lease, error)
        if error.effect is ProviderState.COOLDOWN:
            self._flaps.record_failure()
        if error.effect is not None:
            text = self._redact(f"{error.reason}: {error}")
            self._stats.record_failure(self._clock.now(), text)
