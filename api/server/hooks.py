"""What the server's protocols share: hooks of the application that they serve, time limits, and the
registry of connections by client address.
"""

import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Scope

from api.server.head_cache import HeadCache
from backend.clock import Clock, SystemClock

#: File descriptors besides one for each stream client: requests, providers, files.
OTHER_DESCRIPTORS = 1_024
#: Limits of one address: connections with unread responses, and the bytes of those responses.
MAX_UNREAD, MAX_UNREAD_BYTES = 64, 8 * 1024 * 1024
#: Shortest time between two warnings of one kind, in seconds.
WARNING_S = 60.0

log = logging.getLogger("gateway")

#: The address at the other end of a connection: host and port, as far as the system tells them.
Peer = Sequence[object] | None


class CachedResponses(Protocol):
    """Complete responses that the application has ready."""

    def read(self, method: str, target: bytes, headers: list[tuple[bytes, bytes]]) -> Any | None:
        """What a response depends on, from a request's head: the same for the same head, whoever
        sends it and whenever. None where there is never a ready response to such a head."""

    def respond(self, request: Any, peer: Peer) -> tuple[int, bytes, bytes] | None:
        """The status, the header lines (each ends with CRLF) and the body of the response to what
        `read` gave; None where the application has to be called."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal of a request: the problem's code and detail, and headers of the response."""

    code: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectionTimeouts:
    """Time limits of one connection, in seconds."""

    #: For a complete request head.
    head_s: float = 10.0
    #: Interval of the check whether the client reads its responses.
    check_s: float = 1.0
    #: A client that reads less than MIN_READ_BYTES in this time is disconnected.
    stalled_s: float = 30.0
    #: For a complete WebSocket message, in however many fragments.
    message_s: float = 10.0
    #: For the client to close the connection after our close frame.
    close_s: float = 3.0


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


@dataclass(slots=True)
class ServerHooks:
    """The application's part in the server, in its attribute `server_hooks`.

    The defaults serve any ASGI application.
    """

    clock: Clock = field(default_factory=SystemClock)
    timeouts: ConnectionTimeouts = field(default_factory=ConnectionTimeouts)
    #: Limits by client address. By default all clients have one, without limits.
    connections: Connections = field(
        default_factory=lambda: Connections(
            lambda _scope: "", SystemClock(), max_unread=sys.maxsize, max_unread_bytes=sys.maxsize
        )
    )
    cached_responses: CachedResponses | None = None
    heads: HeadCache = field(default_factory=HeadCache)
    #: Paths of WebSockets whose messages may be compressed, if clients offer it.
    compressed_paths: frozenset[str] = frozenset()
    #: Makes the ASGI application that answers with a refusal.
    refuse: Callable[[Refusal], ASGIApp] = lambda refusal: PlainTextResponse(
        f"{refusal.detail}\n", 400, {"Connection": "close"} | refusal.headers
    )
    #: Counts a refusal that the server itself answered, by status and client.
    count_refusal: Callable[[int, Peer], None] = lambda _status, _client: None


def hooks_of(app: object) -> ServerHooks:
    return getattr(app, "server_hooks", None) or ServerHooks()
