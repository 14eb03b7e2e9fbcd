"""Processes of a cluster in one event loop: each has what it is set to, and messages arrive at
once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from backend.cluster.contract import Channel, ClusterState, Handler, Member
from backend.models.cluster import Role
from tests.clocks import EPOCH

STORE_S = 1_000_000.0


def member(name: str, role: Role = "follower", *, readers: int = 0, age_s: float = 0.0) -> Member:
    return Member(f"{name}-id", name, role, "0.1.0", readers, STORE_S - age_s)


BOTH = (member("vm/0", "leader"), member("vm/1"))


@dataclass
class FakeNetwork:
    """`sent` has every message: sender, channel, message."""

    handlers: list[tuple[str, Channel, Handler]] = field(default_factory=list)
    sent: list[tuple[str, Channel, bytes]] = field(default_factory=list)

    def send(self, sender: str, channel: Channel, message: bytes) -> None:
        self.sent.append((sender, channel, message))
        for process, of, handler in self.handlers:
            if of == channel and process != sender:
                handler(sender, message)


@dataclass
class FakeBus:
    network: FakeNetwork
    process: str

    def publish(self, channel: Channel, message: bytes) -> None:
        self.network.send(self.process, channel, message)

    def subscribe(self, channel: Channel, handler: Handler) -> None:
        self.network.handlers.append((self.process, channel, handler))


@dataclass
class FakeCluster:
    bus: FakeBus
    role: Role = "follower"
    reason: str | None = None
    is_connected: bool = True
    members: Sequence[Member] = BOTH

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
            name="gateway",
            process=self.bus.process,
            role=self.role,
            size=4,
            leader="vm/0" if self.is_connected else None,
            term=7,
            is_connected=self.is_connected,
            reason=self.reason,
            members=tuple(self.members),
            since=EPOCH,
            store_s=STORE_S,
        )

    def count_readers_by(self, readers: Callable[[], int]) -> None:
        """Nobody is told."""


def two() -> tuple[FakeCluster, FakeCluster]:
    """A leader and a follower over one network."""
    network = FakeNetwork()
    leader, follower = FakeBus(network, "vm/0"), FakeBus(network, "vm/1")
    return FakeCluster(leader, "leader"), FakeCluster(follower)
