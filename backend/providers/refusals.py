"""What an HTTP answer means that is no success: which error, and for how long.

What the vendor says in its own fields comes first: its code, then its Retry-After, the end of a
ban, its X-RateLimit-Reset. The words of a body are a guess: they may call a refusal that says
nothing else a spent quota, but never say for how long.
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

#: Longer than any provider's honest word; a larger figure is a unit error and says nothing.
LONGEST_RETRY_AFTER_S = 31 * 86_400.0
#: Of a body, so much is searched for words.
WORDS_BYTES = 2_000
#: A refusal that speaks of these, and of no shorter time, may be a spent quota.
_LONG = re.compile(
    r"\bquota\b|\b(daily|weekly|monthly)\b|(\b(per|a|this|your) |/ ?)(day|week|month)\b",
    re.IGNORECASE,
)
_SHORT = re.compile(
    r"\b(seconds?|secs?|minutes?|mins?|hours?|hourly|rps|qps)\b|/ ?[smh]\b", re.IGNORECASE
)
_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")
#: Names of the header that tells when a window's calls are given back, in use by many vendors.
_RESETS = ("x-ratelimit-reset", "ratelimit-reset")
#: A reset at or above this is an instant in epoch seconds, at or above the other in milliseconds.
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
    """The error that an answer is, by the vendor's table and then by HTTP; None for a success.

    Its text holds the status and the vendor's code, nothing of the body: that may echo a key.
    """
    code = _told(adapter.error_code, payload)
    kind = _kind(adapter, status, code)
    if kind is None:
        return None
    retry_after_s = _retry_after_s(adapter, headers, payload, now)
    if kind is RateLimited and retry_after_s is None:
        retry_after_s = _reset_s(headers, now)
        if retry_after_s is None and not _names(adapter, status, code) and _says_quota(body):
            kind = QuotaSpent
    elif kind is QuotaSpent and retry_after_s is None and code is not None:
        retry_after_s = adapter.quota_reset_s(code, int(now.timestamp() * 1000))
    detail = f"HTTP {status}" + (f", code {code}" if code is not None else "")
    return kind(detail, http_status=status, retry_after_s=retry_after_s)


def _told(read: Callable[[Any], T], payload: Any) -> T | None:
    """What an adapter reads out of a body; nothing where it stumbles over junk."""
    try:
        return read(payload)
    except Exception:  # such as lists a thousand deep where a text should stand
        return None


def _kind(adapter: Adapter, status: int, code: int | str | None) -> type[ProviderError] | None:
    """The most particular entry of the table counts."""
    pairs = [(status, code), *([(None, code)] if code is not None else []), (status, None)]
    named = (adapter.errors[pair] for pair in pairs if pair in adapter.errors)
    return next(named, None) or _default_error(status)


def _names(adapter: Adapter, status: int, code: int | str | None) -> bool:
    """The vendor's own code says what this is. One that repeats the HTTP status says no more."""
    if code is None or code == status:
        return False
    return (status, code) in adapter.errors or (None, code) in adapter.errors


def _default_error(status: int) -> type[ProviderError] | None:
    if 200 <= status < 300:
        return None
    if status >= 500:
        return UpstreamFailed
    if 400 <= status < 500:
        return DEFAULT_ERRORS.get(status, QueryRefused)
    return MalformedResponse  # 1xx and redirects: nobody we ask has reason to


def _retry_after_s(
    adapter: Adapter, headers: Mapping[str, str], payload: Any, now: datetime
) -> float | None:
    """What the provider says, in seconds; nothing usable gives None."""
    seconds = _usable(_header_seconds(headers, now))
    until_ms = _told(adapter.banned_until_ms, payload)
    return seconds or _usable(until_ms / 1000 - now.timestamp() if until_ms else None)


def _usable(seconds: float | None) -> float | None:
    """0 would have us hammer a provider that just refused, a year forget it: our own ladder is
    better than either."""
    return seconds if seconds and 0 < seconds <= LONGEST_RETRY_AFTER_S else None


def _reset_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to the end of a spent window, told as seconds or as an instant; None where the
    window is not the spent one, or not told."""
    if headers.get("x-ratelimit-remaining", "0").strip() != "0":
        return None
    told = (headers.get(name, "").strip() for name in _RESETS)
    text = next((text for text in told if _SECONDS.fullmatch(text)), None)
    if text is None:
        return None
    figure = float(text)
    epoch_s = figure / 1000 if figure >= _EPOCH_MS else figure
    return _usable(epoch_s - now.timestamp() if epoch_s >= _EPOCH_S else figure)


def _says_quota(body: bytes) -> bool:
    """A guess by words. A page is written for people, and speaks of days and months anyway."""
    text = body[:WORDS_BYTES].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    return not text.startswith("<") and bool(_LONG.search(text)) and not _SHORT.search(text)


def _header_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Retry-After as seconds or as a date, the date read by the sender's own clock. Of several
    values the longest."""
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
    except Exception:  # it promises ValueError, and has raised others on junk
        return None
