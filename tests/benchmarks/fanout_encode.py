"""The cost of making an update's frame, with few and with many readers of its topic."""

import statistics
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from api.stream.channels import Channel, Content
from api.stream.sinks import QueueSink
from api.stream.subscriber import Counters, Subscriber
from api.stream.topics import RowCache, Topic
from backend.clock import SystemClock
from backend.models.market import Coin
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
