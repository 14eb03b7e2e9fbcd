"""Binance spot market data, keyless: 24 h tickers of all pairs, and candles.

Documentation: github binance/binance-spot-api-docs (rest-api.md, errors.md, 2026-07).
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from operator import index, itemgetter
from typing import Any

from backend.errors import GeoBlocked, QueryRefused, RateLimited, UpstreamFailed
from backend.identity.instruments import FIAT, QUOTES, Instrument, instrument_at
from backend.models.market import NAMESAKE_FACTOR, PairTicker, PairTickers, QuotesQuery, agree
from backend.models.ohlc import HOUR, Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import MIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rows import (
    CURRENT_WITHIN_MS,
    LONGEST_NAME,
    decimal_number,
    decimal_numbers,
    parse_candles,
    parse_rows,
    refuse_other_times,
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

#: A pair whose last trade is older than this, relative to the list, is delisted. In ms.
DEAD_AFTER_MS = HOUR
PAGE = 1_000
#: Most rows; about 3,500 pairs were ever listed.
MOST_TICKERS = 10_000
KLINES_WEIGHT = 2
_figures = itemgetter("lastPrice", "highPrice", "lowPrice", "quoteVolume")

#: All TRADING pairs in one call of weight 80; about 2.5 MB.
build_tickers = Call(
    "/api/v3/ticker/24hr", (("symbolStatus", "TRADING"),), weight=80, max_bytes=8 * MIB
).always


def parse_tickers(_query: QuotesQuery, payloads: Sequence[Any], context: Context) -> PairTickers:
    """One pair against a dollar coin for each coin. Delisted and fiat pairs are left out,
    malformed rows are named."""
    rows, malformed = parse_rows(payloads[0], _identified, "symbol", most=MOST_TICKERS)
    traded = [row for row in rows if row["count"] > 0]
    # The venue's time, as our clock may be wrong; few pairs with trades are delisted.
    venue_ms = refuse_other_times([row["closeTime"] for row in traded], context.now_ms)
    ahead = [row for row in traded if row["closeTime"] - venue_ms > DEAD_AFTER_MS]
    live = [row for row in traded if abs(venue_ms - row["closeTime"]) <= DEAD_AFTER_MS]
    priced = ((row, instrument_of(context.provider, row["symbol"])) for row in live)
    dollar = [(row, instrument) for row, instrument in priced if instrument]
    dollar.sort(key=by_quote)
    tickers, wrong = parse_rows(dollar, _ticker, lambda row: row[1].symbol, most=MOST_TICKERS)
    best: dict[str, PairTicker] = {}
    for ticker in tickers:
        best.setdefault(ticker.instrument.base, ticker)
    refused = (*malformed, *(row["symbol"][:LONGEST_NAME] for row in ahead), *wrong)
    return PairTickers(tuple(best.values()), refused)


def _identified(row: Any) -> Any:
    """The row, if it has a short printable symbol, a count of trades and a time."""
    if len(row["symbol"]) > LONGEST_NAME or not row["symbol"].isprintable():
        raise ValueError("a symbol that is too long or not printable")
    index(row["count"]), index(row["closeTime"])
    return row


def instrument_of(venue: str, symbol: str) -> Instrument | None:
    """The instrument of a coin against a dollar coin; None for any other pair. Raises ValueError
    for a symbol that is too long or not printable."""
    if len(symbol) > LONGEST_NAME:  # the cache must not keep it
        raise ValueError("a symbol that is too long")
    return _instrument_of(venue, symbol)


@lru_cache(maxsize=MOST_TICKERS)
def _instrument_of(venue: str, symbol: str) -> Instrument | None:
    for quote in QUOTES:
        if symbol.endswith(quote):
            base = symbol.removesuffix(quote)
            is_coin = base and base not in FIAT
            return Instrument(venue, base, quote, symbol) if is_coin else None
    return None


def by_quote(row: tuple[Any, Instrument]) -> int:
    """Sorts rows with their instruments by the quote currency, the preferred one first."""
    return QUOTES.index(row[1].quote)


def _ticker(found: tuple[Any, Instrument]) -> PairTicker:
    row, instrument = found
    price, high, low, volume = decimal_numbers(_figures(row))
    change, percentage = (
        decimal_number(row[name]) if name in row else None
        for name in ("priceChange", "priceChangePercent")
    )
    return PairTicker(
        instrument=instrument,
        price=price,
        high=high,
        low=low,
        quote_volume=volume,
        change=change,
        change_percentage=percentage,  # in percent
        closed_at=datetime.fromtimestamp(row["closeTime"] / 1000, UTC),
    )


def serves_klines(query: OhlcQuery, context: Context) -> bool:
    # Without a known price, another coin's pair of the same symbol cannot be detected.
    return _instrument(query, context) is not None and query.reference_price is not None


def _instrument(query: OhlcQuery, context: Context) -> Instrument | None:
    return instrument_at(context.provider, query.instruments)


def build_klines(query: OhlcQuery, context: Context) -> tuple[Call, ...]:
    """The newest 1,000 candles; or, for a range, one current candle and pages of 1,000."""
    instrument = _instrument(query, context)
    assert instrument is not None, "serves_klines() requires an instrument"
    call = partial(_klines, instrument.symbol)
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
    if query.start_ms is None or query.end_ms is None:
        series = _series(query, payloads, context)
        _refuse_other_market(query, series, context)
        return series
    probe = replace(query, interval=Interval.M1, start_ms=None, end_ms=None)
    _refuse_other_market(query, _series(probe, payloads[:1], context), context)
    return _series(query, payloads[1:], context)


def _series(query: OhlcQuery, pages: Sequence[Any], context: Context) -> Candles:
    return parse_candles(
        pages,
        query.interval,
        partial(_candle, query, context),
        itemgetter(0),
        most=2 * PAGE,
        instrument=_instrument(query, context),
    )


def _candle(query: OhlcQuery, context: Context, row: Any) -> Candle:
    if row[0] - context.now_ms > CURRENT_WITHIN_MS:
        raise ValueError("the candle is in the future")
    start_ms, end_ms = query.start_ms, query.end_ms
    if start_ms is not None and end_ms is not None and not start_ms <= row[0] < end_ms:
        raise ValueError("the candle is outside the requested range")
    if not row[0] < row[6] < query.interval.next_open(row[0]):
        raise ValueError("the candle overlaps the next one")
    opened, high, low, close, volume = decimal_numbers(row[1:6])
    return Candle(row[0], opened, high, low, close, volume, closed=row[6] < context.now_ms)


def _refuse_other_market(query: OhlcQuery, series: Candles, context: Context) -> None:
    """Requires a current newest candle near the known price: the candles of a delisted pair end
    earlier, and those of another coin have another price."""
    if not series.candles:
        raise QueryRefused("no candles of this pair")
    newest = series.candles[-1]
    ended_ms = series.interval.next_open(newest.timestamp)
    if context.now_ms - ended_ms >= CURRENT_WITHIN_MS:  # a live candle ends in the future
        if series.refused:
            raise ValueError("every current candle is malformed")
        raise QueryRefused("the pair is no longer traded")
    # A wider tolerance than for tickers: the known price may be hours old.
    known = query.reference_price
    if known is None or not agree(newest.close, known, NAMESAKE_FACTOR):
        raise QueryRefused("the pair's price is not the coin's")


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
    ),
    error_code=error_code,
    errors={
        (418, None): RateLimited,  # banned on all hosts for calls after a 429
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
