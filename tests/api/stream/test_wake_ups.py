"""The stream's maintenance in virtual time: when it wakes the process, and what it notices."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.stream.address_limits import ClientSlots
from api.stream.broadcaster import Broadcaster
from api.stream.channels import Channel, Content
from api.stream.feed import Feed, Subscriber
from api.stream.protocol import HEARTBEAT_S, MAX_BUFFERED_BYTES, StreamTimes, frame
from api.stream.sinks import QueueSink
from backend.models.ticks import Flow
from tests.clocks import LoopClock
from tests.orchestration.push.test_tick_stream import now
from tests.wake_ups import noted_wake_ups

pytestmark = pytest.mark.looptime
TIMES = StreamTimes()
STUCK_S = 30.0


class Live:
    """The part of LiveService that tells changes of the flow."""

    def __init__(self) -> None:
        self.note: Callable[[], None] = lambda: None

    def note_flow_changes(self, note: Callable[[], None]) -> None:
        self.note = note


@asynccontextmanager
async def broadcasting() -> AsyncIterator[tuple[Broadcaster, Live]]:
    live = Live()
    broadcaster = Broadcaster(
        cast("Any", SimpleNamespace(clock=LoopClock(), live=live)),
        slots=ClientSlots(10, 1.0),
        stuck_s=STUCK_S,
        share=1.0,
        times=TIMES,
    )
    try:
        yield broadcaster, live
    finally:
        await broadcaster.aclose()


def heartbeats(sink: QueueSink) -> int:
    return sum(b"heartbeat" in sent.text[:20] for sent in sink._frames)


async def test_only_heartbeats_wake_the_process_while_all_clients_read() -> None:
    async with broadcasting() as (broadcaster, _):
        sink = QueueSink()
        broadcaster.join(sink)
        with noted_wake_ups() as woken_at:
            await asyncio.sleep(20 * HEARTBEAT_S + 1)
        assert heartbeats(sink) == 20
        assert len(woken_at) <= 22


async def test_a_client_that_does_not_read_is_closed_when_its_time_is_over() -> None:
    async with broadcasting() as (broadcaster, _):
        sink = QueueSink()
        client = broadcaster.join(sink)
        await asyncio.sleep(7)
        text = "x" * (MAX_BUFFERED_BYTES + 1)
        client.send(frame("data", text=text))
        began_at = now()
        while not sink.is_closing:
            await asyncio.sleep(0.1)
        assert STUCK_S < now() - began_at <= STUCK_S + TIMES.check_s + TIMES.lag_check_s + 0.1


async def test_a_client_that_reads_again_gets_what_it_missed_within_the_check_of_the_lag() -> None:
    async with broadcasting() as (broadcaster, _):
        sink = QueueSink()
        client = broadcaster.join(sink)
        await asyncio.sleep(7)
        client.send(frame("data", text="x" * (MAX_BUFFERED_BYTES + 1)))
        await asyncio.sleep(3)
        assert client in broadcaster._watched
        sink._frames.clear()
        sink._bytes = 0
        await asyncio.sleep(TIMES.lag_check_s + 0.01)
        assert not broadcaster._watched
        with noted_wake_ups() as woken_at:
            await asyncio.sleep(4 * HEARTBEAT_S)
        assert len(woken_at) <= 6


async def none_yet() -> AsyncGenerator[Any]:
    await asyncio.sleep(86_400)
    yield None


class Followed:
    """A feed whose answer's flow the test sets, with one client."""

    def __init__(self, broadcaster: Broadcaster) -> None:
        self.flow = Flow(True, venue="binance")
        self.sink = QueueSink()
        channel = Channel(("market",), none_yet, lambda c, _: c, flow=lambda _answer: self.flow)
        feed = broadcaster._feeds[channel.key] = Feed(channel, LoopClock())
        feed._answer = Content({"n": 1}, {"count": 1})
        subscriber: Subscriber = broadcaster.join(self.sink)
        self._topic = feed.topic(())
        feed.subscribe(subscriber, self._topic)

    @property
    def told(self) -> list[bool]:
        """Of each frame about the feed: whether it is of ticks."""
        texts = [sent.text for sent in self.sink._frames if sent.text.startswith(b'{"op":"feed"')]
        return [b'"feed":"ticks"' in text for text in texts]


async def test_a_flow_that_changes_is_told_within_the_interval_of_the_checks() -> None:
    async with broadcasting() as (broadcaster, live):
        followed = Followed(broadcaster)
        await asyncio.sleep(5)
        assert followed.told == [True]
        followed.flow = Flow(False, "timeout")
        live.note()
        await asyncio.sleep(0.01)
        assert followed.told == [True, False]
        followed.flow = Flow(True, venue="kraken")
        live.note()
        await asyncio.sleep(TIMES.check_s / 2)
        assert followed.told == [True, False], "one check an interval, however often it changes"
        await asyncio.sleep(TIMES.check_s / 2 + 0.02)
        assert followed.told == [True, False, True]


async def test_a_bug_in_a_check_does_not_end_the_checks(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with broadcasting() as (broadcaster, live):
        followed = Followed(broadcaster)
        with monkeypatch.context() as patch:
            patch.setattr(Feed, "check_flow", lambda _feed: 1 / 0)
            live.note()
            with noted_wake_ups() as woken_at:
                await asyncio.sleep(5)
            assert len(woken_at) <= 10
        assert "the stream's maintenance failed" in caplog.text
        followed.flow = Flow(False, "timeout")
        live.note()
        await asyncio.sleep(2 * TIMES.check_s)
        assert followed.told == [True, False]
