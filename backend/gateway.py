"""The composition root: the only file that knows every class, and owns their lives."""

import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from backend.cache.cached_source import CachedSource, Freshness
from backend.cache.ttl_cache import TTLCache
from backend.clock import Clock, SystemClock
from backend.events import Event, EventSink
from backend.models.answer import Answer, Query, Source
from backend.models.gas import GasQuery
from backend.models.market import QuotesQuery
from backend.models.news import ReportsQuery
from backend.models.ohlc import Candles, Interval, OhlcQuery
from backend.models.sentiment import FearGreedSeries, SentimentQuery
from backend.observability.event_log import EventLog
from backend.observability.history import RotationHistory
from backend.observability.redaction import Redactor
from backend.orchestration.fan_out import FanOut
from backend.orchestration.provider_factory import ProviderFactory, keyed_plan
from backend.orchestration.provider_manager import ProviderManager
from backend.providers.adapter import ProviderSpec
from backend.providers.client import ProviderClient
from backend.providers.registry import REGISTRY
from backend.services.gas import GasService
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
#: Closed candles never change; a day bounds what a wrong one could do.
CLOSED_CANDLES_TTL_S = 86_400.0
#: Of a reader's deadline, what the slowest of several providers may take.
FAN_OUT_SHARE = 0.75
#: An index that says when it will change is not asked more often than this.
SHORTEST_SENTIMENT_TTL_S = 60.0


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
        _announce(manager, configuration.unused)
        yield _compose(_Caches(clock, tell, settings, stack), manager, history)


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


def _compose(caches: _Caches, manager: ProviderManager, history: RotationHistory) -> Gateway:
    settings, clock = caches.settings, caches.clock
    market = caches.around(
        UniverseSource(manager),
        _always(settings.cache_ttl_market, settings.max_stale_market),
    )
    ohlc = caches.around(
        manager,
        _ohlc_freshness(settings),
        capacity=MOST_CANDLES,
        size=lambda answer: 1 + len(answer.data.candles),
    )
    market_service = MarketService(market)
    timeout_s = min(settings.provider_timeout, FAN_OUT_SHARE * settings.request_deadline)
    reports = FanOut(manager, clock=clock, emit=caches.emit, timeout_s=timeout_s)
    news = caches.around(
        NewsStore(reports, market_service, clock=clock),
        _always(settings.cache_ttl_news, settings.max_stale_news),
    )
    sentiment = caches.around(manager, _sentiment_freshness(settings))
    gas = caches.around(manager, _always(settings.cache_ttl_gas, settings.max_stale_gas))
    categories: dict[str, CacheView] = {
        "market": market,
        "ohlc": ohlc,
        "news": news,
        "sentiment": sentiment,
        "gas": gas,
    }
    return Gateway(
        market=market_service,
        ohlc=OhlcService(ohlc, market_service, clock=clock, deadline_s=settings.request_deadline),
        news=NewsService(news, market_service),
        sentiment=SentimentService(sentiment),
        gas=GasService(gas),
        status=StatusService(manager, history, categories, PLAIN, clock=clock),
        clock=clock,
    )


def _always(ttl_s: float, max_stale_s: float) -> Callable[[Any, Any], Freshness]:
    freshness = Freshness(ttl_s, max_stale_s)
    return lambda _query, _answer: freshness


def _ohlc_freshness(settings: Settings) -> Callable[[OhlcQuery, Answer[Candles]], Freshness]:
    def freshness(query: OhlcQuery, answer: Answer[Candles]) -> Freshness:
        candles = answer.data.candles
        is_over = query.end_ms is not None and query.end_ms <= answer.fetched_at.timestamp() * 1000
        is_history = is_over and candles and all(candle.closed for candle in candles)
        ttl_s = CLOSED_CANDLES_TTL_S if is_history else settings.cache_ttl_ohlc
        return Freshness(ttl_s, settings.max_stale_ohlc)

    return freshness


def _sentiment_freshness(
    settings: Settings,
) -> Callable[[SentimentQuery, Answer[FearGreedSeries]], Freshness]:
    """The maker's own word on when it changes, within what the settings allow."""

    def freshness(_query: SentimentQuery, answer: Answer[FearGreedSeries]) -> Freshness:
        longest_s = settings.cache_ttl_sentiment
        told_s = answer.data.next_update_s
        ttl_s = longest_s if told_s is None else min(longest_s, told_s)
        floor_s = min(SHORTEST_SENTIMENT_TTL_S, longest_s)
        return Freshness(max(ttl_s, floor_s), settings.max_stale_sentiment)

    return freshness


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
