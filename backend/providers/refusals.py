"""Maps an HTTP answer to an error and to the time until a retry.

The vendor's own fields come first: its error code, then Retry-After, the end of a ban, and
X-RateLimit-Reset. The words of a body are only a hint: they can turn a rate limit without further
information into a spent quota, but never give a time.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from backend.errors import (
    AuthFailed,
    ConnectFailed,
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.providers.adapter import Adapter

T = TypeVar("T")

#: Longest plausible Retry-After, in seconds; a larger figure has the wrong unit and is ignored.
LONGEST_RETRY_AFTER_S = 31 * 86_400.0
#: Bytes of a body that are searched for words.
WORDS_BYTES = 2_000
#: A refusal that names a long period and no short one may be a spent quota.
_LONG = re.compile(
    r"\bquota\b|\b(daily|weekly|monthly)\b|(\b(per|a|this|your) |/ ?)(day|week|month)\b",
    re.IGNORECASE,
)
_SHORT = re.compile(
    r"\b(seconds?|secs?|minutes?|mins?|hours?|hourly|rps|qps)\b|/ ?[smh]\b", re.IGNORECASE
)
_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")
#: Common names of the header with the reset of a rate-limit window.
_RESETS = ("x-ratelimit-reset", "ratelimit-reset")
#: A reset from these figures on is a time in epoch seconds, or in epoch milliseconds.
_EPOCH_S, _EPOCH_MS = 1e9, 1e12

DEFAULT_ERRORS: dict[int, type[ProviderError]] = {
    401: AuthFailed,
    403: GeoBlocked,
    407: ConnectFailed,
    408: UpstreamFailed,
    418: RateLimited,
    429: RateLimited,
    451: GeoBlocked,
}


def refusal_in(
    adapter: Adapter,
    status: int,
    headers: Mapping[str, str],
    payload: Any,
    body: bytes,
    now: datetime,
) -> ProviderError | None:
    """The error of an answer, by the vendor's table, then by HTTP; None for a success.

    Its text has the status and the vendor's code, and nothing of the body, which may echo a key.
    """
    code = _read(adapter.error_code, payload)
    kind = _kind(adapter, status, code)
    if kind is None:
        return None
    until_ms = _read(adapter.banned_until_ms, payload)
    ban_s = until_ms / 1000 - now.timestamp() if until_ms else None
    retry_after_s = _usable(_header_seconds(headers, now)) or _usable(ban_s)
    if kind is RateLimited and retry_after_s is None:
        retry_after_s = _reset_s(headers, now)
        is_named = adapter.errors.keys() & {(status, code), (None, code)}
        # A code that repeats the status says no more than the status.
        is_specific = is_named and code not in (None, status)
        if retry_after_s is None and not is_specific and _has_quota(body):
            kind = QuotaSpent
    elif kind is QuotaSpent and retry_after_s is None and code is not None:
        retry_after_s = adapter.quota_reset_s(code, int(now.timestamp() * 1000))
    detail = f"HTTP {status}" + (f", code {code}" if code is not None else "")
    return kind(detail, http_status=status, retry_after_s=retry_after_s)


def _read(read: Callable[[Any], T], payload: Any) -> T | None:
    """What the adapter's function reads from a body; None if it fails on the payload."""
    try:
        return read(payload)
    except Exception:  # a malformed payload can raise anything
        return None


def _kind(adapter: Adapter, status: int, code: int | str | None) -> type[ProviderError] | None:
    """The most specific entry of the vendor's table, else the default for the status."""
    for pair in ((status, code), (None, code), (status, None)):
        if pair in adapter.errors:
            return adapter.errors[pair]
    if 200 <= status < 300:
        return None
    if status >= 500:
        return UpstreamFailed
    if status >= 400:
        return DEFAULT_ERRORS.get(status, QueryRefused)
    return MalformedResponse  # 1xx, or a redirect that is not followed


def _usable(seconds: float | None) -> float | None:
    """`seconds` if it is plausible, else None: then our own back-off applies."""
    return seconds if seconds and 0 < seconds <= LONGEST_RETRY_AFTER_S else None


def _reset_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to the reset of a spent window, given as seconds or as a time; None if the window
    is not spent or has no header."""
    if headers.get("x-ratelimit-remaining", "0").strip() != "0":
        return None
    resets = (headers.get(name, "").strip() for name in _RESETS)
    text = next((text for text in resets if _SECONDS.fullmatch(text)), None)
    if text is None:
        return None
    figure = float(text)
    epoch_s = figure / 1000 if figure >= _EPOCH_MS else figure
    return _usable(epoch_s - now.timestamp() if epoch_s >= _EPOCH_S else figure)


def _has_quota(body: bytes) -> bool:
    """True if the words of the body suggest a spent quota. An HTML page is not searched."""
    text = body[:WORDS_BYTES].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    return not text.startswith("<") and bool(_LONG.search(text)) and not _SHORT.search(text)


def _header_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Retry-After in seconds; a date is compared with the answer's Date. Of several values the
    longest."""
    text = headers.get("retry-after", "").strip()
    values = [value.strip() for value in text.split(",")]
    if all(map(_SECONDS.fullmatch, values)):
        return max(map(float, values))
    until = _date(text)
    if until is None:
        return None
    return (until - (_date(headers.get("date", "")) or now)).total_seconds()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except Exception:  # it documents ValueError, and raises others too
        return None
