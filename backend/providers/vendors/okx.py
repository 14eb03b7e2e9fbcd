"""OKX spot market data, keyless: 24 h tickers of all pairs, and candles.

Documentation: okx.com/docs-v5 (2026-09). Sizes of pages and limits were measured on 2026-09-25.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from operator import itemgetter
from typing import Any

from backend.errors import QueryRefused, RateLimited, UpstreamFailed
from backend.identity.instruments import FIAT, Instrument
from backend.models.market import PairTicker, PairTickers, QuotesQuery, ticker_from_fields
from backend.models.ohlc import Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import MIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.candle_columns import candles_of, columns_of, decimal_columns
from backend.providers.rows import (
    bounded,
    decimal_number,
    decimal_numbers,
    parse_candles,
    parse_rows,
    printable_name,
    whole_number,
)
from backend.providers.venues import (
    candle_of,
    change_since,
    checked_candles,
    current_rows,
    instrument_for,
    newest_of,
    preferred_pairs,
    serves_candles,
)

PUBLIC = Plan(
    "public",
    ("https://www.okx.com",),
    # Per IP address; 20 in 2 s are allowed. The most calls of a query fit into one window.
    (Window(10, 2),),
)

#: The quotes whose pairs are read.
OWN_QUOTES = ("USD", "USDT", "USDC")
#: Tokenised shares and funds in the same list, also with an `X` at the end. Rows do not say what
#: they are.
SHARES = frozenset(
    "AAPL AMD AMZN AVGO COIN CRCL GOOG GOOGL HOOD INTC META MSFT MSTR NFLX NVDA ORCL PLTR QQQ SPY "
    "TSLA TSM".split()
)
#: Most rows; there are about 1,400.
MOST_TICKERS = 10_000
#: `bar` of each interval; there is none for 8h. Without `utc` the day opens at 16:00 UTC.
BARS = {
    **{Interval(text): text for text in ("1m", "3m", "5m", "15m", "30m")},
    **{Interval(text): text.upper() for text in ("1h", "2h", "4h")},
    **{Interval(text): f"{text.upper()}utc" for text in ("6h", "12h", "1d", "3d", "1w")},
    Interval.MONTH: "1Mutc",
}
#: Candles of a page: 300 are answered, 100 are documented.
PAGE, DOCUMENTED_PAGE = 300, 100
#: Candles of the newest query, and how many of its first page the next page repeats: the first one
#: is the newest by the venue's clock, the others are ranges by ours.
NEWEST, OVERLAP = 1_000, 10
#: 2017-01-01: the venue opened in that year. In epoch ms.
FIRST_MS = 1_483_228_800_000
#: Most pages of a range; longer ranges are served by other providers.
MOST_PAGES = 8

#: All pairs in one call; about 0.4 MB.
build_tickers = Call("/api/v5/market/tickers", (("instType", "SPOT"),), max_bytes=2 * MIB).always


def parse_tickers(_query: QuotesQuery, payloads: Sequence[Any], context: Context) -> PairTickers:
    """For each coin the pair against the preferred dollar. Pairs without current trades, of other
    currencies and of shares are left out, malformed rows are named."""
    paired = partial(_paired, context.provider)
    rows, malformed = parse_rows(_data(payloads[0]), paired, "instId", most=MOST_TICKERS)
    live, ahead = current_rows(rows, itemgetter(2), context.now_ms)
    coins = [found for found in live if found[1]]
    tickers, wrong = parse_rows(coins, _ticker, lambda found: found[1].symbol, most=MOST_TICKERS)
    early = (one.symbol for _, one, _ in ahead if one)
    return preferred_pairs(tickers, (*malformed, *early, *wrong))


def _data(payload: Any) -> Any:
    """The rows of a successful answer. Errors without a code of the table are malformed."""
    if payload["code"] != "0":
        raise ValueError("not a successful answer")
    return payload["data"]


def _paired(venue: str, row: Any) -> tuple[Any, Instrument | None, int]:
    """The row, its instrument and its time. The instrument is None if the row is not of a coin in
    dollars, or has no trades."""
    symbol, stamp_ms = printable_name(row["instId"]), whole_number(row["ts"], 14)
    base, _, quote = symbol.partition("-")
    is_coin = (
        base and base not in FIAT and base not in SHARES and base.removesuffix("X") not in SHARES
    )
    # A pair that is not open yet has empty figures.
    is_traded = row["vol24h"] != "" and decimal_number(row["vol24h"]) != 0
    if row["instType"] != "SPOT" or quote not in OWN_QUOTES or not is_coin or not is_traded:
        return row, None, stamp_ms
    return row, Instrument(venue, base, quote, symbol), stamp_ms


def _ticker(found: tuple[Any, Instrument, int]) -> PairTicker:
    row, instrument, stamp_ms = found
    names = ("last", "open24h", "high24h", "low24h", "volCcy24h")
    price, opened, high, low, volume = decimal_numbers([row[name] for name in names])
    change, percentage = change_since(opened, price, low, high)
    return ticker_from_fields(
        {
            "instrument": instrument,
            "price": price,
            "high": high,
            "low": low,
            "quote_volume": volume,  # of spot pairs `volCcy24h` is in the quote currency
            "change": change,
            "change_percentage": percentage,
            "closed_at": datetime.fromtimestamp(stamp_ms / 1000, UTC),
        }
    )


def serves_range(query: OhlcQuery, context: Context) -> bool:
    if not serves_candles(BARS)(query, context):
        return False
    return query.start_ms is None or len(_ranges(query, context)) <= MOST_PAGES


def build_candles(query: OhlcQuery, context: Context) -> tuple[Call, ...]:
    """The newest 1,000 candles; or, for a range, one current candle and its pages. Newest first.

    All pages are of `history-candles`: `candles` has only the newest 1,440, and answers older
    ranges with success and no rows.
    """
    ranges = [_page(query, context, PAGE, bounds) for bounds in _ranges(query, context)]
    if query.start_ms is None:
        return (_page(query, context, PAGE), *ranges)
    return (_page(newest_of(query), context, 1), *ranges)


def _ranges(query: OhlcQuery, context: Context) -> list[tuple[int, int]]:
    """Start and end of each page of a range, or of the newest candles behind the first page."""
    step_ms = query.interval.step_ms
    if query.start_ms is not None and query.end_ms is not None:
        start_ms, end_ms = query.start_ms, query.end_ms
    else:
        newest_end_ms = query.interval.open_of(context.now_ms) + step_ms
        start_ms = max(FIRST_MS, newest_end_ms - NEWEST * step_ms)
        end_ms = newest_end_ms - (PAGE - OVERLAP) * step_ms
    ends = range(end_ms, start_ms, -PAGE * step_ms)
    return [(max(start_ms, end - PAGE * step_ms), end) for end in ends]


def _page(
    query: OhlcQuery, context: Context, limit: int, bounds: tuple[int, int] | None = None
) -> Call:
    """The newest candles, or those that open from start to before end. The venue returns rows that
    are strictly newer than `before` and strictly older than `after`."""
    params = [("instId", instrument_for(query, context).symbol), ("bar", BARS[query.interval])]
    params.append(("limit", str(limit)))
    if bounds:
        start_ms, end_ms = bounds
        params += [("after", str(end_ms)), ("before", str(start_ms - 1))]
    return Call("/api/v5/market/history-candles", tuple(params))


def parse_pages(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    """The candles, oldest first. Raises QueryRefused if the pair is suspended or another coin's, or
    if the venue has no candles that old: an empty page is a success."""
    series = checked_candles(query, payloads, context, _series)
    if not series.candles and not series.refused:
        raise QueryRefused("no candles that old")
    return series


def _series(query: OhlcQuery, payloads: Sequence[Any], context: Context) -> Candles:
    pages = [bounded(_data(payload), PAGE) for payload in payloads]
    if any(len(page) == DOCUMENTED_PAGE and older for page, older in pairwise(pages)):
        raise ValueError("the pages are cut at the documented size, so that candles are missing")
    return parse_candles(
        [page[::-1] for page in reversed(pages)],
        query.interval,
        partial(_candles, query, context),
        partial(_candle, query, context),
        _opened_ms,
        most=PAGE,
        instrument=instrument_for(query, context),
    )


def _opened_ms(row: Any) -> int:
    return whole_number(row[0], 14)


#: The last value of a candle.
IS_CLOSED = {"0": False, "1": True}


def _candles(query: OhlcQuery, context: Context, rows: list[Any]) -> list[Candle]:
    """Open time, open, high, low, close, volume in coins, in quote twice, and whether it closed."""
    opens, opened, high, low, close, volume, _, _, states, *_ = columns_of(rows)
    opens_ms = [whole_number(at, 14) for at in opens]
    closed = map(IS_CLOSED.__getitem__, states)
    figures = decimal_columns(opened, high, low, close, volume)
    return candles_of(query, context, opens_ms, figures, closed=closed)


def _candle(query: OhlcQuery, context: Context, row: Any) -> Candle:
    opened_ms, is_closed = _opened_ms(row), IS_CLOSED[row[8]]
    return candle_of(query, context, opened_ms, decimal_numbers(row[1:6]), closed=is_closed)


def error_code(payload: Any) -> int | str | None:
    """The code of an error: a text of digits, or the number 404 for an unknown path."""
    code = payload.get("code") if isinstance(payload, dict) else None
    if isinstance(code, int):
        return code
    is_code = isinstance(code, str) and code != "0" and len(code) <= 6 and code.isdecimal()
    return code if is_code else None


ADAPTER = Adapter(
    vendor="okx",
    operations=(
        Operation(
            "tickers",
            QuotesQuery,
            build_tickers,
            parse_tickers,
            parse_in_thread=True,  # more than a thousand rows
        ),
        Operation("candles", OhlcQuery, build_candles, parse_pages, serves_range),
    ),
    error_code=error_code,
    errors={
        (None, "51001"): QueryRefused,  # unknown instrument, with HTTP 200
        (None, "51000"): QueryRefused,  # invalid parameter
        (None, "50011"): RateLimited,
        (None, "50001"): UpstreamFailed,  # unavailable
        (None, "50004"): UpstreamFailed,  # timeout
        (None, "50013"): UpstreamFailed,  # busy
        (None, "50026"): UpstreamFailed,  # system error
        (404, 404): UpstreamFailed,  # unknown path: every query would fail
    },
)
