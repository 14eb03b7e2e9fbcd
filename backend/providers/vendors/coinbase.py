"""Coinbase Exchange spot market data, keyless: 24 h statistics of all books, and candles.

Documentation: docs.cdp.coinbase.com/exchange (REST API, 2025-11).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from operator import index
from typing import Any
from urllib.parse import quote

from backend.identity.instruments import BOOK_CURRENCIES, DOLLAR, FIAT, Instrument
from backend.models.market import PairTicker, PairTickers, QuotesQuery, ticker_from_fields
from backend.models.ohlc import Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import Adapter, Call, Context, Operation, Plan, Window
from backend.providers.candle_columns import candles_of, columns_of
from backend.providers.rows import bounded, decimal_numbers, parse_candles, parse_rows
from backend.providers.venues import (
    candle_of,
    change_since,
    checked_candles,
    instrument_for,
    newest_of,
    preferred_pairs,
    serves_candles,
)

PUBLIC = Plan(
    "public",
    ("https://api.exchange.coinbase.com",),
    # Per IP address; 10 a second are allowed. The most calls of a query fit into one window.
    (Window(10, 2),),
)

#: The quotes whose books are read.
OWN_QUOTES = (DOLLAR, *BOOK_CURRENCIES)
#: Most products in the list; there are about 520.
MOST_PRODUCTS = 5_000
INTERVALS = tuple(map(Interval, ("1m", "5m", "15m", "1h", "6h", "1d")))
#: Candles of a page. A request for more than 300 is refused, and the documentation does not say
#: whether a range includes its end.
PAGE, MOST_ROWS = 250, 300
#: Candles of the newest query, in pages.
NEWEST = 1_000
#: Most pages of a range; longer ranges are served by other providers.
MOST_PAGES = 8

#: The statistics of all products in one call, about 110 kB; the venue caches them for 5 s.
build_stats = Call("/products/stats").always


def parse_stats(_query: QuotesQuery, payloads: Sequence[Any], context: Context) -> PairTickers:
    """For each coin the book in dollars, and those in euros and pounds. Books without trades are
    left out. Delisted products are not in the list."""
    products = bounded(list(payloads[0].items()), MOST_PRODUCTS)
    day_of = partial(_day_of, context.provider)
    books, malformed = parse_rows(products, day_of, lambda item: item[0], most=MOST_PRODUCTS)
    live = [(instrument, day) for instrument, day in books if instrument and day]
    ticker, symbol = partial(_ticker, context), lambda book: book[0].symbol
    tickers, wrong = parse_rows(live, ticker, symbol, most=MOST_PRODUCTS)
    return preferred_pairs(tickers, (*malformed, *wrong))


def _day_of(venue: str, product: tuple[str, Any]) -> tuple[Instrument | None, Any]:
    """The instrument, None if it is not a coin's book in one of our currencies; its last 24 h, None
    without trades."""
    symbol, block = product
    day = block.get("stats_24hour", {})
    is_empty = not any(day.values())
    base, _, currency = symbol.rpartition("-")
    if is_empty or not base or base in FIAT or currency not in OWN_QUOTES:
        return None, None
    (volume,) = decimal_numbers((day["volume"],))
    return Instrument(venue, base, currency, symbol), day if volume else None


def _ticker(context: Context, book: tuple[Instrument, Any]) -> PairTicker:
    instrument, day = book
    figures = (day["open"], day["high"], day["low"], day["last"], day["volume"])
    opened, high, low, price, volume = decimal_numbers(figures)
    if volume < 0:
        raise ValueError("a negative volume")
    change, percentage = change_since(opened, price, low, high)
    return ticker_from_fields(
        {
            "instrument": instrument,
            "price": price,
            "high": high,
            "low": low,
            "quote_volume": None,  # only the volume in coins is known
            "change": change,
            "change_percentage": percentage,
            # The rows have no time.
            "closed_at": datetime.fromtimestamp(context.now_ms / 1000, UTC),
        }
    )


def serves_range(query: OhlcQuery, context: Context) -> bool:
    if not serves_candles(INTERVALS)(query, context):
        return False
    return query.start_ms is None or len(_pages(query, context)) <= MOST_PAGES


def build_candles(query: OhlcQuery, context: Context) -> tuple[Call, ...]:
    """The newest 1,000 candles in four pages; or, for a range, current candles and its pages."""
    if query.start_ms is None:
        return _pages(query, context)
    return (_pages(newest_of(query), context)[0], *_pages(query, context))


def _pages(query: OhlcQuery, context: Context) -> tuple[Call, ...]:
    """The calls for all candles of the query up to now, newest first."""
    step_ms = query.interval.step_ms
    end_ms = query.interval.open_of(context.now_ms) + step_ms
    start_ms = end_ms - NEWEST * step_ms
    if query.start_ms is not None and query.end_ms is not None:
        start_ms, end_ms = query.start_ms, min(query.end_ms, end_ms)
    symbol = quote(instrument_for(query, context).symbol, safe="")
    starts = range(start_ms, end_ms, PAGE * step_ms)
    return tuple(
        _page(symbol, step_ms, at, min(at + PAGE * step_ms, end_ms)) for at in reversed(starts)
    )


def _page(symbol: str, step_ms: int, start_ms: int, end_ms: int) -> Call:
    bounds = {"granularity": step_ms // 1000, "start": start_ms // 1000, "end": end_ms // 1000 - 1}
    params = tuple((name, str(value)) for name, value in bounds.items())
    return Call(f"/products/{symbol}/candles", params)


def parse_pages(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    """The candles, oldest first. Intervals without trades are missing. Raises QueryRefused if the
    product is delisted or another coin's."""
    return checked_candles(query, payloads, context, _series)


def _series(query: OhlcQuery, pages: Sequence[Any], context: Context) -> Candles:
    oldest_first = [page[::-1] for page in reversed(pages)]
    return parse_candles(
        oldest_first,
        query.interval,
        partial(_candles, query, context),
        partial(_candle, query, context),
        _opened_ms,
        most=MOST_ROWS,
        instrument=instrument_for(query, context),
    )


def _opened_ms(row: Any) -> int:
    return index(row[0]) * 1000


def _candles(query: OhlcQuery, context: Context, rows: list[Any]) -> list[Candle]:
    opens_s, low, high, opened, close, volume = columns_of(rows)
    if None in volume:
        raise TypeError("a candle without a volume")
    opens_ms = [1000 * at for at in map(index, opens_s)]
    return candles_of(query, context, opens_ms, (opened, high, low, close, volume))


def _candle(query: OhlcQuery, context: Context, row: Any) -> Candle:
    _, low, high, opened, close, volume = row
    if volume is None:
        raise TypeError("a candle without a volume")
    return candle_of(query, context, _opened_ms(row), (opened, high, low, close, volume))


ADAPTER = Adapter(
    vendor="coinbase",
    operations=(
        Operation("stats", QuotesQuery, build_stats, parse_stats),
        Operation("candles", OhlcQuery, build_candles, parse_pages, serves_range),
    ),
)
