"""A provider at run time: an adapter with a credential, its guards and its health."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from backend.clock import Clock
from backend.errors import (
    AuthFailed,
    Effect,
    LeaseRefused,
    MalformedResponse,
    NotAffordable,
    PlanRestricted,
    ProviderError,
    QueryRefused,
    Refusal,
)
from backend.events import CallRetried, EventSink, ProviderCalled, ProviderStateChanged
from backend.models.answer import Answer, Query
from backend.models.status import LatencyStatus, ProviderStatus
from backend.orchestration.call_stats import CallStats
from backend.orchestration.circuit_breaker import OFF, CircuitBreaker, Lease, State
from backend.orchestration.endpoint import Endpoint
from backend.orchestration.memory import Memory
from backend.orchestration.provider_status import instant_of, provider_status
from backend.orchestration.rate_limit_guard import Cost
from backend.orchestration.together import together
from backend.providers.adapter import Context, Operation, Plan, ProviderSpec
from backend.providers.client import parsed

T = TypeVar("T")

#: An operation that a plan refused is asked again after a day.
PLAN_RESTRICTION_S = 86_400.0
#: A question that it refused, and would refuse again, is asked again after ten minutes.
QUERY_REFUSAL_S = 600.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider can answer now: in which tier, and with how much of its quota left (0 to 1)."""

    tier: int
    headroom: float


class Provider:
    """Answers queries within its guards; what goes wrong is told to its breaker.

    `keyed` and `keyless` are the same vendor with and without a key: the second stands in when
    the first one's key is refused. A provider that is off has neither.
    """

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
    ) -> None:
        self.name = spec.name
        self.categories = spec.categories
        self._spec = spec
        self._keyed = keyed
        self._keyless = keyless
        self._breaker = breaker
        self._clock = clock
        self._emit = emit
        self._redact = redact
        self._stats = CallStats()
        self._restricted = Memory(clock)
        self._refused = Memory(clock)

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
    def may_be_forced(self) -> bool:
        """True while it only rests on our own guess, so that an early probe is harmless."""
        return self._breaker.may_be_forced()

    @property
    def retry_at(self) -> datetime | None:
        """When its state admits again; None while it does, or where no time is set."""
        until = self._breaker.until
        return None if until is None else instant_of(until, self._clock)

    def offer(self, query: Query[Any], *, forced: bool = False) -> Offer | Refusal:
        """What it would do with `query` now, without doing it."""
        if not self.is_configured:
            return Refusal(self.name, self._breaker.state)
        endpoint = self._endpoint()
        found = self._operation(query, endpoint.plan)
        if found is None:
            return Refusal(self.name, "unsupported", detail=self._why_unsupported(query))
        if not (self._breaker.admits() or (forced and self.may_be_forced)):
            return Refusal(self.name, self._breaker.reason or self._breaker.status, self.retry_at)
        operation, tier = found
        calls = operation.build(query, self._context(endpoint.plan))
        refused = endpoint.guard.check(Cost(len(calls), sum(call.weight for call in calls)))
        if refused:
            return Refusal(self.name, "rate_limited", instant_of(refused.retry_at, self._clock))
        return Offer(tier, endpoint.guard.headroom())

    async def fetch(self, query: Query[T], timeout_s: float, *, forced: bool = False) -> Answer[T]:
        """One attempt, all its calls within `timeout_s`. Raises ProviderError."""
        lease = self._breaker.acquire(forced=forced)
        if lease is None:
            raise LeaseRefused
        began = self._clock.monotonic()
        try:
            data = await self._answer(query, began + timeout_s)
        except ProviderError as error:
            was = self._breaker.status
            self._record_failure(query, lease, error)
            self._emit_end(query, began, was, error)
            raise
        except BaseException:  # cancelled, or our own bug: no verdict on the provider
            self._breaker.release(lease)
            raise
        latency_ms, was = self._ms_since(began), self._breaker.status
        self._breaker.record_success(lease)
        self._stats.record_success(self._clock.now(), latency_ms)
        self._emit_end(query, began, was, None)
        return Answer(data, self.name, self._clock.now(), latency_ms)

    def status(self) -> ProviderStatus:
        """Everything that can be told of it; asks nobody."""
        return provider_status(
            self._spec,
            self._breaker,
            self._stats,
            guard=self._endpoint().guard if self.is_configured else None,
            key_is_refused=self._key_is_refused(),
            clock=self._clock,
        )

    def _endpoint(self) -> Endpoint:
        """The keyed one while its key is good, else what there is."""
        usable = self._keyed if not self._key_is_refused() else self._keyless
        endpoint = usable or self._keyless or self._keyed
        assert endpoint is not None, "a provider with no endpoint is off"
        return endpoint

    def _key_is_refused(self) -> bool:
        credential = self._keyed.credential if self._keyed else None
        return credential is not None and not credential.is_usable()

    def _operation(self, query: Query[Any], plan: Plan) -> tuple[Operation, int] | None:
        """The first operation that can serve `query` under `plan`, with its tier."""
        if self._refused.holds(query):
            return None
        context = self._context(plan)
        for operation in self._spec.adapter.operations_for(query):
            tier = operation.serves(query, context)
            is_restricted = self._restricted.holds((plan.name, operation.name))
            if tier is not None and not is_restricted:
                return operation, tier + self._spec.tier
        return None

    def _why_unsupported(self, query: Query[Any]) -> str:
        if self._refused.holds(query):
            return "it refused this question minutes ago"
        return "it has nothing that answers this question"

    def _context(self, plan: Plan) -> Context:
        return Context(self.name, plan.name, int(self._clock.now().timestamp() * 1000))

    async def _answer(self, query: Query[T], deadline: float) -> T:
        """Under the plan in force; a key that is refused twice gives way to none."""
        endpoint = self._endpoint()
        try:
            return await self._answer_from(endpoint, query, deadline)
        except AuthFailed as error:
            # A single 401 may be a hiccup; only its repetition condemns a key.
            self._emit_retry(error, "once_more")
            refusal = error
        # Meanwhile another attempt may have condemned it: then there is nothing to confirm.
        endpoint = self._endpoint()
        try:
            return await self._answer_from(endpoint, query, deadline)
        except NotAffordable:  # no second call is to be had for a long time: believe the first
            raise refusal from None
        except AuthFailed as error:
            if endpoint.credential is None or self._keyless is None:
                raise
            endpoint.credential.refuse()
            self._emit_retry(error, "no_key")
        return await self._answer_from(self._keyless, query, deadline)

    async def _answer_from(self, endpoint: Endpoint, query: Query[T], deadline: float) -> T:
        """By the first operation that the plan really includes."""
        refused: ProviderError = PlanRestricted("the plan has no operation for this")
        while found := self._operation(query, endpoint.plan):
            try:
                return await self._perform(found[0], endpoint, query, deadline)
            except PlanRestricted as error:
                self._restricted.note((endpoint.plan.name, found[0].name), PLAN_RESTRICTION_S)
                refused = error
        raise refused

    async def _perform(
        self, operation: Operation, endpoint: Endpoint, query: Query[T], deadline: float
    ) -> T:
        first, *rest = operation.build(query, self._context(endpoint.plan))
        # The first one tells whether the others are worth their price; they go out together.
        payloads = [await endpoint.call(first, deadline, self._emit_retry)]
        payloads += await together(endpoint.call(call, deadline, self._emit_retry) for call in rest)
        parse: Callable[[], T] = partial(
            parsed, operation.parse, query, payloads, self._context(endpoint.plan)
        )
        try:
            return await asyncio.to_thread(parse) if operation.parse_in_thread else parse()
        except MalformedResponse:
            endpoint.blame()
            raise

    def _record_failure(self, query: Query[Any], lease: Lease, error: ProviderError) -> None:
        if isinstance(error, QueryRefused):
            self._refused.note(query, QUERY_REFUSAL_S)
        self._breaker.record_failure(lease, error)
        if error.effect is not Effect.NEUTRAL:
            text = self._redact(f"{error.reason}: {error}")
            self._stats.record_failure(self._clock.now(), text)

    def _emit_retry(self, error: ProviderError, how: str) -> None:
        now = self._clock.now()
        self._emit(CallRetried(now, self.name, error.reason, how, error.http_status))

    def _emit_end(
        self, query: Query[Any], began: float, was: State, error: ProviderError | None
    ) -> None:
        now, status = self._clock.now(), self._breaker.status
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
