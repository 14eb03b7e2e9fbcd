"""The proxies of calls: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, read as curl does."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

Scheme = Literal["http", "https", "socks5"]
Network = IPv4Network | IPv6Network

#: Spellings that users write. A SOCKS proxy looks names up itself in each of them.
SCHEMES: Mapping[str, Scheme] = {
    "http": "http",
    "https": "https",
    "socks5": "socks5",
    "socks5h": "socks5",
    "socks": "socks5",
}
DEFAULT_PORTS: Mapping[Scheme, int] = {"http": 80, "https": 443, "socks5": 1080}
#: Whether a scheme uses the proxy for secure addresses.
SECURE = {"http": False, "ws": False, "https": True, "wss": True}
#: Longest user or password of SOCKS: one byte holds the length (RFC 1929).
MAX_SOCKS_CREDENTIAL = 255
FORM = "must be an address like http://host:3128 or socks5://user:password@host:1080"
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that sets it."""

    scheme: Scheme
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    variable: str = field(default="", compare=False)

    @property
    def address(self) -> str:
        """Without user and password: for logs."""
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """With user and password, percent-encoded: for libraries."""
        scheme = "socks5h" if self.scheme == "socks5" else self.scheme
        credentials = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@"
        prefix = credentials if self.has_credentials else ""
        return f"{scheme}://{prefix}{bracketed(self.host)}:{self.port}"

    @property
    def has_credentials(self) -> bool:
        return bool(self.user or self.password)

    @property
    def authorization(self) -> str | None:
        """The value of Proxy-Authorization, or None."""
        if not self.has_credentials:
            return None
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def secrets(self) -> tuple[str, ...]:
        """Every form of the password that an error or an echo might contain."""
        if self.authorization is None:
            return ()
        encoded = self.authorization.removeprefix("Basic ")
        return (self.password, f"{self.user}:{self.password}", encoded)


@dataclass(frozen=True, slots=True)
class Exemptions:
    """Hosts that are called directly. A name includes its subdomains; port None is every port."""

    all_hosts: bool = False
    names: tuple[tuple[str, int | None], ...] = ()
    networks: tuple[tuple[Network, int | None], ...] = ()

    def cover(self, host: str, port: int) -> bool:
        """`host` is a name or an address, without brackets."""
        try:
            address = ip_address(host)
        except ValueError:
            return self.all_hosts or self._cover_name(host, port)
        return self.all_hosts or any(
            own_port in (None, port) and address in network for network, own_port in self.networks
        )

    def _cover_name(self, host: str, port: int) -> bool:
        dotted = "." + host.lower().rstrip(".")
        return any(
            own_port in (None, port) and dotted.endswith("." + name)
            for name, own_port in self.names
        )


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The proxies for plain and for secure addresses, and the exempt hosts."""

    plain: Proxy | None = None
    secure: Proxy | None = None
    exempt: Exemptions = Exemptions()

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """Each once."""
        return tuple(dict.fromkeys(one for one in (self.plain, self.secure) if one))

    def proxy_for(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """None is a direct call. `scheme` is http, https, ws or wss; port None is its default."""
        is_secure = SECURE[scheme]
        proxy = self.secure if is_secure else self.plain
        if proxy is None or self.exempt.cover(host, port or (443 if is_secure else 80)):
            return None
        return proxy


def parse_proxy(text: str, variable: str = "") -> Proxy:
    """Raises ValueError without any part of `text`: it may contain a password."""
    text = text.strip()
    address = text if "://" in text else f"http://{text}"
    scheme = SCHEMES.get(address.partition("://")[0].lower())
    if scheme is None:
        raise ValueError(f"{FORM}; http, https, socks5 and socks5h are supported")
    try:
        parts = urlsplit(address)
        host, port = _host(parts.hostname or ""), parts.port
        user, password = (_decoded(word) for word in (parts.username, parts.password))
    except ValueError:  # also from reading an invalid port
        raise ValueError(f"{FORM}; percent-encode special characters of a password") from None
    if parts.path not in ("", "/") or parts.query or parts.fragment or port == 0:
        raise ValueError(f"{FORM}, with nothing after the port")
    if scheme == "socks5" and not _fit_socks(user, password):
        raise ValueError(
            "user and password of a SOCKS proxy must have 1 to 255 ASCII characters each"
        )
    return Proxy(scheme, host, port or DEFAULT_PORTS[scheme], user, password, variable)


def parse_no_proxy(text: str) -> tuple[Exemptions, tuple[int, ...]]:
    """The exempt hosts, and the numbers of invalid entries (1 is the first)."""
    entries = [entry for entry in re.split(r"[\s,]+", text) if entry]
    names: list[tuple[str, int | None]] = []
    networks: list[tuple[Network, int | None]] = []
    invalid = []
    for number, entry in enumerate(entries, 1):
        try:
            if entry != "*":
                _add_entry(entry, names, networks)
        except ValueError:
            invalid.append(number)
    return Exemptions("*" in entries, tuple(names), tuple(networks)), tuple(invalid)


def _fit_socks(*credentials: str) -> bool:
    """Whether both are usable, or none is set."""
    are_usable = all(
        word.isascii() and 0 < len(word) <= MAX_SOCKS_CREDENTIAL for word in credentials
    )
    return are_usable or not any(credentials)


def bracketed(host: str) -> str:
    """An IPv6 address needs brackets in a URL."""
    return f"[{host}]" if ":" in host else host


def _add_entry(
    entry: str, names: list[tuple[str, int | None]], networks: list[tuple[Network, int | None]]
) -> None:
    """Raises ValueError if `entry` is not a name, address or network."""
    if (network := _network(entry)) is not None:
        networks.append((network, None))
        return
    host, port = _split_port(entry)
    if (network := _network(host)) is not None:
        networks.append((network, port))
    else:
        names.append((_domain(host.lower().removeprefix("*").strip(".")), port))


def _network(text: str) -> Network | None:
    """The network of an address, with or without brackets and prefix length."""
    address, slash, length = text.partition("/")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    try:
        return ip_network(f"{address.partition('%')[0]}{slash}{length}", strict=False)
    except ValueError:
        if slash or (text.startswith("[") and text.endswith("]")):
            raise
        return None


def _split_port(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if not colon:
        return entry, None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ValueError("no port")
    return host, int(port)


def _host(text: str) -> str:
    """A name or an address without brackets. Raises ValueError."""
    return text if ":" in text and ip_address(text) else _domain(text.rstrip("."))


def _domain(text: str) -> str:
    name = text.encode("idna").decode().lower()  # UnicodeError is a ValueError
    if not _NAME.fullmatch(name):
        raise ValueError("no name")
    return name


def _decoded(text: str | None) -> str:
    return unquote(text or "", errors="strict")
