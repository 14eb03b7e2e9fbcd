"""The market list: one answer for every filter, order and page."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.errors import InvalidParameter, NotReady, UnknownSymbol
from backend.models.answer import Answer
from backend.models.market import Coin, Market, MarketQuery
from backend.services.market.service import COIN_FIELDS, MarketService, MarketView
from backend.services.market.symbols import CoinDirectory
from tests.clocks import EPOCH
from tests.services.helpers import market_service


def coin(id: str | None, symbol: str, rank: int | None, **changes: Any) -> Coin:  # noqa: A002 - the row's word
    row: dict[str, Any] = {
        "id": id,
        "symbol": symbol,
        "name": symbol.title(),
        "image": None,
        "market_cap_rank": rank,
        "price": 10.0,
        "market_cap": None,
        "volume_24h": 100.0,
        "high_24h": None,
        "low_24h": None,
        "price_change_24h": None,
        "price_change_percentage_24h": None,
        "circulating_supply": None,
        "last_updated": EPOCH,
        "source": "coingecko_free",
    }
    return Coin(**(row | changes))


BITCOIN = coin("bitcoin", "BTC", 1, price=50_000.0, volume_24h=900.0)
ETHEREUM = coin("ethereum", "ETH", 2, price=2_000.0, volume_24h=None)
RIPPLE = coin("ripple", "XRP", 3, price=None, volume_24h=500.0)
SOLANA = coin("solana", "SOL", 4, price=100.0, volume_24h=700.0)
PEGGED = coin("pegged-xrp", "XRP", None, price=1.0, volume_24h=0)
MARKET = Market((BITCOIN, ETHEREUM, RIPPLE, SOLANA, PEGGED), ranked=True)
BARE = Market((coin(None, "BTC", None), coin(None, "ETH", None)), ranked=False)


class OneMarket:
    def __init__(self, market: Market = MARKET) -> None:
        self._answer = Answer(market, "coingecko_free", EPOCH, 12.0)
        self.asked: list[MarketQuery] = []

    async def fetch(self, query: MarketQuery) -> Answer[Market]:
        self.asked.append(query)
        return self._answer


@pytest.fixture
def service() -> MarketService:
    return market_service(CoinDirectory(OneMarket()))


def ids(rows: Sequence[Coin]) -> list[str | None]:
    return [row.id for row in rows]


async def test_the_latest_market_is_the_sources_answer() -> None:
    source = OneMarket()
    answer = await market_service(CoinDirectory(source)).latest()
    assert answer.data is MARKET
    assert answer.source == "coingecko_free"
    assert source.asked == [MarketQuery()]


def test_by_default_all_coins_are_listed_by_rank(service: MarketService) -> None:
    page = service.top(MARKET, MarketView())
    assert page.rows == MARKET.coins
    assert page.total == 5
    assert page.warnings == ()


def test_by_default_at_most_a_hundred_coins_are_listed(service: MarketService) -> None:
    many = Market(tuple(coin(f"coin-{n}", f"C{n}", n) for n in range(1, 251)), True)
    page = service.top(many, MarketView())
    assert ids(page.rows) == [f"coin-{n}" for n in range(1, 101)]
    assert page.total == 250


@pytest.mark.parametrize(
    ("limit", "offset", "expected"),
    [
        (1, 0, ["bitcoin"]),
        (2, 1, ["ethereum", "ripple"]),
        (250, 0, ["bitcoin", "ethereum", "ripple", "solana", "pegged-xrp"]),
        (10, 4, ["pegged-xrp"]),
        (10, 5, []),
        (10, 1_000_000, []),
    ],
)
def test_a_page_is_cut_by_offset_and_limit_and_the_total_stays(
    service: MarketService, limit: int, offset: int, expected: list[str]
) -> None:
    page = service.top(MARKET, MarketView(limit, offset))
    assert ids(page.rows) == expected
    assert page.total == 5


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("market_cap_rank", ["bitcoin", "ethereum", "ripple", "solana", "pegged-xrp"]),
        ("-market_cap_rank", ["solana", "ripple", "ethereum", "bitcoin", "pegged-xrp"]),
        ("price", ["pegged-xrp", "solana", "ethereum", "bitcoin", "ripple"]),
        ("-price", ["bitcoin", "ethereum", "solana", "pegged-xrp", "ripple"]),
        ("volume_24h", ["pegged-xrp", "ripple", "solana", "bitcoin", "ethereum"]),
        ("-volume_24h", ["bitcoin", "solana", "ripple", "pegged-xrp", "ethereum"]),
        ("id", ["bitcoin", "ethereum", "pegged-xrp", "ripple", "solana"]),
        ("-symbol", ["ripple", "pegged-xrp", "solana", "ethereum", "bitcoin"]),
        ("high_24h", ["bitcoin", "ethereum", "ripple", "solana", "pegged-xrp"]),
        ("-source", ["bitcoin", "ethereum", "ripple", "solana", "pegged-xrp"]),
    ],
)
def test_rows_sort_by_any_field_with_the_unknown_last_and_equals_by_rank(
    service: MarketService, sort: str, expected: list[str]
) -> None:
    assert ids(service.top(MARKET, MarketView(sort=sort)).rows) == expected


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("field", COIN_FIELDS)
def test_every_field_of_the_row_can_be_sorted_by(
    service: MarketService, field: str, sign: str
) -> None:
    rows = service.top(MARKET, MarketView(sort=sign + field)).rows
    assert sorted(map(id, rows)) == sorted(map(id, MARKET.coins))


def test_instants_sort_by_time(service: MarketService) -> None:
    newer = coin("newer", "NEW", 2, last_updated=EPOCH + timedelta(minutes=1))
    market = Market((BITCOIN, newer), True)
    assert service.top(market, MarketView(sort="-last_updated")).rows == (newer, BITCOIN)


def test_sorting_comes_before_paging(service: MarketService) -> None:
    assert ids(service.top(MARKET, MarketView(1, 1, sort="-price")).rows) == ["ethereum"]


@pytest.mark.parametrize("sort", ["", "-", "--price", "rank", "Price", "price ", "__class__"])
def test_an_unknown_sort_field_is_refused_with_the_list_of_fields(
    service: MarketService, sort: str
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        service.top(MARKET, MarketView(sort=sort))
    assert caught.value.parameter == "sort"
    assert set(COIN_FIELDS) < set(caught.value.allowed)
    assert "-price" in caught.value.allowed


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("bitcoin",), ["bitcoin"]),
        (("solana", "bitcoin"), ["bitcoin", "solana"]),
        (("SOL", "eth"), ["ethereum", "solana"]),
        (("BTC", "bitcoin", "BTCUSDT", "btc"), ["bitcoin"]),
        (("pegged-xrp",), ["pegged-xrp"]),
    ],
)
def test_names_select_rows_by_id_or_symbol_without_duplicates(
    service: MarketService, names: tuple[str, ...], expected: list[str]
) -> None:
    page = service.top(MARKET, MarketView(names=names))
    assert ids(page.rows) == expected
    assert page.total == len(expected)
    assert page.warnings == ()


def test_named_rows_are_sorted_and_paged_too(service: MarketService) -> None:
    names = ("bitcoin", "ethereum", "solana")
    page = service.top(MARKET, MarketView(1, 1, names, "-price"))
    assert ids(page.rows) == ["ethereum"]
    assert page.total == 3


def test_an_ambiguous_name_is_the_best_ranked_coin_with_a_warning(service: MarketService) -> None:
    page = service.top(MARKET, MarketView(names=("XRP",)))
    assert ids(page.rows) == ["ripple"]
    (warning,) = page.warnings
    assert "pegged-xrp" in warning


def test_an_unknown_name_among_known_ones_is_a_warning_with_suggestions(
    service: MarketService,
) -> None:
    page = service.top(MARKET, MarketView(names=("bitcon", "ETH", "qqqqqqqq")))
    assert ids(page.rows) == ["ethereum"]
    assert page.total == 1
    typo, nonsense = page.warnings
    assert "'bitcon'" in typo
    assert "did you mean" in typo
    assert "bitcoin" in typo
    assert "'qqqqqqqq'" in nonsense
    assert "did you mean" not in nonsense


def test_only_unknown_names_are_an_error_with_suggestions(service: MarketService) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        service.top(MARKET, MarketView(names=("bitcon", "qqqqqqqq")))
    assert "bitcoin" in caught.value.suggestions


def test_without_a_universe_unknown_names_are_warnings_or_not_ready() -> None:
    service = market_service(CoinDirectory(OneMarket(BARE)))
    page = service.top(BARE, MarketView(names=("BTC", "cardano")))
    assert [row.symbol for row in page.rows] == ["BTC"]
    assert len(page.warnings) == 1
    with pytest.raises(NotReady):
        service.top(BARE, MarketView(names=("cardano",)))


def test_without_a_universe_the_venues_order_is_kept() -> None:
    service = market_service(CoinDirectory(OneMarket(BARE)))
    assert service.top(BARE, MarketView()).rows == BARE.coins
    assert service.top(BARE, MarketView(sort="-market_cap_rank")).rows == BARE.coins


@pytest.mark.parametrize("name", ["bitcoin", "BTC", "BTC-USD"])
def test_one_coin_is_found_by_any_of_its_names(service: MarketService, name: str) -> None:
    page = service.coin(MARKET, name)
    assert page.rows is BITCOIN
    assert page.total == 1
    assert page.warnings == ()


def test_one_coin_of_an_ambiguous_ticker_comes_with_a_warning(service: MarketService) -> None:
    page = service.coin(MARKET, "XRP")
    assert page.rows is RIPPLE
    assert len(page.warnings) == 1


def test_an_unknown_coin_is_an_error(service: MarketService) -> None:
    with pytest.raises(UnknownSymbol):
        service.coin(MARKET, "nope")


def test_the_index_follows_the_market() -> None:
    directory = CoinDirectory(OneMarket())
    service = market_service(directory)
    first = directory.index(MARKET)
    assert directory.index(MARKET) is first
    assert service.coin(Market((SOLANA,), True), "SOL").rows is SOLANA
    with pytest.raises(UnknownSymbol):
        service.coin(Market((SOLANA,), True), "BTC")


def test_a_price_tick_does_not_rebuild_the_index() -> None:
    directory = CoinDirectory(OneMarket())
    before = directory.index(MARKET)
    first, *others = MARKET.coins
    after = directory.index(replace(MARKET, coins=(replace(first, price=1.0), *others)))
    assert after._by_id is before._by_id
    assert after._by_symbol is before._by_symbol
    assert after.resolve(first.symbol).coin is not first
    assert before.resolve(first.symbol).coin is first
    renamed = replace(MARKET, coins=(replace(first, symbol="NEW"), *others))
    assert directory.index(renamed)._by_symbol is not before._by_symbol
    assert directory.index(renamed).resolve("NEW").coin.id == first.id
    assert directory.index(MARKET).resolve(first.symbol).coin is first


async def test_tickers_are_looked_up_without_a_fetch() -> None:
    source = OneMarket()
    directory = CoinDirectory(source)
    assert directory.tickers(("btc", "xyz")) == ("BTC", "XYZ")  # nothing is known yet
    directory.index(MARKET)
    assert directory.tickers(("bitcoin", "BTC/USDT", "xyz")) == ("BTC", "BTC", "XYZ")
    assert source.asked == []
