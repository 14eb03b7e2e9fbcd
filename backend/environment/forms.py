"""Parsers of the settings' values: limits, addresses, keys, lists. All raise ValueError with what a
value must be, and without the value itself: it may be a secret (problem_lines.py)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

SECOND, MINUTE, HOUR, DAY, MONTH = 1.0, 60.0, 3_600.0, 86_400.0, 30 * 86_400.0
PERIODS_S = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY, "month": MONTH}
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
#: Longest label of a host name. The lookup of a longer one raises something else than an OSError.
MAX_LABEL = 63
#: Words for a number of trusted proxies.
PROXY_COUNTS = {"true": "1", "yes": "1", "on": "1", "false": "0", "no": "0", "off": "0", "": "0"}
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]+", re.IGNORECASE)
_LIMIT = re.compile(r"(\d{1,12})\s*/\s*(?:(\d{1,4})\s*)?(second|minute|hour|day|month)s?")
_ORIGIN = re.compile(r"https?://[\w.:\[\]-]+")
_PROVIDER_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_GATEWAY_KEY = re.compile(r"[\x21-\x7e]{8,512}")
#: Protocols of other services that the gateway speaks.
FACADES = ("coingecko", "binance", "udf", "mcp")
REDIS_SCHEMES = ("redis", "rediss", "valkey", "valkeys", "unix")
_SCHEMES = ", ".join(REDIS_SCHEMES)
_DATABASE = re.compile(r"(/(\d{1,3})?)?")
_CLUSTER_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CallLimit:
    """At most `limit` calls in any `period_s` seconds."""

    limit: int
    period_s: float


def parse_limits(text: str) -> tuple[CallLimit, ...]:
    """`30/minute,10000/month` or `50/12 hours`; empty gives none."""
    limits = []
    for item in _items(text):
        match = _LIMIT.fullmatch(item)
        if not match or int(match[1]) == 0 or match[2] == "0":
            raise ValueError("must be like 30/minute, 50/12 hours or 10000/month")
        limits.append(CallLimit(int(match[1]), int(match[2] or 1) * PERIODS_S[match[3]]))
    return tuple(limits)


def parse_base_urls(text: str) -> tuple[str, ...]:
    """One http(s) URL or a comma-separated list of them."""
    urls = tuple(_items(text))
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not _is_host(parts.hostname):
            raise ValueError("must be an http(s) URL or a comma-separated list of them")
        if parts.username or parts.password or parts.fragment:
            raise ValueError("must be a URL without user and fragment")
        if parts.port == 0:  # reading an invalid port raises ValueError
            raise ValueError("must have a port from 1 to 65535")
    return urls


def parse_stream_url(text: str) -> str:
    """One ws(s) URL without the path that the vendor's file adds, or empty."""
    url = text.strip().rstrip("/").removesuffix("/stream")
    parts = urlsplit(url)
    is_address = parts.scheme in ("ws", "wss") and _is_host(parts.hostname)
    is_bare = not (parts.query or parts.fragment or "@" in parts.netloc)
    if url and not (is_address and is_bare and parts.port != 0):
        raise ValueError("must be one URL like wss://host:443, or empty")
    return url


def parse_redis_url(text: str) -> SecretStr | None:
    """The address of a Valkey or Redis, with an optional user, password and database number."""
    if not text:
        return None
    parts = urlsplit(text)
    problem = f"must be like redis://user:password@host:6379/0; its scheme is one of {_SCHEMES}"
    if parts.scheme not in REDIS_SCHEMES or parts.query or parts.fragment:
        raise ValueError(problem)
    if parts.scheme == "unix":
        if not parts.path.startswith("/"):
            raise ValueError("must have the path of a socket, like unix:///run/valkey.sock")
        return SecretStr(text)
    try:
        has_port = parts.port != 0
    except ValueError:
        has_port = False
    if not (has_port and _is_host(parts.hostname) and _DATABASE.fullmatch(parts.path)):
        raise ValueError(problem)
    return SecretStr(text)


def parse_cluster_name(text: str) -> str:
    if not _CLUSTER_NAME.fullmatch(text):
        raise ValueError("must have 1 to 64 letters, digits, dots, hyphens or underscores")
    return text


def parse_provider_key(text: str) -> SecretStr | None:
    if not text:
        return None
    if not _PROVIDER_KEY.fullmatch(text):
        raise ValueError("must have 1 to 512 ASCII characters without spaces")
    return SecretStr(text)


def parse_gateway_keys(text: str) -> tuple[SecretStr, ...]:
    keys = tuple(_items(text))
    if not all(map(_GATEWAY_KEY.fullmatch, keys)):
        raise ValueError(
            "must be a comma-separated list of keys of 8 to 512 ASCII characters without spaces"
        )
    return tuple(map(SecretStr, keys))


def parse_origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.rstrip("/") for origin in _items(text))
    if not all(origin == "*" or _ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("must be * or a comma-separated list of origins like https://my.example")
    return origins


def parse_facades(text: str) -> tuple[str, ...]:
    """Each once, in the order of FACADES; empty gives none."""
    names = [name.lower() for name in _items(text)]
    if not set(names) <= set(FACADES):
        raise ValueError(f"must be empty or a comma-separated list of {', '.join(FACADES)}")
    return tuple(name for name in FACADES if name in names)


def parse_log_level(text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text.upper()


def parse_host(text: str) -> str:
    """An IPv6 address may have brackets."""
    if not (text and text.isprintable()):
        raise ValueError("must be an address or a host name")
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def parse_folder(text: str) -> str:
    if not text:
        raise ValueError("must be the name of a folder")
    return text


def parse_proxy_count(text: str) -> str:
    """`true` is one proxy, `false` is none."""
    return PROXY_COUNTS.get(text.lower(), text)


def _items(text: str) -> Iterable[str]:
    return (part.strip() for part in text.split(",") if part.strip())


def _is_host(name: str | None) -> bool:
    labels = (name or "").split(".")
    return bool(_HOST.fullmatch(name or "")) and all(len(label) <= MAX_LABEL for label in labels)
