"""The market list: readers' filters, orders and pages of one answer."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any, TypeVar

from backend.errors import GatewayError, InvalidParameter
from backend.identity.instruments import DOLLAR
from backend.models.answer import Answer, Source, Validity
from backend.models.coins import Sparklines, SparklinesQuery
from backend.models.market import COINGECKO_RANKS, Coin, Market, with_sparkline
from backend.services.currency import Conversion, CurrencyService
from backend.services.market.coin_names import CoinNames
from backend.services.market.symbols import CoinDirectory, Resolution
from backend.services.page import Page

T = TypeVar("T")

COIN_FIELDS = tuple(one.name for one in fields(Coin))
SORT_FIELDS = tuple(sign + name for name in COIN_FIELDS for sign in ("", "-"))
#: Takes units of a client's limit. May raise ClientLimitReached.
Charge = Callable[[int], None]
#: Names in one request.
MOST_NAMES = 250
#: Names beyond the list that cost a client one unit of its limit: 250 of them take 10 ms, and may
#: take a call.
NAMES_PER_UNIT = 10
#: Unknown names in one request that get suggestions: each costs a millisecond.
MOST_HELPED = 3


@dataclass(frozen=True, slots=True)
class MarketView:
    """A reader's choice of rows. `names` are ids or symbols in any spelling; amounts are in
    `currency` (an upper-case code)."""

    limit: int = 100
    offset: int = 0
    names: tuple[str, ...] = ()
    sort: str = "market_cap_rank"
    currency: str = DOLLAR
    sparkline: bool = False

    def __post_init__(self) -> None:
        _sort_key(self.sort)


@dataclass(frozen=True, slots=True)
class Additions:
    """What a view needs besides the ranked list.

    `coins` are those beyond the list, by the name that the reader gave. `not_looked_up` are names
    for which no provider could be asked. `conversion` is that from dollars; None if none is needed,
    or if `currency` has no rate. `refresh_ids` are those of the answers that these came from: a
    view is made again when `version` changes.
    """

    currency: str = DOLLAR
    conversion: Conversion | None = None
    coins: Mapping[str, Resolution] = field(default_factory=dict)
    not_looked_up: tuple[str, ...] = ()
    sparklines: Sparklines | None = None
    warnings: tuple[str, ...] = ()
    refresh_ids: tuple[int, ...] = ()

    @property
    def version(self) -> tuple[Any, ...]:
        """Differs where the rows or the warnings of a view do."""
        return self.refresh_ids, self.warnings, self.not_looked_up


NO_ADDITIONS = Additions()


class MarketService:
    """`/api/market`: the rows of a view."""

    def __init__(
        self,
        coins: CoinDirectory,
        names: CoinNames,
        currencies: CurrencyService,
        sparklines: Source[SparklinesQuery, Sparklines],
    ) -> None:
        self._coins, self._names = coins, names
        self._currencies, self._sparklines = currencies, sparklines

    async def latest(self) -> Answer[Market]:
        """The whole market. Raises GatewayError."""
        return await self._coins.latest()

    async def asked(
        self, view: MarketView, charge: Charge = lambda _units: None
    ) -> tuple[Answer[Market], Additions]:
        """The market, and what `view` needs besides it. Raises GatewayError.

        The answer may be reused only while all of them may. `charge` is called with the cost of
        names beyond the list before they are looked up; it may raise.
        """
        answer = await self.latest()
        if not view.names and view.currency == DOLLAR and not view.sparkline:
            return answer, NO_ADDITIONS
        found = _Found()
        index = self._coins.index(answer.data)
        beyond = [name for name in view.names if answer.data.ranked and not index.find(name)]
        if beyond:
            charge(len(beyond) // NAMES_PER_UNIT)
            is_all = len(beyond) == len(view.names)
            await self._find_beyond(beyond, found, is_all=is_all)
            if answer.data.rank_source != COINGECKO_RANKS:  # theirs are CoinGecko's
                found.drop_ranks()
            if found.answers and len(view.names) == 1:  # the row's provenance, not the list's
                found.add(answer)
                answer = found.answers[0].carrying(answer.data)
        if view.sparkline:
            await self._add_sparklines(found, view.currency)
        conversion = None
        if view.currency != DOLLAR:
            conversion = await self._conversion(view.currency, found)
        for validity in found.validities:
            answer = answer.depending_on(validity)
        return answer, Additions(
            view.currency,
            conversion,
            found.coins,
            tuple(found.not_looked_up),
            found.sparklines,
            tuple(found.warnings),
            tuple(found.refresh_ids),
        )

    def top(
        self, market: Market, view: MarketView, additions: Additions = NO_ADDITIONS
    ) -> Page[tuple[Coin, ...]]:
        """The rows of `view`. Raises InvalidParameter, UnknownSymbol if no name is known."""
        coins: Collection[Coin] = market.coins
        warnings: tuple[str, ...] = ()
        if view.names:
            coins, warnings = self._named(market, view.names, additions)
        name, descends = _sort_key(view.sort)
        if additions.currency != DOLLAR:  # a change is ordered by its amount in that currency
            coins = [_in_currency(coin, additions) for coin in coins]
        # Rows without the field come last in both orders, equal rows are ordered by rank.
        rows = [coin for coin in coins if getattr(coin, name) is not None]
        rows.sort(key=attrgetter(name), reverse=descends)
        rows += [coin for coin in coins if getattr(coin, name) is None]
        end = view.offset + view.limit
        shown = tuple(_with_sparkline(coin, additions) for coin in rows[view.offset : end])
        return _page(shown, len(rows), (*warnings, *additions.warnings), additions)

    def coin(self, market: Market, name: str, additions: Additions = NO_ADDITIONS) -> Page[Coin]:
        """One coin by id, symbol or pair. Raises UnknownSymbol, NotReady."""
        found = additions.coins.get(name) or self._coins.index(market).resolve(name)
        warnings = (*found.warnings, *additions.warnings)
        shown = _with_sparkline(_in_currency(found.coin, additions), additions)
        return _page(shown, 1, warnings, additions)

    async def _find_beyond(self, names: list[str], found: "_Found", *, is_all: bool) -> None:
        """Adds the coins beyond the list. An unknown one is an error only if it is the only one."""
        results = await asyncio.gather(*map(self._names.find, names), return_exceptions=True)
        for name, result in zip(names, results, strict=True):
            if result is None:
                continue
            if isinstance(result, GatewayError):
                if is_all:
                    raise result
                found.not_looked_up.append(name)
                found.validities.append(None)
            elif isinstance(result, BaseException):
                raise result
            else:
                answer, resolution = result
                found.coins[name] = resolution
                found.answers.append(answer)
                found.add(answer)
                if answer.stale:
                    found.warnings.append(f"the row of {name!r} is stale: {answer.stale_reason}")

    async def _add_sparklines(self, found: "_Found", currency: str) -> None:
        """They are in dollars: for another currency the rates of seven days would be needed."""
        if currency != DOLLAR:
            found.sparklines = Sparklines({})
            found.warnings.append(f"sparklines are unknown in {currency}")
            return
        try:
            answer = await self._sparklines.fetch(SparklinesQuery())
        except GatewayError as error:
            found.sparklines = Sparklines({})
            found.warnings.append(f"sparklines are unknown: {error}")
            found.validities.append(None)
            return
        found.sparklines = answer.data
        found.add(answer)

    async def _conversion(self, currency: str, found: "_Found") -> Conversion | None:
        try:
            answer, conversion = await self._currencies.conversion(currency)
        except GatewayError as error:
            found.warnings.append(f"amounts are unknown: {error}")
            found.validities.append(None)
            return None
        found.add(answer)
        if conversion is None:
            found.warnings.append(f"amounts are unknown: {answer.source} has no rate of {currency}")
            return None
        found.warnings += conversion.notes
        return conversion

    def _named(
        self, market: Market, names: tuple[str, ...], additions: Additions
    ) -> tuple[Collection[Coin], tuple[str, ...]]:
        index = self._coins.index(market)
        resolved = {name: additions.coins.get(name) or index.find(name) for name in names}
        found = [one for one in resolved.values() if one]
        unknown = [name for name, resolution in resolved.items() if resolution is None]
        if not found:
            index.resolve(unknown[0])  # raises, with suggestions for the first
        # By id: a coin beyond the list may be found by its id and by its ticker.
        coins = {(one.coin.id or id(one.coin)): one.coin for one in found}
        notes = [note for resolution in found for note in resolution.warnings]
        for place, name in enumerate(unknown):
            if name in additions.not_looked_up:
                notes.append(f"{name!r} is not in the list, and could not be looked up")
                continue
            suggested = ", ".join(index.suggestions(name) if place < MOST_HELPED else ())
            hint = f"; did you mean {suggested}?" if suggested else ""
            notes.append(f"no coin is known as {name!r}{hint}")
        return coins.values(), tuple(notes)


@dataclass(slots=True)
class _Found:
    """Additions while they are gathered. `answers` are those that have the coins."""

    answers: list[Answer[Coin | None]] = field(default_factory=list)
    not_looked_up: list[str] = field(default_factory=list)
    coins: dict[str, Resolution] = field(default_factory=dict)
    sparklines: Sparklines | None = None
    warnings: list[str] = field(default_factory=list)
    refresh_ids: list[int] = field(default_factory=list)
    validities: list[Validity | None] = field(default_factory=list)

    def drop_ranks(self) -> None:
        for name, one in self.coins.items():
            self.coins[name] = replace(one, coin=replace(one.coin, market_cap_rank=None))

    def add(self, answer: Answer[Any]) -> None:
        self.refresh_ids.append(answer.refresh_id)
        self.validities.append(answer.validity)


def _in_currency(coin: Coin, additions: Additions) -> Coin:
    """The row with amounts in the reader's currency; without any where that has no rate."""
    if additions.currency == DOLLAR:
        return coin
    return additions.conversion.coin(coin) if additions.conversion else coin.without_figures()


def _with_sparkline(coin: Coin, additions: Additions) -> Coin:
    if additions.sparklines is None:
        return coin
    return with_sparkline(coin, additions.sparklines.prices.get(coin.key))


def _page(rows: T, total: int, warnings: tuple[str, ...], additions: Additions) -> Page[T]:
    return Page(rows, total, warnings, additions.currency, additions.conversion)


def _sort_key(sort: str) -> tuple[str, bool]:
    """The field, and True for a descending order. Raises InvalidParameter with the fields."""
    name = sort.removeprefix("-")
    if name not in COIN_FIELDS:
        rule = "must be a field of the row, with - in front to sort descending"
        raise InvalidParameter("sort", rule, SORT_FIELDS)
    return name, sort.startswith("-")
