"""Alternative.me: the Crypto Fear & Greed Index, without a key. It is published daily at 00:00 UTC.

Documentation: alternative.me/crypto/api (2026-02). Use is free if the source is named beside it.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rows import newest_days, parse_rows

PUBLIC = Plan("public", ("https://api.alternative.me",), (Window(60, 60),))

ATTRIBUTION = (
    "Fear & Greed Index by Alternative.me (https://alternative.me/crypto/fear-and-greed-index/)"
)
FIRST_DAY = datetime(2018, 2, 1, tzinfo=UTC)


def serves_fng(_query: SentimentQuery, _context: Context) -> int:
    return 0


def build_fng(_query: SentimentQuery, _context: Context) -> tuple[Call, ...]:
    """A year in one call. With `date_format` times would be texts and the wait negative."""
    return (Call("/fng/", (("limit", "365"), ("format", "json"))),)


def parse_fng(_query: SentimentQuery, payloads: Sequence[Any], context: Context) -> FearGreedSeries:
    """Days, newest first. A few absurd ones are left out, as if they were missing."""
    payload = payloads[0]
    if payload["metadata"]["error"] is not None:
        raise ValueError("an error in place of the index")
    parsed, _ = parse_rows(payload["data"], _day, "timestamp", most=800)
    days = newest_days(parsed, context.now_ms)
    return FearGreedSeries(days, _next_update_s(payload["data"][0]))


def _day(row: Any) -> FearGreed:
    timestamp = datetime.fromtimestamp(_whole(row["timestamp"]), UTC)
    if timestamp < FIRST_DAY:
        raise ValueError("older than the index")
    return FearGreed(
        value=_whole(row["value"]),
        classification=row["value_classification"],
        timestamp=timestamp,
        index="alternative_me",
        attribution=ATTRIBUTION,
    )


def _whole(text: str) -> int:
    """Digits alone: int() would take `1_3`, ` 13 `, 13.5 and True."""
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise ValueError("not a whole number")
    return int(text)


def _next_update_s(newest_row: Any) -> float | None:
    """Seconds to the next value; None where what is told is no wait of at most some 28 hours."""
    text = newest_row.get("time_until_update")
    is_wait = isinstance(text, str) and re.fullmatch(r"[1-9][0-9]{0,4}", text)
    return float(text) if is_wait else None


ADAPTER = Adapter(
    vendor="alternative_me",
    operations=(Operation("fng", SentimentQuery, serves_fng, build_fng, parse_fng),),
)
