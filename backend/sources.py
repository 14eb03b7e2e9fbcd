"""The cached source of each category, over one provider manager."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from backend.cache.answer_exchange import AnswerExchange
from backend.cache.answer_messages import MessageCodec
from backend.cache.answer_store import AnswerStore
from backend.cache.cached_source import CachedSource
from backend.cache.shared_source import SharedSource
from backend.cache.ttl_cache import TTLCache
from backend.categories import (
    CATEGORIES,
    COIN_LIST,
    COINS,
    GAS,
    HELPERS,
    MARKET,
    NEWS,
    PASS_THROUGH,
    RATES,
    Category,
)
from backend.clock import Clock
from backend.cluster.contract import Cluster
from backend.events import EventSink
from backend.models.answer import Answer, Q, Query, Source, T
from backend.models.cluster import Role
from backend.models.coins import CoinQuery
from backend.models.market import Coin
from backend.models.pass_through import COIN_PAGE, VendorAnswer
from backend.orchestration.fan_out import FanOut
from backend.orchestration.provider_manager import ProviderManager
from backend.services.currency import RatesMonitor
from backend.services.gas import GasSource
from backend.services.market.coin_batch import CoinBatch, NotedReads
from backend.services.market.coin_names import CoinNames
from backend.services.market.symbols import CoinDirectory
from backend.services.market.universe import UniverseSource
from backend.services.news.store import NewsStore
from backend.settings import Settings
from backend.storage.contract import Storage

#: An answer that is read is refreshed when about this share of its TTL is left.
REFRESH_AHEAD_SHARE = 0.15
#: The share of a reader's deadline that the slowest of several providers may take.
FAN_OUT_SHARE = 0.75
#: The share of a reader's deadline within which the leader of a cluster may answer.
SHARED_DEADLINE = 0.95


def encoded_page(rows: Any) -> bytes | None:
    """None for rows with a number or a text that JSON cannot have."""
    try:
        return orjson.dumps(rows)
    except (orjson.JSONEncodeError, RecursionError):
        return None


class Sources:
    """The cached source of each category, and the stores that persist its answers.

    `universe` is the source behind the market's cache, `coins` the service in front of it. The
    manager itself is the source of a category without a source of its own.
    """

    def __init__(
        self,
        manager: ProviderManager,
        clock: Clock,
        emit: EventSink,
        settings: Settings,
        storage: Storage,
        jitter: Callable[[], float],
        cluster: Cluster | None = None,
    ) -> None:
        """`cluster`: None for a process that is the whole gateway."""
        self._clock, self._emit, self._settings = clock, emit, settings
        self._storage, self._jitter = storage, jitter
        self._stores: dict[str, AnswerStore[Any, Any]] = {}
        #: Pages of coins that are being cached.
        self._pages: set[asyncio.Task[None]] = set()
        self.cached: dict[str, CachedSource[Any, Any]] = {}
        self._cluster = cluster
        self.exchange = self._exchange(cluster) if cluster else None
        interval_s = manager.refresh_interval_s
        self.universe = UniverseSource(
            manager,
            max_age_s=settings.max_stale_market,
            contracts=self._contracts,
            on_page=self._keep_page,
        )
        market = self._cached(
            MARKET,
            self.universe,
            lambda _query: interval_s(MARKET.provider_query),
            self.universe.adopt,
        )
        self.coins = CoinDirectory(market)
        timeout_s = min(settings.provider_timeout, FAN_OUT_SHARE * settings.request_deadline)
        reports = FanOut(manager, clock=clock, emit=emit, timeout_s=timeout_s)
        articles, fees = NewsStore(reports, self.coins, clock=clock), GasSource(manager)
        rates = RatesMonitor(manager)
        self._batch = batch = CoinBatch(manager, clock=clock, share=self._share_coin)
        own: dict[str, CachedSource[Any, Any]] = {
            MARKET.name: market,
            # Each provider of news has its share, whatever the others have.
            NEWS.name: self._cached(NEWS, articles, lambda _query: 0.0, articles.adopt),
            GAS.name: self._cached(GAS, fees, interval_s, fees.adopt),
            RATES.name: self._cached(RATES, rates, interval_s, rates.adopt),
            COINS.name: self._cached(COINS, batch, lambda _query: interval_s(COINS.provider_query)),
        }
        self.cached |= {
            name: own[name] if name in own else self._cached(category, manager, interval_s)
            for name, category in (CATEGORIES | HELPERS).items()
        }
        coins = NotedReads(self.cached[COINS.name], batch)
        self.names = CoinNames(self.cached[COIN_LIST.name], coins, self.coins, clock=clock)

    def _exchange(self, cluster: Cluster) -> AnswerExchange:
        categories = CATEGORIES | HELPERS
        codecs = {name: category.retention.codec for name, category in categories.items()}
        codec = MessageCodec(codecs)
        return AnswerExchange(cluster, codec, self.cached, self._clock, self._note_read)

    def note_role(self, role: Role) -> None:
        """With a leader, answers are there that an island could not have."""
        if role in ("leader", "follower"):
            for cached in self.cached.values():
                cached.end_pauses()

    def _note_read(self, query: Query[Any]) -> None:
        """A coin that the readers of another process want is part of the next call, too."""
        if isinstance(query, CoinQuery):
            self._batch.note_read(query)

    def _shared(self, category: Category[Q, T], source: Source[Q, T]) -> Source[Q, T]:
        """Asks the leader of the cluster in the place of `source`, if there is one."""
        if self._cluster is None or self.exchange is None:
            return source
        return SharedSource(
            category.name,
            source,
            self.exchange,
            self._cluster,
            clock=self._clock,
            deadline_s=SHARED_DEADLINE * self._settings.request_deadline,
        )

    def _publish(self, category: str, query: Query[Any]) -> None:
        """What is passed through may be large, and few processes have readers for it: they ask."""
        if self.exchange and not query.is_pass_through:
            self.exchange.publish(category, query)

    def _contracts(self) -> Mapping[str, str]:
        """The coin ids by contract, as the last list of all coins has them."""
        newest = self.cached[COIN_LIST.name].newest
        return newest.data.contracts if newest else {}

    def _keep_page(self, rows: Answer[Any]) -> None:
        """The list's rows also answer programs that speak CoinGecko's protocol. They are encoded
        when the readers of the market have their answer."""
        if "coingecko" not in self._settings.facades:
            return
        self._pages.add(task := asyncio.create_task(self._import_page(rows), name="keep the page"))
        task.add_done_callback(self._pages.discard)

    async def _import_page(self, rows: Answer[Any]) -> None:
        if body := encoded_page(rows.data):
            page = rows.carrying(VendorAnswer(200, body))
            await self.cached[PASS_THROUGH.name].import_answer(COIN_PAGE, page)

    async def _share_coin(self, query: CoinQuery, answer: Answer[Coin | None]) -> None:
        await self.cached[COINS.name].update(query, lambda _known: answer, is_fresh=True)

    def _cached(
        self,
        category: Category[Q, T],
        source: Source[Q, T],
        budget_interval_s: Callable[[Q], float],
        adopt: Callable[[Answer[T]], None] = lambda _answer: None,
    ) -> CachedSource[Q, T]:
        """Puts a cache in front of a category's source, and an answer store behind it. The last
        two arguments are those of CachedSource."""
        store = AnswerStore(category.retention, self._storage, self._clock)
        self._stores[category.name] = store
        return CachedSource(
            self._shared(category, source),
            TTLCache[Answer[T]](self._clock, category.capacity, category.size),
            clock=self._clock,
            emit=self._emit,
            freshness=partial(category.freshness, category.default_freshness(self._settings)),
            deadline_s=self._settings.request_deadline,
            budget_interval_s=budget_interval_s,
            save=store.save,
            adopt=adopt,
            refresh_share=lambda: 1 - REFRESH_AHEAD_SHARE * self._jitter(),
            on_refresh=partial(self._publish, category.name),
        )

    async def restore(self, bodies: Mapping[str, bytes]) -> None:
        """Caches what an earlier run persisted."""
        for name, cached in self.cached.items():
            await self._stores[name].restore(bodies, cached.import_answer)

    async def aclose(self) -> None:
        """Ends the refreshes, then writes the last answers."""
        if self.exchange:
            await self.exchange.aclose()
        await asyncio.gather(*self._pages)
        await asyncio.gather(*(cached.aclose() for cached in self.cached.values()))
        await self._batch.aclose()
        await asyncio.gather(*(store.aclose() for store in self._stores.values()))
