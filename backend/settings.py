"""Settings, read from the environment and `.env`: the only file that looks there.

Every setting has a type, bounds, a unit and a default. A wrong one raises `SettingsError`, whose
text is one line that names the variable.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

SECOND, MINUTE, HOUR, DAY, MONTH = 1.0, 60.0, 3_600.0, 86_400.0, 30 * 86_400.0
PERIODS_S = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY, "month": MONTH}
S = TypeVar("S", bound=BaseSettings)
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]+", re.IGNORECASE)
_LIMIT = re.compile(r"(\d{1,12})\s*/\s*(?:(\d{1,4})\s*)?(second|minute|hour|day|month)s?")

Seconds = Annotated[float, Field(gt=0, le=30 * 86_400, allow_inf_nan=False)]


class SettingsError(Exception):
    """A setting is wrong. The text is one line and names the variable."""


@dataclass(frozen=True, slots=True)
class CallLimit:
    """At most `limit` calls in any `period_s` seconds."""

    limit: int
    period_s: float


def parse_limits(text: str) -> tuple[CallLimit, ...]:
    """`30/minute,10000/month` or `50/12 hours`; empty gives none. Raises ValueError."""
    return tuple(_parse_limit(part.strip()) for part in text.split(",") if part.strip())


def _parse_limit(text: str) -> CallLimit:
    match = _LIMIT.fullmatch(text)
    if not match or int(match[1]) == 0 or match[2] == "0":
        raise ValueError(f"{text!r} is not like 30/minute, 50/12 hours or 10000/month")
    return CallLimit(int(match[1]), int(match[2] or 1) * PERIODS_S[match[3]])


def _parse_base_urls(text: str) -> tuple[str, ...]:
    urls = tuple(part.strip() for part in text.split(",") if part.strip())
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.hostname or ""):
            raise ValueError("wants one http(s) address or a comma list of them")
        if parts.username or parts.password or parts.fragment:
            raise ValueError("wants an address without user and fragment")
        if parts.port == 0:  # reading the port of a wrong one raises ValueError
            raise ValueError("wants a port from 1 to 65535")
    return urls


class ProviderSettings(BaseSettings):
    """What each provider reads behind its own upper-cased name and an underscore."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

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
        return _parse_base_urls(value) if isinstance(value, str) else value

    @field_validator("stream_url")
    @classmethod
    def _stream_url_is_one(cls, value: str | None) -> str | None:
        """Without the path that the vendor's file puts behind it."""
        url = (value or "").strip().rstrip("/").removesuffix("/stream")
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_address = parts.scheme in ("ws", "wss") and _HOST.fullmatch(host)
        is_bare = not (parts.query or parts.fragment or "@" in parts.netloc)
        is_sound = is_bare and parts.port != 0 and all(len(part) < 64 for part in host.split("."))
        if url and not (is_address and is_sound):
            raise ValueError("wants one address like wss://host:443, or nothing")
        return None if value is None else url

    @field_validator("limits", mode="before")
    @classmethod
    def _split_limits(cls, value: Any) -> Any:
        return parse_limits(value) if isinstance(value, str) else value


class Settings(BaseSettings):
    """The gateway's own settings. Durations in seconds, fractions allowed."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

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
    #: Of the stream's places, its candle series and the connections, one address holds at most
    #: this share; 1 is no bound.
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
    """All that was read: the gateway's own settings and each provider's."""

    gateway: Settings
    providers: Mapping[str, ProviderSettings]

    def secrets(self) -> tuple[str, ...]:
        """Every key that was configured, for the redaction filter."""
        keys = [provider.api_key for provider in self.providers.values()]
        keys += self.gateway.gateway_api_keys
        return tuple(key.get_secret_value() for key in keys if key)


class _NotYet(BaseSettings):
    """Variables of the contract that this version can't do: a user would count on them."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    redis_url: str = ""


def load_configuration(provider_names: Iterable[str]) -> Configuration:
    """Reads everything once. Raises SettingsError with one line that names the variable."""
    _refuse_what_is_not_built()
    gateway = _load(Settings, "")
    providers = {name: _load(ProviderSettings, f"{name.upper()}_") for name in provider_names}
    if gateway.cooldown_max < gateway.cooldown:
        raise SettingsError("COOLDOWN_MAX: is smaller than COOLDOWN")
    return Configuration(gateway, providers)


def _refuse_what_is_not_built() -> None:
    for name, value in _load(_NotYet, ""):
        if value.strip():
            raise SettingsError(f"{name.upper()}: is not supported by this version; leave it empty")


def _load(kind: type[S], prefix: str) -> S:
    try:
        return kind(_env_prefix=prefix)
    except ValidationError as error:
        raise SettingsError(_one_line(error, prefix)) from None
    except UnicodeDecodeError:
        raise SettingsError(".env: is not UTF-8 text") from None


def _one_line(error: ValidationError, prefix: str) -> str:
    """The first problem as `VARIABLE: what it wants`, without the value: it may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    variable = prefix + "_".join(str(part) for part in first["loc"][:1]).upper()
    message = first["msg"].removeprefix("Value error, ")
    return f"{variable}: {' '.join(message.split())}"
