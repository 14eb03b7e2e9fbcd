"""CoinGecko v3: the ranked market list and candles. Pro, Demo key and keyless are three plans.

Documentation: docs.coingecko.com (reference of 2026-06); errors: /docs/errors-and-rate-limits.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from backend.errors import AuthFailed, PlanRestricted, QueryRefused, RateLimited
from backend.models.market import Coin, QuotesQuery, Ranking
from backend.models.ohlc import HOUR, MINUTE, Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import Adapter, Auth, Call, Context, Operation, Plan, Window
from backend.providers.rows import parse_rows

MONTH_S = 30 * 86_400.0

PRO = Plan(
    "pro",
    ("https://pro-api.coingecko.com/api/v3",),
    # Basic, the smallest paid plan; larger ones by COINGECKO_PRO_LIMITS.
    (Window(300, 60), Window(100_000, MONTH_S, counts_on="success")),
    Auth("header", "x-cg-pro-api-key"),
)
DEMO = Plan(
    "demo",
    ("https://api.coingecko.com/api/v3",),
    # Sources say 30 or 100 a minute: the smaller one is safe.
    (Window(30, 60), Window(10_000, MONTH_S, counts_on="success")),
    Auth("header", "x-cg-demo-api-key"),
)
KEYLESS = Plan("keyless", DEMO.base_urls, (Window(5, 60),))

#: What is further from now than this, either way, is not of now, however wrong our clock.
NOT_OF_NOW_MS = 12 * HOUR
#: The candle endpoints are cached for a quarter of an hour on every plan.
CANDLE_CACHE_MS = 15 * MINUTE


def serves_markets(_query: QuotesQuery, _context: Context) -> int:
    return 0


def build_markets(_query: QuotesQuery, _context: Context) -> tuple[Call, ...]:
    """The top 250 by market cap in one call: one page serves every reader."""
    params = (("vs_currency", "usd"), ("order", "market_cap_desc"), ("per_page", "250"))
    return (Call("/coins/markets", (*params, ("page", "1"))),)


def parse_markets(_query: QuotesQuery, payloads: Sequence[Any], context: Context) -> Ranking:
    """The ranked list, best rank first. A few absurd rows are left out and named."""
    coins, refused = parse_rows(payloads[0], partial(_coin, context.provider), "id")
    _refuse_old(max(coin.last_updated for coin in coins if coin.last_updated), context)
    unique = {coin.id: coin for coin in reversed(coins)}
    return Ranking(tuple(sorted(unique.values(), key=_rank)), refused)


def _rank(coin: Coin) -> tuple[bool, int, str]:
    return coin.market_cap_rank is None, coin.market_cap_rank or 0, coin.id or ""


def _coin(provider: str, row: Any) -> Coin:
    return Coin(
        id=row["id"],
        symbol=row["symbol"].upper(),
        name=row["name"],
        image=row["image"] if str(row["image"]).startswith("http") else None,  # "missing_large.png"
        market_cap_rank=row["market_cap_rank"],
        price=row["current_price"],
        market_cap=row["market_cap"] or None,  # 0 where the supply is unknown
        volume_24h=row["total_volume"],
        high_24h=row["high_24h"],
        low_24h=row["low_24h"],
        price_change_24h=row["price_change_24h"],
        price_change_percentage_24h=row["price_change_percentage_24h"],
        circulating_supply=row["circulating_supply"],
        last_updated=_instant(row["last_updated"]),
        source=provider,
    )


def _instant(text: str | None) -> datetime | None:
    """CoinGecko mixes `Z` and offsets, and cuts milliseconds."""
    if text is None:
        return None
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant without a time zone")
    return instant.astimezone(UTC)


def _refuse_old(newest: datetime, context: Context) -> None:
    if abs(context.now_ms - int(newest.timestamp() * 1000)) > NOT_OF_NOW_MS:
        raise ValueError("the newest row is not of now")


# Candles. /coins/{id}/ohlc picks its own grain by `days`: 1 gives 30 minutes, 30 gives 4 hours.
# Rows are [close ms, open, high, low, close], no volume; the last one is still forming and
# stamped in the future (docs.coingecko.com/reference/coins-id-ohlc).
FINE = (1, 30 * MINUTE, frozenset({Interval.M30, Interval.H1, Interval.H2}))
COARSE = (30, 4 * HOUR, frozenset({Interval.H4, Interval.H8, Interval.H12, Interval.D1}))
#: Native `interval` of the paid plans: its name, the most days, the most candles of a range call.
NATIVE = {Interval.H1: ("hourly", 90, 744), Interval.D1: ("daily", 180, 180)}
FIRST_CANDLE_MS = 1_518_134_400_000  # 2018-02-09, the beginning of /ohlc/range
#: Behind a venue's own candles; native ones before those merged from shorter ones.
NATIVE_TIER, MERGED_TIER = 1, 2


def serves_merged(query: OhlcQuery, _context: Context) -> int | None:
    is_newest = query.coin_id is not None and query.start_ms is None
    return MERGED_TIER if is_newest and _grain(query.interval) else None


def serves_native(query: OhlcQuery, context: Context) -> int | None:
    is_ours = context.plan == PRO.name and query.coin_id is not None and query.start_ms is None
    return NATIVE_TIER if is_ours and query.interval in NATIVE else None


def serves_range(query: OhlcQuery, context: Context) -> int | None:
    is_ours = context.plan == PRO.name and query.coin_id is not None and query.start_ms is not None
    return NATIVE_TIER if is_ours and query.interval in NATIVE else None


def build_merged(query: OhlcQuery, _context: Context) -> tuple[Call, ...]:
    days = (_grain(query.interval) or COARSE)[0]
    return (Call(_path(query), (("vs_currency", "usd"), ("days", str(days)))),)


def build_native(query: OhlcQuery, _context: Context) -> tuple[Call, ...]:
    name, days, _ = NATIVE[query.interval]
    params = (("vs_currency", "usd"), ("days", str(days)), ("interval", name))
    return (Call(_path(query), params),)


def build_range(query: OhlcQuery, context: Context) -> tuple[Call, ...]:
    """As many calls as the range needs: 744 hourly or 180 daily candles each."""
    name, _, most = NATIVE[query.interval]
    span = most * query.interval.step_ms
    start, end = _range_of(query, context)
    return tuple(
        Call(
            f"{_path(query)}/range",
            (
                ("vs_currency", "usd"),
                ("from", str(at // 1000)),
                ("to", str(min(at + span, end) // 1000)),
                ("interval", name),
            ),
        )
        for at in range(start, end, span)
    )


def parse_merged(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    """Whole candles of the asked length out of shorter ones; a bucket with a hole is left out."""
    grain_ms = (_grain(query.interval) or COARSE)[1]
    rows = _by_open(payloads[0], grain_ms)
    _refuse_old(datetime.fromtimestamp(max(rows) / 1000, UTC), context)
    buckets = sorted({query.interval.open_of(at) for at in rows})
    merged = (_merge(rows, bucket, grain_ms, query, context) for bucket in buckets)
    return Candles(query.interval, tuple(candle for candle in merged if candle))


def parse_native(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    series = _native_series(query, payloads, context)
    _refuse_old(datetime.fromtimestamp(series.candles[-1].timestamp / 1000, UTC), context)
    return series


def parse_range(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    series = _native_series(query, payloads, context)
    start, end = query.start_ms or 0, query.end_ms or context.now_ms
    kept = (candle for candle in series.candles if start <= candle.timestamp < end)
    return Candles(query.interval, tuple(kept))


def _grain(interval: Interval) -> tuple[int, int, frozenset[Interval]] | None:
    return next((grain for grain in (FINE, COARSE) if interval in grain[2]), None)


def _path(query: OhlcQuery) -> str:
    return f"/coins/{quote(query.coin_id or '', safe='')}/ohlc"


def _range_of(query: OhlcQuery, context: Context) -> tuple[int, int]:
    """What of the range can exist, shifted by one candle as the stamps are closes."""
    start = max(query.start_ms or 0, FIRST_CANDLE_MS)
    end = min(query.end_ms or context.now_ms, context.now_ms)
    return start, end + query.interval.step_ms


def _by_open(rows: Any, step_ms: int) -> dict[int, Any]:
    """Rows by the open of their candle: the stamp is its close."""
    return {(int(row[0]) - 1) // step_ms * step_ms: row for row in rows}


def _is_closed(close_ms: int, context: Context) -> bool:
    # An answer may be a quarter of an hour old, so a candle that just closed is not final in it.
    return close_ms + CANDLE_CACHE_MS <= context.now_ms


def _candle(open_ms: int, rows: Sequence[Any], is_closed: bool) -> Candle:
    return Candle(
        timestamp=open_ms,
        open=rows[0][1],
        high=max(row[2] for row in rows),
        low=min(row[3] for row in rows),
        close=rows[-1][4],
        volume=None,
        closed=is_closed,
    )


def _merge(
    rows: dict[int, Any], bucket_ms: int, grain_ms: int, query: OhlcQuery, context: Context
) -> Candle | None:
    """One bucket's candle out of `rows` by open; None where a part is missing."""
    opens = range(bucket_ms, bucket_ms + query.interval.step_ms, grain_ms)
    newest = max(rows)
    parts = [rows[at] for at in opens if at in rows]
    expected = [at for at in opens if at <= newest]  # the rest of the last bucket is to come
    if len(parts) < len(expected):
        return None
    is_whole = len(expected) == len(opens)
    is_final = opens[-1] < newest or _is_closed(bucket_ms + query.interval.step_ms, context)
    return _candle(bucket_ms, parts, is_whole and is_final)


def _native_series(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    step_ms = query.interval.step_ms
    rows: dict[int, Any] = {}
    for payload in payloads:
        rows |= _by_open(payload, step_ms)
    newest = max(rows, default=0)
    return Candles(
        query.interval,
        tuple(
            _candle(at, [rows[at]], at < newest or _is_closed(at + step_ms, context))
            for at in sorted(rows)
        ),
    )


def error_code(payload: Any) -> int | None:
    """The code from any of the four body shapes; None where a body has none."""
    error = payload.get("error") if isinstance(payload, dict) else None
    inner = error.get("status") if isinstance(error, dict) else None
    outer = payload.get("status") if isinstance(payload, dict) else None
    holders = (holder for holder in (outer, payload, inner) if isinstance(holder, dict))
    codes = (holder.get("error_code") for holder in holders)
    return next((code for code in codes if isinstance(code, int)), None)


ADAPTER = Adapter(
    vendor="coingecko",
    operations=(
        Operation("markets", QuotesQuery, serves_markets, build_markets, parse_markets),
        Operation("ohlc_native", OhlcQuery, serves_native, build_native, parse_native),
        Operation("ohlc_range", OhlcQuery, serves_range, build_range, parse_range),
        Operation("ohlc", OhlcQuery, serves_merged, build_merged, parse_merged),
    ),
    error_code=error_code,
    errors={
        (None, 429): RateLimited,
        (None, 10002): AuthFailed,  # no key, or a wrong one
        (None, 10005): PlanRestricted,
        (None, 10010): AuthFailed,  # a Pro key on the public host
        (None, 10011): AuthFailed,  # a Demo key on the Pro host
        (None, 10012): QueryRefused,  # further back than the plan reaches
    },
)
