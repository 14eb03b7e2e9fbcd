"""What the trading venues' files share: preferred pairs, and the guards of candles."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from math import ceil, log10
from typing import Any, TypeVar

from backend.errors import QueryRefused
from backend.identity.instruments import QUOTES, Instrument, instrument_at
from backend.models.market import NAMESAKE_FACTOR, PairTicker, PairTickers, agree
from backend.models.ohlc import HOUR, Candle, Candles, Interval, OhlcQuery, candle_from_fields
from backend.providers.adapter import Context
from backend.providers.rows import CURRENT_WITHIN_MS, refuse_other_times

R = TypeVar("R")

#: Largest difference between a row's time and the list's, in ms.
DEAD_AFTER_MS = HOUR


def preferred_pairs(tickers: Iterable[PairTicker], refused: Sequence[str] = ()) -> PairTickers:
    """For each coin the ticker in dollars with the preferred quote, and that in each other
    currency in which the venue quotes it."""
    best: dict[tuple[str, str], PairTicker] = {}
    for ticker in sorted(tickers, key=_preference):
        best.setdefault((ticker.instrument.base, ticker.instrument.currency), ticker)
    in_dollars = tuple(one for one in best.values() if one.instrument.quote in QUOTES)
    others = tuple(one for one in best.values() if one.instrument.quote not in QUOTES)
    return PairTickers(in_dollars, tuple(refused), others)


def _preference(ticker: PairTicker) -> int:
    quote = ticker.instrument.quote
    return QUOTES.index(quote) if quote in QUOTES else len(QUOTES)


def current_rows(
    rows: Sequence[R], stamp_ms: Callable[[R], int], now_ms: int
) -> tuple[list[R], list[R]]:
    """The rows of pairs that are traded, and those ahead of the list's own time, which is the
    venue's: our clock may be wrong. A pair whose row is older than an hour, relative to the list,
    is suspended or delisted. Raises ValueError if the list is not current."""
    venue_ms = refuse_other_times(map(stamp_ms, rows), now_ms)
    live = [row for row in rows if abs(venue_ms - stamp_ms(row)) <= DEAD_AFTER_MS]
    return live, [row for row in rows if stamp_ms(row) - venue_ms > DEAD_AFTER_MS]


#: Reliable significant digits of a float.
DIGITS = 15


def difference(price: float, opened: float) -> float:
    """`price` - `opened`, without the digits that a float of their size does not have: that of
    83766.8 and 84180.1 is -413.3. Raises ValueError, OverflowError for prices that are none."""
    return round(price - opened, DIGITS - 1 - ceil(log10(max(price, opened))))


def change_since(
    opened: float, price: float, low: float, high: float
) -> tuple[float | None, float | None]:
    """The change over 24 h as an amount and in percent. Both are None if the open is not a price of
    this day."""
    if not low / NAMESAKE_FACTOR <= opened <= high * NAMESAKE_FACTOR or opened <= 0:
        return None, None
    return difference(price, opened), round((price - opened) / opened * 100, 3)


def instrument_for(query: OhlcQuery, context: Context) -> Instrument:
    """The instrument of the query that this venue trades; `serves_candles` has found it."""
    instrument = instrument_at(context.provider, query.instruments)
    assert instrument is not None, "serves_candles() requires an instrument"
    return instrument


def serves_candles(
    intervals: Collection[Interval], *, most_back: int | None = None
) -> Callable[[OhlcQuery, Context], bool]:
    """The `serves` of a venue that has candles of `intervals`, and only its newest `most_back`.

    Without a known price, another coin's pair of the same ticker cannot be detected.
    """

    def serves(query: OhlcQuery, context: Context) -> bool:
        is_traded = instrument_at(context.provider, query.instruments) is not None
        if not is_traded or query.reference_price is None or query.interval not in intervals:
            return False
        if query.start_ms is None or most_back is None:
            return True
        return context.now_ms - query.start_ms <= most_back * query.interval.step_ms

    return serves


def candle_of(
    query: OhlcQuery,
    context: Context,
    opened_ms: int,
    figures: Iterable[float],
    *,
    closed: bool | None = None,
) -> Candle:
    """The candle that opened at `opened_ms`; `figures` are open, high, low, close and volume.

    Without `closed`, the candle is closed when its interval is over. Raises ValueError for a candle
    in the future or outside the requested range.
    """
    if opened_ms - context.now_ms > CURRENT_WITHIN_MS:
        raise ValueError("the candle is in the future")
    start_ms, end_ms = query.start_ms, query.end_ms
    if start_ms is not None and end_ms is not None and not start_ms <= opened_ms < end_ms:
        raise ValueError("the candle is outside the requested range")
    opened, high, low, close, volume = figures
    if closed is None:
        closed = query.interval.next_open(opened_ms) <= context.now_ms
    return candle_from_fields(
        {
            "timestamp": opened_ms,
            "open": opened,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
            "closed": closed,
        }
    )


def newest_of(query: OhlcQuery) -> OhlcQuery:
    """The query for the newest one-minute candles, which prove what a range of the past cannot:
    that the pair is traded, at the coin's price."""
    return replace(query, interval=Interval.M1, start_ms=None, end_ms=None)


def checked_candles(
    query: OhlcQuery,
    payloads: Sequence[Any],
    context: Context,
    series_of: Callable[[OhlcQuery, Sequence[Any], Context], Candles],
) -> Candles:
    """The candles of all payloads; the first payload of a range is that of `newest_of(query)`.
    Raises QueryRefused if the instrument is not traded, or is another coin's."""
    if query.start_ms is None:
        series = series_of(query, payloads, context)
        refuse_other_market(query, series, context)
        return series
    probe = newest_of(query)
    refuse_other_market(probe, series_of(probe, payloads[:1], context), context)
    return series_of(query, payloads[1:], context)


def refuse_other_market(query: OhlcQuery, series: Candles, context: Context) -> None:
    """Requires a current newest candle near the known price: the candles of a delisted pair end
    earlier, and those of another coin have another price. Raises QueryRefused."""
    if not series.candles:
        raise QueryRefused("no candles of this pair")
    newest = series.candles[-1]
    ended_ms = series.interval.next_open(newest.timestamp)
    if context.now_ms - ended_ms >= CURRENT_WITHIN_MS:  # a live candle ends in the future
        if series.refused:
            raise ValueError("every current candle is malformed")
        raise QueryRefused("the pair is no longer traded")
    # A wider tolerance than for tickers: the known price may be hours old. It is in dollars, and
    # a euro or a pound is a dollar within much less than this factor.
    known = query.reference_price
    if known is None or not agree(newest.close, known, NAMESAKE_FACTOR):
        raise QueryRefused("the pair's price is not the coin's")
