"""One reader's bookkeeping, over an outlet that is free or not as the test says."""

import asyncio
from collections.abc import Callable

import pytest

from api.stream.channels import Channel, Shown
from api.stream.frames import Frame, frame
from api.stream.outlets import MOST_BUFFERED, MOST_WAITING, QueueOutlet
from api.stream.subscriber import Counters, Subscriber
from api.stream.topics import RowCache, Topic
from tests.api.stream.test_topics import Nobody
from tests.clocks import ManualClock

MakeTopic = Callable[[str], Topic]


class Door:
    """An outlet that is open or shut."""

    is_closing = False

    def __init__(self) -> None:
        self.waiting = 0
        self.written: list[Frame] = []
        self.closed: tuple[int, str] | None = None

    def __setattr__(self, name: str, value: object) -> None:
        if name == "is_free":
            name, value = "waiting", 0 if value else MOST_BUFFERED + 1
        super().__setattr__(name, value)

    def abort(self) -> None:
        self.closed = 1006, ""

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
    assert not reader._behind


def test_a_lagging_one_gets_one_snapshot_a_topic_in_place_of_what_it_missed(
    reader: Subscriber, door: Door, clock: ManualClock, counters: Counters
) -> None:
    gas, news = topic("gas", clock), topic("news", clock)
    door.is_free = False
    for _ in range(4):
        assert not reader.offer(gas, update(gas))
    assert not reader.offer(news, update(news))
    assert reader._behind
    assert repr(reader) == "<Subscriber 0 topics, behind in 2>"
    reader.catch_up()
    assert door.written == []
    door.is_free = True
    reader.catch_up()
    assert gas.snapshot() in door.written
    assert news.snapshot() in door.written
    assert len(door.written) == 2
    assert counters.dropped == 5
    assert not reader._behind
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
    door.waiting = MOST_BUFFERED + 500
    reader.look_after(30)
    clock.advance(29)
    reader.look_after(30)
    door.waiting -= 1  # slow, but alive
    reader.look_after(30)
    clock.advance(30)
    reader.look_after(30)
    assert door.closed is None
    clock.advance(0.1)
    reader.look_after(30)
    assert door.closed == (1008, "nothing was read for 30 s")


def test_one_that_takes_all_is_not_stuck_however_long_nothing_came(
    reader: Subscriber, door: Door, clock: ManualClock
) -> None:
    clock.advance(1_000)
    reader.look_after(30)
    door.waiting = MOST_BUFFERED
    clock.advance(1_000)
    reader.look_after(30)
    assert door.closed is None


@pytest.mark.parametrize("waiting", [0, 100, MOST_BUFFERED])
def test_one_that_the_server_gave_up_is_ended_however_little_waits(
    reader: Subscriber, door: Door, clock: ManualClock, waiting: int
) -> None:
    """The server itself would wait for its buffer for as long as the peer keeps the connection."""
    door.waiting = waiting
    reader.look_after(30)
    clock.advance(1_000)
    reader.look_after(30)
    assert door.closed is None
    door.is_closing = True
    clock.advance(30)
    reader.look_after(30)
    assert door.closed is None
    clock.advance(0.1)
    reader.look_after(30)
    assert door.closed == (1008, "nothing was read for 30 s")


def test_one_for_whom_ever_more_is_waiting_is_ended_at_once(reader: Subscriber, door: Door) -> None:
    door.waiting = MOST_WAITING
    reader.look_after(30)
    assert door.closed is None
    door.waiting += 1
    reader.look_after(30)
    assert door.closed == (1006, "")


def test_a_state_that_it_was_shown_already_is_no_news(
    reader: Subscriber, door: Door, clock: ManualClock
) -> None:
    gas = topic("gas", clock)
    told = update(gas)
    reader.present(gas)
    assert reader.offer(gas, told)
    assert door.written == [gas.snapshot()]
    assert reader.offer(gas, update(gas))
    assert len(door.written) == 2


def test_a_topic_that_was_left_is_not_caught_up_with(
    reader: Subscriber, door: Door, clock: ManualClock
) -> None:
    gas = topic("gas", clock)
    reader.topics[gas] = 0
    door.is_free = False
    reader.offer(gas, update(gas))
    reader.forget(gas)
    door.is_free = True
    reader.catch_up()
    assert door.written == []
    assert not reader._behind


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
    assert outlet.waiting <= MOST_BUFFERED
    outlet.write(Frame(b"x", "market"))
    assert outlet.waiting > MOST_BUFFERED
    assert await anext(frames) is large
    assert outlet.waiting > MOST_BUFFERED  # it is on its way, and not yet taken
    await anext(frames)
    assert outlet.waiting <= MOST_BUFFERED
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
