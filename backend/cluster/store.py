"""The interface of the store that the processes of a cluster share."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from backend.storage.contract import SavedBlock

#: Amounts by window and tick, as in `SavedState.calls`; ticks are by the store's clock.
Calls = dict[str, dict[int, int]]

#: Time limit of a command for which a call or a reader waits, in seconds.
COMMAND_S = 0.25
#: A lease without a beat ends after this, in seconds.
LEASE_S = 3.0
#: After a loss of data, all processes have this time to speak before one of them leads, in seconds.
CLAIM_S = 1.2
#: A process without a beat is forgotten after this, in seconds.
MEMBER_S = 10.0

Standing = Literal["leader", "follower", "vacant", "excluded"]


class StoreUnavailable(Exception):
    """The store did not answer in time, or refused a command. The text is for the operator."""


class StoreFull(StoreUnavailable):
    """The store has no memory left (`maxmemory`): it keeps leases and refuses new data."""


@dataclass(frozen=True, slots=True)
class Beat:
    """A process's sign of life. `last_term` is the term that it led, 0 if it never did or another
    led since; `known_term` is the highest that it knows of. A holder of the lease gives it up
    without `may_lead`. `settings` must be equal in all processes; one that `was_excluded` lets
    others set them first in an emptied store. `detail` describes it to the others."""

    process: str
    last_term: int
    may_lead: bool
    settings: str
    detail: str
    known_term: int
    was_excluded: bool = False


@dataclass(frozen=True, slots=True)
class BeatReply:
    """What the store answers to a beat.

    `server_s`: the store's clock (epoch seconds). `holder` has the lease for another
    `lease_left_s`. `is_broken`: the log of calls may lack some, as the server lost data or was
    replaced. `claims`: the highest terms known to those who spoke since; `highest_claim` is the
    largest.
    `last_life_s`: the last sign of life of a leader before this beat, 0 if unknown. `settings`:
    those of the running processes, which differ. `members`: details by process.
    """

    standing: Standing
    server_s: float
    term: int = 0
    holder: str = ""
    lease_left_s: float = 0.0
    is_broken: bool = False
    highest_claim: int = 0
    last_life_s: float = 0.0
    is_full: bool = False
    settings: str = ""
    claims: Mapping[str, int] = field(default_factory=dict)
    members: Mapping[str, tuple[float, str]] = field(default_factory=dict)


class SharedStore(Protocol):
    """Every method raises StoreUnavailable, at once while the store is known to be away.

    Methods that take a process do nothing, and return False, unless it holds the lease.
    """

    @property
    def is_connected(self) -> bool:
        """True from a successful `connect` to the first failure."""

    async def connect(self) -> None:
        """Connects anew."""

    async def aclose(self) -> None:
        """Ends the connections."""

    async def beat(self, beat: Beat) -> BeatReply: ...
    async def append(self, process: str, amounts: Mapping[tuple[str, int], int]) -> bool:
        """Adds amounts by window and tick to the log of calls."""

    async def load_calls(self) -> Calls: ...
    async def replace_calls(self, process: str, calls: Calls) -> bool:
        """Replaces the log, and marks it as complete."""

    async def delete_calls(self, keys: list[tuple[str, int]]) -> None:
        """Deletes amounts of these windows and ticks."""

    async def release(self, process: str) -> None:
        """Ends the lease of a process, if it has it, and tells the others."""

    async def save_answer(self, key: str, body: bytes, now_s: float, most: int | None) -> None:
        """As Storage.save_answer."""

    async def load_answers(self) -> dict[str, bytes]: ...
    async def save_block(self, name: str, block: SavedBlock | None) -> None: ...
    async def load_blocks(self) -> dict[str, SavedBlock]: ...
    async def publish(self, channel: str, message: bytes) -> None: ...
    def messages(self) -> AsyncIterator[tuple[str, bytes]]:
        """The messages of all channels, until the connection fails: with StoreUnavailable."""
