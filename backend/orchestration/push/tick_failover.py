"""The ticks of several venues as one source: where a venue is blocked, silent or off, the next."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from math import inf

from backend.clock import Clock
from backend.identity.instruments import Instrument
from backend.models.ticks import CandleTicks, Flow, MarketTicks, Tick, TickStatus, TickSubject
from backend.orchestration.push.tick_queue import TickQueue
from backend.orchestration.push.tick_stream import TickStream
from backend.waiting import wait_until

#: A venue whose tickers have not come for this long is replaced by the next one, in seconds ...
SWITCH_AFTER_S = 3.0
#: ... which is released when the first one's have come for this long again.
RETURN_AFTER_S = 60.0
#: Interval at which the instruments are chosen anew for a venue that must get all of them, in
#: seconds; and the same while there are none.
CHOOSE_AGAIN_S, CHOOSE_FIRST_S = 600.0, 1.0
#: Ticks that wait for the consumer; then the venues' connections wait.
MOST_WAITING = 100
MARKET = MarketTicks()


@dataclass(slots=True)
class _Venue:
    """One venue's stream. Times are on Clock.monotonic(); None: not at present.

    `is_asked`: its tickers are subscribed to, `flowing_since` they come, `lost_since` they don't.
    """

    stream: TickStream
    is_asked: bool = False
    flowing_since: float | None = None
    lost_since: float | None = None
    tickers: MarketTicks = MARKET
    chosen_at: float = float("-inf")


class TickFailover:
    """Ticks of several venues, the preferred one first, for the one consumer of `ticks()`.

    Candles come from the venue that trades their instrument. Tickers come from the first venue;
    the next one is asked only while the first has none. `instruments` gives those of the market's
    coins at a venue, for a venue that has no subscription to all.
    """

    def __init__(
        self,
        streams: Sequence[TickStream],
        instruments: Callable[[str], tuple[Instrument, ...]],
        *,
        clock: Clock,
    ) -> None:
        """`streams`: one at least."""
        self._venues = [_Venue(stream) for stream in streams]
        self._instruments = instruments
        self._clock = clock
        self._wanted: tuple[TickSubject, ...] = ()
        #: Called when `flow` may have changed.
        self.on_flow_change: Callable[[], None] = lambda: None
        for stream in streams:
            stream.on_flow_change = self._note_flow
        #: Set when the venues must be compared.
        self._has_changed = asyncio.Event()
        self._next_review = inf

    def __repr__(self) -> str:
        return f"<TickFailover {[venue.stream.provider for venue in self._venues]}>"

    def pushes(self, venue: str) -> bool:
        """True if the venue's candles can have ticks."""
        return any(one.stream.provider == venue for one in self._venues)

    def want(self, subjects: Collection[TickSubject]) -> None:
        """Replaces the wanted subjects. Without any, all connections are closed."""
        self._wanted = tuple(subjects)
        self._review()
        self._has_changed.set()

    def flow(self, subject: TickSubject) -> Flow:
        """Whether ticks of the subject arrive now, and of which venue."""
        candidates = [one for one in self._venues if _may_push(one, subject)]
        for venue in candidates:
            if venue.stream.flow(subject).is_live:
                return Flow(True, venue=venue.stream.provider)
        return candidates[0].stream.flow(subject) if candidates else Flow(False, "unsupported")

    def silence_s(self, subject: TickSubject) -> float:
        """A subject without a tick for so many seconds is not live; 0 if no venue has it."""
        candidates = (one for one in self._venues if _may_push(one, subject))
        return max((one.stream.silence_s(subject) for one in candidates), default=0.0)

    def status(self) -> TickStatus:
        """That of the venue whose tickers come, else of the preferred one."""
        flowing = (one for one in self._venues if one.stream.flow(MARKET).is_live)
        return next(flowing, self._venues[0]).stream.status()

    async def ticks(self) -> AsyncGenerator[Tick]:
        """Every tick of the wanted subjects; never ends by itself."""
        waiting = TickQueue[Tick](MOST_WAITING)
        tasks = [asyncio.create_task(_pump(one.stream, waiting)) for one in self._venues]
        tasks.append(asyncio.create_task(self._review_when_due()))
        try:
            while True:
                yield await waiting.get()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _note_flow(self) -> None:
        self._has_changed.set()
        self.on_flow_change()

    async def _review_when_due(self) -> None:
        while True:
            await wait_until(self._next_review, self._has_changed, self._clock)
            self._review()

    def _review(self) -> None:
        """Decides which venues are asked for tickers, and passes on what each is asked for."""
        now = self._clock.monotonic()
        is_needed = any(isinstance(subject, MarketTicks) for subject in self._wanted)
        followers = [one.is_asked for one in self._venues[1:]] + [False]
        for venue, has_substitute in zip(self._venues, followers, strict=True):
            venue.is_asked = is_needed
            is_needed = is_needed and self._needs_substitute(venue, has_substitute)
            candles = [
                subject
                for subject in self._wanted
                if isinstance(subject, CandleTicks) and _may_push(venue, subject)
            ]
            venue.stream.want([*self._tickers(venue), *candles])
        due = (at for venue in self._venues for at in _times(venue, now) if at > now)
        self._next_review = min(due, default=inf)

    def _needs_substitute(self, venue: _Venue, has_substitute: bool) -> bool:
        now = self._clock.monotonic()
        if venue.stream.flow(MARKET).is_live:
            if venue.flowing_since is None:
                venue.flowing_since, venue.lost_since = now, None
            return has_substitute and now < venue.flowing_since + RETURN_AFTER_S
        if venue.lost_since is None:
            venue.lost_since, venue.flowing_since = now, None
        return now >= venue.lost_since + SWITCH_AFTER_S

    def _tickers(self, venue: _Venue) -> list[MarketTicks]:
        if not venue.is_asked:
            venue.flowing_since = venue.lost_since = None
            return []
        now = self._clock.monotonic()
        if venue.stream.lists_instruments and now >= venue.chosen_at + CHOOSE_AGAIN_S:
            chosen = sorted(self._instruments(venue.stream.provider), key=lambda one: one.symbol)
            venue.tickers = replace(MARKET, instruments=tuple(chosen))
            venue.chosen_at = now if chosen else venue.chosen_at
        return [venue.tickers]


def _times(venue: _Venue, now: float) -> Iterator[float]:
    """Times at which the decision on the venue may change though its flow does not."""
    if venue.lost_since is not None:
        yield venue.lost_since + SWITCH_AFTER_S
    if venue.flowing_since is not None:
        yield venue.flowing_since + RETURN_AFTER_S
    if venue.is_asked and venue.stream.lists_instruments:
        yield max(venue.chosen_at + CHOOSE_AGAIN_S, now + CHOOSE_FIRST_S)


def _may_push(venue: _Venue, subject: TickSubject) -> bool:
    """Tickers come from any venue, candles from that of their instrument."""
    if isinstance(subject, MarketTicks):
        return True
    return subject.instrument.venue == venue.stream.provider


async def _pump(stream: TickStream, waiting: TickQueue[Tick]) -> None:
    """Passes the stream's ticks on; an unexpected error, too, for the consumer to log."""
    try:
        async with aclosing(stream.ticks()) as ticks:
            async for tick in ticks:
                await waiting.put(tick)
    except Exception as error:
        waiting.fail(error)
