"""The market list: one upstream answer for every filter, order and page."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Generic, TypeVar

from backend.errors import InvalidParameter
from backend.models.answer import Answer, Source
from backend.models.market import Coin, Market, MarketQuery
from backend.services.market.symbols import SymbolIndex

T = TypeVar("T")

COIN_FIELDS = tuple(field.name for field in fields(Coin))
SORT_FIELDS = tuple(sign + name for name in COIN_FIELDS for sign in ("", "-"))
MOST_NAMES = 250
MOST_HELPED = 3


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """What of an answer a reader gets: the rows, of how many, and warnings of this view."""

    rows: T
    total: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MarketView:
    """A reader's choice of rows. `names` are ids or symbols in any spelling."""

    limit: int = 100
    offset: int = 0
    names: tuple[str, ...] = ()
    sort: str = "market_cap_rank"

    def __post_init__(self) -> None:
        _sort_key(self.sort)


class MarketService:
    """`/api/market`: states what is asked of the market, and picks the rows of a view."""

    def __init__(self, source: Source[MarketQuery, Market]) -> None:
        self._source = source
        self._indexed: tuple[Market, SymbolIndex] | None = None

    async def latest(self) -> Answer[Market]:
        """The whole market. Raises GatewayError."""
        return await self._source.fetch(MarketQuery())

    def tickers(self, names: Iterable[str]) -> tuple[str, ...]:
        """Tickers of what readers call coins in any spelling; asks nobody."""
        index = self.known_index
        found = [(name, index.find(name) if index else None) for name in names]
        return tuple(known.coin.symbol if known else name.upper() for name, known in found)

    @property
    def known(self) -> Market | None:
        """The market as last seen, None before anybody needed its names."""
        return self._indexed[0] if self._indexed else None

    @property
    def known_index(self) -> SymbolIndex | None:
        """The names of the market as last seen, None before anybody needed them."""
        return self._indexed[1] if self._indexed else None

    def index(self, market: Market) -> SymbolIndex:
        """The names of `market`, built once for each refresh."""
        if self._indexed is None or self._indexed[0] is not market:
            self._indexed = market, SymbolIndex(market)
        return self._indexed[1]

    def top(self, market: Market, view: MarketView) -> Page[tuple[Coin, ...]]:
        """The rows of `view`. Raises InvalidParameter, UnknownSymbol if no name is known."""
        key = _sort_key(view.sort)
        coins, warnings = self._named(market, view.names) if view.names else (market.coins, ())
        rows = _ordered(coins, *key)
        end = view.offset + view.limit
        return Page(tuple(rows[view.offset : end]), len(rows), warnings)

    def coin(self, market: Market, name: str) -> Page[Coin]:
        """One coin by id, symbol or pair. Raises UnknownSymbol, NotReady."""
        found = self.index(market).resolve(name)
        return Page(found.coin, 1, found.warnings)

    def _named(
        self, market: Market, names: tuple[str, ...]
    ) -> tuple[Iterable[Coin], tuple[str, ...]]:
        index = self.index(market)
        resolved = {name: index.find(name) for name in names}
        found = [resolution for resolution in resolved.values() if resolution]
        unknown = [name for name, resolution in resolved.items() if resolution is None]
        if not found:
            index.resolve(unknown[0])  # raises, with suggestions for the first
        coins = {id(resolution.coin): resolution.coin for resolution in found}
        notes = [note for resolution in found for note in resolution.warnings]
        return coins.values(), (*notes, *_unknown_notes(index, unknown))


def _unknown_notes(index: SymbolIndex, names: list[str]) -> list[str]:
    """Suggestions for the first few only: to look for them costs a millisecond each."""
    helped, others = names[:MOST_HELPED], names[MOST_HELPED:]
    suggested = {name: ", ".join(index.suggestions(name)) for name in helped}
    notes = [
        f"no coin is known as {name!r}" + (f"; did you mean {found}?" if found else "")
        for name, found in suggested.items()
    ]
    return notes + [f"no coin is known as {name!r}" for name in others]


def _sort_key(sort: str) -> tuple[str, bool]:
    """The field and whether it descends. Raises InvalidParameter listing the fields."""
    name = sort.removeprefix("-")
    if name not in COIN_FIELDS:
        raise InvalidParameter(
            "sort", "wants a field of the row, - in front to descend", SORT_FIELDS
        )
    return name, sort.startswith("-")


def _ordered(coins: Iterable[Coin], name: str, descends: bool) -> list[Coin]:
    """By one field; rows that don't have it come last either way, equals stay by rank."""
    rows = list(coins)
    known = [coin for coin in rows if getattr(coin, name) is not None]
    known.sort(key=attrgetter(name), reverse=descends)
    return known + [coin for coin in rows if getattr(coin, name) is None]
