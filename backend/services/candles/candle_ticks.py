"""How a venue's newest candle enters a series that it gave."""

from dataclasses import replace
from datetime import datetime

from backend.models.answer import Answer
from backend.models.ohlc import Candle, Candles
from backend.models.ticks import CandleUpdate
from backend.services.candles.service import BLOCK


def with_candle(
    answer: Answer[Candles], told: CandleUpdate, now: datetime
) -> Answer[Candles] | None:
    """The series with the candle that its own venue told; None where it does not follow on.

    With it the series is as whole as one fetched `now`. A new candle enters only behind one whose
    last word was heard: what was missed in between the next refresh brings.
    """
    series = answer.data
    is_same = answer.source == told.source and series.instrument == told.subject.instrument
    if not is_same or not series.candles or series.interval is not told.subject.interval:
        return None
    candles = _followed(series.candles, told.candle, series)
    if candles is None:
        return None
    try:
        changed = replace(series, candles=candles)
    except ValueError:  # off the grid, or a leap that no market makes
        return None
    return replace(answer, data=changed, fetched_at=now)


def _followed(
    candles: tuple[Candle, ...], told: Candle, series: Candles
) -> tuple[Candle, ...] | None:
    newest = candles[-1]
    if told.timestamp == newest.timestamp:
        is_news = not newest.closed and told != newest
        return (*candles[:-1], told) if is_news else None
    if told.timestamp != series.interval.next_open(newest.timestamp) or not newest.closed:
        return None
    return (*candles, told)[-BLOCK:]
