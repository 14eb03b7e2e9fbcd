"""Ranked lists of vendors that have ids of their own."""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from backend.models.market import ForeignRanking, ListedCoin
from backend.providers.rows import AHEAD_MS, Name, parse_rows, refuse_other_times

#: Rows of a list that are kept, best rank first.
LIST_SIZE = 500


def foreign_ranking(
    rows: Sequence[Any], parse: Callable[[Any], ListedCoin], name: Name, now_ms: int, *, most: int
) -> ForeignRanking:
    """The list, best rank first; of two rows with one slug the first counts.

    Refused rows are named by `name`: malformed ones, and those from the future. Raises ValueError
    as `parse_rows`, and if the list is not current.
    """
    listed, refused = parse_rows(rows, parse, name, most=most)
    own_ms = refuse_other_times(filter(None, map(_stamp_ms, listed)), now_ms)
    ahead = {row.slug for row in listed if _stamp_ms(row) > own_ms + AHEAD_MS}
    unique = {row.slug: row for row in reversed(listed) if row.slug not in ahead}
    best = sorted(unique.values(), key=lambda row: (row.coin.market_cap_rank or inf, row.slug))
    return ForeignRanking(tuple(best[:LIST_SIZE]), (*refused, *sorted(ahead)))


def _stamp_ms(row: ListedCoin) -> int:
    updated = row.coin.last_updated
    return int(updated.timestamp() * 1000) if updated else 0


def change_of(price: float | None, percentage: float | None) -> float | None:
    """The change as an amount, from the price now and the change in percent; None if one of them
    is unknown, or if the price was not positive before."""
    if price is None or percentage is None or percentage <= -100:
        return None
    return price - price / (1 + percentage / 100)
