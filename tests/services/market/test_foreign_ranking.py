"""Ranked lists of other vendors in the market: ids, ranks, and rows without an id."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.categories import MARKET
from backend.identity.instruments import Instrument
from backend.models.answer import Answer
from backend.models.market import (
    COINGECKO_RANKS,
    Coin,
    ForeignRanking,
    ListedCoin,
    Market,
    MarketQuery,
    PairTicker,
    PairTickers,
    Ranking,
)
from backend.services.market.coin_book import CoinBook
from backend.services.market.outlier_filter import OutlierFilter
from backend.services.market.overlay import NO_UNIVERSE, absorb, lay_over
from backend.services.market.universe import UniverseSource
from tests.clocks import EPOCH
from tests.services.market.test_universe import LATER, QueuedSource, coin, ticker, tickers

CMC, PAPRIKA, GECKO = "coinmarketcap", "coinpaprika", "coingecko_free"
ADDRESS = "0xAAAA000000000000000000000000000000000001"


def listed(slug: str, symbol: str, rank: int, *contracts: str, **changes: Any) -> ListedCoin:
    row = coin("dropped", symbol, rank, **({"name": slug.title(), "source": CMC} | changes))
    return ListedCoin(replace(row, id=None), slug, contracts)


def foreign(*rows: ListedCoin, refused: tuple[str, ...] = ()) -> ForeignRanking:
    return ForeignRanking(rows, refused)


class Book:
    """A book that absorbs answers, one after the other."""

    def __init__(self, *coins: Coin, contracts: dict[str, str] | None = None) -> None:
        self.book, self.outliers = CoinBook(), OutlierFilter()
        self.contracts = contracts or {}
        self.warnings: tuple[str, ...] = ()
        if coins:
            self.absorb(Ranking(coins), GECKO)

    def absorb(self, quotes: Any, source: str) -> "Book":
        self.warnings = absorb(self.book, quotes, source, self.outliers, self.contracts)
        return self

    @property
    def rows(self) -> list[tuple[str | None, str, int | None, float | None]]:
        coins = self.book.market.coins
        return [(one.id, one.symbol, one.market_cap_rank, one.price) for one in coins]


ALPHA, BETA = coin("alpha", "ALP", 1), coin("beta", "BET", 2, price=95.0)
ALPHA_ROW, BETA_ROW = listed("alpha", "ALP", 2), listed("beta", "BET", 1, price=95.0)


# Ids


def test_rows_of_known_coins_get_their_ids_and_keep_their_pictures() -> None:
    book = Book(ALPHA, BETA).absorb(foreign(BETA_ROW, ALPHA_ROW), CMC)
    assert book.rows == [("beta", "BET", 1, 95.0), ("alpha", "ALP", 2, 100.0)]
    assert [one.image for one in book.book.market.coins] == [BETA.image, ALPHA.image]
    assert book.warnings == ()


def test_the_picture_of_the_vendor_is_used_where_none_is_known() -> None:
    row = listed("alpha", "ALP", 1, image="https://img.example/cmc.png")
    without = Book(replace(ALPHA, image=None)).absorb(foreign(row), CMC)
    assert without.book.market.coins[0].image == "https://img.example/cmc.png"


def test_a_row_without_evidence_stays_without_an_id_and_is_counted() -> None:
    book = Book(ALPHA).absorb(foreign(listed("unknown", "UNK", 1), listed("alpha", "OTH", 2)), CMC)
    assert [row[:2] for row in book.rows] == [(None, "UNK"), (None, "OTH")]
    assert book.warnings == (
        "2 rows of coinmarketcap have no id: no evidence shows which coin of CoinGecko's",
    )


def test_an_id_is_given_once_to_the_best_ranked_row() -> None:
    again = listed("alpha", "ALP", 7, price=101.0)
    book = Book(ALPHA).absorb(foreign(listed("alpha", "ALP", 1), again), CMC)
    assert [row[:3] for row in book.rows] == [("alpha", "ALP", 1), (None, "ALP", 7)]


def test_a_row_with_a_famous_name_and_another_price_is_refused() -> None:
    bitcoin = coin(
        "bitcoin", "BTC", 1, price=50_000.0, market_cap=None, high_24h=None, low_24h=None
    )
    fake = listed("bitcoin", "BTC", 1, price=0.002, market_cap=None, high_24h=None, low_24h=None)
    book = Book(bitcoin).absorb(foreign(fake), CMC)
    assert book.rows == [("bitcoin", "BTC", None, 50_000.0)]  # without the other vendor's rank


def test_from_a_cold_start_contracts_and_sure_names_give_ids() -> None:
    rows = (
        listed("bitcoin", "BTC", 1),
        listed("token", "TOK", 2, ADDRESS),
        listed("solana", "SOL", 3),
        listed("unknown", "UNK", 4),
    )
    book = Book(contracts={ADDRESS.lower(): "the-token"}).absorb(foreign(*rows), CMC)
    assert [row[0] for row in book.rows] == ["bitcoin", "the-token", "solana", None]
    assert book.book.market.ranked


def test_rows_of_a_venue_alone_prove_no_identity() -> None:
    book = Book()
    book.absorb(PairTickers((ticker("ALP"),)), "binance")
    assert NO_UNIVERSE in book.warnings
    book.absorb(foreign(listed("alp", "ALP", 1, price=120.0)), CMC)
    assert [row[:3] for row in book.rows] == [(None, "ALP", 1)]


# Ranks


def test_ranks_of_two_vendors_are_never_in_one_list() -> None:
    gone = coin("gone", "GON", 3)
    book = Book(ALPHA, BETA, gone).absorb(foreign(BETA_ROW, refused=("alpha", "gone")), CMC)
    assert [row[:3] for row in book.rows] == [
        ("beta", "BET", 1),
        ("alpha", "ALP", None),
        ("gone", "GON", None),
    ]
    assert book.book.market.rank_source == CMC


def test_ranks_of_one_vendor_stay_with_refused_rows() -> None:
    book = Book(ALPHA, BETA).absorb(Ranking((replace(BETA, market_cap_rank=1),), ("alpha",)), GECKO)
    assert [row[2] for row in book.rows] == [1, 1]
    book = Book(ALPHA, BETA).absorb(Ranking((BETA,), ("alpha",)), "coingecko_pro")
    assert [row[2] for row in book.rows] == [1, 2], "CoinGecko's plans have one ranking"


def test_between_two_foreign_vendors_ranks_do_not_mix_either() -> None:
    book = Book(ALPHA, BETA).absorb(foreign(BETA_ROW, ALPHA_ROW), CMC)
    book.absorb(foreign(BETA_ROW, refused=("alpha",)), PAPRIKA)
    assert [row[:3] for row in book.rows] == [("beta", "BET", 1), ("alpha", "ALP", None)]


def test_a_quarantined_row_has_the_rank_of_the_new_list() -> None:
    leapt = listed("alpha", "ALP", 9, price=199.0, high_24h=None, low_24h=None, market_cap=None)
    book = Book(ALPHA).absorb(foreign(leapt), CMC)
    assert book.rows == [("alpha", "ALP", 9, 100.0)]


def test_coingeckos_own_list_replaces_all_ranks() -> None:
    book = Book(ALPHA, BETA).absorb(foreign(BETA_ROW, ALPHA_ROW), CMC)
    book.absorb(Ranking((ALPHA, BETA)), GECKO)
    assert [row[:3] for row in book.rows] == [("alpha", "ALP", 1), ("beta", "BET", 2)]
    assert book.book.market.rank_source == COINGECKO_RANKS


async def test_after_a_restart_it_is_known_whose_the_ranks_are() -> None:
    source = UniverseSource(QueuedSource((foreign(BETA_ROW, ALPHA_ROW), CMC)))
    answer = await source.fetch(MarketQuery())
    assert answer.data.rank_source == CMC
    codec = MARKET.retention.codec
    kept = codec.decoded(codec.encoded(MarketQuery(), answer))
    assert kept is not None
    assert kept.data.rank_source == CMC
    again = UniverseSource(QueuedSource((Ranking((BETA,), ("alpha",)), GECKO)))
    again.adopt(kept.answer)
    # Without ids, as nothing else was known: they are not taken for CoinGecko's coins.
    assert [one.market_cap_rank for one in (await again.fetch(MarketQuery())).data.coins] == [2]


async def test_a_market_that_an_earlier_version_saved_has_coingeckos_ranks() -> None:
    saved = MARKET.retention.codec.encoded(
        MarketQuery(), Answer(Market((ALPHA,), True), GECKO, EPOCH, 1.0)
    )
    body = saved.replace(b',"rank_source":"coingecko"', b"")
    assert body != saved
    kept = MARKET.retention.codec.decoded(body)
    assert kept is not None
    assert kept.data.rank_source == COINGECKO_RANKS


# Rows without an id share their tickers


def test_two_rows_of_one_ticker_keep_their_own_prices_over_refreshes() -> None:
    """Their key is the ticker: the second must not be compared with the first."""
    cheap = {"price": 1.0, "high_24h": None, "low_24h": None, "market_cap": None}
    one, other = listed("first", "TWIN", 1), listed("second", "TWIN", 2, **cheap)
    book = Book()
    for n in range(3):
        at = EPOCH + n * timedelta(minutes=5)
        rows = (replace(row, coin=replace(row.coin, last_updated=at)) for row in (one, other))
        book.absorb(foreign(*rows), CMC)
        assert book.rows == [(None, "TWIN", 1, 100.0), (None, "TWIN", 2, 1.0)]
    assert book.outliers.take_notes() == ()


def test_a_row_without_an_id_is_compared_with_itself() -> None:
    leapt = {"price": 199.0, "high_24h": None, "low_24h": None, "market_cap": None}
    book = Book().absorb(foreign(listed("single", "SNG", 1)), CMC)
    book.absorb(foreign(listed("single", "SNG", 2, **leapt)), CMC)
    assert book.rows == [(None, "SNG", 2, 100.0)]


def test_a_ticker_that_is_another_coins_id_is_not_that_coin() -> None:
    numbers = coin("1337", "LEET", 1)
    other = {"price": 1.0, "high_24h": None, "low_24h": None, "market_cap": None}
    book = Book(numbers).absorb(foreign(listed("elite", "1337", 1, **other)), CMC)
    assert book.rows == [(None, "1337", 1, 1.0)]


def test_the_refused_slug_of_a_row_without_an_id_brings_no_row_back() -> None:
    book = Book().absorb(foreign(listed("a", "AAA", 1), listed("b", "BBB", 2)), CMC)
    book.absorb(foreign(listed("a", "AAA", 1), refused=("BBB",)), CMC)
    assert [row[1] for row in book.rows] == ["AAA"]


def test_a_ticker_enters_the_best_ranked_row_only() -> None:
    one, other = listed("first", "TWIN", 1), listed("second", "TWIN", 2, price=110.0)
    book = Book().absorb(foreign(one, other), CMC)
    lay_over(book.book, [ticker("TWIN", 120.0)], book.outliers)
    assert [row[3] for row in book.rows] == [120.0, 110.0]


# Dollar coins that are off the dollar


def dollars(symbol: str, price: float) -> Coin:
    return coin(
        symbol.lower(), symbol, 9, price=price, high_24h=None, low_24h=None, market_cap=None
    )


@pytest.mark.parametrize(
    ("price", "enters"), [(1.0, True), (1.009, True), (0.991, True), (1.011, False), (0.97, False)]
)
def test_prices_in_a_dollar_coin_enter_only_while_it_is_worth_a_dollar(
    price: float, enters: bool
) -> None:
    book = Book(ALPHA, dollars("USDT", price))
    assert lay_over(book.book, [ticker("ALP", 120.0)], book.outliers) is enters


def test_prices_in_true_dollars_enter_whatever_becomes_of_dollar_coins() -> None:
    book = Book(ALPHA, dollars("USDT", 0.5))
    in_dollars = replace(
        ticker("ALP", 120.0), instrument=Instrument("coinbase", "ALP", "USD", "ALP-USD")
    )
    assert lay_over(book.book, [in_dollars], book.outliers)


def test_while_no_list_is_known_a_dollar_coin_is_taken_for_a_dollar() -> None:
    book = Book()
    book.absorb(tickers(ticker("ALP"), ticker("USDC", 0.9)), "binance")
    newer = replace(ticker("ALP", 121.0), closed_at=LATER + timedelta(minutes=1))
    assert lay_over(book.book, [newer], book.outliers)


# Books in other currencies


def in_euros(price: float) -> PairTicker:
    return replace(ticker("ALP", price), instrument=Instrument("binance", "ALP", "EUR", "ALPEUR"))


@pytest.mark.parametrize(("price", "is_traded"), [(90.0, True), (2_000.0, False)])
def test_a_book_in_euros_is_an_instrument_of_the_coin_but_prices_nothing(
    price: float, is_traded: bool
) -> None:
    book = Book(ALPHA)
    book.absorb(PairTickers((ticker("ALP", 101.0),), (), (in_euros(price),)), "binance")
    assert book.book.market.coins[0].price == 101.0
    known = (book.book.instruments or {})["alpha"]
    assert [one.symbol for one in known] == ["ALPUSDT", *(["ALPEUR"] if is_traded else [])]


def test_a_list_that_is_wrong_by_a_factor_changes_no_known_price() -> None:
    """As if all its prices were in another unit."""
    rows = [
        listed("alpha", "ALP", 1, price=100_000.0, market_cap=None, high_24h=None, low_24h=None),
        listed("beta", "BET", 2, price=100_000.0, market_cap=None, high_24h=None, low_24h=None),
    ]
    book = Book(ALPHA, BETA).absorb(foreign(*rows), CMC)
    found = {coin_id: price for coin_id, _, _, price in book.rows}
    assert found == {"alpha": ALPHA.price, "beta": BETA.price}
