"""One reader's bookkeeping, over an outlet that is free or not as the test says."""

import asyncio
from collections.abc import Callable

import pytest

from api.stream.channels import Channel, Shown
from api.stream.frames import Frame, frame
from api.stream.outlets import MOST_BUFFERED, QueueOutlet
from api.stream.subscriber import Counters, Subscriber
from api.stream.topics import RowCache, Topic
from tests.api.stream.test_topics import Nobody
from tests.clocks import ManualClock

MakeTopic = Callable[[str], Topic]


class Door:
    """An outlet that is open or shut."""

    def __init__(self) -> None:
        self.is_free = True
        self.written: list[Frame] = []
        self.closed: tuple[int, str] | None = None

    def write(self, told: Frame) -> None:
        self.written.append(told)

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def reader(door: Door, counters: Counters, clock: ManualClock) -> Subscriber:
    return Subscriber(door, clock, counters)


def topic(name: str, clock: ManualClock) -> Topic:
    made = Topic((name,), Channel(name, Nobody(), lambda s, _v: s), (), RowCache(), clock)
    made.show(Shown({"n": 1}, {}))
    return made


def update(shows: Topic) -> Frame:
    return shows.show(Shown({"n": shows.seq + 1}, {}))[0]


def test_a_reader_that_reads_gets_every_frame(
    reader: Subscriber, door: Door, clock: ManualClock, counters: Counters
) -> None:
    gas = topic("gas", clock)
    frames = [update(gas) for _ in range(3)]
    assert [reader.offer(gas, told) for told in frames] == [True] * 3
    assert door.written == frames
    assert (counters.sent, counters.dropped) == (3, 0)
    assert not reader.lags


def test_a_lagging_one_gets_one_snapshot_a_topic_in_place_of_what_it_missed(
    reader: Subscriber, door: Door, clock: ManualClock, counters: Counters
) -> None:
    gas, news = topic("gas", clock), topic("news", clock)
    door.is_free = False
    for _ in range(4):
        assert not reader.offer(gas, update(gas))
    assert not reader.offer(news, update(news))
    assert reader.lags
    assert repr(reader) == "<Subscriber 0 topics, behind in 2>"
    reader.catch_up()
    assert door.written == []
    door.is_free = True
    reader.catch_up()
    assert gas.snapshot() in door.written
    assert news.snapshot() in door.written
    assert len(door.written) == 6  # a snapshot, a status and a feed each
    assert counters.dropped == 5
    assert not reader.lags
    assert reader.offer(gas, update(gas))


def test_what_comes_before_the_snapshot_is_in_the_snapshot(
    reader: Subscriber, door: Door, clock: ManualClock
) -> None:
    gas = topic("gas", clock)
    door.is_free = False
    reader.offer(gas, update(gas))
    door.is_free = True
    assert not reader.offer(gas, update(gas))  # else it would come before the snapshot
    reader.catch_up()
    assert door.written[0] is gas.snapshot()
    assert gas.seq == 3


def test_it_is_stuck_when_it_takes_nothing_for_so_long(
    reader: Subscriber, door: Door, clock: ManualClock
) -> None:
    gas, news = topic("gas", clock), topic("news", clock)
    door.is_free = False
    reader.offer(gas, update(gas))
    clock.advance(30)
    assert not reader.is_stuck(30)
    reader.offer(news, update(news))
    clock.advance(0.1)
    assert reader.is_stuck(30)
    door.is_free = True
    reader.catch_up()
    assert not reader.is_stuck(30)


def test_a_topic_that_was_left_is_not_caught_up_with(
    reader: Subscriber, door: Door, clock: ManualClock
) -> None:
    gas = topic("gas", clock)
    reader.topics[gas] = None
    door.is_free = False
    reader.offer(gas, update(gas))
    reader.forget(gas)
    door.is_free = True
    reader.catch_up()
    assert door.written == []
    assert not reader.lags


def test_heartbeats_are_for_those_who_read(reader: Subscriber, door: Door) -> None:
    reader.tell_if_free(frame("heartbeat"))
    door.is_free = False
    reader.tell_if_free(frame("heartbeat"))
    assert len(door.written) == 1
    reader.tell(frame("pong"))
    assert len(door.written) == 2
    reader.close(1008, "too slow")
    assert door.closed == (1008, "too slow")


async def test_a_queue_counts_what_waits_until_it_is_sent() -> None:
    outlet, large = QueueOutlet(), Frame(b"x" * MOST_BUFFERED, "market")
    frames = outlet.frames()
    outlet.write(large)
    assert outlet.is_free
    outlet.write(Frame(b"x", "market"))
    assert not outlet.is_free
    assert await anext(frames) is large
    assert not outlet.is_free  # it is on its way, and not yet taken
    await anext(frames)
    assert outlet.is_free
    assert repr(outlet) == "<QueueOutlet 0 frames, 1 bytes>"
    await frames.aclose()


async def test_a_closed_queue_gives_what_it_has_and_takes_nothing() -> None:
    outlet, last = QueueOutlet(), Frame(b"bye", "shutdown")
    outlet.write(last)
    outlet.close(1001, "over")
    outlet.close(1008, "too late")
    outlet.write(Frame(b"late", "market"))
    assert [told async for told in outlet.frames()] == [last]
    assert (outlet.code, outlet.reason) == (1001, "over")


async def test_a_waiting_queue_wakes_when_there_is_something_and_when_it_closes() -> None:
    outlet = QueueOutlet()
    seen: list[Frame] = []

    async def read() -> None:
        seen.extend([told async for told in outlet.frames()])

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    outlet.write(Frame(b"1", "market"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    outlet.close(1000, "")
    await reading
    assert [told.text for told in seen] == [b"1"]
