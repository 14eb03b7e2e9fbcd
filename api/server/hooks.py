"""What the server's protocols take from the application that they serve."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Scope

from api.server.connections import Connections
from backend.clock import Clock, SystemClock

#: Looks up a complete response by scope, method and target. Gives its status, its header lines
#: (each ends with CRLF) and its body; None if there is none.
CachedResponse = Callable[[Scope, str, bytes], tuple[int, bytes, bytes] | None]


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
    cached_response: CachedResponse | None = None
    #: Makes the ASGI application that answers with a refusal.
    refuse: Callable[[Refusal], ASGIApp] = lambda refusal: PlainTextResponse(
        f"{refusal.detail}\n", 400, {"Connection": "close"} | refusal.headers
    )
    #: Counts a refusal that the server itself answered, by status and client.
    count_refusal: Callable[[int, Sequence[object] | None], None] = lambda _status, _client: None


def hooks_of(app: object) -> ServerHooks:
    return getattr(app, "server_hooks", None) or ServerHooks()
