"""Limits of one client: how many units of work its address may cause in each window.

A request costs one unit. What a question makes a provider or this process do beyond that is
charged besides, before it is done. Synchronous, over an injected clock.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import Scope

from backend.clock import Clock
from backend.errors import ClientLimitReached
from backend.settings import CallLimit

#: Addresses whose use is remembered; the one that asked longest ago is forgotten first.
MAX_CLIENTS = 16_384
#: Uses within this share of a window are counted as one entry, at the time of the last of them: a
#: log has at most as many entries, and frees a use at most that share of the window late.
PARTS = 64
#: An IPv6 address with an IPv4 address in it, a zone, brackets and a port; longer texts are none.
LONGEST_ADDRESS = 64
#: A home's addresses share one IPv6 network of this size.
IPV6_PREFIX = 64
UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """Whether a use may pass, the units that are left, and the seconds until there are more."""

    passes: bool
    left: int
    reset_s: int


class SlidingLog:
    """The uses of one window: (time of the last use, units) of each entry, oldest first."""

    __slots__ = ("_entries", "_first", "_limit", "_part_s", "_period_s", "used")

    def __init__(self, limit: int, period_s: float) -> None:
        self._limit = limit
        self._period_s = period_s
        self._part_s = period_s / PARTS
        self._entries: deque[list[float]] = deque()
        self._first = -math.inf  # of the last entry, the time of its first use
        self.used = 0

    def __len__(self) -> int:
        return len(self._entries)

    def wait_s(self, now: float, units: int) -> float:
        """Seconds until `units` fit into the window; 0 where they do now."""
        entries = self._entries
        while entries and now - entries[0][0] >= self._period_s:
            self.used -= int(entries.popleft()[1])
        excess = self.used + min(units, self._limit) - self._limit
        for at, used in entries if excess > 0 else ():
            excess -= int(used)
            if excess <= 0:
                return at + self._period_s - now
        return 0.0

    def add(self, now: float, units: int) -> None:
        units = min(units, self._limit)
        self.used += units
        if self._entries and now - self._first < self._part_s:
            last = self._entries[-1]
            last[0], last[1] = now, last[1] + units
        else:
            self._first = now
            self._entries.append([now, units])

    def verdict(self, now: float, passes: bool, wait_s: float) -> Verdict:
        if passes and self._entries:
            wait_s = self._entries[0][0] + self._period_s - now
        return Verdict(passes, max(0, self._limit - self.used), max(1, math.ceil(wait_s)))


class ClientLimits:
    """Exact: no span as long as a window has more than its limit of any client's units."""

    def __init__(
        self, limits: Sequence[CallLimit], clock: Clock, max_clients: int = MAX_CLIENTS
    ) -> None:
        self._limits = tuple(limits)
        self._monotonic = clock.monotonic
        self._max_clients = max_clients
        self._logs: OrderedDict[str, tuple[SlidingLog, ...]] = OrderedDict()
        self.policy = ", ".join(f'"client";q={one.limit};w={one.period_s:g}' for one in limits)

    def __repr__(self) -> str:
        return f"<ClientLimits {self.policy} of {len(self._logs)} clients>"

    def __bool__(self) -> bool:
        return bool(self._limits)

    def hit(self, client: str, units: int = 1) -> Verdict:
        """Counts `units` in every window, or in none where one of them is full. A use that costs
        more than a window's limit needs the whole window."""
        now = self._monotonic()
        logs = self._logs_of(client)
        fullest, wait_s = None, 0.0
        for log in logs:
            if (needed_s := log.wait_s(now, units)) > wait_s:
                fullest, wait_s = log, needed_s
        if fullest is not None:
            return fullest.verdict(now, False, wait_s)
        for log in logs:
            log.add(now, units)
        if len(logs) == 1:
            return logs[0].verdict(now, True, 0.0)
        return min((log.verdict(now, True, 0.0) for log in logs), key=lambda one: one.left)

    def _logs_of(self, client: str) -> tuple[SlidingLog, ...]:
        logs = self._logs.get(client)
        if logs is not None:
            self._logs.move_to_end(client)
            return logs
        logs = tuple(SlidingLog(limit.limit, limit.period_s) for limit in self._limits)
        self._logs[client] = logs
        if len(self._logs) > self._max_clients:
            self._logs.popitem(last=False)
        return logs


class ClientAccount:
    """The client of one request or connection; what its questions cost is charged to it."""

    __slots__ = ("_limits", "address")

    def __init__(self, limits: ClientLimits | None, address: str) -> None:
        self._limits = limits or None
        self.address = address

    def charge(self, units: int) -> None:
        """Raises ClientLimitReached, and counts nothing, where the client has not as many left."""
        if self._limits is None or units <= 0:
            return
        verdict = self._limits.hit(self.address, units)
        if not verdict.passes:
            raise ClientLimitReached(units, verdict.left, verdict.reset_s)


#: Where the account of a request's client stands in `scope["state"]`.
ACCOUNT = "client_account"
#: Whoever asks without a server in between, as some tests do.
UNLIMITED = ClientAccount(None, UNKNOWN)


def account_of(scope: Scope) -> ClientAccount:
    account: ClientAccount = scope.get("state", {}).get(ACCOUNT, UNLIMITED)
    return account


def rate_limit(verdict: Verdict) -> str:
    """The header of that name (draft-ietf-httpapi-ratelimit-headers)."""
    return f'"client";r={verdict.left};t={verdict.reset_s}'


def client_address(scope: Scope, trusted_proxies: int) -> str:
    """The client's address, of an IPv6 one the network. What stands left of the trusted proxies'
    own entries in X-Forwarded-For is anybody's word."""
    peer = scope.get("client")
    address = peer[0] if peer else UNKNOWN
    if trusted_proxies:
        entries = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        told = [entry.strip() for entry in entries if entry.strip()]
        address = told[-min(trusted_proxies, len(told))] if told else address
    return normalized_address(address) if len(address) <= LONGEST_ADDRESS else UNKNOWN


@lru_cache(maxsize=4_096)
def normalized_address(text: str) -> str:
    """What an address is counted as: an IPv4 address, an IPv6 network of /64, or `unknown`.

    Proxies write ports and brackets (`203.0.113.9:51000`, `[2001:db8::1]:443`), sockets of both
    families write IPv4 addresses as `::ffff:203.0.113.9`.
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
