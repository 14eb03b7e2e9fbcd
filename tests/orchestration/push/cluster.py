"""A cluster in virtual time: processes with roles that a test sets, over a bus that loses, delays,
repeats and reorders."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from backend.cluster.contract import Bus, Channel, ClusterState, Handler
from backend.events import Event
from backend.models.cluster import Role
from backend.models.ticks import CandleTicks, TickSubject
from backend.orchestration.push.relayed_ticks import RelayedTicks
from backend.orchestration.push.tick_failover import TickFailover
from backend.orchestration.push.tick_stream import TickStream
from tests.clocks import LoopClock
from tests.orchestration.push.test_tick_stream import Parser, Venue, scripted_feed


@dataclass
class Network:
    """Delivers a message to each other process after `delay_s()`, `copies()` times."""

    chance: random.Random = field(default_factory=lambda: random.Random(7))
    delay_s: Callable[[], float] = lambda: 0.001
    copies: Callable[[], int] = lambda: 1
    processes: list["FakeCluster"] = field(default_factory=list)
    #: Sender, channel and message of all that was sent.
    sent: list[tuple[str, Channel, bytes]] = field(default_factory=list)

    def send(self, sender: "FakeCluster", channel: Channel, message: bytes) -> None:
        self.sent.append((sender.process, channel, message))
        loop = asyncio.get_running_loop()
        for one in self.processes:
            if one is not sender:
                for _ in range(self.copies()):
                    loop.call_later(self.delay_s(), one.hear, sender.process, channel, message)

    def kinds_sent(self) -> list[str]:
        """The first word of each message about ticks."""
        return [body.split()[0].decode() for _, channel, body in self.sent if channel == "ticks"]


class FakeCluster:
    """Implements Cluster and Bus. While it is not `is_connected` nothing comes or goes."""

    def __init__(self, process: str, network: Network) -> None:
        self.process = process
        self.role: Role = "island"
        self.term = 1
        self.is_connected = True
        self.bus: Bus = self
        self._network = network
        self._handlers: list[tuple[Channel, Handler]] = []
        network.processes.append(self)

    heard_at = 0.0

    @property
    def leads(self) -> bool:
        return self.role == "leader"

    @property
    def hears_leader(self) -> bool:
        return self.role == "follower"

    @property
    def expects_leader(self) -> bool:
        return self.is_connected

    def state(self) -> ClusterState:
        return ClusterState(
            "test", self.process, self.role, 3, None, self.term, self.is_connected, None
        )

    def count_readers_by(self, readers: Callable[[], int]) -> None:
        """Nobody is told."""

    def publish(self, channel: Channel, message: bytes) -> None:
        if self.is_connected:
            self._network.send(self, channel, message)

    def subscribe(self, channel: Channel, handler: Handler) -> None:
        self._handlers.append((channel, handler))

    def hear(self, sender: str, channel: Channel, message: bytes) -> None:
        for wanted, handler in self._handlers:
            if wanted == channel and self.is_connected:
                handler(sender, message)


class Process:
    """One gateway's part: its own venues, its clients' ticks."""

    def __init__(self, name: str, network: Network) -> None:
        self.cluster = FakeCluster(name, network)
        self.venue = Venue()
        self.events: list[Event] = []
        self.own = TickFailover([self._stream()], lambda _venue: (), clock=LoopClock())
        self.ticks = RelayedTicks(self.own, self.cluster, clock=LoopClock())
        self.received: list[Any] = []

    def _stream(self) -> TickStream:
        feed = replace(scripted_feed(Parser()), most_subjects=1_000)
        return TickStream(
            "binance",
            feed,
            self.venue.connect,
            clock=LoopClock(),
            emit=self.events.append,
            jitter=lambda: 1.0,
        )

    @property
    def asked(self) -> set[TickSubject]:
        """What the own venue is asked for."""
        return set(self.own._wanted)

    async def read(self) -> None:
        async with aclosing(self.ticks.ticks()) as ticks:
            async for tick in ticks:
                self.received.append(tick)


@dataclass
class Bench:
    """Three processes; the first one leads."""

    network: Network = field(default_factory=Network)
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.processes = [Process(name, self.network) for name in ("one", "two", "three")]
        self.lead(self.processes[0])

    def lead(self, leader: Process | None, term: int = 1) -> None:
        """All know the leader, or that nobody leads."""
        for one in self.processes:
            one.cluster.term = term
            one.cluster.role = "follower" if leader else "island"
        if leader:
            leader.cluster.role = "leader"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Sequence[Process]]:
        readers = [asyncio.create_task(one.read()) for one in self.processes]
        try:
            yield self.processes
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    def end(self, process: Process) -> None:
        """As by kill -9: it says nothing any more, and its connections fall."""
        process.cluster.is_connected = False
        process.cluster.role = "excluded"


def candles_of(process: Process, subject: CandleTicks) -> list[float]:
    """The closes that the process's clients have been sent, in order."""
    ticks = (one for one in process.received if one.subject == subject)
    return [tick.candle.close for tick in ticks]
