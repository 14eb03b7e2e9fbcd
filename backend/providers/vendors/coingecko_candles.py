"""CoinGecko's candles, whose timestamp is their close and which have no volume.

`/coins/{id}/ohlc` chooses the interval by `days`: 1 gives 30 minutes, 30 gives 4 hours; longer
candles are merged from these. The paid plans have `interval=hourly|daily` and `/ohlc/range`. The
last candle is incomplete, its timestamp in the future (docs.coingecko.com/reference/coins-id-ohlc).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import repeat
from operator import index
from typing import Any
from urllib.parse import quote

from backend.identity.instruments import DOLLAR
from backend.models.market import NAMESAKE_FACTOR, agree
from backend.models.ohlc import (
    DAY,
    MINUTE,
    Candle,
    Candles,
    Interval,
    OhlcQuery,
    candle_from_fields,
    candles_from_values,
)
from backend.providers.adapter import Call, Context, Operation
from backend.providers.candle_columns import columns_of
from backend.providers.rows import CURRENT_WITHIN_MS, parse_candles

PAID_PLAN = "pro"
#: `days`, the interval that it gives, and the intervals that can be merged from it.
FINE = (1, Interval.M30, frozenset({Interval.M30, Interval.H1, Interval.H2}))
COARSE = (30, Interval.H4, frozenset({Interval.H4, Interval.H8, Interval.H12, Interval.D1}))
#: `interval` of the paid plans: its name, the largest `days`, the most candles of a range call.
NATIVE = {Interval.H1: ("hourly", 90, 744), Interval.D1: ("daily", 180, 180)}
FIRST_CANDLE_MS = 1_518_134_400_000  # 2018-02-09, the first candle of /ohlc/range
#: CoinGecko caches these endpoints for 15 minutes on every plan.
CACHE_MS = 15 * MINUTE


def serves_merged(query: OhlcQuery, _context: Context) -> bool:
    is_newest = query.coin_id is not None and query.start_ms is None
    return is_newest and query.currency == DOLLAR and _grain(query.interval) is not None


def serves_native(query: OhlcQuery, context: Context) -> bool:
    return _is_paid(query, context) and query.start_ms is None


def serves_range(query: OhlcQuery, context: Context) -> bool:
    is_recorded = query.end_ms is not None and query.end_ms > FIRST_CANDLE_MS
    return _is_paid(query, context) and is_recorded


def build_merged(query: OhlcQuery, _context: Context) -> tuple[Call, ...]:
    days = (_grain(query.interval) or COARSE)[0]
    return (Call(_path(query), (("vs_currency", "usd"), ("days", str(days)))),)


def build_native(query: OhlcQuery, _context: Context) -> tuple[Call, ...]:
    name, days, _ = NATIVE[query.interval]
    params = (("vs_currency", "usd"), ("days", str(days)), ("interval", name))
    return (Call(_path(query), params),)


def build_range(query: OhlcQuery, context: Context) -> tuple[Call, ...]:
    """One call for each page of the range. `from` and `to` are inclusive close times."""
    name, _, most = NATIVE[query.interval]
    step_ms = query.interval.step_ms
    first = max(query.start_ms or 0, FIRST_CANDLE_MS) + step_ms
    last = min(query.end_ms or context.now_ms, context.now_ms)
    return tuple(
        Call(
            f"{_path(query)}/range",
            (
                ("vs_currency", "usd"),
                ("from", str(at // 1000)),
                ("to", str(min(at + (most - 1) * step_ms, last) // 1000)),
                ("interval", name),
            ),
        )
        for at in range(first, last + 1, most * step_ms)
    )


def parse_merged(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    """Candles merged from shorter ones; a candle with a missing part is left out."""
    days, grain, _ = _grain(query.interval) or COARSE
    series = _series(payloads, grain, days * DAY // grain.step_ms, context)
    _refuse_other(query, series, context)
    parts = {part.timestamp: part for part in series.candles}
    opens = sorted({query.interval.open_of(at) for at in parts})
    merged = (_merged(parts, at, at + query.interval.step_ms, grain.step_ms) for at in opens)
    whole = tuple(candle for candle in merged if candle)
    if not whole:
        raise ValueError("no candle is complete")
    return Candles(query.interval, whole, refused=series.refused)


def parse_native(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    days = NATIVE[query.interval][1]
    series = _series(payloads, query.interval, days * DAY // query.interval.step_ms, context)
    _refuse_other(query, series, context)
    return series


def parse_range(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    """The candles of all pages that open in the range. An empty range is a valid answer."""
    series = _series(payloads, query.interval, NATIVE[query.interval][2], context)
    start, end = query.start_ms or 0, query.end_ms or context.now_ms
    kept = tuple(candle for candle in series.candles if start <= candle.timestamp < end)
    if series.candles and not kept:
        raise ValueError("the candles are outside the requested range")
    return replace(series, candles=kept)


def _is_paid(query: OhlcQuery, context: Context) -> bool:
    """Only in dollars: candles in other currencies would be converted ones, of no book."""
    is_known = query.coin_id is not None and query.interval in NATIVE
    return is_known and query.currency == DOLLAR and context.plan == PAID_PLAN


def _grain(interval: Interval) -> tuple[int, Interval, frozenset[Interval]] | None:
    return next((grain for grain in (FINE, COARSE) if interval in grain[2]), None)


def _path(query: OhlcQuery) -> str:
    return f"/coins/{quote(query.coin_id or '', safe='')}/ohlc"


def _series(pages: Sequence[Any], interval: Interval, most: int, context: Context) -> Candles:
    """The candles of all pages, each of at most `most`."""
    step_ms = interval.step_ms
    candles, candle = partial(_candles, step_ms, context), partial(_candle, step_ms, context)
    opened = partial(_opened, step_ms)
    return _final(parse_candles(pages, interval, candles, candle, opened, most=2 * most))


def _opened(step_ms: int, row: Any) -> int:
    """The open time of a row, whose timestamp is its close."""
    return index(row[0]) - step_ms


def _candles(step_ms: int, context: Context, rows: list[Any]) -> list[Candle]:
    ends_ms, opened, high, low, close, *_ = columns_of(rows)
    opens_ms = [index(end_ms) - step_ms for end_ms in ends_ms]
    if max(opens_ms) - context.now_ms > CURRENT_WITHIN_MS:
        raise ValueError("a candle is in the future")
    closed = [at + step_ms + CACHE_MS <= context.now_ms for at in opens_ms]
    return candles_from_values(zip(opens_ms, opened, high, low, close, repeat(None), closed))


def _candle(step_ms: int, context: Context, row: Any) -> Candle:
    """The candle of a row. It is closed once the vendor's cache expired after its close."""
    at = _opened(step_ms, row)
    if at - context.now_ms > CURRENT_WITHIN_MS:
        raise ValueError("the candle is in the future")
    return candle_from_fields(
        {
            "timestamp": at,
            "open": row[1],
            "high": row[2],
            "low": row[3],
            "close": row[4],
            "volume": None,
            "closed": at + step_ms + CACHE_MS <= context.now_ms,
        }
    )


def _final(series: Candles) -> Candles:
    """Marks candles that have a successor as closed."""
    last = len(series.candles) - 1
    if all(candle.closed for candle in series.candles[:last]):
        return series
    candles = (
        candle if candle.closed or at == last else replace(candle, closed=True)
        for at, candle in enumerate(series.candles)
    )
    return replace(series, candles=tuple(candles))


def _refuse_other(query: OhlcQuery, series: Candles, context: Context) -> None:
    """Requires a current newest candle near the known price of the coin."""
    if not series.candles:
        raise ValueError("no candles")
    newest = series.candles[-1]
    earliest = newest.timestamp - CURRENT_WITHIN_MS
    latest = newest.timestamp + series.interval.step_ms + CURRENT_WITHIN_MS
    if not earliest <= context.now_ms <= latest:
        raise ValueError("the newest candle is not current")
    known = query.reference_price
    if known is not None and not agree(newest.close, known, NAMESAKE_FACTOR):
        raise ValueError("the newest candle's price is not the coin's")


def _merged(
    parts: Mapping[int, Candle], start_ms: int, end_ms: int, grain_ms: int
) -> Candle | None:
    """The candle from start to end; None if a part before the newest one is missing."""
    newest_ms = max(parts)
    expected = [at for at in range(start_ms, end_ms, grain_ms) if at <= newest_ms]
    if not all(at in parts for at in expected):
        return None
    found = [parts[at] for at in expected]
    return Candle(
        timestamp=start_ms,
        open=found[0].open,
        high=max(part.high for part in found),
        low=min(part.low for part in found),
        close=found[-1].close,
        volume=None,
        closed=found[-1].closed and expected[-1] + grain_ms == end_ms,
    )


OPERATIONS = (
    Operation("ohlc_native", OhlcQuery, build_native, parse_native, serves_native),
    Operation("ohlc_range", OhlcQuery, build_range, parse_range, serves_range),
    Operation("ohlc", OhlcQuery, build_merged, parse_merged, serves_merged),
)
