"""One process is connected to the venues for all: who, for what, and what the others receive."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from backend.cluster.contract import SingleProcess
from backend.cluster.store import LEASE_S
from backend.errors import ConnectFailed
from backend.models.market import PairTicker
from backend.models.ohlc import Candle, Interval
from backend.models.ticks import CandleTicks, CandleUpdate, Flow, MarketTicks, TickerUpdates
from backend.orchestration.push.connection_rule import ISLAND_S
from backend.orchestration.push.heard_ticks import STATE_S
from backend.orchestration.push.others_wants import WANTS_S
from backend.orchestration.push.relayed_ticks import REPEAT_S, RelayedTicks
from backend.orchestration.push.tick_failover import MOST_WAITING
from backend.orchestration.push.tick_messages import TickCodec, Wants
from tests.clocks import EPOCH, LoopClock
from tests.instruments import instrument
from tests.orchestration.push.cluster import Bench, Network, Process, candles_of

pytestmark = pytest.mark.looptime
MARKET = MarketTicks()
BTC = CandleTicks(instrument("BTCUSDT"), Interval.H1)
ETH = CandleTicks(instrument("ETHUSDT"), Interval.H1)
#: Longer than any message takes.
SOON_S = 0.6


def candle(close: float, *, opened: int = 0, closed: bool = False, volume: Any = None) -> Candle:
    grown = close if volume is None else volume
    return Candle(opened, close, close, close, close, grown, closed)


def candle_tick(subject: CandleTicks, close: float, **fields: Any) -> CandleUpdate:
    return CandleUpdate("binance", subject, candle(close, **fields))


def ticker(price: float, venue: str = "binance") -> PairTicker:
    return PairTicker(
        replace(instrument("BTCUSDT"), venue=venue), price, price, price, 1.0, None, None, EPOCH
    )


def tickers(price: float, venue: str = "binance") -> TickerUpdates:
    return TickerUpdates(venue, (ticker(price),))


async def settle() -> None:
    await asyncio.sleep(SOON_S)


async def talk(process: Process, seconds: int, *subjects: CandleTicks, start: float = 1.0) -> None:
    """The venue sends ten ticks a second, each of a price and volume above the one before."""
    for number in range(10 * seconds):
        for subject in subjects:
            process.venue.line.say(candle_tick(subject, start + number))
        await asyncio.sleep(0.1)


async def test_the_leader_connects_for_what_others_want_and_sends_them_the_ticks() -> None:
    bench = Bench()
    async with bench.running() as (one, two, three):
        two.ticks.want((MARKET, BTC))
        three.ticks.want((ETH,))
        await settle()
        assert one.asked == {MARKET, BTC, ETH}
        assert (two.venue.lines, three.venue.lines) == ([], [])
        ticks = [tickers(1.0), candle_tick(BTC, 2.0), candle_tick(ETH, 3.0)]
        one.venue.line.say(*ticks)
        await settle()
        assert two.received == ticks[:2]
        # All processes have the same prices, whoever watches them.
        assert (three.received, one.received) == ([ticks[0], ticks[2]], [ticks[0]])
        assert two.ticks.pushes("binance")
        assert not two.ticks.pushes("kraken")
        assert repr(two.ticks) == "<RelayedTicks <ConnectionRule relayed> 2 wanted>"


async def test_what_nobody_else_wants_is_not_sent() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        one.ticks.want((MARKET, BTC))
        two.ticks.want((ETH,))
        await settle()
        bench.network.sent.clear()
        one.venue.line.say(tickers(1.0), candle_tick(BTC, 2.0))
        await settle()
        assert set(bench.network.kinds_sent()) == {"state"}
        assert len(one.received) == 2


async def test_ticks_that_come_together_are_one_message() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        two.ticks.want((BTC, MARKET))
        await settle()
        one.venue.line.say(*(candle_tick(BTC, float(number)) for number in range(1, 101)))
        one.venue.line.say(tickers(1.0))
        await settle()
        kinds = bench.network.kinds_sent()
        assert (kinds.count("candles"), kinds.count("tickers")) == (1, 1)
        assert candles_of(two, BTC) == [float(number) for number in range(1, 101)]


async def test_wants_are_repeated_each_second_and_forgotten_when_they_are_not() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        two.ticks.want((BTC,))
        await asyncio.sleep(10)
        wants = [message for _, channel, message in bench.network.sent if channel == "wants"]
        # The two followers' first word is that nothing is wanted.
        assert 10 <= len(wants) <= 13
        two.cluster.is_connected = False
        await asyncio.sleep(WANTS_S - REPEAT_S)
        assert one.asked == {BTC}
        await asyncio.sleep(REPEAT_S + SOON_S)
        assert one.asked == set()
        assert one.venue.open == []


async def test_wants_that_are_over_are_told_at_once_and_not_repeated() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        two.ticks.want((BTC,))
        await settle()
        two.ticks.want(())
        await settle()
        assert one.asked == set()
        bench.network.sent.clear()
        await asyncio.sleep(10)
        assert {channel for _, channel, _ in bench.network.sent} == {"ticks"}  # the state


async def test_clients_that_come_and_go_cost_few_messages() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        for number in range(1_000):
            two.ticks.want((BTC, ETH) if number % 2 else (BTC,))
            await asyncio.sleep(0.001)
        await settle()
        sent = [sender for sender, channel, _ in bench.network.sent if channel == "wants"]
        assert sent.count("two") <= 14
        assert one.asked == {BTC, ETH}


async def test_followers_know_what_flows_and_the_status() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        assert two.ticks.status().state == "off"
        two.ticks.want((MARKET, BTC))
        assert two.ticks.status().state == "connecting"
        assert two.ticks.status().subjects == 2
        assert two.ticks.flow(BTC) == Flow(False)
        await settle()
        one.venue.line.say(tickers(1.0), candle_tick(BTC, 1.0))
        await settle()
        assert two.ticks.flow(BTC) == two.ticks.flow(MARKET) == Flow(True, venue="binance")
        assert two.ticks.flow(ETH) == Flow(False)
        assert two.ticks.status() == one.ticks.status()
        assert two.ticks.status().state == "live"
        one.venue.refusal = ConnectFailed("gone")
        one.venue.line.say(ConnectFailed("gone"))
        await settle()
        assert two.ticks.flow(BTC) == Flow(False, "connect_error")
        status = two.ticks.status()
        assert (status.state, status.reason) == ("down", "connect_error")


async def test_a_state_that_does_not_change_is_told_once_a_second() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        one.venue.refusal = ConnectFailed("gone")  # with a time of the next connect
        two.ticks.want((BTC,))
        await asyncio.sleep(30)
        bench.network.sent.clear()
        await asyncio.sleep(20)
        assert 17 <= len(bench.network.kinds_sent()) <= 25


async def test_a_follower_that_receives_no_ticks_says_so_whatever_the_leader_says() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        two.ticks.want((MARKET,))
        await settle()
        one.venue.line.say(tickers(1.0))
        await settle()
        assert two.ticks.flow(MARKET).is_live

        def lose(_sender: str, message: bytes) -> None:
            if not message.startswith(b"tickers"):
                two.ticks._on_message(_sender, message)

        two.cluster._handlers = [("ticks", lose)]
        for _ in range(11):
            one.venue.line.say(tickers(1.0))
            await asyncio.sleep(1)
        assert one.ticks.flow(MARKET).is_live
        assert two.ticks.flow(MARKET) == Flow(False, "timeout")


async def test_a_leader_that_is_silent_leaves_nothing_flowing() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        two.ticks.want((MARKET,))
        await settle()
        one.venue.line.say(tickers(1.0))
        await settle()
        one.cluster.is_connected = False
        await asyncio.sleep(STATE_S - 1)
        assert two.ticks.flow(MARKET).is_live
        await asyncio.sleep(2)
        assert two.ticks.flow(MARKET) == Flow(False)
        assert two.ticks.status().state == "connecting"


async def test_when_the_leader_ends_one_other_connects_and_the_third_does_not() -> None:
    bench = Bench()
    async with bench.running() as (one, two, three):
        two.ticks.want((BTC,))
        three.ticks.want((BTC, ETH))
        await settle()
        await talk(one, 2, BTC, ETH)
        before = candles_of(three, BTC)
        bench.lead(None)
        bench.end(one)
        await asyncio.sleep(LEASE_S - 1.2)  # nobody leads until the lease is over
        bench.lead(two, term=2)
        bench.end(one)
        await asyncio.sleep(0.5)
        assert two.asked == {BTC, ETH}  # it had heard what the third wants
        await talk(two, 2, BTC, ETH, start=101.0)
        await settle()
        after = candles_of(three, BTC)[len(before) :]
        assert after[0] <= 105.0
        assert after[-1] == 120.0
        assert three.ticks.flow(BTC) == Flow(True, venue="binance")
        assert three.venue.lines == []
        assert [len(process.venue.lines) for process in (one, two)] == [1, 1]


async def test_an_island_connects_after_a_takeover_would_be_over_and_leaves_when_one_leads() -> (
    None
):
    bench = Bench()
    async with bench.running() as (one, two, _):
        two.ticks.want((BTC,))
        await settle()
        bench.lead(None)
        await asyncio.sleep(ISLAND_S - 0.5)
        assert two.venue.lines == []
        await asyncio.sleep(1)
        assert len(two.venue.open) == 1
        two.venue.line.say(candle_tick(BTC, 1.0))
        await settle()
        assert candles_of(two, BTC) == [1.0]
        assert two.ticks.flow(BTC).is_live
        assert one.asked == set()  # an island has nothing to do with what others want
        bench.network.sent.clear()
        two.venue.line.say(candle_tick(BTC, 2.0))
        await settle()
        assert bench.network.kinds_sent() == []
        bench.lead(one, term=2)
        await settle()
        assert (len(two.venue.open), len(one.venue.open)) == (0, 1)
        await talk(one, 1, BTC, start=3.0)
        await settle()
        assert candles_of(two, BTC) == [1.0, 2.0, *map(float, range(3, 13))]


async def test_a_leader_whose_lease_flickers_keeps_its_connection() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        one.ticks.want((BTC,))
        two.ticks.want((BTC,))
        await settle()
        one.cluster.role = "island"
        await asyncio.sleep(ISLAND_S + 1)
        one.cluster.role = "leader"
        await settle()
        assert len(one.venue.lines) == len(one.venue.open) == 1


async def test_an_excluded_process_connects_to_nobody_and_asks_nobody() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        two.cluster.role = "excluded"
        two.ticks.want((MARKET,))
        await settle()
        one.ticks.want((MARKET,))
        await asyncio.sleep(2 * ISLAND_S)
        one.venue.line.say(tickers(1.0))
        await settle()
        assert (two.venue.lines, two.received) == ([], [])
        assert "two" not in {sender for sender, _, _ in bench.network.sent}


async def test_a_single_process_uses_its_own_streams() -> None:
    process = Process("one", Network())
    process.ticks = RelayedTicks(process.own, SingleProcess(), clock=LoopClock())
    reader = asyncio.create_task(process.read())
    process.ticks.want((MARKET,))
    await settle()
    process.venue.line.say(tickers(1.0))
    await settle()
    assert process.received == [tickers(1.0)]
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)


async def test_over_a_bad_network_ticks_are_lost_but_never_repeated_or_out_of_order() -> None:
    network = Network()
    network.delay_s = lambda: network.chance.uniform(0.0, 0.3)
    network.copies = lambda: network.chance.choice((0, 1, 1, 2))
    bench = Bench(network)
    async with bench.running() as (one, two, three):
        for process in (one, two, three):
            process.ticks.want((BTC,))
        await asyncio.sleep(5)
        await talk(one, 60, BTC)
        await settle()
        assert candles_of(one, BTC) == [float(number) for number in range(1, 601)]
        for process in (two, three):
            heard = candles_of(process, BTC)
            assert 100 < len(heard) < 600
            assert all(earlier < later for earlier, later in pairwise(heard))
            assert heard[-1] > 550


async def test_while_leaders_change_over_a_bad_network_no_candle_goes_back_or_comes_twice() -> None:
    network = Network()
    network.delay_s = lambda: network.chance.uniform(0.0, 0.3)
    bench = Bench(network)
    price = 1.0
    async with bench.running() as processes:
        for process in processes:
            process.ticks.want((BTC,))
        for term in range(2, 20):
            leader = processes[term % 3]
            bench.lead(leader, term)
            for _ in range(40):
                await asyncio.sleep(0.1)
                price += 1.0  # the venue says the same to everybody who is connected
                for process in processes:
                    if process.venue.open:
                        process.venue.line.say(candle_tick(BTC, price))
        await settle()
        for process in processes:
            heard = candles_of(process, BTC)
            assert len(heard) > 300
            assert all(earlier < later for earlier, later in pairwise(heard))


async def test_after_the_own_stream_a_closed_candle_is_not_opened_again() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        one.ticks.want((BTC,))
        two.ticks.want((BTC,))
        await settle()
        one.venue.line.say(candle_tick(BTC, 5.0, opened=3_600_000, closed=True))
        await settle()
        bench.lead(two, term=2)
        await asyncio.sleep(0.3)
        two.venue.line.say(candle_tick(BTC, 4.0, opened=3_600_000))
        two.venue.line.say(candle_tick(BTC, 9.0))
        two.venue.line.say(candle_tick(BTC, 6.0, opened=7_200_000))
        await asyncio.sleep(0.2)
        assert candles_of(one, BTC) == [5.0, 6.0]
        await asyncio.sleep(1)  # later a venue may correct a volume
        two.venue.line.say(candle_tick(BTC, 5.0, opened=7_200_000))
        await settle()
        assert candles_of(one, BTC) == [5.0, 6.0, 5.0]


@pytest.mark.parametrize(
    "tick",
    [
        tickers(1.0, venue="kraken"),
        TickerUpdates("binance", (ticker(1.0, venue="elsewhere"),)),
        replace(candle_tick(BTC, 1.0), source="kraken"),
        candle_tick(CandleTicks(instrument("BTCUSDT", "elsewhere"), Interval.H1), 1.0),
        candle_tick(ETH, 1.0),
    ],
)
async def test_ticks_of_other_venues_and_series_that_nobody_asked_for_are_dropped(
    tick: TickerUpdates | CandleUpdate,
) -> None:
    bench, codec = Bench(), TickCodec()
    async with bench.running() as (one, two, _):
        two.ticks.want((MARKET, BTC))
        await settle()
        if isinstance(tick, TickerUpdates):
            one.cluster.publish("ticks", codec.tickers(1, 100, [tick]))
        else:
            one.cluster.publish("ticks", codec.candles(1, 100, [tick]))
        await settle()
        assert two.received == []


@pytest.mark.parametrize(
    "message", [b"", b"tickers", b"tickers 1 100\njunk", b"state 1 100\n{}", b"\xff\n\xff"]
)
async def test_malformed_messages_do_no_harm(message: bytes) -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        two.ticks.want((BTC,))
        await settle()
        one.cluster.publish("ticks", message)
        two.cluster.publish("wants", message)
        await asyncio.sleep(6)
        one.venue.line.say(candle_tick(BTC, 1.0))
        await settle()
        assert candles_of(two, BTC) == [1.0]
        assert one.asked == {BTC}


async def test_wants_of_venues_without_a_stream_are_not_kept() -> None:
    bench, codec = Bench(), TickCodec()
    other = CandleTicks(instrument("BTCUSDT", "elsewhere"), Interval.H1)
    async with bench.running() as (one, two, _):
        await settle()
        two.cluster.publish("wants", codec.wants(Wants(False, (other, BTC))))
        await settle()
        assert one.asked == {BTC}


async def test_a_consumer_that_is_slow_has_the_newest_ticks() -> None:
    bench = Bench()
    one, two, _ = bench.processes
    reader, writer = asyncio.create_task(one.read()), two.ticks.ticks()
    two.ticks.want((BTC,))
    first = asyncio.create_task(anext(writer))
    await settle()
    for start in range(1, 301, 100):
        one.venue.line.say(*(candle_tick(BTC, float(start + n)) for n in range(100)))
        await settle()
    assert (await first).candle.close == 1.0  # type: ignore[union-attr]
    rest = [(await anext(writer)).candle.close for _ in range(MOST_WAITING)]  # type: ignore[union-attr]
    assert rest == [float(number) for number in range(201, 301)]
    await writer.aclose()
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)


@pytest.mark.parametrize("part", ["own.ticks", "ticks._tell"])
async def test_a_bug_reaches_the_consumer(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    process = Bench().processes[0]

    def fail() -> Any:
        raise RuntimeError("a bug")

    owner, _, name = part.partition(".")
    monkeypatch.setattr(getattr(process, owner), name, fail)
    with pytest.raises(RuntimeError, match="a bug"):
        await process.read()


async def test_what_was_collected_before_the_lease_was_lost_is_not_sent() -> None:
    bench = Bench()
    async with bench.running() as (one, two, _):
        two.ticks.want((BTC,))
        await settle()
        bench.network.sent.clear()
        one.venue.line.say(candle_tick(BTC, 1.0))
        await asyncio.sleep(0.01)
        assert repr(one.ticks._publisher) == "<TickPublisher 1 unsent>"
        bench.lead(two, term=2)
        await settle()
        assert "candles" not in bench.network.kinds_sent()
