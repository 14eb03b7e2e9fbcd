"""The forms that values of settings have: limits, addresses. Wrong ones raise ValueError."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

SECOND, MINUTE, HOUR, DAY, MONTH = 1.0, 60.0, 3_600.0, 86_400.0, 30 * 86_400.0
PERIODS_S = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY, "month": MONTH}
#: Of one part of a host's name; looking up a longer one raises something else than an OSError.
LONGEST_LABEL = 63
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]+", re.IGNORECASE)
_LIMIT = re.compile(r"(\d{1,12})\s*/\s*(?:(\d{1,4})\s*)?(second|minute|hour|day|month)s?")


@dataclass(frozen=True, slots=True)
class CallLimit:
    """At most `limit` calls in any `period_s` seconds."""

    limit: int
    period_s: float


def parse_limits(text: str) -> tuple[CallLimit, ...]:
    """`30/minute,10000/month` or `50/12 hours`; empty gives none. Raises ValueError."""
    return tuple(_parse_limit(part.strip()) for part in text.split(",") if part.strip())


def parse_base_urls(text: str) -> tuple[str, ...]:
    """One http(s) address or a comma list of them. Raises ValueError."""
    urls = tuple(part.strip() for part in text.split(",") if part.strip())
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not _is_host(parts.hostname):
            raise ValueError("wants one http(s) address or a comma list of them")
        if parts.username or parts.password or parts.fragment:
            raise ValueError("wants an address without user and fragment")
        if parts.port == 0:  # reading the port of a wrong one raises ValueError
            raise ValueError("wants a port from 1 to 65535")
    return urls


def parse_stream_url(text: str) -> str:
    """One ws(s) address without the path that the vendor's file puts behind it, or nothing."""
    url = text.strip().rstrip("/").removesuffix("/stream")
    parts = urlsplit(url)
    is_address = parts.scheme in ("ws", "wss") and _is_host(parts.hostname)
    is_bare = not (parts.query or parts.fragment or "@" in parts.netloc)
    if url and not (is_address and is_bare and parts.port != 0):
        raise ValueError("wants one address like wss://host:443, or nothing")
    return url


def _parse_limit(text: str) -> CallLimit:
    match = _LIMIT.fullmatch(text)
    if not match or int(match[1]) == 0 or match[2] == "0":
        raise ValueError(f"{text!r} is not like 30/minute, 50/12 hours or 10000/month")
    return CallLimit(int(match[1]), int(match[2] or 1) * PERIODS_S[match[3]])


def _is_host(name: str | None) -> bool:
    labels = (name or "").split(".")
    return bool(_HOST.fullmatch(name or "")) and all(len(one) <= LONGEST_LABEL for one in labels)
