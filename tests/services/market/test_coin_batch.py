"""Single coins that many readers want: one call for all of them."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from backend.cache.cached_source import CachedSource
from backend.cache.freshness import Freshness, constant
from backend.cache.ttl_cache import TTLCache
from backend.errors import AllProvidersFailed
from backend.models.answer import Answer
from backend.models.coins import CoinQuery, CoinsQuery
from backend.models.market import Coin, Ranking, coins_by_rank
from backend.services.market.coin_batch import (
    MOST_CHARACTERS,
    MOST_COINS,
    SPACING_S,
    TICKER_S,
    WANTED_S,
    CoinBatch,
    NotedReads,
)
from tests.clocks import LoopClock
from tests.services.market.test_service import coin

pytestmark = pytest.mark.looptime
TTL_S = 60.0
DOWN = AllProvidersFailed("down")


class Coins:
    """A provider of `known` coins; each call takes `delay_s`, and fails while `error` is set."""

    def __init__(self, known: Iterable[Coin] = (), delay_s: float = 0.5) -> None:
        self.known = {one.id: one for one in known}
        self.delay_s = delay_s
        self.error: Exception | None = None
        #: The kind of query that alone fails: `ids` or `symbols`.
        self.failing = ""
        self.asked: list[CoinsQuery] = []
        self.asked_at: list[float] = []

    async def fetch(self, query: CoinsQuery) -> Answer[Ranking]:
        self.asked.append(query)
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.delay_s)
        if self.error or (self.failing and getattr(query, self.failing)):
            raise self.error or DOWN
        found = (
            one for one in self.known.values() if one.id in query.ids or one.symbol in query.symbols
        )
        return Answer(Ranking(coins_by_rank(found)), "coingecko_free", LoopClock().now(), 500.0)


def numbered(count: int) -> list[Coin]:
    return [coin(f"coin-{n}", f"C{n}", 300 + n) for n in range(count)]


def ids_of(count: int) -> list[CoinQuery]:
    return [CoinQuery(f"coin-{n}") for n in range(count)]


class Shared:
    """What was shared of coins that were not asked for."""

    def __init__(self) -> None:
        self.coins: dict[str, Coin | None] = {}

    async def __call__(self, query: CoinQuery, answer: Answer[Coin | None]) -> None:
        self.coins[query.id] = answer.data


def batch_of(coins: Coins, shared: Shared | None = None) -> CoinBatch:
    return CoinBatch(coins, clock=LoopClock(), share=shared or Shared())


async def test_fifty_readers_of_thirty_coins_cost_one_call() -> None:
    coins = Coins(numbered(30))
    batch = batch_of(coins)
    queries = [*ids_of(30), *ids_of(20)]
    answers = await asyncio.gather(*map(batch.fetch, queries))
    assert [one.data and one.data.id for one in answers] == [query.id for query in queries]
    (asked,) = coins.asked
    assert set(asked.ids) == {query.id for query in queries}
    assert asked.symbols == ()


async def test_coins_by_id_and_by_ticker_cost_one_call_each() -> None:
    coins = Coins(numbered(4))
    batch = batch_of(coins)
    queries = [CoinQuery("coin-0"), CoinQuery(symbol="C1"), CoinQuery(symbol="C2")]
    answers = await asyncio.gather(*map(batch.fetch, queries))
    assert [one.data and one.data.id for one in answers] == ["coin-0", "coin-1", "coin-2"]
    assert [(one.symbols, one.ids) for one in coins.asked] == [
        (("C1", "C2"), ()),
        ((), ("coin-0", "coin-1", "coin-2")),
    ]


async def test_a_ticker_is_its_best_ranked_coin_and_then_asked_by_its_id() -> None:
    coins = Coins([coin("lesser", "ABC", 900), coin("best", "ABC", 400), coin("none", "ABC", None)])
    batch = batch_of(coins)
    first = await batch.fetch(CoinQuery(symbol="ABC"))
    again = await batch.fetch(CoinQuery(symbol="ABC"))
    assert first.data is again.data is coins.known["best"]
    assert [one.symbols for one in coins.asked] == [("ABC",), ()]
    assert coins.asked[1].ids == ("best",)


async def test_a_coin_without_a_market_is_none() -> None:
    batch = batch_of(Coins(numbered(1)))
    found, missing, no_ticker = await asyncio.gather(
        *map(batch.fetch, [CoinQuery("coin-0"), CoinQuery("gone"), CoinQuery(symbol="GONE")])
    )
    assert found.data is not None
    assert missing.data is no_ticker.data is None


async def test_a_second_batch_starts_while_one_runs_and_waits_for_its_turn() -> None:
    coins = Coins(numbered(3), delay_s=5.0)
    batch = batch_of(coins)
    first = asyncio.create_task(batch.fetch(CoinQuery("coin-0")))
    await asyncio.sleep(0.2)
    second = asyncio.create_task(batch.fetch(CoinQuery("coin-1")))
    await asyncio.sleep(0.5)
    third = asyncio.create_task(batch.fetch(CoinQuery("coin-2")))
    answers = await asyncio.gather(first, second, third)
    assert [one.data and one.data.id for one in answers] == ["coin-0", "coin-1", "coin-2"]
    assert [one.ids for one in coins.asked] == [("coin-0",), ("coin-0", "coin-1", "coin-2")]
    assert coins.asked_at[1] - coins.asked_at[0] >= SPACING_S


async def test_calls_of_a_quick_provider_are_spaced() -> None:
    coins = Coins(numbered(40), delay_s=0.001)
    batch = batch_of(coins)
    readers = []
    for query in ids_of(40):
        readers.append(asyncio.create_task(batch.fetch(query)))
        await asyncio.sleep(0.1)
    await asyncio.gather(*readers)
    gaps = [b - a for a, b in zip(coins.asked_at, coins.asked_at[1:], strict=False)]
    assert len(coins.asked) <= 6
    assert min(gaps) >= SPACING_S - 1e-9


async def test_more_than_a_call_takes_are_asked_in_several() -> None:
    count = 2 * MOST_COINS + 7
    coins = Coins(numbered(count))
    answers = await asyncio.gather(*map(batch_of(coins).fetch, ids_of(count)))
    assert all(one.data for one in answers)
    assert len(coins.asked) == 3
    assert max(len(one.ids) for one in coins.asked) == MOST_COINS
    assert coins.asked_at[-1] - coins.asked_at[0] >= 2 * SPACING_S


async def test_a_full_batch_takes_further_readers_of_its_coins() -> None:
    coins = Coins(numbered(MOST_COINS))
    queries = [*ids_of(MOST_COINS), *ids_of(10)]
    await asyncio.gather(*map(batch_of(coins).fetch, queries))
    assert len(coins.asked) == 1


async def test_the_coins_read_longest_ago_give_way_in_a_full_call() -> None:
    coins = Coins(numbered(MOST_COINS + 5))
    batch, queries = batch_of(coins), ids_of(MOST_COINS + 5)
    await asyncio.gather(*map(batch.fetch, queries[:MOST_COINS]))
    await asyncio.gather(*map(batch.fetch, queries[MOST_COINS:]))
    last = coins.asked[-1].ids
    assert len(last) == MOST_COINS
    assert {query.id for query in queries[MOST_COINS:]} <= set(last)


async def test_the_names_of_a_call_fit_into_a_url() -> None:
    """Otherwise readers of the longest names would spoil the call of all others."""
    long = [f"{'bridged-' * 12}{n}" for n in range(100)]
    coins = Coins([*numbered(150), *(coin(one, f"L{n}", 900 + n) for n, one in enumerate(long))])
    batch = batch_of(coins)
    queries = [*ids_of(150), *map(CoinQuery, long)]
    answers = await asyncio.gather(*map(batch.fetch, queries))
    assert all(
        one.data and one.data.id == query.id for one, query in zip(answers, queries, strict=True)
    )
    await batch.fetch(CoinQuery("coin-0"))
    assert "coin-0" in coins.asked[-1].ids
    assert max(len("%2C".join(one.ids)) for one in coins.asked) <= MOST_CHARACTERS


async def test_a_failure_reaches_every_reader_and_is_not_remembered() -> None:
    coins = Coins(numbered(5))
    coins.error = DOWN
    batch = batch_of(coins)
    results = await asyncio.gather(*map(batch.fetch, ids_of(5)), return_exceptions=True)
    assert results == [DOWN] * 5
    coins.error = None
    assert (await batch.fetch(CoinQuery("coin-3"))).data is coins.known["coin-3"]


@pytest.mark.parametrize("failing", ["ids", "symbols"])
async def test_a_failure_by_id_or_by_ticker_spares_the_other_kind(failing: str) -> None:
    coins = Coins(numbered(2))
    coins.failing = failing
    by_id, by_symbol = await asyncio.gather(
        *map(batch_of(coins).fetch, [CoinQuery("coin-0"), CoinQuery(symbol="C1")]),
        return_exceptions=True,
    )
    failed, found = (by_id, by_symbol) if failing == "ids" else (by_symbol, by_id)
    assert failed is DOWN
    assert isinstance(found, Answer)


async def test_a_bug_reaches_every_reader_too() -> None:
    coins = Coins(numbered(2))
    coins.error = ZeroDivisionError()
    results = await asyncio.gather(*map(batch_of(coins).fetch, ids_of(2)), return_exceptions=True)
    assert [type(one) for one in results] == [ZeroDivisionError] * 2


async def test_a_reader_that_leaves_does_not_harm_the_others() -> None:
    coins = Coins(numbered(3))
    batch = batch_of(coins)
    leaving, staying = (asyncio.create_task(batch.fetch(one)) for one in ids_of(2))
    await asyncio.sleep(0.1)
    leaving.cancel()
    assert (await staying).data is coins.known["coin-1"]
    assert leaving.cancelled()


@pytest.mark.parametrize("error", [None, DOWN, ZeroDivisionError()])
async def test_a_batch_whose_readers_all_leave_ends_without_a_trace(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    coins = Coins(numbered(3))
    coins.error = error
    batch = batch_of(coins)
    readers = [asyncio.create_task(batch.fetch(one)) for one in ids_of(3)]
    await asyncio.sleep(0.1)
    for reader in readers:
        reader.cancel()
    await asyncio.sleep(10)
    coins.error = None
    assert (await batch.fetch(CoinQuery("coin-0"))).data is coins.known["coin-0"]
    assert not caplog.records


async def test_closing_ends_what_runs_and_what_waits() -> None:
    coins = Coins(numbered(2), delay_s=30.0)
    batch = batch_of(coins)
    running = asyncio.create_task(batch.fetch(CoinQuery("coin-0")))
    await asyncio.sleep(0.1)
    waiting = asyncio.create_task(batch.fetch(CoinQuery("coin-1")))
    await asyncio.sleep(0.1)
    await batch.aclose()
    assert await asyncio.gather(running, waiting, return_exceptions=True)
    await asyncio.sleep(60)
    assert len(coins.asked) == 1


@pytest.mark.parametrize(
    ("urgent", "expected"), [((False, False), False), ((False, True), True), ((True, False), True)]
)
async def test_a_call_is_urgent_if_a_reader_waits_for_a_first_answer(
    urgent: tuple[bool, bool], expected: bool
) -> None:
    coins = Coins(numbered(2))
    batch = batch_of(coins)
    queries = [CoinQuery(f"coin-{n}", is_urgent=one) for n, one in enumerate(urgent)]
    await asyncio.gather(*map(batch.fetch, queries), batch.fetch(CoinQuery(symbol="C1")))
    assert [one.is_urgent for one in coins.asked] == [expected, expected]


async def test_coins_read_lately_are_asked_along_and_shared_with_their_readers() -> None:
    coins, shared = Coins(numbered(3)), Shared()
    batch = batch_of(coins, shared)
    await asyncio.gather(*map(batch.fetch, ids_of(2)))
    assert shared.coins == {}
    del coins.known["coin-1"]  # it has lost its market
    await batch.fetch(CoinQuery("coin-2"))
    assert shared.coins == {"coin-0": coins.known["coin-0"], "coin-1": None}


async def test_a_coin_that_nobody_reads_any_more_is_not_asked_along() -> None:
    coins, shared = Coins(numbered(2)), Shared()
    batch = batch_of(coins, shared)
    await batch.fetch(CoinQuery("coin-0"))
    await asyncio.sleep(WANTED_S + 1)
    await batch.fetch(CoinQuery("coin-1"))
    assert coins.asked[-1].ids == ("coin-1",)
    assert shared.coins == {}


async def test_a_coin_that_is_read_from_the_cache_is_refreshed_with_the_others() -> None:
    coins, shared = Coins(numbered(2)), Shared()
    batch = batch_of(coins, shared)
    reads = NotedReads(Coin0(), batch)
    await batch.fetch(CoinQuery("coin-0"))
    await asyncio.sleep(WANTED_S - 1)
    await reads.fetch(CoinQuery("coin-0"))
    await asyncio.sleep(WANTED_S - 1)
    await batch.fetch(CoinQuery("coin-1"))
    assert coins.asked[-1].ids == ("coin-0", "coin-1")
    assert set(shared.coins) == {"coin-0"}


async def test_a_refresh_is_shared_with_the_tickers_of_its_coins() -> None:
    coins, shared = Coins(numbered(2)), []

    async def share(query: CoinQuery, answer: Answer[Coin | None]) -> None:
        shared.append((query, answer.data and answer.data.id))

    batch = CoinBatch(coins, clock=LoopClock(), share=share)
    await batch.fetch(CoinQuery(symbol="C0"))
    await batch.fetch(CoinQuery("coin-1"))
    assert coins.asked[-1].ids == ("coin-0", "coin-1")
    assert shared == [(CoinQuery("coin-0"), "coin-0"), (CoinQuery(symbol="C0"), "coin-0")]


async def test_tickers_are_looked_up_again_together() -> None:
    coins = Coins(numbered(3))
    batch = batch_of(coins)
    for number in range(3):
        query = CoinQuery(symbol=f"C{number}")
        batch.note_read(query)
        await batch.fetch(query)
    await asyncio.sleep(TICKER_S + 1)
    before = len(coins.asked)
    await batch.fetch(CoinQuery(symbol="C1"))
    assert [one.symbols for one in coins.asked[before:]] == [("C0", "C1", "C2")]


class Coin0:
    """A cache that has every coin."""

    async def fetch(self, _query: CoinQuery) -> Answer[Coin | None]:
        return Answer(None, "coingecko_free", LoopClock().now(), None)


class Cached:
    """A batch behind the cache, as the gateway has them."""

    def __init__(self, coins: Coins) -> None:
        clock = LoopClock()
        self.batch = CoinBatch(coins, clock=clock, share=self._share)
        freshness = Freshness(TTL_S, 6 * 3_600.0)
        self.source: CachedSource[CoinQuery, Coin | None] = CachedSource(
            self.batch,
            TTLCache[Answer[Any]](clock, 1_000, lambda _answer: 1),
            clock=clock,
            emit=lambda _event: None,
            freshness=partial(constant, freshness),
            deadline_s=10.0,
        )

    async def _share(self, query: CoinQuery, answer: Answer[Coin | None]) -> None:
        await self.source.update(query, lambda _known: answer, is_fresh=True)


async def test_sharing_keeps_the_coins_of_all_readers_fresh_at_one_call_a_ttl() -> None:
    coins = Coins(numbered(40))
    cached = Cached(coins)
    stale = 0
    for second in range(0, 3_600, 5):
        # Each coin is read each 20 s, ten coins at a time.
        queries = ids_of(40)[second // 5 % 4 :: 4]
        answers = await asyncio.gather(*map(cached.source.fetch, queries))
        stale += sum(one.stale or one.age_s > 2 * TTL_S for one in answers)
        await asyncio.sleep(5)
    assert stale == 0
    assert len(coins.asked) <= 3_600 / TTL_S + 5
    assert {len(one.ids) for one in coins.asked[6:]} == {40}
    await cached.source.aclose()


async def test_after_a_failure_the_cache_does_not_ask_for_each_reader() -> None:
    coins = Coins(numbered(1))
    coins.error = DOWN
    cached = Cached(coins)
    for _ in range(50):
        with pytest.raises(AllProvidersFailed):
            await cached.source.fetch(CoinQuery("coin-0"))
        await asyncio.sleep(0.1)
    assert len(coins.asked) == 1
    await asyncio.sleep(60)
    coins.error = None
    assert (await cached.source.fetch(CoinQuery("coin-0"))).data is coins.known["coin-0"]
    await cached.source.aclose()


def test_its_description_counts_the_wanted_coins() -> None:
    assert repr(batch_of(Coins())) == "<CoinBatch 0 wanted>"
