"""The market list: readers' filters, orders and pages of one answer."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from operator import attrgetter

from backend.errors import InvalidParameter
from backend.models.answer import Answer
from backend.models.market import Coin, Market
from backend.services.market.symbols import CoinDirectory
from backend.services.page import Page

COIN_FIELDS = tuple(field.name for field in fields(Coin))
SORT_FIELDS = tuple(sign + name for name in COIN_FIELDS for sign in ("", "-"))
#: Names in one request.
MOST_NAMES = 250
#: Unknown names in one request that get suggestions: each costs a millisecond.
MOST_HELPED = 3


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
    """`/api/market`: the rows of a view."""

    def __init__(self, coins: CoinDirectory) -> None:
        self._coins = coins

    async def latest(self) -> Answer[Market]:
        """The whole market. Raises GatewayError."""
        return await self._coins.latest()

    def top(self, market: Market, view: MarketView) -> Page[tuple[Coin, ...]]:
        """The rows of `view`. Raises InvalidParameter, UnknownSymbol if no name is known."""
        coins, warnings = self._named(market, view.names) if view.names else (market.coins, ())
        name, descends = _sort_key(view.sort)
        # Rows without the field come last in both orders, equal rows are ordered by rank.
        rows = [coin for coin in coins if getattr(coin, name) is not None]
        rows.sort(key=attrgetter(name), reverse=descends)
        rows += [coin for coin in coins if getattr(coin, name) is None]
        end = view.offset + view.limit
        return Page(tuple(rows[view.offset : end]), len(rows), warnings)

    def coin(self, market: Market, name: str) -> Page[Coin]:
        """One coin by id, symbol or pair. Raises UnknownSymbol, NotReady."""
        found = self._coins.index(market).resolve(name)
        return Page(found.coin, 1, found.warnings)

    def _named(
        self, market: Market, names: tuple[str, ...]
    ) -> tuple[Collection[Coin], tuple[str, ...]]:
        index = self._coins.index(market)
        resolved = {name: index.find(name) for name in names}
        found = [resolution for resolution in resolved.values() if resolution]
        unknown = [name for name, resolution in resolved.items() if resolution is None]
        if not found:
            index.resolve(unknown[0])  # raises, with suggestions for the first
        coins = {id(resolution.coin): resolution.coin for resolution in found}
        notes = [note for resolution in found for note in resolution.warnings]
        for place, name in enumerate(unknown):
            suggested = ", ".join(index.suggestions(name) if place < MOST_HELPED else ())
            hint = f"; did you mean {suggested}?" if suggested else ""
            notes.append(f"no coin is known as {name!r}{hint}")
        return coins.values(), tuple(notes)


def _sort_key(sort: str) -> tuple[str, bool]:
    """The field, and True for a descending order. Raises InvalidParameter with the fields."""
    name = sort.removeprefix("-")
    if name not in COIN_FIELDS:
        rule = "must be a field of the row, with - in front to sort descending"
        raise InvalidParameter("sort", rule, SORT_FIELDS)
    return name, sort.startswith("-")
