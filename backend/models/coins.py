"""Coins beyond the ranked list: names of all coins, single coins, and their last seven days."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from backend.identity.foreign_ids import contract_key
from backend.models.answer import Query
from backend.models.market import Coin, Ranking
from backend.models.numbers import LARGEST, SMALLEST


@dataclass(frozen=True, slots=True)
class CoinList:
    """All coins that CoinGecko knows, 18,000 in 2026.

    `names` maps an id to ticker (upper case) and name. `contracts` maps the address of a token's
    contract, as `contract_key` writes it, to the id; an address that two coins claim is not in it.
    """

    names: Mapping[str, tuple[str, str]]
    contracts: Mapping[str, str]

    def __repr__(self) -> str:
        return f"<CoinList {len(self.names)} coins, {len(self.contracts)} contracts>"

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str, tuple[str, ...]]]) -> "CoinList":
        """Of id, ticker, name and contract addresses of each coin."""
        names: dict[str, tuple[str, str]] = {}
        owners: dict[str, str | None] = {}
        for coin_id, symbol, name, addresses in rows:
            names.setdefault(coin_id, (symbol, name))
            for key in map(contract_key, addresses):
                owners[key] = coin_id if owners.get(key, coin_id) == coin_id else None
        return cls(names, {key: owner for key, owner in owners.items() if owner})


@dataclass(frozen=True)
class CoinListQuery(Query[CoinList]):
    """The query for the names of all coins."""

    category: ClassVar[str] = "coin_list"
    is_fixed: ClassVar[bool] = True

    @property
    def subject(self) -> str:
        return "the names of all coins"


@dataclass(frozen=True)
class CoinsQuery(Query[Ranking]):
    """The query for single coins, at most 250 together: by CoinGecko's ids, or by tickers.

    `Ranking.coins` has those of them that have a market, for a ticker the best-ranked coin; their
    ranks are those of the whole list.
    """

    category: ClassVar[str] = "coins"
    is_shared: ClassVar[bool] = False
    ids: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()

    @property
    def budget_key(self) -> "CoinsQuery":
        """The choice of coins changes with the readers; one call brings all of them."""
        return CoinsQuery()

    @property
    def subject(self) -> str:
        return f"{len(self.ids) + len(self.symbols)} coins beyond the list"


@dataclass(frozen=True)
class CoinQuery(Query[Coin | None]):
    """The query for one coin, by CoinGecko's id or by its ticker; None for a coin without a market.

    A ticker means the best-ranked coin that has it.
    """

    category: ClassVar[str] = "coins"
    is_shared: ClassVar[bool] = False
    id: str = ""
    symbol: str = ""

    @property
    def subject(self) -> str:
        return f"coin {self.id or self.symbol}"


@dataclass(frozen=True, slots=True)
class Sparklines:
    """The prices of the last seven days in USD, one an hour, oldest first, by coin id."""

    prices: Mapping[str, tuple[float, ...]]
    refused: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Sparklines {len(self.prices)} coins>"


def plausible_price(value: object) -> float:
    """The value as a float. Raises TypeError, ValueError for what no price can be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a price must be a number")
    if not SMALLEST < value < LARGEST:
        raise ValueError("an implausible price")
    return float(value)


@dataclass(frozen=True)
class SparklinesQuery(Query[Sparklines]):
    """The query for the sparklines of the ranked list."""

    category: ClassVar[str] = "sparklines"
    is_fixed: ClassVar[bool] = True
