"""Questions that are followed: their answers as they change, with what venues tell in between."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from backend.clock import Clock
from backend.models.answer import Answer, Query
from backend.models.gas import GasFees, GasQuery
from backend.models.market import Market, MarketQuery
from backend.models.news import News, NewsQuery
from backend.models.ohlc import Candles, OhlcQuery
from backend.models.sentiment import FearGreedSeries, SentimentQuery
from backend.models.ticks import (
    CandleTicks,
    CandleTold,
    Flow,
    MarketTicks,
    Tick,
    TickersTold,
    TickStatus,
    TickSubject,
)
from backend.services.candle_ticks import with_candle
from backend.services.following import Following, Held
from backend.services.ohlc import OhlcService, OhlcView
from backend.services.universe import UniverseSource

Q = TypeVar("Q", bound=Query[Any])
Q_contra = TypeVar("Q_contra", bound=Query[Any], contravariant=True)
T = TypeVar("T")

log = logging.getLogger("gateway")

#: An answer that is over is asked for again after this; somebody else's refresh is seen at once.
ASK_AGAIN_S = 1.0
#: A bug of ours must not end the ticks for good.
RESTART_S = 5.0


class TickSource(Protocol):
    """A venue that pushes."""

    def want(self, subjects: tuple[TickSubject, ...]) -> None: ...
    def flow(self, subject: TickSubject) -> Flow: ...
    def status(self) -> TickStatus: ...
    def ticks(self) -> AsyncGenerator[Tick]: ...


class Sources(Protocol):
    """Of each category what is held, and the universe whose prices a venue may tell."""

    @property
    def universe(self) -> UniverseSource: ...
    @property
    def market(self) -> Held[MarketQuery, Market]: ...
    @property
    def ohlc(self) -> Held[OhlcQuery, Candles]: ...
    @property
    def news(self) -> Held[NewsQuery, News]: ...
    @property
    def sentiment(self) -> Held[SentimentQuery, FearGreedSeries]: ...
    @property
    def gas(self) -> Held[GasQuery, GasFees]: ...


class LiveService:
    """What can be followed; lays ticks over what the caches hold while somebody follows it."""

    def __init__(
        self, ticks: TickSource | None, sources: Sources, ohlc: OhlcService, *, clock: Clock
    ) -> None:
        self._ticks = ticks
        self._clock = clock
        self._sources = sources
        self._ohlc = ohlc
        #: The last candle told of each series that is followed, and when.
        self._told: dict[CandleTicks, tuple[CandleTold, datetime]] = {}
        self._listeners: dict[Following[Any, Any], tuple[TickSubject, Query[Any]]] = {}

    def __repr__(self) -> str:
        return f"<LiveService {len(self._listeners)} listen>"

    def market(self) -> Following[MarketQuery, Market]:
        return self._following(MarketQuery(), self._sources.market, lambda _answer: MarketTicks())

    def news(self) -> Following[NewsQuery, News]:
        return self._following(NewsQuery(), self._sources.news)

    def sentiment(self) -> Following[SentimentQuery, FearGreedSeries]:
        return self._following(SentimentQuery(), self._sources.sentiment)

    def gas(self) -> Following[GasQuery, GasFees]:
        return self._following(GasQuery(), self._sources.gas)

    def candles(self, symbol: str, view: OhlcView) -> Following[OhlcQuery, Candles]:
        """The newest candles of one coin; ticks where the venue that pushes gave them."""

        def subject(answer: Answer[Candles]) -> CandleTicks | None:
            series = answer.data
            is_its_own = self._ticks is None or answer.source == self._ticks.status().provider
            if series.pair is None or not is_its_own:
                return None
            return CandleTicks(series.pair, series.interval)

        async def ask() -> tuple[OhlcQuery, Answer[Candles]]:
            return await self._ohlc.asked(symbol, view, with_known=True)

        return Following(self, ask, self._sources.ohlc, subject)

    def flow(self, subject: TickSubject) -> Flow:
        return self._ticks.flow(subject) if self._ticks else Flow(False, "disabled")

    def tick_status(self) -> TickStatus | None:
        """The venue's push connection; None where the settings have none."""
        return self._ticks.status() if self._ticks else None

    def listen(
        self,
        following: Following[Any, Any],
        subject: TickSubject | None,
        query: Query[Any] | None,
    ) -> None:
        """From now on `following` wants ticks of `subject`, or none."""
        before = self._listeners.pop(following, None)
        if subject is not None and query is not None:
            self._listeners[following] = subject, query
        if self._ticks and before != self._listeners.get(following):
            wanted = dict.fromkeys(subject for subject, _ in self._listeners.values())
            self._told = {
                subject: told for subject, told in self._told.items() if subject in wanted
            }
            self._ticks.want(tuple(wanted))

    async def run(self) -> None:
        """Brings ticks in, for as long as the gateway lives."""
        while self._ticks:
            try:
                async with aclosing(self._ticks.ticks()) as ticks:
                    async for tick in ticks:
                        await self._hear(tick)
            except Exception:  # a bug of ours: the polled refreshes go on meanwhile
                log.exception("the ticks stopped")
            await asyncio.sleep(RESTART_S)

    def _following(
        self,
        query: Q,
        held: Held[Q, T],
        subject: Callable[[Answer[T]], TickSubject | None] = lambda _answer: None,
    ) -> Following[Q, T]:
        async def ask() -> tuple[Q, Answer[T]]:
            return query, await held.fetch(query)

        return Following(self, ask, held, subject)

    async def _hear(self, tick: Tick) -> None:
        if isinstance(tick, TickersTold):
            market = self._sources.universe.hear(tick.tickers, tick.source)
            if market is not None:
                await self._sources.market.amend(
                    MarketQuery(), lambda answer: replace(answer, data=market)
                )
            return
        self._told[tick.subject] = tick, self._clock.now()
        for query in self._queries_of(tick.subject):
            await self._amend(query, tick)

    async def retell(self, subject: TickSubject | None, answer: Answer[Any]) -> None:
        """A candle told while a refresh was under way is newer than what that brought."""
        told = self._told.get(subject) if isinstance(subject, CandleTicks) else None
        began = answer.fetched_at - timedelta(milliseconds=answer.latency_ms or 0.0)
        if told and told[1] > began and told[0].candle not in answer.data.candles[-1:]:
            for query in self._queries_of(told[0].subject):
                await self._amend(query, told[0])

    def _queries_of(self, subject: CandleTicks) -> set[OhlcQuery]:
        found = {query for wanted, query in self._listeners.values() if wanted == subject}
        return {query for query in found if isinstance(query, OhlcQuery)}

    async def _amend(self, query: OhlcQuery, tick: CandleTold) -> None:
        await self._sources.ohlc.amend(
            query, lambda answer: with_candle(answer, tick, self._clock.now()), renews=True
        )
