"""Counts open connections and unread responses by client address, and limits both."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable

from starlette.types import Scope

from backend.clock import Clock

#: File descriptors besides one for each stream client: requests, providers, files.
OTHER_DESCRIPTORS = 1_024
#: Limits of one address: connections with unread responses, and the bytes of those responses.
MAX_UNREAD, MAX_UNREAD_BYTES = 64, 8 * 1024 * 1024
#: Shortest time between two warnings of one kind, in seconds.
WARNING_S = 60.0

log = logging.getLogger("gateway")


class Connections:
    """The registry of a server's connections by client address.

    `address_of` reads the client address from a scope. `max_per_address` is the number of
    connections that one address may have open; None is no limit, because many clients share one
    peer behind a trusted proxy.
    """

    def __init__(
        self,
        address_of: Callable[[Scope], str],
        clock: Clock,
        *,
        max_per_address: int | None = None,
        max_unread: int = MAX_UNREAD,
        max_unread_bytes: int = MAX_UNREAD_BYTES,
    ) -> None:
        self._address_of, self._clock = address_of, clock
        self._max_per_address = max_per_address
        self._max_unread, self._max_unread_bytes = max_unread, max_unread_bytes
        self._open: Counter[str] = Counter()
        self._unread: defaultdict[str, dict[Hashable, int]] = defaultdict(dict)
        self._addresses: dict[Hashable, str] = {}
        self._next_warning: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Connections {self._open.total()} open, {len(self._addresses)} unread>"

    def admit(self, peer: tuple[str, int] | None) -> str | None:
        """Counts a connection. Returns the address to release it by, or None over the limit."""
        address = self._address_of({"client": peer, "headers": []})
        if self._max_per_address is not None and self._open[address] >= self._max_per_address:
            self._warn(
                f"one address has {self._max_per_address} connections open,"
                " its further connections are closed"
            )
            return None
        self._open[address] += 1
        return address

    def release(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def record_unread(self, connection: Hashable, scope: Scope, unread_bytes: int) -> bool:
        """Records the unread bytes of this connection. False when its address is over a limit: the
        caller then closes the connection."""
        self.forget_unread(connection)
        address = self._address_of(scope)
        unread = self._unread[address]
        unread[connection] = unread_bytes
        self._addresses[connection] = address
        if len(unread) <= self._max_unread and sum(unread.values()) <= self._max_unread_bytes:
            return True
        self.forget_unread(connection)  # else it would count against the address's other ones
        self._warn("one address leaves too many responses unread, its connections are closed")
        return False

    def forget_unread(self, connection: Hashable) -> None:
        """The client reads again, or the connection is closed."""
        address = self._addresses.pop(connection, None)
        if address is not None:
            unread = self._unread[address]
            del unread[connection]
            if not unread:
                del self._unread[address]

    def _warn(self, text: str) -> None:
        now = self._clock.monotonic()
        if now >= self._next_warning.get(text, now):
            self._next_warning[text] = now + WARNING_S
            log.warning("%s", text)
