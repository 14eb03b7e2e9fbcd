"""CoinMarketCap's own Fear & Greed Index, from its keyless API. Its values differ from others.

Documentation: coinmarketcap.com/api/documentation/pro-api-reference/keyless-public-api (2026-09).
The keyless limit is per address and unpublished.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from backend.errors import AuthFailed, QuotaSpent, RateLimited
from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import KIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rows import iso_instant, parse_days, whole_number

KEYLESS = Plan("keyless", ("https://pro-api.coinmarketcap.com",), (Window(1, 60),))

ATTRIBUTION = (
    "CMC Crypto Fear and Greed Index by CoinMarketCap "
    "(https://coinmarketcap.com/charts/fear-and-greed-index/)"
)
#: No index of this kind is older: an earlier time is an error.
FIRST_DAY = datetime(2018, 1, 1, tzinfo=UTC)

#: A year in one call, 30 KiB.
build_fear_greed = Call(
    "/public-api/v3/fear-and-greed/historical",
    (("limit", "365"), ("start", "1")),
    max_bytes=512 * KIB,
).always


def parse_fear_greed(
    _query: SentimentQuery, payloads: Sequence[Any], context: Context
) -> FearGreedSeries:
    """The days, newest first. Malformed days and days in the future are refused by name."""
    payload = payloads[0]
    if str(payload["status"]["error_code"]) != "0":
        raise ValueError("an error instead of the index")
    days, refused = parse_days(payload["data"], _day, FIRST_DAY, context.now_ms)
    return FearGreedSeries(days, refused=refused)


def _day(row: Any) -> FearGreed:
    return FearGreed(
        value=whole_number(str(row["value"]), 3),  # 13 or "13": clients document both
        classification=row.get("value_classification") or None,
        timestamp=_instant(row["timestamp"]),
        index="coinmarketcap",
        attribution=ATTRIBUTION,
    )


def _instant(value: Any) -> datetime:
    """Epoch seconds (text or number) or ISO 8601, as clients document both."""
    text = str(value)
    if re.fullmatch(r"[0-9]{10}", text):
        return datetime.fromtimestamp(int(text), UTC)
    return iso_instant(text)


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
