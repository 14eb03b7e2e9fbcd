"""One reader's bookkeeping, over a sink whose buffer the test fills."""

import asyncio
from collections.abc import Callable

import pytest

from api.stream.channels import Channel, Content
from api.stream.frames import Frame, frame
from api.stream.limits import ABORT_BUFFERED_BYTES, MAX_BUFFERED_BYTES
from api.stream.sinks import QueueSink
from api.stream.subscriber import Counters, Subscriber
from api.stream.topics import RowCache, Topic
from tests.api.stream.test_topics import no_answers
from tests.clocks import ManualClock

MakeTopic = Callable[[str], Topic]


class StubSink(QueueSink):
    """Records the frames; the test sets how many bytes are buffered."""

    is_closing = False

    def __init__(self) -> None:
        super().__init__()
        self.buffered = 0
        self.written: list[Frame] = []
        self.closed: tuple[int, str] | None = None

    @property
    def buffered_bytes(self) -> int:
        return self.buffered

    def fill(self) -> None:
        self.buffered = MAX_BUFFERED_BYTES + 1

    def empty(self) -> None:
        self.buffered = 0

    def abort(self) -> None:
        self.closed = 1006, ""

    def write(self, frame: Frame) -> None:
        self.written.append(frame)

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason


@pytest.fixture
def sink() -> StubSink:
    return StubSink()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def reader(sink: StubSink, counters: Counters, clock: ManualClock) -> Subscriber:
    return Subscriber(sink, clock, counters)


def topic(name: str, clock: ManualClock) -> Topic:
    made = Topic(Channel((name,), no_answers, lambda c, _: c), (), RowCache(), clock)
    made.update(Content({"n": 1}, {}))
    return made


def update(shows: Topic) -> Frame:
    return shows.update(Content({"n": shows.seq + 1}, {}))[0]


def test_a_reader_that_reads_gets_every_frame(
    reader: Subscriber, sink: StubSink, clock: ManualClock, counters: Counters
) -> None:
    gas = topic("gas", clock)
    frames = [update(gas) for _ in range(3)]
    assert [reader.send_update(gas, told) for told in frames] == [True] * 3
    assert sink.written == frames
    assert (counters.sent, counters.dropped) == (3, 0)
    assert not reader._missed


def test_a_lagging_one_gets_one_snapshot_a_topic_in_place_of_what_it_missed(
    reader: Subscriber, sink: StubSink, clock: ManualClock, counters: Counters
) -> None:
    gas, news = topic("gas", clock), topic("news", clock)
    sink.fill()
    for _ in range(4):
        assert not reader.send_update(gas, update(gas))
    assert not reader.send_update(news, update(news))
    assert reader._missed
    assert repr(reader) == "<Subscriber 0 topics, missed updates of 2>"
    reader.catch_up()
    assert sink.written == []
    sink.empty()
    reader.catch_up()
    assert gas.snapshot() in sink.written
    assert news.snapshot() in sink.written
    assert len(sink.written) == 2
    assert counters.dropped == 5
    assert not reader._missed
    assert reader.send_update(gas, update(gas))


def test_what_comes_before_the_snapshot_is_in_the_snapshot(
    reader: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    gas = topic("gas", clock)
    sink.fill()
    reader.send_update(gas, update(gas))
    sink.empty()
    assert not reader.send_update(gas, update(gas))  # else it would come before the snapshot
    reader.catch_up()
    assert sink.written[0] is gas.snapshot()
    assert gas.seq == 3


def test_it_is_stuck_when_it_takes_nothing_for_so_long(
    reader: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    sink.buffered = MAX_BUFFERED_BYTES + 500
    reader.close_if_stuck(30)
    clock.advance(29)
    reader.close_if_stuck(30)
    sink.buffered -= 1  # slow, but alive
    reader.close_if_stuck(30)
    clock.advance(30)
    reader.close_if_stuck(30)
    assert sink.closed is None
    clock.advance(0.1)
    reader.close_if_stuck(30)
    assert sink.closed == (1008, "nothing was read for 30 s")


def test_one_that_takes_all_is_not_stuck_however_long_nothing_came(
    reader: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    clock.advance(1_000)
    reader.close_if_stuck(30)
    sink.buffered = MAX_BUFFERED_BYTES
    clock.advance(1_000)
    reader.close_if_stuck(30)
    assert sink.closed is None


@pytest.mark.parametrize("buffered", [0, 100, MAX_BUFFERED_BYTES])
def test_one_that_the_server_gave_up_is_ended_however_little_waits(
    reader: Subscriber, sink: StubSink, clock: ManualClock, buffered: int
) -> None:
    """The server itself would wait for its buffer for as long as the peer keeps the connection."""
    sink.buffered = buffered
    reader.close_if_stuck(30)
    clock.advance(1_000)
    reader.close_if_stuck(30)
    assert sink.closed is None
    sink.is_closing = True
    clock.advance(30)
    reader.close_if_stuck(30)
    assert sink.closed is None
    clock.advance(0.1)
    reader.close_if_stuck(30)
    assert sink.closed == (1008, "nothing was read for 30 s")


def test_one_for_whom_ever_more_is_waiting_is_ended_at_once(
    reader: Subscriber, sink: StubSink
) -> None:
    sink.buffered = ABORT_BUFFERED_BYTES
    reader.close_if_stuck(30)
    assert sink.closed is None
    sink.buffered += 1
    reader.close_if_stuck(30)
    assert sink.closed == (1006, "")


def test_a_state_that_it_was_shown_already_is_no_news(
    reader: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    gas = topic("gas", clock)
    told = update(gas)
    reader.send_state(gas)
    assert reader.send_update(gas, told)
    assert sink.written == [gas.snapshot()]
    assert reader.send_update(gas, update(gas))
    assert len(sink.written) == 2


def test_a_topic_that_was_left_is_not_caught_up_with(
    reader: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    gas = topic("gas", clock)
    reader.topics[gas] = 0
    sink.fill()
    reader.send_update(gas, update(gas))
    reader.remove_topic(gas)
    sink.empty()
    reader.catch_up()
    assert sink.written == []
    assert not reader._missed


def test_heartbeats_are_for_those_who_read(reader: Subscriber, sink: StubSink) -> None:
    reader.send_heartbeat(frame("heartbeat"))
    sink.fill()
    reader.send_heartbeat(frame("heartbeat"))
    assert len(sink.written) == 1
    reader.send(frame("pong"))
    assert len(sink.written) == 2
    reader.close(1008, "too slow")
    assert sink.closed == (1008, "too slow")


async def test_a_queue_counts_what_waits_until_it_is_sent() -> None:
    sink, large = QueueSink(), Frame(b"x" * MAX_BUFFERED_BYTES, "market")
    frames = sink.frames()
    sink.write(large)
    assert sink.buffered_bytes <= MAX_BUFFERED_BYTES
    sink.write(Frame(b"x", "market"))
    assert sink.buffered_bytes > MAX_BUFFERED_BYTES
    assert await anext(frames) is large
    assert sink.buffered_bytes > MAX_BUFFERED_BYTES  # it is on its way, and not yet taken
    await anext(frames)
    assert sink.buffered_bytes <= MAX_BUFFERED_BYTES
    assert repr(sink) == "<QueueSink 0 frames, 1 bytes>"
    await frames.aclose()


async def test_a_closed_queue_gives_what_it_has_and_takes_nothing() -> None:
    sink, last = QueueSink(), Frame(b"bye", "shutdown")
    sink.write(last)
    sink.close(1001, "over")
    sink.close(1008, "too late")
    sink.write(Frame(b"late", "market"))
    assert [told async for told in sink.frames()] == [last]
    assert (sink.code, sink.reason) == (1001, "over")


async def test_a_waiting_queue_wakes_when_there_is_something_and_when_it_closes() -> None:
    sink = QueueSink()
    seen: list[Frame] = []

    async def read() -> None:
        seen.extend([told async for told in sink.frames()])

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    sink.write(Frame(b"1", "market"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    sink.close(1000, "")
    await reading
    assert [told.text for told in seen] == [b"1"]
