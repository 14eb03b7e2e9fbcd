"""The settings, read from the environment and `.env`: the only file that reads them.

Invalid values raise `SettingsError`, which has a line for each that names the variable. Proxies and
certificates come from the process's environment, as in any other program; `.env` holds our own
settings only.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.environment import SettingsError, forms
from backend.environment.env_file import ENV_FILE, MAX_WARNINGS, read_env_file
from backend.environment.forms import DAY, HOUR, MINUTE, CallLimit
from backend.environment.loading import load, load_each
from backend.environment.names import misspelt
from backend.environment.network import NETWORK_VARIABLES, NetworkSettings, read_network


def _parsed(parse: Callable[[str], Any]) -> BeforeValidator:
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


Seconds = Annotated[float, Field(gt=0, le=30 * DAY, allow_inf_nan=False)]
Host = Annotated[str, _parsed(forms.parse_host)]
LogLevel = Annotated[str, _parsed(forms.parse_log_level)]
ProxyCount = Annotated[int, Field(ge=0, le=10), _parsed(forms.parse_proxy_count)]
Folder = Annotated[Path, _parsed(forms.parse_folder)]
OptionalPath = Annotated[Path | None, _parsed(lambda text: text or None)]
Limits = Annotated[tuple[CallLimit, ...], NoDecode, _parsed(forms.parse_limits)]
Facades = Annotated[tuple[str, ...], NoDecode, _parsed(forms.parse_facades)]
Origins = Annotated[tuple[str, ...], NoDecode, _parsed(forms.parse_origins)]
GatewayKeys = Annotated[tuple[SecretStr, ...], NoDecode, _parsed(forms.parse_gateway_keys)]
ProviderKey = Annotated[SecretStr | None, _parsed(forms.parse_provider_key)]
BaseUrls = Annotated[tuple[str, ...], NoDecode, _parsed(forms.parse_base_urls)]
RedisUrl = Annotated[SecretStr | None, _parsed(forms.parse_redis_url)]
ClusterName = Annotated[str, _parsed(forms.parse_cluster_name)]
StreamUrl = Annotated[str | None, _parsed(forms.parse_stream_url)]


class _EnvironmentSettings(BaseSettings):
    """Values of the environment; of `.env` where the environment has none."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _strip(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value


class ProviderSettings(_EnvironmentSettings):
    """The settings of one provider: variables that begin with its upper-case name."""

    #: Its key, if it takes one.
    api_key: ProviderKey = None
    #: Equivalent addresses, tried in order; none: the vendor's own.
    base_url: BaseUrls = ()
    #: Limits in place of the declared ones; none: the declared ones.
    limits: Limits = ()
    enabled: bool = True
    #: The paid plan of the key, for a provider with several plans.
    plan: str = ""
    #: Address of its tick stream; None: the vendor's own, empty: no ticks.
    stream_url: StreamUrl = None
    #: Whether the key was not used before this gateway's first call with it.
    key_is_new: bool = False
    #: Whether a backup key belongs to the account of the first key, and shares its limits.
    shares_account: bool = True


class Settings(_EnvironmentSettings):
    """The gateway's own settings. Durations are in seconds, fractions allowed."""

    #: Address and port to listen on.
    host: Host = "0.0.0.0"  # noqa: S104 - a container serves all interfaces
    port: int = Field(7860, ge=1, le=65_535)
    #: Folder of the JSON-lines logs, and level of standard output.
    log_dir: Folder = Path("logs")
    log_level: LogLevel = "INFO"
    #: Whether a line is written for each request.
    access_log: bool = False
    #: File for data that outlives a restart; None: nothing is stored.
    state_path: OptionalPath = Path("state/gateway.sqlite")

    #: A Valkey or Redis that several processes share; None: this process is the whole gateway.
    redis_url: RedisUrl = None
    #: Worker processes of this machine.
    workers: int = Field(1, ge=1, le=64)
    #: Gateways of one name on one Valkey are one.
    cluster_name: ClusterName = "gateway"
    #: Largest number of processes that ever run at once, on all machines; 0: that of `workers`.
    cluster_size: int = Field(0, ge=0, le=1_000)
    #: Whether this machine's processes may call providers for all others.
    cluster_lead: bool = True

    #: Time for which an answer is fresh.
    cache_ttl_market: Seconds = 60
    cache_ttl_ohlc: Seconds = 15
    cache_ttl_news: Seconds = 300
    cache_ttl_sentiment: Seconds = 3600
    cache_ttl_gas: Seconds = 15
    #: Largest age of an answer that is served while all providers fail.
    max_stale_market: Seconds = 6 * HOUR
    max_stale_ohlc: Seconds = 24 * HOUR
    max_stale_news: Seconds = 24 * HOUR
    max_stale_sentiment: Seconds = 48 * HOUR
    max_stale_gas: Seconds = 5 * MINUTE

    #: Time limit of a client's request, and of one provider's attempt.
    request_deadline: float = Field(4, ge=0.5, le=60)
    provider_timeout: float = Field(3, ge=0.5, le=60)
    #: Pause of a provider after its first failure; it doubles up to the longest pause.
    cooldown: float = Field(30, gt=0, le=DAY)
    cooldown_max: float = Field(300, gt=0, le=DAY)

    #: Keys of which a client must send one; none: no key is needed.
    gateway_api_keys: GatewayKeys = ()
    #: Limit of one client address, in units of work; none: no limit.
    client_rate_limit: Limits = (CallLimit(600, MINUTE),)
    #: Largest share of stream clients, series and open connections that one client address may
    #: use, from 0 to 1; 1: no limit.
    client_max_share: float = Field(0.5, gt=0, le=1)
    #: Number of own proxies in front of the gateway that add to X-Forwarded-For.
    trust_proxy: ProxyCount = 0
    #: Origins that browsers may call from; *: all.
    cors_origins: Origins = ("*",)

    #: Protocols of other services that are spoken, by name.
    facades: Facades = forms.FACADES

    #: Largest number of stream clients, by WebSocket and SSE together.
    ws_max_clients: int = Field(1_000, ge=1, le=100_000)
    #: Time after which a stream client that does not read is disconnected.
    ws_stuck_seconds: float = Field(30, ge=0.5, le=HOUR)
    #: Whether frames are written to the server's transports; false: through ASGI.
    ws_direct: bool = True
    #: Whether a repeated request is answered from memory, in front of the application.
    prepared_answers: bool = True
    #: Whether such answers are written to the server's transports; false: through ASGI.
    http_direct: bool = True


@dataclass(frozen=True, slots=True)
class Configuration:
    """All settings: the gateway's own, each provider's, and the network's."""

    gateway: Settings
    providers: Mapping[str, ProviderSettings]
    network: NetworkSettings = field(default_factory=NetworkSettings)
    #: Variables that are set and ignored: a line for each, to be logged at the start.
    warnings: tuple[str, ...] = ()
    #: This process's number among the workers of its machine, from 0.
    worker: int = 0

    def secrets(self) -> tuple[str, ...]:
        """Every key and password of the settings, for the redaction filter."""
        keys = [provider.api_key for provider in self.providers.values()]
        keys += self.gateway.gateway_api_keys
        own = tuple(key.get_secret_value() for key in keys if key)
        return own + self.network.secrets() + _secrets_of(self.gateway.redis_url)


def _secrets_of(url: SecretStr | None) -> tuple[str, ...]:
    """The address itself and its password: the text of an error may show either."""
    text = url.get_secret_value() if url else ""
    password = urlsplit(text).password
    return (text, unquote(password)) if password else ()


def load_configuration(
    provider_names: Iterable[str],
    find_problems: Callable[[Mapping[str, ProviderSettings]], Iterable[str]] = lambda _read: (),
) -> Configuration:
    """Reads all settings once. Raises SettingsError with a line for each wrong one.

    `find_problems` returns further lines about the providers whose settings could be read.
    """
    logging.getLogger("dotenv.main").disabled = True  # it logs an invalid line at every reading
    names = tuple(provider_names)
    in_file, invalid_lines = read_env_file()
    problems: list[str] = []
    gateway = load(Settings, "", problems)
    read = load_each(ProviderSettings, names, (*os.environ, *in_file), problems)
    providers = {name: settings for name, settings in read.items() if settings}
    problems += [*_contradictions(gateway)] if gateway else []
    problems += find_problems(providers)
    try:
        network, ignored = read_network(os.environ)
    except SettingsError as error:
        problems += error.problems
        network, ignored = NetworkSettings(), ()
    misplaced = [
        f"{name} is read from the environment only and is ignored in {ENV_FILE}"
        for name in in_file
        if name.upper() in NETWORK_VARIABLES
    ]
    warnings = (*invalid_lines, *misplaced, *ignored, *_misspelt(names, in_file))
    if problems or gateway is None:
        raise SettingsError(*problems, warnings=warnings)
    return Configuration(gateway, providers, network, warnings)


def _contradictions(gateway: Settings) -> Iterator[str]:
    if gateway.cooldown_max < gateway.cooldown:
        longest, first = gateway.cooldown_max, gateway.cooldown
        yield f"COOLDOWN_MAX: {longest:g} is smaller than COOLDOWN, {first:g}"
    if gateway.workers > 1 and gateway.redis_url is None:
        yield f"WORKERS: {gateway.workers} need REDIS_URL, the address of a Valkey or Redis"
    if 0 < gateway.cluster_size < gateway.workers:
        yield f"CLUSTER_SIZE: {gateway.cluster_size} is smaller than WORKERS, {gateway.workers}"


def setting_names(provider_names: Iterable[str]) -> tuple[str, ...]:
    """Every variable that is read from the environment or from `.env`."""
    own = [*Settings.model_fields]
    each = [f"{name}_{one}" for name in provider_names for one in ProviderSettings.model_fields]
    return tuple(name.upper() for name in own + each)


def _misspelt(provider_names: Sequence[str], in_file: Mapping[str, str | None]) -> Iterable[str]:
    known = setting_names(provider_names)
    providers = [name.upper() for name in provider_names]
    # The file is ours, the environment is that of all programs.
    found = misspelt(in_file, known, providers, common=(), foreign=NETWORK_VARIABLES)
    found |= misspelt(os.environ, known, providers, foreign=NETWORK_VARIABLES)
    for name, meant in [*found.items()][:MAX_WARNINGS]:
        where = f" (in {ENV_FILE})" if name not in os.environ else ""
        yield f"{name}{where} is not a setting and is ignored; did you mean {' or '.join(meant)}?"
    if len(found) > MAX_WARNINGS:
        yield f"{len(found) - MAX_WARNINGS} more variables look like settings and are ignored"
