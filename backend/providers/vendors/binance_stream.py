"""Binance's market-data stream: the tickers of changed pairs each second, and newest candles.

Documentation: github binance/binance-spot-api-docs (web-socket-streams.md, 2026-07). `!ticker@arr`
is retired; `!miniTicker@arr` has no change, which is computed from the open.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from typing import Any

from backend.identity.instruments import QUOTES, Instrument
from backend.models.market import NAMESAKE_FACTOR, PairTicker, ticker_from_fields
from backend.models.ohlc import Candle, Interval
from backend.models.ticks import (
    CandleTicks,
    CandleUpdate,
    MarketTicks,
    Tick,
    TickerUpdates,
    TickSubject,
)
from backend.providers.adapter import Context, PushFeed, Window
from backend.providers.rows import CURRENT_WITHIN_MS, MALFORMED, bounded, decimal_numbers
from backend.providers.vendors.binance import MOST_TICKERS, instrument_of
from backend.providers.vendors.binance_raw_streams import RAW_FEED

_PREFERENCE = {quote: place for place, quote in enumerate(QUOTES)}
ALL_TICKERS = "!miniTicker@arr"
#: Silence after which a stream is not live. Tickers are sent each second, candles with trades.
SILENT_TICKERS_S, SILENT_CANDLES_S = 10.0, 60.0
#: The figures of a ticker, and the prices and the volume of a candle.
_figures, _prices = itemgetter("c", "o", "h", "l", "q"), itemgetter("o", "h", "l", "c", "v")


def stream_name(subject: TickSubject) -> str:
    """`!miniTicker@arr`, or `btcusdt@kline_1h`: symbols in lower case, intervals as they are."""
    if isinstance(subject, MarketTicks):
        return ALL_TICKERS
    return f"{subject.instrument.symbol.lower()}@kline_{subject.interval}"


def build_path(subjects: Sequence[TickSubject]) -> str:
    return f"/stream?streams={'/'.join(map(stream_name, subjects))}"


def _command(method: str, subjects: Sequence[TickSubject], number: int) -> tuple[str]:
    names = [stream_name(subject) for subject in subjects]
    return (json.dumps({"method": method, "params": names, "id": number}),)


def silence_s(subject: TickSubject) -> float:
    return SILENT_TICKERS_S if isinstance(subject, MarketTicks) else SILENT_CANDLES_S


def is_shutdown_notice(frame: Any) -> bool:
    """True for `serverShutdown`, which has its own name in a combined stream (since 2026-05)."""
    if type(frame) is not dict:
        return False
    if "data" in frame:
        frame = frame["data"]
    return type(frame) is dict and "e" in frame and frame["e"] == "serverShutdown"


def parse_frame(frame: Any, context: Context) -> Tick | None:
    """The tick of a combined stream's frame; None for the answer to a command."""
    if type(frame) is not dict:
        raise TypeError("a frame must be an object")
    if "stream" not in frame:
        if "id" in frame or "result" in frame or "code" in frame:
            return None
        raise ValueError("neither a tick nor the answer to a command")
    name, data = frame["stream"], frame["data"]
    return _tickers(data, context) if name == ALL_TICKERS else _candle(data, context)


def _tickers(rows: Any, context: Context) -> TickerUpdates:
    """The valid rows of a frame. Raises ValueError if most rows have no symbol, or if most of the
    dollar pairs are malformed."""
    tickers: list[PairTicker] = []
    named = refused = 0
    for row in bounded(rows, MOST_TICKERS):
        try:
            instrument = instrument_of(context.provider, row["s"])
            named += 1
            if instrument is not None and instrument.quote in QUOTES:
                tickers.append(_ticker(context, row, instrument))
        except MALFORMED:
            refused += 1
    if refused:
        unnamed = len(rows) - named
        _refuse_majority(unnamed, named)
        _refuse_majority(refused - unnamed, len(tickers))
    if tickers[1:]:
        tickers.sort(key=lambda one: _PREFERENCE[one.instrument.quote])
    return TickerUpdates(context.provider, tuple(tickers))


def _refuse_majority(malformed: int, valid: int) -> None:
    if malformed > valid:
        raise ValueError(f"{malformed} rows are malformed, {valid} are not")


def _ticker(context: Context, row: Any, instrument: Instrument) -> PairTicker:
    price, opened, high, low, volume = decimal_numbers(_figures(row))
    if not opened > 0:
        raise ValueError("the open must be positive")
    # No change if the open is not a price of this day.
    is_of_day = low / NAMESAKE_FACTOR <= opened <= high * NAMESAKE_FACTOR
    return ticker_from_fields(
        {
            "instrument": instrument,
            "price": price,
            "high": high,
            "low": low,
            "quote_volume": volume,
            # Both are rounded to Binance's own number of digits.
            "change": round(price - opened, 8) if is_of_day else None,
            "change_percentage": round((price - opened) / opened * 100, 3) if is_of_day else None,
            "closed_at": datetime.fromtimestamp(_current(row["E"], context) / 1000, UTC),
        }
    )


def _current(event_ms: int, context: Context) -> int:
    if not -CURRENT_WITHIN_MS <= event_ms - context.now_ms <= CURRENT_WITHIN_MS:
        raise ValueError("the tick is not current")
    return event_ms


def _candle(data: Any, context: Context) -> CandleUpdate | None:
    """The update, None for an instrument that is not subscribed."""
    _current(data["E"], context)
    row = data["k"]
    interval = Interval(row["i"])
    if not isinstance(row["s"], str) or not row["s"]:
        raise TypeError("a symbol must be a text")
    instrument = instrument_of(context.provider, row["s"])
    ended_ms = interval.next_open(row["t"])
    if not row["t"] - CURRENT_WITHIN_MS <= context.now_ms <= ended_ms + CURRENT_WITHIN_MS:
        raise ValueError("the candle is not current")
    opened, high, low, close, volume = decimal_numbers(_prices(row))
    candle = Candle(row["t"], opened, high, low, close, volume, row["x"])
    if instrument is None:
        return None
    return CandleUpdate(context.provider, CandleTicks(instrument, interval), candle)


PUSH_FEED = PushFeed(
    # Port 443 is open in a Hugging Face Space; reachable from more countries than
    # stream.binance.com.
    base_url="wss://data-stream.binance.vision:443",
    connects=Window(300, 300),
    # 5 per second are allowed, including pongs.
    commands_per_s=3,
    most_subjects=1_000,  # of 1,024
    subscribe=partial(_command, "SUBSCRIBE"),
    unsubscribe=partial(_command, "UNSUBSCRIBE"),
    parse=parse_frame,
    is_shutdown_notice=is_shutdown_notice,
    silence_s=silence_s,
    always_active=lambda subject: isinstance(subject, MarketTicks),
    path=build_path,
    subjects_in_path=50,
    raw=RAW_FEED,
)
