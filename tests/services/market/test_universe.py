"""The universe, and how a venue's prices enter it."""

from collections import deque
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.identity.instruments import Instrument
from backend.models.answer import Answer
from backend.models.market import (
    MOST_MARKET_CAP,
    Coin,
    Market,
    MarketQuery,
    PairTicker,
    PairTickers,
    Quotes,
    QuotesQuery,
    Ranking,
)
from backend.models.numbers import LARGEST, SMALLEST
from backend.providers.adapter import Context
from backend.providers.vendors import coingecko_coins
from backend.services.market import overlay as rules
from backend.services.market.coin_book import CoinBook
from backend.services.market.outlier_filter import OutlierFilter
from backend.services.market.overlay import NO_UNIVERSE
from backend.services.market.universe import MOST_TICKERS, UniverseSource
from tests.clocks import EPOCH, EPOCH_MS
from tests.instruments import instrument, instruments, symbols_of
from tests.providers.vendors.test_coingecko import coin_row

LATER = EPOCH + timedelta(minutes=5)
OVERLAID = {
    "price",
    "market_cap",
    "volume_24h",
    "high_24h",
    "low_24h",
    "price_change_24h",
    "price_change_percentage_24h",
    "last_updated",
    "source",
}


def coin(id: str, symbol: str, rank: int | None, **changes: Any) -> Coin:  # noqa: A002 - the row's word
    row: dict[str, Any] = {
        "id": id,
        "symbol": symbol,
        "name": id.title(),
        "image": f"https://img.example/{id}.png",
        "market_cap_rank": rank,
        "price": 100.0,
        "market_cap": 100_000.0,
        "volume_24h": 5_000.0,
        "high_24h": 110.0,
        "low_24h": 90.0,
        "price_change_24h": 1.0,
        "price_change_percentage_24h": 1.0,
        "circulating_supply": 1_000.0,
        "last_updated": EPOCH,
        "source": "coingecko_free",
    }
    return Coin(**(row | changes))


def ticker(base: str, price: float = 120.0, volume: float = 7_000.0) -> PairTicker:
    return PairTicker(
        instrument=instrument(f"{base}USDT"),
        price=price,
        high=price * 1.25,
        low=price * 0.75,
        quote_volume=volume,
        change=-2.0,
        change_percentage=-1.6,
        closed_at=LATER,
    )


def tickers(*rows: PairTicker) -> PairTickers:
    return PairTickers(rows)


ALPHA = coin("alpha", "ALP", 1)
BETA = coin("beta", "BET", 2)
PEGGED_ALPHA = coin("pegged-alpha", "ALP", 150, price=99.0)
UNIVERSE = Market((ALPHA, BETA, PEGGED_ALPHA), ranked=True)


class QueuedSource:
    """Answers with what it was given, in turn, and remembers what it was asked."""

    def __init__(self, *answers: tuple[Quotes, str], at: datetime = EPOCH) -> None:
        self._answers = deque(answers)
        self._at = at
        self.asked: list[QuotesQuery] = []

    async def fetch(self, query: QuotesQuery) -> Answer[Quotes]:
        self.asked.append(query)
        data, source = self._answers.popleft()
        return Answer(data, source, self._at, 12.0, warnings=("of the provider",))


def absorb(known: Market | None, quotes: Quotes, source: str) -> tuple[Market, tuple[str, ...]]:
    book = book_of(known) if known else CoinBook()
    warnings = rules.absorb(book, quotes, source, OutlierFilter(), {})
    return book.market, warnings


def overlay(market: Market, told: PairTickers, source: str) -> Market:
    book = book_of(market)
    rules.overlay(book, told, source, OutlierFilter())
    return book.market


def book_of(market: Market) -> CoinBook:
    book = CoinBook()
    book.replace(market)
    return book


def by_id(market: Market) -> dict[str | None, Coin]:
    return {each.id: each for each in market.coins}


def changed(before: Coin, after: Coin) -> set[str]:
    names = [field.name for field in fields(Coin)]
    return {name for name in names if getattr(before, name) != getattr(after, name)}


def test_the_venues_figures_replace_those_of_the_row() -> None:
    alpha = overlay(UNIVERSE, tickers(ticker("ALP")), "binance").coins[0]
    assert alpha == replace(
        ALPHA,
        price=120.0,
        market_cap=120_000.0,
        volume_24h=7_000.0,
        high_24h=150.0,
        low_24h=90.0,
        price_change_24h=-2.0,
        price_change_percentage_24h=-1.6,
        last_updated=LATER,
        source="binance",
    )


def test_the_known_volume_stays_where_a_venue_has_none_in_dollars() -> None:
    without = replace(ticker("ALP"), quote_volume=None)
    alpha = overlay(UNIVERSE, tickers(without), "binance").coins[0]
    assert (alpha.price, alpha.volume_24h) == (120.0, ALPHA.volume_24h)
    traded = overlay(UNIVERSE, tickers(ticker("ALP", volume=0.0)), "binance").coins[0]
    assert traded.volume_24h == 0.0


def test_id_name_image_rank_and_supply_are_kept() -> None:
    alpha = overlay(UNIVERSE, tickers(ticker("ALP")), "binance").coins[0]
    assert changed(ALPHA, alpha) <= OVERLAID


@pytest.mark.parametrize("supply", [None, 0, 0.0])
def test_without_a_supply_the_market_cap_moves_with_the_price(supply: float | None) -> None:
    alpha = replace(ALPHA, circulating_supply=supply)
    assert alpha.price
    assert alpha.market_cap
    market = overlay(Market((alpha,), True), tickers(ticker("ALP")), "binance")
    assert market.coins[0].price == 120.0
    assert market.coins[0].market_cap == pytest.approx(alpha.market_cap * 120.0 / alpha.price)


@pytest.mark.parametrize("supply", [None, 0, 0.0])
def test_without_a_supply_and_a_market_cap_the_market_cap_is_unknown(supply: float | None) -> None:
    alpha = replace(ALPHA, circulating_supply=supply, market_cap=None)
    market = overlay(Market((alpha,), True), tickers(ticker("ALP")), "binance")
    assert (market.coins[0].price, market.coins[0].market_cap) == (120.0, None)


def test_a_coin_without_an_instrument_keeps_its_row() -> None:
    market = overlay(UNIVERSE, tickers(ticker("ALP")), "binance")
    assert by_id(market)["beta"] == BETA
    assert symbols_of(market) == {"ALP": "ALPUSDT"}


@pytest.mark.parametrize("price", [50.0, 100.0, 150.0])
def test_a_price_within_fifty_percent_is_accepted(price: float) -> None:
    market = overlay(UNIVERSE, tickers(ticker("ALP", price)), "binance")
    assert market.coins[0].price == price
    assert symbols_of(market) == {"ALP": "ALPUSDT"}


@pytest.mark.parametrize("price", [49.0, 151.0, 0.1, 100_000.0])
def test_a_price_beyond_fifty_percent_is_quarantined(price: float) -> None:
    market = overlay(UNIVERSE, tickers(ticker("ALP", price)), "binance")
    assert market.coins == UNIVERSE.coins


@pytest.mark.parametrize(
    ("price", "pairs"),
    [(51.0, {"ALP": "ALPUSDT"}), (199.0, {"ALP": "ALPUSDT"}), (49.0, {}), (1_001.0, {})],
)
def test_a_new_instrument_trades_the_coin_if_its_price_is_near(
    price: float, pairs: dict[str, str]
) -> None:
    assert symbols_of(overlay(UNIVERSE, tickers(ticker("ALP", price)), "binance")) == pairs


@pytest.mark.parametrize(
    ("price", "pairs"),
    [(49.0, {"ALP": "ALPUSDT"}), (1_000.0, {"ALP": "ALPUSDT"}), (9.9, {}), (1_001.0, {})],
)
def test_a_known_instrument_trades_the_coin_unless_its_price_is_a_namesakes(
    price: float, pairs: dict[str, str]
) -> None:
    known = overlay(UNIVERSE, tickers(ticker("ALP", 100.0)), "binance")
    known = replace(known, coins=UNIVERSE.coins)
    assert symbols_of(overlay(known, tickers(ticker("ALP", price)), "binance")) == pairs


def test_two_venues_that_trade_the_same_namesake_do_not_confirm_each_other() -> None:
    book, outliers = book_of(UNIVERSE), OutlierFilter()
    for venue in ("binance", "okx", "binance", "okx"):
        one = ticker("ALP", 300.0)
        instrument = replace(one.instrument, venue=venue)
        told = PairTickers((replace(one, instrument=instrument),))
        rules.overlay(book, told, venue, outliers)
    assert book.market.coins == UNIVERSE.coins
    assert book.instruments == {}


def test_rows_without_a_newer_price_are_a_warning() -> None:
    _, warnings = absorb(UNIVERSE, tickers(ticker("ALP", 99.0)), "binance")
    assert "rows have no newer price from binance" in warnings[0]


def test_refused_pairs_are_named() -> None:
    quotes = PairTickers((ticker("ALP", 99.0),), refused=("ODDUSDT",))
    _, warnings = absorb(UNIVERSE, quotes, "binance")
    assert warnings[-1] == "the row of ODDUSDT was refused as implausible"


def test_of_many_refused_rows_a_few_are_named() -> None:
    refused = tuple(f"ODD{n}USDT" for n in range(4_000))
    _, warnings = absorb(UNIVERSE, PairTickers((ticker("ALP", 99.0),), refused), "binance")
    assert len(warnings) == 7
    assert warnings[-1] == "and 3995 more rows were refused as implausible"


def told_supply(supply: Any) -> Ranking:
    """CoinGecko's list of one coin, BTC at 100 USD, with this supply and no market cap."""
    row = coin_row(
        current_price=100.0,
        high_24h=110.0,
        low_24h=90.0,
        market_cap=None,
        circulating_supply=supply,
        last_updated=EPOCH.isoformat(),
    )
    return coingecko_coins.parse_markets(QuotesQuery(), [[row]], Context("cg", "keyless", EPOCH_MS))


async def test_a_supply_of_1_7e308_spoils_neither_the_market_nor_a_tick() -> None:
    source = UniverseSource(
        QueuedSource((told_supply(1.7e308), "coingecko_free"), (tickers(ticker("BTC")), "binance"))
    )
    listed = await source.fetch(MarketQuery())
    assert listed.warnings[-1] == ("the circulating supply of bitcoin was left out as implausible")
    answer = await source.fetch(MarketQuery())
    (bitcoin,) = answer.data.coins
    assert (bitcoin.price, bitcoin.market_cap, bitcoin.source) == (120.0, None, "binance")
    told = source.apply_ticks([replace(ticker("BTC", 130.0), closed_at=LATEST)])
    assert told is not None
    assert told.coins[0].price == 130.0


@pytest.mark.parametrize("supply", [1e29, 1e-320])
async def test_a_market_cap_that_would_be_absurd_is_null_with_a_warning(supply: float) -> None:
    source = UniverseSource(
        QueuedSource((told_supply(supply), "coingecko_free"), (tickers(ticker("BTC")), "binance"))
    )
    for _ in range(2):
        answer = await source.fetch(MarketQuery())
        assert answer.data.coins[0].market_cap is None
        assert answer.warnings[-1] == (
            "the market cap of bitcoin is unknown: price times circulating supply is implausible"
        )
    told = source.apply_ticks([replace(ticker("BTC", 130.0), closed_at=LATEST)])
    assert told is not None
    assert (told.coins[0].price, told.coins[0].market_cap) == (130.0, None)


async def test_a_change_that_could_not_be_computed_is_null_with_a_warning() -> None:
    blank = replace(ticker("ALP"), change=None, change_percentage=None)
    source = await known(RANKED, LISTED)
    told = source.apply_ticks([blank])
    assert told is not None
    row = told.coins[0]
    assert (row.price, row.price_change_24h, row.price_change_percentage_24h) == (120.0, None, None)
    source._quotes = QueuedSource(RANKED)
    answer = await source.fetch(MarketQuery())
    assert answer.data.coins[0].price == 120.0
    assert answer.warnings[-1] == (
        "the 24 h change of alpha is unknown: binance reported an implausible open"
    )


SIZES = st.floats(SMALLEST, LARGEST, exclude_min=True, exclude_max=True)


@given(SIZES, st.none() | st.floats(0, LARGEST, exclude_max=True), SIZES, SIZES, st.booleans())
def test_rows_and_tickers_of_any_size_can_be_combined(
    price: float, supply: float | None, told: float, quote_volume: float, is_late: bool
) -> None:
    unknown: dict[str, Any] = dict.fromkeys(("market_cap", "high_24h", "low_24h"))
    row = coin("alpha", "ALP", 1, price=price, circulating_supply=supply, **unknown)
    at = EPOCH + timedelta(hours=9) if is_late else LATER
    pair = replace(
        ticker("ALP"), price=told, high=told, low=told, quote_volume=quote_volume, closed_at=at
    )
    after = overlay(Market((row,), True), tickers(pair), "binance").coins[0]
    assert after.price in (price, told)
    assert after.market_cap is None or 0 < after.market_cap < MOST_MARKET_CAP


def named(count: int) -> list[PairTicker]:
    one = ticker("ALP")
    return [replace(one, instrument=instrument(f"N{n}USDT")) for n in range(count)]


async def test_tickers_before_any_market_are_bounded() -> None:
    source = UniverseSource(QueuedSource(RANKED))
    source.apply_ticks(named(100_000))
    assert len(source._pushed) == MOST_TICKERS
    await source.fetch(MarketQuery())
    assert source._pushed == {}


async def test_tickers_are_kept_for_coins_of_the_market_only() -> None:
    source = await known(RANKED)
    source.apply_ticks([*named(100_000), ticker("ALP")])
    assert list(source._pushed) == ["ALP"]


async def test_the_ticker_of_a_coin_that_left_the_market_is_dropped() -> None:
    source = await known(RANKED)
    source.apply_ticks([ticker("ALP"), ticker("BET")])
    source._quotes = QueuedSource((Ranking((BETA,)), "coingecko_free"))
    await source.fetch(MarketQuery())
    assert list(source._pushed) == ["BET"]


def test_a_lesser_coin_with_a_famous_ticker_never_gets_the_famous_price() -> None:
    market = overlay(UNIVERSE, tickers(ticker("ALP", 99.0)), "binance")
    assert by_id(market)["alpha"].price == 99.0
    assert by_id(market)["alpha"].source == "binance"
    assert by_id(market)["pegged-alpha"] == PEGGED_ALPHA


@pytest.mark.parametrize("price", [None, 1_000.0])
def test_a_lesser_coin_does_not_inherit_an_instrument_of_the_famous_one(
    price: float | None,
) -> None:
    famous = coin("alpha", "ALP", 1, price=price, high_24h=None, low_24h=None)
    market = overlay(Market((famous, PEGGED_ALPHA), True), tickers(ticker("ALP", 99.0)), "binance")
    assert market.coins == (famous, PEGGED_ALPHA)
    assert symbols_of(market) == {}


def test_an_instrument_missing_from_the_list_no_longer_trades_the_coin() -> None:
    first = overlay(UNIVERSE, tickers(ticker("ALP"), ticker("BET")), "binance")
    second = overlay(first, tickers(ticker("BET", 110.0)), "binance")
    assert symbols_of(first) == {"ALP": "ALPUSDT", "BET": "BETUSDT"}
    assert symbols_of(second) == {"BET": "BETUSDT"}
    assert by_id(second)["alpha"] == by_id(first)["alpha"]


def test_without_a_universe_the_venues_coins_come_by_dollar_volume() -> None:
    rows = tickers(ticker("LOW", volume=1.0), ticker("TOP", volume=9.0), ticker("MID", volume=5.0))
    market, warnings = absorb(None, rows, "binance")
    assert [each.symbol for each in market.coins] == ["TOP", "MID", "LOW"]
    assert market.ranked is False
    assert symbols_of(market) == {"TOP": "TOPUSDT", "MID": "MIDUSDT", "LOW": "LOWUSDT"}
    assert warnings == (NO_UNIVERSE,)


def test_without_a_universe_coins_of_unknown_volume_come_last() -> None:
    unknown = [replace(ticker(base), quote_volume=None) for base in ("OHM", "ANT")]
    told = tickers(*unknown, ticker("ALP", volume=0.0), ticker("BET", volume=5.0))
    market, _ = absorb(None, told, "binance")
    assert [row.symbol for row in market.coins] == ["BET", "ALP", "ANT", "OHM"]
    assert market.coins[-1].volume_24h is None


def test_a_bare_row_leaves_null_what_a_venue_cannot_know() -> None:
    market, _ = absorb(None, tickers(ticker("ALP")), "binance")
    venue_only = overlay(Market((ALPHA,), True), tickers(ticker("ALP")), "binance").coins[0]
    unknown: dict[str, Any] = dict.fromkeys(
        ("id", "name", "image", "market_cap_rank", "market_cap")
    )
    assert market.coins == (replace(venue_only, circulating_supply=None, **unknown),)


def test_bare_rows_are_replaced_by_the_next_bare_rows() -> None:
    bare, _ = absorb(None, tickers(ticker("OLD")), "binance")
    market, warnings = absorb(bare, tickers(ticker("NEW")), "binance")
    assert [each.symbol for each in market.coins] == ["NEW"]
    assert warnings == (NO_UNIVERSE,)


def test_a_ranking_after_bare_rows_makes_a_universe() -> None:
    bare, _ = absorb(None, tickers(ticker("ALP"), ticker("ODD")), "binance")
    market, warnings = absorb(bare, Ranking((ALPHA, BETA)), "coingecko_free")
    assert market == Market((ALPHA, BETA), ranked=True, instruments=None)
    assert warnings == ()


def test_a_ranking_orders_by_rank_and_puts_unranked_coins_last() -> None:
    unranked = coin("wrapped", "WRP", None)
    market, _ = absorb(None, Ranking((unranked, BETA, ALPHA)), "coingecko_free")
    assert market.coins == (ALPHA, BETA, unranked)


def test_a_ranking_keeps_the_known_instruments() -> None:
    known = overlay(UNIVERSE, tickers(ticker("ALP")), "binance")
    market, _ = absorb(known, Ranking((ALPHA, BETA)), "coingecko_free")
    assert symbols_of(market) == {"ALP": "ALPUSDT"}
    assert market.coins == (ALPHA, BETA)


def test_a_refused_row_keeps_its_last_known_row_and_is_named() -> None:
    newer = replace(BETA, price=101.0, last_updated=LATER)
    market, warnings = absorb(UNIVERSE, Ranking((newer,), refused=("alpha",)), "coingecko_free")
    assert market.coins == (ALPHA, newer)
    (warning,) = warnings
    assert "alpha" in warning


def test_a_refused_row_that_was_never_known_is_only_named() -> None:
    market, warnings = absorb(None, Ranking((BETA,), refused=("alpha", "gamma")), "coingecko_free")
    assert market.coins == (BETA,)
    assert [("alpha" in text, "gamma" in text) for text in warnings] == [
        (True, False),
        (False, True),
    ]


def test_a_coin_that_left_the_ranking_leaves_the_universe() -> None:
    market, warnings = absorb(UNIVERSE, Ranking((BETA,)), "coingecko_free")
    assert market.coins == (BETA,)
    assert warnings == ()


async def test_the_query_says_whether_a_universe_is_known() -> None:
    quotes = QueuedSource(
        (tickers(ticker("ALP")), "binance"),
        (Ranking((ALPHA, BETA)), "coingecko_free"),
        (tickers(ticker("ALP")), "binance"),
    )
    source = UniverseSource(quotes)
    answers = [await source.fetch(MarketQuery()) for _ in range(3)]
    assert [query.universe_known for query in quotes.asked] == [False, False, True]
    assert [answer.data.ranked for answer in answers] == [False, True, True]
    assert [each.source for each in answers[2].data.coins] == ["binance", "coingecko_free"]


async def test_a_universe_of_an_earlier_run_is_overlaid_not_replaced_by_bare_rows() -> None:
    quotes = QueuedSource((tickers(ticker("ALP")), "binance"))
    source = UniverseSource(quotes)
    source.adopt(answered(UNIVERSE))
    answer = await source.fetch(MarketQuery())
    assert quotes.asked[0].universe_known
    assert answer.data.ranked
    assert [each.id for each in answer.data.coins] == [each.id for each in UNIVERSE.coins]
    assert answer.data.coins[0].source == "binance"


class Lists:
    """A venue that always answers, and a ranked list while `has_list`."""

    def __init__(self) -> None:
        self.has_list, self.at = True, EPOCH
        self.lists_asked: list[timedelta] = []

    async def fetch(self, query: QuotesQuery) -> Answer[Quotes]:
        if not query.universe_known:
            self.lists_asked.append(self.at - EPOCH)
        data: Quotes = tickers(ticker("ALP"))
        if self.has_list and not query.universe_known:
            data = Ranking((replace(ALPHA, last_updated=self.at), replace(BETA, price=self.price)))
        return Answer(data, "somebody", self.at, 12.0)

    @property
    def price(self) -> float:
        return 100.0 + (self.at - EPOCH).total_seconds() / 3_600

    async def refresh_for(self, source: UniverseSource, minutes: int) -> Market:
        for _ in range(minutes):
            self.at += timedelta(minutes=1)
            market = (await source.fetch(MarketQuery())).data
        return market


async def test_while_only_venues_have_their_turn_a_list_is_asked_for_each_half_hour() -> None:
    """A coin that no venue trades keeps its price otherwise until it expires."""
    quotes = Lists()
    source = UniverseSource(quotes)
    market = await quotes.refresh_for(source, 95)
    assert quotes.lists_asked == [timedelta(minutes=one) for one in (1, 32, 63, 94)]
    price = by_id(market)["beta"].price
    assert price is not None
    assert price >= 101.5


async def test_while_no_list_is_available_it_is_asked_for_each_five_minutes() -> None:
    quotes = Lists()
    source = UniverseSource(quotes)
    await quotes.refresh_for(source, 1)
    quotes.has_list = False
    market = await quotes.refresh_for(source, 45)
    assert quotes.lists_asked == [timedelta(minutes=one) for one in (1, 32, 38, 44)]
    assert market.ranked


async def test_a_list_of_an_earlier_run_is_renewed_within_half_an_hour() -> None:
    quotes = Lists()
    source = UniverseSource(quotes)
    source.adopt(answered(UNIVERSE))
    await quotes.refresh_for(source, 35)
    assert quotes.lists_asked == [timedelta(minutes=32)]


async def test_the_source_keeps_the_providers_provenance_and_adds_its_warnings() -> None:
    source = UniverseSource(QueuedSource((tickers(ticker("ALP")), "binance")))
    answer = await source.fetch(MarketQuery())
    assert (answer.source, answer.fetched_at, answer.latency_ms) == ("binance", EPOCH, 12.0)
    assert answer.warnings == ("of the provider", NO_UNIVERSE)


async def test_a_failed_fetch_leaves_the_universe_as_it_was() -> None:
    quotes = QueuedSource((Ranking((ALPHA,)), "coingecko_free"))
    source = UniverseSource(quotes)
    await source.fetch(MarketQuery())
    for _ in range(2):
        with pytest.raises(IndexError):
            await source.fetch(MarketQuery())
    assert [query.universe_known for query in quotes.asked] == [False, True, True]


SYMBOLS = st.sampled_from(["ALP", "BET", "GAM", "ODD"])
PRICES = st.floats(min_value=1e-9, max_value=1e9)


@st.composite
def universes(draw: st.DrawFn) -> Market:
    rows: Iterable[tuple[str, float, float | None]] = draw(
        st.lists(
            st.tuples(SYMBOLS, PRICES, st.none() | st.floats(min_value=0, max_value=1e12)),
            max_size=8,
        )
    )
    unknown: dict[str, Any] = {"market_cap": None, "high_24h": None, "low_24h": None}
    coins = [
        coin(f"coin-{n}", symbol, n, price=price, circulating_supply=supply, **unknown)
        for n, (symbol, price, supply) in enumerate(rows, 1)
    ]
    return Market(tuple(coins), ranked=True)


@given(universes(), st.lists(st.builds(ticker, SYMBOLS, PRICES), max_size=6))
def test_an_overlay_changes_no_listing_and_marks_every_changed_row(
    market: Market, rows: list[PairTicker]
) -> None:
    after = overlay(market, PairTickers(tuple(rows)), "binance")
    assert [each.id for each in after.coins] == [each.id for each in market.coins]
    for old, new in zip(market.coins, after.coins, strict=True):
        assert changed(old, new) <= OVERLAID
        assert old == new or new.source == "binance"
    moved = [each.symbol for each in after.coins if each.source == "binance"]
    assert len(moved) == len(set(moved))
    assert set(moved) <= set(symbols_of(after) or ())


LATEST = LATER + timedelta(seconds=1)


def quoted(base: str, quote: str, price: float, at: datetime = LATER) -> PairTicker:
    return replace(ticker(base, price), instrument=instrument(f"{base}{quote}"), closed_at=at)


def answered(market: Market) -> Answer[Market]:
    """An answer of another process."""
    return Answer(market, "coingecko_free", EPOCH, 1.0)


async def known(*answers: tuple[Quotes, str]) -> UniverseSource:
    """A source that had these answers."""
    source = UniverseSource(QueuedSource(*answers))
    for _ in answers:
        await source.fetch(MarketQuery())
    return source


RANKED: tuple[Quotes, str] = (Ranking(UNIVERSE.coins), "coingecko_free")
#: A venue's list by which ALPUSDT stands for alpha; its prices are those of the ranking.
LISTED: tuple[Quotes, str] = (
    tickers(replace(ticker("ALP", 100.0), closed_at=EPOCH)),
    "binance",
)


async def test_ticks_enter_by_the_same_rule_as_lists() -> None:
    source = await known(RANKED, LISTED)
    market = source.apply_ticks([ticker("ALP")])
    assert market is not None
    assert market.coins == overlay(UNIVERSE, tickers(ticker("ALP")), "binance").coins


async def test_a_tick_makes_rows_that_validation_accepts() -> None:
    """It makes them without one: the ticker is validated, and so was the row."""
    source = await known(RANKED, LISTED)
    for minute, price in enumerate((149.0, 75.0, 40.0, 22.0)):
        told = replace(ticker("ALP", price), closed_at=LATER + timedelta(minutes=minute))
        market = source.apply_ticks([told])
        assert market is not None
        row = market.coins[0]
        assert (row.price, replace(row)) == (price, row)


async def test_rows_without_a_tick_are_the_same_objects() -> None:
    source = await known(RANKED, LISTED)
    before = source._book.market
    market = source.apply_ticks([ticker("ALP")])
    assert market is not None
    assert market.coins[0] is not before.coins[0]
    assert [new is old for new, old in zip(market.coins, before.coins, strict=True)] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("pair", ["ALPUSDC", "ALPFDUSD"])
async def test_only_ticks_of_the_listed_instrument_count(pair: str) -> None:
    source = await known(RANKED, LISTED)
    other = quoted("ALP", pair.removeprefix("ALP"), 130.0, LATEST)
    assert source.apply_ticks([other]) is None
    market = source.apply_ticks([other, ticker("ALP")])
    assert market is not None
    assert market.coins[0].price == 120.0


async def test_the_listed_instrument_counts_although_its_quote_is_not_the_preferred_one() -> None:
    source = await known(RANKED, (tickers(quoted("ALP", "USDC", 100.0, EPOCH)), "binance"))
    assert source.apply_ticks([ticker("ALP")]) is None
    market = source.apply_ticks([quoted("ALP", "USDC", 110.0)])
    assert market is not None
    assert market.coins[0].price == 110.0


async def test_ticks_of_coins_without_an_instrument_do_not_count() -> None:
    source = await known(RANKED, LISTED)
    assert source.apply_ticks([ticker("BET"), ticker("NEW")]) is None


async def test_ticks_never_change_the_instruments() -> None:
    source = await known(RANKED, LISTED)
    for price in (120.0, 49.0, 1_000.0, 0.1):
        market = source.apply_ticks([ticker("ALP", price), ticker("BET", price)])
        assert symbols_of(market or source._book.market) == {"ALP": "ALPUSDT"}
    source = await known(RANKED)
    market = source.apply_ticks([ticker("ALP")])
    assert market is not None
    assert market.instruments is None


async def test_before_any_list_the_preferred_quote_counts() -> None:
    source = await known(RANKED)
    prices = []
    for number, quote in enumerate(["USDC", "FDUSD", "USDC", "USDT", "FDUSD", "USDC", "USDT"]):
        at = LATER + timedelta(seconds=number)
        market = source.apply_ticks([quoted("ALP", quote, 100.0 + number, at)])
        prices.append(market.coins[0].price if market else None)
    assert prices == [100.0, 101.0, None, 103.0, None, None, 106.0]


async def test_a_list_decides_again_which_instrument_counts() -> None:
    quotes = QueuedSource(RANKED, (tickers(quoted("ALP", "USDC", 101.0, EPOCH)), "binance"))
    source = UniverseSource(quotes)
    await source.fetch(MarketQuery())
    source.apply_ticks([ticker("ALP")])
    answer = await source.fetch(MarketQuery())
    assert symbols_of(answer.data) == {"ALP": "ALPUSDC"}
    assert source.apply_ticks([replace(ticker("ALP"), closed_at=LATEST)]) is None
    market = source.apply_ticks([quoted("ALP", "USDC", 110.0, LATEST)])
    assert market is not None
    assert market.coins[0].price == 110.0


@pytest.mark.parametrize("at", [EPOCH - timedelta(seconds=1), EPOCH])
async def test_a_tick_that_is_not_newer_than_its_row_is_ignored(at: datetime) -> None:
    source = await known(RANKED, LISTED)
    assert source.apply_ticks([replace(ticker("ALP"), closed_at=at)]) is None


async def test_a_repeated_tick_changes_nothing() -> None:
    source = await known(RANKED, LISTED)
    assert source.apply_ticks([ticker("ALP")]) is not None
    assert source.apply_ticks([ticker("ALP")]) is None
    assert source.apply_ticks([ticker("ALP", 110.0)]) is None, "nor another of its time"


@pytest.mark.parametrize(
    ("price", "enters"), [(50.0, True), (150.0, True), (49.9, False), (150.1, False)]
)
async def test_a_tick_that_differs_by_more_than_half_is_quarantined(
    price: float, enters: bool
) -> None:
    source = await known(RANKED, LISTED)
    assert (source.apply_ticks([ticker("ALP", price)]) is not None) is enters


async def test_no_ticks_change_nothing() -> None:
    source = await known(RANKED, LISTED)
    assert source.apply_ticks([]) is None


async def test_a_ranked_market_stays_ranked_and_an_unranked_one_unranked() -> None:
    ranked = (await known(RANKED, LISTED)).apply_ticks([ticker("ALP")])
    listed = tickers(quoted("ALP", "USDT", 100.0, EPOCH))
    bare = (await known((listed, "binance"))).apply_ticks([ticker("ALP")])
    assert ranked is not None
    assert bare is not None
    assert (ranked.ranked, bare.ranked) == (True, False)
    assert (bare.coins[0].price, symbols_of(bare)) == (120.0, {"ALP": "ALPUSDT"})


async def test_ticks_before_any_market_are_applied_to_the_first_refresh() -> None:
    source = UniverseSource(QueuedSource(RANKED))
    assert source.apply_ticks([ticker("ALP")]) is None
    answer = await source.fetch(MarketQuery())
    assert answer.data.coins[0].price == 120.0
    assert answer.data.coins[0].source == "binance"
    assert answer.data.coins[1] == BETA


async def test_an_earlier_tick_of_an_unlisted_instrument_is_not_applied_to_a_list() -> None:
    listed = tickers(quoted("ALP", "USDC", 101.0, EPOCH))
    source = UniverseSource(QueuedSource((listed, "binance")))
    source.apply_ticks([ticker("ALP")])
    assert (await source.fetch(MarketQuery())).data.coins[0].price == 101.0


async def test_before_any_market_the_tick_in_the_preferred_quote_is_kept() -> None:
    source = UniverseSource(QueuedSource(RANKED))
    source.apply_ticks([quoted("ALP", "FDUSD", 110.0)])
    source.apply_ticks([quoted("ALP", "USDC", 130.0, LATEST)])
    assert (await source.fetch(MarketQuery())).data.coins[0].price == 110.0


async def test_ticks_stay_over_an_older_ranking_but_not_over_a_newer_one() -> None:
    fresher = replace(ALPHA, price=105.0, last_updated=LATEST)
    older, newer = Ranking((ALPHA, BETA)), Ranking((fresher, BETA))
    source = UniverseSource(
        QueuedSource(RANKED, (older, "coingecko_free"), (newer, "coingecko_free"))
    )
    await source.fetch(MarketQuery())
    source.apply_ticks([ticker("ALP")])
    assert (await source.fetch(MarketQuery())).data.coins[0].price == 120.0
    assert (await source.fetch(MarketQuery())).data.coins[0] == fresher


async def test_ticks_stay_over_an_older_list_but_not_over_a_newer_one() -> None:
    older = tickers(replace(ticker("ALP", 100.0), closed_at=EPOCH + timedelta(seconds=1)))
    newer = tickers(replace(ticker("ALP", 105.0), closed_at=LATEST))
    source = UniverseSource(QueuedSource(RANKED, LISTED, (older, "binance"), (newer, "binance")))
    await source.fetch(MarketQuery())
    await source.fetch(MarketQuery())
    source.apply_ticks([ticker("ALP")])
    assert (await source.fetch(MarketQuery())).data.coins[0].price == 120.0
    assert (await source.fetch(MarketQuery())).data.coins[0].price == 105.0


async def test_the_tick_of_another_coin_with_the_same_ticker_is_not_applied() -> None:
    unknown: dict[str, Any] = dict.fromkeys(("market_cap", "high_24h", "low_24h"))
    namesake = coin("alp-two", "ALP", 1, price=1.0, **unknown)
    source = UniverseSource(QueuedSource(RANKED, (Ranking((namesake,)), "coingecko_free")))
    await source.fetch(MarketQuery())
    assert source.apply_ticks([ticker("ALP")]) is not None
    assert (await source.fetch(MarketQuery())).data.coins == (namesake,)


async def test_each_tick_is_compared_with_the_one_before() -> None:
    source = await known(RANKED, LISTED)
    for second in range(1, 6):
        at = LATER + timedelta(seconds=second)
        source.apply_ticks([replace(ticker("ALP", 100.0 + 30 * second), closed_at=at)])
    assert source._book.market.coins[0].price == 250.0, (
        "each within a factor of two of the one before"
    )


@given(universes(), st.lists(st.builds(ticker, SYMBOLS, PRICES), max_size=6))
def test_ticks_give_the_same_rows_as_a_list_of_the_instruments_that_count(
    market: Market, rows: list[PairTicker]
) -> None:
    symbols = {"ALP": "ALPUSDT", "BET": "BETUSDC"}
    best = {coin.symbol: coin for coin in reversed(market.coins)}
    chosen = {best[base].key: instruments(symbols[base]) for base in symbols if base in best}
    source = UniverseSource(QueuedSource())
    listed = Market(market.coins, True, chosen, frozenset({"binance"}))
    source.adopt(answered(listed))
    heard = source.apply_ticks(rows)
    counting = tuple(
        row for row in rows if symbols.get(row.instrument.base) == row.instrument.symbol
    )
    expected = overlay(market, PairTickers(counting), "binance").coins
    assert (heard.coins if heard else market.coins) == expected
    assert (heard is None) == (expected == market.coins)
    assert source._book.market == replace(listed, coins=expected)


# Ticks of a venue without a list


def at_kraken(base: str, price: float, at: datetime = LATEST) -> PairTicker:
    instrument = Instrument("kraken", base, "USD", f"{base}/USD")
    return replace(ticker(base, price), instrument=instrument, closed_at=at)


async def test_a_venue_without_a_list_gives_prices_that_agree_with_the_coins() -> None:
    source = await known(RANKED, LISTED)
    market = source.apply_ticks([at_kraken("ALP", 130.0), at_kraken("XYZ", 1.0)])
    assert market is not None
    assert (market.coins[0].price, market.coins[0].source) == (130.0, "kraken")


async def test_a_namesake_at_a_venue_without_a_list_gives_no_price() -> None:
    source = await known(RANKED, LISTED)
    assert source.apply_ticks([at_kraken("ALP", 1_300.0), at_kraken("BET", 0.001)]) is None


async def test_after_a_substitutes_ticks_the_first_venues_count_again() -> None:
    source = await known(RANKED, LISTED)
    source.apply_ticks([at_kraken("ALP", 130.0)])
    market = source.apply_ticks(
        [replace(ticker("ALP", 131.0), closed_at=LATEST + timedelta(hours=1))]
    )
    assert market is not None
    assert (market.coins[0].price, market.coins[0].source) == (131.0, "binance")


async def test_the_instruments_of_a_venue_are_those_of_the_markets_coins() -> None:
    source = await known(RANKED)
    assert [one.symbol for one in source.instruments_at("kraken")] == ["ALP/USD", "BET/USD"]
    assert source.instruments_at("elsewhere") == ()


# A dollar coin that is off the dollar


@pytest.mark.parametrize(("price", "is_used"), [(0.995, True), (1.009, True), (0.95, False)])
def test_a_dollar_coin_off_the_dollar_prices_nothing(price: float, is_used: bool) -> None:
    tether = replace(
        ALPHA, id="tether", symbol="USDT", market_cap_rank=3, price=price, market_cap=None,
        high_24h=None, low_24h=None,
    )  # fmt: skip
    market = overlay(Market((ALPHA, BETA, tether), True), tickers(ticker("ALP")), "binance")
    assert (market.coins[0].source == "binance") is is_used
    in_dollars = PairTickers((at_kraken("ALP", 120.0),))
    market = overlay(Market((ALPHA, BETA, tether), True), in_dollars, "kraken")
    assert market.coins[0].source == "kraken"


# Answers of another process


async def test_ticks_are_laid_over_an_adopted_market() -> None:
    other = await known(RANKED, LISTED)
    source = UniverseSource(QueuedSource())
    source.adopt(answered(other._book.visible_market()))
    assert source.apply_ticks([ticker("ALP")]) == other.apply_ticks([ticker("ALP")])
    assert source.apply_ticks([quoted("ALP", "USDC", 130.0, LATEST), ticker("BET")]) is None


async def test_a_price_that_jumps_from_an_adopted_one_is_quarantined_until_confirmed() -> None:
    jumped = replace(ALPHA, price=300.0, market_cap=None, high_24h=None, last_updated=LATEST)
    source = UniverseSource(QueuedSource((Ranking((jumped,)), "coingecko_free")))
    source.adopt(answered((await known(RANKED, LISTED))._book.visible_market()))
    assert source.apply_ticks([ticker("ALP", 300.0)]) is None
    answer = await source.fetch(MarketQuery())
    assert answer.data.coins[0].price == 300.0, "the list confirms the venue"


async def test_adopting_the_same_answer_again_changes_nothing() -> None:
    source = await known(RANKED, LISTED)
    answer = answered(source._book.visible_market())
    for _ in range(2):
        before = source._book.records
        source.adopt(answer)
        assert source._book.records == before, "the same records"
    source.apply_ticks([ticker("ALP", 49.0)])
    source.adopt(answer)
    assert source._book.records[0].pending is not None


async def test_an_adopted_market_replaces_the_rows_and_keeps_newer_pushed_tickers() -> None:
    source = await known(RANKED, LISTED)
    source.apply_ticks([ticker("ALP")])
    newer = replace(BETA, price=101.0, last_updated=LATER)
    source.adopt(answered(Market((ALPHA, newer), True, source._book.instruments)))
    assert [each.price for each in source._book.market.coins] == [120.0, 101.0]
    late = replace(ALPHA, price=90.0, last_updated=LATEST)
    source.adopt(answered(Market((late, newer), True, source._book.instruments)))
    assert source._book.market.coins == (late, newer)


async def test_figures_that_expired_in_another_process_are_still_compared_with_later_prices() -> (
    None
):
    source = await known(RANKED, LISTED)
    bare = BETA.without_figures()
    source.adopt(answered(Market((ALPHA, bare), True, source._book.instruments)))
    assert source._book.visible_market().coins == (ALPHA, bare)
    assert source._book.market.coins == (ALPHA, BETA)


async def test_an_adopted_market_without_ranks_gives_way_to_the_first_ranking() -> None:
    bare = (await known((tickers(ticker("ALP")), "binance")))._book.visible_market()
    quotes = QueuedSource(RANKED)
    source = UniverseSource(quotes)
    source.adopt(answered(bare))
    assert (await source.fetch(MarketQuery())).data.coins == UNIVERSE.coins
    assert not quotes.asked[0].universe_known


# Several venues


def at_venue(one: PairTicker, venue: str) -> PairTicker:
    return replace(one, instrument=replace(one.instrument, venue=venue))


def test_a_venues_list_keeps_the_instruments_of_other_venues() -> None:
    elsewhere = at_venue(ticker("ALP", 101.0), "elsewhere")
    market = overlay(UNIVERSE, tickers(ticker("ALP"), ticker("BET")), "binance")
    market = overlay(market, tickers(elsewhere), "elsewhere")
    assert market.instruments == {
        "alpha": (elsewhere.instrument, instrument("ALPUSDT")),
        "beta": instruments("BETUSDT"),
    }
    market = overlay(market, tickers(ticker("BET")), "binance")
    assert market.instruments == {
        "alpha": (elsewhere.instrument,),
        "beta": instruments("BETUSDT"),
    }


async def test_a_row_names_the_venue_whose_tick_it_has() -> None:
    elsewhere = at_venue(replace(ticker("ALP", 100.0), closed_at=EPOCH), "elsewhere")
    source = await known(RANKED, LISTED, (tickers(elsewhere), "elsewhere"))
    market = source.apply_ticks([replace(elsewhere, closed_at=LATER)])
    assert market is not None
    assert market.coins[0].source == "elsewhere"
    market = source.apply_ticks([replace(ticker("ALP"), closed_at=LATEST)])
    assert market is not None
    assert market.coins[0].source == "binance"
