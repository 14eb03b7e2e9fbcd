"""Binance spot market data, without a key: 24 h tickers of all pairs, and candles.

Documentation: github binance/binance-spot-api-docs (rest-api.md, errors.md, 2026-07).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from backend.errors import GeoBlocked, QueryRefused, RateLimited, UpstreamFailed
from backend.models.market import (
    NAMESAKE_FACTOR,
    QUOTES,
    PairTicker,
    PairTickers,
    QuotesQuery,
    agree,
)
from backend.models.ohlc import HOUR, Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import MIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rows import NOT_OF_NOW_MS, parse_rows, refuse_other_times

PUBLIC = Plan(
    "public",
    (
        "https://data-api.binance.vision",  # market data only, reachable where others are not
        "https://api.binance.com",
        "https://api-gcp.binance.com",
    ),
    # Per address, over all hosts. The documents differ on raw requests: the smaller figure.
    (
        Window(6_000, 60, unit="weight", header="x-mbx-used-weight-1m"),
        Window(61_000, 300),
    ),
)

#: Money, not coins: EURUSDT is a currency pair.
FIAT = frozenset("ARS/AUD/BRL/COP/CZK/EUR/GBP/IDR/JPY/MXN/NGN/PLN/RON/RUB/TRY/UAH/ZAR".split("/"))
#: A pair that last traded longer before the newest one than this is delisted.
DEAD_AFTER_MS = HOUR
PAGE = 1_000
ALL_TICKERS_WEIGHT = 80
KLINES_WEIGHT = 2


def serves_tickers(query: QuotesQuery, _context: Context) -> int:
    """One of equals once ranks are known; without them, the last resort."""
    return 0 if query.universe_known else 1


def build_tickers(_query: QuotesQuery, _context: Context) -> tuple[Call, ...]:
    """All TRADING pairs in one call; CoinGecko-sized lists cost the same as one page."""
    params = (("symbolStatus", "TRADING"),)
    return (Call("/api/v3/ticker/24hr", params, ALL_TICKERS_WEIGHT, max_bytes=32 * MIB),)


def parse_tickers(_query: QuotesQuery, payloads: Sequence[Any], context: Context) -> PairTickers:
    """Live dollar pairs, one a coin: dead, frozen, fiat and absurd rows are left out."""
    rows = payloads[0]
    traded = [row for row in rows if row["count"] > 0]
    # The venue's own now, as our clock may be wrong; dead pairs are few among those with trades.
    venue_ms = refuse_other_times([row["closeTime"] for row in traded], context.now_ms)
    live = [row for row in traded if abs(venue_ms - row["closeTime"]) <= DEAD_AFTER_MS]
    dollar = [row for quote in QUOTES for row in live if base_against(row["symbol"], quote)]
    tickers, refused = parse_rows(dollar, _ticker, "symbol", most=10_000)
    best: dict[str, PairTicker] = {}
    for ticker in tickers:
        best.setdefault(ticker.base, ticker)
    return PairTickers(tuple(best.values()), refused)


def base_against(symbol: str, quote: str) -> str | None:
    """The coin of a pair against `quote`; None where it is another pair, or money."""
    base = symbol.removesuffix(quote)
    return base if base and base != symbol and base not in FIAT else None


def _ticker(row: Any) -> PairTicker:
    quote = next(quote for quote in QUOTES if row["symbol"].endswith(quote))
    return PairTicker(
        pair=row["symbol"],
        base=row["symbol"].removesuffix(quote),
        quote=quote,
        price=float(row["lastPrice"]),
        high=float(row["highPrice"]),
        low=float(row["lowPrice"]),
        quote_volume=float(row["quoteVolume"]),
        change=float(row["priceChange"]),
        change_percentage=float(row["priceChangePercent"]),  # already percent
        closed_at=datetime.fromtimestamp(row["closeTime"] / 1000, UTC),
    )


def serves_klines(query: OhlcQuery, _context: Context) -> int | None:
    # Without a known price nothing tells the coin's pair from a namesake's.
    return 0 if query.pair and query.reference_price is not None else None


def build_klines(query: OhlcQuery, _context: Context) -> tuple[Call, ...]:
    """The newest 1,000 candles, or pages of 1,000 behind a probe of today's price."""
    if query.start_ms is None or query.end_ms is None:
        return (_klines(query, query.interval, PAGE),)
    span = PAGE * query.interval.step_ms
    pages = range(query.start_ms, query.end_ms, span)
    return (
        _klines(query, "1m", 1),
        *(
            _klines(query, query.interval, PAGE, at, min(at + span, query.end_ms) - 1)
            for at in pages
        ),
    )


def _klines(
    query: OhlcQuery, interval: str, limit: int, start: int | None = None, end: int | None = None
) -> Call:
    params = [("symbol", query.pair or ""), ("interval", str(interval)), ("limit", str(limit))]
    if start is not None:
        params += [("startTime", str(start)), ("endTime", str(end))]
    return Call("/api/v3/klines", tuple(params), KLINES_WEIGHT)


def parse_klines(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    """Candles in time order. Raises QueryRefused where the pair is dead or a namesake's."""
    _refuse_other_market(query, payloads[0], context)
    pages = payloads if query.start_ms is None else payloads[1:]
    rows = [row for page in pages for row in _listed(page)]
    candles = tuple(_candle(row, query.interval, context) for row in rows)
    if not all(_is_asked_for(one, query) for one in candles):
        raise ValueError("a candle is of another time than was asked for")
    return Candles(query.interval, candles, query.pair)


def _is_asked_for(candle: Candle, query: OhlcQuery) -> bool:
    if query.start_ms is None or query.end_ms is None:
        return True
    return query.start_ms <= candle.timestamp < query.end_ms


def _candle(row: Any, interval: Interval, context: Context) -> Candle:
    _refuse_ahead(row, context)
    if not row[0] < row[6] < interval.next_open(row[0]):
        raise ValueError("the candle does not end before the next one begins")
    return Candle(
        timestamp=row[0],
        open=float(row[1]),
        high=float(row[2]),
        low=float(row[3]),
        close=float(row[4]),
        volume=float(row[5]),
        closed=row[6] < context.now_ms,
    )


def _refuse_ahead(row: Any, context: Context) -> None:
    if row[0] - context.now_ms > NOT_OF_NOW_MS:
        raise ValueError("the candle lies ahead")


def _listed(page: Any) -> list[Any]:
    if not isinstance(page, list):
        raise TypeError("candles are a list")
    return page


def _refuse_other_market(query: OhlcQuery, newest_rows: Any, context: Context) -> None:
    """The newest candle must be of now and of the known price: a delisted pair's candles end
    long ago, and a namesake's have another price."""
    if not _listed(newest_rows):
        raise QueryRefused("no candles of this pair")
    newest = newest_rows[-1]
    if context.now_ms - newest[6] > NOT_OF_NOW_MS:  # a live pair's newest candle ends ahead of now
        raise QueryRefused("the pair is no longer traded")
    _refuse_ahead(newest, context)
    # Coarser than the tickers' rule: the known price may be hours old.
    known = query.reference_price
    if known is None or not agree(float(newest[4]), known, NAMESAKE_FACTOR):
        raise QueryRefused("the pair's price is not the coin's")


def error_code(payload: Any) -> int | None:
    code = payload.get("code") if isinstance(payload, dict) else None
    return code if isinstance(code, int) else None


def banned_until_ms(payload: Any) -> int | None:
    """`IP banned until 1785050129644` (epoch ms) stands only in the text."""
    text = str(payload.get("msg", "")) if isinstance(payload, dict) else ""
    match = re.search(r"banned until (\d{13})", text)
    return int(match[1]) if match else None


ADAPTER = Adapter(
    vendor="binance",
    operations=(
        Operation("ticker_24hr", QuotesQuery, serves_tickers, build_tickers, parse_tickers),
        Operation("klines", OhlcQuery, serves_klines, build_klines, parse_klines),
    ),
    error_code=error_code,
    errors={
        (418, None): RateLimited,  # banned, on all hosts, for calling on after a 429
        (451, None): GeoBlocked,
        (403, None): GeoBlocked,  # the firewall
        (None, -1121): QueryRefused,  # invalid symbol
        (None, -1120): QueryRefused,  # invalid interval
        (None, -1003): RateLimited,
        (None, -1000): UpstreamFailed,
        (None, -1001): UpstreamFailed,
        (None, -1007): UpstreamFailed,
        (None, -1008): UpstreamFailed,
        (None, -1016): UpstreamFailed,
    },
    banned_until_ms=banned_until_ms,
)
