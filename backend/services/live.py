"""Cached answers as they change, kept current between two refreshes by a venue's ticks."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from backend.clock import Clock
from backend.errors import GatewayError
from backend.models.answer import Answer, Query, Source, replaced
from backend.models.market import Market, MarketQuery
from backend.models.ohlc import Candle, Candles, Interval, OhlcQuery
from backend.models.ticks import (
    CandleTicks,
    CandleUpdate,
    Flow,
    MarketTicks,
    Tick,
    TickerUpdates,
    TickStatus,
    TickSubject,
)
from backend.services.candles.service import BLOCK, OhlcService, OhlcView
from backend.services.market.universe import UniverseSource

Q = TypeVar("Q", bound=Query[Any])
Q_contra = TypeVar("Q_contra", bound=Query[Any], contravariant=True)
T = TypeVar("T")

log = logging.getLogger("gateway")

MARKET = MarketQuery()

#: The pause before the ticks start again after a bug ended them, in seconds.
RESTART_S = 5.0


class Cached(Source[Q_contra, T], Protocol[Q_contra, T]):
    """As backend.cache.cached_source.CachedSource, which documents each method."""

    def watch(
        self, ask: Callable[[], Awaitable[tuple[Q_contra, Answer[T]]]]
    ) -> AsyncGenerator[Answer[T] | GatewayError]: ...
    async def update(
        self,
        query: Q_contra,
        change: Callable[[Answer[T]], Answer[T] | None],
        *,
        is_fresh: bool = False,
    ) -> None: ...


class TickSource(Protocol):
    """Venues that push ticks. `on_flow_change` is called when `flow` may have changed."""

    on_flow_change: Callable[[], None]

    def pushes(self, venue: str) -> bool: ...
    def want(self, subjects: tuple[TickSubject, ...]) -> None: ...
    def flow(self, subject: TickSubject) -> Flow: ...
    def status(self) -> TickStatus: ...
    def ticks(self) -> AsyncGenerator[Tick]: ...


class LiveService:
    """Watches cached answers for the stream, and applies ticks to the answers that are watched.

    A venue is asked only for the ticks of what is being watched. `run` applies them until it is
    cancelled; without it, or without a venue, answers change with their refreshes only.
    """

    def __init__(
        self,
        ticks: TickSource | None,
        sources: Mapping[str, Cached[Any, Any]],
        universe: UniverseSource,
        ohlc: OhlcService,
        *,
        clock: Clock,
    ) -> None:
        """`sources` are the cached sources by category."""
        self._ticks = ticks
        self._sources = sources
        self._market = sources[MarketQuery.category]
        self._universe = universe
        self._ohlc = ohlc
        self._clock = clock
        #: Of each running watch: the ticks that it needs, and the query that they change.
        self._wanted: dict[object, tuple[TickSubject, Query[Any]]] = {}
        #: The same queries by what they need, and by watch.
        self._queries: dict[TickSubject, dict[object, Query[Any]]] = {}
        #: The last candle tick of each watched series, and when it came.
        self._last_candles: dict[CandleTicks, tuple[CandleUpdate, datetime]] = {}

    def __repr__(self) -> str:
        return f"<LiveService {len(self._wanted)} watches with ticks>"

    def watch(self, query: Query[T]) -> AsyncGenerator[Answer[T] | GatewayError]:
        """The answers to `query`, as `CachedSource.watch`. Asks nothing before it is iterated."""
        source: Cached[Query[T], T] = self._sources[query.category]

        async def ask() -> tuple[Query[T], Answer[T]]:
            return query, await source.fetch(query)

        return self._watch(source, ask)

    def watch_candles(
        self, symbol: str, view: OhlcView
    ) -> AsyncGenerator[Answer[Candles] | GatewayError]:
        """The newest candles of one coin, by any spelling of its name."""

        async def ask() -> tuple[OhlcQuery, Answer[Candles]]:
            return await self._ohlc.asked(symbol, view, with_known=True)

        return self._watch(self._sources[OhlcQuery.category], ask)

    def flow(self, answer: Answer[Any]) -> Flow | None:
        """Whether ticks of `answer` come in; None if the venue has no ticks of it."""
        subject = self._tick_subject(answer)
        if subject is None:
            return None
        return self._ticks.flow(subject) if self._ticks else Flow(False, "disabled")

    def note_flow_changes(self, note: Callable[[], None]) -> None:
        """`note` is called from now on when `flow` may give something else for an answer."""
        if self._ticks:
            self._ticks.on_flow_change = note

    def tick_status(self) -> TickStatus | None:
        """The venue's push connection; None if the settings have none."""
        return self._ticks.status() if self._ticks else None

    async def run(self) -> None:
        """Applies the venue's ticks until it is cancelled."""
        while self._ticks:
            try:
                async with aclosing(self._ticks.ticks()) as ticks:
                    async for tick in ticks:
                        await self._apply(tick)
            except Exception:  # a bug: refreshes go on without ticks
                log.exception("the ticks stopped")
            await asyncio.sleep(RESTART_S)

    async def _watch(
        self, source: Cached[Q, T], ask: Callable[[], Awaitable[tuple[Q, Answer[T]]]]
    ) -> AsyncGenerator[Answer[T] | GatewayError]:
        watch = object()

        async def ask_and_want_ticks() -> tuple[Q, Answer[T]]:
            query, answer = await ask()
            subject = self._tick_subject(answer)
            self._set_wanted(watch, (subject, query) if subject else None)
            return query, answer

        try:
            async with aclosing(source.watch(ask_and_want_ticks)) as answers:
                async for answer in answers:
                    if self._last_candles and isinstance(answer, Answer):
                        await self._reapply_last_candle(answer)
                    yield answer
        finally:
            self._set_wanted(watch, None)

    def _tick_subject(self, answer: Answer[Any]) -> TickSubject | None:
        """The ticks that change `answer`: a series has them only if its venue pushes."""
        data = answer.data
        if isinstance(data, Market):
            return MarketTicks()
        if not isinstance(data, Candles) or data.instrument is None:
            return None
        if self._ticks and not self._ticks.pushes(answer.sources[0]):
            return None
        return CandleTicks(data.instrument, data.interval)

    def _set_wanted(self, watch: object, wanted: tuple[TickSubject, Query[Any]] | None) -> None:
        before = self._wanted.pop(watch, None)
        if wanted:
            self._wanted[watch] = wanted
        if before == wanted:
            return
        needed = tuple(self._queries)
        if before:
            self._remove_query(watch, before[0])
        if wanted:
            self._queries.setdefault(wanted[0], {})[watch] = wanted[1]
        if self._ticks and needed != (now_needed := tuple(self._queries)):
            self._ticks.want(now_needed)

    def _remove_query(self, watch: object, subject: TickSubject) -> None:
        queries = self._queries[subject]
        del queries[watch]
        if not queries:
            del self._queries[subject]
            if isinstance(subject, CandleTicks):
                self._last_candles.pop(subject, None)

    async def _apply(self, tick: Tick) -> None:
        if isinstance(tick, TickerUpdates):
            market = self._universe.apply_ticks(tick.tickers)
            if market is not None:
                await self._market.update(MARKET, partial(replaced, data=market))
            return
        if tick.subject in self._queries:
            self._last_candles[tick.subject] = tick, self._clock.now()
            await self._apply_candle(tick)

    async def _reapply_last_candle(self, answer: Answer[Any]) -> None:
        """A candle tick that came during a refresh is newer than the refreshed series."""
        subject = self._tick_subject(answer)
        last = self._last_candles.get(subject) if isinstance(subject, CandleTicks) else None
        if last is None:
            return
        tick, came_at = last
        refresh_began = answer.fetched_at - timedelta(milliseconds=answer.latency_ms or 0.0)
        if came_at > refresh_began and tick.candle not in answer.data.candles[-1:]:
            await self._apply_candle(tick)

    async def _apply_candle(self, tick: CandleUpdate) -> None:
        """Updates each watched series of the tick; it is then as fresh as after a refresh."""
        for query in set(self._queries.get(tick.subject, {}).values()):
            await self._sources[OhlcQuery.category].update(
                query, lambda answer: with_candle(answer, tick, self._clock.now()), is_fresh=True
            )


def with_candle(
    answer: Answer[Candles], tick: CandleUpdate, now: datetime
) -> Answer[Candles] | None:
    """The series with the tick's candle, as if fetched `now`; None if the tick does not fit.

    A tick fits if it updates the newest candle, or follows directly on a closed one. After a gap,
    the next refresh brings the missing candles.
    """
    series = answer.data
    is_same = answer.source == tick.source and series.instrument == tick.subject.instrument
    if not is_same or not series.candles or series.interval is not tick.subject.interval:
        return None
    if not _fits(series.candles[-1], tick.candle, series.interval):
        return None
    try:
        changed = series.with_newest(tick.candle, BLOCK)
    except ValueError:  # off the interval's grid, or an implausible jump
        return None
    return replace(answer, data=changed, fetched_at=now)


def _fits(newest: Candle, candle: Candle, interval: Interval) -> bool:
    if candle.timestamp == newest.timestamp:
        return not newest.closed and candle != newest
    return newest.closed and candle.timestamp == interval.next_open(newest.timestamp)
