"""How long each category's answers are fresh, and how old they may be served."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend.models.answer import Answer
from backend.models.ohlc import Candles, OhlcQuery
from backend.models.sentiment import FearGreedSeries, SentimentQuery
from backend.settings import Settings

#: Closed candles never change; a day bounds what a wrong one could do.
CLOSED_CANDLES_TTL_S = 86_400.0
#: An index that says when it will change is not asked more often than this.
SHORTEST_SENTIMENT_TTL_S = 60.0


@dataclass(frozen=True, slots=True)
class Freshness:
    """How long an answer is fresh, and how old it may be served when nothing fresh is had."""

    ttl_s: float
    max_stale_s: float


def always(ttl_s: float, max_stale_s: float) -> Callable[[Any, Any], Freshness]:
    freshness = Freshness(ttl_s, max_stale_s)
    return lambda _query, _answer: freshness


def ohlc_freshness(settings: Settings) -> Callable[[OhlcQuery, Answer[Candles]], Freshness]:
    """Ranges that are over and closed keep; the newest candles do not."""

    def freshness(query: OhlcQuery, answer: Answer[Candles]) -> Freshness:
        candles = answer.data.candles
        is_over = query.end_ms is not None and query.end_ms <= answer.fetched_at.timestamp() * 1000
        is_history = is_over and candles and all(candle.closed for candle in candles)
        ttl_s = CLOSED_CANDLES_TTL_S if is_history else settings.cache_ttl_ohlc
        return Freshness(ttl_s, settings.max_stale_ohlc)

    return freshness


def sentiment_freshness(
    settings: Settings,
) -> Callable[[SentimentQuery, Answer[FearGreedSeries]], Freshness]:
    """The maker's own word on when it changes, within what the settings allow."""

    def freshness(_query: SentimentQuery, answer: Answer[FearGreedSeries]) -> Freshness:
        longest_s = settings.cache_ttl_sentiment
        told_s = answer.data.next_update_s
        ttl_s = longest_s if told_s is None else min(longest_s, told_s)
        floor_s = min(SHORTEST_SENTIMENT_TTL_S, longest_s)
        return Freshness(max(ttl_s, floor_s), settings.max_stale_sentiment)

    return freshness
