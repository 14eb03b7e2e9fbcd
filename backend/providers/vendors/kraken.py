"""Kraken spot candles, keyless. Its stream is in `kraken_stream.py`.

Documentation: docs.kraken.com/api (REST, 2025-11). Its tickers have no change over 24 h: their open
is that of the calendar day.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from operator import index
from typing import Any

from backend.errors import QueryRefused, RateLimited, UpstreamFailed
from backend.identity.instruments import (
    BOOK_CURRENCIES,
    FIAT,
    KRAKEN_NAMES,
    QUOTES,
    Instrument,
)
from backend.models.ohlc import Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import Adapter, Call, Context, Operation, Plan, Window
from backend.providers.candle_columns import candles_of, columns_of, decimal_columns
from backend.providers.rows import bounded, decimal_numbers, parse_candles
from backend.providers.venues import (
    candle_of,
    instrument_for,
    refuse_other_market,
    serves_candles,
)

PUBLIC = Plan(
    "public",
    ("https://api.kraken.com",),
    # Per IP address; about one a second is allowed.
    (Window(1, 1), Window(30, 60)),
)

#: Minutes of each interval. Weeks are never asked for: the venue's begin on Thursday.
MINUTES = {
    Interval(text): minutes
    for text, minutes in (
        ("1m", 1),
        ("5m", 5),
        ("15m", 15),
        ("30m", 30),
        ("1h", 60),
        ("4h", 240),
        ("1d", 1_440),
    )
}
#: Closed candles that the venue has of each interval, whatever is asked.
MOST_BACK = 720
#: Most rows of an answer; it has one forming candle besides.
MOST_ROWS = 1_000
#: The coin of each name that other venues use for another coin, and of Kraken's own names.
COINS = {"XBT": "BTC", "XDG": "DOGE", **{name: coin for coin, name in KRAKEN_NAMES.items()}}
#: Category and text of an error, `EQuery:Unknown asset pair`; details may follow.
_ERROR = re.compile(r"E[A-Z][A-Za-z]{1,20}:[A-Za-z ]{1,60}")


def instrument_of(venue: str, symbol: str) -> Instrument | None:
    """The instrument of a coin in one of our currencies; None for any other pair. Raises ValueError
    for a symbol that is too long or not printable."""
    base, _, quote = symbol.rpartition("/")
    # Names of tokenised shares have small letters: AAPLx.
    is_coin = base and base == base.upper() and base not in FIAT
    if not is_coin or quote not in (*QUOTES, *BOOK_CURRENCIES):
        return None
    return Instrument(venue, COINS.get(base, base), quote, symbol)


def build_candles(query: OhlcQuery, context: Context) -> tuple[Call, ...]:
    """All candles that the venue has: the newest 720, and the forming one."""
    symbol, minutes = instrument_for(query, context).symbol, MINUTES[query.interval]
    return (Call("/0/public/OHLC", (("pair", symbol), ("interval", str(minutes)))),)


def parse_payload(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    """The candles, oldest first. Intervals without trades are left out: the venue fills them with
    its last price. Raises QueryRefused if the pair is not traded, or is another coin's."""
    if payloads[0]["error"]:
        raise ValueError("not a successful answer")
    result = payloads[0]["result"]
    closed_ms = index(result["last"]) * 1000
    (rows,) = [value for name, value in result.items() if name != "last"]
    newest = replace(query, start_ms=None, end_ms=None)
    series = parse_candles(
        [[row for row in bounded(rows, MOST_ROWS) if not _is_filled(row)]],
        query.interval,
        partial(_candles, newest, context, closed_ms),
        partial(_candle, newest, context, closed_ms),
        _opened_ms,
        most=MOST_ROWS,
        instrument=instrument_for(query, context),
    )
    refuse_other_market(newest, series, context)
    if query.start_ms is None or query.end_ms is None:
        return series
    start_ms, end_ms = query.start_ms, query.end_ms
    kept = tuple(one for one in series.candles if start_ms <= one.timestamp < end_ms)
    return replace(series, candles=kept)


def _is_filled(row: Any) -> bool:
    """True for an interval without trades: open to close are the last price before it."""
    return isinstance(row, list) and len(row) == 8 and row[7] == 0


def _opened_ms(row: Any) -> int:
    return index(row[0]) * 1000


def _candles(query: OhlcQuery, context: Context, closed_ms: int, rows: list[Any]) -> list[Candle]:
    """Open time in seconds, open, high, low, close, average, volume in coins, count of trades."""
    opens_s, opened, high, low, close, _, volume, trades, *_ = columns_of(rows)
    opens_ms = [1000 * at for at in map(index, opens_s)]
    if set(map(type, trades)) != {int}:
        raise TypeError("a candle without its trades")
    closed = [opened_ms <= closed_ms for opened_ms in opens_ms]
    figures = decimal_columns(opened, high, low, close, volume)
    return candles_of(query, context, opens_ms, figures, closed=closed)


def _candle(query: OhlcQuery, context: Context, closed_ms: int, row: Any) -> Candle:
    opened_ms, figures = _opened_ms(row), decimal_numbers((*row[1:5], row[6]))
    index(row[7])
    return candle_of(query, context, opened_ms, figures, closed=opened_ms <= closed_ms)


def error_code(payload: Any) -> str | None:
    """The first error of an answer, `EQuery:Unknown asset pair`; its HTTP status is 200."""
    texts = payload["error"] if isinstance(payload, dict) else ()
    found = (_ERROR.match(text) for text in texts)
    return next((match[0] for match in found if match), None)


ADAPTER = Adapter(
    vendor="kraken",
    operations=(
        Operation(
            "ohlc",
            OhlcQuery,
            build_candles,
            parse_payload,
            serves_candles(MINUTES, most_back=MOST_BACK),
        ),
    ),
    error_code=error_code,
    errors={
        (None, "EQuery:Unknown asset pair"): QueryRefused,
        (None, "EGeneral:Invalid arguments"): QueryRefused,
        (None, "EAPI:Rate limit exceeded"): RateLimited,
        (None, "EGeneral:Too many requests"): RateLimited,
        (None, "EGeneral:Temporary lockout"): RateLimited,
        (None, "EService:Unavailable"): UpstreamFailed,
        (None, "EService:Busy"): UpstreamFailed,
    },
)
