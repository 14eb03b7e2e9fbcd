"""The address by which a client is counted: its peer's, or the one that trusted proxies name."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

#: Characters of the longest valid text: an IPv6 address that ends in an IPv4 address, with a zone,
#: brackets and a port.
MAX_ADDRESS_LENGTH = 64
#: The IPv6 network of one home or host: its addresses are counted as one client.
IPV6_PREFIX = 64
#: The address of a client that has none, or an invalid one.
UNKNOWN = "unknown"


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
