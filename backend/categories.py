"""The table of data categories: how each is queried, cached and persisted.

A category's name is also the name of its settings (CACHE_TTL_<NAME>, MAX_STALE_<NAME>), of its
service in the gateway and of its stream channel.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from backend.cache.answer_codec import AnswerCodec, KeptAnswer
from backend.cache.freshness import (
    Freshness,
    FreshnessRule,
    constant,
    ohlc_freshness,
    sentiment_freshness,
)
from backend.identity.instruments import guessed_instruments
from backend.models.answer import Answer, Query
from backend.models.gas import GasFees, GasQuery
from backend.models.market import Market, MarketQuery, QuotesQuery
from backend.models.news import News, NewsQuery, ReportsQuery
from backend.models.ohlc import Candles, Interval, OhlcQuery
from backend.models.sentiment import FearGreedSeries, SentimentQuery
from backend.settings import Settings

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")


@dataclass(frozen=True)
class Category(Generic[Q, T]):
    """One row of the table."""

    name: str
    #: A query that every provider of the category can answer: /api/status shows which one would.
    provider_query: Query[Any]
    codec: AnswerCodec[Q, T]
    #: Makes the freshness rule from the settings' TTL and highest age.
    freshness: Callable[[Freshness], FreshnessRule[Q, T]] = constant
    #: The cache's bound, in units of `size`.
    capacity: int = 1
    size: Callable[[Answer[T]], int] = lambda _answer: 1
    #: Answers that outlive a restart, and the shortest interval of their writes in seconds.
    most_persisted: int = 1
    persist_interval_s: float = 0.0
    is_persisted: Callable[[Q], bool] = lambda _query: True

    def default_freshness(self, settings: Settings) -> Freshness:
        """As the settings say."""
        return Freshness(
            ttl_s=getattr(settings, f"cache_ttl_{self.name}"),
            max_stale_s=getattr(settings, f"max_stale_{self.name}"),
        )


MARKET = Category(
    "market",
    QuotesQuery(universe_known=True),
    AnswerCodec(TypeAdapter(KeptAnswer[MarketQuery, Market])),
)
OHLC = Category(
    "ohlc",
    OhlcQuery("bitcoin", guessed_instruments("BTC"), Interval.H4, reference_price=1.0),
    AnswerCodec(TypeAdapter(KeptAnswer[OhlcQuery, Candles])),
    ohlc_freshness,
    capacity=100_000,  # candles, about 30 MB of memory
    size=lambda answer: 1 + len(answer.data.candles),
    most_persisted=20,  # about 2 MB on disk
    persist_interval_s=60.0,
    is_persisted=lambda query: query.start_ms is None,
)
NEWS = Category("news", ReportsQuery(), AnswerCodec(TypeAdapter(KeptAnswer[NewsQuery, News])))
SENTIMENT = Category(
    "sentiment",
    SentimentQuery(),
    AnswerCodec(TypeAdapter(KeptAnswer[SentimentQuery, FearGreedSeries])),
    sentiment_freshness,
)
GAS = Category("gas", GasQuery(), AnswerCodec(TypeAdapter(KeptAnswer[GasQuery, GasFees])))

CATEGORIES: Mapping[str, Category[Any, Any]] = {
    category.name: category for category in (MARKET, OHLC, NEWS, SENTIMENT, GAS)
}
