"""What an HTTP answer means that is no success: which error, and for how long."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
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

#: Longer than any provider's honest word; a larger figure is a unit error.
LONGEST_RETRY_AFTER_S = 31 * 86_400.0
#: A rate limit whose text speaks of these is a day's or a month's.
_MONTH = re.compile(r"month|quota", re.IGNORECASE)
_DAY = re.compile(r"\bdaily\b|\bper day\b|/day\b", re.IGNORECASE)

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
    if kind in (RateLimited, QuotaSpent) and (reset_s := _until_reset_s(body, now)):
        kind, retry_after_s = QuotaSpent, retry_after_s or reset_s
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
    seconds = _header_seconds(headers, now)
    until_ms = _told(adapter.banned_until_ms, payload)
    if seconds is None and until_ms:
        seconds = until_ms / 1000 - now.timestamp()
    # 0 would have us hammer a provider that just refused: our own ladder is better.
    if seconds is None or seconds <= 0:
        return None
    return min(seconds, LONGEST_RETRY_AFTER_S)


def _until_reset_s(body: bytes, now: datetime) -> float | None:
    """Seconds to the reset of a day's or month's quota that the text names, else None."""
    text = body[:2_000].decode("utf-8", "replace")
    if _MONTH.search(text):
        return 86_400.0  # the anchor day is unknown: ask once a day
    if not _DAY.search(text):
        return None
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - now).total_seconds()


def _header_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Retry-After as seconds or as a date, the date read by the sender's own clock."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,15}(\.\d{1,6})?", text):
        return float(text)
    until = _date(text)
    if until is None:
        return None
    return (until - (_date(headers.get("date", "")) or now)).total_seconds()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (OverflowError, TypeError, ValueError):
        return None
