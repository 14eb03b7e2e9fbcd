"""Names of coins: from what a reader writes (`BTC`, `bitcoin`, `BTC/USDT`) to one coin."""

import re
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, replace
from difflib import get_close_matches

from backend.errors import NotReady, UnknownSymbol
from backend.identity.instruments import DOLLARS
from backend.models.answer import Answer, Source
from backend.models.market import Coin, Market, MarketQuery

#: The separator of a pair: the last one, as a coin's symbol may contain one.
_CUT = re.compile(r"[/_:\-]([^/_:\-]*)\Z")
MOST_SUGGESTIONS = 5
LONGEST_SYMBOL = 64


@dataclass(frozen=True, slots=True)
class Resolution:
    """The coin that a text names, and warnings about other coins that it may name."""

    coin: Coin
    is_best_ranked: bool
    warnings: tuple[str, ...] = ()


class SymbolIndex:
    """Finds coins of one market by name: by exact id, then symbol by rank, then dollar pair.

    A name in mixed case (`Bitcoin`) is looked up as an id first.
    """

    def __init__(self, market: Market) -> None:
        self.market = market
        #: The places of the coins in the market, by id and by symbol.
        self._by_id = {coin.id: place for place, coin in enumerate(market.coins) if coin.id}
        #: The best-ranked coin of each symbol is the first.
        self._by_symbol: dict[str, list[int]] = {}
        for place, coin in enumerate(market.coins):
            self._by_symbol.setdefault(coin.symbol, []).append(place)

    def __repr__(self) -> str:
        return f"<SymbolIndex {len(self._by_id)} ids, {len(self._by_symbol)} symbols>"

    def of(self, market: Market) -> "SymbolIndex":
        """The index of another market. While ids and symbols are the same, as after a tick of
        prices, it is not built again."""
        pairs = zip(self.market.coins, market.coins, strict=False)
        changed = [(one, other) for one, other in pairs if one is not other]
        has_same_names = all(
            (one.id, one.symbol) == (other.id, other.symbol) for one, other in changed
        )
        if len(self.market.coins) != len(market.coins) or not has_same_names:
            return SymbolIndex(market)
        index = copy(self)
        index.market = market
        return index

    def resolve(self, text: str) -> Resolution:
        """Raises UnknownSymbol with suggestions, or NotReady while no universe is known."""
        if found := self.find(text):
            return found
        name = text.strip()[:LONGEST_SYMBOL]
        if not self.market.ranked:
            raise NotReady(
                f"it is not known whether {name!r} is a coin, as no ranked list is known yet"
            )
        raise UnknownSymbol(name, self.suggestions(name))

    def find(self, text: str) -> Resolution | None:
        """As `resolve`, but None for an unknown text."""
        name = text.strip()[:LONGEST_SYMBOL]
        symbol, lowered = name.upper(), name.lower()
        # Tickers are written in capitals, or in small letters; never in both.
        coin = self._with_id(name) or (self._with_id(lowered) if name != symbol else None)
        if coin is not None:
            return self._of_id(coin, symbol)
        if symbol in self._by_symbol:
            return self._of_symbol(symbol)
        coin = self._with_id(lowered)
        return self._of_id(coin, symbol) if coin else self._of_pair(name, symbol)

    def _with_id(self, text: str) -> Coin | None:
        place = self._by_id.get(text)
        return None if place is None else self.market.coins[place]

    def _with_symbol(self, symbol: str) -> list[Coin]:
        """Best rank first."""
        return [self.market.coins[place] for place in self._by_symbol.get(symbol, ())]

    def _of_id(self, coin: Coin, symbol: str) -> Resolution:
        namesake = next(iter(self._with_symbol(symbol)), coin)
        warning = f"{coin.id} is the id of this coin, and {symbol} is the ticker of {namesake.id}"
        warnings = () if namesake is coin else (warning,)
        return Resolution(coin, self._with_symbol(coin.symbol)[0] is coin, warnings)

    def _of_symbol(self, symbol: str) -> Resolution:
        coins = self._with_symbol(symbol)
        best = coins[0]
        namesake = self._with_id(symbol.lower()) or best
        if len(coins) == 1 and namesake is best:
            return Resolution(best, True)
        warnings = []
        if len(coins) > 1:
            others = ", ".join(coin.id or f"{coin.name} (without an id)" for coin in coins[1:])
            warnings.append(f"{symbol} is ambiguous: {best.id} is the best ranked, not {others}")
        if namesake not in coins:
            warning = f"{symbol} is the ticker of {best.id}, and {namesake.id} is another coin's id"
            warnings.append(warning)
        return Resolution(best, True, tuple(warnings))

    def _of_pair(self, name: str, pair: str) -> Resolution | None:
        """A pair against dollars, cut at its separator, or without one in every possible way."""
        if cut := _CUT.search(pair):
            base, quote = pair[: cut.start()], cut[1]
            is_known = quote in DOLLARS and base in self._by_symbol
            return self._of_symbol(base) if is_known else None
        readings = self._readings(pair)
        if not readings:
            return None
        found = self._of_symbol(readings[0][0])
        notes = self._reading_notes(name, readings)
        return replace(found, warnings=(*found.warnings, *notes)) if notes else found

    def _readings(self, pair: str) -> list[tuple[str, str]]:
        """The ways to cut an unseparated pair into a known symbol and dollars, best rank first."""
        known = [
            (base, quote)
            for quote in DOLLARS
            if pair.endswith(quote) and (base := pair[: -len(quote)]) in self._by_symbol
        ]
        if len(known) > 1:
            known.sort(key=lambda reading: self._by_symbol[reading[0]])
        return known

    def _reading_notes(self, name: str, readings: list[tuple[str, str]]) -> list[str]:
        """Warnings that the text may name another pair, or a coin with a dollar in its name
        (`crvUSD`, `aUSDC`) that the market does not list."""
        (base, quote), *others = readings
        notes = [
            f"{name} is ambiguous: read as {base} against {quote}, not {other} against {dollars}; "
            f"write {other}-{dollars} for {self._with_symbol(other)[0].id or other}"
            for other, dollars in others
        ]
        shorter = [rest for rest in DOLLARS if quote != rest and quote.endswith(rest)]
        notes += [
            f"{name} was read as {base} against {quote}, not as {base + quote.removesuffix(rest)} "
            f"against {rest}, of which this market has no coin"
            for rest in shorter
            if not others
        ]
        written, rest = name[: len(base)], name[len(base) :]
        is_like_a_dollar = rest.isupper() and written != written.upper()
        if not others and (quote == "USD" or is_like_a_dollar):
            hint = f"write {base}-{quote} for it, or the id of a coin that has this name"
            notes.append(f"{name} was read as {base} against {quote}: {hint}")
        return notes

    def suggestions(self, name: str) -> tuple[str, ...]:
        """Symbols and ids that look like `name`, at most five."""
        symbols = get_close_matches(name.upper(), self._by_symbol, MOST_SUGGESTIONS)
        ids = get_close_matches(name.lower(), self._by_id, MOST_SUGGESTIONS)
        return tuple(dict.fromkeys((*symbols, *ids)))[:MOST_SUGGESTIONS]


def cut_pair(pair: str) -> tuple[str, ...]:
    """The tickers that a pair against dollars can mean, in capitals: `PEPE/USDT`, `PEPEUSDT`."""
    if cut := _CUT.search(pair):
        return (pair[: cut.start()],) if cut[1] in DOLLARS and cut.start() else ()
    return tuple(
        pair.removesuffix(quote) for quote in DOLLARS if pair.endswith(quote) and pair != quote
    )


class CoinDirectory:
    """Finds coins by what readers call them. Only `latest` may cause a call to a provider."""

    def __init__(self, source: Source[MarketQuery, Market]) -> None:
        self._source = source
        #: The names of the market that was indexed last; None before the first one.
        self.known_index: SymbolIndex | None = None

    def __repr__(self) -> str:
        return f"<CoinDirectory {self.known_index!r}>"

    async def latest(self) -> Answer[Market]:
        """The whole market. Raises GatewayError."""
        return await self._source.fetch(MarketQuery())

    def index(self, market: Market) -> SymbolIndex:
        """The names of `market`."""
        known = self.known_index
        if known is None or known.market is not market:
            known = self.known_index = known.of(market) if known else SymbolIndex(market)
        return known

    def tickers(self, names: Iterable[str]) -> tuple[str, ...]:
        """The tickers of coins by any spelling; an unknown name is taken as a ticker."""
        index = self.known_index
        found = [(name, index.find(name) if index else None) for name in names]
        return tuple(known.coin.symbol if known else name.upper() for name, known in found)
