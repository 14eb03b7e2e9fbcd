"""The composition root: the only file that knows every class, and owns their lives."""

import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx

from backend.cache.cached_source import CachedSource, Freshness
from backend.cache.ttl_cache import TTLCache
from backend.clock import Clock, SystemClock
from backend.events import EventSink
from backend.models.answer import Answer
from backend.models.market import Market, MarketQuery
from backend.models.ohlc import Candles, OhlcQuery
from backend.observability.logs import EventLog
from backend.observability.redaction import Redactor
from backend.orchestration.circuit_breaker import CircuitBreaker, State
from backend.orchestration.endpoint import Credential, Endpoint
from backend.orchestration.hosts import Hosts
from backend.orchestration.provider import Provider
from backend.orchestration.provider_manager import ProviderManager
from backend.orchestration.rate_limit_guard import RateLimitGuard
from backend.providers.adapter import Plan, ProviderSpec, Window
from backend.providers.client import ProviderClient
from backend.providers.registry import REGISTRY
from backend.services.market import MarketService
from backend.services.ohlc import OhlcService
from backend.services.status import StatusService
from backend.services.universe import UniverseSource
from backend.settings import (
    CallLimit,
    Configuration,
    ProviderSettings,
    Settings,
    load_configuration,
)

log = logging.getLogger("gateway")

#: The market is one entry; candles are bounded by their number, about 30 MB of them.
MARKET_ENTRIES = 1
MOST_CANDLES = 100_000
#: Closed candles never change; a day bounds what a wrong one could do.
CLOSED_CANDLES_TTL_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the HTTP floor is given."""

    market: MarketService
    ohlc: OhlcService
    status: StatusService
    manager: ProviderManager
    clock: Clock


def read_configuration() -> Configuration:
    """All settings, the providers' included. Raises SettingsError."""
    return load_configuration(spec.name for spec in REGISTRY)


def _jitter() -> float:
    """Spreads cooldowns, so that providers that fell together don't return together."""
    return random.uniform(0.8, 1.2)  # noqa: S311 - no secret depends on it


@asynccontextmanager
async def open_gateway(
    configuration: Configuration,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    registry: Sequence[ProviderSpec] = REGISTRY,
    emit: EventSink | None = None,
    jitter: Callable[[], float] = _jitter,
) -> AsyncIterator[Gateway]:
    """A gateway that is ready to answer; ends its tasks and connections on leaving."""
    clock, emit = clock or SystemClock(), emit or EventLog()
    settings = configuration.gateway
    async with ProviderClient(clock, transport) as client:
        build = _ProviderBuilder(configuration, client, clock, emit, jitter)
        manager = ProviderManager(
            [build(spec) for spec in registry],
            clock=clock,
            emit=emit,
            deadline_s=settings.request_deadline,
            attempt_timeout_s=settings.provider_timeout,
        )
        _announce(manager, configuration.unused)
        market = _market_source(manager, settings, clock, emit)
        ohlc = _ohlc_source(manager, settings, clock, emit)
        market_service = MarketService(market)
        try:
            yield Gateway(
                market=market_service,
                ohlc=OhlcService(
                    ohlc, market_service, clock=clock, deadline_s=settings.request_deadline
                ),
                status=StatusService(manager, {"market": market, "ohlc": ohlc}, clock=clock),
                manager=manager,
                clock=clock,
            )
        finally:
            await market.aclose()
            await ohlc.aclose()


def _market_source(
    manager: ProviderManager, settings: Settings, clock: Clock, emit: EventSink
) -> CachedSource[MarketQuery, Market]:
    freshness = Freshness(settings.cache_ttl_market, settings.max_stale_market)
    return CachedSource(
        UniverseSource(manager),
        TTLCache[Answer[Market]](clock, MARKET_ENTRIES),
        clock=clock,
        emit=emit,
        freshness=lambda _query, _answer: freshness,
        deadline_s=settings.request_deadline,
    )


def _ohlc_source(
    manager: ProviderManager, settings: Settings, clock: Clock, emit: EventSink
) -> CachedSource[OhlcQuery, Candles]:
    def freshness(query: OhlcQuery, answer: Answer[Candles]) -> Freshness:
        is_history = query.start_ms is not None and all(c.closed for c in answer.data.candles)
        ttl_s = CLOSED_CANDLES_TTL_S if is_history else settings.cache_ttl_ohlc
        return Freshness(ttl_s, settings.max_stale_ohlc)

    return CachedSource(
        manager,
        TTLCache[Answer[Candles]](
            clock, MOST_CANDLES, size=lambda answer: 1 + len(answer.data.candles)
        ),
        clock=clock,
        emit=emit,
        freshness=freshness,
        deadline_s=settings.request_deadline,
    )


@dataclass(frozen=True, slots=True)
class _ProviderBuilder:
    configuration: Configuration
    client: ProviderClient
    clock: Clock
    emit: EventSink
    jitter: Callable[[], float]

    def __call__(self, spec: ProviderSpec) -> Provider:
        settings = self.configuration.providers[spec.name]
        keyed, keyless = self._endpoints(spec, settings)
        return Provider(
            spec,
            keyed=keyed,
            keyless=keyless,
            breaker=self._breaker(_initial_state(settings, keyed, keyless)),
            clock=self.clock,
            emit=self.emit,
            redact=Redactor(self.configuration.secrets()),
        )

    def _endpoints(
        self, spec: ProviderSpec, settings: ProviderSettings
    ) -> tuple[Endpoint | None, Endpoint | None]:
        """With the key and without; limits that a user sets are those of the plan in use."""
        key = settings.api_key.get_secret_value() if settings.api_key else None
        keyed = keyless = None
        if spec.keyed and key:
            keyed = self._endpoint(spec, spec.keyed, settings, key, settings_apply=True)
        if spec.keyless:
            keyless = self._endpoint(
                spec, spec.keyless, settings, None, settings_apply=keyed is None
            )
        return keyed, keyless

    def _endpoint(
        self,
        spec: ProviderSpec,
        plan: Plan,
        settings: ProviderSettings,
        key: str | None,
        *,
        settings_apply: bool,
    ) -> Endpoint:
        limits = settings.limits if settings_apply else ()
        return Endpoint(
            spec.adapter,
            plan,
            hosts=Hosts(self.clock, settings.base_url or plan.base_urls),
            guard=RateLimitGuard(self.clock, _windows(plan, limits)),
            credential=Credential(self.clock, key) if key else None,
            client=self.client,
            clock=self.clock,
        )

    def _breaker(self, state: State) -> CircuitBreaker:
        settings = self.configuration.gateway
        return CircuitBreaker(
            self.clock,
            cooldown_s=settings.cooldown,
            cooldown_max_s=settings.cooldown_max,
            # A probe is over when its attempt is: a little later it is lost.
            lease_s=settings.provider_timeout + 1.0,
            jitter=self.jitter,
            state=state,
        )


def _windows(plan: Plan, limits: Sequence[CallLimit]) -> tuple[Window, ...]:
    """The plan's windows, or a user's in their place, counted as the plan counts that period."""
    if not limits:
        return plan.windows
    declared = {window.period_s: window for window in plan.windows}
    return tuple(
        replace(declared.get(own.period_s, Window(own.limit, own.period_s)), limit=own.limit)
        for own in limits
    )


def _initial_state(
    settings: ProviderSettings, keyed: Endpoint | None, keyless: Endpoint | None
) -> State:
    if not settings.enabled:
        return State.DISABLED
    return State.ACTIVE if keyed or keyless else State.NOT_CONFIGURED


def _announce(manager: ProviderManager, unused: Sequence[str]) -> None:
    """Who can serve what now, which variable would unlock the others, which are set in vain."""
    categories = dict.fromkeys(name for p in manager.providers for name in p.categories)
    chains = {
        name: " > ".join(p.name for p in manager.chain(name) if p.is_usable) or "nobody"
        for name in categories
    }
    text = "; ".join(f"{name}: {chain}" for name, chain in chains.items())
    log.info("Provider Manager initialized  %s", text)
    for provider in manager.providers:
        if hint := provider.status().hint:
            log.info("%s is off: %s", provider.name, hint)
    if unused:
        log.warning("not used by this version: %s", ", ".join(unused))
