"""Names of coins beyond the ranked list, and the search over all coins."""

import asyncio
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from heapq import nsmallest
from math import inf
from typing import Any, Self

from backend.clock import Clock
from backend.errors import GatewayError, NoProviderConfigured, UnknownSymbol
from backend.models.answer import Answer, Source
from backend.models.coins import CoinList, CoinListQuery, CoinQuery
from backend.models.market import Coin, Market
from backend.services.market.symbols import LONGEST_SYMBOL, CoinDirectory, Resolution, cut_pair
from backend.services.page import Page

EXACT = 1
#: Units of a client's limit for one search: it reads the names of all coins, for some ms.
SEARCH_UNITS = 2
#: Interval at which a list that has expired is asked for again without a reader, in seconds.
KEEP_INTERVAL_S = 600.0
#: After a failure the list of all coins is not asked for again for this long, in seconds.
FAILURE_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Found:
    """One coin that a search found; rank and picture are None beyond the ranked list."""

    id: str
    symbol: str
    name: str
    market_cap_rank: int | None
    image: str | None


@dataclass(frozen=True, slots=True)
class NameIndex:
    """The names of all coins as lookups and searches read them.

    `first` has one coin of each ticker, `shared` the number of coins where it is not the only one.
    `folded` has one text for each coin, in the order of `names`: all of its names in small letters.
    """

    names: CoinList
    first: Mapping[str, str]
    shared: Mapping[str, int]
    folded: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<NameIndex {self.names!r}>"

    @classmethod
    def of(cls, names: CoinList) -> Self:
        first: dict[str, str] = {}
        shared: dict[str, int] = {}
        for coin_id, (symbol, _) in names.names.items():
            if first.setdefault(symbol, coin_id) != coin_id:
                shared[symbol] = shared.get(symbol, 1) + 1
        folded = tuple(
            f"{coin_id}\n{symbol}\n{name}".casefold()
            for coin_id, (symbol, name) in names.names.items()
        )
        return cls(names, first, shared, folded)

    def query_of(self, text: str) -> CoinQuery | None:
        """The query for the coin that has this id or ticker; None if there is no such coin. By
        ticker only where several coins have it: coins are asked for together by their ids."""
        symbol = text.upper()
        is_symbol = symbol in self.first
        # Tickers are written in capitals, ids in small letters.
        for coin_id in (text, text.lower()):
            if coin_id in self.names.names and not (text == symbol and is_symbol):
                return CoinQuery(coin_id)
        if symbol in self.shared:
            return CoinQuery(symbol=symbol)
        return CoinQuery(self.first[symbol]) if is_symbol else None


EMPTY = NameIndex.of(CoinList({}, {}))


@dataclass(frozen=True, slots=True)
class Listed:
    """The names of all coins as a search reads them, and the refresh that they are from."""

    index: NameIndex
    refresh_ids: tuple[int, ...]
    warnings: tuple[str, ...] = ()


class CoinNames:
    """Finds coins that the ranked list does not have, by id, ticker or pair, and searches all."""

    def __init__(
        self,
        names: Source[CoinListQuery, CoinList],
        coins: Source[CoinQuery, Coin | None],
        directory: CoinDirectory,
        *,
        clock: Clock,
    ) -> None:
        self._names, self._coins, self._directory = names, coins, directory
        self._clock = clock
        self._failure: tuple[GatewayError, float] | None = None
        self._index = EMPTY
        self._indexing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<CoinNames {self._index!r}>"

    async def keep_current(self) -> None:
        """Asks for the list once a day while the market is read, until it is cancelled: the
        contracts in it give ids to other vendors' lists, when CoinGecko can no longer be asked."""
        while True:
            await asyncio.sleep(KEEP_INTERVAL_S)
            if self._directory.known_index is not None:
                with suppress(GatewayError):
                    await self._all()

    async def resolve(self, text: str) -> tuple[Answer[Coin | None], Resolution]:
        """As `find`. Raises UnknownSymbol with suggestions for a text that names no coin."""
        if found := await self.find(text):
            return found
        name, ranked = text.strip()[:LONGEST_SYMBOL], self._directory.known_index
        raise UnknownSymbol(name, ranked.suggestions(name) if ranked else ())

    async def find(self, text: str) -> tuple[Answer[Coin | None], Resolution] | None:
        """The coin beyond the list that `text` names, with the answer that has its row; None if no
        provider knows one. Raises SourceUnavailable."""
        name = text.strip()[:LONGEST_SYMBOL]
        index = (await self._all())[1]
        for one in (name, *cut_pair(name.upper())):
            if query := index.query_of(one):
                answer = await self._coins.fetch(query)
                if answer.data is not None:
                    return answer, _resolution(query, answer.data, index)
        return None

    async def to_search(self) -> tuple[Answer[Market], Listed]:
        """The market and the names of all coins, which `search` reads. Raises GatewayError without
        a market."""
        answer = await self._directory.latest()
        try:
            listed, index = await self._all()
        except GatewayError as error:
            warning = f"only the ranked list was searched: {error}"
            return answer.depending_on(None), Listed(EMPTY, (), (warning,))
        return answer.depending_on(listed.validity), Listed(index, (listed.refresh_id,))

    def search(self, market: Market, listed: Listed, text: str, limit: int) -> Page[Any]:
        """Exact tickers and ids first, then by rank."""
        text, index = text.strip().casefold(), listed.index
        ranked = {coin.id: coin for coin in market.coins if coin.id}
        found = [*_matches(text, market.coins), *_unranked_matches(text, ranked, index)]
        best = nsmallest(limit, found)
        rows = tuple(_found(match[-1], ranked, index) for match in best)
        return Page(rows, len(found), listed.warnings)

    async def _all(self) -> tuple[Answer[CoinList], NameIndex]:
        """The list of all coins; an empty one where no provider is configured that has it."""
        now = self._clock.monotonic()
        if self._failure and now < self._failure[1]:
            raise self._failure[0].with_traceback(None)
        try:
            answer = await self._names.fetch(CoinListQuery())
        except NoProviderConfigured:
            return Answer(EMPTY.names, (), self._clock.now(), None), EMPTY
        except GatewayError as error:
            self._failure = error, now + FAILURE_PAUSE_S
            raise
        self._failure = None
        async with self._indexing:  # once, however many readers wait
            if self._index.names is not answer.data:
                self._index = await asyncio.to_thread(NameIndex.of, answer.data)
            return answer, self._index


def _resolution(query: CoinQuery, coin: Coin, index: NameIndex) -> Resolution:
    """A coin that was asked for by its id is the best ranked of its ticker only if it is alone."""
    count = index.shared.get(coin.symbol, 1)
    if count == 1 or not query.symbol:
        return Resolution(coin, count == 1)
    ambiguous = f"{query.symbol} is ambiguous: {coin.id} is the best ranked"
    return Resolution(coin, True, (f"{ambiguous} of {count} coins with this ticker",))


#: A coin that matches a text: these are ordered as the rows of a search. The last item is the id.
Match = tuple[bool, float, int, str]


def _matches(text: str, coins: Iterable[Coin]) -> Iterator[Match]:
    """Of the ranked list."""
    for coin in coins:
        symbol, name = coin.symbol.casefold(), (coin.name or "").casefold()
        if coin.id and (closeness := _closeness(text, coin.id, symbol, name)):
            yield closeness != EXACT, coin.market_cap_rank or inf, closeness, coin.id


def _unranked_matches(text: str, ranked: Container[str], index: NameIndex) -> Iterator[Match]:
    """Of all other coins."""
    for coin_id, folded in zip(index.names.names, index.folded, strict=True):
        if text in folded and coin_id not in ranked:  # most texts are in few names
            closeness = _closeness(text, *folded.split("\n", 2))
            if closeness:
                yield closeness != EXACT, inf, closeness, coin_id


def _found(coin_id: str, ranked: Mapping[str, Coin], index: NameIndex) -> Found:
    if coin := ranked.get(coin_id):
        return Found(coin_id, coin.symbol, coin.name or coin_id, coin.market_cap_rank, coin.image)
    ticker, name = index.names.names[coin_id]
    return Found(coin_id, ticker, name, None, None)


def _closeness(text: str, coin_id: str, symbol: str, name: str) -> int:
    """EXACT for a ticker or an id, 2 for a beginning of one of the names, 3 for a part of one; 0
    for no match."""
    if text in (symbol, coin_id):
        return EXACT
    if symbol.startswith(text) or name.startswith(text) or coin_id.startswith(text):
        return 2
    return 3 if text in name or text in coin_id else 0
