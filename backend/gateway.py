"""The composition root: the only file that knows every class, and owns their lives."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from backend.cache.cached_source import CachedSource
from backend.cache.freshness import (
    Freshness,
    always,
    ohlc_freshness,
    sentiment_freshness,
)
from backend.cache.ttl_cache import TTLCache
from backend.clock import Clock, SystemClock
from backend.events import Event, EventSink
from backend.models.answer import Answer, Query, Source
from backend.models.gas import GasQuery
from backend.models.market import QuotesQuery
from backend.models.news import ReportsQuery
from backend.models.ohlc import Interval, OhlcQuery
from backend.models.sentiment import SentimentQuery
from backend.observability.event_log import EventLog
from backend.observability.history import RotationHistory
from backend.observability.redaction import Redactor
from backend.orchestration.fan_out import FanOut
from backend.orchestration.provider_factory import ProviderFactory, keyed_plan
from backend.orchestration.provider_manager import ProviderManager
from backend.orchestration.tick_stream import TickStream
from backend.providers.adapter import ProviderSpec
from backend.providers.client import ProviderClient
from backend.providers.registry import REGISTRY
from backend.services.gas import GasService
from backend.services.live import LiveService
from backend.services.market import MarketService
from backend.services.news import NewsService
from backend.services.news_store import NewsStore
from backend.services.ohlc import OhlcService
from backend.services.sentiment import SentimentService
from backend.services.status import CacheView, StatusService
from backend.services.universe import UniverseSource
from backend.settings import Configuration, Settings, load_configuration

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")

log = logging.getLogger("gateway")

#: Candles are bounded by their number, about 30 MB of them; the other caches hold one entry.
MOST_CANDLES = 100_000
#: Of a reader's deadline, what the slowest of several providers may take.
FAN_OUT_SHARE = 0.75


#: The plainest question to the providers of each category: who could answer that?
PLAIN: dict[str, Query[Any]] = {
    "market": QuotesQuery(universe_known=True),
    "ohlc": OhlcQuery("bitcoin", "BTCUSDT", Interval.H4, reference_price=1.0),
    "news": ReportsQuery(),
    "sentiment": SentimentQuery(),
    "gas": GasQuery(),
}


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the HTTP floor is given."""

    market: MarketService
    ohlc: OhlcService
    news: NewsService
    sentiment: SentimentService
    gas: GasService
    status: StatusService
    live: LiveService
    clock: Clock


def read_configuration() -> Configuration:
    """All settings, the providers' included. Raises SettingsError."""
    configuration = load_configuration(spec.name for spec in REGISTRY)
    for spec in REGISTRY:
        keyed_plan(spec, configuration.providers[spec.name].plan)
    return configuration


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
    clock, history = clock or SystemClock(), RotationHistory()
    tell = _tell_all(emit or EventLog(), history)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(ProviderClient(clock, transport))
        factory = ProviderFactory(
            configuration,
            client,
            clock=clock,
            emit=tell,
            jitter=jitter,
            redact=Redactor(configuration.secrets()),
        )
        settings = configuration.gateway
        manager = ProviderManager(
            [factory.build(spec) for spec in registry],
            clock=clock,
            emit=tell,
            deadline_s=settings.request_deadline,
            attempt_timeout_s=settings.provider_timeout,
        )
        ticks = factory.tick_stream(registry)
        _announce(manager, configuration.unused)
        gateway = _compose(_Caches(clock, tell, settings, stack), manager, history, ticks)
        listening = asyncio.create_task(gateway.live.run(), name="ticks")
        stack.push_async_callback(_cancelled, listening)
        yield gateway


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _tell_all(*sinks: EventSink) -> EventSink:
    def tell(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return tell


@dataclass(frozen=True, slots=True)
class _Caches:
    """Puts a cache in front of a source, and ends its flights with the gateway."""

    clock: Clock
    emit: EventSink
    settings: Settings
    stack: AsyncExitStack

    def around(
        self,
        source: Source[Q, T],
        freshness: Callable[[Q, Answer[T]], Freshness],
        *,
        capacity: int = 1,
        size: Callable[[Answer[T]], int] = lambda _answer: 1,
    ) -> CachedSource[Q, T]:
        cached = CachedSource(
            source,
            TTLCache[Answer[T]](self.clock, capacity, size),
            clock=self.clock,
            emit=self.emit,
            freshness=freshness,
            deadline_s=self.settings.request_deadline,
        )
        self.stack.push_async_callback(cached.aclose)
        return cached


def _compose(
    caches: _Caches,
    manager: ProviderManager,
    history: RotationHistory,
    ticks: TickStream | None,
) -> Gateway:
    settings, clock = caches.settings, caches.clock
    universe = UniverseSource(manager)
    market = caches.around(
        universe,
        always(settings.cache_ttl_market, settings.max_stale_market),
    )
    ohlc = caches.around(
        manager,
        ohlc_freshness(settings),
        capacity=MOST_CANDLES,
        size=lambda answer: 1 + len(answer.data.candles),
    )
    market_service = MarketService(market)
    timeout_s = min(settings.provider_timeout, FAN_OUT_SHARE * settings.request_deadline)
    reports = FanOut(manager, clock=clock, emit=caches.emit, timeout_s=timeout_s)
    news = caches.around(
        NewsStore(reports, market_service, clock=clock),
        always(settings.cache_ttl_news, settings.max_stale_news),
    )
    sentiment = caches.around(manager, sentiment_freshness(settings))
    gas = caches.around(manager, always(settings.cache_ttl_gas, settings.max_stale_gas))
    categories: dict[str, CacheView] = {
        "market": market,
        "ohlc": ohlc,
        "news": news,
        "sentiment": sentiment,
        "gas": gas,
    }
    ohlc_service = OhlcService(
        ohlc, market_service, clock=clock, deadline_s=settings.request_deadline
    )
    live = LiveService(
        ticks,
        universe=universe,
        market=market,
        candles=ohlc,
        news=news,
        sentiment=sentiment,
        gas=gas,
        ohlc=ohlc_service,
        clock=clock,
    )
    return Gateway(
        market=market_service,
        ohlc=ohlc_service,
        news=NewsService(news),
        sentiment=SentimentService(sentiment),
        gas=GasService(gas),
        status=StatusService(
            manager, history, categories, PLAIN, ticks=live.tick_status, clock=clock
        ),
        live=live,
        clock=clock,
    )


def _announce(manager: ProviderManager, unused: Sequence[str]) -> None:
    """Who can serve what now, which variable would unlock the others, which are set in vain."""
    chains = {
        name: " > ".join(provider.name for provider in manager.standing(query)) or "nobody"
        for name, query in PLAIN.items()
    }
    text = "; ".join(f"{name}: {chain}" for name, chain in chains.items())
    log.info("Provider Manager initialized  %s", text)
    for provider in manager.providers:
        if hint := provider.status().hint:
            log.info("%s is off: %s", provider.name, hint)
    if unused:
        log.warning("not used by this version: %s", ", ".join(unused))
