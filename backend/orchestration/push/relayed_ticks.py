"""The ticks of a cluster: one process, the leader, is connected to the venues for all."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing, suppress
from dataclasses import replace

from backend.clock import Clock
from backend.cluster.contract import Cluster
from backend.models.cluster import Role
from backend.models.ohlc import Candle
from backend.models.ticks import (
    CandleTicks,
    CandleUpdate,
    Flow,
    Tick,
    TickerUpdates,
    TickStatus,
    TickSubject,
)
from backend.orchestration.push.connection_rule import ConnectionRule
from backend.orchestration.push.heard_ticks import HeardTicks
from backend.orchestration.push.others_wants import MARKET, OthersWants
from backend.orchestration.push.tick_failover import MOST_WAITING, TickFailover
from backend.orchestration.push.tick_messages import MOST_CANDLES, StreamState, TickCodec, Wants
from backend.orchestration.push.tick_publisher import TickPublisher

#: Interval at which the role and the venues' state are looked at, in seconds, and the least one
#: between two messages about wants.
CHECK_S, SPACING_S = 0.25, 0.1
#: Wants and states are repeated at this interval, in seconds: a message may be lost.
REPEAT_S = 1.0
#: For this long after the venues' streams were left for the leader's ticks, in seconds, a candle
#: may come that is older than the last one of the own stream.
SETTLING_S = 1.0


class RelayedTicks:
    """A TickSource over this process's venues while it leads or is an island, else over the ticks
    that the leader sends. The venues' streams are closed while another process leads.

    Tickers are passed on in every process as long as one of them wants them, so that all answer
    with the same prices; candles only where they are wanted.
    """

    def __init__(self, own: TickFailover, cluster: Cluster, *, clock: Clock) -> None:
        self._own = own
        self._cluster = cluster
        self._clock = clock
        self._codec = TickCodec()
        self._others = OthersWants(clock)
        self._heard = HeardTicks(clock, own.silence_s)
        self._publisher = TickPublisher(cluster, self._codec)
        self._wanted: tuple[TickSubject, ...] = ()
        self._own_candles: frozenset[CandleTicks] = frozenset()
        self._rule = ConnectionRule(clock)
        self._role: Role = "island"
        self._has_changed = asyncio.Event()
        #: Called when `flow` may have changed: silence of the leader is not looked for.
        self.on_flow_change: Callable[[], None] = lambda: None
        own.on_flow_change = self._note_flow
        #: What the venues are asked for, and which of it is for others.
        self._asked: tuple[TickSubject, ...] = ()
        self._for_others: frozenset[CandleTicks] = frozenset()
        self._others_want_market = False
        #: What the others were told last, and when.
        self._told: Wants | StreamState | None = None
        self._told_at = float("-inf")
        #: The last candle of each wanted series.
        self._last: dict[CandleTicks, Candle] = {}
        self._waiting = asyncio.Queue[Tick | Exception](MOST_WAITING)
        cluster.bus.subscribe("ticks", self._on_message)
        cluster.bus.subscribe("wants", self._on_wants)

    def __repr__(self) -> str:
        return f"<RelayedTicks {self._rule!r} {len(self._wanted)} wanted>"

    def pushes(self, venue: str) -> bool:
        return self._own.pushes(venue)

    def want(self, subjects: Collection[TickSubject]) -> None:
        """Replaces what this process wants."""
        self._wanted = tuple(subjects)
        self._heard.want(self._wanted)
        candles = (one for one in self._wanted if isinstance(one, CandleTicks))
        self._own_candles = frozenset(candles)
        self._last = {one: last for one, last in self._last.items() if one in self._own_candles}
        self._has_changed.set()
        self._review()

    def flow(self, subject: TickSubject) -> Flow:
        """Whether ticks of the subject arrive in this process."""
        return self._own.flow(subject) if self._rule.is_connected else self._heard.flow(subject)

    def status(self) -> TickStatus:
        """That of the process which is connected to the venues; `connecting` while none is."""
        own = self._own.status()
        if self._rule.is_connected:
            return own
        between = replace(own, state="connecting" if self._wanted else "off", reason=None)
        return self._heard.status() or replace(between, subjects=len(self._wanted))

    async def ticks(self) -> AsyncGenerator[Tick]:
        """Every tick of the wanted subjects; never ends by itself."""
        work = (self._pump(), self._keep_current(), self._publisher.run())
        tasks = [asyncio.create_task(self._reported(each)) for each in work]
        try:
            while True:
                tick = await self._waiting.get()
                if isinstance(tick, Exception):
                    raise tick
                yield tick
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _reported(self, work: Awaitable[None]) -> None:
        """Passes a bug on to the consumer, who logs it."""
        try:
            await work
        except Exception as error:
            await self._waiting.put(error)

    async def _pump(self) -> None:
        """Passes the venues' ticks on, here and to the others."""
        async with aclosing(self._own.ticks()) as ticks:
            async for tick in ticks:
                if not self._rule.is_connected:
                    continue
                if self._is_for_others(tick) and self._cluster.leads:
                    self._publisher.add(tick)
                if self._is_for_us(tick):
                    await self._waiting.put(tick)

    async def _keep_current(self) -> None:
        while True:
            self._has_changed.clear()
            self._review()
            self._tell()
            self.on_flow_change()
            await asyncio.sleep(SPACING_S)  # changes meanwhile are one message
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S - SPACING_S):
                    await self._has_changed.wait()

    def _note_flow(self) -> None:
        self.on_flow_change()

    def _review(self) -> None:
        """Decides whether this process is connected to the venues, and what for."""
        self._role = self._cluster.state().role
        if self._rule.note_role(self._role):
            self._heard.want(())  # ticks are waited for from now on
            self._heard.want(self._wanted)
        leads = self._cluster.leads
        self._for_others = self._others.candles if leads else frozenset()
        self._others_want_market = leads and self._others.market
        asked = self._others.merged(self._wanted) if leads else self._wanted
        asked = asked if self._rule.is_connected else ()
        if asked != self._asked:
            self._asked = asked
            self._own.want(asked)

    def _tell(self) -> None:
        """Tells the others the state while this process leads, else what it wants."""
        now = self._clock.monotonic()
        message = self._state() if self._cluster.leads else self._own_wants()
        is_due = now - self._told_at >= REPEAT_S and message != Wants()
        if self._role == "excluded" or (_lasting(message) == self._told and not is_due):
            return
        self._told, self._told_at = _lasting(message), now
        if isinstance(message, StreamState):
            self._publisher.publish_state(message)
        else:
            self._cluster.bus.publish("wants", self._codec.wants(message))

    def _own_wants(self) -> Wants:
        candles = (one for one in self._wanted if isinstance(one, CandleTicks))
        return Wants(MARKET in self._wanted, tuple(candles)[:MOST_CANDLES])

    def _state(self) -> StreamState:
        told = (one for one in self._asked if one in self._for_others)
        candles = ((one, self._own.flow(one)) for one in told if isinstance(one, CandleTicks))
        return StreamState(self._own.status(), self._own.flow(MARKET), tuple(candles))

    def _on_wants(self, sender: str, message: bytes) -> None:
        wants = self._codec.read_wants(message)
        if wants is not None:
            known = (one for one in wants.candles if self.pushes(one.instrument.venue))
            self._others.note(sender, replace(wants, candles=tuple(known)))

    def _on_message(self, _sender: str, message: bytes) -> None:
        found = self._codec.read_head(message)
        if found is None or self._rule.is_connected or self._role == "excluded":
            return
        head, body = found
        if not self._heard.accepts(head):
            return
        if head.kind == "state":
            if state := self._codec.read_state(body):
                self._heard.note_state(state, MARKET)
            return
        for tick in self._codec.read_ticks(head.kind, body) or ():
            if self._is_known(tick) and self._is_for_us(tick):
                self._receive(tick)

    def _receive(self, tick: Tick) -> None:
        """Hands a relayed tick to the consumer, who is not waited for."""
        self._heard.note_tick(tick.subject)
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(tick)

    def _is_known(self, tick: Tick) -> bool:
        """False for ticks of venues that this process does not know."""
        if isinstance(tick, TickerUpdates):
            venues = {one.instrument.venue for one in tick.tickers}
        else:
            venues = {tick.subject.instrument.venue}
        return venues <= {tick.source} and self.pushes(tick.source)

    def _is_for_others(self, tick: Tick) -> bool:
        if isinstance(tick, TickerUpdates):
            return self._others_want_market
        return tick.subject in self._for_others

    def _is_for_us(self, tick: Tick) -> bool:
        """Also False for a candle that is not newer than the last one, as may come from a leader
        after those of the own stream."""
        if not isinstance(tick, CandleUpdate):
            return True
        last = self._last.get(tick.subject)
        is_settling = self._clock.monotonic() - self._rule.changed_at < SETTLING_S
        if tick.subject not in self._own_candles or (
            last and is_settling and _precedes(tick, last)
        ):
            return False
        self._last[tick.subject] = tick.candle
        return True


def _lasting(message: Wants | StreamState) -> Wants | StreamState:
    """Without the time of the next connect, which is calculated anew each time."""
    if isinstance(message, Wants):
        return message
    return replace(message, status=replace(message.status, retry_at=None))


def _precedes(tick: CandleUpdate, last: Candle) -> bool:
    """True unless the tick is newer: a candle's volume grows until it is closed."""
    candle = tick.candle
    if candle.timestamp != last.timestamp:
        return candle.timestamp < last.timestamp
    return (candle.closed, candle.volume or 0.0) <= (last.closed, last.volume or 0.0)
