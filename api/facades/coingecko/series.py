"""Ranges of series: asked for by the grid of their freshness, and cut to what was asked.

Programs ask for a range up to this second. On the grid such questions are the same one, and the
points outside of the range are left out of the answer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from api.encoding import to_json
from api.facades.coingecko.freshness import DAY_S, LISTS_STALE_S, series_ttl_s
from backend.models.pass_through import PassThroughQuery

#: Epoch seconds until the year 2286: more are milliseconds, which the vendor does not take.
_SECONDS = re.compile(r"\d{1,10}(\.\d{1,6})?")
#: Spans in days up to which the vendor's points have a finer step: five minutes, an hour.
FINER_UP_TO = (1, 90)


@dataclass(frozen=True, slots=True)
class Range:
    """`first_s` and `last_s` are epoch seconds, both inclusive."""

    first_s: float
    last_s: float

    @property
    def days(self) -> float:
        return (self.last_s - self.first_s) / DAY_S

    def on_grid(self, step_s: float) -> "Range":
        """The smallest range of whole steps around this one.

        Where its span would have wider steps between points, it begins one step later: the first
        minutes are missing then, and the step between the points is that which was asked for.
        """
        first_s = self.first_s // step_s * step_s
        last_s = -(-self.last_s // step_s) * step_s
        for most in FINER_UP_TO:
            if self.days <= most < (last_s - first_s) / DAY_S:
                first_s = last_s - most * DAY_S
        return Range(first_s, last_s)


def range_of(query: PassThroughQuery) -> Range | None:
    """None for dates, and for other texts: these are asked for as they are sent."""
    parameters = dict(query.params)
    texts = parameters["from"], parameters["to"]
    if not all(map(_SECONDS.fullmatch, texts)):
        return None
    first_s, last_s = map(float, texts)
    return Range(first_s, last_s) if first_s < last_s else None


def on_grid(query: PassThroughQuery, asked: Range, now: datetime) -> PassThroughQuery:
    """The question whose answer has the points of all ranges within the same steps."""
    now_s, ttl_s = now.timestamp(), series_ttl_s(asked.days)
    wide = asked.on_grid(ttl_s)
    bounds = {"from": f"{wide.first_s:.0f}", "to": f"{wide.last_s:.0f}"}
    params = tuple(sorted((dict(query.params) | bounds).items()))
    if now_s - asked.last_s > DAY_S:  # what has passed stays as it is
        return replace(query, params=params, ttl_s=DAY_S, max_stale_s=LISTS_STALE_S)
    return replace(query, params=params, ttl_s=ttl_s)


def cut(body: bytes, asked: Range) -> Callable[[], bytes]:
    """Makes the answer without the points that are outside of the range."""

    def made() -> bytes:
        document = orjson.loads(body)
        if not isinstance(document, dict):
            return body
        return to_json({name: _within(points, asked) for name, points in document.items()})

    return made


def _within(points: Any, asked: Range) -> Any:
    """The points of a series, stamped in epoch milliseconds; other values as they are."""
    if not isinstance(points, list):
        return points
    first_ms, last_ms = asked.first_s * 1000, asked.last_s * 1000
    return [one for one in points if not _is_stamped(one) or first_ms <= one[0] <= last_ms]


def _is_stamped(point: Any) -> bool:
    return isinstance(point, list) and bool(point) and isinstance(point[0], int | float)
