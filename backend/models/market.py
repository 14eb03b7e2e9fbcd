"""Coins and their prices: the questions, what providers bring, and the canonical row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, ClassVar

from pydantic import model_validator
from pydantic.dataclasses import dataclass as validated

from backend.identity.instruments import Instrument
from backend.models.answer import Query
from backend.models.numbers import (
    SMALLEST,
    STRICT,
    Finite,
    Instant,
    Name,
    NotNegative,
    Positive,
    Rank,
    Text,
    Url,
)
from backend.models.validated import from_fields

#: A last price may be a little outside its 24 h range; beyond this factor one of them is wrong.
RANGE_SLACK = 2.0
#: Largest factor between a market cap and price times supply.
MARKET_CAP_SLACK = 10.0
#: Two prices within this factor are of the same coin.
SAME_PRICE_FACTOR = 2.0
#: Two prices beyond this factor are of two coins with the same ticker.
NAMESAKE_FACTOR = 10.0
#: The `rank_source` of ranks that CoinGecko gave, by any of its plans.
COINGECKO_RANKS = "coingecko"
#: In USD; the wealth of the world is less than a hundredth of it.
MOST_MARKET_CAP = 1e18


def agree(one: float, other: float, factor: float = SAME_PRICE_FACTOR) -> bool:
    """True if two prices are near enough to be of the same coin. Defined for any two floats: there
    is no division, so none by zero."""
    return other / factor <= one <= other * factor


def market_cap_of(price: float, supply: float) -> float | None:
    """Price times supply in USD; None if the amount is implausible."""
    market_cap = price * supply
    return market_cap if SMALLEST < market_cap < MOST_MARKET_CAP else None


def plausible_market_cap(reported: Any) -> Any:
    """What a provider reports as a market cap in USD. Raises ValueError if no coin can have it.
    Amounts that are converted to another currency may be larger."""
    if isinstance(reported, int | float) and reported >= MOST_MARKET_CAP:
        raise ValueError("an implausible market cap")
    return reported


@validated(frozen=True, config=STRICT)  # without slots orjson takes half of the time
class Coin:
    """One row of the market. Amounts are in USD, until they are converted; figures that no provider
    gave are None.

    `id` is CoinGecko's (`bitcoin`), `symbol` is upper case (`BTC`), `price_change_24h` is an
    amount, the percentages are in percent (1.5 is 1.5 %), all over rolling hours or days.
    `source` is the provider of the row's price.
    """

    id: Text | None
    symbol: Text
    name: Name | None
    image: Url | None
    market_cap_rank: Rank | None
    price: Positive | None
    market_cap: Positive | None
    volume_24h: NotNegative | None
    high_24h: Positive | None
    low_24h: Positive | None
    price_change_24h: Finite | None
    price_change_percentage_24h: Finite | None
    circulating_supply: NotNegative | None
    last_updated: Instant | None
    source: Text
    price_change_percentage_1h: Finite | None = None
    price_change_percentage_7d: Finite | None = None

    @property
    def key(self) -> str:
        """Identifies the coin: its id, or its symbol while no ranked list is known."""
        return self.id or self.symbol

    def without_figures(self) -> "Coin":
        """The row with its names, rank, supply and stamp only."""
        return with_fields(
            self,
            price=None,
            market_cap=None,
            volume_24h=None,
            high_24h=None,
            low_24h=None,
            price_change_24h=None,
            price_change_percentage_24h=None,
            price_change_percentage_1h=None,
            price_change_percentage_7d=None,
        )

    @model_validator(mode="after")
    def _is_plausible(self) -> "Coin":
        price, high, low = self.price, self.high_24h, self.low_24h
        if high is not None and low is not None and high < low:
            raise ValueError("24 h high below 24 h low")
        if price is None:
            return self
        if high is not None and price > high * RANGE_SLACK:
            raise ValueError("price far above its 24 h high")
        if low is not None and price < low / RANGE_SLACK:
            raise ValueError("price far below its 24 h low")
        if self.market_cap is not None and self.circulating_supply:
            expected = price * self.circulating_supply
            if not agree(self.market_cap, expected, MARKET_CAP_SLACK):
                raise ValueError("market cap is not price times supply")
        return self


@validated(frozen=True, config=STRICT)
class CoinWithSparkline(Coin):
    """As Coin, with the hourly prices of the last seven days, oldest first."""

    sparkline_7d: tuple[Positive, ...] | None = None


coin_from_fields = from_fields(Coin)
_with_sparkline = from_fields(CoinWithSparkline)


def with_fields(coin: Coin, **changes: Any) -> Coin:
    """The row with other figures, as `replace` makes it, in a third of the time."""
    return coin_from_fields({**vars(coin), **changes})


def with_valid_fields(coin: Coin, **changes: Any) -> Coin:
    """As `with_fields`, but nothing is checked: the new values must be valid, by themselves and
    beside those that stay. It takes a tenth of the time."""
    row = object.__new__(Coin)
    object.__setattr__(row, "__dict__", {**coin.__dict__, **changes})
    return row


def with_sparkline(coin: Coin, prices: tuple[float, ...] | None) -> CoinWithSparkline:
    return _with_sparkline({**vars(coin), "sparkline_7d": prices})


def coins_by_rank(coins: Iterable[Coin]) -> tuple[Coin, ...]:
    """Best rank first, those without a rank last."""
    return tuple(sorted(coins, key=lambda coin: (coin.market_cap_rank or inf, coin.id or "")))


@validated(frozen=True, slots=True, config=STRICT)
class PairTicker:
    """An instrument's rolling 24 h; prices and `quote_volume` are in its quote currency.

    `quote_volume` is None if the venue has only the volume in coins. `change` (an amount) and
    `change_percentage` are None if they cannot be computed.
    """

    instrument: Instrument
    price: Positive
    high: Positive
    low: Positive
    quote_volume: NotNegative | None
    change: Finite | None
    change_percentage: Finite | None
    closed_at: Instant

    @model_validator(mode="after")
    def _is_plausible(self) -> "PairTicker":
        if self.high < self.low:
            raise ValueError("high below low")
        if not self.low / RANGE_SLACK <= self.price <= self.high * RANGE_SLACK:
            raise ValueError("price outside its own 24 h range")
        return self


ticker_from_fields = from_fields(PairTicker)


@dataclass(frozen=True, slots=True)
class Ranking:
    """A provider's ranked list: ids, names, ranks and supplies besides prices.

    `refused` are the ids of rows that were left out as implausible, `without_supply` those of rows
    whose circulating supply was left out as implausible. `page` has the rows as the vendor sent
    them, where they answer COIN_PAGE.
    """

    coins: tuple[Coin, ...]
    refused: tuple[str, ...] = ()
    without_supply: tuple[str, ...] = ()
    page: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class PairTickers:
    """A venue's live instruments against dollars, the preferred quote currency's for each base.

    `refused` names the symbols of rows that were left out as implausible. `others` are instruments
    against other currencies (`BTC/EUR`): candles in these currencies come from them, prices do not.
    """

    tickers: tuple[PairTicker, ...]
    refused: tuple[str, ...] = ()
    others: tuple[PairTicker, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedCoin:
    """A row of a list with foreign ids: the coin without an id, the vendor's own name of it in an
    address (`bitcoin`, `btc-bitcoin`), and the addresses of its contracts."""

    coin: Coin
    slug: str
    contracts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignRanking:
    """A ranked list of a vendor that has ids of its own, best rank first.

    `refused` names the slugs of rows that were left out as implausible.
    """

    listed: tuple[ListedCoin, ...]
    refused: tuple[str, ...] = ()


Quotes = Ranking | ForeignRanking | PairTickers


@dataclass(frozen=True)
class QuotesQuery(Query[Quotes]):
    """The query for current prices. Ranked lists come first while no universe is known."""

    category: ClassVar[str] = "market"
    is_fixed: ClassVar[bool] = True
    universe_known: bool = False

    @property
    def kind(self) -> str:
        return self.category if self.universe_known else "market_without_universe"


@dataclass(frozen=True, slots=True)
class Market:
    """All coins we know, best rank first.

    `ranked` is False while no ranked list has ever been seen. `instruments` maps a coin's key to
    the instruments that trade it; it is None while no venue has listed its instruments. `venues`
    are those that have: what they did not list, they do not trade. `rank_source` is who gave the
    ranks: those of two vendors are never in one list.
    """

    coins: tuple[Coin, ...]
    ranked: bool
    instruments: Mapping[str, tuple[Instrument, ...]] | None = None
    venues: frozenset[str] = frozenset()
    rank_source: str = COINGECKO_RANKS


@dataclass(frozen=True)
class MarketQuery(Query[Market]):
    """The query for the whole market: one for all filters and orders of readers."""

    category: ClassVar[str] = "market"

    def __hash__(self) -> int:
        return 1  # all are equal, and each tick looks it up
