"""The stream's fan-out against the websockets library's `broadcast`, on one machine in one run.

    python -m tests.benchmarks.stream_fanout [--readers 100,1000,3000] [--rounds 3] [--seconds 6]

Everything is on loopback; servers have a core, clients another. Absolute times say little on a
machine that others use too: the ratios to the library do.
"""

import argparse
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from api.stream.channels import Channel, Content
from api.stream.feed import Counters, Subscriber
from api.stream.sinks import QueueSink
from api.stream.topics import RowCache, Topic
from backend.clock import SystemClock
from backend.models.market import Coin
from tests.benchmarks.fanout_control import CLIENTS, pin, raise_file_limit, run
from tests.benchmarks.fanout_report import NAMES, Results, report, to_library
from tests.benchmarks.fanout_rounds import opened
from tests.benchmarks.ratios import record
from tests.world import data

REPEATS = 300
CHANGED = 5


async def _no_answers() -> AsyncGenerator[Any]:
    """Stands in for the channel's answers: `Topic` never reads them."""
    yield None


def encode_us(readers: int) -> float:
    """The median of `Topic.show` and of the frame's WebSocket form, in microseconds."""
    topic = _topic(readers)
    rows = _coins()
    topic.update(Content(tuple(rows), {}))
    spent = []
    for repeat in range(REPEATS):
        rows = _changed(rows, repeat)
        shown = Content(tuple(rows), {"count": len(rows)})
        begun = time.perf_counter()
        assert all(frame.wire for frame in topic.update(shown))
        spent.append(time.perf_counter() - begun)
    return 1e6 * statistics.median(spent)


def _topic(readers: int) -> Topic:
    clock, counters = SystemClock(), Counters()
    channel = Channel(
        ("market",),
        _no_answers,
        lambda _answer, _coins: Content(None, None),
        row_key=lambda coin: coin.key,
        order=lambda coin: (coin.market_cap_rank is None, coin.market_cap_rank or 0),
    )
    topic = Topic(channel, (), RowCache(), clock)
    for _ in range(readers):
        Subscriber(QueueSink(), clock, counters).send_state(topic)
    return topic


def _coins() -> list[Coin]:
    return [_coin(place, 1.0 + place) for place in range(data.ROWS)]


def _coin(place: int, price: float) -> Coin:
    return Coin(
        id=f"coin-{place}",
        symbol=f"C{place}",
        name=f"Coin {place}",
        image=f"https://img.example/coin-{place}.png",
        market_cap_rank=place + 1,
        price=price,
        market_cap=price * 1e6,
        volume_24h=1e6,
        high_24h=price * 1.02,
        low_24h=price * 0.97,
        price_change_24h=price * 0.01,
        price_change_percentage_24h=1.01,
        circulating_supply=1e6,
        last_updated=datetime.now(UTC),
        source="coingecko_free",
    )


def _changed(rows: list[Coin], repeat: int) -> list[Coin]:
    """A few new rows among the old ones, as a venue's tick leaves them."""
    rows = list(rows)
    for place in range(CHANGED):
        at = (repeat * CHANGED + place) % len(rows)
        later = datetime.now(UTC) + timedelta(seconds=repeat)
        rows[at] = replace(rows[at], last_updated=later)
    return rows


#: Floods and stalled readers are measured at this many readers, or at the most below it.
MIDDLE = 1_000
FLOOD_FRAMES = 200


@dataclass
class Options:
    readers: list[int]
    rounds: int
    seconds: int
    flood_frames: int = FLOOD_FRAMES

    @property
    def middle(self) -> int:
        return max([count for count in self.readers if count <= MIDDLE] or self.readers[:1])


def read_options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="stream_fanout")
    parser.add_argument("--readers", default="100,1000,3000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--quick", action="store_true", help="the main ratios, for CI")
    said = parser.parse_args(arguments)
    if said.quick:
        return Options([100, 1_000], 1, 4, flood_frames=50)
    return Options(sorted(map(int, said.readers.split(","))), said.rounds, said.seconds)


async def measure(options: Options, results: Results) -> None:
    for number in range(options.rounds):
        turn = number % len(NAMES)
        order = (*NAMES[turn:], *NAMES[:turn])  # none is always the first of its second
        sys.stderr.write(f"round {number + 1} of {options.rounds}: {', '.join(order)}\n")
        await _measure_round(order, options, results)


async def _measure_round(order: Sequence[str], options: Options, results: Results) -> None:
    async with opened(order, options.seconds, options.readers[-1]) as one_round:
        results.frame_bytes = await one_round.warm_up()
        for readers in options.readers:
            results.figures += await one_round.figures(readers)
            if readers == options.middle:
                results.floods += await one_round.floods(readers, options.flood_frames)
                results.stalls += await one_round.stalls(readers)


async def main(options: Options) -> None:
    raise_file_limit()
    pin(CLIENTS)
    results = Results()
    results.encode_us = {readers: encode_us(readers) for readers in (100, 3_000)}
    await measure(options, results)
    for name, ratio in to_library(results).items():
        record(name, ratio)
    sys.stdout.write(report(results, options.middle))


if __name__ == "__main__":
    run(main(read_options(sys.argv[1:])))
