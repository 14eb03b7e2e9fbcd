"""CoinGecko's candles. They are stamped with their close and have no volume.

`/coins/{id}/ohlc` picks its own grain by `days`: 1 gives 30 minutes, 30 gives 4 hours; whole hours
and days are merged from these. The paid plans have `interval=hourly|daily` and `/ohlc/range`.
The last candle is still forming, its stamp lies ahead (docs.coingecko.com/reference/coins-id-ohlc).
"""

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any
from urllib.parse import quote

from backend.models.market import NAMESAKE_FACTOR, agree
from backend.models.ohlc import HOUR, MINUTE, Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import Call, Context, Operation
from backend.providers.rows import NOT_OF_NOW_MS

PAID_PLAN = "pro"
#: `days`, the grain that it gives, and what whole candles that grain makes.
FINE = (1, 30 * MINUTE, frozenset({Interval.M30, Interval.H1, Interval.H2}))
COARSE = (30, 4 * HOUR, frozenset({Interval.H4, Interval.H8, Interval.H12, Interval.D1}))
#: The paid plans' `interval`: its name, the most `days`, the most candles of one range call.
NATIVE = {Interval.H1: ("hourly", 90, 744), Interval.D1: ("daily", 180, 180)}
FIRST_CANDLE_MS = 1_518_134_400_000  # 2018-02-09, the beginning of /ohlc/range
#: Behind a venue's own candles; native ones before those merged from shorter ones.
NATIVE_TIER, MERGED_TIER = 1, 2
#: The endpoints are cached for a quarter of an hour on every plan.
CACHE_MS = 15 * MINUTE


def serves_merged(query: OhlcQuery, _context: Context) -> int | None:
    is_newest = query.coin_id is not None and query.start_ms is None
    return MERGED_TIER if is_newest and _grain(query.interval) else None


def serves_native(query: OhlcQuery, context: Context) -> int | None:
    return NATIVE_TIER if _is_paid(query, context) and query.start_ms is None else None


def serves_range(query: OhlcQuery, context: Context) -> int | None:
    is_recorded = query.end_ms is not None and query.end_ms > FIRST_CANDLE_MS
    return NATIVE_TIER if _is_paid(query, context) and is_recorded else None


def build_merged(query: OhlcQuery, _context: Context) -> tuple[Call, ...]:
    days = (_grain(query.interval) or COARSE)[0]
    return (Call(_path(query), (("vs_currency", "usd"), ("days", str(days)))),)


def build_native(query: OhlcQuery, _context: Context) -> tuple[Call, ...]:
    name, days, _ = NATIVE[query.interval]
    params = (("vs_currency", "usd"), ("days", str(days)), ("interval", name))
    return (Call(_path(query), params),)


def build_range(query: OhlcQuery, context: Context) -> tuple[Call, ...]:
    """As many calls as the range needs. `from` and `to` are both inclusive, and closes."""
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
    """Whole candles of the asked length out of shorter ones; one with a hole is left out."""
    grain_ms = (_grain(query.interval) or COARSE)[1]
    parts = _by_open(payloads[0], grain_ms, context)
    _refuse_other(query, max(parts), grain_ms, parts, context)
    opens = sorted({query.interval.open_of(at) for at in parts})
    merged = (_merged(parts, at, at + query.interval.step_ms, grain_ms) for at in opens)
    return Candles(query.interval, tuple(candle for candle in merged if candle))


def parse_native(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    step_ms = query.interval.step_ms
    candles = _by_open(payloads[0], step_ms, context)
    _refuse_other(query, max(candles), step_ms, candles, context)
    return Candles(query.interval, tuple(candles[at] for at in sorted(candles)))


def parse_range(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    """What opens in the range, out of all pages. No candle at all is an answer, too."""
    candles: dict[int, Candle] = {}
    for payload in payloads:
        candles |= _by_open(payload, query.interval.step_ms, context)
    start, end = query.start_ms or 0, query.end_ms or context.now_ms
    kept = [candles[at] for at in sorted(candles) if start <= at < end]
    if candles and not kept:
        raise ValueError("candles of another time than was asked for")
    return Candles(query.interval, tuple(kept))


def _is_paid(query: OhlcQuery, context: Context) -> bool:
    is_known = query.coin_id is not None and query.interval in NATIVE
    return is_known and context.plan == PAID_PLAN


def _grain(interval: Interval) -> tuple[int, int, frozenset[Interval]] | None:
    return next((grain for grain in (FINE, COARSE) if interval in grain[2]), None)


def _path(query: OhlcQuery) -> str:
    return f"/coins/{quote(query.coin_id or '', safe='')}/ohlc"


def _by_open(rows: Any, step_ms: int, context: Context) -> dict[int, Candle]:
    """Candles by their open. A candle is final once it is not the last, or surely over."""
    if not isinstance(rows, list):
        raise TypeError("candles are a list")
    by_open = {(index(row[0]) - 1) // step_ms * step_ms: row for row in rows}
    newest = max(by_open, default=0)
    return {
        at: Candle(
            timestamp=at,
            open=row[1],
            high=row[2],
            low=row[3],
            close=row[4],
            volume=None,
            closed=at < newest or at + step_ms + CACHE_MS <= context.now_ms,
        )
        for at, row in by_open.items()
    }


def _refuse_other(
    query: OhlcQuery,
    newest_open_ms: int,
    step_ms: int,
    found: Mapping[int, Candle],
    context: Context,
) -> None:
    """The newest candle is of now, and of the coin's price as it is known: see a venue's rule."""
    earliest, latest = newest_open_ms - NOT_OF_NOW_MS, newest_open_ms + step_ms + NOT_OF_NOW_MS
    if not earliest <= context.now_ms <= latest:
        raise ValueError("the newest candle is not of now")
    known = query.reference_price
    if known is not None and not agree(found[newest_open_ms].close, known, NAMESAKE_FACTOR):
        raise ValueError("the newest candle's price is not the coin's")


def _merged(
    parts: Mapping[int, Candle], start_ms: int, end_ms: int, grain_ms: int
) -> Candle | None:
    """The candle from start to end; None where a part is missing before the newest one."""
    expected = [at for at in range(start_ms, end_ms, grain_ms) if at <= max(parts)]
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
    Operation("ohlc_native", OhlcQuery, serves_native, build_native, parse_native),
    Operation("ohlc_range", OhlcQuery, serves_range, build_range, parse_range),
    Operation("ohlc", OhlcQuery, serves_merged, build_merged, parse_merged),
)
