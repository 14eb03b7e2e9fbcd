"""The sockets that are listened to: HOST and PORT, bound before anything else begins."""

import errno
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from backend.settings import Settings, SettingsError

log = logging.getLogger("gateway")

ALL_IPV4, ALL_IPV6 = "0.0.0.0", "::"  # noqa: S104 - what a container serves
#: A machine may lack a family, or an address that its list of names has.
LACKING = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
#: Connections that wait to be accepted, as uvicorn has it.
BACKLOG = 2_048


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """One for each address of `host`, of both families for `::`. Raises SettingsError.

    An address that this machine lacks is passed over with a warning where another is left.
    """
    bound: list[socket.socket] = []
    lacking: dict[str, OSError] = {}
    for family, address in _addresses(host, port):
        try:
            bound.append(_bound(family, address))
        except OSError as error:
            if error.errno not in LACKING:
                _close(bound)
                raise _refusal(error, address[0], port) from None
            lacking[address[0]] = error
    if not bound:
        raise _refusal(next(iter(lacking.values())), host, port)
    for one, problem in lacking.items():
        log.warning("HOST=%s: %s is not served: %s", host, one, problem.strerror)
    return bound


def warn_if_open_to_all(settings: Settings, sockets: Sequence[socket.socket]) -> None:
    """Once, where strangers can reach us, need no key, and any web page may ask."""
    is_local = all(ip_address(_host(one)).is_loopback for one in sockets)
    if is_local or settings.gateway_api_keys or "*" not in settings.cors_origins:
        return
    log.warning(
        "HOST=%s: everybody who reaches this machine, and every web page, may use the gateway and"
        " spend its providers' quotas; GATEWAY_API_KEYS locks it, CORS_ORIGINS names the pages that"
        " may ask, HOST=127.0.0.1 keeps it to this machine",
        settings.host,
    )


def _addresses(host: str, port: int) -> Iterator[tuple[int, tuple[str, int]]]:
    """Two sockets for `::`, not one for both families: readers keep their IPv4 addresses."""
    hosts = (ALL_IPV6, ALL_IPV4) if _is_all_ipv6(host) else (host,)
    known = set()
    for one in hosts:
        try:
            found = socket.getaddrinfo(one, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, ValueError) as error:  # ValueError: a name that no name can be
            told = error.strerror if isinstance(error, OSError) else "it is no name or address"
            raise SettingsError(f"HOST: cannot be listened to: {told}") from None
        for family, _, _, _, address in found:
            if address not in known:
                known.add(address)
                yield family, address  # type: ignore[misc] # those of IP begin so


def _is_all_ipv6(host: str) -> bool:
    """It has several spellings (`::0`)."""
    try:
        return ip_address(host) == ip_address(ALL_IPV6)
    except ValueError:
        return False


def _bound(family: int, address: tuple[str, int]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it would let two processes have one port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(BACKLOG)  # now: of two that are only bound, the second would fail much later
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _refusal(error: OSError, host: str, port: int) -> SettingsError:
    match error.errno:
        case errno.EADDRINUSE:
            return SettingsError(f"PORT: {port} is in use by another process")
        case errno.EACCES | errno.EPERM:
            return SettingsError(f"PORT: {port} needs more rights than this process has")
        case errno.EADDRNOTAVAIL:
            return SettingsError("HOST: is not an address of this machine")
        case errno.EAFNOSUPPORT | errno.EPROTONOSUPPORT:
            return SettingsError(f"HOST: this machine has no {'IPv6' if ':' in host else 'IPv4'}")
    return SettingsError(f"HOST: cannot be listened to: {error.strerror}")


def _host(bound: socket.socket) -> str:
    return str(bound.getsockname()[0]).partition("%")[0]


def _close(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()
