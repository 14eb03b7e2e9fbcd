"""Counts open connections and unread answers by client address, and limits both."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable

from starlette.types import Scope

#: File descriptors besides one for each reader of the stream: requests, providers, files.
OTHER_DESCRIPTORS = 1_024
#: Limits of one address: connections with unread answers, and the bytes of those answers.
MOST_UNREAD, MOST_UNREAD_BYTES = 64, 8 * 1024 * 1024
#: Shortest time between two warnings of one kind, in seconds.
WARNING_S = 60.0

log = logging.getLogger("gateway")


class Connections:
    """The registry of a server's connections by client address.

    `most` is the number of connections that one address may have open; None is no limit, as many
    clients share one peer behind a trusted proxy. `address_of` reads the address from a scope.
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
        """Counts a connection. Returns the address to release it by, or None over the limit."""
        address = self._address_of({"client": peer, "headers": []})
        if self._most is not None and self._open[address] >= self._most:
            self._warn(
                f"one address has {self._most} connections open, its further ones are closed"
            )
            return None
        self._open[address] += 1
        return address

    def release(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def note_unread(self, connection: Hashable, scope: Scope, waiting: int) -> bool:
        """Records that `waiting` bytes of this connection are unread. False when its address is
        over a limit: the caller then closes the connection."""
        self.forget_unread(connection)
        address = self._address_of(scope)
        unread = self._unread[address]
        unread[connection] = waiting
        self._addresses[connection] = address
        if len(unread) <= MOST_UNREAD and sum(unread.values()) <= MOST_UNREAD_BYTES:
            return True
        self.forget_unread(connection)  # else it would count against the address's other ones
        self._warn("one address leaves too many answers unread, its connections are closed")
        return False

    def forget_unread(self, connection: Hashable) -> None:
        """The client reads again, or the connection is closed."""
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
