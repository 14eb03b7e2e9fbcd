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
        prefix = credentials if self.authorization else ""
        return f"{scheme}://{prefix}{bracketed(self.host)}:{self.port}"

    @property
    def authorization(self) -> str | None:
        """The value of Proxy-Authorization, or None."""
        if not (self.user or self.password):
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
    """Hosts that are called directly: names with their subdomains, and networks; each for one port,
    or for every port (None)."""

    all_hosts: bool = False
    entries: tuple[tuple[str | Network, int | None], ...] = ()

    def cover(self, host: str, port: int) -> bool:
        """`host` is a name or an address, without brackets."""
        if self.all_hosts:
            return True
        exempt = [what for what, own_port in self.entries if own_port in (None, port)]
        try:
            address = ip_address(host)
        except ValueError:
            dotted = "." + host.lower().rstrip(".")
            return any(dotted.endswith(f".{name}") for name in exempt if isinstance(name, str))
        return any(address in network for network in exempt if not isinstance(network, str))


def parse_proxy(text: str, variable: str = "") -> Proxy:
    """Raises ValueError without any part of `text`: it may contain a password."""
    text = text.strip()
    address = text if "://" in text else f"http://{text}"
    scheme = SCHEMES.get(address.partition("://")[0].lower())
    if scheme is None:
        raise ValueError(f"{FORM}; http, https, socks5 and socks5h are supported")
    try:
        parts = urlsplit(address)
        name, port = parts.hostname or "", parts.port
        host = name if ":" in name and ip_address(name) else _domain(name.rstrip("."))
        user, password = (
            unquote(word or "", errors="strict") for word in (parts.username, parts.password)
        )
    except ValueError:  # also from reading an invalid port
        raise ValueError(f"{FORM}; percent-encode special characters of a password") from None
    if parts.path not in ("", "/") or parts.query or parts.fragment or port == 0:
        raise ValueError(f"{FORM}, with nothing after the port")
    fit_socks = all(
        word.isascii() and 0 < len(word) <= MAX_SOCKS_CREDENTIAL for word in (user, password)
    )
    if scheme == "socks5" and (user or password) and not fit_socks:
        raise ValueError(
            "user and password of a SOCKS proxy must have 1 to 255 ASCII characters each"
        )
    return Proxy(scheme, host, port or DEFAULT_PORTS[scheme], user, password, variable)


def parse_no_proxy(text: str) -> tuple[Exemptions, tuple[int, ...]]:
    """The exempt hosts, and the numbers of invalid entries (1 is the first)."""
    entries = [entry for entry in re.split(r"[\s,]+", text) if entry]
    exempt, invalid = [], []
    for number, entry in enumerate(entries, 1):
        try:
            if entry != "*":
                exempt.append(_exempt(entry))
        except ValueError:
            invalid.append(number)
    return Exemptions("*" in entries, tuple(exempt)), tuple(invalid)


def bracketed(host: str) -> str:
    """An IPv6 address needs brackets in a URL."""
    return f"[{host}]" if ":" in host else host


def _exempt(entry: str) -> tuple[str | Network, int | None]:
    """The network or name of an entry, and its port if it has one. Raises ValueError."""
    if (network := _network(entry)) is not None:
        return network, None
    host, port = entry, None
    if ":" in entry:
        host, _, digits = entry.rpartition(":")
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65_536):
            raise ValueError("no port")
        port = int(digits)
    return _network(host) or _domain(host.lower().removeprefix("*").strip(".")), port


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


def _domain(text: str) -> str:
    name = text.encode("idna").decode().lower()  # UnicodeError is a ValueError
    if not _NAME.fullmatch(name):
        raise ValueError("no name")
    return name
