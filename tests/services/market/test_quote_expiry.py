"""Rows that no provider reports: they stay, and their figures expire."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backend.models.market import Market, MarketQuery
from backend.services.market.coin_book import CoinBook
from backend.services.market.notes import expired_note
from backend.services.market.universe import UniverseSource
from tests.clocks import EPOCH
from tests.services.market.test_universe import (
    ALPHA,
    BETA,
    OVERLAID,
    RANKED,
    QueuedSource,
    ticker,
    tickers,
)

HOUR = timedelta(hours=1)
MARKET = Market((ALPHA, BETA), True)
RENEWED = replace(MARKET, coins=(replace(ALPHA), BETA))  # one row was reported again


class Expiring:
    """A book whose figures expire after `max_age_h` hours."""

    def __init__(self, max_age_h: int) -> None:
        self.book, self._max_age = CoinBook(), max_age_h * HOUR

    def judge(self, market: Market, now: datetime) -> tuple[Market, tuple[str, ...]]:
        """The visible market at `now`, after a refresh that brought `market`."""
        self.book.replace(market)
        hidden = self.book.expire(now, self._max_age)
        return self.book.visible_market(), expired_note(hidden, self._max_age)


def test_a_row_that_was_not_reported_for_too_long_has_no_figures() -> None:
    aged = Expiring(6)
    aged.judge(MARKET, EPOCH)
    market, notes = aged.judge(RENEWED, EPOCH + 7 * HOUR)
    assert market.coins[0] is RENEWED.coins[0]
    row = market.coins[1]
    assert (row.id, row.market_cap_rank, row.last_updated) == ("beta", 2, BETA.last_updated)
    figures = OVERLAID - {"last_updated", "source"}
    assert {getattr(row, name) for name in figures} == {None}
    assert notes == ("1 rows have no figures: no provider has reported their price for 6 h",)


def test_a_row_that_is_reported_with_an_old_stamp_is_visible() -> None:
    """The list has coins that are no longer traded."""
    dead = replace(MARKET, coins=(ALPHA, replace(BETA, last_updated=EPOCH - 99 * HOUR)))
    market, notes = Expiring(6).judge(dead, EPOCH)
    assert market == dead
    assert notes == ()


def test_adopted_rows_were_reported_at_the_time_of_their_stamps() -> None:
    aged = Expiring(6)
    aged.book.adopt(MARKET)
    market, _ = aged.judge(RENEWED, EPOCH + 7 * HOUR)
    assert [coin.price for coin in market.coins] == [ALPHA.price, None]


def test_an_unchanged_row_stays_the_same_object() -> None:
    """Streams compare rows by identity."""
    aged = Expiring(1)
    aged.judge(MARKET, EPOCH)
    first, notes = aged.judge(MARKET, EPOCH + 2 * HOUR)
    assert notes[0].startswith("2 rows")
    assert aged.book.visible_market().coins[1] is first.coins[1]
    second, _ = aged.judge(MARKET, EPOCH + 3 * HOUR)
    assert second.coins[1] is first.coins[1]
    _, notes = aged.judge(replace(MARKET, coins=(replace(ALPHA),)), EPOCH + 3 * HOUR)
    assert notes == ()


def test_before_the_first_check_all_rows_are_visible() -> None:
    book = CoinBook()
    book.replace(MARKET)
    assert book.visible_market().coins == MARKET.coins


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), min_size=1, max_size=20))
def test_no_figure_is_older_than_it_may_be(steps: list[tuple[float, bool]]) -> None:
    aged, market, now = Expiring(6), MARKET, EPOCH
    told_at = now
    for hours, is_renewed in steps:
        now += hours * HOUR
        if is_renewed:
            market, told_at = replace(market, coins=(replace(ALPHA), BETA)), now
        shown, _ = aged.judge(market, now)
        beta = aged.book.get("beta")
        assert beta is not None
        assert beta.seen_at is not None
        first_seen = beta.seen_at
        assert (shown.coins[0].price is None) is (now - max(told_at, first_seen) > 6 * HOUR)
        assert (shown.coins[1].price is None) is (now - first_seen > 6 * HOUR)


async def test_with_a_venue_alone_the_figures_of_other_coins_expire() -> None:
    late = EPOCH + 7 * HOUR
    listed = tickers(replace(ticker("ALP"), closed_at=late), ticker("OTHER"))
    source = UniverseSource(QueuedSource(RANKED))
    await source.fetch(MarketQuery())
    source._quotes = QueuedSource((listed, "binance"), at=late)
    answer = await source.fetch(MarketQuery())
    shown = {coin.id: coin.price for coin in answer.data.coins}
    assert shown == {"alpha": 120.0, "beta": None, "pegged-alpha": None}
    assert answer.warnings[-1].startswith("2 rows have no figures")
    told = source.apply_ticks([replace(ticker("ALP", 130.0), closed_at=late + HOUR)])
    assert told is not None
    assert told.coins[1] is answer.data.coins[1]
    # What is not shown is still what a venue's prices are measured by.
    listed = tickers(replace(ticker("BET", 105.0), closed_at=late))
    source._quotes = QueuedSource((listed, "binance"), at=late)
    assert (await source.fetch(MarketQuery())).data.coins[1].price == 105.0
