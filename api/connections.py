"""Who holds how much of the server: open connections and unread answers, by client address."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable

from starlette.types import Scope

#: Besides one for each reader of the stream: requests, providers, files.
OTHER_DESCRIPTORS = 1_024
#: Of one address: connections whose answers are not taken, and the bytes of those answers.
MOST_UNREAD, MOST_UNREAD_BYTES = 64, 8 * 1024 * 1024
#: Between two warnings of one kind, in seconds: who is refused comes again at once.
WARNING_S = 60.0

log = logging.getLogger("gateway")


class Connections:
    """The connections of a server, counted by the address of the client behind each.

    `most` open ones may be of one address (None: any number). `address_of` reads a scope; where
    proxies are trusted, many clients share a peer, so then there should be no `most`.
    """

    def __init__(self, address_of: Callable[[Scope], str], *, most: int | None = None) -> None:
        self._address_of = address_of
        self._most = most
        self._open: Counter[str] = Counter()
        self._unread: defaultdict[str, dict[Hashable, int]] = defaultdict(dict)
        self._addresses: dict[Hashable, str] = {}
        self._next_warning: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Connections {self._open.total()} open, {len(self._addresses)} unread>"

    def admit(self, peer: tuple[str, int] | None) -> str | None:
        """Counts a connection, to be released by what this gives; None: one too many."""
        address = self._address_of({"client": peer, "headers": []})
        if self._most is not None and self._open[address] >= self._most:
            self._warn(f"one address has {self._most} connections open: more of it are closed")
            return None
        self._open[address] += 1
        return address

    def release(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def note_unread(self, connection: Hashable, scope: Scope, waiting: int) -> bool:
        """So many bytes wait for the reader of this connection. False: more than may of its
        address, and the connection has to end."""
        self.forget_unread(connection)
        address = self._address_of(scope)
        unread = self._unread[address]
        unread[connection] = waiting
        self._addresses[connection] = address
        if len(unread) <= MOST_UNREAD and sum(unread.values()) <= MOST_UNREAD_BYTES:
            return True
        self.forget_unread(connection)  # else it would count against those before it
        self._warn("one address leaves too many answers unread: connections of it are closed")
        return False

    def forget_unread(self, connection: Hashable) -> None:
        """Its reader takes what waits, or is gone."""
        address = self._addresses.pop(connection, None)
        if address is not None:
            unread = self._unread[address]
            del unread[connection]
            if not unread:
                del self._unread[address]

    def _warn(self, told: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next_warning.get(told, now):
            self._next_warning[told] = now + WARNING_S
            log.warning("%s", told)
