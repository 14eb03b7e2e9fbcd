"""Connects to a venue's stream, subscribes to Bitcoin, and waits for a tick."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from backend.clock import Clock
from backend.environment.network import NetworkSettings
from backend.errors import MalformedResponse, ProviderError, ProviderTimeout
from backend.identity.instruments import guessed_instruments, instrument_at
from backend.models.ohlc import Interval
from backend.models.ticks import CandleTicks, MarketTicks, Tick, TickerUpdates, TickSubject
from backend.providers.adapter import Context, ProviderSpec, PushFeed
from backend.providers.client import parsed
from backend.providers.push_client import OPEN_TIMEOUT_S, PushClient
from tests.live.ask import in_words
from tests.live.checks import examine, need_same_price
from tests.live.row import FINAL, OK, Row
from tests.live.shapes import shape_of

#: Longest wait for a tick, in seconds.
TICK_S = 15.0


@dataclass
class Listener:
    """The stream of one venue. Each subject has a connection of its own."""

    spec: ProviderSpec
    feed: PushFeed
    base_url: str
    clock: Clock
    network: NetworkSettings
    redact: Callable[[str], str]
    subjects: list[tuple[TickSubject, Row]] = field(init=False)

    def __post_init__(self) -> None:
        name = self.spec.name
        self.subjects = [(one, Row(name, label)) for label, one in subjects_of(name)]

    def rows(self) -> list[Row]:
        return [row for _, row in self.subjects]

    async def listen(self, price: float | None) -> None:
        """One connection after another; none after a failure that the next one would repeat."""
        ended_by = ""
        for subject, row in self.subjects:
            if ended_by:
                row.outcome = ended_by
                row.notes.append("not called again")
                continue
            began = self.clock.monotonic()
            try:
                async with asyncio.timeout(OPEN_TIMEOUT_S + TICK_S + 5):
                    frame, tick = await self._first_tick(subject)
            except TimeoutError:
                row.fail(ProviderTimeout(), "the connection does not close")
            except ProviderError as error:
                row.fail(error, self.redact(in_words(error)))
            else:
                found = examine(tick, self.clock.now())
                need_same_price(found, price)
                row.outcome, row.bitcoin, row.rows = OK, found.bitcoin, found.rows
                row.problems += found.problems
                row.shape = shape_of([frame])
            row.ms = (self.clock.monotonic() - began) * 1000
            ended_by = row.outcome if row.outcome in FINAL else ""

    async def _first_tick(self, subject: TickSubject) -> tuple[Any, Tick]:
        """The first tick of the subject, with its frame. Raises ProviderError."""
        feed = self.feed
        asked = [subject][: feed.subjects_in_path]
        client = PushClient(self.clock, self.network)
        async with client.open(self.spec.adapter, self.base_url + feed.path(asked)) as connection:
            if not asked:
                for text in feed.subscribe([subject], 1):
                    await connection.send(text)
            deadline = self.clock.monotonic() + TICK_S
            frames = 0
            while (left_s := deadline - self.clock.monotonic()) > 0:
                frame = await connection.receive(left_s)
                if frame is None:
                    break
                frames += 1
                context = Context(self.spec.name, "push", int(self.clock.now().timestamp() * 1000))
                tick = parsed(feed.parse, frame, context)
                if tick is not None and is_wanted(tick, subject):
                    return frame, tick
        raise MalformedResponse(f"no tick within {TICK_S:g} s, {frames} other frames")


def subjects_of(venue: str) -> Iterator[tuple[str, TickSubject]]:
    """Bitcoin's ticker, and its newest candle where the venue's names are known."""
    instrument = instrument_at(venue, guessed_instruments("BTC"))
    yield "push tickers", MarketTicks((instrument,) if instrument else ())
    if instrument:
        yield "push candles 1m", CandleTicks(instrument, Interval.M1)


def is_wanted(tick: Tick, subject: TickSubject) -> bool:
    if isinstance(tick, TickerUpdates):
        return isinstance(subject, MarketTicks) and bool(tick.tickers)
    return tick.subject == subject
