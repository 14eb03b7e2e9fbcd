"""The table of data categories: how each is queried, cached and persisted.

A category's name is also the name of its settings (CACHE_TTL_<NAME>, MAX_STALE_<NAME>) and of its
stream channel. A category without settings has a fixed freshness, and no channel.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from backend.cache.answer_store import AnswerCodec, KeptAnswer, Retention
from backend.cache.freshness import Freshness, FreshnessRule, constant
from backend.identity.instruments import guessed_instruments
from backend.models.answer import Answer, Query
from backend.models.chains import CHAINS
from backend.models.coins import (
    CoinList,
    CoinListQuery,
    CoinQuery,
    CoinsQuery,
    Sparklines,
    SparklinesQuery,
)
from backend.models.gas import GasFees, GasQuery
from backend.models.global_market import GlobalMarket, GlobalQuery
from backend.models.market import Coin, Market, MarketQuery, QuotesQuery
from backend.models.news import News, NewsQuery, ReportsQuery
from backend.models.ohlc import Candles, Interval, OhlcQuery
from backend.models.pass_through import PassThroughQuery, VendorAnswer
from backend.models.rates import ExchangeRates, RatesQuery
from backend.models.sentiment import FearGreedSeries, SentimentQuery
from backend.settings import Settings

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")

DAY_S = 86_400.0
#: The TTL of closed candles, which never change, in seconds: a day bounds the effect of a wrong
#: one.
CLOSED_CANDLES_TTL_S = DAY_S
#: Longest TTL of a vendor's refusal of a question, in seconds.
REFUSAL_TTL_S = 300.0
#: Bytes that a cached vendor's answer costs besides its body.
PASS_THROUGH_BYTES = 2_048
#: The shortest TTL of an index that announces its next update, in seconds.
SHORTEST_SENTIMENT_TTL_S = 60.0


@dataclass(frozen=True)
class Category(Generic[Q, T]):
    name: str
    #: A query that every provider of the category can answer: /api/status shows which one would.
    provider_query: Query[Any]
    retention: Retention[Q, T]
    freshness: FreshnessRule[Q, T] = constant
    #: The cache's bound, in units of `size`.
    capacity: int = 1
    size: Callable[[Answer[T]], int] | None = None
    #: For a category without settings of its own: its freshness, or the category whose settings
    #: it shares.
    fixed: Freshness | None = None
    #: The query whose answer /api/status shows; None: the newest answer to any query.
    status_query: Query[Any] | None = None
    settings_of: str = ""

    def default_freshness(self, settings: Settings) -> Freshness:
        """As the settings say; as declared for a category without settings."""
        name = self.settings_of or self.name
        return self.fixed or Freshness(
            ttl_s=getattr(settings, f"cache_ttl_{name}"),
            max_stale_s=getattr(settings, f"max_stale_{name}"),
        )


def ohlc_freshness(default: Freshness, query: OhlcQuery, answer: Answer[Candles]) -> Freshness:
    """A past range of closed candles keeps for a day; other candles for the default TTL."""
    candles = answer.data.candles
    is_past = query.end_ms is not None and query.end_ms <= answer.fetched_at.timestamp() * 1000
    is_history = is_past and candles and all(candle.closed for candle in candles)
    return replace(default, ttl_s=CLOSED_CANDLES_TTL_S) if is_history else default


def sentiment_freshness(
    default: Freshness, _query: SentimentQuery, answer: Answer[FearGreedSeries]
) -> Freshness:
    """Until the announced update, but not longer than the default TTL."""
    announced_s = answer.data.next_update_s
    if announced_s is None:
        return default
    shortest_s = min(SHORTEST_SENTIMENT_TTL_S, default.ttl_s)
    return replace(default, ttl_s=max(shortest_s, min(default.ttl_s, announced_s)))


def gas_freshness(default: Freshness, query: GasQuery, _answer: Answer[GasFees]) -> Freshness:
    """Not shorter than the fees of the chain change."""
    return replace(default, ttl_s=max(default.ttl_s, query.traits.refresh_s))


MARKET = Category(
    "market",
    QuotesQuery(universe_known=True),
    Retention("market", AnswerCodec(KeptAnswer[MarketQuery, Market])),
)
OHLC = Category(
    "ohlc",
    OhlcQuery("bitcoin", guessed_instruments("BTC"), Interval.H1, reference_price=1.0),
    Retention(
        "ohlc",
        AnswerCodec(KeptAnswer[OhlcQuery, Candles]),
        most=20,  # about 2 MB on disk
        interval_s=60.0,
        is_kept=lambda query: query.start_ms is None,
    ),
    ohlc_freshness,
    capacity=100_000,  # candles, about 30 MB of memory
    size=lambda answer: 1 + len(answer.data.candles),
)
NEWS = Category("news", ReportsQuery(), Retention("news", AnswerCodec(KeptAnswer[NewsQuery, News])))
SENTIMENT = Category(
    "sentiment",
    SentimentQuery(),
    Retention("sentiment", AnswerCodec(KeptAnswer[SentimentQuery, FearGreedSeries])),
    sentiment_freshness,
)
GAS = Category(
    "gas",
    GasQuery(),
    Retention("gas", AnswerCodec(KeptAnswer[GasQuery, GasFees]), most=len(CHAINS)),
    gas_freshness,
    capacity=len(CHAINS),
    status_query=GasQuery(),
)
#: Vendors compute the figures every few minutes; six hours is as long as coins may be stale.
GLOBAL = Category(
    "global",
    GlobalQuery(),
    Retention("global", AnswerCodec(KeptAnswer[GlobalQuery, GlobalMarket])),
    fixed=Freshness(ttl_s=300.0, max_stale_s=21_600.0),
)
#: Kept as long as the market's list, of which they are the rest.
COINS = Category(
    "coins",
    CoinsQuery(("bitcoin",)),
    Retention("coins", AnswerCodec(KeptAnswer[CoinQuery, Coin | None]), most=100, interval_s=60.0),
    capacity=1_000,
    settings_of="market",
)
COIN_LIST = Category(
    "coin_list",
    CoinListQuery(),
    Retention("coin_list", AnswerCodec(KeptAnswer[CoinListQuery, CoinList])),
    # New coins appear within a day; names hardly ever change.
    fixed=Freshness(ttl_s=DAY_S, max_stale_s=30 * DAY_S),
)
SPARKLINES = Category(
    "sparklines",
    SparklinesQuery(),
    Retention("sparklines", AnswerCodec(KeptAnswer[SparklinesQuery, Sparklines])),
    fixed=Freshness(ttl_s=3_600.0, max_stale_s=6 * 3_600.0),
)
#: Other services convert amounts with them; no client can request them.
RATES = Category(
    "rates",
    RatesQuery(),
    Retention("rates", AnswerCodec(KeptAnswer[RatesQuery, ExchangeRates])),
    fixed=Freshness(ttl_s=600.0, max_stale_s=6 * 3_600.0),
)


def pass_through_freshness(
    _default: Freshness, query: PassThroughQuery, answer: Answer[VendorAnswer]
) -> Freshness:
    """That of the query. A refusal is short-lived: a symbol that is unknown may be listed soon."""
    if answer.data.status == 200:
        return Freshness(query.ttl_s, query.max_stale_s)
    return Freshness(min(query.ttl_s, REFUSAL_TTL_S), 0.0)


#: Vendors' own answers, for programs that speak the vendor's protocol. Each query has its own
#: freshness.
PASS_THROUGH = Category(
    "pass_through",
    PassThroughQuery("coingecko", "/ping"),
    Retention(
        "pass_through",
        AnswerCodec(KeptAnswer[PassThroughQuery, VendorAnswer]),
        most=4,  # 15 MB take 1 MB or less, compressed
        interval_s=60.0,
        is_kept=lambda query: query.outlives_restart,
    ),
    pass_through_freshness,
    capacity=64 * 1024 * 1024,  # bytes
    size=lambda answer: len(answer.data.body) + PASS_THROUGH_BYTES,
    fixed=Freshness(ttl_s=60.0, max_stale_s=900.0),
)

#: The categories with a route, which /api/status lists ...
CATEGORIES: dict[str, Category[Any, Any]] = {
    category.name: category for category in (MARKET, OHLC, NEWS, SENTIMENT, GAS, GLOBAL)
}
#: ... and those with data that the routes of others use.
HELPERS: dict[str, Category[Any, Any]] = {
    category.name: category for category in (COINS, COIN_LIST, SPARKLINES, RATES, PASS_THROUGH)
}
