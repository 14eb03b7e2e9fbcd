"""Who may come in, and how often: gateway keys, limits by client address, origins, sizes."""

import hmac
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address, ip_network

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem
from backend.clock import SystemClock
from backend.settings import CallLimit

#: Probes of the platform: neither keys nor limits.
ALWAYS_OPEN = ("/healthz", "/readyz")
#: What keys lock: the data and what is told of the gateway; pages and their files are for all.
LOCKED = ("/api/", "/metrics")
#: An address may hold all parameters at their longest, each character in twelve bytes.
MOST_URL_BYTES, MOST_HEADER_BYTES, MOST_BODY_BYTES = 128 * 1024, 32 * 1024, 64 * 1024
#: An IPv6 address with an IPv4 one in it and a zone; what is longer is none.
LONGEST_ADDRESS = 64
#: A home's addresses share one IPv6 network of this size.
IPV6_PREFIX = 64
#: A client's limit is counted in so many leases; so many clients have one at a time.
LEASES, MOST_LEASES = 20, 4_096
#: limits' storage goes by the wall clock.
_WALL = SystemClock()


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


@dataclass(slots=True)
class Lease:
    """Requests of one client that are counted already, and what it has left besides."""

    requests: int
    left: int
    reset_at: float

    def take(self) -> tuple[bool, int, int]:
        """Whether there was one, how many are left, and in how many seconds there are more."""
        passes = self.requests > 0
        self.requests -= passes
        reset_s = max(1, math.ceil(self.reset_at - _WALL.now().timestamp()))
        return passes, self.left + self.requests, reset_s


class ClientLimits:
    """So many requests of one address in each window.

    The library counts in leases of a twentieth of the limit: to ask it for each request would cost
    more than a prepared answer. What is left of a lease stays the client's, so no window gives it
    more than that beyond the limit; limits below 40 are counted one by one.
    """

    def __init__(self, limits: Sequence[CallLimit]) -> None:
        self._windows: tuple[RateLimitItem, ...] = tuple(
            RateLimitItemPerSecond(limit.limit, max(1, int(limit.period_s))) for limit in limits
        )
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._leases: OrderedDict[str, Lease] = OrderedDict()
        self._size = max(1, min((w.amount for w in self._windows), default=0) // LEASES)
        self.policy = ", ".join(f'"client";q={w.amount};w={w.get_expiry()}' for w in self._windows)

    def __bool__(self) -> bool:
        return bool(self._windows)

    async def hit(self, client: str) -> tuple[bool, int, int]:
        """Counts one request: whether it may pass, how many are left, and in how many seconds
        there are more; of the window with the least left."""
        lease = self._leases.get(client)
        if lease is None or lease.requests == 0:
            lease = await self._leased(client)
        return lease.take()

    def hit_of_lease(self, client: str) -> tuple[bool, int, int] | None:
        """The same without a wait; None, and nothing is counted, where a new lease is due."""
        lease = self._leases.get(client)
        return lease.take() if lease is not None and lease.requests > 0 else None

    async def _leased(self, client: str) -> Lease:
        """A whole lease, else a single request; without any the client has to wait."""
        whole = self._size > 1 and all(
            [await self._limiter.test(w, client, cost=self._size) for w in self._windows]
        )
        size = self._size if whole else 1
        passes = [await self._limiter.hit(w, client, cost=size) for w in self._windows]
        stats = [await self._limiter.get_window_stats(w, client) for w in self._windows]
        reset_at, left = min(stats, key=lambda one: (one[1], -one[0]))
        lease = self._leases[client] = Lease(size if all(passes) else 0, int(left), reset_at)
        self._leases.move_to_end(client)
        if len(self._leases) > MOST_LEASES:
            self._leases.popitem(last=False)
        return lease


def rate_limit(left: int, reset_s: int) -> str:
    """The header of that name (draft-ietf-httpapi-ratelimit-headers)."""
    return f'"client";r={left};t={reset_s}'


def client_of(scope: Scope, trusted_proxies: int) -> str:
    """The client's address, of an IPv6 one the network. What stands left of the trusted proxies'
    own entries in X-Forwarded-For is anybody's word."""
    peer = scope.get("client")
    address = peer[0] if peer else "unknown"
    if trusted_proxies:
        entries = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        told = [entry.strip() for entry in entries if entry.strip()]
        address = told[-min(trusted_proxies, len(told))] if told else address
    return _counted_as(address) if len(address) <= LONGEST_ADDRESS else "unknown"


@lru_cache(maxsize=4_096)
def _counted_as(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return "unknown"
    return str(ip_network((ip, IPV6_PREFIX), strict=False)) if ip.version == 6 else str(ip)


def _route_path(scope: Scope) -> str:
    """The path that routes are looked up by: without what the server was told stands before it."""
    path: str = scope["path"]
    prefix = f"{scope.get('root_path', '')}/"
    return path[len(prefix) - 1 :] if path.startswith(prefix) else path


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
        if scope["type"] == "lifespan" or _route_path(scope) in ALWAYS_OPEN:
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
        if self._limits:
            passes, left, reset_s = await self._limits.hit(client_of(scope, self._trusted_proxies))
            send = self._telling(send, left, reset_s)
            if not passes:
                await self._too_often(scope, receive, send, reset_s)
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
        client = client_of(scope, self._trusted_proxies)
        may_enter = self._is_wanted_origin(scope, headers) and (
            not self._limits or (await self._limits.hit(client))[0]
        )
        if may_enter:
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _is_wanted_origin(self, scope: Scope, headers: Headers) -> bool:
        """A browser's page from elsewhere only where CORS_ORIGINS lets it read by HTTP, too."""
        origin = headers.get("origin")
        if origin is None or "*" in self._origins:
            return True
        # Not by the scheme: behind a TLS proxy that nobody told us of, ours is not the page's.
        host = headers.get("host")
        return origin in self._origins or bool(host and origin.endswith(f"://{host}"))

    def _telling(self, send: Send, left: int, reset_s: int) -> Send:
        """Every answer says what is left."""

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Policy"] = self._limits.policy
                headers["RateLimit"] = rate_limit(left, reset_s)
            await send(message)

        return send_told

    async def _too_often(self, scope: Scope, receive: Receive, send: Send, reset_s: int) -> None:
        told = f"this address may ask {self._limits.policy} (q requests in w seconds)"
        answer = problem(
            Request(scope),
            "rate_limited",
            told,
            headers={"Retry-After": str(reset_s)},
            retry_after_seconds=reset_s,
        )
        await answer(scope, receive, send)


def _too_large(scope: Scope, headers: Headers) -> tuple[str, str] | None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_URL_BYTES:
        return "uri_too_long", f"an address has at most {MOST_URL_BYTES} bytes"
    if sum(len(name) + len(text) for name, text in headers.raw) > MOST_HEADER_BYTES:
        return "headers_too_large", f"headers have at most {MOST_HEADER_BYTES} bytes together"
    length = headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 12 or int(length) > MOST_BODY_BYTES:
        return "body_too_large", f"no route wants a body, let alone over {MOST_BODY_BYTES} bytes"
    return None
