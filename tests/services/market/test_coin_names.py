"""Coins beyond the ranked list by name, and the search over all coins."""

import asyncio
import random
import string
import sys
import time
from functools import partial
from typing import Any

import pytest

from backend.cache.cached_source import CachedSource
from backend.cache.freshness import Freshness, constant
from backend.cache.ttl_cache import TTLCache
from backend.errors import (
    AllProvidersFailed,
    GatewayError,
    NoProviderConfigured,
    UnknownSymbol,
)
from backend.models.answer import Answer
from backend.models.coins import CoinList, CoinListQuery, CoinQuery
from backend.models.market import Coin, Market
from backend.services.market import coin_names
from backend.services.market.coin_names import FAILURE_PAUSE_S, KEEP_INTERVAL_S, CoinNames
from backend.services.market.symbols import LONGEST_SYMBOL, CoinDirectory
from tests.clocks import EPOCH, LoopClock, ManualClock
from tests.services.market.test_service import OneMarket, coin

LISTED = Market(
    (
        coin("bitcoin", "BTC", 1, name="Bitcoin", image="https://img.example/1.png"),
        coin("ethereum", "ETH", 2, name="Ethereum"),
        coin("wrapped-bitcoin", "WBTC", 12, name=None),
        coin("bitcoin-cash", "BCH", 20, name="Bitcoin Cash"),
        coin(None, "NOID", 30, name="Without an id"),
        coin("bit-unranked", "BITU", None, name="Bit Unranked"),
    ),
    True,
)
ALL = CoinList(
    {
        "bitcoin": ("BTC", "Bitcoin"),
        "ethereum": ("ETH", "Ethereum"),
        "wrapped-bitcoin": ("WBTC", "Wrapped Bitcoin"),
        "bitcoin-cash": ("BCH", "Bitcoin Cash"),
        "far-away": ("FAR", "Far Away"),
        "far-cousin": ("FAR", "Far Cousin"),
        "alone": ("ALN", "Alone"),
        "pepe": ("PEPE", "Pepe"),
        "btc-of-mars": ("BTCM", "Bitcoin of Mars"),
        "fake-btc": ("BTC", "Fake Bitcoin"),
        "MixedCase": ("MXC", "Mixed Case"),
        "jpyc": ("JPYC", "JPY Coin"),
        "aln": ("XYZ", "Its id is another coin's ticker"),
        "strasse": ("STR", "Straße"),
        "пепе": ("ПЕПЕ", "Пепе"),
    },
    {},
)


class Names:
    """The list of all coins; each call takes `delay_s` and fails while `error` is set."""

    def __init__(self, names: CoinList = ALL) -> None:
        self.names = names
        self.error: GatewayError | None = None
        self.delay_s = 0.0
        self.calls = 0
        self.refresh_id = 7

    async def fetch(self, query: CoinListQuery) -> Answer[CoinList]:
        assert query == CoinListQuery()
        self.calls += 1
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        return Answer(self.names, "coingecko_free", EPOCH, 1.0, refresh_id=self.refresh_id)


class Rows:
    """The rows of all coins but of `without_market`."""

    def __init__(self, names: CoinList = ALL) -> None:
        self.without_market: set[str] = set()
        self.asked: list[CoinQuery] = []
        self._names = names

    async def fetch(self, query: CoinQuery) -> Answer[Coin | None]:
        self.asked.append(query)
        named = self._names.names.items()
        found = (
            coin(coin_id, symbol, 300)
            for coin_id, (symbol, _) in named
            if query in (CoinQuery(coin_id), CoinQuery(symbol=symbol))
            and coin_id not in self.without_market
        )
        return Answer(next(found, None), "coingecko_free", EPOCH, 1.0)


class Stand:
    def __init__(self, names: CoinList = ALL) -> None:
        self.clock = ManualClock()
        self.list, self.rows = Names(names), Rows(names)
        self.directory = CoinDirectory(OneMarket(LISTED))
        self.names = CoinNames(self.list, self.rows, self.directory, clock=self.clock)

    async def found(self, text: str, limit: int = 50) -> list[str]:
        answer, listed = await self.names.to_search()
        return [one.id for one in self.names.search(answer.data, listed, text, limit).rows]


@pytest.fixture
def stand() -> Stand:
    return Stand()


# A name leads to one coin


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("far-away", CoinQuery("far-away")),
        ("FAR-AWAY", CoinQuery("far-away")),
        ("Far-Away", CoinQuery("far-away")),
        ("  far-away ", CoinQuery("far-away")),
        ("FAR", CoinQuery(symbol="FAR")),
        ("far", CoinQuery(symbol="FAR")),
        ("FARUSDT", CoinQuery(symbol="FAR")),
        ("far/usd", CoinQuery(symbol="FAR")),
        ("FAR-USDC", CoinQuery(symbol="FAR")),
        ("far_fdusd", CoinQuery(symbol="FAR")),
        ("FARFDUSD", CoinQuery(symbol="FAR")),
        ("far-away/usdt", CoinQuery("far-away")),
        ("PEPE", CoinQuery("pepe")),
        ("pepe", CoinQuery("pepe")),
        ("MixedCase", CoinQuery("MixedCase")),
        ("mxc", CoinQuery("MixedCase")),
        ("ALN", CoinQuery("alone")),
        ("aln", CoinQuery("aln")),
        ("Aln", CoinQuery("aln")),
        ("ПЕПЕ", CoinQuery("пепе")),
        ("пепе", CoinQuery("пепе")),
    ],
)
async def test_a_coin_is_found_by_id_ticker_or_pair_in_any_spelling(
    stand: Stand, text: str, query: CoinQuery
) -> None:
    answer, resolution = await stand.names.resolve(text)
    assert stand.rows.asked == [query]
    assert resolution.coin is answer.data


async def test_a_ticker_of_several_coins_is_the_best_ranked_one_and_says_so(stand: Stand) -> None:
    _, resolution = await stand.names.resolve("FAR")
    assert resolution.warnings == (
        "FAR is ambiguous: far-away is the best ranked of 2 coins with this ticker",
    )
    assert resolution.is_best_ranked
    _, alone = await stand.names.resolve("ALN")
    assert (alone.warnings, alone.is_best_ranked) == ((), True)


async def test_a_ticker_with_hundreds_of_coins_costs_one_question() -> None:
    names = {f"ai-{n}": ("AI", f"AI {n}") for n in range(700)}
    stand = Stand(CoinList(names, {}))
    _, resolution = await stand.names.resolve("ai")
    assert "of 700 coins with this ticker" in resolution.warnings[0]
    assert stand.rows.asked == [CoinQuery(symbol="AI")]


async def test_a_coin_found_by_id_is_the_best_of_its_ticker_only_if_it_is_alone(
    stand: Stand,
) -> None:
    cases = {"far-cousin": False, "fake-btc": False, "alone": True, "ALN": True, "btcm": True}
    for text, is_best in cases.items():
        _, resolution = await stand.names.resolve(text)
        assert (resolution.is_best_ranked, resolution.warnings) == (is_best, ())


async def test_a_pair_of_which_the_first_reading_has_no_market_is_read_otherwise() -> None:
    names = CoinList({"x": ("XFD", "X against FDUSD, or XFD"), "y": ("X", "X")}, {})
    stand = Stand(names)
    stand.rows.without_market = {"y"}
    _, resolution = await stand.names.resolve("XFDUSD")
    assert resolution.coin.id == "x"
    assert stand.rows.asked == [CoinQuery("y"), CoinQuery("x")]


async def test_a_known_coin_without_a_market_is_unknown(stand: Stand) -> None:
    stand.rows.without_market = {"alone"}
    with pytest.raises(UnknownSymbol):
        await stand.names.resolve("alone")


# Nonsense


NONSENSE = [
    "xyzzy",
    "",
    "   ",
    "/",
    "USDT",
    "-usdt",
    "a" * 5_000,
    "\x00",
    "💩",
    "İ",
    "BTC,ETH",
    "-",
]


@pytest.mark.parametrize("text", NONSENSE)
async def test_nonsense_is_unknown_and_costs_no_call_but_the_list(stand: Stand, text: str) -> None:
    with pytest.raises(UnknownSymbol) as error:
        await stand.names.resolve(text)
    assert stand.rows.asked == []
    assert stand.list.calls == 1
    assert len(str(error.value)) < 200 + LONGEST_SYMBOL


async def test_an_unknown_name_has_suggestions_of_the_ranked_list(stand: Stand) -> None:
    stand.directory.index(LISTED)
    with pytest.raises(UnknownSymbol) as error:
        await stand.names.resolve("bitcoyn")
    assert "bitcoin" in error.value.suggestions


@pytest.mark.looptime
@pytest.mark.parametrize("error", [AllProvidersFailed("down"), None])
async def test_all_nonsense_together_costs_at_most_one_call_a_minute(
    error: GatewayError | None,
) -> None:
    """Of twenty readers a second, each with another name, through the cache of the gateway."""
    clock, rows, upstream = LoopClock(), Rows(), Names()
    upstream.error, upstream.delay_s = error, 3.0
    cached: CachedSource[CoinListQuery, CoinList] = CachedSource(
        upstream,
        TTLCache(clock, 1),
        clock=clock,
        emit=lambda _event: None,
        freshness=partial(constant, Freshness(86_400.0, 30 * 86_400.0)),
        deadline_s=10.0,
    )
    names = CoinNames(cached, rows, CoinDirectory(OneMarket(LISTED)), clock=clock)
    for second in range(600):
        readers = (names.resolve(f"nonsense-{second}-{n}") for n in range(20))
        results = await asyncio.gather(*readers, return_exceptions=True)
        expected = AllProvidersFailed if error else UnknownSymbol
        assert {type(one) for one in results} == {expected}
        await asyncio.sleep(1)
    assert upstream.calls <= (10 if error else 1)
    assert rows.asked == []


async def test_a_search_does_not_ask_either_while_the_list_fails(stand: Stand) -> None:
    stand.list.error = AllProvidersFailed("down")
    for _ in range(10):
        await stand.found("bit")
    assert stand.list.calls == 1
    stand.clock.advance(FAILURE_PAUSE_S)
    stand.list.error = None
    assert "btc-of-mars" in await stand.found("bit")


async def test_a_failure_raised_again_does_not_grow(stand: Stand) -> None:
    stand.list.error = AllProvidersFailed("down")
    depths = []
    for _ in range(5):
        with pytest.raises(AllProvidersFailed) as error:
            await stand.names.resolve("far")
        depths.append(len(error.traceback))
    assert depths[1] == depths[-1]


async def test_without_any_provider_of_the_list_a_name_is_unknown(stand: Stand) -> None:
    stand.list.error = NoProviderConfigured("none")
    with pytest.raises(UnknownSymbol):
        await stand.names.resolve("far-away")
    assert await stand.found("bitcoin") == [
        "bitcoin",
        "wrapped-bitcoin",
        "bitcoin-cash",
    ]


async def test_names_of_an_earlier_list_are_not_used_once_no_provider_has_it(stand: Stand) -> None:
    await stand.names.resolve("FAR")
    stand.list.error = NoProviderConfigured("none")
    with pytest.raises(UnknownSymbol):
        await stand.names.resolve("FAR")


# The index


async def test_a_herd_indexes_a_list_once(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[CoinList] = []
    real = coin_names.NameIndex.of

    def of(names: CoinList) -> Any:
        made.append(names)
        time.sleep(0.02)
        return real(names)

    monkeypatch.setattr(coin_names.NameIndex, "of", of)
    await asyncio.gather(*(stand.names.resolve("far-away") for _ in range(100)))
    assert made == [ALL]
    other = CoinList({"new": ("NEW", "New")}, {})
    stand.list.names = stand.rows._names = other
    await asyncio.gather(*(stand.names.resolve("new") for _ in range(100)))
    assert made == [ALL, other]
    with pytest.raises(UnknownSymbol):
        await stand.names.resolve("far-away")


async def test_its_description_counts_the_coins(stand: Stand) -> None:
    assert repr(stand.names) == "<CoinNames <NameIndex <CoinList 0 coins, 0 contracts>>>"
    await stand.names.resolve("FAR")
    assert repr(stand.names) == "<CoinNames <NameIndex <CoinList 15 coins, 0 contracts>>>"


# The search


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Exact ticker or id first, by rank; then by rank; then what begins with the text.
        ("btc", ["bitcoin", "fake-btc", "btc-of-mars"]),
        ("bitcoin", ["bitcoin", "wrapped-bitcoin", "bitcoin-cash", "btc-of-mars", "fake-btc"]),
        ("BITCOIN", ["bitcoin", "wrapped-bitcoin", "bitcoin-cash", "btc-of-mars", "fake-btc"]),
        ("  far ", ["far-away", "far-cousin"]),
        ("cousin", ["far-cousin"]),
        ("bit u", ["bit-unranked"]),
        ("away", ["far-away"]),
        ("STRASSE", ["strasse"]),
        ("straße", ["strasse"]),
        ("Пе", ["пепе"]),
        ("jpy coin", ["jpyc"]),
        ("aln", ["aln", "alone"]),
        ("zzz", []),
        ("noid", []),
        ("a\nb", []),
        ("x" * 64, []),
    ],
)
async def test_matches_are_ordered_exact_first_then_by_rank(
    stand: Stand, text: str, expected: list[str]
) -> None:
    assert await stand.found(text) == expected


async def test_ids_and_tickers_in_small_letters_match_names_in_any_case() -> None:
    stand = Stand(CoinList({"MixedCase": ("mxc", "MIXED")}, {}))
    assert await stand.found("mixed") == ["MixedCase"]
    assert await stand.found("MXC") == ["MixedCase"]
    assert await stand.found("mixedcase") == ["MixedCase"]


async def test_the_limit_cuts_and_the_total_counts_all(stand: Stand) -> None:
    answer, listed = await stand.names.to_search()
    page = stand.names.search(answer.data, listed, "bitcoin", 2)
    assert [one.id for one in page.rows] == ["bitcoin", "wrapped-bitcoin"]
    assert page.total == 5


async def test_rank_and_picture_are_those_of_the_ranked_list(stand: Stand) -> None:
    answer, listed = await stand.names.to_search()
    bitcoin, wrapped, *_, beyond = stand.names.search(answer.data, listed, "bitcoin", 50).rows
    assert (bitcoin.market_cap_rank, bitcoin.image) == (1, "https://img.example/1.png")
    assert wrapped.name == "wrapped-bitcoin", "the list tells no name"
    assert (beyond.market_cap_rank, beyond.image) == (None, None)


async def test_while_the_list_fails_the_ranked_coins_are_searched_with_a_warning(
    stand: Stand,
) -> None:
    stand.list.error = AllProvidersFailed("down")
    answer, listed = await stand.names.to_search()
    page = stand.names.search(answer.data, listed, "bit", 50)
    assert [one.id for one in page.rows] == [
        "bitcoin",
        "wrapped-bitcoin",
        "bitcoin-cash",
        "bit-unranked",
    ]
    assert page.warnings == ("only the ranked list was searched: down",)
    assert answer.validity is None
    assert listed.refresh_ids == ()


async def test_a_search_names_the_refresh_of_the_list(stand: Stand) -> None:
    _, listed = await stand.names.to_search()
    assert listed.refresh_ids == (7,)


async def test_the_time_of_a_search_over_twenty_thousand_names() -> None:
    """Prints the CPU time: nothing is asserted about it, as machines differ."""
    random.seed(4)

    def word(least: int, most: int) -> str:
        return "".join(random.choices(string.ascii_lowercase, k=random.randint(least, most)))

    names = {f"{word(3, 10)}-{word(3, 8)}": (word(2, 5).upper(), "") for _ in range(20_000)}
    named = {one: (ticker, one.replace("-", " ").title()) for one, (ticker, _) in names.items()}
    stand = Stand(CoinList(named, {}))
    answer, listed = await stand.names.to_search()
    for text in ("a", "bit", "bitcoin", "q" * 64):
        began = time.process_time()
        page = stand.names.search(answer.data, listed, text, 50)
        spent_ms = (time.process_time() - began) * 1_000
        sys.stdout.write(f"search {text[:8]!r}: {page.total} of 20,000, {spent_ms:.1f} ms\n")
        assert len(page.rows) == min(page.total, 50)


# Without a reader


@pytest.mark.looptime
async def test_the_list_is_kept_current_while_the_market_is_read(stand: Stand) -> None:
    keeping = asyncio.create_task(stand.names.keep_current())
    await asyncio.sleep(3_000)
    assert stand.list.calls == 0, "no reader has wanted the market"
    stand.directory.index(LISTED)
    stand.list.error = AllProvidersFailed("down")
    await asyncio.sleep(KEEP_INTERVAL_S)
    stand.list.error = None
    stand.clock.advance(FAILURE_PAUSE_S)
    await asyncio.sleep(KEEP_INTERVAL_S)
    assert stand.list.calls == 2
    assert "far-away" in await stand.found("far-away")
    keeping.cancel()
