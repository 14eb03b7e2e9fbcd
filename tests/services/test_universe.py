"""The universe, and how a venue's prices enter it."""

from collections import deque
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.models.answer import Answer
from backend.models.market import (
    Coin,
    Market,
    MarketQuery,
    PairTicker,
    PairTickers,
    Quotes,
    QuotesQuery,
    Ranking,
)
from backend.services.universe import NO_UNIVERSE, UniverseSource, absorb, overlay
from tests.clocks import EPOCH

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
        pair=f"{base}USDT",
        base=base,
        quote="USDT",
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

    def __init__(self, *answers: tuple[Quotes, str]) -> None:
        self._answers = deque(answers)
        self.asked: list[QuotesQuery] = []

    async def fetch(self, query: QuotesQuery) -> Answer[Quotes]:
        self.asked.append(query)
        data, source = self._answers.popleft()
        return Answer(data, source, EPOCH, 12.0, warnings=("of the provider",))


def by_id(market: Market) -> dict[str | None, Coin]:
    return {each.id: each for each in market.coins}


def changed(before: Coin, after: Coin) -> set[str]:
    names = [field.name for field in fields(Coin)]
    return {name for name in names if getattr(before, name) != getattr(after, name)}


def test_the_venues_price_and_all_that_belongs_to_it_enter() -> None:
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


def test_id_name_image_rank_and_supply_are_kept() -> None:
    alpha = overlay(UNIVERSE, tickers(ticker("ALP")), "binance").coins[0]
    assert changed(ALPHA, alpha) <= OVERLAID


@pytest.mark.parametrize("supply", [None, 0, 0.0])
def test_without_a_supply_the_market_cap_is_unknown(supply: float | None) -> None:
    alpha = replace(ALPHA, circulating_supply=supply)
    market = overlay(Market((alpha,), True), tickers(ticker("ALP")), "binance")
    assert market.coins[0].price == 120.0
    assert market.coins[0].market_cap is None


def test_a_coin_without_a_pair_keeps_its_row() -> None:
    market = overlay(UNIVERSE, tickers(ticker("ALP")), "binance")
    assert by_id(market)["beta"] == BETA
    assert market.pairs == {"ALP": "ALPUSDT"}


@pytest.mark.parametrize("price", [50.0, 100.0, 200.0])
def test_a_price_within_half_to_double_is_the_same_coins(price: float) -> None:
    market = overlay(UNIVERSE, tickers(ticker("ALP", price)), "binance")
    assert market.coins[0].price == price
    assert market.pairs == {"ALP": "ALPUSDT"}


@pytest.mark.parametrize("price", [49.0, 201.0, 0.1, 100_000.0])
def test_a_price_beyond_half_to_double_is_another_coins(price: float) -> None:
    market = overlay(UNIVERSE, tickers(ticker("ALP", price)), "binance")
    assert market.coins == UNIVERSE.coins


@pytest.mark.parametrize(
    ("price", "pairs"),
    [(49.0, {"ALP": "ALPUSDT"}), (1_000.0, {"ALP": "ALPUSDT"}), (9.9, {}), (1_001.0, {})],
)
def test_a_pair_stands_for_the_coins_candles_unless_it_is_a_namesakes(
    price: float, pairs: dict[str, str]
) -> None:
    assert overlay(UNIVERSE, tickers(ticker("ALP", price)), "binance").pairs == pairs


def test_rows_that_the_venue_could_not_renew_are_told_of() -> None:
    _, warnings = absorb(UNIVERSE, tickers(ticker("ALP", 99.0)), "binance")
    assert "rows have no newer price from binance" in warnings[0]


def test_refused_pairs_are_named() -> None:
    quotes = PairTickers((ticker("ALP", 99.0),), refused=("ODDUSDT",))
    _, warnings = absorb(UNIVERSE, quotes, "binance")
    assert warnings[-1] == "the row of ODDUSDT was refused as implausible"


def test_a_lesser_coin_with_a_famous_ticker_never_gets_the_famous_price() -> None:
    market = overlay(UNIVERSE, tickers(ticker("ALP", 99.0)), "binance")
    assert by_id(market)["alpha"].price == 99.0
    assert by_id(market)["alpha"].source == "binance"
    assert by_id(market)["pegged-alpha"] == PEGGED_ALPHA


@pytest.mark.parametrize("price", [None, 1_000.0])
def test_a_lesser_coin_does_not_inherit_the_pair_that_the_famous_one_cannot_hold(
    price: float | None,
) -> None:
    famous = coin("alpha", "ALP", 1, price=price, high_24h=None, low_24h=None)
    market = overlay(Market((famous, PEGGED_ALPHA), True), tickers(ticker("ALP", 99.0)), "binance")
    assert market.coins == (famous, PEGGED_ALPHA)
    assert market.pairs == {}


def test_a_pair_that_is_gone_is_no_longer_the_coins_pair() -> None:
    first = overlay(UNIVERSE, tickers(ticker("ALP"), ticker("BET")), "binance")
    second = overlay(first, tickers(ticker("BET", 110.0)), "binance")
    assert first.pairs == {"ALP": "ALPUSDT", "BET": "BETUSDT"}
    assert second.pairs == {"BET": "BETUSDT"}
    assert by_id(second)["alpha"] == by_id(first)["alpha"]


def test_without_a_universe_the_venues_coins_come_by_dollar_volume() -> None:
    rows = tickers(ticker("LOW", volume=1.0), ticker("TOP", volume=9.0), ticker("MID", volume=5.0))
    market, warnings = absorb(None, rows, "binance")
    assert [each.symbol for each in market.coins] == ["TOP", "MID", "LOW"]
    assert market.ranked is False
    assert market.pairs == {"TOP": "TOPUSDT", "MID": "MIDUSDT", "LOW": "LOWUSDT"}
    assert warnings == (NO_UNIVERSE,)


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
    assert market == Market((ALPHA, BETA), ranked=True, pairs=None)
    assert warnings == ()


def test_a_ranking_orders_by_rank_and_puts_unranked_coins_last() -> None:
    unranked = coin("wrapped", "WRP", None)
    market, _ = absorb(None, Ranking((unranked, BETA, ALPHA)), "coingecko_free")
    assert market.coins == (ALPHA, BETA, unranked)


def test_a_ranking_keeps_the_pairs_that_were_found() -> None:
    known = overlay(UNIVERSE, tickers(ticker("ALP")), "binance")
    market, _ = absorb(known, Ranking((ALPHA, BETA)), "coingecko_free")
    assert market.pairs == {"ALP": "ALPUSDT"}
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


async def test_the_source_says_whether_a_universe_is_known() -> None:
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
def test_an_overlay_never_changes_who_is_listed_and_marks_every_changed_row(
    market: Market, rows: list[PairTicker]
) -> None:
    after = overlay(market, PairTickers(tuple(rows)), "binance")
    assert [each.id for each in after.coins] == [each.id for each in market.coins]
    for old, new in zip(market.coins, after.coins, strict=True):
        assert changed(old, new) <= OVERLAID
        assert old == new or new.source == "binance"
    moved = [each.symbol for each in after.coins if each.source == "binance"]
    assert len(moved) == len(set(moved))
    assert set(moved) <= set(after.pairs or ())
