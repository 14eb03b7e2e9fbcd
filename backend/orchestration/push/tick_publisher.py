"""Sends the leader's ticks to the other processes of its cluster."""

import asyncio
from collections import deque
from itertools import count

from backend.cluster.contract import Cluster
from backend.models.ticks import CandleUpdate, Tick, TickerUpdates
from backend.orchestration.push.tick_messages import StreamState, TickCodec

#: Ticks that come within this time are one message, in seconds: each message costs every process
#: 0.1 ms, and a venue may send hundreds of candles a second.
BATCH_S = 0.05
#: Ticks of one message; beyond it the oldest are dropped.
MOST_IN_BATCH = 1_000


class TickPublisher:
    """`run` sends what was added, until it is cancelled. Ticks of one kind keep their order."""

    def __init__(self, cluster: Cluster, codec: TickCodec) -> None:
        self._cluster = cluster
        self._codec = codec
        self._unsent = deque[Tick](maxlen=MOST_IN_BATCH)
        self._has_unsent = asyncio.Event()
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<TickPublisher {len(self._unsent)} unsent>"

    def add(self, tick: Tick) -> None:
        self._unsent.append(tick)
        self._has_unsent.set()

    def publish_state(self, state: StreamState) -> None:
        self._publish(self._codec.state(self._term, next(self._numbers), state))

    async def run(self) -> None:
        while True:
            await self._has_unsent.wait()
            await asyncio.sleep(BATCH_S)
            self._has_unsent.clear()
            self._send()

    def _send(self) -> None:
        tickers = [tick for tick in self._unsent if isinstance(tick, TickerUpdates)]
        candles = [tick for tick in self._unsent if isinstance(tick, CandleUpdate)]
        self._unsent.clear()
        if tickers:
            self._publish(self._codec.tickers(self._term, next(self._numbers), tickers))
        if candles:
            self._publish(self._codec.candles(self._term, next(self._numbers), candles))

    def _publish(self, message: bytes) -> None:
        """What was collected before the lease was lost is dropped: another leads now."""
        if self._cluster.leads:
            self._cluster.bus.publish("ticks", message)

    @property
    def _term(self) -> int:
        return self._cluster.state().term
