"""Jumps are quarantined until a second source confirms them; providers' prices are compared."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.models.answer import Answer
from backend.models.market import Coin, Market, MarketQuery, PairTicker, Quotes, Ranking
from backend.services.market.coin_book import CoinBook, CoinRecord
from backend.services.market.outlier_filter import JUMP, Origin, OutlierFilter, Verdict
from backend.services.market.universe import UniverseSource
from backend.services.page import MOST_NAMED
from tests.clocks import EPOCH
from tests.services.market.test_universe import ALPHA, BETA, QueuedSource, coin, ticker, tickers

MINUTE = timedelta(minutes=1)


def ranking(price: float, at: datetime, *others: Any) -> tuple[Quotes, str]:
    row = replace(
        ALPHA,
        price=price,
        market_cap=price * 1_000,
        high_24h=max(price, 110.0),
        low_24h=min(price, 90.0),
        last_updated=at,
    )
    return Ranking((row, *others)), "coingecko_free"


def venue(price: float, at: datetime) -> tuple[Quotes, str]:
    return tickers(pair(price, at)), "binance"


def pair(price: float, at: datetime) -> PairTicker:
    return replace(ticker("ALP", price), closed_at=at)


def record_of(known: Coin) -> CoinRecord:
    return CoinRecord(known, known, 0)


async def prices(*answers: tuple[Quotes, str]) -> tuple[list[Any], Answer[Market], UniverseSource]:
    """Alpha's price and its source after each answer, the last answer, and its source."""
    source = UniverseSource(QueuedSource(*answers))
    seen = []
    for _ in answers:
        answer = await source.fetch(MarketQuery())
        alpha = next(each for each in answer.data.coins if each.symbol == "ALP")
        seen.append((alpha.price, alpha.source))
    return seen, answer, source


async def test_a_jump_is_quarantined_and_named() -> None:
    seen, answer, _ = await prices(ranking(100.0, EPOCH), ranking(151.0, EPOCH + MINUTE))
    assert seen == [(100.0, "coingecko_free")] * 2
    assert answer.data.coins[0].last_updated == EPOCH
    assert answer.warnings[-1] == (
        "the price of alpha at coingecko_free is off by +51% and is held back "
        "until a second provider confirms it"
    )


@pytest.mark.parametrize("price", [50.0, 150.0])
async def test_a_change_by_half_is_no_jump(price: float) -> None:
    seen, answer, _ = await prices(ranking(100.0, EPOCH), ranking(price, EPOCH + MINUTE))
    assert seen[-1] == (price, "coingecko_free")
    assert answer.warnings == ("of the provider",)


async def test_a_lists_jump_enters_when_the_venue_confirms_it() -> None:
    seen, answer, _ = await prices(
        ranking(100.0, EPOCH), ranking(300.0, EPOCH + MINUTE), venue(310.0, EPOCH + 2 * MINUTE)
    )
    assert seen[1:] == [(100.0, "coingecko_free"), (310.0, "binance")]
    assert not any("held back" in warning for warning in answer.warnings)


async def test_a_venues_jump_enters_when_the_list_confirms_it() -> None:
    seen, _, _ = await prices(
        ranking(100.0, EPOCH), venue(30.0, EPOCH + MINUTE), ranking(31.0, EPOCH + 2 * MINUTE)
    )
    assert seen[1:] == [(100.0, "coingecko_free"), (31.0, "coingecko_free")]


@pytest.mark.parametrize(
    ("second", "verdict"), [("elsewhere", Verdict.CONFIRMED), ("binance", Verdict.QUARANTINED)]
)
def test_a_venues_jump_is_confirmed_by_another_venue(second: str, verdict: Verdict) -> None:
    outliers, record = OutlierFilter(), record_of(ALPHA)
    first = outliers.judge(record, 300.0, EPOCH, "binance", Origin.KNOWN_PAIR)
    assert first is Verdict.QUARANTINED
    again = outliers.judge(record, 301.0, EPOCH + MINUTE, second, Origin.KNOWN_PAIR)
    assert again is verdict


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        (Origin.NEW_PAIR, Origin.NEW_PAIR, Verdict.QUARANTINED),
        (Origin.KNOWN_PAIR, Origin.NEW_PAIR, Verdict.QUARANTINED),
        (Origin.NEW_PAIR, Origin.KNOWN_PAIR, Verdict.QUARANTINED),
        (Origin.NEW_PAIR, Origin.LIST, Verdict.CONFIRMED),
        (Origin.LIST, Origin.NEW_PAIR, Verdict.CONFIRMED),
    ],
)
def test_a_pair_that_may_be_a_namesakes_confirms_no_venue(
    first: Origin, second: Origin, verdict: Verdict
) -> None:
    outliers, record = OutlierFilter(), record_of(ALPHA)
    outliers.judge(record, 300.0, EPOCH, "binance", first)
    assert outliers.judge(record, 301.0, EPOCH + MINUTE, "elsewhere", second) is verdict


def test_a_new_pair_takes_no_other_prices_place() -> None:
    outliers, record = OutlierFilter(), record_of(ALPHA)
    outliers.judge(record, 300.0, EPOCH, "coingecko_free", Origin.LIST)
    outliers.judge(record, 5_000.0, EPOCH + MINUTE, "okx", Origin.NEW_PAIR)
    confirmed = outliers.judge(record, 301.0, EPOCH + MINUTE, "binance", Origin.KNOWN_PAIR)
    assert confirmed is Verdict.CONFIRMED


async def test_another_price_is_no_confirmation() -> None:
    seen, _, _ = await prices(
        ranking(100.0, EPOCH), ranking(300.0, EPOCH + MINUTE), venue(340.0, EPOCH + 2 * MINUTE)
    )
    assert seen[-1] == (100.0, "coingecko_free")


async def test_the_same_provider_again_is_no_confirmation() -> None:
    told = [ranking(300.0, EPOCH + n * MINUTE) for n in range(1, 50)]
    seen, _, _ = await prices(ranking(100.0, EPOCH), *told)
    assert {price for price, _ in seen} == {100.0}


async def test_the_other_plan_of_the_same_vendor_is_no_confirmation() -> None:
    quotes, _ = ranking(300.0, EPOCH + 2 * MINUTE)
    seen, _, _ = await prices(
        ranking(100.0, EPOCH), ranking(300.0, EPOCH + MINUTE), (quotes, "coingecko_pro")
    )
    assert seen[-1][0] == 100.0


async def test_an_old_report_is_no_confirmation() -> None:
    seen, _, _ = await prices(
        ranking(100.0, EPOCH), ranking(300.0, EPOCH + MINUTE), venue(300.0, EPOCH + 12 * MINUTE)
    )
    assert seen[-1][0] == 100.0


async def test_a_return_to_the_known_price_is_accepted_at_once() -> None:
    seen, answer, _ = await prices(
        ranking(100.0, EPOCH), ranking(300.0, EPOCH + MINUTE), ranking(101.0, EPOCH + 2 * MINUTE)
    )
    assert seen[-1][0] == 101.0
    assert answer.warnings == ("of the provider",)


async def test_a_known_price_older_than_an_hour_proves_no_jump() -> None:
    """Else a coin that only one provider knows would never move again after an outage."""
    seen, _, _ = await prices(ranking(100.0, EPOCH), ranking(300.0, EPOCH + timedelta(minutes=61)))
    assert seen[-1][0] == 300.0


@pytest.mark.parametrize("price", [1_001.0, 9.9])
async def test_an_absurd_price_is_accepted_only_after_the_old_one_has_expired(
    price: float,
) -> None:
    early = ranking(price, EPOCH + timedelta(hours=6))
    late = ranking(price, EPOCH + timedelta(hours=6, minutes=1))
    seen, _, _ = await prices(ranking(100.0, EPOCH), early, late)
    assert [one for one, _ in seen] == [100.0, 100.0, price]


async def test_a_row_with_a_quarantined_price_gets_its_new_rank() -> None:
    quotes, name = ranking(300.0, EPOCH + MINUTE, replace(BETA, market_cap_rank=1))
    moved = Ranking((replace(quotes.coins[0], market_cap_rank=2), *quotes.coins[1:]))  # type: ignore[union-attr] # a ranking
    _, answer, _ = await prices(ranking(100.0, EPOCH), (moved, name))
    assert [each.id for each in answer.data.coins] == ["beta", "alpha"]
    assert answer.data.coins[1].price == 100.0


async def test_without_a_universe_a_venues_jump_is_quarantined_too() -> None:
    seen, answer, _ = await prices(venue(100.0, EPOCH), venue(1_000.0, EPOCH + MINUTE))
    assert seen[-1] == (100.0, "binance")
    assert "ALP" in answer.warnings[-1]


async def test_a_tick_that_jumps_is_quarantined() -> None:
    _, _, source = await prices(ranking(100.0, EPOCH), venue(101.0, EPOCH + MINUTE))
    assert source.apply_ticks([pair(300.0, EPOCH + 2 * MINUTE)]) is None


async def test_of_many_quarantined_prices_a_few_are_named() -> None:
    rows = [coin(f"c{n}", f"C{n}", n) for n in range(1, 10)]
    jumped = [
        replace(row, price=160.0, market_cap=160_000.0, last_updated=EPOCH + MINUTE) for row in rows
    ]
    _, answer, _ = await prices(
        ranking(100.0, EPOCH, *rows), ranking(100.0, EPOCH + MINUTE, *jumped)
    )
    held = [warning for warning in answer.warnings if "held back" in warning]
    assert len(held) == MOST_NAMED + 1
    assert held[-1] == "and 4 more prices are held back"


async def test_prices_of_the_same_time_are_compared() -> None:
    _, _, source = await prices(ranking(100.0, EPOCH), venue(102.0, EPOCH + MINUTE))
    spread = source.spread
    assert spread is not None
    assert (spread.coins, spread.largest_of, spread.largest_percentage) == (1, "alpha", 2.0)
    assert set(spread.providers) == {"coingecko_free", "binance"}
    assert spread.compared_at == EPOCH + MINUTE


async def test_prices_of_different_times_are_not_compared() -> None:
    _, _, source = await prices(ranking(100.0, EPOCH), venue(102.0, EPOCH + 4 * MINUTE))
    assert source.spread is None


async def test_one_provider_is_not_compared_with_itself() -> None:
    _, _, source = await prices(ranking(100.0, EPOCH), ranking(102.0, EPOCH + MINUTE))
    assert source.spread is None


@given(
    st.lists(st.tuples(st.floats(0.01, 10_000), st.booleans(), st.integers(1, 300)), max_size=30)
)
def test_no_price_jumps_without_a_confirmation_or_an_hour(
    told: list[tuple[float, bool, int]],
) -> None:
    outliers, record, at = OutlierFilter(), record_of(replace(ALPHA, last_updated=EPOCH)), EPOCH
    words: list[tuple[float, datetime, bool]] = []
    for price, by_venue, after_s in told:
        at += timedelta(seconds=after_s)
        known = record.coin
        verdict = outliers.judge(
            record, price, at, "x", Origin.KNOWN_PAIR if by_venue else Origin.LIST
        )
        assert known.price is not None
        assert known.last_updated is not None
        has_jumped = abs(price / known.price - 1) > JUMP
        is_measurable = at - known.last_updated <= timedelta(hours=1)
        second = any(
            abs(price / other - 1) <= 0.1 and venue is not by_venue and at - when <= 10 * MINUTE
            for other, when, venue in words
        )
        if has_jumped and is_measurable and not second:
            assert verdict is Verdict.QUARANTINED
        if not has_jumped:
            assert verdict is Verdict.STEADY
        words.append((price, at, by_venue))
        if verdict is not Verdict.QUARANTINED:
            record.coin = replace(
                known,
                price=price,
                market_cap=None,
                high_24h=None,
                low_24h=None,
                last_updated=at,
            )


async def test_pending_prices_and_notes_are_dropped_with_their_coins() -> None:
    """250 other coins at each refresh, each of which jumps before it leaves."""
    book, outliers = CoinBook(), OutlierFilter()
    for number in range(400):
        rows = tuple(coin(f"c{number}-{n}", f"C{n}", n) for n in range(1, 251))
        book.replace(Market(rows, True))
        outliers.forget_others(book)
        for record in book.records:
            outliers.judge(record, 900.0, EPOCH, "coingecko_free", Origin.LIST)
        assert len(book.records) == len(book._by_key) == len(outliers._notes) == 250
        assert all(record.pending for record in book.records)
    book.replace(Market((ALPHA,), True))
    outliers.forget_others(book)
    assert ([record.pending for record in book.records], outliers._notes) == ([None], {})


@pytest.mark.parametrize("price", [1e-29, 9e29])
def test_prices_of_any_size_can_be_judged(price: float) -> None:
    known = replace(ALPHA, price=1e-29, market_cap=None, high_24h=None, low_24h=None)
    verdict = OutlierFilter().judge(record_of(known), price, EPOCH, "binance", Origin.KNOWN_PAIR)
    assert verdict is (Verdict.STEADY if price == 1e-29 else Verdict.QUARANTINED)


def test_the_repr_counts_the_notes() -> None:
    outliers = OutlierFilter()
    outliers.judge(record_of(ALPHA), 300.0, EPOCH, "binance", Origin.KNOWN_PAIR)
    assert repr(outliers) == "<OutlierFilter 1 notes>"
