"""Kraken's market-data stream: the 24 h ticker of each listed instrument, and newest candles.

Documentation: docs.kraken.com/api (WebSocket v2, 2026-09). There is no subscription to all tickers.
"""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from backend.identity.instruments import DOLLAR
from backend.models.market import PairTicker, ticker_from_fields
from backend.models.ohlc import Candle
from backend.models.ticks import (
    CandleTicks,
    CandleUpdate,
    MarketTicks,
    Tick,
    TickerUpdates,
    TickSubject,
)
from backend.providers.adapter import Context, PushFeed, Window
from backend.providers.rows import (
    CURRENT_WITHIN_MS,
    bounded,
    iso_instant,
    not_ahead,
    parse_rows,
    printable_name,
)
from backend.providers.vendors.kraken import MINUTES, instrument_of

INTERVALS = {minutes: interval for interval, minutes in MINUTES.items()}
#: Silence after which a stream is not live, in seconds: updates are sent with trades.
SILENT_TICKERS_S, SILENT_CANDLES_S = 10.0, 60.0
#: Most rows of a frame; the first one of a subscription may have the whole history.
MOST_ROWS = 1_000
#: Instruments of one command.
MOST_SYMBOLS = 100
#: Channels of frames without ticks.
QUIET_CHANNELS = ("status", "heartbeat")


def build_commands(method: str, subjects: Sequence[TickSubject], number: int) -> tuple[str, ...]:
    """One frame for tickers and one for each interval, and more for many instruments. The venue
    accepts or refuses each instrument for itself."""
    return tuple(
        json.dumps({"method": method, "params": params, "req_id": number})
        for params in _subscriptions(subjects)
    )


def _subscriptions(subjects: Sequence[TickSubject]) -> Iterator[dict[str, Any]]:
    symbols: dict[int | None, list[str]] = {}
    for subject in subjects:
        if isinstance(subject, MarketTicks):
            symbols.setdefault(None, []).extend(one.symbol for one in subject.instruments)
        elif subject.interval in MINUTES:  # the venue refuses others
            symbols.setdefault(MINUTES[subject.interval], []).append(subject.instrument.symbol)
    for minutes, names in symbols.items():
        channel = {"channel": "ohlc", "interval": minutes} if minutes else {"channel": "ticker"}
        for at in range(0, len(names), MOST_SYMBOLS):
            yield {**channel, "symbol": names[at : at + MOST_SYMBOLS]}


def silence_s(subject: TickSubject) -> float:
    return SILENT_TICKERS_S if isinstance(subject, MarketTicks) else SILENT_CANDLES_S


def parse_frame(frame: Any, context: Context) -> Tick | None:
    """The tick of a frame; None for the answer to a command, also a refusal, and for frames about
    the connection."""
    channel = frame.get("channel")
    if channel == "ticker":
        return _tickers(frame["data"], context)
    if channel == "ohlc":
        return _candle(frame["data"], context)
    if channel in QUIET_CHANNELS or (channel is None and "method" in frame):
        return None
    raise ValueError("neither a tick nor the answer to a command")


def _tickers(rows: Any, context: Context) -> TickerUpdates | None:
    """The tickers of coins in dollars, None without any. Raises ValueError if most rows are
    malformed."""
    found, _ = parse_rows(rows, partial(_ticker, context), "symbol", most=MOST_ROWS)
    tickers = tuple(ticker for ticker in found if ticker is not None)
    return TickerUpdates(context.provider, tickers) if tickers else None


def _ticker(context: Context, row: Any) -> PairTicker | None:
    """None for a pair that is not a coin's in dollars, and for one without current trades."""
    instrument = _instrument(row, context)
    at = not_ahead(iso_instant(row["timestamp"]), context.now_ms)
    is_old = context.now_ms - at.timestamp() * 1000 > CURRENT_WITHIN_MS
    volume = _number(row["volume"])
    if instrument is None or instrument.currency != DOLLAR or is_old or volume == 0:
        return None
    return ticker_from_fields(
        {
            "instrument": instrument,
            "price": _number(row["last"]),
            "high": _number(row["high"]),
            "low": _number(row["low"]),
            "quote_volume": volume * _number(row["vwap"]),
            "change": _number(row["change"]),
            "change_percentage": _number(row["change_pct"]),  # in percent
            "closed_at": at,
        }
    )


def _candle(rows: Any, context: Context) -> CandleUpdate | None:
    """The newest candle of the frame, None for an instrument that is not subscribed.

    It is never marked as closed: the venue resends the forming candle with each trade, and says
    only by the first trade of the next one that it was closed. `closed` is left to the next
    refresh, as a trade between the last update seen and the close would be missed otherwise.
    """
    row = max(bounded(rows, MOST_ROWS), key=lambda one: iso_instant(one["interval_begin"]))
    interval = INTERVALS[row["interval"]]
    opened_ms = int(iso_instant(row["interval_begin"]).timestamp()) * 1000
    ended_ms = interval.next_open(opened_ms)
    if not opened_ms - CURRENT_WITHIN_MS <= context.now_ms <= ended_ms + CURRENT_WITHIN_MS:
        raise ValueError("the candle is not current")
    names = ("open", "high", "low", "close", "volume")
    opened, high, low, close, volume = (_number(row[name]) for name in names)
    candle = Candle(opened_ms, opened, high, low, close, volume, closed=False)
    instrument = _instrument(row, context)
    if instrument is None:
        return None
    return CandleUpdate(context.provider, CandleTicks(instrument, interval), candle)


def _instrument(row: Any, context: Context) -> Any:
    return instrument_of(context.provider, printable_name(row["symbol"]))


def _number(value: Any) -> float:
    """JSON numbers; the model refuses those that are not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("not a number")
    return float(value)


PUSH_FEED = PushFeed(
    base_url="wss://ws.kraken.com/v2",  # port 443 is open in a Hugging Face Space
    # Per IP address; about 150 in 10 minutes are allowed.
    connects=Window(75, 600),
    # Not documented for market data; fewer than by other venues.
    commands_per_s=2,
    most_subjects=1_000,
    subscribe=partial(build_commands, "subscribe"),
    unsubscribe=partial(build_commands, "unsubscribe"),
    parse=parse_frame,
    is_shutdown_notice=lambda _frame: False,  # the venue has none
    silence_s=silence_s,
    always_active=lambda subject: isinstance(subject, MarketTicks) and bool(subject.instruments),
    lists_instruments=True,
)
