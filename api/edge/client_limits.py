"""Limits of one client: the units of work that its address may cause in each window.

The address is the peer's, or the one that trusted proxies name. A request costs one unit. A route
charges further units before it calls providers or encodes a long table. Synchronous, over an
injected clock.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Protocol

from starlette.datastructures import Headers
from starlette.types import Scope

from api.cache.response_cache import RawHeaders
from api.edge.sliding_log import SlidingLog, Verdict
from api.server.hooks import Peer
from backend.clock import Clock
from backend.environment.forms import CallLimit
from backend.errors import ClientLimitReached

#: Addresses whose uses are counted; the least recently used one is dropped first.
MAX_CLIENTS = 16_384
#: Characters of the longest valid text: an IPv6 address that ends in an IPv4 address, with a zone,
#: brackets and a port.
MAX_ADDRESS_LENGTH = 64
#: The IPv6 network of one home or host: its addresses are counted as one client.
IPV6_PREFIX = 64
#: The address of a client that has none, or an invalid one.
UNKNOWN = "unknown"


def client_address(scope: Scope, trusted_proxies: int) -> str:
    """The client's address; of an IPv6 address its network."""
    forwarded = forwarded_address(scope.get("headers", []), trusted_proxies)
    return forwarded or peer_address(scope.get("client"))


def forwarded_address(headers: RawHeaders, trusted_proxies: int) -> str | None:
    """The client's address as trusted proxies name it; None where there is none.

    Each trusted proxy appends one entry to X-Forwarded-For. Entries further left are not trusted.
    """
    if not trusted_proxies:
        return None
    lines = ",".join(Headers(raw=headers).getlist("x-forwarded-for")).split(",")
    entries = [entry.strip() for entry in lines if entry.strip()]
    return normalized_address(entries[-min(trusted_proxies, len(entries))]) if entries else None


def peer_address(peer: Peer) -> str:
    """The address at the other end of a connection."""
    return normalized_address(str(peer[0])) if peer else UNKNOWN


def normalized_address(text: str) -> str:
    """An IPv4 address, an IPv6 network of /64, or `unknown`."""
    return _normalized(text) if len(text) <= MAX_ADDRESS_LENGTH else UNKNOWN


@lru_cache(maxsize=4_096)
def _normalized(text: str) -> str:
    """Of a text that is not too long.

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


#: The log of each window.
Logs = tuple[SlidingLog, ...]


class OtherProcesses(Protocol):
    """What other processes tell of their clients, for the logs that begin here."""

    def begin(self, client: str) -> Logs | None:
        """The logs of a client that had none here, if others told of it."""

    def drop(self, client: str) -> None:
        """The client's logs are dropped here."""


class ClientLimits:
    """Exact: no client uses more units than a window's limit in any interval of its length.

    In a cluster, uses at other processes count from the moment at which they are told
    (`SharedLimits`).
    """

    def __init__(
        self, limits: Sequence[CallLimit], clock: Clock, max_clients: int = MAX_CLIENTS
    ) -> None:
        self._limits = tuple(limits)
        self._is_single = len(self._limits) == 1
        self._monotonic = clock.monotonic
        self._max_clients = max_clients
        #: The client of the last `hit` is the last one.
        self._logs: OrderedDict[str, Logs] = OrderedDict()
        self._others: OtherProcesses | None = None
        #: The window whose log is told to others: the one that cuts off the fewest units of a use.
        self._told_window = max(
            range(len(limits)), key=lambda index: limits[index].limit, default=0
        )
        #: The RateLimit-Policy header; empty without limits.
        self.policy = ", ".join(f'"client";q={one.limit};w={one.period_s:g}' for one in limits)

    def __bool__(self) -> bool:
        return bool(self._limits)

    def hit(self, client: str, units: int = 1) -> Verdict:
        """Counts `units` in every window, or in none where one of them is full. A use that costs
        more than a window's limit needs the whole window."""
        now, logs = self._monotonic(), self._logs.get(client)
        if logs is None:
            logs = self._begin(client)
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

    # Other processes

    def share_with(self, others: OtherProcesses) -> None:
        """From now on `others` learns of each client whose logs begin or are dropped. What was used
        before is not told."""
        self._others = others
        self.take_own()
        for client in self._logs:
            others.begin(client)

    def take_own(self) -> list[tuple[str, int]]:
        """The clients that used units here since the last call, and the units."""
        own = []
        for client, logs in reversed(self._logs.items()):
            units = logs[self._told_window].take_own()
            if units is None:
                break
            if units:
                own.append((client, units))
        return own

    def add_of_others(self, client: str, units: int) -> None:
        """Counts what a client that has logs here used at another process."""
        self._logs.move_to_end(client)
        self.add_to(self._logs[client], units)

    def add_to(self, logs: Logs, units: int) -> None:
        now = self._monotonic()
        for log in logs:
            log.add_of_others(now, units)

    def new_logs(self) -> Logs:
        return tuple(SlidingLog(limit.limit, limit.period_s) for limit in self._limits)

    def _begin(self, client: str) -> Logs:
        told = self._others.begin(client) if self._others else None
        logs = self._logs[client] = told or self.new_logs()
        if len(self._logs) > self._max_clients:
            dropped, _ = self._logs.popitem(last=False)
            if self._others:
                self._others.drop(dropped)
        return logs


class ClientAccount:
    """The client of one request or connection, to which routes charge units."""

    __slots__ = ("_limits", "address")

    def __init__(self, limits: ClientLimits | None, address: str) -> None:
        self._limits = limits or None
        self.address = address

    def hit(self) -> Verdict | None:
        """Counts one unit; None where there are no limits."""
        return self._limits.hit(self.address) if self._limits is not None else None

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
