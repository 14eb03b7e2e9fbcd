"""How long CoinGecko's answers are fresh, and how old they may be when it fails."""

from dataclasses import replace
from datetime import UTC, datetime

from api.facades.vendor_paths import Parameters
from backend.models.pass_through import PassThroughQuery

MINUTE_S, HOUR_S, DAY_S = 60.0, 3_600.0, 86_400.0
#: A price is not served when it is older, with its time beside it and without.
MOST_STALE_S, MOST_STALE_UNTIMED_S = 15 * MINUTE_S, 5 * MINUTE_S
#: The highest age of series, and of what hardly ever changes.
SERIES_STALE_S, LISTS_STALE_S = 6 * HOUR_S, 7 * DAY_S
#: Seconds for which a series is fresh, by the days that it is of.
SERIES_TTL_S = ((1, 5 * MINUTE_S), (90, 15 * MINUTE_S))
LONG_SERIES_TTL_S = HOUR_S


def of_prices(query: PassThroughQuery, parameters: Parameters) -> PassThroughQuery:
    """A price may be older where the answer has its time."""
    has_time = "include_last_updated_at" in parameters
    return replace(query, max_stale_s=MOST_STALE_S if has_time else MOST_STALE_UNTIMED_S)


def series_ttl_s(days: float) -> float:
    return next((ttl_s for most, ttl_s in SERIES_TTL_S if days <= most), LONG_SERIES_TTL_S)


def of_series(query: PassThroughQuery, parameters: Parameters) -> PassThroughQuery:
    days = parameters["days"]
    ttl_s = LONG_SERIES_TTL_S if days == "max" else series_ttl_s(float(days))
    return replace(query, ttl_s=ttl_s)


def survives(query: PassThroughQuery, _parameters: Parameters) -> PassThroughQuery:
    """The list of all coins has some megabytes, and changes within days."""
    return replace(query, outlives_restart=True, max_bytes=16 * 1024 * 1024)


def of_day(query: PassThroughQuery, date: str, now: datetime) -> PassThroughQuery:
    """A past day (`dd-mm-yyyy`, UTC) has figures that stay."""
    try:
        day = datetime.strptime(date, "%d-%m-%Y").replace(tzinfo=UTC)
    except ValueError:
        return query
    is_past = day.date() < now.astimezone(UTC).date()
    return replace(query, ttl_s=DAY_S, max_stale_s=LISTS_STALE_S) if is_past else query
