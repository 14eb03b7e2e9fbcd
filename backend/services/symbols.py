"""From what a reader writes (`BTC`, `bitcoin`, `BTC/USDT`) to one coin of the market."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from backend.errors import NotReady, UnknownSymbol
from backend.models.market import Coin, Market

#: Quote currencies that stand for dollars, longest first so that FDUSD is not F-DUSD.
DOLLARS = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD")
_SEPARATORS = re.compile(r"[/_:\-]")
MOST_SUGGESTIONS = 5
LONGEST_SYMBOL = 64


@dataclass(frozen=True, slots=True)
class Resolution:
    """The coin that a text stands for, and what the reader should know about that choice."""

    coin: Coin
    is_best_ranked: bool
    warnings: tuple[str, ...] = ()


class SymbolIndex:
    """One market's names. Order: exact id, exact symbol by rank, pair against dollars."""

    def __init__(self, market: Market) -> None:
        self._is_ranked = market.ranked
        self._by_id: Mapping[str, Coin] = {coin.id: coin for coin in market.coins if coin.id}
        self._by_symbol: dict[str, list[Coin]] = {}
        for coin in market.coins:
            self._by_symbol.setdefault(coin.symbol, []).append(coin)

    def __repr__(self) -> str:
        return f"<SymbolIndex {len(self._by_id)} ids, {len(self._by_symbol)} symbols>"

    def resolve(self, text: str) -> Resolution:
        """Raises UnknownSymbol with suggestions, or NotReady while no universe is known."""
        name = _trimmed(text)
        found = self.find(name)
        if found:
            return found
        if not self._is_ranked:
            raise NotReady(
                f"{name!r} cannot be told from an unknown coin until a ranked list has been had"
            )
        raise UnknownSymbol(name, self.suggestions(name))

    def find(self, text: str) -> Resolution | None:
        """As `resolve`, None where the text is not known."""
        name = _trimmed(text)
        return self._by_exact_id(name) or self._by_ticker(name) or self._by_pair(name)

    def _by_exact_id(self, name: str) -> Resolution | None:
        coin = self._by_id.get(name)
        if coin is None:
            return None
        namesake = self._by_symbol.get(name.upper(), [coin])[0]
        warning = f"{name} is the id of this coin, and the ticker of {namesake.id}"
        warnings = () if namesake is coin else (warning,)
        return Resolution(coin, self._by_symbol[coin.symbol][0] is coin, warnings)

    def _by_ticker(self, name: str) -> Resolution | None:
        """By symbol in any case, the best-ranked of several; else by an id in another case."""
        coins = self._by_symbol.get(name.upper(), [])
        if not coins:
            return self._by_exact_id(name.lower())
        if len(coins) == 1:
            return Resolution(coins[0], True)
        others = ", ".join(str(coin.id) for coin in coins[1:])
        warning = f"{name.upper()} is ambiguous: {coins[0].id} is the best ranked, not {others}"
        return Resolution(coins[0], True, (warning,))

    def _by_pair(self, name: str) -> Resolution | None:
        pair = _SEPARATORS.sub("", name.upper())
        for quote in DOLLARS:
            base = pair.removesuffix(quote)
            if base and base != pair and base in self._by_symbol:
                return self._by_ticker(base)
        return None

    def suggestions(self, name: str) -> tuple[str, ...]:
        """Symbols and ids that look like `name`, at most five."""
        symbols = get_close_matches(name.upper(), self._by_symbol, MOST_SUGGESTIONS)
        ids = get_close_matches(name.lower(), self._by_id, MOST_SUGGESTIONS)
        return tuple(dict.fromkeys((*symbols, *ids)))[:MOST_SUGGESTIONS]


def _trimmed(text: str) -> str:
    return text.strip()[:LONGEST_SYMBOL]
