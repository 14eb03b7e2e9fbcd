"""Limits of stream clients, in total and for one client address, and of what an address follows.

An unknown address has no limit of its own. What nobody has any more uses no memory.
"""

from collections import Counter
from collections.abc import Hashable, Iterable

from api.edge.client_limits import UNKNOWN


class TooManyClients(Exception):
    """The stream has as many clients as the settings allow, in total or for one address."""


class ClientSlots:
    """The places of clients, for all streams together."""

    def __init__(self, most: int, share: float) -> None:
        """One address gets at most `share` (0 to 1) of them, and at least one."""
        self.most = most
        self.most_of_address = max(1, int(most * share))
        self._used = 0
        self._clients: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<ClientSlots {len(self._clients)} addresses>"

    def acquire(self, address: str) -> None:
        """Raises TooManyClients. Every place is to be released."""
        if self._used >= self.most:
            raise TooManyClients(f"the stream's limit of {self.most} clients is reached")
        if address != UNKNOWN and self._clients[address] >= self.most_of_address:
            limit = self.most_of_address
            raise TooManyClients(f"the stream's limit of {limit} clients per address is reached")
        self._used += 1
        self._clients[address] += 1

    def release(self, address: str) -> None:
        self._used -= 1
        self._clients[address] -= 1
        if self._clients[address] <= 0:
            del self._clients[address]


class AddressLimits:
    """Counts what the clients of each address follow: candle series, or streams of a venue."""

    def __init__(self, most: int, share: float) -> None:
        """One address may follow at most `share` (0 to 1) of `most`, and at least one."""
        self.most_of_address = max(1, int(most * share))
        #: By address and subject: the number of its clients that follow the subject.
        self._followers: dict[str, Counter[Hashable]] = {}

    def __repr__(self) -> str:
        return f"<AddressLimits {len(self._followers)} addresses>"

    def allows(self, address: str, wanted: Iterable[Hashable]) -> bool:
        """True if the address may follow all of `wanted` in addition to its present subjects."""
        followed = self._followers.get(address, Counter())
        return address == UNKNOWN or len(followed.keys() | set(wanted)) <= self.most_of_address

    def follow(self, address: str, subject: Hashable) -> None:
        self._followers.setdefault(address, Counter())[subject] += 1

    def unfollow(self, address: str, subject: Hashable) -> None:
        followed = self._followers[address]
        followed[subject] -= 1
        if followed[subject] <= 0:
            del followed[subject]
        if not followed:
            del self._followers[address]
