"""Which coins an article is about: the provider's own tags, else names and tickers in its text."""

import re
from collections.abc import Iterable

from backend.models.market import Market
from backend.services.data import data_lines
from backend.services.universe import best_ranked

#: Tickers and names of coins that are words of the language or of the trade. As bare words they
#: say nothing; with a dollar sign in front, or in the provider's own list, they count.
WORDS = frozenset(data_lines("ordinary_words.txt"))
SHORTEST_TICKER, SHORTEST_NAME = 3, 4
_TICKER = re.compile(r"(\$?)\b([A-Z][A-Z0-9]{0,9})\b")


class CoinTagger:
    """Knows the names and tickers of one market's coins."""

    def __init__(self, market: Market | None) -> None:
        coins = market.coins if market else ()
        self._tickers = frozenset(best_ranked(coins))
        named = {coin.name: coin.symbol for coin in reversed(coins) if coin.name}
        self._names = {
            name: symbol
            for name, symbol in named.items()
            if len(name) >= SHORTEST_NAME and name.casefold() not in WORDS
        }
        # Longest first, so that Bitcoin Cash is not taken for Bitcoin.
        alternatives = "|".join(map(re.escape, sorted(self._names, key=len, reverse=True)))
        self._name = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)") if alternatives else None

    def tags(self, text: str, told: Iterable[str]) -> tuple[str, ...]:
        """Symbols in the order of their appearance; what the provider told comes first."""
        own = [symbol.upper() for symbol in told]
        if own:
            return tuple(dict.fromkeys(own))
        return tuple(dict.fromkeys([*self._named(text), *self._ticked(text)]))

    def _named(self, text: str) -> list[str]:
        found = self._name.findall(text) if self._name else []
        return [self._names[name] for name in found]

    def _ticked(self, text: str) -> list[str]:
        shouts = text.upper() == text  # a headline in capitals has no tickers
        return [
            ticker
            for sign, ticker in _TICKER.findall(text)
            if ticker in self._tickers and (sign or (not shouts and _stands_alone(ticker)))
        ]


def _stands_alone(ticker: str) -> bool:
    """True for a ticker that is no word: `BTC`, but not `ONE`."""
    return len(ticker) >= SHORTEST_TICKER and ticker.casefold() not in WORDS
