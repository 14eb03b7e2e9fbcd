"""Alternative.me's Crypto Fear & Greed Index, keyless, published daily at 00:00 UTC.

Documentation: alternative.me/crypto/api (2026-02). Use is free if the source is named.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import KIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rows import parse_days, whole_number

PUBLIC = Plan("public", ("https://api.alternative.me",), (Window(60, 60),))

ATTRIBUTION = (
    "Fear & Greed Index by Alternative.me (https://alternative.me/crypto/fear-and-greed-index/)"
)
FIRST_DAY = datetime(2018, 2, 1, tzinfo=UTC)

#: A year in one call, 40 KiB. With `date_format` the times would be texts and the wait negative.
build_fng = Call("/fng/", (("limit", "365"), ("format", "json")), max_bytes=512 * KIB).always


def parse_fng(_query: SentimentQuery, payloads: Sequence[Any], context: Context) -> FearGreedSeries:
    """The days, newest first. Malformed days and days in the future are refused by name."""
    payload = payloads[0]
    if payload["metadata"]["error"] is not None:
        raise ValueError("an error instead of the index")
    days, refused = parse_days(payload["data"], _day, FIRST_DAY, context.now_ms)
    return FearGreedSeries(days, _next_update_s(payload["data"][0]), refused)


def _day(row: Any) -> FearGreed:
    return FearGreed(
        value=whole_number(row["value"], 10),
        classification=row.get("value_classification") or None,
        timestamp=datetime.fromtimestamp(whole_number(row["timestamp"], 10), UTC),
        index="alternative_me",
        attribution=ATTRIBUTION,
    )


def _next_update_s(newest_row: Any) -> float | None:
    """Seconds to the next value; None without a plausible wait of at most 28 hours."""
    text: Any = newest_row.get("time_until_update") if isinstance(newest_row, dict) else None
    is_wait = isinstance(text, str) and re.fullmatch(r"[1-9][0-9]{0,4}", text)
    return float(text) if is_wait else None


ADAPTER = Adapter(
    vendor="alternative_me",
    operations=(Operation("fng", SentimentQuery, build_fng, parse_fng),),
)
