"""Live answers: which ticks are wanted, and which cached answers they update."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, cast

import pytest

from backend.errors import GatewayError, UnknownSymbol
from backend.identity.instruments import VENUES
from backend.models.answer import Answer, Query
from backend.models.gas import GasQuery
from backend.models.market import (
    Coin,
    Market,
    MarketQuery,
    PairTicker,
    Quotes,
    QuotesQuery,
    Ranking,
)
from backend.models.news import NewsQuery
from backend.models.ohlc import HOUR, Candle, Candles, Interval, OhlcQuery
from backend.models.sentiment import SentimentQuery
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
from backend.services.candles.service import OhlcService, OhlcView
from backend.services.live import RESTART_S, LiveService, TickSource
from backend.services.market.symbols import CoinDirectory
from backend.services.market.universe import UniverseSource
from tests.calls import counted
from tests.clocks import EPOCH, EPOCH_MS, LoopClock
from tests.instruments import instrument, instruments
from tests.services.helpers import no_names

pytestmark = pytest.mark.looptime
HOURS = OhlcView(Interval.H1)
BTC_QUERY = OhlcQuery("bitcoin", instruments("BTCUSDT"), Interval.H1)
BTC_HOURS = CandleTicks(instrument("BTCUSDT"), Interval.H1)
LATER = EPOCH + timedelta(minutes=1)
STATUS = TickStatus("binance", "live", None, EPOCH, 2)


def coin(id: str, symbol: str, rank: int, price: float) -> Coin:  # noqa: A002 - the row's word
    words = "image market_cap volume_24h high_24h low_24h price_change_24h"
    words += " price_change_percentage_24h circulating_supply"
    unknown: dict[str, Any] = dict.fromkeys(words.split())
    return Coin(
        id=id,
        symbol=symbol,
        name=id.title(),
        market_cap_rank=rank,
        price=price,
        last_updated=EPOCH,
        source="coingecko_free",
        **unknown,
    )


BITCOIN, ETHER = coin("bitcoin", "BTC", 1, 50_000.0), coin("ethereum", "ETH", 2, 3_000.0)
MARKET = Market(
    (BITCOIN, ETHER),
    True,
    {"bitcoin": instruments("BTCUSDT"), "ethereum": instruments("ETHUSDT")},
    frozenset(VENUES),
)


def ticker(base: str, price: float) -> PairTicker:
    return PairTicker(instrument(f"{base}USDT"), price, price, price, 7_000.0, 1.0, 1.0, LATER)


def candles(price: float = 100.0, pair: str | None = "BTCUSDT", source: str = "binance") -> Any:
    row = Candle(EPOCH_MS, price, price, price, price, 12.0, False)
    return Answer(
        Candles(Interval.H1, (row,), instrument(pair) if pair else None), source, EPOCH, 12.0
    )


def candle_tick(price: float, **changes: Any) -> CandleUpdate:
    row = Candle(EPOCH_MS, price, price, price, price, 13.0, False)
    return replace(CandleUpdate("binance", BTC_HOURS, row), **changes)


class ScriptedCache:
    """Cached answers by query, all fresh for an hour; records what is asked and updated."""

    def __init__(self) -> None:
        self.answers: dict[Query[Any], Answer[Any]] = {}
        self.asked: list[Query[Any]] = []
        self.updated: list[tuple[Query[Any], bool]] = []
        self.bug: Exception | None = None
        self._refreshes = 0
        self._changes = asyncio.Event()

    async def costs_a_call(self, query: Query[Any]) -> bool:
        return query not in self.answers

    def put(self, query: Query[Any], answer: Answer[Any]) -> None:
        self._refreshes += 1
        self.answers[query] = replace(answer, refresh_id=self._refreshes, ttl_left_s=3_600.0)
        self._changes.set()
        self._changes = asyncio.Event()

    async def fetch(self, query: Query[Any]) -> Answer[Any]:
        self.asked.append(query)
        return self.answers[query]

    async def watch(
        self, ask: Callable[[], Awaitable[tuple[Query[Any], Answer[Any]]]]
    ) -> AsyncGenerator[Answer[Any] | GatewayError]:
        while True:
            try:
                query, answer = await ask()
            except GatewayError as error:
                yield error
                await asyncio.sleep(1)
                continue
            yield answer
            while self.answers[query].refresh_id == answer.refresh_id:
                await self._changes.wait()

    async def update(
        self,
        query: Query[Any],
        change: Callable[[Answer[Any]], Answer[Any] | None],
        *,
        is_fresh: bool = False,
    ) -> None:
        if self.bug:
            raise self.bug
        self.updated.append((query, is_fresh))
        cached = self.answers.get(query)
        changed = change(cached) if cached else None
        if changed is not None:
            self.put(query, changed)


class ScriptedTicks:
    """Ticks as they are said; an exception that is said is raised, None ends them."""

    def __init__(self) -> None:
        self.wants: list[tuple[TickSubject, ...]] = []
        self.began_at: list[float] = []
        self.ended = 0
        self.on_flow_change: Callable[[], None] = lambda: None
        self._said: asyncio.Queue[Tick | Exception | None] = asyncio.Queue()

    def pushes(self, venue: str) -> bool:
        return venue == STATUS.provider

    def want(self, subjects: tuple[TickSubject, ...]) -> None:
        self.wants.append(subjects)

    def flow(self, subject: TickSubject) -> Flow:
        return Flow(subject == MarketTicks(), "timeout")

    def status(self) -> TickStatus:
        return STATUS

    def say(self, *ticks: Tick | Exception | None) -> None:
        for tick in ticks:
            self._said.put_nowait(tick)

    async def ticks(self) -> AsyncGenerator[Tick]:
        self.began_at.append(asyncio.get_running_loop().time())
        try:
            while (tick := await self._said.get()) is not None:
                if isinstance(tick, Exception):
                    raise tick
                yield tick
        finally:
            self.ended += 1


class OneRanking:
    async def fetch(self, _query: QuotesQuery) -> Answer[Quotes]:
        return Answer(Ranking(MARKET.coins), "coingecko_free", EPOCH, 12.0)


@dataclass
class Bench:
    ticks: ScriptedTicks | None = field(default_factory=ScriptedTicks)
    cache: ScriptedCache = field(default_factory=ScriptedCache)
    received: list[Any] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @cached_property
    def universe(self) -> UniverseSource:
        return UniverseSource(OneRanking())

    @cached_property
    def live(self) -> LiveService:
        clock, cache = LoopClock(), self.cache
        sources = dict.fromkeys(("market", "ohlc", "news", "sentiment", "gas"), cache)
        directory = CoinDirectory(cache)
        ohlc = OhlcService(cache, directory, no_names(directory), clock=clock, deadline_s=4.0)
        ticks = cast("TickSource | None", self.ticks)
        return LiveService(ticks, sources, self.universe, ohlc, clock=clock)

    @property
    def source(self) -> ScriptedTicks:
        assert self.ticks is not None
        return self.ticks

    async def know(self) -> None:
        """The universe, and cached answers of market and candles."""
        answer = await self.universe.fetch(MarketQuery())
        self.cache.put(MarketQuery(), replace(answer, data=MARKET))
        self.cache.put(BTC_QUERY, candles())

    async def run(self) -> asyncio.Task[None]:
        return await self._start(self.live.run())

    async def follow(self, answers: AsyncGenerator[Any]) -> asyncio.Task[None]:
        async def read() -> None:
            async with aclosing(answers):
                async for answer in answers:
                    self.received.append(answer)

        return await self._start(read())

    async def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self.tasks.append(task)
        await asyncio.sleep(0.01)
        return task


async def leave(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await leave(*made.tasks)


async def test_nothing_is_asked_or_wanted_before_a_watch_is_iterated(bench: Bench) -> None:
    live = bench.live
    made: list[AsyncGenerator[Any]] = [live.watch(MarketQuery()), live.watch(NewsQuery())]
    made.append(live.watch_candles("BTC", HOURS))
    await asyncio.sleep(3_600)
    assert bench.cache.asked == []
    assert bench.source.wants == []
    assert repr(live) == "<LiveService 0 watches with ticks>"
    for answers in made:
        await answers.aclose()


@pytest.mark.parametrize("query", [NewsQuery(), SentimentQuery(), GasQuery()])
async def test_what_no_venue_pushes_is_watched_without_ticks(
    bench: Bench, query: Query[Any]
) -> None:
    bench.cache.put(query, Answer("first", "a", EPOCH, 1.0))
    await bench.follow(bench.live.watch(query))
    bench.cache.put(query, Answer("second", "a", EPOCH, 1.0))
    await asyncio.sleep(0.01)
    assert [answer.data for answer in bench.received] == ["first", "second"]
    assert bench.cache.asked == [query, query]
    assert (bench.source.wants, bench.live.flow(bench.received[-1])) == ([], None)


async def test_the_markets_ticks_are_wanted_while_it_is_watched(bench: Bench) -> None:
    await bench.know()
    reader = await bench.follow(bench.live.watch(MarketQuery()))
    assert bench.source.wants == [(MarketTicks(),)]
    assert bench.live.flow(bench.received[-1]) == Flow(True, "timeout")
    assert repr(bench.live) == "<LiveService 1 watches with ticks>"
    await leave(reader)
    assert bench.source.wants == [(MarketTicks(),), ()]
    assert repr(bench.live) == "<LiveService 0 watches with ticks>"


async def test_the_ticks_of_the_venues_own_candles_are_wanted(bench: Bench) -> None:
    await bench.know()
    reader = await bench.follow(bench.live.watch_candles("BTC", HOURS))
    assert bench.source.wants == [(BTC_HOURS,)]
    assert bench.live.flow(bench.received[-1]) == Flow(False, "timeout")
    assert [answer.data for answer in bench.received] == [candles().data]
    await leave(reader)
    assert bench.source.wants[-1] == ()


@pytest.mark.parametrize(
    "answer",
    [candles(source="kraken"), candles(pair=None, source="coingecko_free"), candles(pair=None)],
    ids=["another venue's", "without a venue", "without a pair"],
)
async def test_no_ticks_are_wanted_for_candles_of_another_provider(
    bench: Bench, answer: Answer[Candles]
) -> None:
    await bench.know()
    bench.cache.put(BTC_QUERY, answer)
    await bench.follow(bench.live.watch_candles("BTC", HOURS))
    assert len(bench.received) == 1
    assert (bench.source.wants, bench.live.flow(bench.received[-1])) == ([], None)


async def test_ticks_are_wanted_again_when_candles_come_from_the_venue_again(
    bench: Bench,
) -> None:
    await bench.know()
    await bench.follow(bench.live.watch_candles("BTC", HOURS))
    bench.cache.put(BTC_QUERY, candles(source="kraken"))
    await asyncio.sleep(0.01)
    bench.cache.put(BTC_QUERY, candles())
    await asyncio.sleep(0.01)
    assert bench.source.wants == [(BTC_HOURS,), (), (BTC_HOURS,)]


async def test_an_unknown_symbol_is_an_error_and_no_ticks_are_wanted(bench: Bench) -> None:
    await bench.know()
    await bench.follow(bench.live.watch_candles("NOSUCHCOIN", HOURS))
    (error,) = bench.received
    assert isinstance(error, UnknownSymbol)
    assert bench.source.wants == []


async def test_ticks_of_one_subject_are_wanted_once_until_its_last_watch_ends(bench: Bench) -> None:
    await bench.know()
    one = await bench.follow(bench.live.watch_candles("BTC", HOURS))
    other = await bench.follow(bench.live.watch_candles("bitcoin", HOURS))
    third = await bench.follow(bench.live.watch(MarketQuery()))
    assert bench.source.wants == [(BTC_HOURS,), (BTC_HOURS, MarketTicks())]
    await leave(one)
    assert set(bench.source.wants[-1]) == {BTC_HOURS, MarketTicks()}
    await leave(other)
    assert bench.source.wants[-1] == (MarketTicks(),)
    await leave(third)
    assert not bench.source.wants[-1]


async def test_new_answers_do_not_change_which_ticks_are_wanted(bench: Bench) -> None:
    await bench.know()
    await bench.follow(bench.live.watch(MarketQuery()))
    for _ in range(5):
        bench.cache.put(MarketQuery(), bench.cache.answers[MarketQuery()])
        await asyncio.sleep(0.01)
    assert len(bench.received) == 6
    assert bench.source.wants == [(MarketTicks(),)]


async def test_ticker_ticks_update_the_market_and_reach_its_watchers(bench: Bench) -> None:
    await bench.know()
    await bench.run()
    await bench.follow(bench.live.watch(MarketQuery()))
    bench.source.say(TickerUpdates("binance", (ticker("BTC", 51_000.0),)))
    await asyncio.sleep(0.01)
    before, after = bench.received
    assert [row.price for row in before.data.coins] == [50_000.0, 3_000.0]
    assert [row.price for row in after.data.coins] == [51_000.0, 3_000.0]
    assert [row.source for row in after.data.coins] == ["binance", "coingecko_free"]
    assert (after.fetched_at, after.source) == (before.fetched_at, before.source)
    assert bench.cache.updated == [(MarketQuery(), False)], "its times stay"


async def test_ticker_ticks_that_change_nothing_update_nothing(bench: Bench) -> None:
    await bench.know()
    await bench.run()
    bench.source.say(TickerUpdates("binance", (ticker("BTC", 500_000.0), ticker("NEW", 1.0))))
    await asyncio.sleep(0.01)
    assert bench.cache.updated == []


async def test_a_candle_tick_updates_its_series_and_makes_it_fresh(bench: Bench) -> None:
    await bench.know()
    await bench.run()
    await bench.follow(bench.live.watch_candles("BTC", HOURS))
    await asyncio.sleep(30)
    bench.source.say(candle_tick(101.0))
    await asyncio.sleep(0.01)
    before, after = bench.received
    assert [row.close for row in before.data.candles] == [100.0]
    assert [row.close for row in after.data.candles] == [101.0]
    assert (after.fetched_at - EPOCH).total_seconds() == pytest.approx(30, abs=0.1)
    assert bench.cache.updated == [(BTC_QUERY, True)]


async def calls_of_a_candle_tick(others: int) -> int:
    """Function calls for a tick of one series, while so many others are watched."""
    bench = Bench()
    await bench.know()
    await bench.run()
    for number in range(others):
        pair = instrument(f"C{number}USDT")
        query = replace(BTC_QUERY, coin_id=f"c-{number}")
        bench.live._set_wanted(object(), (CandleTicks(pair, Interval.H1), query))
    await bench.follow(bench.live.watch_candles("BTC", HOURS))
    with counted() as calls:
        bench.source.say(candle_tick(101.0))
        await asyncio.sleep(0.01)
    await leave(*bench.tasks)
    assert [answer.data.candles[-1].close for answer in bench.received] == [100.0, 101.0]
    return calls.made


async def test_a_candle_tick_costs_the_same_however_many_series_are_watched() -> None:
    assert await calls_of_a_candle_tick(100) == pytest.approx(
        await calls_of_a_candle_tick(25), abs=10
    )


async def test_a_candle_tick_that_came_during_a_refresh_is_applied_to_the_refreshed_series(
    bench: Bench,
) -> None:
    await bench.know()
    await bench.run()
    await bench.follow(bench.live.watch_candles("BTC", HOURS))
    await asyncio.sleep(30)
    bench.source.say(candle_tick(101.0))
    await asyncio.sleep(0.01)
    refreshed_at = EPOCH + timedelta(seconds=30.02)  # the tick came while it was on its way
    bench.cache.put(BTC_QUERY, replace(candles(), fetched_at=refreshed_at, latency_ms=5_000.0))
    await asyncio.sleep(0.01)
    assert [answer.data.candles[-1].close for answer in bench.received] == [
        100.0,
        101.0,
        100.0,
        101.0,
    ]


async def test_a_candle_tick_from_before_a_refresh_is_not_applied_again(bench: Bench) -> None:
    await bench.know()
    await bench.run()
    await bench.follow(bench.live.watch_candles("BTC", HOURS))
    bench.source.say(candle_tick(101.0))
    await asyncio.sleep(30)
    refreshed_at = EPOCH + timedelta(seconds=30)
    bench.cache.put(BTC_QUERY, replace(candles(102.0), fetched_at=refreshed_at))
    await asyncio.sleep(0.01)
    assert [answer.data.candles[-1].close for answer in bench.received] == [100.0, 101.0, 102.0]


async def test_a_candle_tick_behind_a_gap_is_not_applied(bench: Bench) -> None:
    await bench.know()
    await bench.run()
    await bench.follow(bench.live.watch_candles("BTC", HOURS))
    late = replace(candle_tick(101.0).candle, timestamp=EPOCH_MS + 5 * HOUR)
    bench.source.say(candle_tick(101.0, candle=late))
    await asyncio.sleep(0.01)
    assert len(bench.received) == 1


async def test_a_candle_tick_of_a_series_that_is_not_watched_any_more_is_not_applied(
    bench: Bench,
) -> None:
    await bench.know()
    await bench.run()
    reader = await bench.follow(bench.live.watch_candles("BTC", HOURS))
    await leave(reader)
    other = CandleTicks(instrument("ETHUSDT"), Interval.H1)
    bench.source.say(candle_tick(101.0), candle_tick(101.0, subject=other))
    await asyncio.sleep(0.01)
    assert bench.cache.updated == []


async def test_a_candle_tick_is_applied_once_for_all_watches_of_its_series(bench: Bench) -> None:
    await bench.know()
    await bench.run()
    for _ in range(3):
        await bench.follow(bench.live.watch_candles("BTC", HOURS))
    bench.source.say(candle_tick(101.0))
    await asyncio.sleep(0.01)
    assert bench.cache.updated == [(BTC_QUERY, True)]
    assert [answer.data.candles[-1].close for answer in bench.received] == [100.0] * 3 + [101.0] * 3


async def test_a_bug_in_the_ticks_is_logged_and_they_restart_after_five_seconds(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.know()
    runs = await bench.run()
    with caplog.at_level(logging.ERROR, "gateway"):
        bench.source.say(KeyError("bug"), KeyError("bug"))
        await asyncio.sleep(RESTART_S * 2 + 1)
    assert not runs.done()
    assert bench.source.began_at == pytest.approx([0, RESTART_S, RESTART_S * 2], abs=0.1)
    assert [record.message for record in caplog.records] == ["the ticks stopped"] * 2
    assert all(record.exc_info for record in caplog.records)
    bench.source.say(TickerUpdates("binance", (ticker("BTC", 51_000.0),)))
    await asyncio.sleep(0.01)
    assert bench.cache.updated == [(MarketQuery(), False)]


async def test_a_bug_while_a_tick_is_applied_closes_the_ticks_and_they_restart(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.know()
    await bench.run()
    bench.cache.bug = KeyError("bug")
    with caplog.at_level(logging.CRITICAL, "gateway"):
        bench.source.say(TickerUpdates("binance", (ticker("BTC", 51_000.0),)))
        await asyncio.sleep(1)
    assert (bench.source.ended, len(bench.source.began_at)) == (1, 1)
    bench.cache.bug = None
    await asyncio.sleep(RESTART_S)
    assert len(bench.source.began_at) == 2


async def test_ticks_that_end_restart(bench: Bench) -> None:
    await bench.run()
    bench.source.say(None)
    await asyncio.sleep(RESTART_S + 1)
    assert len(bench.source.began_at) == 2


@pytest.mark.parametrize("at", [1.0, 3.0])
async def test_run_ends_when_it_is_cancelled(bench: Bench, at: float) -> None:
    runs = await bench.run()
    await asyncio.sleep(1.5)
    bench.source.say(None)  # from here on it waits to begin again
    await asyncio.sleep(at)
    runs.cancel()
    await asyncio.gather(runs, return_exceptions=True)
    assert runs.cancelled()
    assert bench.source.ended == len(bench.source.began_at)


async def test_run_closes_the_ticks_when_it_is_cancelled(bench: Bench) -> None:
    runs = await bench.run()
    await leave(runs)
    assert runs.cancelled()
    assert (bench.source.ended, bench.source.began_at) == (1, [0])


async def test_the_status_is_the_venues() -> None:
    assert Bench().live.tick_status() == STATUS


async def test_without_a_venue_everything_is_watched_without_ticks() -> None:
    bench = Bench(ticks=None)
    await bench.know()
    await bench.live.run()
    readers = [
        await bench.follow(bench.live.watch(MarketQuery())),
        await bench.follow(bench.live.watch_candles("BTC", HOURS)),
    ]
    assert len(bench.received) == 2
    assert bench.live.tick_status() is None
    assert bench.live.flow(bench.received[0]) == Flow(False, "disabled")
    await leave(*readers)
