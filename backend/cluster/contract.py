"""The interfaces between the cluster and the parts of the gateway that use it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, get_args

from backend.models.cluster import Role

#: Channels of the bus: the leader's signs of life, questions to the leader, its answers, the
#: venues' ticks, what clients have used of their limits, the leader's status, and the metrics of a
#: machine's workers.
Channel = Literal["leader", "ask", "answers", "ticks", "wants", "hits", "status", "metrics"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)

#: Receives the sender's process id and the message.
Handler = Callable[[str, bytes], None]


class Bus(Protocol):
    """Messages to the other processes of the cluster: at most once, unordered between senders.

    What is sent while the store is away is lost. A process does not receive its own messages.
    """

    def publish(self, channel: Channel, message: bytes) -> None:
        """Sends without waiting. Never raises."""

    def subscribe(self, channel: Channel, handler: Handler) -> None:
        """Calls `handler` with each message of another process, in the event loop. It must not
        block; what it raises is logged and costs no other message."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process of the cluster, as it describes itself. `name` is `<host>/<worker>`; `seen_at` is
    in epoch seconds by the store's clock."""

    process: str
    name: str
    role: Role
    version: str
    readers: int = 0
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The cluster as one process sees it, without I/O.

    `process` and `leader` are names, `leader` is None where nobody is known to lead; `term` rises
    with each takeover. `reason` says why the process is an island, which setting excludes it, or
    why it has no share. `since` is when the role began. `members` are those of the last contact
    with the store, this process included; `store_s` is the store's clock now (epoch seconds).
    """

    name: str
    process: str
    role: Role
    size: int
    leader: str | None
    term: int
    is_connected: bool
    reason: str | None
    members: tuple[Member, ...] = ()
    since: datetime | None = None
    store_s: float = 0.0


class Cluster(Protocol):
    """This process's part in the cluster."""

    @property
    def bus(self) -> Bus: ...

    @property
    def leads(self) -> bool:
        """True while this process may call providers within the limits of all."""

    @property
    def hears_leader(self) -> bool:
        """True while another process leads and its messages arrive."""

    @property
    def heard_at(self) -> float:
        """When the leader was heard last (monotonic seconds)."""

    @property
    def expects_leader(self) -> bool:
        """True while the store can be used: then somebody leads, or will within seconds."""

    def state(self) -> ClusterState:
        """For the status, the metrics and the page."""

    def count_readers_by(self, readers: Callable[[], int]) -> None:
        """`readers` returns the number of this process's stream clients, for the members."""


class SilentBus:
    """The bus of a single process: there is nobody to hear or to be heard by."""

    def publish(self, channel: Channel, message: bytes) -> None:
        """Sends nothing."""

    def subscribe(self, channel: Channel, handler: Handler) -> None:
        """Nothing will come."""


class SingleProcess:
    """The part of the only process: it leads, without a store and without a task."""

    leads = True
    hears_leader = expects_leader = False
    heard_at = float("-inf")

    def __init__(self) -> None:
        self.bus: Bus = SilentBus()

    def __repr__(self) -> str:
        return "<SingleProcess>"

    def state(self) -> ClusterState:
        return ClusterState(
            name="",
            process="",
            role="single",
            size=1,
            leader=None,
            term=0,
            is_connected=False,
            reason=None,
        )

    def count_readers_by(self, readers: Callable[[], int]) -> None:
        """There is nobody to tell."""
