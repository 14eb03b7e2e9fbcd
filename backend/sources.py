"""The cached source of each category: what is asked, how long it keeps, how much of it."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from backend.cache import answer_codec
from backend.cache.answer_keeper import Keeping
from backend.cache.cached_source import CachedSource
from backend.cache.freshness import (
    Freshness,
    always,
    ohlc_freshness,
    sentiment_freshness,
)
from backend.cache.last_answers import LastAnswers
from backend.cache.ttl_cache import TTLCache
from backend.clock import Clock
from backend.events import EventSink
from backend.models.answer import Answer, Query, Source
from backend.models.gas import GasFees, GasQuery
from backend.models.market import Market, MarketQuery, QuotesQuery
from backend.models.news import News, NewsQuery
from backend.models.ohlc import Candles, OhlcQuery
from backend.models.sentiment import FearGreedSeries, SentimentQuery
from backend.orchestration.fan_out import FanOut
from backend.orchestration.provider_manager import ProviderManager
from backend.services.gas import GasSource
from backend.services.market import MarketService
from backend.services.news_store import NewsStore
from backend.services.universe import UniverseSource
from backend.settings import Settings

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")

#: Candles are bounded by their number, about 30 MB of them; the other caches hold one entry.
MOST_CANDLES = 100_000
#: So many series' newest candles outlive a restart, about 2 MB of them, each written once a minute.
KEPT_SERIES, KEPT_EVERY_S = 20, 60.0
#: Of a reader's deadline, what the slowest of several providers may take.
FAN_OUT_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Caches:
    """Puts a cache in front of a source, and ends its flights with the gateway.

    Its last good answers are kept in `answers`.
    """

    clock: Clock
    emit: EventSink
    settings: Settings
    stack: AsyncExitStack
    answers: LastAnswers
    ahead: Callable[[], float]

    def around(
        self,
        source: Source[Q, T],
        freshness: Callable[[Q, Answer[T]], Freshness],
        keeping: Keeping[Q, T],
        *,
        capacity: int = 1,
        size: Callable[[Answer[T]], int] = lambda _answer: 1,
        affordable_s: Callable[[Q], float] = lambda _query: 0.0,
    ) -> CachedSource[Q, T]:
        keeper = self.answers.keeper(keeping)
        cached = CachedSource(
            source,
            TTLCache[Answer[T]](self.clock, capacity, size),
            clock=self.clock,
            emit=self.emit,
            freshness=freshness,
            deadline_s=self.settings.request_deadline,
            budget_interval_s=affordable_s,
            save=keeper.keep,
            adopt=keeping.adopt,
            refresh_share=self.ahead,
        )
        self.answers.add(keeper, cached.import_answer)
        self.stack.push_async_callback(cached.aclose)
        return cached


@dataclass(frozen=True, slots=True)
class Sources:
    """Each behind its cache. `universe` is what stands behind the market's, `names` before it."""

    universe: UniverseSource
    names: MarketService
    market: CachedSource[MarketQuery, Market]
    ohlc: CachedSource[OhlcQuery, Candles]
    news: CachedSource[NewsQuery, News]
    sentiment: CachedSource[SentimentQuery, FearGreedSeries]
    gas: CachedSource[GasQuery, GasFees]


def build_sources(caches: Caches, manager: ProviderManager) -> Sources:
    """All of them over one manager; the news over all its providers together."""
    settings = caches.settings
    universe = UniverseSource(manager, max_age_s=settings.max_stale_market)
    prices, affordable_s = QuotesQuery(universe_known=True), manager.refresh_interval_s
    market = caches.around(
        universe,
        always(settings.cache_ttl_market, settings.max_stale_market),
        Keeping(
            "market",
            answer_codec.MARKET,
            adopt=lambda answer: universe.recall(answer.data),
        ),
        affordable_s=lambda _query: affordable_s(prices),
    )
    names = MarketService(market)
    timeout_s = min(settings.provider_timeout, FAN_OUT_SHARE * settings.request_deadline)
    reports = FanOut(manager, clock=caches.clock, emit=caches.emit, timeout_s=timeout_s)
    store = NewsStore(reports, names, clock=caches.clock)
    gas = GasSource(manager)
    return Sources(
        universe=universe,
        names=names,
        market=market,
        ohlc=caches.around(
            manager,
            ohlc_freshness(settings),
            Keeping(
                "ohlc",
                answer_codec.CANDLES,
                places=KEPT_SERIES,
                every_s=KEPT_EVERY_S,
                is_wanted=lambda query: query.start_ms is None,
            ),
            capacity=MOST_CANDLES,
            size=lambda answer: 1 + len(answer.data.candles),
            affordable_s=affordable_s,
        ),
        news=caches.around(
            store,
            always(settings.cache_ttl_news, settings.max_stale_news),
            Keeping("news", answer_codec.NEWS, adopt=lambda answer: store.recall(answer.data)),
        ),
        sentiment=caches.around(
            manager,
            sentiment_freshness(settings),
            Keeping("sentiment", answer_codec.SENTIMENT),
            affordable_s=affordable_s,
        ),
        gas=caches.around(
            gas,
            always(settings.cache_ttl_gas, settings.max_stale_gas),
            Keeping("gas", answer_codec.GAS, adopt=gas.recall),
            affordable_s=affordable_s,
        ),
    )
