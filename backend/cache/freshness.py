"""How long an answer is fresh, and how old it may be served, by its category's rule."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from backend.models.answer import Answer, Query
from backend.models.ohlc import Candles, OhlcQuery
from backend.models.sentiment import FearGreedSeries, SentimentQuery

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")

#: The TTL of closed candles, which never change, in seconds: a day bounds the effect of a wrong
#: one.
CLOSED_CANDLES_TTL_S = 86_400.0
#: The shortest TTL of an index that announces its next update, in seconds.
SHORTEST_SENTIMENT_TTL_S = 60.0


@dataclass(frozen=True, slots=True)
class Freshness:
    """Seconds for which an answer is fresh, and its highest age when no fresh one is available."""

    ttl_s: float
    max_stale_s: float


#: Gives the freshness of an answer to a query.
FreshnessRule = Callable[[Q, Answer[T]], Freshness]


def constant(default: Freshness) -> FreshnessRule[Any, Any]:
    return lambda _query, _answer: default


def ohlc_freshness(default: Freshness) -> FreshnessRule[OhlcQuery, Candles]:
    """A past range of closed candles keeps for a day; other candles for the default TTL."""

    def freshness(query: OhlcQuery, answer: Answer[Candles]) -> Freshness:
        candles = answer.data.candles
        is_past = query.end_ms is not None and query.end_ms <= answer.fetched_at.timestamp() * 1000
        is_history = is_past and candles and all(candle.closed for candle in candles)
        return replace(default, ttl_s=CLOSED_CANDLES_TTL_S) if is_history else default

    return freshness


def sentiment_freshness(default: Freshness) -> FreshnessRule[SentimentQuery, FearGreedSeries]:
    """Until the announced update, but not longer than the default TTL."""

    def freshness(_query: SentimentQuery, answer: Answer[FearGreedSeries]) -> Freshness:
        announced_s = answer.data.next_update_s
        if announced_s is None:
            return default
        shortest_s = min(SHORTEST_SENTIMENT_TTL_S, default.ttl_s)
        return replace(default, ttl_s=max(shortest_s, min(default.ttl_s, announced_s)))

    return freshness
