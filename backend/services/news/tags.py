"""The coins of an article: the provider's own tags, else the names and tickers in its text."""

import re
from collections.abc import Iterable

from backend.models.market import Market
from backend.models.text import one_line
from backend.services.news.data import data_lines

#: Ordinary words that are also names or tickers of coins: alone they name no coin.
WORDS = frozenset(data_lines("ordinary_words.txt"))
#: Acronyms of the trade that are also tickers: they mean the coin only after a dollar sign.
ACRONYMS = frozenset(word.upper() for word in data_lines("acronyms.txt"))
#: Names that publishers also write in lower case, with the common short form `ether`.
LOWER_CASE = {
    "bitcoin": "BTC",
    "ethereum": "ETH",
    "ether": "ETH",
    "solana": "SOL",
    "dogecoin": "DOGE",
    "litecoin": "LTC",
}
#: Words that make an ordinary word before them a name: Stellar Foundation, NEAR Protocol.
QUALIFIED = "Blockchain|Chain|DAO|Ecosystem|Foundation|Labs|Mainnet|Network|Protocol|Token"
SHORTEST_TICKER, SHORTEST_WORD, SHORTEST_NAME = 3, 4, 4
_TICKER = re.compile(r"(\$?)\b([A-Z][A-Z0-9]{0,9})\b")
_CAPITALS = re.compile(r"\b[A-Z]{2,}\b")


class CoinTagger:
    """Finds the names and tickers of one market's coins in texts."""

    def __init__(self, market: Market | None) -> None:
        coins = market.coins if market else ()
        self._tickers = frozenset(coin.symbol for coin in coins)
        named = {coin.name: coin.symbol for coin in reversed(coins) if coin.name}
        self._names = {name: symbol for name, symbol in named.items() if _is_name(name)}
        words = {name.casefold(): symbol for name, symbol in named.items() if _is_word(name)}
        self._words = {word.removesuffix(" protocol"): symbol for word, symbol in words.items()}
        self._name = _any_of(self._names, "")
        self._word = _any_of(self._words, rf"\s(?:{QUALIFIED})", re.IGNORECASE)
        lower = {name: symbol for name, symbol in LOWER_CASE.items() if symbol in self._tickers}
        self._lower_symbols, self._lower = lower, _any_of(lower, "s?", re.IGNORECASE)

    def tags(self, title: str, summary: str, own_tags: Iterable[str]) -> tuple[str, ...]:
        """The provider's own tags; without any, the symbols in the order of their appearance."""
        own = [one_line(symbol).upper() for symbol in own_tags]
        if any(own):
            return tuple(dict.fromkeys(filter(None, own)))
        tickers = [*self._tickers_in(title), *self._tickers_in(summary)]
        known = [ticker for ticker in tickers if ticker in self._tickers]
        return tuple(dict.fromkeys([*self._named(f"{title}. {summary}"), *known]))

    def _named(self, text: str) -> list[str]:
        names = list(self._name.finditer(text))
        found = [(match.start(), self._names[match[1]]) for match in names]
        taken = [range(match.start(), match.end()) for match in names]
        words = self._word.finditer(text)
        found += [(match.start(), self._words[match[1].casefold()]) for match in words]
        found += [
            (match.start(), self._lower_symbols[match[1].casefold()])
            for match in self._lower.finditer(text)
            if not any(match.start() in place for place in taken)
        ]
        return [symbol for _, symbol in sorted(found)]

    def _tickers_in(self, text: str) -> list[str]:
        shouts = text.upper() == text  # a headline in capitals has no tickers
        others = set(_CAPITALS.findall(text)) - self._tickers - ACRONYMS
        return [
            ticker
            for sign, ticker in _TICKER.findall(text)
            if sign or (not shouts and _is_ticker_alone(ticker, is_emphasis=bool(others)))
        ]


def _is_name(name: str) -> bool:
    return len(name) >= SHORTEST_NAME and not _is_word(name) and name.casefold() not in LOWER_CASE


def _is_word(name: str) -> bool:
    return name.casefold().removesuffix(" protocol") in WORDS


def _any_of(names: Iterable[str], suffix: str, flags: int = 0) -> re.Pattern[str]:
    """Matches the longest name first: Bitcoin Cash before Bitcoin. Without names, nothing."""
    alternatives = "|".join(map(re.escape, sorted(names, key=len, reverse=True))) or "(?!)"
    return re.compile(rf"(?<!\w)({alternatives}){suffix}(?!\w)", flags)


def _is_ticker_alone(ticker: str, *, is_emphasis: bool) -> bool:
    """True for a ticker that is no ordinary word: `BTC`, not `ONE`. A longer word in capitals is a
    ticker too, unless the text uses capitals for emphasis: `NEAR jumps`."""
    if ticker in ACRONYMS or len(ticker) < SHORTEST_TICKER:
        return False
    return ticker.casefold() not in WORDS or (len(ticker) >= SHORTEST_WORD and not is_emphasis)
