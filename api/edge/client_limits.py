"""Limits of one client: the units of work that its address may cause in each window.

The address is the peer's, or the one that trusted proxies name. A request costs one unit. A route
charges further units before it calls providers or encodes a long table. Synchronous, over an
injected clock.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import Scope

from backend.clock import Clock
from backend.environment.forms import CallLimit
from backend.errors import ClientLimitReached

#: Addresses whose uses are counted; the least recently used one is dropped first.
MAX_CLIENTS = 16_384
#: Parts of a window. Uses within one part are one entry, with the time of the last use. So a log
#: has about this many entries, and a use expires at most one part of the window too late.
PARTS = 64
#: Characters of the longest valid text: an IPv6 address that ends in an IPv4 address, with a zone,
#: brackets and a port.
MAX_ADDRESS_LENGTH = 64
#: The IPv6 network of one home or host: its addresses are counted as one client.
IPV6_PREFIX = 64
#: The address of a client that has none, or an invalid one.
UNKNOWN = "unknown"
#: The RateLimit header (draft-ietf-httpapi-ratelimit-headers): units left, seconds until more.
_HEADER = b'"client";r=%d;t=%d'


def client_address(scope: Scope, trusted_proxies: int) -> str:
    """The client's address; of an IPv6 address its network.

    Each trusted proxy appends one entry to X-Forwarded-For. Entries further left are not trusted.
    """
    peer = scope.get("client")
    address = peer[0] if peer else UNKNOWN
    if trusted_proxies:
        lines = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        entries = [entry.strip() for entry in lines if entry.strip()]
        address = entries[-min(trusted_proxies, len(entries))] if entries else address
    return normalized_address(address) if len(address) <= MAX_ADDRESS_LENGTH else UNKNOWN


@lru_cache(maxsize=4_096)
def normalized_address(text: str) -> str:
    """An IPv4 address, an IPv6 network of /64, or `unknown`.

    Proxies write ports and brackets (`203.0.113.9:51000`, `[2001:db8::1]:443`), dual-stack sockets
    write IPv4 addresses as `::ffff:203.0.113.9`.
    """
    text = text.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip = ip_address(text.partition("%")[0])
    except ValueError:
        return UNKNOWN
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ip_network((ip, IPV6_PREFIX), strict=False))
        ip = ip.ipv4_mapped
    return str(ip)


class Verdict(NamedTuple):
    """Whether a use is admitted, the units left, and the seconds until there are more."""

    passes: bool
    left: int
    reset_s: int

    @property
    def header(self) -> bytes:
        return _HEADER % (self.left, self.reset_s)


@dataclass(slots=True, eq=False)
class SlidingLog:
    """The uses of one window: a time (of the last use) and units for each entry, oldest first.

    The newest entry is kept apart from the others, as most uses change nothing else.
    """

    _limit: int
    _period_s: float
    used: int = 0
    _newest_units: int = 0
    _newest_at: float = -math.inf
    _part_ends: float = -math.inf
    _steady_until: float = -math.inf
    _oldest_ends: float = math.inf
    _older: deque[tuple[float, int]] = field(default_factory=deque)

    def count_one(self, now: float) -> bytes | None:
        """Counts one unit in the usual case, in which no entry expires and none begins. Gives the
        RateLimit header; None, and counts nothing, in any other case."""
        if now >= self._steady_until or self.used >= self._limit:
            return None
        self.used += 1
        self._newest_at = now
        self._newest_units += 1
        reset_s = math.ceil(self._oldest_ends - now) if self._older else math.ceil(self._period_s)
        return _HEADER % (self._limit - self.used, reset_s)

    def wait_s(self, now: float, units: int) -> float:
        """Seconds until `units` fit into the window; 0 where they do now."""
        while self._older and now - self._older[0][0] >= self._period_s:
            self.used -= self._older.popleft()[1]
        if now - self._newest_at >= self._period_s:
            self.used = self._newest_units = 0
        self._set_ends()
        excess = self.used + min(units, self._limit) - self._limit
        if excess <= 0:
            return 0.0
        for at, used in self._older:
            excess -= used
            if excess <= 0:
                return at + self._period_s - now
        return self._newest_at + self._period_s - now

    def add(self, now: float, units: int) -> Verdict:
        """Counts `units`, which have to fit."""
        if now >= self._part_ends:
            if self._newest_units:
                self._older.append((self._newest_at, self._newest_units))
                self._newest_units = 0
            self._part_ends = now + self._period_s / PARTS
            self._set_ends()
        units = min(units, self._limit)
        self.used += units
        self._newest_at = now
        self._newest_units += units
        left_s = self._oldest_ends - now if self._older else self._period_s
        reset_s = max(1, math.ceil(left_s))  # 0 by rounding
        return Verdict(True, self._limit - self.used, reset_s)

    def refusal(self, wait_s: float) -> Verdict:
        return Verdict(False, self._limit - self.used, max(1, math.ceil(wait_s)))

    def _set_ends(self) -> None:
        self._oldest_ends = self._older[0][0] + self._period_s if self._older else math.inf
        self._steady_until = min(self._part_ends, self._oldest_ends)


class ClientLimits:
    """Exact: no client uses more units than a window's limit in any interval of its length."""

    def __init__(
        self, limits: Sequence[CallLimit], clock: Clock, max_clients: int = MAX_CLIENTS
    ) -> None:
        self._limits = tuple(limits)
        self._is_single = len(self._limits) == 1
        self._monotonic = clock.monotonic
        self._max_clients = max_clients
        self._logs: OrderedDict[str, tuple[SlidingLog, ...]] = OrderedDict()
        #: The RateLimit-Policy header; empty without limits.
        self.policy = ", ".join(f'"client";q={one.limit};w={one.period_s:g}' for one in limits)

    def __bool__(self) -> bool:
        return bool(self._limits)

    def hit(self, client: str, units: int = 1) -> Verdict:
        """Counts `units` in every window, or in none where one of them is full. A use that costs
        more than a window's limit needs the whole window."""
        now, logs = self._monotonic(), self._logs.get(client)
        if logs is None:
            logs = tuple(SlidingLog(limit.limit, limit.period_s) for limit in self._limits)
            self._logs[client] = logs
            if len(self._logs) > self._max_clients:
                self._logs.popitem(last=False)
        else:
            self._logs.move_to_end(client)
        waits = [(log.wait_s(now, units), log) for log in logs]
        wait_s, fullest = max(waits, key=lambda pair: pair[0])
        if wait_s > 0:
            return fullest.refusal(wait_s)
        return min((log.add(now, units) for log in logs), key=lambda verdict: verdict.left)

    def admit(self, client: str) -> bytes | None:
        """Counts one unit. Gives the RateLimit header; None, and counts nothing, at the limit.

        This is `hit` for cached responses, in less time: a client counts as recently used only
        once in each part of the window.
        """
        logs = self._logs.get(client) if self._is_single else None
        if logs is not None:
            header = logs[0].count_one(self._monotonic())
            if header is not None:
                return header
        verdict = self.hit(client)
        return verdict.header if verdict.passes else None


class ClientAccount:
    """The client of one request or connection, to which routes charge units."""

    __slots__ = ("_limits", "address")

    def __init__(self, limits: ClientLimits | None, address: str) -> None:
        self._limits = limits or None
        self.address = address

    def charge(self, units: int) -> None:
        """Raises ClientLimitReached, and counts nothing, where the client has fewer units left."""
        if self._limits is None or units <= 0:
            return
        verdict = self._limits.hit(self.address, units)
        if not verdict.passes:
            raise ClientLimitReached(units, verdict.left, verdict.reset_s)


#: The key of a request's account in `scope["state"]`.
ACCOUNT = "client_account"
#: The account of a request without a client, as in some tests.
UNLIMITED = ClientAccount(None, UNKNOWN)


def account_of(scope: Scope) -> ClientAccount:
    account: ClientAccount = scope.get("state", {}).get(ACCOUNT, UNLIMITED)
    return account
