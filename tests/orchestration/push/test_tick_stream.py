"""The tick stream: over a scripted venue and virtual time, and a few walks over real sockets."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backend.clock import SystemClock
from backend.errors import (
    ConnectFailed,
    ConnectionBroken,
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    RateLimited,
)
from backend.events import Event, TickFeedChanged
from backend.models.ohlc import Candle, Interval
from backend.models.status import Refusal
from backend.models.ticks import (
    CandleTicks,
    CandleUpdate,
    Flow,
    MarketTicks,
    TickerUpdates,
    TickStatus,
    TickSubject,
)
from backend.orchestration.limits.window import Cost, Permit, Refused, usable_limit
from backend.orchestration.provider_factory import ProviderFactory
from backend.orchestration.push.factory import PushFactory
from backend.orchestration.push.subscriptions import TickSubscriptions
from backend.orchestration.push.tick_failover import TickFailover
from backend.orchestration.push.tick_stream import LINGER_S, NOTICE_S, TickStream
from backend.providers.adapter import Context, ProviderSpec, PushFeed, Window
from backend.providers.client import ProviderClient
from backend.providers.push_client import PushClient
from backend.providers.vendors import binance
from backend.providers.vendors.binance_stream import PUSH_FEED
from backend.settings import load_configuration
from tests.calls import counted
from tests.clocks import EPOCH, LoopClock, ManualClock
from tests.instruments import instrument
from tests.wake_ups import noted_wake_ups
from tests.walk import PriceQuery, Wire, stub_adapter
from tests.world.push import PushWorld, mini_ticker

pytestmark = pytest.mark.looptime
MARKET = MarketTicks()
BTC = CandleTicks(instrument("BTCUSDT"), Interval.H1)
MANY: tuple[TickSubject, ...] = tuple(
    CandleTicks(instrument(f"C{number}USDT"), Interval.M1) for number in range(2_000)
)
MARKET_TICK = TickerUpdates("venue", ())
BTC_TICK = CandleUpdate("venue", BTC, Candle(0, 1.0, 1.0, 1.0, 1.0, 1.0, False))
ACK, JUNK, GOODBYE = "ack", "junk", "goodbye"
BROKEN = ConnectionBroken("lost")
REFUSED = ConnectFailed("refused")


def words(verb: str, subjects: Sequence[TickSubject]) -> str:
    return f"{verb} {len(subjects)}: {subjects[0]}"


class Parser:
    """Frames are ticks, or words of the script."""

    def __init__(self) -> None:
        self.contexts: list[Context] = []

    def __call__(self, frame: Any, context: Context) -> Any:
        self.contexts.append(context)
        if frame == JUNK:
            raise KeyError("junk")
        return None if frame == ACK else frame

    @property
    def __name__(self) -> str:
        return "parser"


def scripted_feed(parse: Callable[[Any, Context], Any]) -> PushFeed:
    """Tickers are silent after 10 s, candles after 60 s."""
    return PushFeed(
        base_url="wss://venue.example",
        connects=Window(300, 300),
        commands_per_s=3,
        most_subjects=1_000,
        path=lambda subjects: words("open", subjects),
        subjects_in_path=50,
        subscribe=lambda subjects, number: (f"{number} {words('ask', subjects)}",),
        unsubscribe=lambda subjects, number: (f"{number} {words('drop', subjects)}",),
        parse=parse,
        is_shutdown_notice=lambda frame: frame == GOODBYE,
        silence_s=lambda subject: 10.0 if subject == MARKET else 60.0,
    )


@dataclass
class Line:
    """One scripted connection: frames come out as they are said, exceptions are raised."""

    path: str
    opened_at: float
    closed_at: float | None = None
    sent: list[tuple[float, str]] = field(default_factory=list)
    send_error: ProviderError | None = None
    said: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    receiver: asyncio.Timeout | None = None
    #: How often somebody waited for a frame.
    receives: int = 0

    def say(self, *frames: Any) -> None:
        for frame in frames:
            self.said.put_nowait(frame)

    async def send(self, text: str) -> None:
        if self.send_error:
            raise self.send_error
        self.sent.append((now(), text))

    async def receive(self, timeout_s: float) -> Any:
        self.receives += 1
        try:
            async with asyncio.timeout(timeout_s) as self.receiver:
                frame = await self.said.get()
        except TimeoutError:
            return None
        finally:
            self.receiver = None
        if isinstance(frame, Exception):
            raise frame
        return frame

    def interrupt(self) -> None:
        if self.receiver and not self.receiver.expired():
            self.receiver.reschedule(now())

    async def receive_bytes(self, timeout_s: float) -> Any:
        return await self.receive(timeout_s)


class Venue:
    """Opens a line, or refuses: with the next of `refusals`, or for ever with `refusal`."""

    def __init__(self) -> None:
        self.refusals: deque[ProviderError] = deque()
        self.refusal: ProviderError | None = None
        self.delay_s = 0.0
        #: Said at once on every line.
        self.greeting: tuple[Any, ...] = ()
        self.tried_at: list[float] = []
        self.lines: list[Line] = []

    @asynccontextmanager
    async def connect(self, path: str) -> AsyncIterator[Line]:
        self.tried_at.append(now())
        await asyncio.sleep(self.delay_s)
        if self.refusals:
            raise self.refusals.popleft()
        if self.refusal:
            raise self.refusal
        line = Line(path, now())
        line.say(*self.greeting)
        self.lines.append(line)
        try:
            yield line
        finally:
            line.closed_at = now()

    @property
    def line(self) -> Line:
        return self.lines[-1]

    @property
    def open(self) -> list[Line]:
        return [line for line in self.lines if line.closed_at is None]


@dataclass
class Bench:
    """A stream and its reader, made when first looked at: a fixture is not yet in virtual time."""

    venue: Venue = field(default_factory=Venue)
    parser: Parser = field(default_factory=Parser)
    events: list[Event] = field(default_factory=list)
    heard: list[Any] = field(default_factory=list)
    jitter: float = 1.0
    change_feed: Callable[[PushFeed], PushFeed] = lambda feed: feed
    reader: asyncio.Task[None] | None = None

    @cached_property
    def stream(self) -> TickStream:
        stream = TickStream(
            "venue",
            self.change_feed(scripted_feed(self.parser)),
            self.venue.connect,
            clock=LoopClock(),
            emit=self.events.append,
            jitter=lambda: self.jitter,
        )
        self.reader = asyncio.create_task(read(stream, self.heard))
        return stream

    async def leave(self) -> None:
        if self.reader:
            self.reader.cancel()
            await asyncio.gather(self.reader, return_exceptions=True)

    @property
    def told(self) -> list[tuple[str | None, float]]:
        """Reasons that were told, and when."""
        found = [event for event in self.events if isinstance(event, TickFeedChanged)]
        assert len(found) == len(self.events)
        return [(event.reason, (event.at - EPOCH).total_seconds()) for event in found]


def now() -> float:
    return asyncio.get_running_loop().time()


async def read(stream: TickStream, heard: list[Any]) -> None:
    async with aclosing(stream.ticks()) as ticks:
        async for tick in ticks:
            heard += [tick]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.leave()


async def talk(line: Line, seconds: float, tick: Any = MARKET_TICK) -> None:
    """The line tells a tick each second, the first at once."""
    for _ in range(round(seconds)):
        line.say(tick)
        await asyncio.sleep(1)


async def test_no_connection_is_opened_before_ticks_are_wanted(bench: Bench) -> None:
    assert bench.stream.status().state == "off"
    await asyncio.sleep(3_600)
    assert bench.venue.tried_at == []
    assert bench.stream.status() == TickStatus("venue", "off", None, EPOCH, 0)


async def test_the_first_subscription_opens_a_connection_at_once(bench: Bench) -> None:
    await asyncio.sleep(100)
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    assert bench.venue.tried_at == [100]


async def test_ticks_come_out_as_they_came_in(bench: Bench) -> None:
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(0.01)
    other = replace(BTC_TICK, candle=replace(BTC_TICK.candle, closed=True))
    bench.venue.line.say(MARKET_TICK, BTC_TICK, ACK, BTC_TICK, other)
    await asyncio.sleep(0.01)
    assert bench.heard == [MARKET_TICK, BTC_TICK, BTC_TICK, other]


async def test_a_tick_of_an_unwanted_subject_is_not_passed_on(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    bench.venue.line.say(BTC_TICK)
    await asyncio.sleep(0.01)
    assert bench.heard == []
    assert bench.stream.status().state == "connecting"
    assert bench.stream.flow(BTC) == Flow(False)


async def test_the_parser_receives_the_provider_and_the_time(bench: Bench) -> None:
    await asyncio.sleep(3)
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(1)
    (context,) = bench.parser.contexts
    now_ms = int((EPOCH + timedelta(seconds=3.01)).timestamp() * 1000)
    assert (context.provider, context.now_ms) == ("venue", now_ms)


async def test_the_connection_closes_soon_after_the_last_subscription_ends(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    await talk(bench.venue.line, 3)
    bench.stream.want(())
    left_at = now()
    await asyncio.sleep(3_600)
    (line,) = bench.venue.lines
    assert line.closed_at is not None
    assert line.closed_at - left_at == pytest.approx(LINGER_S)
    assert bench.stream.status().state == "off"
    assert bench.stream.flow(MARKET) == Flow(False)
    assert bench.events == []


async def test_ticks_about_the_time_of_its_close_do_not_keep_it_open(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    await talk(bench.venue.line, 3)
    bench.stream.want(())
    left_at = now()
    await asyncio.sleep(LINGER_S - 0.005)  # less than the shortest wait before it
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(0.007)
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(1)
    (line,) = bench.venue.lines
    assert line.closed_at == pytest.approx(left_at + LINGER_S + 0.002)
    assert bench.stream.status().state == "off"


async def test_a_new_subscription_on_an_open_connection_does_not_wait(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(10)
    bench.stream.want(())
    await asyncio.sleep(10)
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    assert bench.venue.tried_at == [0, 20]


async def test_the_connection_is_closed_when_the_reader_leaves(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(5.2)
    await bench.leave()
    assert bench.venue.open == []


async def test_the_address_asks_for_fifty_subjects_and_commands_for_the_others(
    bench: Bench,
) -> None:
    bench.stream.want(MANY[:60])
    await asyncio.sleep(5)
    assert bench.venue.line.path == words("open", MANY[:50])
    assert [text for _, text in bench.venue.line.sent] == [f"1 {words('ask', MANY[50:60])}"]


def commands_only(feed: PushFeed) -> PushFeed:
    """A venue whose address subscribes to nothing, and whose commands name one subject each."""

    def frames(subjects: Sequence[TickSubject], number: int) -> tuple[str, ...]:
        return tuple(f"{number} {words('ask', [subject])}" for subject in subjects)

    return replace(
        feed, path=lambda _subjects: "", subjects_in_path=0, subscribe=frames, commands_per_s=2
    )


async def test_a_feed_without_subjects_in_its_address_subscribes_by_commands(
    bench: Bench,
) -> None:
    bench.change_feed = commands_only
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(0.01)
    assert bench.venue.line.path == ""
    assert bench.venue.line.sent == [
        (0, f"1 {words('ask', [MARKET])}"),
        (0, f"1 {words('ask', [BTC])}"),
    ]
    bench.venue.line.say(MARKET_TICK, BTC_TICK)
    await asyncio.sleep(0.01)
    assert bench.heard == [MARKET_TICK, BTC_TICK]


async def test_each_frame_of_a_command_counts_for_the_pace(bench: Bench) -> None:
    bench.change_feed = commands_only
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(0.01)
    bench.stream.want((MARKET, BTC, MANY[0]))
    for _ in range(300):
        bench.venue.line.say(ACK)
        await asyncio.sleep(0.01)
    assert [at for at, _ in bench.venue.line.sent] == pytest.approx([0, 0, 1], abs=0.05)


async def test_tickers_of_listed_instruments_are_recognised_by_their_kind(bench: Bench) -> None:
    listed = MarketTicks((instrument("BTCUSDT"),))
    bench.stream.want((listed,))
    await asyncio.sleep(0.01)
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(0.01)
    assert bench.heard == [MARKET_TICK]
    assert bench.stream.flow(listed) == bench.stream.flow(MARKET) == Flow(True)


async def test_subscriptions_stay_within_the_venues_limit_per_connection(bench: Bench) -> None:
    bench.stream.want(MANY)
    await asyncio.sleep(30)
    assert bench.stream.status().subjects == 1_000
    asked = [text.split(" ")[2] for _, text in bench.venue.line.sent]
    assert asked == ["100:"] * 9 + ["50:"]


async def test_changed_subscriptions_are_sent_on_the_open_connection(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(2.1)
    bench.stream.want((BTC,))
    await asyncio.sleep(5)
    (line,) = bench.venue.lines
    assert [text for _, text in line.sent] == [
        f"1 {words('drop', [MARKET])}",
        f"2 {words('ask', [BTC])}",
    ]
    line.say(MARKET_TICK, BTC_TICK)
    await asyncio.sleep(0.01)
    assert bench.heard == [BTC_TICK]


async def test_subscriptions_changed_during_the_connect_are_sent_afterwards(bench: Bench) -> None:
    bench.venue.delay_s = 3
    bench.stream.want((MARKET,))
    await asyncio.sleep(1)
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(3)
    assert bench.venue.line.path == words("open", [MARKET])
    assert [text for _, text in bench.venue.line.sent] == [f"1 {words('ask', [BTC])}"]


@pytest.mark.many_rounds
async def test_commands_keep_to_the_venues_pace_however_fast_frames_come(bench: Bench) -> None:
    bench.stream.want(MANY[:900])
    await asyncio.sleep(0.01)
    for _ in range(1_000):
        bench.venue.line.say(ACK)
        await asyncio.sleep(0.01)
    sent_at = [at for at, _ in bench.venue.line.sent]
    assert len(sent_at) == 9
    assert min(later - one for one, later in pairwise(sent_at)) >= 1 / 3
    assert max(later - one for one, later in pairwise(sent_at)) < 0.4


async def test_the_pace_of_commands_outlives_a_connection(bench: Bench) -> None:
    bench.jitter, bench.venue.delay_s = 0.0, 0.01
    bench.venue.greeting = (ACK, ACK, BROKEN)
    bench.stream.want(MANY[:60])
    await asyncio.sleep(2)
    sent_at = [at for line in bench.venue.lines for at, _ in line.sent]
    assert len(bench.venue.lines) > 100
    assert len(sent_at) > 4
    assert min(later - one for one, later in pairwise(sent_at)) >= 1 / 3


async def test_a_command_that_cannot_be_sent_ends_the_connection(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    bench.venue.line.send_error = BROKEN
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(5)
    assert [line.closed_at is None for line in bench.venue.lines] == [False, True]


@pytest.mark.parametrize("jitter", [1.0, 0.75, 1.25])
async def test_failed_connects_back_off_up_a_jittered_backoff(bench: Bench, jitter: float) -> None:
    bench.jitter = jitter
    bench.venue.refusal = REFUSED
    bench.stream.want((MARKET,))
    await asyncio.sleep(330)
    waits = [later - one for one, later in pairwise(bench.venue.tried_at)]
    backoff = [1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert waits[:8] == pytest.approx([wait * jitter for wait in backoff])


@pytest.mark.parametrize(
    ("seconds", "tick", "wait_s"),
    [(60, MARKET_TICK, 1.0), (59, MARKET_TICK, 5.0), (65, BTC_TICK, 5.0)],
    ids=["a good minute", "not quite", "a minute without ticks"],
)
async def test_a_stable_minute_resets_the_backoff(
    bench: Bench, seconds: float, tick: Any, wait_s: float
) -> None:
    bench.venue.refusals += [REFUSED, REFUSED]
    bench.stream.want(
        (CandleTicks(instrument("ETHUSDT"), Interval.H1), MARKET)[tick == MARKET_TICK :]
    )
    await asyncio.sleep(3.01)
    await talk(bench.venue.line, seconds, tick)
    bench.venue.line.say(BROKEN)
    await asyncio.sleep(20)
    closed_at = bench.venue.lines[0].closed_at
    assert closed_at is not None
    assert bench.venue.tried_at[3] - closed_at == pytest.approx(wait_s)


async def test_a_block_of_our_address_waits_half_an_hour_jittered(bench: Bench) -> None:
    bench.jitter = 1.25
    bench.venue.refusals += [GeoBlocked()]
    bench.stream.want((MARKET,))
    await asyncio.sleep(2_251)
    assert bench.venue.tried_at[:2] == pytest.approx([0, 2_250])
    assert bench.told == [("geo_blocked", 0)]


async def test_a_block_does_not_raise_the_short_backoff(bench: Bench) -> None:
    bench.venue.refusals += [GeoBlocked(), REFUSED]
    bench.stream.want((MARKET,))
    await asyncio.sleep(1_802)
    assert bench.venue.tried_at[:3] == pytest.approx([0, 1_800, 1_801])


@pytest.mark.parametrize(("told_s", "wait_s"), [(77.0, 77.0), (0.3, 1.0), (None, 1.0)])
async def test_a_stated_wait_counts_where_it_is_longer_than_ours(
    bench: Bench, told_s: float | None, wait_s: float
) -> None:
    bench.venue.refusals += [RateLimited(retry_after_s=told_s)]
    bench.stream.want((MARKET,))
    await asyncio.sleep(100)
    assert bench.venue.tried_at[:2] == pytest.approx([0, wait_s])


@pytest.mark.many_rounds
@pytest.mark.parametrize("greeting", [None, (BROKEN,), (GOODBYE,), (MARKET_TICK, BROKEN)])
async def test_no_more_connects_than_the_venue_allows_though_each_dies_at_once(
    bench: Bench, greeting: tuple[Any, ...] | None
) -> None:
    bench.jitter = 0.0
    bench.venue.refusal = REFUSED if greeting is None else None
    bench.venue.greeting = greeting or ()
    bench.stream.want((MARKET,))
    await asyncio.sleep(901)
    tried_at = bench.venue.tried_at
    assert len(tried_at) > 800, "the limit is used"
    assert max(sum(at <= one < at + 300 for one in tried_at) for at in set(tried_at)) <= 300


async def test_coming_and_going_keeps_to_the_limit_of_connects_too(bench: Bench) -> None:
    for _ in range(48):
        bench.stream.want((MARKET,))
        await asyncio.sleep(0.01)
        bench.stream.want(())
        await asyncio.sleep(LINGER_S + 0.04)
    apart = [later - one for one, later in pairwise(bench.venue.tried_at)]
    assert len(apart) == 5
    assert min(apart) >= 2, "a connection that nobody wanted any more is not opened anew at once"


async def test_a_shutdown_notice_after_a_stable_connection_reconnects_at_once(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    await talk(bench.venue.line, 60)
    bench.venue.line.say(GOODBYE, MARKET_TICK)
    said_at = now()
    await asyncio.sleep(0.01)
    assert bench.venue.tried_at == pytest.approx([0, said_at])
    assert len(bench.heard) == 60, "nothing is heard behind a goodbye"


async def test_a_shutdown_notice_on_a_fresh_connection_backs_off(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    await talk(bench.venue.line, 50)
    bench.venue.line.say(GOODBYE)
    said_at = now()
    await asyncio.sleep(10)
    assert bench.venue.tried_at == pytest.approx([0, said_at + 1])


@pytest.mark.parametrize("junk", [JUNK, MalformedResponse("no JSON")])
async def test_five_consecutive_malformed_frames_end_the_connection(
    bench: Bench, junk: Any
) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    bench.venue.line.say(*[junk] * 5)
    await asyncio.sleep(0.01)
    assert bench.venue.open == []
    assert (bench.stream.status().state, bench.stream.status().reason) == ("down", "bad_payload")
    assert bench.stream.flow(MARKET) == Flow(False, "bad_payload")


async def test_four_malformed_frames_are_tolerated(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    bench.venue.line.say(JUNK, MalformedResponse("no JSON"), JUNK, JUNK)
    await asyncio.sleep(5)
    assert len(bench.venue.open) == 1
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(0.01)
    assert bench.heard == [MARKET_TICK]


async def test_a_tick_in_between_resets_the_count_of_malformed_frames(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    bench.venue.line.say(*[JUNK] * 4, MARKET_TICK, *[JUNK] * 4)
    await asyncio.sleep(1)
    assert len(bench.venue.open) == 1
    bench.venue.line.say(JUNK)
    await asyncio.sleep(0.01)
    assert bench.venue.open == []


async def test_an_answer_to_a_command_does_not_reset_the_count_of_malformed_frames(
    bench: Bench,
) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    bench.venue.line.say(*[JUNK] * 4, ACK, JUNK)
    await asyncio.sleep(0.01)
    assert bench.venue.open == []


async def test_malformed_frames_of_one_connection_do_not_count_for_the_next(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    bench.venue.line.say(*[JUNK] * 4, BROKEN)
    await asyncio.sleep(2)
    bench.venue.line.say(*[JUNK] * 4)
    await asyncio.sleep(2)
    assert len(bench.venue.open) == 1


async def test_silence_is_judged_per_subject_and_the_silent_one_is_asked_for_again(
    bench: Bench,
) -> None:
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(0.01)
    bench.venue.line.say(MARKET_TICK)
    await talk(bench.venue.line, 12, BTC_TICK)
    assert bench.stream.flow(MARKET) == Flow(False, "timeout")
    assert bench.stream.flow(BTC) == Flow(True)
    assert bench.stream.status().state == "live"
    await talk(bench.venue.line, 300, BTC_TICK)
    assert [text for _, text in bench.venue.line.sent] == [f"1 {words('ask', [MARKET])}"]
    assert bench.venue.tried_at == [0]
    assert bench.stream.flow(MARKET) == Flow(False, "timeout")
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(0.01)
    assert bench.stream.flow(MARKET) == Flow(True)


async def test_silence_is_noticed_and_asked_about_without_any_frame(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(10 + 2 * NOTICE_S)
    ((at, text),) = bench.venue.line.sent
    assert text == f"1 {words('ask', [MARKET])}"
    assert 10 < at <= 10 + NOTICE_S


async def test_silence_that_comes_again_is_noticed_in_time_again(bench: Bench) -> None:
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(0.01)
    line, ticks_at = bench.venue.line, (12.0, 37.0, 47.3)
    for at in ticks_at:
        await asyncio.sleep(at - now())
        line.say(MARKET_TICK, BTC_TICK)
    await asyncio.sleep(20)
    asked_at = [at for at, text in line.sent if "ask" in text]
    assert len(asked_at) == 3  # 47.3 was in time
    for at, expected in zip(asked_at, (10.0, 22.0, 57.3), strict=True):
        assert expected <= at <= expected + NOTICE_S + 0.01


async def test_a_quiet_connection_is_looked_at_when_something_may_be_silent(bench: Bench) -> None:
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(0.01)
    with noted_wake_ups() as woken_at:
        for _ in range(120):  # ten minutes
            bench.venue.line.say(MARKET_TICK, BTC_TICK)
            await asyncio.sleep(5)
    assert bench.stream.flow(MARKET) == bench.stream.flow(BTC) == Flow(True)
    assert len(woken_at) <= 120 + 120 + 2, "the ticks, and a look each 5 s at most"
    assert bench.venue.line.receives <= 3 * 120 + 130


async def test_changed_subscriptions_are_sent_at_once_though_no_frame_comes(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(5.2)
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(0.01)
    assert bench.venue.line.sent == [(5.2, f"1 {words('ask', [BTC])}")]


async def test_who_listens_hears_of_each_change_of_the_flow(bench: Bench) -> None:
    flows: list[tuple[float, Flow]] = []
    stream = bench.stream

    def note() -> None:
        flow = stream.flow(MARKET)
        if not flows or flows[-1][1] != flow:
            flows.append((round(now(), 1), flow))

    stream.on_flow_change = note
    stream.want((MARKET,))
    await asyncio.sleep(1)
    await talk(bench.venue.line, 5)
    await asyncio.sleep(14)  # silent from 15 on
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(2)
    bench.venue.line.say(BROKEN)
    await asyncio.sleep(1)
    assert [(at, flow.is_live, flow.reason) for at, flow in flows] == [
        (0.0, False, None),
        (1.0, True, None),
        (pytest.approx(15.3, abs=0.3), False, "timeout"),
        (20.0, True, None),
        (22.0, False, "connect_error"),
    ]


async def test_a_connection_silent_in_all_subjects_is_dead_after_three_silences(
    bench: Bench,
) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(35)
    first = bench.venue.lines[0]
    assert first.closed_at is not None
    assert 30 < first.closed_at <= 30.01 + NOTICE_S
    ((reason, at),) = bench.told
    assert reason == "timeout"
    assert at == pytest.approx(first.closed_at)
    assert bench.venue.tried_at == pytest.approx([0, first.closed_at + 1])


async def test_answers_to_commands_do_not_keep_a_connection_alive(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    for _ in range(80):
        bench.venue.line.say(ACK)
        await asyncio.sleep(0.4)
    closed_at = bench.venue.lines[0].closed_at
    assert closed_at is not None
    assert 30 < closed_at <= 30 + NOTICE_S


async def test_a_lost_connection_and_its_return_are_logged_once_each(bench: Bench) -> None:
    bench.venue.refusals += [REFUSED, GeoBlocked(retry_after_s=10), REFUSED]
    bench.stream.want((MARKET,))
    await asyncio.sleep(1_810)
    bench.venue.line.say(MARKET_TICK, MARKET_TICK)
    await asyncio.sleep(0.01)
    down, back = bench.events
    assert down == TickFeedChanged(
        EPOCH, "venue", "connect_error", retry_at=EPOCH + timedelta(seconds=1)
    )
    assert isinstance(back, TickFeedChanged)
    assert (back.provider, back.reason, back.retry_at) == ("venue", None, None)
    assert back.at > down.at


async def test_each_loss_after_a_return_is_logged_again(bench: Bench) -> None:
    bench.venue.greeting = (MARKET_TICK, BROKEN)
    bench.stream.want((MARKET,))
    await asyncio.sleep(1.5)
    assert bench.told == [("connect_error", 0), (None, 1), ("connect_error", 1)]


async def test_a_first_connection_that_comes_up_is_no_event(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    await talk(bench.venue.line, 3)
    assert bench.events == []


async def test_status_and_flow_go_through_all_states(bench: Bench) -> None:
    stream = bench.stream

    def status() -> tuple[str, str | None, float]:
        told = stream.status()
        assert told.provider == "venue"
        return told.state, told.reason, (told.since - EPOCH).total_seconds()

    def flow() -> Flow:
        return bench.stream.flow(MARKET)

    await asyncio.sleep(5)
    assert (status(), flow()) == (("off", None, 0), Flow(False))
    bench.venue.delay_s = 2
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(1)
    assert (status(), flow()) == (("connecting", None, 5), Flow(False))
    await asyncio.sleep(2)
    assert (status(), flow()) == (("connecting", None, 5), Flow(False))
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(1)
    assert (status(), flow()) == (("live", None, 8), Flow(True))
    assert bench.stream.status().subjects == 2
    assert bench.stream.status().retry_at is None
    bench.venue.line.say(BROKEN)
    await asyncio.sleep(0.25)
    assert (status(), flow()) == (("down", "connect_error", 9), Flow(False, "connect_error"))
    assert bench.stream.status().retry_at == EPOCH + timedelta(seconds=10)
    await asyncio.sleep(3.75)  # connected anew, but not a tick has come yet
    assert (status(), flow()) == (("connecting", "connect_error", 10), Flow(False, "connect_error"))
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(1)
    assert (status(), flow()) == (("live", None, 13), Flow(True))
    stream.want(())
    await asyncio.sleep(1)
    assert (status(), flow()) == (("off", None, 14 + LINGER_S), Flow(False))
    off_since = EPOCH + timedelta(seconds=14 + LINGER_S)
    assert stream.status() == TickStatus("venue", "off", None, off_since, 0)


async def test_an_open_but_silent_connection_has_the_status_down(bench: Bench) -> None:
    bench.stream.want((BTC,))
    await asyncio.sleep(0.01)
    bench.venue.line.say(BTC_TICK)
    await asyncio.sleep(59)
    assert bench.stream.status().state == "live"
    await asyncio.sleep(2)
    told = bench.stream.status()
    assert (told.state, told.reason, told.retry_at) == ("down", "timeout", None)


async def test_leaving_during_back_off_ends_without_another_connect(bench: Bench) -> None:
    bench.venue.refusal = REFUSED
    bench.stream.want((MARKET,))
    await asyncio.sleep(4)
    bench.stream.want(())
    await asyncio.sleep(3_600)
    assert bench.venue.tried_at == pytest.approx([0, 1, 3])
    assert bench.stream.flow(MARKET) == Flow(False)
    left = EPOCH + timedelta(seconds=4)
    assert bench.stream.status() == TickStatus("venue", "off", None, left, 0)


async def test_waiting_out_a_block_does_not_make_the_next_wait_short(bench: Bench) -> None:
    bench.venue.refusal = GeoBlocked()
    bench.stream.want((MARKET,))
    await asyncio.sleep(4 * 3_600)
    assert bench.venue.tried_at == pytest.approx([0, 1_800, 5_400, 12_600])


async def test_after_an_internal_error_nothing_is_live(bench: Bench) -> None:
    bench.stream.want((MARKET,))
    await asyncio.sleep(0.01)
    await talk(bench.venue.line, 3)
    assert bench.stream.flow(MARKET).is_live
    bench.venue.line.say(RuntimeError("a bug"))
    await asyncio.sleep(0.01)
    assert bench.stream.status().state == "down"
    assert bench.stream.flow(MARKET) == Flow(False, "connect_error")


async def test_coming_back_during_back_off_does_not_cut_it_short(bench: Bench) -> None:
    bench.venue.refusal = REFUSED
    bench.stream.want((MARKET,))
    await asyncio.sleep(4)
    bench.stream.want(())
    await asyncio.sleep(1)
    bench.stream.want((MARKET,))
    await asyncio.sleep(4)
    assert bench.venue.tried_at == pytest.approx([0, 1, 3, 8], abs=NOTICE_S)
    assert bench.venue.tried_at[3] >= 8


async def test_a_failed_connect_that_is_no_longer_wanted_is_not_logged(bench: Bench) -> None:
    bench.venue.delay_s, bench.venue.refusal = 2, REFUSED
    bench.stream.want((MARKET,))
    await asyncio.sleep(1)
    bench.stream.want(())
    await asyncio.sleep(100)
    assert bench.venue.tried_at == [0]
    assert bench.stream.status().state == "off"
    assert bench.events == []


async def test_the_repr_shows_the_state_of_the_stream(bench: Bench) -> None:
    assert repr(bench.stream) == "<TickStream venue off 0 wanted>"
    bench.stream.want((MARKET, BTC))
    await asyncio.sleep(0.01)
    assert repr(bench.stream) == "<TickStream venue connecting 2 wanted>"
    bench.venue.line.say(MARKET_TICK)
    await asyncio.sleep(0.01)
    assert repr(bench.stream) == "<TickStream venue live 2 wanted>"


@dataclass
class Walk:
    """A tick stream of the real feed over real sockets, in the clock's own time."""

    world: PushWorld
    stream: TickStream
    events: list[Event]
    heard: list[Any]

    async def until(self, state: str) -> None:
        async with asyncio.timeout(10):
            while self.stream.status().state != state:
                await asyncio.sleep(0.01)

    async def tell(self, price: float) -> None:
        await self.world.until_open()
        await self.world.tell_tickers([mini_ticker("BTCUSDT", price)])

    @property
    def prices(self) -> list[float]:
        return [tick.tickers[0].price for tick in self.heard]


@pytest.fixture
async def walk() -> AsyncIterator[Walk]:
    clock, events, heard = SystemClock(), list[Event](), list[Any]()
    client = PushClient(clock)
    async with PushWorld() as world:
        stream = TickStream(
            "binance",
            replace(PUSH_FEED, silence_s=lambda _subject: 0.4),
            lambda path: client.open(binance.ADAPTER, world.url + path),
            clock=clock,
            emit=events.append,
            jitter=lambda: 0.01,
        )
        reader = asyncio.create_task(read(stream, heard))
        yield Walk(world, stream, events, heard)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


@pytest.mark.looptime(False)
async def test_over_sockets_ticks_flow_until_they_are_no_longer_wanted(walk: Walk) -> None:
    walk.stream.want((MARKET,))
    await walk.tell(50_000.0)
    await walk.until("live")
    assert walk.prices == [50_000.0]
    walk.stream.want(())
    await walk.world.until_closed()
    await walk.until("off")
    assert walk.world.paths == ["/stream?streams=!miniTicker@arr"]


@pytest.mark.looptime(False)
async def test_over_sockets_a_refused_handshake_is_repeated_until_it_succeeds(
    walk: Walk,
) -> None:
    walk.world.status = 503
    walk.stream.want((MARKET,))
    await walk.until("down")
    assert walk.stream.status().reason == "upstream_5xx"
    walk.world.status = None
    await walk.tell(50_000.0)
    await walk.until("live")
    reasons = [event.reason for event in walk.events if isinstance(event, TickFeedChanged)]
    assert reasons == ["upstream_5xx", None]


@pytest.mark.looptime(False)
async def test_over_sockets_a_venue_that_is_gone_comes_back(walk: Walk) -> None:
    walk.stream.want((MARKET,))
    await walk.tell(50_000.0)
    await walk.until("live")
    await walk.world.stop()
    await walk.until("down")
    await asyncio.sleep(0.05)
    await walk.world.start()
    await walk.tell(51_000.0)
    await walk.until("live")
    assert walk.prices == [50_000.0, 51_000.0]


@pytest.mark.looptime(False)
async def test_over_sockets_a_shutdown_notice_leads_to_a_new_connection(walk: Walk) -> None:
    walk.stream.want((MARKET,))
    await walk.tell(50_000.0)
    await walk.until("live")
    await walk.world.say_goodbye()
    await walk.until("down")
    await walk.tell(51_000.0)
    await walk.until("live")
    assert len(walk.world.sessions) == 2


@pytest.mark.looptime(False)
async def test_over_sockets_a_block_of_our_address_is_left_alone(walk: Walk) -> None:
    walk.world.status = 451
    walk.stream.want((MARKET,))
    await walk.until("down")
    status = walk.stream.status()
    assert status.reason == "geo_blocked"
    assert status.retry_at is not None
    assert (status.retry_at - status.since).total_seconds() == pytest.approx(18, abs=1)


@pytest.mark.looptime(False)
async def test_over_sockets_malformed_frames_and_silence_end_a_connection(walk: Walk) -> None:
    walk.stream.want((MARKET,))
    await walk.world.until_open()
    for text in ("<html>", "{}", "[1, 2]", '{"stream": "x", "data": {}}', "7"):
        await walk.world.tell(text)
    await walk.until("down")
    assert walk.stream.status().reason == "bad_payload"
    await walk.world.until_open()
    async with asyncio.timeout(10):
        while walk.stream.status().reason != "timeout":
            await asyncio.sleep(0.01)
    assert walk.heard == []


PUSHES = ProviderSpec("binance", stub_adapter(), push=scripted_feed(Parser()))
PUSHES_TOO = ProviderSpec("other", stub_adapter(), push=scripted_feed(Parser()))
PUSHES_NOT = ProviderSpec("plain", stub_adapter())
BINANCE = ProviderSpec("binance", binance.ADAPTER, keyless=binance.PUBLIC, push=PUSH_FEED)


@pytest.fixture
def no_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def factory(*specs: ProviderSpec) -> ProviderFactory:
    clock, events = ManualClock(), list[Event]()
    return ProviderFactory(
        load_configuration(spec.name for spec in specs),
        ProviderClient(clock, Wire()),
        clock=clock,
        emit=events.append,
        jitter=lambda: 1.0,
        redact=str,
    )


def _unseen(_event: Event) -> None:
    pass


def push_factory(*specs: ProviderSpec, processes: int = 1) -> PushFactory:
    configuration = load_configuration(spec.name for spec in specs)
    return PushFactory(configuration, ManualClock(), _unseen, lambda: 1.0, processes)


def made(*specs: ProviderSpec) -> TickFailover | None:
    return push_factory(*specs).ticks(specs, lambda _venue: ())


@pytest.mark.usefixtures("no_dotenv")
def test_the_venues_with_a_push_feed_are_used_in_their_order() -> None:
    assert repr(made(PUSHES_NOT, PUSHES, PUSHES_TOO)) == "<TickFailover ['binance', 'other']>"
    assert made(PUSHES_NOT) is None


@pytest.mark.usefixtures("no_dotenv")
async def test_the_first_venue_that_has_raw_streams_gives_them() -> None:
    factory = push_factory(PUSHES_NOT, PUSHES_TOO, BINANCE)
    raw = factory.raw_streams((PUSHES_NOT, PUSHES_TOO, BINANCE))
    assert repr(raw) == "<RawStreams binance off 0 streams>"
    assert factory.raw_streams((PUSHES_NOT, PUSHES_TOO)) is None


@pytest.mark.usefixtures("no_dotenv")
@pytest.mark.parametrize(
    ("name", "value"), [("BINANCE_ENABLED", "false"), ("BINANCE_STREAM_URL", "")]
)
def test_the_settings_can_switch_ticks_off(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert made(PUSHES) is None
    assert repr(made(PUSHES, PUSHES_TOO)) == "<TickFailover ['other']>"
    assert push_factory(BINANCE).raw_streams((BINANCE,)) is None


@pytest.mark.usefixtures("no_dotenv")
def test_another_venues_hosts_have_no_stream_but_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Binance.us is another market: its candles must not get .com's ticks."""
    monkeypatch.setenv("BINANCE_BASE_URL", "https://api.binance.us")
    assert made(BINANCE) is None
    monkeypatch.setenv("BINANCE_STREAM_URL", "wss://stream.binance.us:9443")
    assert made(BINANCE) is not None
    monkeypatch.delenv("BINANCE_STREAM_URL")
    monkeypatch.setenv("BINANCE_BASE_URL", "https://api.binance.com")
    assert made(BINANCE) is not None


@pytest.mark.usefixtures("no_dotenv")
@pytest.mark.parametrize(("processes", "connects"), [(1, 300), (4, 75), (7, 42), (1_000, 1)])
async def test_the_connections_of_a_cluster_share_the_connects_of_a_venue(
    processes: int, connects: int
) -> None:
    """Each process may be an island at the same time, behind the same address."""
    made = push_factory(BINANCE, processes=processes)
    ticks, raw = made.ticks((BINANCE,), lambda _venue: ()), made.raw_streams((BINANCE,))
    assert ticks is not None
    assert raw is not None
    guard = raw._reconnects._connects
    assert ticks._venues[0].stream._reconnects._connects is guard
    for _ in range(usable_limit(connects)):
        assert isinstance(guard.try_acquire(Cost(1, 1)), Permit)
    assert isinstance(guard.try_acquire(Cost(1, 1)), Refused)


@pytest.mark.usefixtures("no_dotenv")
def test_a_venue_that_is_switched_off_is_not_asked_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINANCE_ENABLED", "false")
    provider = factory(PUSHES).build(PUSHES)
    assert provider.offer(PriceQuery()) == Refusal("binance", "disabled")


@pytest.mark.usefixtures("no_dotenv")
@pytest.mark.parametrize(
    ("own", "opened"),
    [
        (None, "wss://venue.example/path"),
        ("ws://127.0.0.1:9/proxy/", "ws://127.0.0.1:9/proxy/path"),
    ],
)
async def test_a_user_may_name_another_address(
    monkeypatch: pytest.MonkeyPatch, own: str | None, opened: str
) -> None:
    addresses: list[str] = []

    @asynccontextmanager
    async def remember(_client: PushClient, _adapter: Any, url: str) -> AsyncIterator[None]:
        addresses.append(url)
        yield

    monkeypatch.setattr(PushClient, "open", remember)
    if own is not None:
        monkeypatch.setenv("BINANCE_STREAM_URL", own)
    ticks = made(PUSHES)
    assert ticks is not None
    async with ticks._venues[0].stream._connect("/path"):
        assert addresses == [opened]


async def calls_of_ticks(subjects: int) -> int:
    """Function calls for fifty ticks, while so many subjects are subscribed to."""
    bench = Bench()
    bench.stream.want((BTC, *MANY[: subjects - 1]))
    await asyncio.sleep(5)
    with counted() as calls:
        bench.venue.line.say(*[BTC_TICK] * 50)
        await asyncio.sleep(0.01)
    await bench.leave()
    assert bench.heard == [BTC_TICK] * 50
    return calls.made


async def test_a_tick_costs_the_same_however_many_subjects_there_are() -> None:
    """All subjects are looked at once or twice in that time, not for each of the fifty ticks."""
    few, many = await calls_of_ticks(40), await calls_of_ticks(160)
    assert many - few < 50 * (160 - 40)


async def test_the_subscription_of_tickers_is_found_at_once_among_many_subjects() -> None:
    async def calls_with(subjects: int) -> int:
        asked = TickSubscriptions(ManualClock(), scripted_feed(Parser()), MANY[:subjects])
        asked.next_change((*MANY[:subjects], MARKET))
        with counted() as calls:
            assert asked.mark_seen(MarketTicks((instrument("BTCUSDT"),)))
        return calls.made

    assert await calls_with(160) == await calls_with(40)
