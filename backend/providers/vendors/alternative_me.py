"""Alternative.me's Crypto Fear & Greed Index, keyless, published daily at 00:00 UTC.

Documentation: alternative.me/crypto/api (2026-02). Use is free if the source is named.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import KIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rows import CURRENT_WITHIN_MS, newest_days, parse_rows

PUBLIC = Plan("public", ("https://api.alternative.me",), (Window(60, 60),))

ATTRIBUTION = (
    "Fear & Greed Index by Alternative.me (https://alternative.me/crypto/fear-and-greed-index/)"
)
FIRST_DAY = datetime(2018, 2, 1, tzinfo=UTC)
DAYS, MOST_DAYS = 365, 800
#: Largest body; a year of days has 40 KiB.
MOST_BYTES = 512 * KIB


def build_fng(_query: SentimentQuery, _context: Context) -> tuple[Call, ...]:
    """A year in one call. With `date_format` the times would be texts and the wait negative."""
    params = (("limit", str(DAYS)), ("format", "json"))
    return (Call("/fng/", params, max_bytes=MOST_BYTES),)


def parse_fng(_query: SentimentQuery, payloads: Sequence[Any], context: Context) -> FearGreedSeries:
    """The days, newest first. Malformed days and days in the future are refused by name."""
    payload = payloads[0]
    if payload["metadata"]["error"] is not None:
        raise ValueError("an error instead of the index")
    latest = datetime.fromtimestamp((context.now_ms + CURRENT_WITHIN_MS) / 1000, UTC)
    parsed, refused = parse_rows(
        payload["data"], partial(_day, latest=latest), "timestamp", most=MOST_DAYS
    )
    days = newest_days(parsed, context.now_ms)
    return FearGreedSeries(days, _next_update_s(payload["data"][0]), refused)


def _day(row: Any, latest: datetime) -> FearGreed:
    timestamp = datetime.fromtimestamp(_whole(row["timestamp"]), UTC)
    if not FIRST_DAY <= timestamp <= latest:
        raise ValueError("older than the index, or in the future")
    return FearGreed(
        value=_whole(row["value"]),
        classification=row.get("value_classification") or None,
        timestamp=timestamp,
        index="alternative_me",
        attribution=ATTRIBUTION,
    )


def _whole(text: str) -> int:
    """Digits only: int() would also accept `1_3`, ` 13 `, 13.5 and True."""
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise ValueError("not a whole number")
    return int(text)


def _next_update_s(newest_row: Any) -> float | None:
    """Seconds to the next value; None without a plausible wait of at most 28 hours."""
    text: Any = newest_row.get("time_until_update") if isinstance(newest_row, dict) else None
    is_wait = isinstance(text, str) and re.fullmatch(r"[1-9][0-9]{0,4}", text)
    return float(text) if is_wait else None


ADAPTER = Adapter(
    vendor="alternative_me",
    operations=(Operation("fng", SentimentQuery, build_fng, parse_fng),),
)
