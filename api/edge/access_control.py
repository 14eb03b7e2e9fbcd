"""Access control: limits by client address, gateway keys, origins of browsers, sizes."""

import hmac
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge.client_limits import (
    ACCOUNT,
    ClientAccount,
    ClientLimits,
    Verdict,
    client_address,
    rate_limit,
)
from api.edge.problems import problem

#: Probes of the platform: neither keys nor limits.
ALWAYS_OPEN = ("/healthz", "/readyz")
#: What keys lock: the data and what is told of the gateway; pages and their files are for all.
LOCKED = ("/api/", "/metrics")
#: Where the count of a request stands in `scope["state"]`.
VERDICT = "client_verdict"
#: The close code of a WebSocket that is refused before its handshake.
POLICY = 1008
#: An address may hold all parameters at their longest, each character in twelve bytes.
MAX_URL_BYTES, MAX_HEADER_BYTES, MAX_BODY_BYTES = 128 * 1024, 32 * 1024, 64 * 1024
#: Parameters in an address: 63,000 empty ones took 70 ms to be parsed and refused.
MAX_PARAMETERS = 256


class GatewayKeys:
    """The keys of which one is asked for; none: the gateway is open."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        self._digests = tuple(_digest(key.get_secret_value()) for key in keys)

    def __repr__(self) -> str:
        return f"<GatewayKeys {len(self._digests)}>"

    def __bool__(self) -> bool:
        return bool(self._digests)

    def knows(self, key: str) -> bool:
        """In a time that tells nothing of how near a wrong key is."""
        asked = _digest(key)
        found = [hmac.compare_digest(asked, digest) for digest in self._digests]
        return any(found)

    def admits(self, headers: Mapping[str, str]) -> bool:
        """By `X-API-Key` or `Authorization: Bearer`; always where there are no keys."""
        if not self:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        sent = (headers.get("x-api-key", ""), token.strip() if scheme.lower() == "bearer" else "")
        return any(self.knows(key) for key in sent if key)


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "replace"), digest_size=32).digest()


def _route_path(scope: Scope) -> str:
    """The path that routes are looked up by: without what the server was told stands before it."""
    path: str = scope["path"]
    prefix = f"{scope.get('root_path', '')}/"
    return path[len(prefix) - 1 :] if path.startswith(prefix) else path


class CountClients:
    """The layer outside of CORS: every request of a client counts, also a browser's preflight and
    what is refused further inside. Later layers charge what a question costs beyond that."""

    def __init__(self, app: ASGIApp, *, limits: ClientLimits, trusted_proxies: int) -> None:
        self._app = app
        self._limits = limits
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or _is_probe(scope):
            await self._app(scope, receive, send)
            return
        account = ClientAccount(self._limits, client_address(scope, self._trusted_proxies))
        state = scope.setdefault("state", {})
        state[ACCOUNT] = account
        if self._limits:
            state[VERDICT] = verdict = self._limits.hit(account.address)
            if scope["type"] == "websocket" and not verdict.passes:
                await send({"type": "websocket.close", "code": POLICY})
                return
            send = self._with_headers(send, verdict)
            if not verdict.passes and _is_preflight(scope):  # CORS would answer it
                await too_often(scope, self._limits.policy, verdict)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _with_headers(self, send: Send, verdict: Verdict) -> Send:
        """Every answer says what is left."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Policy"] = self._limits.policy
                headers["RateLimit"] = rate_limit(verdict)
            await send(message)

        return send_with_headers


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)


def too_often(scope: Scope, policy: str, verdict: Verdict) -> Response:
    detail = f"this address may use {policy} (q units in w seconds; a request is one unit)"
    return problem(
        Request(scope),
        "rate_limited",
        detail,
        headers={"Retry-After": str(verdict.reset_s)},
        retry_after_seconds=verdict.reset_s,
    )


class Doors:
    """A pure ASGI layer in front of every route. Its refusals are problem documents."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: GatewayKeys,
        limits: ClientLimits,
        trusted_proxies: int,
        origins: Sequence[str],
    ) -> None:
        self._app = app
        self._keys = keys
        self._limits = limits
        self._trusted_proxies = trusted_proxies
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or _is_probe(scope):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._trusted_proxies and headers.get("x-forwarded-proto") == "https":
            scope["scheme"] = {"http": "https", "ws": "wss"}.get(scope["scheme"], scope["scheme"])
        if scope["type"] == "websocket":
            await self._websocket(scope, headers, receive, send)
        else:
            await self._http(scope, headers, receive, send)

    async def _http(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        if refusal := _too_large(scope, headers):
            answer = problem(Request(scope), *refusal, headers={"Connection": "close"})
            await answer(scope, receive, send)
            return
        verdict: Verdict | None = scope["state"].get(VERDICT)
        if verdict is not None and not verdict.passes:
            await too_often(scope, self._limits.policy, verdict)(scope, receive, send)
            return
        if _route_path(scope).startswith(LOCKED) and not self._keys.admits(headers):
            told = "send one of the gateway's keys as X-API-Key, or as Authorization: Bearer"
            challenge = {"WWW-Authenticate": "Bearer"}
            answer = problem(Request(scope), "unauthorized", told, headers=challenge)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _websocket(
        self, scope: Scope, headers: Headers, receive: Receive, send: Send
    ) -> None:
        """Refused before the handshake. A key may still come as the first message."""
        if self._is_wanted_origin(scope, headers):
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": POLICY})

    def _is_wanted_origin(self, scope: Scope, headers: Headers) -> bool:
        """A browser's page from elsewhere only where CORS_ORIGINS lets it read by HTTP, too."""
        origin = headers.get("origin")
        if origin is None or "*" in self._origins:
            return True
        # Not by the scheme: behind a TLS proxy that nobody told us of, ours is not the page's.
        host = headers.get("host")
        return origin in self._origins or bool(host and origin.endswith(f"://{host}"))


def _is_probe(scope: Scope) -> bool:
    return _route_path(scope) in ALWAYS_OPEN and not _has_too_many_parameters(scope)


def _has_too_many_parameters(scope: Scope) -> bool:
    return bool(scope["query_string"].count(b"&") >= MAX_PARAMETERS)


def _too_large(scope: Scope, headers: Headers) -> tuple[str, str] | None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URL_BYTES:
        return "uri_too_long", f"an address has at most {MAX_URL_BYTES} bytes"
    if _has_too_many_parameters(scope):
        return "uri_too_long", f"an address has at most {MAX_PARAMETERS} parameters"
    if sum(len(name) + len(text) for name, text in headers.raw) > MAX_HEADER_BYTES:
        return "headers_too_large", f"headers have at most {MAX_HEADER_BYTES} bytes together"
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 12 or int(length) > MAX_BODY_BYTES:
        return "body_too_large", f"no route wants a body, let alone over {MAX_BODY_BYTES} bytes"
    return None
