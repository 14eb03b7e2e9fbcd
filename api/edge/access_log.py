"""The access log: one JSON line for each request, if ACCESS_LOG is true."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_plus

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.cache.response_cache import target_of
from backend.clock import Clock
from backend.observability.log_files import ACCESS

#: Characters of a path and its query that a line shows at most.
MAX_TARGET = 2_000
SWITCHING, FORBIDDEN = 101, 403
#: Names of parameters that may carry a key of the gateway or of a vendor.
_SECRET = re.compile(r"key|token|secret|signature|passw|auth")

log = logging.getLogger(ACCESS)


@dataclass(slots=True)
class _Entry:
    """What is known about a response so far. `size` is that of the body, None of a WebSocket."""

    began: float
    status: int | None = None
    size: int | None = 0
    request_id: str | None = None

    def note(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                self.status = message["status"]
                headers = dict(message.get("headers", ()))
                self.request_id = headers.get(b"x-request-id", b"").decode("latin-1") or None
            case "http.response.body" | "websocket.http.response.body":
                self.size = (self.size or 0) + len(message.get("body", b""))
            case "websocket.accept":
                self.status, self.size = SWITCHING, None
            case "websocket.close" if self.status is None:
                self.status = FORBIDDEN


class AccessLog:
    """Writes a line when a request has been answered; for a WebSocket that is its handshake.

    `address_of` reads the client's address from a scope.
    """

    def __init__(self, clock: Clock, address_of: Callable[[Scope], str]) -> None:
        self._clock, self._address_of = clock, address_of
        log.setLevel(logging.INFO)  # LOG_LEVEL applies to the console only

    def __repr__(self) -> str:
        return "<AccessLog>"

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application, and logs its response."""
        entry = _Entry(self._clock.monotonic())

        async def noted(message: Message) -> None:
            entry.note(message)
            await send(message)
            if message["type"] == "websocket.accept":
                self._record(scope, entry)

        try:
            await app(scope, receive, noted)
        finally:
            if entry.status != SWITCHING:
                self._record(scope, entry)

    def _record(self, scope: Scope, entry: _Entry) -> None:
        duration_s = self._clock.monotonic() - entry.began
        method, target = scope.get("method", "GET"), target_of(scope)
        self._write(scope, method, target, entry.status, entry.size, duration_s, entry.request_id)

    def record(
        self, scope: Scope, method: str, target: bytes, status: int, size: int, request_id: bytes
    ) -> None:
        """Logs a response that the cache gave at once."""
        self._write(scope, method, target, status, size, 0.0, request_id.decode("latin-1"))

    def _write(
        self,
        scope: Scope,
        method: str,
        target: bytes,
        status: int | None,
        size: int | None,
        duration_s: float,
        request_id: str | None,
    ) -> None:
        line = {
            "event": "request.answered",
            "at": _instant(self._clock.now()),
            "method": method,
            "path": shown_target(target),
            "status": status,
            "duration_ms": round(duration_s * 1000, 1),
            "bytes": size,
            "client": self._address_of(scope),
            "request_id": request_id,
        }
        log.info(orjson.dumps(line).decode())


def shown_target(target: bytes) -> str:
    """Path and query, without the parameters that may carry a key."""
    path, mark, query = target[:MAX_TARGET].decode("latin-1").partition("?")
    kept = [pair for pair in query.split("&") if not _SECRET.search(_name_of(pair))]
    return f"{path}?{'&'.join(kept)}" if mark and kept != [""] and kept else path


def _name_of(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0]).lower()


def _instant(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
