"""The cached source of each category, over one provider manager."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from backend.cache.answer_store import AnswerStore
from backend.cache.cached_source import CachedSource
from backend.cache.ttl_cache import TTLCache
from backend.categories import CATEGORIES, GAS, MARKET, NEWS, Category
from backend.clock import Clock
from backend.events import EventSink
from backend.models.answer import Answer, Query, Source
from backend.orchestration.fan_out import FanOut
from backend.orchestration.provider_manager import ProviderManager
from backend.services.gas import GasSource
from backend.services.market.symbols import CoinDirectory
from backend.services.market.universe import UniverseSource
from backend.services.news.store import NewsStore
from backend.settings import Settings
from backend.storage.contract import Storage

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")

#: An answer that is read is refreshed when about this share of its TTL is left.
REFRESH_AHEAD_SHARE = 0.15
#: The share of a reader's deadline that the slowest of several providers may take.
FAN_OUT_SHARE = 0.75


#: A category's cached source, and the store that persists its answers.
CachedAndStored = tuple[CachedSource[Any, Any], AnswerStore[Any, Any]]


@dataclass(frozen=True)
class CacheFactory:
    """Puts a cache in front of a category's source, and an answer store behind it."""

    clock: Clock
    emit: EventSink
    settings: Settings
    storage: Storage
    jitter: Callable[[], float]

    def cached(
        self,
        category: Category[Q, T],
        source: Source[Q, T],
        *,
        budget_interval_s: Callable[[Q], float],
        adopt: Callable[[Answer[T]], None] = lambda _answer: None,
    ) -> tuple[CachedSource[Q, T], AnswerStore[Q, T]]:
        """The two last arguments are those of CachedSource."""
        store = AnswerStore(category.retention, self.storage, self.clock)
        cached = CachedSource(
            source,
            TTLCache[Answer[T]](self.clock, category.capacity, category.size),
            clock=self.clock,
            emit=self.emit,
            freshness=category.freshness(category.default_freshness(self.settings)),
            deadline_s=self.settings.request_deadline,
            budget_interval_s=budget_interval_s,
            save=store.save,
            adopt=adopt,
            refresh_share=lambda: 1 - REFRESH_AHEAD_SHARE * self.jitter(),
        )
        return cached, store


@dataclass(frozen=True)
class Sources:
    """The cached sources and the answer stores by category.

    `universe` is the source behind the market's cache, `coins` the service in front of it.
    """

    universe: UniverseSource
    coins: CoinDirectory
    cached: Mapping[str, CachedSource[Any, Any]]
    stores: Mapping[str, AnswerStore[Any, Any]] = field(repr=False)

    async def restore(self, bodies: Mapping[str, bytes]) -> None:
        """Caches what an earlier run persisted."""
        for name, store in self.stores.items():
            await store.restore(bodies, self.cached[name].import_answer)

    async def aclose(self) -> None:
        """Ends the refreshes, then writes the last answers."""
        await asyncio.gather(*(cached.aclose() for cached in self.cached.values()))
        await asyncio.gather(*(store.aclose() for store in self.stores.values()))


def build_sources(factory: CacheFactory, manager: ProviderManager) -> Sources:
    """The manager itself is the source of a category without a source of its own."""
    settings, interval_s = factory.settings, manager.refresh_interval_s
    universe = UniverseSource(manager, max_age_s=settings.max_stale_market)
    market = factory.cached(
        MARKET,
        universe,
        budget_interval_s=lambda _query: interval_s(MARKET.provider_query),
        adopt=universe.adopt,
    )
    coins = CoinDirectory(market[0])
    timeout_s = min(settings.provider_timeout, FAN_OUT_SHARE * settings.request_deadline)
    reports = FanOut(manager, clock=factory.clock, emit=factory.emit, timeout_s=timeout_s)
    articles = NewsStore(reports, coins, clock=factory.clock)
    news = factory.cached(
        NEWS,
        articles,
        budget_interval_s=lambda _query: 0.0,  # each provider has its share, whatever others have
        adopt=articles.adopt,
    )
    fees = GasSource(manager)
    gas = factory.cached(GAS, fees, budget_interval_s=interval_s, adopt=fees.adopt)
    built: dict[str, CachedAndStored] = {MARKET.name: market, NEWS.name: news, GAS.name: gas}
    for name, category in CATEGORIES.items():
        if name not in built:
            built[name] = factory.cached(category, manager, budget_interval_s=interval_s)
    return Sources(
        universe,
        coins,
        {name: built[name][0] for name in CATEGORIES},
        {name: built[name][1] for name in CATEGORIES},
    )
