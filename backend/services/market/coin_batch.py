"""Coins beyond the ranked list: all that readers want are asked for in one call."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field

from backend.bounded_map import BoundedMap
from backend.clock import Clock
from backend.errors import GatewayError
from backend.models.answer import Answer, Source
from backend.models.coins import CoinQuery, CoinsQuery
from backend.models.market import Coin, Ranking

#: Most coins in one call; the coin that was read longest ago gives way.
MOST_COINS = 250
#: Most characters of all ids or tickers of a call: they are in its URL, and servers refuse one of
#: 8 KiB. The usual id has 15, the longest more than 100. Each counts with its encoded comma.
MOST_CHARACTERS, COMMA = 6_000, 3
#: Time for which a coin that was read is refreshed together with others, in seconds: longer than
#: any budget keeps coins fresh, as a coin that is left out costs a call of its own.
WANTED_S = 2 * 3_600.0
#: Tickers whose best-ranked coin is remembered, and for how long, in seconds.
MOST_TICKERS, TICKER_S = 2_048, 3_600.0
#: How long a call waits for further coins, and the least time between two calls, in seconds.
GATHER_S, SPACING_S = 0.02, 1.0

#: The answer to each query, or why there is none.
Results = dict[CoinQuery, Answer[Coin | None] | GatewayError]


@dataclass(slots=True)
class _Gathering:
    """The queries of one call to come."""

    queries: set[CoinQuery] = field(default_factory=set)
    characters: int = 0
    is_urgent: bool = False

    def has_room_for(self, query: CoinQuery) -> bool:
        if query in self.queries:
            return True
        characters = self.characters + _characters(query)
        return len(self.queries) < MOST_COINS and characters <= MOST_CHARACTERS

    def add(self, query: CoinQuery) -> None:
        self.is_urgent |= query.is_urgent
        if query not in self.queries:
            self.queries.add(CoinQuery(query.id, query.symbol))
            self.characters += _characters(query)


class CoinBatch:
    """The source of single coins. `fetch` raises SourceUnavailable.

    A refresh of one coin brings all coins that were read lately, so that they cost one call
    together; `note_read` says which these are. `share` receives the answers for those that were
    not asked for.
    """

    def __init__(
        self,
        coins: Source[CoinsQuery, Ranking],
        *,
        clock: Clock,
        share: Callable[[CoinQuery, Answer[Coin | None]], Awaitable[None]],
    ) -> None:
        self._coins = coins
        self._clock = clock
        self._share = share
        self._wanted = BoundedMap[str, bool](MOST_COINS, ttl_s=WANTED_S, timer=clock.monotonic)
        self._tickers = BoundedMap[str, bool](MOST_COINS, ttl_s=WANTED_S, timer=clock.monotonic)
        #: The best-ranked coin of each ticker that was asked for.
        self._ids = BoundedMap[str, str](MOST_TICKERS, ttl_s=TICKER_S, timer=clock.monotonic)
        self._gathering: tuple[_Gathering, asyncio.Task[Results]] | None = None
        self._tasks: set[asyncio.Task[Results]] = set()
        self._next_call = 0.0

    def __repr__(self) -> str:
        return f"<CoinBatch {len(self._wanted)} wanted>"

    def note_read(self, query: CoinQuery) -> None:
        """A client reads the coin, perhaps from the cache."""
        coin_id = query.id or self._ids.get(query.symbol)
        if coin_id:
            self._wanted.set(coin_id, True)
        if query.symbol:
            self._tickers.set(query.symbol, True)

    async def fetch(self, query: CoinQuery) -> Answer[Coin | None]:
        if known := self._ids.get(query.symbol):
            query = CoinQuery(known, is_urgent=query.is_urgent)
        gathering, task = self._gathering or (None, None)
        if gathering is None or task is None or not gathering.has_room_for(query):
            gathering = _Gathering()
            task = self._start(gathering)
        gathering.add(query)
        result = (await asyncio.shield(task))[query]
        if isinstance(result, GatewayError):
            raise result.with_traceback(None)
        return result

    async def aclose(self) -> None:
        """Cancels the calls that are under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, gathering: _Gathering) -> asyncio.Task[Results]:
        task = asyncio.create_task(self._fetch_together(gathering), name="coins")
        self._gathering = gathering, task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _fetch_together(self, gathering: _Gathering) -> Results:
        now = self._clock.monotonic()
        wait_s = max(GATHER_S, self._next_call - now)
        self._next_call = now + wait_s + SPACING_S
        await asyncio.sleep(wait_s)
        if self._gathering and self._gathering[0] is gathering:
            self._gathering = None
        symbols = tuple(sorted(query.symbol for query in gathering.queries if query.symbol))
        ids = {query.id for query in gathering.queries if query.id}
        results: Results = {}
        if symbols:
            results |= await self._by_symbol(symbols, gathering.is_urgent)
        if ids:
            results |= await self._by_id(ids, gathering.is_urgent)
        return results

    async def _by_symbol(self, symbols: tuple[str, ...], is_urgent: bool) -> Results:
        """With the other tickers that were read lately."""
        others = _others(self._tickers, symbols)
        asked = CoinsQuery(symbols=tuple(sorted((*symbols, *others))), is_urgent=is_urgent)
        try:
            answer = await self._coins.fetch(asked)
        except GatewayError as error:  # the coins that are asked for by id are not affected
            return {CoinQuery(symbol=one): error for one in symbols}
        best = {coin.symbol: coin for coin in reversed(answer.data.coins)}  # best rank first
        for symbol, coin in best.items():
            self._ids.set(symbol, str(coin.id))
            self._wanted.set(str(coin.id), True)
        for one in others:
            await self._share(CoinQuery(symbol=one), answer.carrying(best.get(one)))
        return {CoinQuery(symbol=one): answer.carrying(best.get(one)) for one in symbols}

    async def _by_id(self, ids: set[str], is_urgent: bool) -> Results:
        """With the coins that were read lately, which their own readers then need not ask for."""
        others = _others(self._wanted, ids)
        for one in ids:
            self._wanted.set(one, True)
        names = tuple(sorted((*ids, *others)))
        try:
            answer = await self._coins.fetch(CoinsQuery(names, is_urgent=is_urgent))
        except GatewayError as error:
            return {CoinQuery(one): error for one in ids}
        by_id = {coin.id: coin for coin in answer.data.coins}
        answers = {one: answer.carrying(by_id.get(one)) for one in names}
        for one in others:
            await self._share(CoinQuery(one), answers[one])
        for symbol in list(self._ids):
            if found := answers.get(self._ids.get(symbol) or ""):
                await self._share(CoinQuery(symbol=symbol), found)
        return {CoinQuery(one): found for one, found in answers.items()}


class NotedReads:
    """The cache of single coins, whose reads are noted: `fetch` raises as the cache does."""

    def __init__(self, cached: Source[CoinQuery, Coin | None], batch: CoinBatch) -> None:
        self._cached, self._batch = cached, batch

    def __repr__(self) -> str:
        return f"<NotedReads {self._batch!r}>"

    async def fetch(self, query: CoinQuery) -> Answer[Coin | None]:
        self._batch.note_read(query)
        return await self._cached.fetch(query)


def _others(wanted: Iterable[str], asked: Collection[str]) -> list[str]:
    """The names besides `asked` that were read lately, as many as the call has room for: those
    read last."""
    call, others = _Gathering(), list[str]()
    for one in asked:
        call.add(CoinQuery(one))
    for one in reversed([*wanted]):
        query = CoinQuery(one)
        if one not in asked and call.has_room_for(query):
            call.add(query)
            others.append(one)
    return others


def _characters(query: CoinQuery) -> int:
    """Of the name in the URL of a call."""
    return len(query.id or query.symbol) + COMMA
