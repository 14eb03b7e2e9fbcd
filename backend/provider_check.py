"""Asks each enabled provider once, without a server: what the command's `--check` reports."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from backend.categories import CATEGORIES, HELPERS
from backend.clock import Clock, SystemClock
from backend.errors import AuthFailed, PlanRestricted, ProviderError, ProviderTimeout, QueryRefused
from backend.events import EventSink, ProviderCalled
from backend.models.account import AccountQuery
from backend.models.answer import Query
from backend.models.chains import CHAINS
from backend.models.gas import GasQuery
from backend.models.status import ProviderStatus, Refusal
from backend.orchestration.calls.executor import PlannedCalls
from backend.orchestration.provider import Provider
from backend.orchestration.provider_factory import ProviderFactory
from backend.orchestration.provider_manager import ProviderManager
from backend.providers.adapter import Context, ProviderSpec
from backend.providers.client import ProviderClient, parsed
from backend.providers.registry import REGISTRY
from backend.providers.transport import open_transport
from backend.redaction import Redactor
from backend.settings import Configuration
from backend.storage.contract import discard_invalid
from backend.storage.sqlite_storage import open_storage

OK = "ok"
#: Longest time of one provider's call, in seconds, whatever PROVIDER_TIMEOUT allows.
MOST_CALL_S = 5.0
#: Time beyond a call's own for the counts and the parser, in seconds.
SLACK_S = 2.0
_MARKET = CATEGORIES["market"].provider_query
#: The query whose providers answer a data route.
ROUTES: Mapping[str, Query[Any]] = {
    "/api/market": _MARKET,
    "/api/market/{coin}": _MARKET,
    "/api/market/ohlc": CATEGORIES["ohlc"].provider_query,
    "/api/news": CATEGORIES["news"].provider_query,
    "/api/sentiment": CATEGORIES["sentiment"].provider_query,
    "/api/gas": CATEGORIES["gas"].provider_query,
    "/api/global": CATEGORIES["global"].provider_query,
    "/api/search": _MARKET,
}
#: The first of these that a provider serves is its plain call: a key's account is the cheapest.
_QUERIES: tuple[Query[Any], ...] = (
    AccountQuery(),
    *(row.provider_query for row in (CATEGORIES | HELPERS).values()),
    *(GasQuery(chain=chain.name) for chain in CHAINS.values()),
)


@dataclass(frozen=True, slots=True)
class CheckedProvider:
    """How one provider answered. `outcome` is `ok` or a reason of the contract, which `detail`
    explains.

    `plan` is the one in use, empty for a provider that is off. `latency_ms` is None without a call.
    """

    spec: ProviderSpec
    outcome: str
    detail: str
    latency_ms: float | None
    plan: str
    has_key: bool
    status: ProviderStatus

    @property
    def is_ok(self) -> bool:
        return self.outcome == OK

    @property
    def can_answer(self) -> bool:
        """Also by the plan without a key, where the key is refused."""
        is_refused = self.outcome == AuthFailed.reason and self.has_key
        return self.is_ok or (is_refused and self.spec.keyless is not None)


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """The providers of the settings, with the counts of earlier runs."""

    manager: ProviderManager
    specs: Sequence[ProviderSpec]
    configuration: Configuration
    clock: Clock
    emit: EventSink

    async def ask_all(self) -> AsyncIterator[CheckedProvider]:
        """All at the same time; the results in the order of the registry."""
        named = {provider.name: provider for provider in self.manager.providers}
        tasks = [asyncio.create_task(self.ask(named[spec.name], spec)) for spec in self.specs]
        try:
            for task in tasks:
                yield await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def ask(self, provider: Provider, spec: ProviderSpec) -> CheckedProvider:
        """Makes one call, if the provider is on and its limits have room for it."""
        offer = _offer_of(provider)
        if isinstance(offer, Refusal):
            until = f"until {offer.until:%H:%M:%S} UTC" if offer.until else ""
            detail = "; ".join(filter(None, (offer.detail, until)))
            return self._checked(provider, spec, None, offer.reason, detail)
        began, planned = self.clock.monotonic(), offer.planned
        timeout_s = min(self.configuration.gateway.provider_timeout, MOST_CALL_S)
        outcome, detail, status = OK, "", None
        try:
            async with asyncio.timeout(timeout_s + SLACK_S):
                await self._call(planned, spec, began + timeout_s)
        except ProviderError as error:
            # The account's route may be missing from a plan whose key was accepted.
            is_refused = isinstance(error, PlanRestricted | QueryRefused)
            if not (is_refused and isinstance(planned.query, AccountQuery)):
                outcome, detail, status = error.reason, str(error), error.http_status
        except TimeoutError:
            outcome, detail = ProviderTimeout.reason, f"no answer within {timeout_s + SLACK_S:g} s"
        latency_ms = (self.clock.monotonic() - began) * 1000
        category = planned.query.category
        self.emit(
            ProviderCalled(
                self.clock.now(), spec.name, category, outcome, latency_ms, None, status, detail
            )
        )
        return self._checked(provider, spec, planned, outcome, detail, latency_ms)

    async def _call(self, planned: PlannedCalls[Any], spec: ProviderSpec, deadline: float) -> None:
        endpoint, first = planned.endpoint, planned.calls[0]
        reply = await endpoint.call(first, deadline, lambda _error, _how: None)
        if len(planned.calls) > 1:
            return
        now_ms = int(self.clock.now().timestamp() * 1000)
        context = Context(spec.name, endpoint.plan.name, now_ms, reply.base_url)
        with suppress(QueryRefused):  # no market's price is known, with which candles are compared
            data = parsed(planned.operation.parse, planned.query, [reply.payload], context)
            if isinstance(planned.query, AccountQuery):
                limits = self.configuration.providers[spec.name].limits
                endpoint.guard.redeclare(data, keeps_limits=bool(limits))

    def _checked(
        self,
        provider: Provider,
        spec: ProviderSpec,
        planned: PlannedCalls[Any] | None,
        outcome: str,
        detail: str,
        latency_ms: float | None = None,
    ) -> CheckedProvider:
        return CheckedProvider(
            spec,
            outcome,
            detail,
            latency_ms,
            planned.endpoint.plan.name if planned else "",
            planned is not None and planned.endpoint.credential is not None,
            provider.status(),
        )

    def answering(self, query: Query[Any], names: Iterable[str]) -> tuple[str, ...]:
        """Which of `names` would answer the query, in the order in which they are asked."""
        answered = set(names)
        return tuple(one.name for one in self.manager.able(query) if one.name in answered)


def _offer_of(provider: Provider) -> Any:
    """The offer for the provider's plain call, or why it cannot be asked now."""
    if not provider.is_configured:
        return provider.offer(_QUERIES[0])
    served = [query for query in _QUERIES if provider.has_operation_for(query)]
    return provider.offer(served[0])


@asynccontextmanager
async def open_check(
    configuration: Configuration,
    emit: EventSink,
    *,
    clock: Clock | None = None,
    registry: Sequence[ProviderSpec] = REGISTRY,
) -> AsyncIterator[ProviderCheck]:
    """The check, with the state file open: its calls count like all others."""
    clock = clock or SystemClock()
    storage = open_storage(configuration.gateway.state_path, clock)
    try:
        saved, _ = discard_invalid(await storage.load(), clock.now().timestamp())
        async with ProviderClient(clock, open_transport(configuration.network)) as client:
            factory = ProviderFactory(
                configuration,
                client,
                clock=clock,
                emit=emit,
                jitter=lambda: 1.0,
                redact=Redactor(configuration.secrets()),
                store=storage,
                saved=saved,
            )
            manager = factory.manager(registry)
            try:
                yield ProviderCheck(manager, registry, configuration, clock, emit)
            finally:
                await manager.aclose()
                for ledger in factory.ledgers.values():
                    await ledger.save()
    finally:
        await storage.aclose()
