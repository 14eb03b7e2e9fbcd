"""One reader of the stream, looked after by a clock that is moved by hand."""

from dataclasses import dataclass, field

import pytest

from api.stream.frames import Frame
from api.stream.outlets import MOST_BUFFERED
from api.stream.subscriber import Counters, Subscriber
from tests.clocks import ManualClock


@dataclass
class Outlet:
    waiting: int = 0
    is_closing: bool = False
    closed: list[int] = field(default_factory=list)

    def write(self, frame: Frame) -> None: ...

    def close(self, code: int, reason: str) -> None:
        self.closed.append(code)

    def abort(self) -> None: ...


@pytest.mark.parametrize(
    ("waiting", "is_closing", "is_ended"),
    [
        (MOST_BUFFERED, False, False),
        (MOST_BUFFERED + 1, False, True),
        (100, True, True),  # the server gave it up, and waits for its buffer for ever
        (0, True, True),
        (0, False, False),
    ],
)
def test_who_takes_nothing_is_ended(waiting: int, is_closing: bool, is_ended: bool) -> None:
    clock, outlet = ManualClock(), Outlet(waiting, is_closing)
    subscriber = Subscriber(outlet, clock, Counters())
    for _ in range(7):
        subscriber.look_after(30)
        clock.advance(5)
    assert outlet.closed == []
    subscriber.look_after(30)
    assert bool(outlet.closed) == is_ended


def test_who_takes_a_little_now_and_then_has_time() -> None:
    clock, outlet = ManualClock(), Outlet(MOST_BUFFERED + 1_000)
    subscriber = Subscriber(outlet, clock, Counters())
    for _ in range(20):
        subscriber.look_after(30)
        clock.advance(20)
        outlet.waiting -= 10
    assert outlet.closed == []
