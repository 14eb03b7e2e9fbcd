"""Binance spot market data, keyless: 24 h tickers of all pairs, and candles.

Documentation: github binance/binance-spot-api-docs (rest-api.md, errors.md, 2026-07).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from operator import index, itemgetter, sub
from typing import Any

from backend.errors import GeoBlocked, HostLacksPath, QueryRefused, RateLimited, UpstreamFailed
from backend.identity.instruments import FIAT, Instrument
from backend.models.market import PairTicker, PairTickers, QuotesQuery, ticker_from_fields
from backend.models.numbers import LONGEST_NAME
from backend.models.ohlc import Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import MIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.candle_columns import candles_of, columns_of, decimal_columns
from backend.providers.pass_through import pass_through
from backend.providers.rows import (
    decimal_number,
    decimal_numbers,
    parse_candles,
    parse_rows,
    printable_name,
)
from backend.providers.venues import (
    candle_of,
    checked_candles,
    current_rows,
    instrument_for,
    preferred_pairs,
    serves_candles,
)

PUBLIC = Plan(
    "public",
    (
        "https://data-api.binance.vision",  # market data only; reachable from more countries
        "https://api.binance.com",
        "https://api-gcp.binance.com",
    ),
    # Per IP address, over all hosts. The documents differ on raw requests: this is the lower one.
    (Window(6_000, 60, unit="weight", header="x-mbx-used-weight-1m"), Window(61_000, 300)),
)

PAGE = 1_000
#: The quotes whose pairs are read, dollar coins first; no other one ends like them.
OWN_QUOTES = ("USDT", "FDUSD", "USDC", "EUR")
#: Most rows; about 3,500 pairs were ever listed.
MOST_TICKERS = 10_000
KLINES_WEIGHT = 2
_figures = itemgetter("lastPrice", "highPrice", "lowPrice", "quoteVolume")

#: All TRADING pairs in one call of weight 80; about 2.5 MB.
build_tickers = Call(
    "/api/v3/ticker/24hr", (("symbolStatus", "TRADING"),), weight=80, max_bytes=8 * MIB
).always


def parse_tickers(_query: QuotesQuery, payloads: Sequence[Any], context: Context) -> PairTickers:
    """For each coin the pair against a dollar coin, and that against the euro. Delisted and fiat
    pairs are left out, malformed rows are named."""
    rows, malformed = parse_rows(payloads[0], _identified, "symbol", most=MOST_TICKERS)
    traded = [row for row in rows if row["count"] > 0]
    live, ahead = current_rows(traded, itemgetter("closeTime"), context.now_ms)
    priced = ((row, instrument_of(context.provider, row["symbol"])) for row in live)
    coins = [(row, instrument) for row, instrument in priced if instrument]
    tickers, wrong = parse_rows(coins, _ticker, lambda row: row[1].symbol, most=MOST_TICKERS)
    return preferred_pairs(tickers, (*malformed, *(row["symbol"] for row in ahead), *wrong))


def _identified(row: Any) -> Any:
    """The row, if it has a short printable symbol, a count of trades and a time."""
    printable_name(row["symbol"])
    index(row["count"]), index(row["closeTime"])
    return row


def instrument_of(venue: str, symbol: str) -> Instrument | None:
    """The instrument of a coin against a dollar coin or the euro; None for any other pair. Raises
    ValueError for a symbol that is too long or not printable."""
    if symbol[LONGEST_NAME:]:  # the cache must not keep it
        raise ValueError("a symbol that is too long")
    return _instrument_of(venue, symbol)


@lru_cache(maxsize=MOST_TICKERS)
def _instrument_of(venue: str, symbol: str) -> Instrument | None:
    for quote in OWN_QUOTES:
        if symbol.endswith(quote):
            base = symbol.removesuffix(quote)
            is_coin = base and base not in FIAT
            return Instrument(venue, base, quote, symbol) if is_coin else None
    return None


def _ticker(found: tuple[Any, Instrument]) -> PairTicker:
    row, instrument = found
    price, high, low, volume = decimal_numbers(_figures(row))
    change, percentage = (
        decimal_number(row[name]) if name in row else None
        for name in ("priceChange", "priceChangePercent")
    )
    return ticker_from_fields(
        {
            "instrument": instrument,
            "price": price,
            "high": high,
            "low": low,
            "quote_volume": volume,
            "change": change,
            "change_percentage": percentage,  # in percent
            "closed_at": datetime.fromtimestamp(row["closeTime"] / 1000, UTC),
        }
    )


serves_klines = serves_candles(tuple(Interval))


def build_klines(query: OhlcQuery, context: Context) -> tuple[Call, ...]:
    """The newest 1,000 candles; or, for a range, one current candle and pages of 1,000."""
    call = partial(_klines, instrument_for(query, context).symbol)
    if query.start_ms is None or query.end_ms is None:
        return (call(query.interval, PAGE),)
    span = PAGE * query.interval.step_ms
    pages = range(query.start_ms, query.end_ms, span)
    return (
        call("1m", 1),
        *(call(query.interval, PAGE, at, min(at + span, query.end_ms) - 1) for at in pages),
    )


def _klines(
    symbol: str, interval: str, limit: int, start: int | None = None, end: int | None = None
) -> Call:
    params = [("symbol", symbol), ("interval", str(interval)), ("limit", str(limit))]
    if start is not None:
        params += [("startTime", str(start)), ("endTime", str(end))]
    return Call("/api/v3/klines", tuple(params), KLINES_WEIGHT)


def parse_klines(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    """The candles, oldest first. Raises QueryRefused if the pair is delisted or another coin's."""
    return checked_candles(query, payloads, context, _series)


def _series(query: OhlcQuery, pages: Sequence[Any], context: Context) -> Candles:
    return parse_candles(
        pages,
        query.interval,
        partial(_candles, query, context),
        partial(_candle, query, context),
        itemgetter(0),
        most=2 * PAGE,
        instrument=instrument_for(query, context),
    )


def _candles(query: OhlcQuery, context: Context, rows: list[Any]) -> list[Candle]:
    opens_ms, opened, high, low, close, volume, ends_ms, *_ = columns_of(rows)
    if query.interval is Interval.MONTH or set(map(type, ends_ms)) != {int}:
        raise ValueError("each candle has its own length, or no end")
    lengths_ms = set(map(sub, ends_ms, opens_ms))
    if not 0 < min(lengths_ms) <= max(lengths_ms) < query.interval.step_ms:
        raise ValueError("a candle overlaps the next one")
    closed = [ended_ms < context.now_ms for ended_ms in ends_ms]
    figures = decimal_columns(opened, high, low, close, volume)
    return candles_of(query, context, opens_ms, figures, closed=closed)


def _candle(query: OhlcQuery, context: Context, row: Any) -> Candle:
    if not row[0] < row[6] < query.interval.next_open(row[0]):
        raise ValueError("the candle overlaps the next one")
    is_closed = row[6] < context.now_ms
    return candle_of(query, context, row[0], decimal_numbers(row[1:6]), closed=is_closed)


def error_code(payload: Any) -> int | None:
    code = payload.get("code") if isinstance(payload, dict) else None
    return code if isinstance(code, int) else None


def banned_until_ms(payload: Any) -> int | None:
    """The end of `IP banned until 1785050129644` in epoch ms, which is only in the text."""
    text = str(payload.get("msg", "")) if isinstance(payload, dict) else ""
    match = re.search(r"banned until (\d{13})", text)
    return int(match[1]) if match else None


ADAPTER = Adapter(
    vendor="binance",
    operations=(
        Operation(
            "ticker_24hr",
            QuotesQuery,
            build_tickers,
            parse_tickers,
            parse_in_thread=True,  # thousands of rows
        ),
        Operation("klines", OhlcQuery, build_klines, parse_klines, serves_klines),
        pass_through("binance", lambda document: error_code(document) is not None),
    ),
    error_code=error_code,
    errors={
        (418, None): RateLimited,  # banned on all hosts for calls after a 429
        (451, None): GeoBlocked,
        (403, None): GeoBlocked,  # the firewall
        (404, None): HostLacksPath,  # the host for market data only has fewer paths
        (404, -1000): HostLacksPath,
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
