"""Settings, read from the environment and `.env`: the only file that looks there.

Every setting has a type, bounds, a unit and a default. A wrong one raises `SettingsError`, whose
text is one line that names the variable. Proxies and certificates are those of the process's
environment, as for any other program; `.env` holds our own settings only.
"""

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.environment.env_file import read_env_file
from backend.environment.errors import SettingsError
from backend.environment.forms import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    CallLimit,
    parse_base_urls,
    parse_limits,
    parse_stream_url,
)
from backend.environment.names import misspelt
from backend.environment.network import NETWORK_VARIABLES, NetworkSettings, read_network

__all__ = [
    "DAY",
    "MONTH",
    "CallLimit",
    "Configuration",
    "ProviderSettings",
    "Settings",
    "SettingsError",
    "load_configuration",
    "parse_limits",
    "setting_names",
]

S = TypeVar("S", bound=BaseSettings)
Seconds = Annotated[float, Field(gt=0, le=30 * DAY, allow_inf_nan=False)]

ENV_FILE = ".env"
#: More misspelt names than these are only counted.
MOST_NAMED = 20


class _Read(BaseSettings):
    """What is read from the environment, or from `.env` where that has no word on it."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _space_around_is_cut(cls, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value


class ProviderSettings(_Read):
    """What each provider reads behind its own upper-cased name and an underscore."""

    api_key: SecretStr | None = None
    base_url: Annotated[tuple[str, ...], NoDecode] = ()
    limits: Annotated[tuple[CallLimit, ...], NoDecode] = ()
    enabled: bool = True
    #: Which of several paid plans the key is of; only some providers have them.
    plan: str = ""
    #: Where it pushes ticks, if it does; None is the vendor's own address, empty is nowhere.
    stream_url: str | None = None
    #: The key is of the same account as the other one's, whose limits it then shares.
    shares_account: bool = True

    @field_validator("api_key")
    @classmethod
    def _key_is_sendable(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value().strip() if key else ""
        if not text:
            return None
        if not re.fullmatch(r"[\x21-\x7e]{1,512}", text):
            raise ValueError("holds a space or a character that no key has")
        return SecretStr(text)

    @field_validator("base_url", mode="before")
    @classmethod
    def _split_base_url(cls, value: Any) -> Any:
        return parse_base_urls(value) if isinstance(value, str) else value

    @field_validator("stream_url")
    @classmethod
    def _stream_url_is_one(cls, value: str | None) -> str | None:
        return None if value is None else parse_stream_url(value)

    @field_validator("limits", mode="before")
    @classmethod
    def _split_limits(cls, value: Any) -> Any:
        return parse_limits(value) if isinstance(value, str) else value


class Settings(_Read):
    """The gateway's own settings. Durations in seconds, fractions allowed."""

    host: str = Field("0.0.0.0", min_length=1)  # noqa: S104 - a container serves all interfaces
    port: int = Field(7860, ge=1, le=65_535)
    log_dir: Path = Path("logs")
    log_level: str = "INFO"
    #: What outlives a restart; None: nothing does.
    state_path: Path | None = Path("state/gateway.sqlite")

    cache_ttl_market: Seconds = 60
    cache_ttl_ohlc: Seconds = 15
    cache_ttl_news: Seconds = 300
    cache_ttl_sentiment: Seconds = 3600
    cache_ttl_gas: Seconds = 15
    max_stale_market: Seconds = 6 * HOUR
    max_stale_ohlc: Seconds = 24 * HOUR
    max_stale_news: Seconds = 24 * HOUR
    max_stale_sentiment: Seconds = 48 * HOUR
    max_stale_gas: Seconds = 5 * MINUTE

    request_deadline: float = Field(4, ge=0.5, le=60)
    provider_timeout: float = Field(3, ge=0.5, le=60)
    cooldown: float = Field(30, gt=0, le=DAY)
    cooldown_max: float = Field(300, gt=0, le=DAY)

    #: Whoever asks for data sends one of these; none: open to all.
    gateway_api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    #: Of one client address; none: no limit.
    client_rate_limit: Annotated[tuple[CallLimit, ...], NoDecode] = (CallLimit(600, MINUTE),)
    #: Largest share of the stream's places, its series and the open connections that one client
    #: address may have; 1 is no limit.
    client_max_share: float = Field(0.5, gt=0, le=1)
    #: So many proxies of ours stand in front and add to X-Forwarded-For; true is one.
    trust_proxy: int = Field(0, ge=0, le=10)
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("*",)
    #: Readers of the stream at a time, by WebSocket and by SSE together.
    ws_max_clients: int = Field(1_000, ge=1, le=100_000)
    #: Of these, one that reads nothing of what waits for it is closed after so long.
    ws_stuck_seconds: float = Field(30, ge=0.5, le=HOUR)
    #: Frames go straight to the server's transports; false is the plain way, one task a reader.
    ws_direct: bool = True
    #: What was just answered is answered again from memory in front of all layers.
    prepared_answers: bool = True
    #: ... by the server itself; false is the plain way, through ASGI.
    http_direct: bool = True

    @field_validator("host")
    @classmethod
    def _address_has_no_brackets(cls, value: str) -> str:
        return value[1:-1] if value.startswith("[") and value.endswith("]") else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _level_is_known(cls, value: Any) -> str:
        level = str(value).strip().upper()
        if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("wants DEBUG, INFO, WARNING or ERROR")
        return level

    @field_validator("log_dir", mode="before")
    @classmethod
    def _folder_has_a_name(cls, value: Any) -> Any:
        if not str(value).strip():
            raise ValueError("wants the name of a folder")
        return value

    @field_validator("state_path", mode="before")
    @classmethod
    def _nothing_is_no_file(cls, value: Any) -> Any:
        return value if str(value or "").strip() else None

    @field_validator("gateway_api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        keys = [part.strip() for part in value.split(",") if part.strip()]
        if not all(re.fullmatch(r"[\x21-\x7e]{8,512}", key) for key in keys):
            raise ValueError("wants a comma list of keys of at least 8 characters, no spaces")
        return tuple(SecretStr(key) for key in keys)

    @field_validator("client_rate_limit", mode="before")
    @classmethod
    def _split_client_limits(cls, value: Any) -> Any:
        return parse_limits(value) if isinstance(value, str) else value

    @field_validator("trust_proxy", mode="before")
    @classmethod
    def _true_is_one_proxy(cls, value: Any) -> Any:
        words = {"true": 1, "yes": 1, "on": 1, "false": 0, "no": 0, "off": 0, "": 0}
        return words.get(str(value).strip().lower(), value)

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        origins = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[\w.:\[\]-]+", origin):
                raise ValueError("wants * or a comma list of origins like https://my.example")
        return origins


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that was read: the gateway's own settings, each provider's, and the network's."""

    gateway: Settings
    providers: Mapping[str, ProviderSettings]
    network: NetworkSettings = field(default_factory=NetworkSettings)
    #: What was set and is ignored: a line for each, to be logged at the start.
    warnings: tuple[str, ...] = ()

    def secrets(self) -> tuple[str, ...]:
        """Every key and password that was configured, for the redaction filter."""
        keys = [provider.api_key for provider in self.providers.values()]
        keys += self.gateway.gateway_api_keys
        own = tuple(key.get_secret_value() for key in keys if key)
        return own + self.network.secrets()


class _NotYet(_Read):
    """Variables of the contract that this version can't do: a user would count on them."""

    redis_url: str = ""


def load_configuration(provider_names: Iterable[str]) -> Configuration:
    """Reads everything once. Raises SettingsError with one line that names the variable."""
    logging.getLogger("dotenv.main").disabled = True  # it tells a wrong line at every reading
    names = tuple(provider_names)
    in_file, wrong_lines = read_env_file(Path(ENV_FILE))
    _refuse_what_is_not_built()
    gateway = _load(Settings, "")
    providers = {name: _load(ProviderSettings, f"{name.upper()}_") for name in names}
    if gateway.cooldown_max < gateway.cooldown:
        raise SettingsError("COOLDOWN_MAX: is smaller than COOLDOWN")
    network, ignored = read_network(os.environ)
    warnings = (*wrong_lines, *_out_of_place(in_file), *ignored, *_misspelt(names, in_file))
    return Configuration(gateway, providers, network, warnings)


def setting_names(provider_names: Iterable[str]) -> tuple[str, ...]:
    """Every variable that is read from the environment or from `.env`."""
    own = [*Settings.model_fields, *_NotYet.model_fields]
    each = [f"{name}_{one}" for name in provider_names for one in ProviderSettings.model_fields]
    return tuple(name.upper() for name in own + each)


def _out_of_place(in_file: Iterable[str]) -> Iterable[str]:
    for name in in_file:
        if name.upper() in NETWORK_VARIABLES:
            yield f"{name} counts in the environment only and is ignored in {ENV_FILE}"


def _misspelt(provider_names: Sequence[str], in_file: Mapping[str, str | None]) -> Iterable[str]:
    known = setting_names(provider_names)
    providers = [name.upper() for name in provider_names]
    found = misspelt(in_file | os.environ, known, providers)
    for name, meant in [*found.items()][:MOST_NAMED]:
        where = f" (in {ENV_FILE})" if name not in os.environ else ""
        yield f"{name}{where} is not a setting and is ignored; did you mean {' or '.join(meant)}?"
    if len(found) > MOST_NAMED:
        yield f"{len(found) - MOST_NAMED} more variables look like settings and are ignored"


def _refuse_what_is_not_built() -> None:
    for name, value in _load(_NotYet, ""):
        if value.strip():
            raise SettingsError(f"{name.upper()}: is not supported by this version; leave it empty")


def _load(kind: type[S], prefix: str) -> S:
    try:
        return kind(_env_prefix=prefix)
    except ValidationError as error:
        raise SettingsError(_one_line(error, prefix)) from None


def _one_line(error: ValidationError, prefix: str) -> str:
    """The first problem as `VARIABLE: what it wants`, without the value: it may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    variable = prefix + "_".join(str(part) for part in first["loc"][:1]).upper()
    message = first["msg"].removeprefix("Value error, ")
    return f"{variable}: {' '.join(message.split())}"
