"""`python -m tests.benchmarks.tick_calls`: the function calls that a venue's message costs.

The real gateway in this process: the invented providers for the first answer, then text frames of
Binance's tickers on the connection that `PushClient` opens, and readers whose transports keep
nothing. Only the two sockets' ends are replaced; their calls are not counted. Counted are
calls of Python functions (with each resumption of a coroutine or generator) and of C functions, as
`sys.setprofile` reports them, of all tasks: from the frame's arrival to the bytes of the last
reader, and until all tasks wait again.
The event loop is the server's (uvloop), whose own calls are compiled code and not reported.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, chdir
from dataclasses import dataclass, field
from types import FrameType, SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import uvloop

from api.stream.address_limits import ClientSlots
from api.stream.broadcaster import Broadcaster
from api.stream.commands import Subscribe
from api.stream.protocol import StreamTimes
from api.stream.sinks import TransportSink
from backend.gateway import open_gateway, read_configuration
from backend.providers import push_client
from tests.benchmarks.ratios import record
from tests.clocks import ManualClock
from tests.world.push import mini_ticker
from tests.world.server import World

TICKS, WARM_UP = 40, 10
#: Between two ticks of the venue, in seconds of the gateway's clock.
TICK_S = 1.0
#: Until the tasks that a message woke wait again, in seconds.
SETTLE_S = 0.004
#: The longest time until the gateway receives from the venue, or an update comes, in seconds.
OPEN_S = 10.0
#: Pairs of the busy message.
MANY = 5
#: The goal for a tick of one coin to one reader.
GOAL_CALLS = 150
UPDATE = b'"type":"update"'


class VenueEnd:
    """In the place of the library's connection: `tell` is what the venue sends."""

    def __init__(self) -> None:
        self._next: asyncio.Future[str] | None = None
        self.transport = SimpleNamespace(abort=lambda: None)

    def tell(self, text: str) -> None:
        assert self._next, "the gateway does not receive"
        self._next.set_result(text)
        self._next = None

    async def until_received_from(self) -> None:
        """The connection is opened once a reader has its rows."""
        async with asyncio.timeout(OPEN_S):
            while self._next is None:
                await asyncio.sleep(SETTLE_S)

    async def recv(self, _decode: bool | None = None) -> str:
        self._next = asyncio.get_running_loop().create_future()
        return await self._next

    async def send(self, text: str) -> None:
        """Commands of the gateway: it subscribes in the path already."""

    async def close(self) -> None:
        """There is no socket."""


@dataclass(eq=False)
class ReaderEnd:
    """In the place of uvicorn's transport; `last` is the newest update."""

    on_write: Callable[[bytes], None] = lambda _frame: None
    last: bytes = b""

    def write(self, frame: bytes) -> None:
        self.last = frame if UPDATE in frame else self.last
        self.on_write(frame)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


@dataclass(eq=False)
class Scene:
    """A gateway with readers of the market."""

    clock: ManualClock
    venue: VenueEnd
    readers: list[ReaderEnd]
    prices: Counter[str] = field(default_factory=Counter)

    def frame(self, pairs: int) -> str:
        """A message of the venue in which the price of so many coins is another one."""
        self.clock.advance(TICK_S)
        self.prices["told"] += 1
        stamp = int(self.clock.now().timestamp() * 1000)
        step = 1.001 + self.prices["told"] % 7 / 1000
        told = [mini_ticker(f"C{n}USDT", (1.0 + n) * step, E=stamp) for n in range(1, pairs + 1)]
        return json.dumps({"stream": "!miniTicker@arr", "data": told})

    async def tick(self, pairs: int) -> None:
        """Tells one message, and waits for the update that it becomes."""
        reader = self.readers[-1]
        reader.last = b""
        await self.venue.until_received_from()
        self.venue.tell(self.frame(pairs))
        async with asyncio.timeout(OPEN_S):
            while not reader.last:
                await asyncio.sleep(SETTLE_S)


@asynccontextmanager
async def opened(symbols: Sequence[str] | None, readers: int = 1) -> AsyncIterator[Scene]:
    """A gateway whose readers follow the coins of `symbols`, or (None) all of the market."""
    clock, venue = ManualClock(), VenueEnd()

    async def connect(_url: str, **_options: Any) -> VenueEnd:
        return venue

    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        world = await stack.enter_async_context(World(clock))
        settings = world.environment(
            BINANCE_STREAM_URL="ws://127.0.0.1:1",
            CACHE_TTL_MARKET="36000",  # only the venue's messages make updates
            LOG_LEVEL="ERROR",
            LOG_DIR=folder,
            STATE_PATH="",
        )
        stack.enter_context(chdir(folder))  # without the developer's .env
        stack.enter_context(patch.dict(os.environ, settings))
        stack.enter_context(patch.object(push_client, "_Direct", connect))
        gateway = await stack.enter_async_context(
            open_gateway(read_configuration(), clock=clock, emit=lambda _event: None)
        )
        slots = ClientSlots(readers, 1.0)
        broadcaster = Broadcaster(
            gateway, slots=slots, stuck_s=30.0, share=1.0, times=StreamTimes(check_s=3_600.0)
        )
        stack.push_async_callback(broadcaster.aclose)
        ends = [ReaderEnd() for _ in range(readers)]
        for end in ends:
            subscriber = broadcaster.join(TransportSink(cast("Any", _protocol(end))))
            stack.callback(broadcaster.leave, subscriber)
            command = Subscribe(channel="market", symbols=list(symbols) if symbols else None)
            await broadcaster.execute(subscriber, command)
        await venue.until_received_from()
        yield Scene(clock, venue, ends)


def _protocol(end: ReaderEnd) -> SimpleNamespace:
    connection = SimpleNamespace(extensions=[])
    writable = asyncio.Event()
    writable.set()
    return SimpleNamespace(conn=connection, transport=end, close_sent=False, writable=writable)


class Calls:
    """Counts while it is entered; `reached` is the count at the first call of `note`."""

    def __init__(self, names: Counter[str] | None = None) -> None:
        self.total = 0
        self.reached: int | None = None
        self._names = names

    def __enter__(self) -> "Calls":
        sys.setprofile(self._seen if self._names is None else self._named)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def note(self, frame: bytes) -> None:
        if self.reached is None and UPDATE in frame:
            self.reached = self.total

    def _seen(self, frame: FrameType, event: str, _argument: object) -> None:
        if event in ("call", "c_call") and frame.f_code.co_filename != __file__:
            self.total += 1

    def _named(self, frame: FrameType, event: str, argument: Any) -> None:
        self._seen(frame, event, argument)
        code = frame.f_code
        where = f"{'/'.join(code.co_filename.split('/')[-2:])}:{code.co_qualname}"
        if event == "call":
            self._names[where] += 1  # type: ignore[index]
        elif event == "c_call":
            self._names[f"    {where} -> {argument.__qualname__}"] += 1  # type: ignore[index]


async def counted(scene: Scene, pairs: int, names: Counter[str] | None = None) -> tuple[int, int]:
    """The calls of one message: to the last reader's bytes, and until all tasks wait again."""
    await scene.venue.until_received_from()
    text = scene.frame(pairs)
    calls, loop = Calls(names), asyncio.get_running_loop()
    told, settled = loop.create_future(), loop.create_future()

    def note(frame: bytes) -> None:
        calls.note(frame)
        if UPDATE in frame and not told.done():
            told.set_result(None)

    scene.readers[-1].on_write = note
    with calls:
        scene.venue.tell(text)
        await told
        loop.call_later(SETTLE_S, settled.set_result, None)
        await settled
    scene.readers[-1].on_write = lambda _frame: None
    assert calls.reached is not None, "no update came"
    return calls.reached, calls.total


async def calls(symbols: Sequence[str] | None, pairs: int, readers: int = 1) -> int:
    """The median of the calls to the bytes."""
    async with opened(symbols, readers) as scene:
        for _ in range(WARM_UP):
            await scene.tick(pairs)
        counts = [await counted(scene, pairs) for _ in range(TICKS)]
    return int(statistics.median(reached for reached, _ in counts))


async def figures(
    symbols: Sequence[str] | None, pairs: int, readers: int
) -> tuple[float, float, float]:
    """Medians: calls to the bytes, calls until all wait, CPU of a message in microseconds."""
    async with opened(symbols, readers) as scene:
        for _ in range(WARM_UP):
            await scene.tick(pairs)
        counts = [await counted(scene, pairs) for _ in range(TICKS)]
        spent = [await _cpu_us(scene, pairs) for _ in range(5 * TICKS)]
    cpu_us = statistics.median(busy - idle for busy, idle in spent)
    reached = statistics.median(one for one, _ in counts)
    return reached, statistics.median(one for _, one in counts), cpu_us


async def _cpu_us(scene: Scene, pairs: int) -> tuple[float, float]:
    """The CPU of one message, and of as long a time without one, in microseconds."""
    await scene.venue.until_received_from()
    text = scene.frame(pairs)
    began = time.process_time_ns()
    scene.venue.tell(text)
    await asyncio.sleep(SETTLE_S)
    between = time.process_time_ns()
    await asyncio.sleep(SETTLE_S)
    return (between - began) / 1e3, (time.process_time_ns() - between) / 1e3


async def main() -> None:
    parser = argparse.ArgumentParser(prog="tick_calls")
    parser.add_argument("--quick", action="store_true", help="only whether it runs: for CI")
    parser.add_argument("--names", action="store_true", help="the calls of one tick by name")
    if parser.parse_args().names:
        await _in_detail()
        return
    say = sys.stdout.write
    say("| message and readers | calls to the bytes | until all wait | CPU µs |\n")
    say("| --- | ---: | ---: | ---: |\n")
    for title, symbols, pairs, readers in (
        ("one coin, one reader of it", ["C1"], 1, 1),
        ("five coins, one reader of the market", None, MANY, 1),
        ("five coins, 100 readers of the market", None, MANY, 100),
    ):
        reached, total, cpu_us = await figures(symbols, pairs, readers)
        record(f"a tick, {title}: calls, to {GOAL_CALLS}", GOAL_CALLS / reached)
        say(f"| {title} | {reached:.0f} | {total:.0f} | {cpu_us:.0f} |\n")


async def _in_detail() -> None:
    async with opened(["C1"]) as scene:
        for _ in range(WARM_UP):
            await scene.tick(1)
        names: Counter[str] = Counter()
        await counted(scene, 1, names)
        for name, count in names.items():
            sys.stdout.write(f"{count:4} {name}\n")


if __name__ == "__main__":
    uvloop.run(main())
