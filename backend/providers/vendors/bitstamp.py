"""Bitstamp spot market data, keyless: 24 h tickers of all markets, and candles.

Documentation: bitstamp.net/api (HTTP API v2, 2025-11).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any
from urllib.parse import quote

from backend.identity.instruments import BOOK_CURRENCIES, DOLLAR, FIAT, Instrument
from backend.models.market import PairTicker, PairTickers, QuotesQuery, ticker_from_fields
from backend.models.ohlc import Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import Adapter, Call, Context, Operation, Plan, Window
from backend.providers.candle_columns import candles_of, decimal_columns
from backend.providers.rows import (
    MALFORMED,
    bounded,
    decimal_number,
    decimal_numbers,
    parse_candles,
    parse_rows,
    printable_name,
    row_name,
    whole_number,
)
from backend.providers.venues import (
    candle_of,
    checked_candles,
    current_rows,
    difference,
    instrument_for,
    newest_of,
    preferred_pairs,
    serves_candles,
)

PUBLIC = Plan(
    "public",
    ("https://www.bitstamp.net",),
    # Per IP address, as many as one a second; 10,000 in 10 minutes are allowed.
    (Window(60, 60),),
)

#: The quotes whose markets are read.
OWN_QUOTES = (DOLLAR, *BOOK_CURRENCIES)
#: Most rows of the list; there are about 300.
MOST_MARKETS = 5_000
#: Weeks and months do not exist, nor 8h; 259,200 s are three days.
INTERVALS = tuple(map(Interval, "1m 3m 5m 15m 30m 1h 2h 4h 6h 12h 1d 3d".split()))
PAGE = 1_000

#: All markets in one call, about 92 kB.
build_tickers = Call("/api/v2/ticker/").always


def parse_tickers(_query: QuotesQuery, payloads: Sequence[Any], context: Context) -> PairTickers:
    """For each coin the market in dollars, and those in euros and pounds. Perpetuals and markets
    without current trades are left out, malformed rows are named."""
    rows, malformed = parse_rows(payloads[0], _spot, "market", most=MOST_MARKETS)
    traded = [(row, stamp_ms) for row, stamp_ms in rows if row is not None]
    live, ahead = current_rows(traded, itemgetter(1), context.now_ms)
    ticker, name = partial(_ticker, context.provider), lambda found: found[0]["market"]
    tickers, wrong = parse_rows(live, ticker, name, most=MOST_MARKETS)
    return preferred_pairs(tickers, (*malformed, *map(name, ahead), *wrong))


def _spot(row: Any) -> tuple[Any, int]:
    """The row of a coin's market in one of our currencies, and its time; None for other rows and
    for those without trades."""
    name, stamp_ms = printable_name(row["market"]), whole_number(row["timestamp"], 11) * 1000
    base, _, currency = name.rpartition("/")
    is_ours = base and base not in FIAT and currency in OWN_QUOTES
    is_traded = row["market_type"] == "SPOT" and is_ours and decimal_number(row["volume"]) > 0
    return row if is_traded else None, stamp_ms


def _ticker(venue: str, found: tuple[Any, int]) -> PairTicker:
    row, stamp_ms = found
    base, _, currency = row["market"].rpartition("/")
    figures = (row["last"], row["high"], row["low"], row["volume"], row["vwap"])
    price, high, low, volume, average = decimal_numbers(figures)
    # `open` is that of the calendar day.
    opened, percentage = (
        None if row.get(name) is None else decimal_number(row[name])
        for name in ("open_24", "percent_change_24")
    )
    return ticker_from_fields(
        {
            "instrument": Instrument(venue, base, currency, (base + currency).lower()),
            "price": price,
            "high": high,
            "low": low,
            "quote_volume": volume * average,
            "change": None if opened is None else difference(price, opened),
            "change_percentage": percentage,  # in percent
            "closed_at": datetime.fromtimestamp(stamp_ms / 1000, UTC),
        }
    )


def build_candles(query: OhlcQuery, context: Context) -> tuple[Call, ...]:
    """The newest 1,000 candles; or, for a range, one current candle and pages of 1,000."""
    if query.start_ms is None or query.end_ms is None:
        return (_page(query, context, PAGE),)
    span = PAGE * query.interval.step_ms
    ends = (min(at + span, query.end_ms) for at in range(query.start_ms, query.end_ms, span))
    return (
        _page(newest_of(query), context, 1),
        *(_page(query, context, PAGE, end_ms) for end_ms in ends),
    )


def _page(query: OhlcQuery, context: Context, limit: int, end_ms: int | None = None) -> Call:
    """The last `limit` candles that open before `end_ms`. With a limit a start is ignored."""
    symbol = quote(instrument_for(query, context).symbol, safe="")
    params = [("step", str(query.interval.step_ms // 1000)), ("limit", str(limit))]
    if end_ms is not None:
        params.append(("end", str(end_ms // 1000 - 1)))
    return Call(f"/api/v2/ohlc/{symbol}/", tuple(params))


def parse_pages(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    """The candles, oldest first. Raises QueryRefused if the pair is closed or another coin's."""
    return checked_candles(query, payloads, context, _series)


def _series(query: OhlcQuery, pages: Sequence[Any], context: Context) -> Candles:
    return parse_candles(
        [_rows(query, page["data"]["ohlc"]) for page in pages],
        query.interval,
        partial(_candles, query, context),
        partial(_candle, query, context),
        _opened_ms,
        most=PAGE,
        instrument=instrument_for(query, context),
    )


def _rows(query: OhlcQuery, page: Any) -> list[Any]:
    """The rows of the range: a page always has `limit` rows if they exist, however old. The venue
    may repeat a row with later trades; the last one counts."""
    rows = [row for row in bounded(page, PAGE) if not _is_earlier(query, row)]
    return list({row_name(row, "timestamp", at): row for at, row in enumerate(rows)}.values())


def _is_earlier(query: OhlcQuery, row: Any) -> bool:
    try:
        return query.start_ms is not None and _opened_ms(row) < query.start_ms
    except MALFORMED:
        return False


def _opened_ms(row: Any) -> int:
    return whole_number(row["timestamp"], 11) * 1000


_figures = itemgetter("open", "high", "low", "close", "volume")


def _candles(query: OhlcQuery, context: Context, rows: list[Any]) -> list[Candle]:
    figures = decimal_columns(*zip(*map(_figures, rows), strict=True))
    return candles_of(query, context, list(map(_opened_ms, rows)), figures)


def _candle(query: OhlcQuery, context: Context, row: Any) -> Candle:
    return candle_of(query, context, _opened_ms(row), decimal_numbers(_figures(row)))


ADAPTER = Adapter(
    vendor="bitstamp",
    operations=(
        Operation("tickers", QuotesQuery, build_tickers, parse_tickers),
        Operation("ohlc", OhlcQuery, build_candles, parse_pages, serves_candles(INTERVALS)),
    ),
)
