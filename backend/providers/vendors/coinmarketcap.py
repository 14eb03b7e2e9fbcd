"""CoinMarketCap's own Fear & Greed Index, from its keyless API. Its values differ from others.

Documentation: coinmarketcap.com/api/documentation/pro-api-reference/keyless-public-api (2026-09).
The keyless limit is per address and unpublished.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from backend.errors import AuthFailed, QuotaSpent, RateLimited
from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import KIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rows import CURRENT_WITHIN_MS, newest_days, parse_rows

KEYLESS = Plan("keyless", ("https://pro-api.coinmarketcap.com",), (Window(1, 60),))

ATTRIBUTION = (
    "CMC Crypto Fear and Greed Index by CoinMarketCap "
    "(https://coinmarketcap.com/charts/fear-and-greed-index/)"
)
#: No index of this kind is older: an earlier time is an error.
FIRST_DAY = datetime(2018, 1, 1, tzinfo=UTC)
DAYS, MOST_DAYS = 365, 800
#: Largest body; a year of days has 30 KiB.
MOST_BYTES = 512 * KIB


def build_fear_greed(_query: SentimentQuery, _context: Context) -> tuple[Call, ...]:
    params = (("limit", str(DAYS)), ("start", "1"))
    return (Call("/public-api/v3/fear-and-greed/historical", params, max_bytes=MOST_BYTES),)


def parse_fear_greed(
    _query: SentimentQuery, payloads: Sequence[Any], context: Context
) -> FearGreedSeries:
    """The days, newest first. Malformed days and days in the future are refused by name."""
    payload = payloads[0]
    if str(payload["status"]["error_code"]) != "0":
        raise ValueError("an error instead of the index")
    latest = datetime.fromtimestamp((context.now_ms + CURRENT_WITHIN_MS) / 1000, UTC)
    parsed, refused = parse_rows(
        payload["data"], partial(_day, latest=latest), "timestamp", most=MOST_DAYS
    )
    return FearGreedSeries(newest_days(parsed, context.now_ms), refused=refused)


def _day(row: Any, latest: datetime) -> FearGreed:
    timestamp = _instant(row["timestamp"])
    if not FIRST_DAY <= timestamp <= latest:
        raise ValueError("older than any such index, or in the future")
    return FearGreed(
        value=_value(row["value"]),
        classification=row.get("value_classification") or None,
        timestamp=timestamp,
        index="coinmarketcap",
        attribution=ATTRIBUTION,
    )


def _value(value: Any) -> int:
    """13 or `"13"`, as clients document both; not 13.5, 13.0 or True."""
    if not re.fullmatch(r"[0-9]{1,3}", str(value)):
        raise ValueError("not a whole number")
    return int(value)


def _instant(value: Any) -> datetime:
    """Epoch seconds (text or number) or ISO 8601, as clients document both."""
    text = str(value)
    is_epoch = re.fullmatch(r"[0-9]{10}", text)
    instant = datetime.fromtimestamp(int(text), UTC) if is_epoch else datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time without a time zone")
    return instant.astimezone(UTC)


def error_code(payload: Any) -> int | None:
    """`status.error_code`; successful answers have 0 or `"0"`."""
    status = payload.get("status") if isinstance(payload, dict) else None
    code = str(status.get("error_code")) if isinstance(status, dict) else ""
    return int(code) if re.fullmatch(r"[1-9][0-9]{0,5}", code) else None


ADAPTER = Adapter(
    vendor="coinmarketcap",
    operations=(Operation("fear_greed", SentimentQuery, build_fear_greed, parse_fear_greed),),
    error_code=error_code,
    errors={
        (None, 1008): RateLimited,  # per minute
        (None, 1009): QuotaSpent,  # per day; its reset is not documented
        (None, 1010): QuotaSpent,  # per month
        (None, 1011): RateLimited,  # the limit of our IP address
        (None, 1005): AuthFailed,  # the endpoint requires a key now
    },
)
