"""How calls leave this machine: through which proxies, with which certificate authorities."""

import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import certifi

from backend.environment import SettingsError
from backend.environment.problem_lines import but_not, shown_path
from backend.environment.proxies import Exemptions, Proxy, parse_no_proxy, parse_proxy

NETWORK_VARIABLES = frozenset(
    {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)
#: File names that `openssl rehash` gives; OpenSSL ignores all others.
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Proxies and certificates of the process's environment, as in any other program.

    `plain` and `secure` are the proxies of plain and of secure addresses.
    """

    plain: Proxy | None = None
    secure: Proxy | None = None
    exempt: Exemptions = field(default_factory=Exemptions)
    cert_file: str = ""
    cert_dir: str = ""

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """Each once."""
        return tuple(dict.fromkeys(one for one in (self.plain, self.secure) if one))

    def proxy_for(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """None is a direct call. `scheme` is http, https, ws or wss; port None is its default."""
        is_secure = scheme in ("https", "wss")
        proxy = self.secure if is_secure else self.plain
        if proxy is None or self.exempt.cover(host, port or (443 if is_secure else 80)):
            return None
        return proxy

    def tls(self) -> ssl.SSLContext:
        """The context of all clients. Raises SettingsError, but not after `read_network`."""
        return _tls_context(self.cert_file, self.cert_dir)

    def secrets(self) -> tuple[str, ...]:
        """The proxies' users and passwords, in every form that must not be logged."""
        return tuple(secret for proxy in self.proxies for secret in proxy.secrets())


def read_network(environment: Mapping[str, str]) -> tuple[NetworkSettings, tuple[str, ...]]:
    """The settings, and warnings about ignored values. Raises SettingsError with each variable that
    cannot work."""
    problems: list[str] = []
    plain, secure, for_all = (
        _proxy(environment, name, problems) for name in ("http_proxy", "https_proxy", "all_proxy")
    )
    variable, value = _named(environment, "no_proxy")
    exempt, invalid = parse_no_proxy(value)
    cert_file, cert_dir = (environment.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    network = NetworkSettings(plain or for_all, secure or for_all, exempt, cert_file, cert_dir)
    try:
        if cert_file or cert_dir:
            network.tls()  # an error is raised now, not at the first call
    except SettingsError as error:
        problems += error.problems
    if problems:
        raise SettingsError(*problems)
    if not invalid:
        return network, ()
    which = ", ".join(map(str, invalid[:10]))
    problem = f"not a host, domain, address or network, and ignored: entry {which}"
    return network, (f"{variable}: {problem}",)


def _named(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """As curl does: lower case first; empty is unset."""
    for spelling in (name, name.upper()):
        if value := environment.get(spelling, "").strip():
            return spelling, value
    return name.upper(), ""


def _proxy(environment: Mapping[str, str], name: str, problems: list[str]) -> Proxy | None:
    """None if there is none, or if it is invalid, which is added to `problems`."""
    variable, value = _named(environment, name)
    try:
        return parse_proxy(value, variable) if value else None
    except ValueError as error:
        problems.append(f"{variable}: {error}{but_not(value)}")
        return None


@lru_cache(maxsize=8)  # reading Mozilla's list takes a tenth of a second
def _tls_context(file: str, folder: str) -> ssl.SSLContext:
    """`folder` may list several, as PATH does. Raises SettingsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it checks certificates and host names
    context.set_alpn_protocols(["http/1.1"])
    if not (file or folder):
        context.load_verify_locations(cafile=certifi.where())
    if file:
        _load_file(context, file)
    if folder:
        _load_folder(context, folder, is_only=not file)
    return context


def _load_file(context: ssl.SSLContext, file: str) -> None:
    path = Path(file)
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            raise _invalid("SSL_CERT_FILE", file, "is not a regular file")
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise _invalid("SSL_CERT_FILE", file, "contains no certificate in PEM format") from None
    except (OSError, ValueError) as error:
        raise _invalid("SSL_CERT_FILE", file, f"cannot be read: {_cause(error)}") from None


def _load_folder(context: ssl.SSLContext, folders: str, *, is_only: bool) -> None:
    names: list[str] = []
    problem = ""
    for folder in filter(None, folders.split(os.pathsep)):
        try:
            names += (path.name for path in Path(folder).iterdir())
        except (OSError, ValueError) as error:
            problem = _cause(error)
    if problem and not names:
        raise _invalid("SSL_CERT_DIR", folders, f"cannot be read: {problem}")
    if is_only and not any(map(_HASHED.fullmatch, names)):
        problem = "contains no certificate named by its hash; run openssl rehash"
        raise _invalid("SSL_CERT_DIR", folders, problem)
    context.load_verify_locations(capath=folders)


def _invalid(variable: str, value: str, problem: str) -> SettingsError:
    return SettingsError(f"{variable}: {shown_path(value)} {problem}")


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def has_free_descriptor() -> bool:
    """Whether the process can open another file or socket."""
    try:
        socket.socket().close()
    except OSError:
        return False
    return True
