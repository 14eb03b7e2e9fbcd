"""Coins beyond the ranked list: all that readers want are asked for in one call."""

import asyncio
from collections.abc import Awaitable, Callable

from backend.bounded_map import BoundedMap
from backend.clock import Clock
from backend.models.answer import Answer, Source
from backend.models.coins import CoinQuery, CoinsQuery
from backend.models.market import Coin, Ranking

#: Most coins in one call; the coin that was read longest ago gives way.
MOST_COINS = 250
#: Time for which a coin that was read is refreshed together with others, in seconds.
WANTED_S = 600.0
#: Tickers whose best-ranked coin is remembered, and for how long, in seconds.
MOST_TICKERS, TICKER_S = 2_048, 3_600.0
#: How long a call waits for further coins, and the least time between two calls, in seconds.
GATHER_S, SPACING_S = 0.02, 1.0

Answers = dict[CoinQuery, Answer[Coin | None]]


class CoinBatch:
    """The source of single coins. `fetch` raises SourceUnavailable.

    A refresh of one coin brings all coins that were read lately, so that they cost one call
    together. `share` receives the answers for those that were not asked for.
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
        #: The best-ranked coin of each ticker that was asked for.
        self._ids = BoundedMap[str, str](MOST_TICKERS, ttl_s=TICKER_S, timer=clock.monotonic)
        self._gathering: tuple[set[CoinQuery], asyncio.Task[Answers]] | None = None
        self._next_call = 0.0

    def __repr__(self) -> str:
        return f"<CoinBatch {len(self._wanted)} wanted>"

    async def fetch(self, query: CoinQuery) -> Answer[Coin | None]:
        if known := self._ids.get(query.symbol):
            query = CoinQuery(known)
        asked, gathered = self._gathering or (set(), None)
        if gathered is None or len(asked) >= MOST_COINS:
            asked = set()
            gathered = asyncio.create_task(self._fetch_together(asked), name="coins")
            self._gathering = asked, gathered
        asked.add(query)
        return (await asyncio.shield(gathered))[query]

    async def _fetch_together(self, asked: set[CoinQuery]) -> Answers:
        now = self._clock.monotonic()
        wait_s = max(GATHER_S, self._next_call - now)
        self._next_call = now + wait_s + SPACING_S
        await asyncio.sleep(wait_s)
        if self._gathering and self._gathering[0] is asked:
            self._gathering = None
        symbols = tuple(sorted(query.symbol for query in asked if query.symbol))
        ids = {query.id for query in asked if query.id}
        answers: Answers = {}
        if symbols:
            answers |= await self._by_symbol(symbols)
        if ids:
            answers |= await self._by_id(ids)
        return answers

    async def _by_symbol(self, symbols: tuple[str, ...]) -> Answers:
        answer = await self._coins.fetch(CoinsQuery(symbols=symbols, is_urgent=True))
        best = {coin.symbol: coin for coin in reversed(answer.data.coins)}  # best rank first
        for symbol, coin in best.items():
            self._ids.set(symbol, str(coin.id))
            self._wanted.set(str(coin.id), True)
        return {CoinQuery(symbol=one): answer.carrying(best.get(one)) for one in symbols}

    async def _by_id(self, ids: set[str]) -> Answers:
        """With the coins that were read lately, which their own readers then need not ask for."""
        others = [one for one in self._wanted if one not in ids]
        others = others[max(0, len(others) + len(ids) - MOST_COINS) :]
        for one in ids:
            self._wanted.set(one, True)
        names = tuple(sorted((*ids, *others)))
        answer = await self._coins.fetch(CoinsQuery(names, is_urgent=True))
        by_id = {coin.id: coin for coin in answer.data.coins}
        answers = {CoinQuery(one): answer.carrying(by_id.get(one)) for one in names}
        for one in others:
            await self._share(CoinQuery(one), answers[CoinQuery(one)])
        return answers
