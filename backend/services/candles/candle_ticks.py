"""Applies a candle tick to a series of the same venue."""

from dataclasses import replace
from datetime import datetime

from backend.models.answer import Answer
from backend.models.ohlc import Candle, Candles
from backend.models.ticks import CandleUpdate
from backend.services.candles.service import BLOCK


def with_candle(
    answer: Answer[Candles], tick: CandleUpdate, now: datetime
) -> Answer[Candles] | None:
    """The series with the tick's candle, as if fetched `now`; None if the tick does not fit.

    A tick fits if it updates the newest candle, or follows directly on a closed one. After a gap,
    the next refresh brings the missing candles.
    """
    series = answer.data
    is_same = answer.source == tick.source and series.instrument == tick.subject.instrument
    if not is_same or not series.candles or series.interval is not tick.subject.interval:
        return None
    candles = _with_newest(series, tick.candle)
    if candles is None:
        return None
    try:
        changed = replace(series, candles=candles)
    except ValueError:  # off the interval's grid, or an implausible jump
        return None
    return replace(answer, data=changed, fetched_at=now)


def _with_newest(series: Candles, candle: Candle) -> tuple[Candle, ...] | None:
    newest = series.candles[-1]
    if candle.timestamp == newest.timestamp:
        is_change = not newest.closed and candle != newest
        return (*series.candles[:-1], candle) if is_change else None
    if candle.timestamp != series.interval.next_open(newest.timestamp) or not newest.closed:
        return None
    return (*series.candles, candle)[-BLOCK:]
