"""Rows that nobody renews: named for ever, with figures as long as they may be served."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from backend.models.market import Market, MarketQuery
from backend.services.aged_rows import AgedRows
from backend.services.universe import UniverseSource
from tests.clocks import EPOCH
from tests.services.test_universe import (
    ALPHA,
    BETA,
    OVERLAID,
    RANKED,
    QueuedSource,
    ticker,
    tickers,
)

HOUR = timedelta(hours=1)
MARKET = Market((ALPHA, replace(BETA, last_updated=EPOCH - 2 * HOUR)), True)


def test_what_nobody_told_for_so_long_has_no_figures() -> None:
    market, notes = AgedRows(6 * 3_600).judge(MARKET, EPOCH + 5 * HOUR)
    assert market.coins[0] is ALPHA
    row = market.coins[1]
    assert (row.id, row.market_cap_rank, row.last_updated) == ("beta", 2, EPOCH - 2 * HOUR)
    figures = OVERLAID - {"last_updated", "source"}
    assert {getattr(row, name) for name in figures} == {None}
    assert notes == ("1 rows have no figures: nobody has told their price for 6 h",)


def test_a_fresh_market_is_itself() -> None:
    market, notes = AgedRows(6 * 3_600).judge(MARKET, EPOCH)
    assert market is MARKET
    assert notes == ()


def test_an_unchanged_row_stays_the_same_object() -> None:
    """Streams tell a changed row by that."""
    aged = AgedRows(3_600)
    first, _ = aged.judge(MARKET, EPOCH)
    assert repr(aged) == "<AgedRows 1>"
    assert aged.show(MARKET).coins[1] is first.coins[1]
    second, _ = aged.judge(MARKET, EPOCH + timedelta(minutes=30))
    assert second.coins[1] is first.coins[1]
    aged.judge(replace(MARKET, coins=(ALPHA,)), EPOCH)
    assert repr(aged) == "<AgedRows 0>"


def test_before_the_first_judgement_all_is_shown() -> None:
    assert AgedRows(0.0).show(MARKET) is MARKET


@given(st.floats(0, 12), st.floats(0, 12))
def test_no_figure_is_older_than_it_may_be(age_h: float, allowed_h: float) -> None:
    market, _ = AgedRows(allowed_h * 3_600).judge(MARKET, EPOCH + age_h * HOUR)
    for shown, coin in zip(market.coins, MARKET.coins, strict=True):
        assert coin.last_updated is not None
        is_aged = EPOCH + age_h * HOUR - coin.last_updated > timedelta(seconds=allowed_h * 3_600)
        assert (shown.price is None) is is_aged


async def test_a_venue_alone_renews_its_own_coins_and_the_others_fade() -> None:
    late = EPOCH + 7 * HOUR
    listed = tickers(replace(ticker("ALP"), closed_at=late), ticker("OTHER"))
    source = UniverseSource(QueuedSource(RANKED, (listed, "binance"), at=late))
    await source.fetch(MarketQuery())
    answer = await source.fetch(MarketQuery())
    shown = {coin.id: coin.price for coin in answer.data.coins}
    assert shown == {"alpha": 120.0, "beta": None, "pegged-alpha": None}
    assert answer.warnings[-1].startswith("2 rows have no figures")
    told = source.hear([replace(ticker("ALP", 130.0), closed_at=late + HOUR)], "binance")
    assert told is not None
    assert told.coins[1] is answer.data.coins[1]
    # What is not shown is still what a venue's prices are measured by.
    listed = tickers(replace(ticker("BET", 105.0), closed_at=late))
    source._quotes = QueuedSource((listed, "binance"), at=late)
    assert (await source.fetch(MarketQuery())).data.coins[1].price == 105.0
