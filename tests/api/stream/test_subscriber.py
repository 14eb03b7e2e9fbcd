"""One client's bookkeeping, over a sink whose buffer the test fills."""

import asyncio

import pytest

from api.stream.channels import Channel, Content
from api.stream.feed import Counters, Subscriber
from api.stream.protocol import ABORT_BUFFERED_BYTES, MAX_BUFFERED_BYTES, Frame, frame
from api.stream.sinks import QueueSink
from api.stream.topics import RowCache, Topic
from tests.api.stream.test_topics import no_answers
from tests.clocks import ManualClock


class StubSink(QueueSink):
    """Records the frames; the test sets how many bytes are buffered."""

    is_closing = False

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.written: list[Frame] = []
        self.closed: tuple[int, str] | None = None

    def buffered(self) -> int:
        return self.bytes

    def fill(self) -> None:
        self.bytes = MAX_BUFFERED_BYTES + 1

    def empty(self) -> None:
        self.bytes = 0

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
def client(sink: StubSink, counters: Counters, clock: ManualClock) -> Subscriber:
    return Subscriber(sink, clock, counters)


def topic(name: str, clock: ManualClock) -> Topic:
    made = Topic(Channel((name,), no_answers, lambda c, _: c), (), RowCache(), clock)
    made.update(Content({"n": 1}, {}))
    return made


def update(shows: Topic) -> Frame:
    return shows.update(Content({"n": shows.seq + 1}, {}))[0]


def test_a_client_that_reads_gets_every_frame(
    client: Subscriber, sink: StubSink, clock: ManualClock, counters: Counters
) -> None:
    gas = topic("gas", clock)
    frames = [update(gas) for _ in range(3)]
    assert [client.send_update(gas, sent) for sent in frames] == [True] * 3
    assert sink.written == frames
    assert (counters.sent, counters.dropped) == (3, 0)
    assert not client._missed


def test_a_lagging_client_gets_one_snapshot_per_topic_instead_of_missed_updates(
    client: Subscriber, sink: StubSink, clock: ManualClock, counters: Counters
) -> None:
    gas, news = topic("gas", clock), topic("news", clock)
    sink.fill()
    for _ in range(4):
        assert not client.send_update(gas, update(gas))
    assert not client.send_update(news, update(news))
    assert client._missed
    assert repr(client) == "<Subscriber 0 topics, missed updates of 2>"
    client.catch_up()
    assert sink.written == []
    sink.empty()
    client.catch_up()
    assert gas.snapshot() in sink.written
    assert news.snapshot() in sink.written
    assert len(sink.written) == 2
    assert counters.dropped == 5
    assert not client._missed
    assert client.send_update(gas, update(gas))


def test_updates_before_the_snapshot_are_part_of_it(
    client: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    gas = topic("gas", clock)
    sink.fill()
    client.send_update(gas, update(gas))
    sink.empty()
    assert not client.send_update(gas, update(gas))  # else it would come before the snapshot
    client.catch_up()
    assert sink.written[0] is gas.snapshot()
    assert gas.seq == 3


def test_a_client_that_reads_nothing_for_stuck_s_is_closed(
    client: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    sink.bytes = MAX_BUFFERED_BYTES + 500
    client.watch()
    client.close_if_stuck(30)
    clock.advance(29)
    client.close_if_stuck(30)
    sink.bytes -= 1  # slow, but alive
    client.close_if_stuck(30)
    clock.advance(30)
    client.close_if_stuck(30)
    assert sink.closed is None
    clock.advance(0.1)
    client.close_if_stuck(30)
    assert sink.closed == (1008, "nothing was read for 30 s")


def test_a_client_that_has_read_everything_is_not_stuck(
    client: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    clock.advance(1_000)
    client.close_if_stuck(30)
    sink.bytes = MAX_BUFFERED_BYTES
    clock.advance(1_000)
    client.close_if_stuck(30)
    assert sink.closed is None


@pytest.mark.parametrize("buffered", [0, 100, MAX_BUFFERED_BYTES])
def test_a_closing_connection_is_ended_however_few_bytes_are_buffered(
    client: Subscriber, sink: StubSink, clock: ManualClock, buffered: int
) -> None:
    """The server itself would wait as long as the peer keeps the connection."""
    sink.bytes = buffered
    client.close_if_stuck(30)
    clock.advance(1_000)
    client.close_if_stuck(30)
    assert sink.closed is None
    sink.is_closing = True
    clock.advance(30)
    client.close_if_stuck(30)
    assert sink.closed is None
    clock.advance(0.1)
    client.close_if_stuck(30)
    assert sink.closed == (1008, "nothing was read for 30 s")


def test_a_client_with_far_too_many_buffered_bytes_is_aborted(
    client: Subscriber, sink: StubSink
) -> None:
    sink.bytes = ABORT_BUFFERED_BYTES
    client.watch()
    client.close_if_stuck(30)
    assert sink.closed is None
    sink.bytes += 1
    client.close_if_stuck(30)
    assert sink.closed == (1006, "")


def test_content_that_a_client_already_has_is_not_sent_again(
    client: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    gas = topic("gas", clock)
    sent = update(gas)
    client.send_state(gas)
    assert client.send_update(gas, sent)
    assert sink.written == [gas.snapshot()]
    assert client.send_update(gas, update(gas))
    assert len(sink.written) == 2


def test_an_unsubscribed_topic_is_not_sent_after_a_lag(
    client: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    gas = topic("gas", clock)
    client.topics[gas] = 0
    sink.fill()
    client.send_update(gas, update(gas))
    client.remove_topic(gas)
    sink.empty()
    client.catch_up()
    assert sink.written == []
    assert not client._missed


def test_an_update_without_another_one_behind_it_may_leave_a_client_stuck(
    client: Subscriber, sink: StubSink, clock: ManualClock
) -> None:
    """News come rarely: nothing but the heartbeats tells that the client reads nothing."""
    gas = topic("gas", clock)
    assert client.send_update(gas, update(gas))
    sink.fill()
    client.send_heartbeat(frame("heartbeat"))
    assert client in client._watched
    clock.advance(30.1)
    client.close_if_stuck(30)
    assert sink.closed == (1008, "nothing was read for 30 s")


def test_a_client_without_room_gets_no_heartbeat(client: Subscriber, sink: StubSink) -> None:
    client.send_heartbeat(frame("heartbeat"))
    sink.fill()
    client.send_heartbeat(frame("heartbeat"))
    assert len(sink.written) == 1
    client.send(frame("pong"))
    assert len(sink.written) == 2
    client.close(1008, "too slow")
    assert sink.closed == (1008, "too slow")


def test_only_clients_that_lag_or_close_are_watched(
    sink: StubSink, counters: Counters, clock: ManualClock
) -> None:
    watched: dict[Subscriber, None] = {}
    client, gas = Subscriber(sink, clock, counters, watched=watched), topic("gas", clock)
    client.send_state(gas)
    client.send_update(gas, update(gas))
    client.send(frame("pong"))
    client.send_heartbeat(frame("heartbeat"))
    assert not watched
    sink.fill()
    client.send_update(gas, update(gas))
    assert watched
    client.check()
    assert watched
    sink.empty()
    client.check()
    assert sink.written[-1] is gas.snapshot()
    assert not watched
    sink.fill()
    client.send(frame("pong"))
    client.send_state(gas)
    assert watched
    sink.empty()
    client.check()
    assert not watched
    sink.is_closing = True  # the server closes it, because no pong came
    client.send_heartbeat(frame("heartbeat"))
    client.check()
    assert watched
    client.leave()
    assert not watched


def test_the_time_in_which_nothing_is_read_begins_when_a_client_lags(
    sink: StubSink, counters: Counters, clock: ManualClock
) -> None:
    client, gas = Subscriber(sink, clock, counters), topic("gas", clock)
    clock.advance(1_000)
    sink.fill()
    client.send_update(gas, update(gas))
    clock.advance(30)
    client.close_if_stuck(30)
    assert sink.closed is None
    clock.advance(0.1)
    client.close_if_stuck(30)
    assert sink.closed == (1008, "nothing was read for 30 s")


async def test_a_queue_counts_a_frame_until_it_is_sent() -> None:
    sink, large = QueueSink(), Frame(b"x" * MAX_BUFFERED_BYTES, "market")
    frames = sink.frames()
    sink.write(large)
    assert sink.buffered() <= MAX_BUFFERED_BYTES
    sink.write(Frame(b"x", "market"))
    assert sink.buffered() > MAX_BUFFERED_BYTES
    assert await anext(frames) is large
    assert sink.buffered() > MAX_BUFFERED_BYTES  # it is on its way, and not yet taken
    await anext(frames)
    assert sink.buffered() <= MAX_BUFFERED_BYTES
    assert repr(sink) == "<QueueSink 0 frames, 1 bytes>"
    await frames.aclose()


async def test_a_closed_queue_sends_its_frames_and_takes_no_more() -> None:
    sink, last = QueueSink(), Frame(b"bye", "shutdown")
    sink.write(last)
    sink.close(1001, "over")
    sink.close(1008, "too late")
    sink.write(Frame(b"late", "market"))
    assert [sent async for sent in sink.frames()] == [last]
    assert (sink.code, sink.reason) == (1001, "over")


async def test_a_waiting_queue_wakes_on_a_frame_and_on_close() -> None:
    sink = QueueSink()
    seen: list[Frame] = []

    async def read() -> None:
        seen.extend([sent async for sent in sink.frames()])

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    sink.write(Frame(b"1", "market"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    sink.close(1000, "")
    await reading
    assert [sent.text for sent in seen] == [b"1"]
