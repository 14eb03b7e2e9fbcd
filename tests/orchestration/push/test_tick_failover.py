"""Ticks of two venues as one source: when the second is asked, when released, what readers see."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pytest

from backend.errors import ConnectionBroken, GeoBlocked
from backend.events import Event
from backend.identity.instruments import Instrument
from backend.models.ohlc import Candle, Interval
from backend.models.ticks import CandleTicks, CandleUpdate, Flow, MarketTicks, TickerUpdates
from backend.orchestration.push.tick_failover import (
    CHOOSE_AGAIN_S,
    RETURN_AFTER_S,
    SWITCH_AFTER_S,
    TickFailover,
)
from backend.orchestration.push.tick_stream import TickStream
from tests.clocks import LoopClock
from tests.orchestration.push.test_tick_stream import (
    JUNK,
    MARKET,
    Parser,
    Venue,
    scripted_feed,
)
from tests.wake_ups import noted_wake_ups

pytestmark = pytest.mark.looptime
AT_FIRST = CandleTicks(Instrument("first", "BTC", "USDT", "BTCUSDT"), Interval.H1)
AT_SECOND = CandleTicks(Instrument("second", "BTC", "USD", "BTC/USD"), Interval.H1)
COINS = tuple(Instrument("second", base, "USD", f"{base}/USD") for base in ("ETH", "BTC"))


def tickers(source: str) -> TickerUpdates:
    return TickerUpdates(source, ())


@dataclass
class Bench:
    """Two venues; the second one must be told all instruments."""

    first: Venue = field(default_factory=Venue)
    second: Venue = field(default_factory=Venue)
    events: list[Event] = field(default_factory=list)
    received: list[Any] = field(default_factory=list)
    coins: Sequence[Instrument] = COINS
    chosen: int = 0

    @cached_property
    def ticks(self) -> TickFailover:
        streams = [
            self._stream("first", self.first, False),
            self._stream("second", self.second, True),
        ]
        return TickFailover(streams, self._instruments, clock=LoopClock())

    def _instruments(self, venue: str) -> tuple[Instrument, ...]:
        assert venue == "second"
        self.chosen += 1
        return tuple(self.coins)

    def _stream(self, name: str, venue: Venue, lists_instruments: bool) -> TickStream:
        feed = replace(scripted_feed(Parser()), lists_instruments=lists_instruments)
        return TickStream(
            name,
            feed,
            venue.connect,
            clock=LoopClock(),
            emit=self.events.append,
            jitter=lambda: 1.0,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        reader = asyncio.create_task(self._read())
        try:
            yield
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self) -> None:
        async with aclosing(self.ticks.ticks()) as ticks:
            async for tick in ticks:
                self.received.append(tick)

    async def say_for(self, seconds: int, *venues: Venue) -> None:
        """The venues send tickers each second."""
        for _ in range(seconds):
            for venue in venues:
                if venue.open:
                    venue.line.say(tickers("first" if venue is self.first else "second"))
            await asyncio.sleep(1)


async def test_while_the_first_venue_has_tickers_the_second_is_not_asked() -> None:
    bench = Bench()
    bench.ticks.want((MARKET,))
    async with bench.running():
        await asyncio.sleep(0.1)
        await bench.say_for(120, bench.first)
    assert (len(bench.first.lines), len(bench.second.lines), bench.chosen) == (1, 0, 0)
    assert {tick.source for tick in bench.received} == {"first"}


async def test_nothing_is_opened_while_nothing_is_wanted() -> None:
    bench = Bench()
    async with bench.running():
        await asyncio.sleep(100)
        assert (bench.first.lines, bench.second.lines) == ([], [])
        bench.ticks.want((MARKET,))
        await asyncio.sleep(20)
        bench.ticks.want(())
        await asyncio.sleep(5)
        assert (bench.first.open, bench.second.open) == ([], [])


async def test_a_blocked_venue_is_replaced_within_seconds() -> None:
    bench = Bench()
    bench.first.refusal = GeoBlocked("451")
    bench.ticks.want((MARKET,))
    async with bench.running():
        await asyncio.sleep(SWITCH_AFTER_S + 2)
        await bench.say_for(2, bench.second)
        assert bench.received == [tickers("second")] * 2
        assert bench.ticks.flow(MARKET) == Flow(True, venue="second")
        assert bench.ticks.status().provider == "second"


async def test_a_silent_venue_is_replaced_and_its_substitute_is_told_the_instruments() -> None:
    bench = Bench()
    bench.ticks.want((MARKET,))
    async with bench.running():
        await asyncio.sleep(0.1)
        await bench.say_for(5, bench.first)
        assert not bench.second.lines
        await asyncio.sleep(10 + SWITCH_AFTER_S + 2)  # tickers are silent after ten seconds
        assert bench.second.line.path == f"open 1: {MarketTicks(COINS[::-1])}"  # by their names


@pytest.mark.parametrize("is_broken", [True, False])
async def test_the_time_without_tickers_counts_from_the_loss_on(is_broken: bool) -> None:
    bench = Bench()
    bench.ticks.want((MARKET,))
    async with bench.running():
        await asyncio.sleep(0.1)
        await bench.say_for(5, bench.first)
        silent_from = bench.ticks._clock.monotonic() + 9  # the last tickers came a second ago
        if is_broken:
            bench.first.refusal = GeoBlocked("451")
            bench.first.line.say(ConnectionBroken("lost"))
            silent_from = bench.ticks._clock.monotonic()
        await asyncio.sleep(20)
        switched_after_s = bench.second.tried_at[0] - silent_from
        assert SWITCH_AFTER_S <= switched_after_s <= SWITCH_AFTER_S + 1


async def test_a_venue_that_stays_blocked_does_not_wake_the_process() -> None:
    bench = Bench()
    bench.first.refusal = GeoBlocked("451")
    bench.ticks.want((MARKET,))
    async with bench.running():
        await asyncio.sleep(10)
        with noted_wake_ups() as woken_at:
            for _ in range(60):
                bench.second.line.say(tickers("second"))
                await asyncio.sleep(5)
        assert bench.ticks.flow(MARKET) == Flow(True, venue="second")
        assert len(woken_at) <= 60 + 60 + 5, "tickers, and a look for silence each 5 s at most"


async def test_nothing_wakes_the_process_while_nothing_is_wanted() -> None:
    bench = Bench()
    async with bench.running():
        bench.ticks.want((MARKET,))
        await asyncio.sleep(20)
        bench.ticks.want(())
        await asyncio.sleep(10)
        with noted_wake_ups() as woken_at:
            await asyncio.sleep(3_600)
        assert len(woken_at) <= 2


@pytest.mark.many_rounds
async def test_a_venue_that_comes_back_is_trusted_after_a_minute() -> None:
    bench = Bench()
    bench.first.refusal = GeoBlocked("451")
    bench.ticks.want((MARKET,))
    async with bench.running():
        await asyncio.sleep(10)
        bench.first.refusal = None
        while not bench.first.open:  # its own back-off is long
            await bench.say_for(1, bench.second)
        await bench.say_for(int(RETURN_AFTER_S) - 5, bench.first, bench.second)
        assert bench.second.open
        assert bench.ticks.flow(MARKET) == Flow(True, venue="first")
        await bench.say_for(10, bench.first, bench.second)
        assert not bench.second.open
        bench.received.clear()
        await bench.say_for(60, bench.first)
        assert {tick.source for tick in bench.received} == {"first"}
        assert len(bench.first.open) == 1


async def test_a_venue_that_flaps_is_not_trusted() -> None:
    bench = Bench()
    bench.ticks.want((MARKET,))
    async with bench.running():
        await asyncio.sleep(20)  # silent from the start
        for _ in range(5):
            await bench.say_for(20, bench.first, bench.second)
            await bench.say_for(20, bench.second)
            assert bench.second.open


async def test_candles_come_from_the_venue_of_their_instrument() -> None:
    bench = Bench()
    bench.ticks.want((AT_FIRST, AT_SECOND))
    candle = Candle(0, 1.0, 1.0, 1.0, 1.0, 1.0, False)
    async with bench.running():
        await asyncio.sleep(1)
        assert bench.first.line.path == f"open 1: {AT_FIRST}"
        assert bench.second.line.path == f"open 1: {AT_SECOND}"
        bench.second.line.say(CandleUpdate("second", AT_SECOND, candle))
        await asyncio.sleep(1)
        assert bench.ticks.flow(AT_SECOND) == Flow(True, venue="second")
        assert not bench.ticks.flow(AT_FIRST).is_live
    assert [bench.ticks.pushes(name) for name in ("first", "second", "third")] == [
        True,
        True,
        False,
    ]
    other = CandleTicks(Instrument("third", "BTC", "USD", "BTC-USD"), Interval.H1)
    assert bench.ticks.flow(other) == Flow(False, "unsupported")


async def test_the_instruments_are_chosen_anew_when_the_market_may_have_changed() -> None:
    bench = Bench(coins=())
    bench.first.refusal = GeoBlocked("451")
    bench.ticks.want((MARKET,))
    async with bench.running():
        await asyncio.sleep(10)
        assert bench.chosen > 1  # no market is known yet
        bench.coins = COINS
        await bench.say_for(3, bench.second)
        chosen = bench.chosen
        await bench.say_for(int(CHOOSE_AGAIN_S) - 10, bench.second)
        assert bench.chosen == chosen
        await bench.say_for(20, bench.second)
        assert bench.chosen == chosen + 1


async def test_an_unexpected_error_of_one_venue_reaches_the_consumer() -> None:
    bench = Bench()
    bench.ticks.want((MARKET,))
    reader = asyncio.create_task(bench._read())
    await asyncio.sleep(1)
    bench.first.line.say(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        await reader
    await asyncio.sleep(1)
    assert not bench.first.open
    assert JUNK not in bench.received


async def test_the_silence_limit_is_that_of_the_venues_that_may_have_the_subject() -> None:
    ticks = Bench().ticks
    other = CandleTicks(Instrument("third", "BTC", "USD", "BTC-USD"), Interval.H1)
    assert [ticks.silence_s(one) for one in (MARKET, AT_FIRST, other)] == [10.0, 60.0, 0.0]
