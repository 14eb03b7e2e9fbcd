"""Raw streams: over a scripted venue and virtual time, and over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest

from backend.clock import SystemClock
from backend.errors import ConnectFailed, ConnectionBroken, GeoBlocked
from backend.events import Event, RawStreamsChanged
from backend.models.raw_streams import RawFrame
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.push.raw_streams import IDLE_CLOSE_S, RawStreams
from backend.orchestration.push.raw_subscriptions import QUIET_S, REPLY_S
from backend.providers.adapter import Window
from backend.providers.push_client import PushClient
from backend.providers.vendors import binance
from backend.providers.vendors.binance_raw_streams import RAW_FEED
from tests.clocks import EPOCH, LoopClock
from tests.orchestration.push.test_tick_stream import Line, Venue, now
from tests.wake_ups import noted_wake_ups
from tests.world.push import PushWorld

pytestmark = pytest.mark.looptime
TRADE, BOOK = "btcusdt@trade", "btcusdt@bookTicker"
PRICE = b'{"e":"trade","p":"86000.10000000"}'


def enveloped(stream: str, data: bytes = PRICE) -> bytes:
    return b'{"stream":"%s","data":%s}' % (stream.encode(), data)


@dataclass
class Bench:
    """Streams and their consumer, made when first looked at, in virtual time."""

    venue: Venue = field(default_factory=Venue)
    events: list[Event] = field(default_factory=list)
    frames: list[RawFrame] = field(default_factory=list)
    connects: Window = field(default_factory=lambda: Window(300, 300))
    task: asyncio.Task[None] | None = None

    @cached_property
    def streams(self) -> RawStreams:
        clock = LoopClock()
        streams = RawStreams(
            "binance",
            RAW_FEED,
            self.venue.connect,
            connects=RateLimitGuard(clock, [self.connects]),
            clock=clock,
            emit=self.events.append,
            jitter=lambda: 1.0,
        )
        self.task = asyncio.create_task(streams.run(self.publish))
        return streams

    async def publish(self, frame: RawFrame) -> None:
        self.frames.append(frame)

    @property
    def line(self) -> Line:
        return self.venue.line

    @property
    def losses(self) -> list[tuple[str | None, float]]:
        found = [event for event in self.events if isinstance(event, RawStreamsChanged)]
        assert len(found) == len(self.events)
        return [(event.reason, (event.at - EPOCH).total_seconds()) for event in found]

    @property
    def commands(self) -> list[dict[str, Any]]:
        """Of the newest line."""
        return [json.loads(text) for _, text in self.line.sent]

    def reply(self, number: int, **members: Any) -> None:
        self.line.say(json.dumps({"id": number, **(members or {"result": None})}).encode())

    async def open(self, *streams: str) -> None:
        """The streams are subscribed to, and the venue has replied."""
        for stream in streams:
            self.streams.subscribe(stream)
        await asyncio.sleep(0.01)
        self.reply(1)
        await asyncio.sleep(0.01)


async def answering(bench: Bench, seconds: float) -> None:
    """The venue replies to every command for so long."""
    ends, answered = now() + seconds, 0
    while now() < ends:
        for command in bench.commands[answered:]:
            bench.reply(command["id"])
        answered = len(bench.commands)
        await asyncio.sleep(0.1)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    if made.task:
        made.task.cancel()
        await asyncio.gather(made.task, return_exceptions=True)


async def test_no_connection_is_opened_before_somebody_reads(bench: Bench) -> None:
    assert bench.streams.state == "off"
    await asyncio.sleep(3_600)
    assert bench.venue.tried_at == []


async def test_a_frame_comes_out_in_the_bytes_in_which_it_came(bench: Bench) -> None:
    await bench.open(TRADE)
    data = b'{ "p" : "1.10",\t"q":1.0E+2, "s":"\xe5\xb8\x81" }'
    sent = b' {"stream" : "btcusdt@trade", "data": ' + data + b" } "
    bench.line.say(sent)
    await asyncio.sleep(0.01)
    assert bench.frames == [RawFrame(TRADE, data, sent)]
    assert bench.streams.state == "live"
    assert repr(bench.streams._subscriptions) == "<RawSubscriptions 1 of 1024>"
    assert repr(bench.streams._state) == "<ConnectionState live>"
    assert repr(bench.streams._reconnects) == "<Reconnects wanted>"


async def test_one_subscription_for_any_number_of_readers(bench: Bench) -> None:
    await bench.open(*[TRADE] * 40)
    assert [line.path for line in bench.venue.lines] == ["/stream"]
    assert bench.commands == [{"method": "SUBSCRIBE", "params": [TRADE], "id": 1}]
    for _ in range(39):
        bench.streams.unsubscribe(TRADE)
    await asyncio.sleep(1)
    assert len(bench.commands) == 1


async def test_a_stream_ends_with_its_last_reader(bench: Bench) -> None:
    await bench.open(TRADE, BOOK)
    bench.streams.unsubscribe(BOOK)
    bench.line.say(enveloped(BOOK))
    await asyncio.sleep(1)
    assert bench.commands[1:] == [{"method": "UNSUBSCRIBE", "params": [BOOK], "id": 2}]
    assert bench.frames == []


async def test_the_connection_is_closed_some_seconds_after_the_last_reader(bench: Bench) -> None:
    await bench.open(TRADE)
    await asyncio.sleep(10)
    bench.streams.unsubscribe(TRADE)
    left_at = now()
    await asyncio.sleep(IDLE_CLOSE_S + 0.03)
    bench.line.say(enveloped(TRADE))  # messages do not keep it open
    await asyncio.sleep(1)
    assert bench.line.closed_at == pytest.approx(left_at + IDLE_CLOSE_S, abs=0.2)
    assert bench.streams.state == "off"
    assert bench.events == []


async def test_frames_about_the_time_of_its_close_do_not_keep_it_open(bench: Bench) -> None:
    await bench.open(TRADE)
    await asyncio.sleep(10)
    bench.streams.unsubscribe(TRADE)
    left_at = now()
    await asyncio.sleep(IDLE_CLOSE_S - 0.005)  # less than the shortest wait before it
    bench.line.say(enveloped(TRADE))
    await asyncio.sleep(0.007)
    bench.line.say(enveloped(TRADE))
    await asyncio.sleep(1)
    assert bench.line.closed_at == pytest.approx(left_at + IDLE_CLOSE_S + 0.002)
    assert bench.streams.state == "off"
    assert bench.frames == []


async def test_a_reader_who_returns_soon_finds_the_connection_open(bench: Bench) -> None:
    await bench.open(TRADE)
    bench.streams.unsubscribe(TRADE)
    await asyncio.sleep(IDLE_CLOSE_S - 1)
    bench.streams.subscribe(TRADE)
    await answering(bench, 30)
    assert len(bench.venue.lines) == 1
    methods = [command["method"] for command in bench.commands[:3]]
    assert methods == ["SUBSCRIBE", "UNSUBSCRIBE", "SUBSCRIBE"]


async def test_many_streams_are_asked_for_in_few_commands_at_three_a_second(bench: Bench) -> None:
    for number in range(1_024):
        bench.streams.subscribe(f"c{number}usdt@trade")
    await asyncio.sleep(5)
    assert [len(command["params"]) for command in bench.commands] == [*[100] * 10, 24]
    times = [at for at, _ in bench.line.sent]
    assert all(later - at >= 0.999 for at, later in zip(times, times[3:], strict=False))


async def test_there_is_a_bound_of_streams(bench: Bench) -> None:
    for number in range(1_024):
        bench.streams.subscribe(f"c{number}usdt@trade")
    assert bench.streams.room == 0
    bench.streams.subscribe("c0usdt@trade")
    with pytest.raises(ValueError, match="1024"):
        bench.streams.subscribe(TRADE)
    assert not bench.streams.has(TRADE)


async def test_old_streams_make_room_for_new_ones(bench: Bench) -> None:
    """The venue never has more than it allows."""
    old = [f"c{number}usdt@trade" for number in range(1_024)]
    for stream in old:
        bench.streams.subscribe(stream)
    await asyncio.sleep(0.01)
    await answering(bench, 5)
    for stream in old[:200]:
        bench.streams.unsubscribe(stream)
    for number in range(200):
        bench.streams.subscribe(f"d{number}usdt@trade")
    await answering(bench, 5)
    asked: set[str] = set()
    for command in bench.commands:
        named = set(command.get("params", ()))
        asked = asked | named if command["method"] == "SUBSCRIBE" else asked - named
        assert len(asked) <= 1_024
    assert asked == {*old[200:], *(f"d{number}usdt@trade" for number in range(200))}


async def test_a_refused_stream_costs_the_others_nothing(bench: Bench) -> None:
    streams = [f"c{number}usdt@trade" for number in range(100)]
    for stream in streams:
        bench.streams.subscribe(stream)
    answered, accepted = 0, set[str]()
    for _ in range(300):
        await asyncio.sleep(0.1)
        for command in bench.commands[answered:]:
            if streams[37] in command.get("params", ()):
                bench.reply(command["id"], code=2, msg="Invalid request: unknown stream")
            else:
                accepted |= set(command.get("params", ()))
                bench.reply(command["id"])
        answered = len(bench.commands)
    assert accepted == {*streams} - {streams[37]}
    assert len(bench.commands) < 20


async def test_nothing_is_remembered_of_refused_streams_that_nobody_wants(bench: Bench) -> None:
    await bench.open(TRADE)
    for number in range(20):
        bench.streams.subscribe(f"c{number}usdt@trade")
        await asyncio.sleep(0.5)
        bench.reply(bench.commands[-1]["id"], code=2, msg="Invalid request")
        await asyncio.sleep(0.5)
        bench.streams.unsubscribe(f"c{number}usdt@trade")
        await asyncio.sleep(0.5)
    subscriptions = bench.streams._subscriptions
    assert subscriptions is not None
    assert (subscriptions._most_with, subscriptions._unanswered) == ({}, {})


async def test_junk_is_not_passed_on(bench: Bench) -> None:
    await bench.open(TRADE)
    junk = (
        b"",
        b"null",
        b'{"stream":"btcusdt@trade","data":{"p":}}',
        enveloped(TRADE, b"{},1"),
        b'{"stream":"btcusdt@trade","data":{},"more":1}',
        b'{"data":{"e":"trade"},"stream":"btcusdt@trade"}',
        enveloped(TRADE, b'"\xff"'),
        b'{"stream":7,"data":{}}',
        b'{"id":"1","result":null}',
        b'{"stream":"btcusdt@trade","data":' + b"[" * 3_000,
    )
    for text in junk:
        bench.line.say(text, enveloped(TRADE))
        await asyncio.sleep(0.01)
    assert [frame.combined for frame in bench.frames] == [enveloped(TRADE)] * len(junk)
    assert bench.events == []


async def test_the_connection_is_dropped_after_five_malformed_messages(bench: Bench) -> None:
    await bench.open(TRADE)
    bench.line.say(*[b"junk"] * 5)
    await asyncio.sleep(0.01)
    assert bench.venue.open == []
    assert [reason for reason, _ in bench.losses] == ["bad_payload"]


async def test_after_a_loss_all_streams_are_asked_for_again_and_nothing_is_repeated(
    bench: Bench,
) -> None:
    await bench.open(TRADE, BOOK)
    bench.line.say(enveloped(TRADE))
    await asyncio.sleep(1)
    bench.venue.refusals.extend([ConnectFailed("refused")] * 2)
    bench.line.say(ConnectionBroken("lost"))
    lost_at = now()
    await asyncio.sleep(9)
    assert [round(at - lost_at) for at in bench.venue.tried_at[1:]] == [1, 3, 8]
    assert bench.commands == [{"method": "SUBSCRIBE", "params": [TRADE, BOOK], "id": 1}]
    bench.reply(1)
    await asyncio.sleep(1)
    assert [reason for reason, _ in bench.losses] == ["connect_error", None]
    assert len(bench.frames) == 1


async def test_a_shutdown_notice_is_not_passed_on_and_leads_to_a_reconnect_at_once(
    bench: Bench,
) -> None:
    await bench.open(TRADE)
    await answering(bench, 61)
    notice = b'{"e":"serverShutdown","E":1770123456789}'
    bench.line.say(enveloped("!serverShutdown", notice))
    await asyncio.sleep(0.05)
    assert len(bench.venue.lines) == 2
    assert bench.frames == []
    await bench.open()
    bench.line.say(notice)  # without an envelope; too soon to trust the venue's next connection
    await asyncio.sleep(0.05)
    assert len(bench.venue.lines) == 2
    await asyncio.sleep(2)
    assert len(bench.venue.lines) == 3


async def test_a_venue_that_refuses_the_country_is_not_asked_often(bench: Bench) -> None:
    bench.venue.refusal = GeoBlocked("451")
    bench.streams.subscribe(TRADE)
    await asyncio.sleep(1_700)
    assert len(bench.venue.tried_at) == 1


async def test_connects_stay_within_the_venues_limit(bench: Bench) -> None:
    bench.connects = Window(3, 300)
    bench.venue.refusal = ConnectFailed("refused")
    bench.streams.subscribe(TRADE)
    await asyncio.sleep(299)
    assert len(bench.venue.tried_at) <= 3


@pytest.mark.many_rounds
async def test_a_quiet_venue_is_asked_whether_it_is_there(bench: Bench) -> None:
    """A pair without trades has no frames for minutes, and nothing is wrong."""
    await bench.open(TRADE)
    await answering(bench, 600)
    assert len(bench.venue.lines) == 1
    methods = [command["method"] for command in bench.commands[1:]]
    assert methods == ["LIST_SUBSCRIPTIONS"] * len(methods)
    assert len(methods) == pytest.approx(600 / QUIET_S, abs=2)
    assert now() - bench.streams.reached_at <= QUIET_S + 1


async def test_a_venue_that_does_not_reply_is_left(bench: Bench) -> None:
    await bench.open(TRADE)
    await asyncio.sleep(QUIET_S + REPLY_S + 0.5)
    assert bench.line.closed_at is not None
    assert [reason for reason, _ in bench.losses] == ["timeout"]


async def test_a_bug_of_the_consumer_ends_the_connection_and_not_the_streams(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_frame: RawFrame) -> None:
        raise KeyError("bug")

    monkeypatch.setattr(bench, "publish", fail)
    await bench.open(TRADE)
    bench.line.say(enveloped(TRADE))
    await asyncio.sleep(2)
    assert "the raw streams of binance failed" in caplog.text
    assert len(bench.venue.lines) == 2


@pytest.mark.looptime(False)
async def test_over_sockets_the_bytes_are_the_venues() -> None:
    frames: asyncio.Queue[RawFrame] = asyncio.Queue()
    clock = SystemClock()
    async with PushWorld() as world:
        client = PushClient(clock)
        streams = RawStreams(
            "binance",
            RAW_FEED,
            lambda path: client.open(binance.ADAPTER, world.url + path),
            connects=RateLimitGuard(clock, [Window(300, 300)]),
            clock=clock,
            emit=lambda _event: None,
            jitter=lambda: 0.1,
        )
        task = asyncio.create_task(streams.run(frames.put))
        streams.subscribe(TRADE)
        await world.until_asked(TRADE)
        await world.tell(enveloped(TRADE).decode(), TRADE)
        async with asyncio.timeout(5):
            assert (await frames.get()).data == PRICE
        await world.stop()
        await world.start()
        await world.until_asked(TRADE)
        await world.tell(enveloped(TRADE, b"7").decode(), TRADE)
        async with asyncio.timeout(5):
            assert (await frames.get()).data == b"7"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_quiet_connection_wakes_the_process_only_to_ask_whether_it_lives(
    bench: Bench,
) -> None:
    await bench.open(TRADE)
    with noted_wake_ups() as woken_at:
        for _ in range(30):  # ten minutes
            await asyncio.sleep(QUIET_S + 0.1)
            bench.reply(len(bench.commands))
    assert [one["method"] for one in bench.commands[1:]] == ["LIST_SUBSCRIPTIONS"] * 30
    assert bench.streams.state == "live"
    assert len(woken_at) <= 3 * 30 + 5
    assert len(bench.venue.lines) == 1
