"""The listening sockets of HOST and PORT, opened before anything else starts."""

import errno
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address

from backend import __version__
from backend.environment import SettingsError
from backend.environment.problem_lines import shown
from backend.settings import Settings

log = logging.getLogger("gateway")

ALL_IPV4, ALL_IPV6 = "0.0.0.0", "::"  # noqa: S104 - what a container serves
#: The machine lacks the address family, or an address to which its list of names maps the host.
UNAVAILABLE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
#: Connections that wait to be accepted; the default of uvicorn.
BACKLOG = 2_048


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of `host`, and one of each family for `::`.

    Raises SettingsError. An address that this machine lacks is skipped with a warning if another
    one is available.
    """
    opened: list[socket.socket] = []
    unavailable: dict[str, OSError] = {}
    for family, address in _addresses(host, port):
        try:
            # Listens now: of two processes with bound sockets one would fail later.
            opened.append(socket.create_server(address, family=family, backlog=BACKLOG))
        except OSError as error:
            if error.errno not in UNAVAILABLE:
                for one in opened:
                    one.close()
                raise _settings_error(error, address[0], port) from None
            unavailable[address[0]] = error
    if not opened:
        raise _settings_error(next(iter(unavailable.values())), host, port)
    for name, cause in unavailable.items():
        log.warning("HOST=%s: %s is not served: %s", host, name, cause.strerror)
    return opened


def warn_if_open_to_all(settings: Settings, sockets: Sequence[socket.socket]) -> None:
    """Logs a warning where other machines can connect, no key is needed and any web page may call
    the gateway."""
    hosts = [str(one.getsockname()[0]).partition("%")[0] for one in sockets]
    is_local = all(ip_address(host).is_loopback for host in hosts)
    if is_local or settings.gateway_api_keys or "*" not in settings.cors_origins:
        return
    log.warning(
        "HOST=%s: every machine that can connect, and every web page, may use the gateway and its"
        " providers' quotas; GATEWAY_API_KEYS requires a key, CORS_ORIGINS limits the web pages,"
        " HOST=127.0.0.1 allows this machine only",
        settings.host,
    )


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def open_url(sockets: Sequence[socket.socket]) -> str:
    """The address that a browser on this machine opens."""
    host, port = sockets[0].getsockname()[:2]
    if ip_address(str(host).partition("%")[0]).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def log_ready(url: str) -> None:
    """The last line of a start, for a newcomer."""
    log.info("crypto-gateway %s is ready: open %s (documentation: %sdocs)", __version__, url, url)


def _addresses(host: str, port: int) -> Iterator[tuple[int, tuple[str, int]]]:
    """Two sockets for `::`, not one for both families: IPv4 clients keep their IPv4 addresses."""
    hosts: tuple[str, ...] = (host,)
    with suppress(ValueError):  # not an address but a name
        if ip_address(host) == ip_address(ALL_IPV6):  # it has several spellings (`::0`)
            hosts = ALL_IPV6, ALL_IPV4
    known = set()
    for one in hosts:
        try:
            found = socket.getaddrinfo(one, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, ValueError) as error:  # ValueError: not a possible name
            cause = error.strerror if isinstance(error, OSError) else "not a name or an address"
            raise SettingsError(f"HOST: cannot listen on {shown(host)}: {cause}") from None
        for family, _, _, _, address in found:
            if address not in known:
                known.add(address)
                yield family, address  # type: ignore[misc] # addresses of IP begin so


def _settings_error(error: OSError, host: str, port: int) -> SettingsError:
    match error.errno:
        case errno.EADDRINUSE:
            return SettingsError(f"PORT: {port} is in use by another process")
        case errno.EACCES | errno.EPERM:
            return SettingsError(f"PORT: this process is not permitted to use {port}")
        case errno.EADDRNOTAVAIL:
            return SettingsError(f"HOST: {shown(host)} is not an address of this machine")
        case errno.EAFNOSUPPORT | errno.EPROTONOSUPPORT:
            family = "IPv6" if ":" in host else "IPv4"
            return SettingsError(f"HOST: {shown(host)} needs {family}, which this machine lacks")
    cause = str(error.strerror).partition(" (while")[0]  # socket.create_server adds the address
    return SettingsError(f"HOST: cannot listen on {shown(host)}: {cause}")
