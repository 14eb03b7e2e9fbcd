"""How long answers of each category are fresh."""

from datetime import timedelta
from typing import Any

import pytest

from backend.categories import (
    CLOSED_CANDLES_TTL_S,
    OHLC,
    SENTIMENT,
    ohlc_freshness,
    sentiment_freshness,
)
from backend.models.answer import Answer
from backend.models.ohlc import HOUR, Candle, Candles, Interval, OhlcQuery
from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.settings import Settings
from tests.clocks import EPOCH, EPOCH_MS


def candles(*closed: bool) -> Answer[Candles]:
    rows = tuple(
        Candle(
            timestamp=EPOCH_MS - (10 - place) * HOUR,
            open=1,
            high=1,
            low=1,
            close=1,
            volume=None,
            closed=is_closed,
        )
        for place, is_closed in enumerate(closed)
    )
    return Answer(Candles(Interval.H1, rows), "a", EPOCH, 1.0)


def query(start_ms: int | None, end_ms: int | None) -> OhlcQuery:
    return OhlcQuery("bitcoin", (), Interval.H1, start_ms, end_ms)


@pytest.mark.parametrize(
    ("asked", "answer", "is_history"),
    [
        (query(EPOCH_MS - 10 * HOUR, EPOCH_MS), candles(True, True), True),
        (query(EPOCH_MS - 10 * HOUR, EPOCH_MS + HOUR), candles(True, True), False),
        (query(EPOCH_MS - 10 * HOUR, EPOCH_MS), candles(True, False), False),
        (query(EPOCH_MS - 10 * HOUR, EPOCH_MS), candles(), False),
        (query(None, None), candles(True, True), False),
    ],
)
def test_only_a_past_range_of_closed_candles_is_fresh_for_a_day(
    asked: OhlcQuery, answer: Answer[Candles], is_history: bool
) -> None:
    freshness = ohlc_freshness(OHLC.default_freshness(Settings()), asked, answer)
    assert freshness.ttl_s == (CLOSED_CANDLES_TTL_S if is_history else 15)


@pytest.mark.parametrize(
    ("announced_s", "ttl_s"), [(None, 3_600), (50_000.0, 3_600), (600.0, 600), (5.0, 60)]
)
def test_an_index_is_fresh_until_its_announced_update_within_bounds(
    announced_s: float | None, ttl_s: float
) -> None:
    day: dict[str, Any] = {"value": 50, "classification": "Neutral", "index": "a"}
    series = FearGreedSeries(
        (FearGreed(**day, timestamp=EPOCH - timedelta(hours=8), attribution="by a"),), announced_s
    )
    answer = Answer(series, "a", EPOCH, 1.0)
    default = SENTIMENT.default_freshness(Settings())
    assert sentiment_freshness(default, SentimentQuery(), answer).ttl_s == ttl_s
