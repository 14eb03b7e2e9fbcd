"""A provider at run time: an adapter with a credential, its guards and its health."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from backend.clock import Clock
from backend.errors import (
    LeaseRefused,
    MalformedResponse,
    ProviderError,
    QueryRefused,
    UnexpectedFailure,
    UpstreamFailed,
)
from backend.events import CallRetried, EventSink, ProviderCalled, ProviderStateChanged
from backend.models.account import AccountQuery
from backend.models.answer import Answer, Attempt, Query
from backend.models.status import OFF, LatencyStatus, ProviderState, ProviderStatus, Refusal
from backend.orchestration.calls.access import Access
from backend.orchestration.calls.endpoint import Endpoint
from backend.orchestration.expiring_set import ExpiringSet
from backend.orchestration.health.call_stats import CallStats
from backend.orchestration.health.circuit_breaker import Block, CircuitBreaker, Lease
from backend.orchestration.health.flap_detector import FlapDetector
from backend.orchestration.limits.demand_tracker import DemandTracker
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.window import Cost, Priority
from backend.orchestration.provider_status import instant_of, provider_status
from backend.providers.adapter import ProviderSpec
from backend.providers.unexpected import UnexpectedErrors

T = TypeVar("T")

#: A question that it refused, and would refuse again, is asked again after ten minutes.
QUERY_REFUSAL_S = 600.0
#: What is taken for the usual time of a provider that never answered; and never less than:
USUAL_S, LEAST_USUAL_S = 1.0, 0.05


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider can answer now: in which tier, and with how much of its quota left (0 to 1).

    `budget_wait_s`: seconds until its day's or month's budget has this to spare; 0 where it has,
    or where there is no such budget. `is_flapping`: it failed again and again of late, and comes
    after those that did not, whatever their tiers.
    """

    tier: int
    headroom: float
    budget_wait_s: float = 0.0
    is_flapping: bool = False

    @property
    def rank(self) -> tuple[bool, int]:
        """Who is asked first has the least; equals take turns."""
        return self.is_flapping, self.tier


class Provider:
    """Answers queries within its guards; what goes wrong is told to its breaker."""

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
        """`on_block` gets the block in force after each attempt that may have changed it."""
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
        self._refused = ExpiringSet(clock)
        self._demand = DemandTracker(clock)
        self._access = Access(
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
    def is_configured(self) -> bool:
        return self._breaker.state not in OFF

    @property
    def is_usable(self) -> bool:
        """True when its state admits an attempt, whatever the question."""
        return self._breaker.admits()

    @property
    def may_probe_early(self) -> bool:
        """True while it only rests on our own guess, so that an early probe is harmless."""
        return self._breaker.may_probe_early()

    @property
    def retry_at(self) -> datetime | None:
        """When its state admits again; None while it does, or where no time is set."""
        until = self._breaker.until
        return None if until is None else instant_of(until, self._clock)

    def offer(self, query: Query[Any], *, is_early_probe: bool = False) -> Offer | Refusal:
        """What it would do with `query` now, without doing it."""
        if not self.is_configured:
            return Refusal(self.name, self._breaker.state)
        planned = self._planned(query)
        if planned is None or query in self._refused:
            return Refusal(self.name, "unsupported", detail=self._why_unsupported(query))
        if not (self._breaker.admits() or (is_early_probe and self.may_probe_early)):
            return Refusal(self.name, self._breaker.reason or self._breaker.state, self.retry_at)
        guard, cost, tier = planned
        refused = guard.check(cost, self._priority(query))
        if refused:
            retry_at = instant_of(refused.retry_at, self._clock)
            detail = f"the {refused.window} has nothing to spare"
            return Refusal(
                self.name, "rate_limited", retry_at, detail=detail, window=refused.window
            )
        return Offer(tier, guard.headroom(), guard.budget_wait_s(cost), self._flaps.is_flapping)

    @property
    def usual_s(self) -> float:
        """Seconds that nine of ten of its answers take at most; a guess before the first."""
        p90_ms = self._stats.p90_ms
        return USUAL_S if p90_ms is None else max(p90_ms / 1000, LEAST_USUAL_S)

    def allows_hedging(self, query: Query[Any]) -> bool:
        """True when an answer to `query` costs it nothing worth keeping."""
        planned = self._planned(query)
        return planned is not None and planned[0].allows_hedging(planned[1])

    def interval_s(self, query: Query[Any]) -> float | None:
        """Seconds between refreshes of `query` that its budget affords for ever, together with
        those of all other questions that it is asked these days; None where it can't serve it."""
        if not self.is_usable or query in self._refused:
            return None
        planned = self._planned(query)
        if planned is None:
            return None
        interval_s = planned[0].interval_s(planned[1])
        return interval_s * self._demand.interval_factor(interval_s, query)

    async def fetch(
        self, query: Query[T], timeout_s: float, *, is_early_probe: bool = False
    ) -> Answer[T]:
        """One attempt, all its calls within `timeout_s`. Raises ProviderError."""
        began = self._clock.monotonic()
        lease = self._breaker.acquire(is_early_probe=is_early_probe)
        if lease is None:
            raise self._ended(LeaseRefused(), 0.0)
        try:
            data = await self._answer(query, began + timeout_s)
        except ProviderError as error:
            was = self._breaker.state
            self._record_failure(query, lease, error)
            self._emit_end(query, began, was, error)
            self._ended(error, self._ms_since(began))
            raise
        except BaseException:  # cancelled: no verdict on the provider
            self._breaker.release(lease)
            raise
        self._demand.record(query)
        latency_ms, was = self._ms_since(began), self._breaker.state
        self._breaker.record_success(lease)
        self._on_block(self._breaker.block)
        self._flaps.record_success()
        self._stats.record_success(self._clock.now(), latency_ms)
        self._emit_end(query, began, was, None)
        return Answer(data, self.name, self._clock.now(), latency_ms)

    async def _answer(self, query: Query[T], deadline: float) -> T:
        """As Access gives it. Raises ProviderError and nothing else."""
        try:
            return await self._access.answer(query, deadline)
        except QueryRefused as error:
            if query.is_fixed:  # a 404 in the place of a list: it is down
                raise UpstreamFailed(str(error), http_status=error.http_status) from error
            raise
        except ProviderError:
            raise
        except Exception as error:
            self._unexpected.log(f"an attempt of {self.name}", error)
            raise UnexpectedFailure(type(error).__name__) from error

    async def learn_account(self, timeout_s: float, *, keeps_limits: bool) -> bool:
        """The limits of the key's own plan, where its vendor tells them; else nothing changes.

        False: not now, but it may tell them later.
        """
        offer = self.offer(AccountQuery())
        if isinstance(offer, Refusal):
            return not self.is_configured or offer.reason == "unsupported"
        if self._breaker.state is not ProviderState.ACTIVE:
            return False  # its first attempt after a failure belongs to readers
        try:
            answer = await self.fetch(AccountQuery(), timeout_s)
        except (MalformedResponse, QueryRefused):
            return True
        except ProviderError:
            return False
        self._access.endpoint().guard.redeclare(answer.data, keeps_limits=keeps_limits)
        return True

    def status(self) -> ProviderStatus:
        """Everything that can be told of it; asks nobody."""
        return provider_status(
            self._spec,
            self._breaker,
            self._stats,
            guard=self._access.endpoint().guard if self.is_configured else None,
            key_is_refused=self._access.key_is_refused(),
            clock=self._clock,
        )

    def _planned(self, query: Query[Any]) -> tuple[RateLimitGuard, Cost, int] | None:
        """Who guards the calls that would answer `query`, what they cost, and in which tier they
        are; None where nothing answers it. Never raises: a bug of one vendor's file must not keep
        the others from being asked."""
        endpoint = self._access.endpoint()
        try:
            found = self._access.operation(query, endpoint.plan)
            if found is None:
                return None
            calls = found[0].build(query, self._access.context(endpoint.plan))
        except Exception as error:
            self._unexpected.log(f"the plan of {self.name} for {query.subject}", error)
            return None
        return endpoint.guard, Cost(len(calls), sum(call.weight for call in calls)), found[1]

    def _priority(self, query: Query[Any]) -> Priority:
        if query.is_shared:
            return Priority.SHARED
        return Priority.RECURRENT if self._demand.is_recurrent(query) else Priority.ONE_OFF

    def _why_unsupported(self, query: Query[Any]) -> str:
        if query in self._refused:
            return "it refused this question minutes ago"
        return "it has nothing that answers this question"

    def _record_failure(self, query: Query[Any], lease: Lease, error: ProviderError) -> None:
        if isinstance(error, QueryRefused):
            self._refused.add(query, QUERY_REFUSAL_S)
        self._breaker.record_failure(lease, error)
        self._on_block(self._breaker.block)
        if error.effect is ProviderState.COOLDOWN:
            self._flaps.record_failure()
        if error.effect is not None:
            text = self._redact(f"{error.reason}: {error}")
            self._stats.record_failure(self._clock.now(), text)

    def _ended(self, error: ProviderError, latency_ms: float) -> ProviderError:
        """`error` with the attempt that it ended, and with when to try again."""
        until = self.retry_at
        if until is None and error.retry_after_s is not None:
            until = instant_of(self._clock.monotonic() + error.retry_after_s, self._clock)
        error.attempt = Attempt(self.name, error.reason, latency_ms)
        error.refusal = Refusal(self.name, error.reason, until, str(error))
        return error

    def _emit_retry(self, error: ProviderError, how: str) -> None:
        now = self._clock.now()
        self._emit(CallRetried(now, self.name, error.reason, how, error.http_status))

    def _emit_end(
        self, query: Query[Any], began: float, was: ProviderState, error: ProviderError | None
    ) -> None:
        now, status = self._clock.now(), self._breaker.state
        self._emit(
            ProviderCalled(
                at=now,
                provider=self.name,
                category=query.category,
                outcome=error.reason if error else "ok",
                latency_ms=self._ms_since(began),
                success_rate=self.success_rate,
                http_status=error.http_status if error else None,
                detail=str(error) if error else None,
                retry_at=self.retry_at,
            )
        )
        if status is not was:
            reason = self._breaker.reason
            self._emit(ProviderStateChanged(now, self.name, was, status, reason, self.retry_at))

    def _ms_since(self, began: float) -> float:
        return (self._clock.monotonic() - began) * 1000
