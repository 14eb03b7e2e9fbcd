"""How calls leave this machine: through which proxies, with which certificate authorities."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from backend.environment.certificates import tls_context
from backend.environment.errors import SettingsError
from backend.environment.proxies import Proxy, ProxySettings, parse_no_proxy, parse_proxy

NETWORK_VARIABLES = frozenset(
    {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}
)


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Proxies and certificates of the process's environment, as in any other program."""

    proxies: ProxySettings = field(default_factory=ProxySettings)
    cert_file: str = ""
    cert_dir: str = ""

    def tls(self) -> ssl.SSLContext:
        """The context of all clients. Raises SettingsError, but not after `read_network`."""
        return tls_context(self.cert_file, self.cert_dir)

    def secrets(self) -> tuple[str, ...]:
        """The proxies' users and passwords, in every form that must not be logged."""
        return tuple(secret for proxy in self.proxies.proxies for secret in proxy.secrets())


def read_network(environment: Mapping[str, str]) -> tuple[NetworkSettings, tuple[str, ...]]:
    """The settings, and warnings about ignored values. Raises SettingsError if one is invalid."""
    for_all = _proxy(environment, "all_proxy")
    variable, value = _named(environment, "no_proxy")
    exempt, invalid = parse_no_proxy(value)
    warnings: tuple[str, ...] = ()
    if invalid:
        which = ", ".join(map(str, invalid[:10]))
        problem = f"not a host, domain, address or network, and ignored: entry {which}"
        warnings = (f"{variable}: {problem}",)
    proxies = ProxySettings(
        _proxy(environment, "http_proxy") or for_all,
        _proxy(environment, "https_proxy") or for_all,
        exempt,
    )
    file, folder = (environment.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    network = NetworkSettings(proxies, file, folder)
    if file or folder:
        network.tls()  # an error is raised now, not at the first call
    return network, warnings


def _named(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """As curl does: lower case first; empty is unset."""
    for spelling in (name, name.upper()):
        if value := environment.get(spelling, "").strip():
            return spelling, value
    return name.upper(), ""


def _proxy(environment: Mapping[str, str], name: str) -> Proxy | None:
    variable, value = _named(environment, name)
    try:
        return parse_proxy(value, variable) if value else None
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from None
