"""Changes over 1 h and 7 d: only ranked lists have them, venues' ticks leave them behind."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from backend.categories import MARKET
from backend.models.answer import Answer
from backend.models.market import Coin, MarketQuery, PairTicker, PairTickers, Quotes, Ranking
from backend.services.market.overlay import LISTED_1H_FOR, LISTED_7D_FOR
from backend.services.market.universe import UniverseSource
from tests.clocks import EPOCH
from tests.services.market.test_universe import coin, ticker

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def listed(at: datetime = EPOCH, hour: float | None = 0.5, week: float | None = -3.0) -> Coin:
    changes = {"price_change_percentage_1h": hour, "price_change_percentage_7d": week}
    return coin("alpha", "ALP", 1, last_updated=at, **changes)


def tick(at: datetime, price: float = 101.0) -> PairTicker:
    return replace(ticker("ALP", price), closed_at=at)


class Quoted:
    """The source of what the next refresh brings."""

    def __init__(self) -> None:
        self.next: tuple[Quotes, str, datetime] = (Ranking((listed(),)), "coingecko_free", EPOCH)

    async def fetch(self, _query: object) -> Answer[Quotes]:
        data, source, at = self.next
        return Answer(data, source, at, 1.0)


class Stand:
    def __init__(self) -> None:
        self.quoted = Quoted()
        self.universe = UniverseSource(self.quoted)

    async def refresh(self, data: Quotes, source: str, at: datetime) -> Coin:
        self.quoted.next = data, source, at
        return (await self.universe.fetch(MarketQuery())).data.coins[0]

    async def list(self, row: Coin) -> Coin:
        assert row.last_updated
        return await self.refresh(Ranking((row,)), "coingecko_free", row.last_updated)

    async def venue(self, *tickers: PairTicker) -> Coin:
        return await self.refresh(PairTickers(tickers), "binance", tickers[0].closed_at)

    def push(self, *tickers: PairTicker) -> Coin:
        market = self.universe.apply_ticks(tickers)
        assert market is not None
        return market.coins[0]


@pytest.fixture
async def stand() -> Stand:
    made = Stand()
    await made.list(listed())
    await made.venue(tick(EPOCH + timedelta(seconds=1)))
    return made


def changes(row: Coin) -> tuple[float | None, float | None]:
    return row.price_change_percentage_1h, row.price_change_percentage_7d


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (MINUTE, (0.5, -3.0)),
        (LISTED_1H_FOR, (0.5, -3.0)),
        (LISTED_1H_FOR + MINUTE, (None, -3.0)),
        (LISTED_7D_FOR, (None, -3.0)),
        (LISTED_7D_FOR + MINUTE, (None, None)),
    ],
)
async def test_ticks_clear_them_once_their_list_is_old(
    stand: Stand, age: timedelta, expected: tuple[float | None, float | None]
) -> None:
    row = stand.push(tick(EPOCH + age))
    assert changes(row) == expected
    assert row.price == 101.0


async def test_they_go_while_every_tick_is_fresh(stand: Stand) -> None:
    """Each tick alone is a second old: the age of the list counts."""
    gone = None
    for second in range(2, 900, 2):
        row = stand.push(tick(EPOCH + timedelta(seconds=second), 101 + second / 1_000))
        if changes(row)[0] is None:
            gone = second
            break
    assert gone == LISTED_1H_FOR.total_seconds() + 2


async def test_the_list_of_a_venue_clears_them_too(stand: Stand) -> None:
    row = await stand.venue(tick(EPOCH + LISTED_1H_FOR + MINUTE))
    assert changes(row) == (None, -3.0)


async def test_a_row_without_ticks_keeps_them_beside_its_old_price() -> None:
    stand = Stand()
    await stand.list(listed())
    other = replace(tick(EPOCH + HOUR), instrument=ticker("OTH").instrument)
    row = await stand.venue(other)
    assert (changes(row), row.last_updated) == ((0.5, -3.0), EPOCH)


async def test_a_new_list_brings_new_ones(stand: Stand) -> None:
    stand.push(tick(EPOCH + 8 * HOUR))
    at = EPOCH + 8 * HOUR + MINUTE
    assert changes(await stand.list(listed(at, 0.7, -2.0))) == (0.7, -2.0)
    assert changes(stand.push(tick(at + MINUTE))) == (0.7, -2.0)
    assert changes(stand.push(tick(at + LISTED_1H_FOR + MINUTE))) == (None, -2.0)


async def test_a_list_that_is_older_than_the_ticks_is_judged_by_its_own_age(stand: Stand) -> None:
    """The list comes from a cache of its vendor: its row is older than what was pushed."""
    stand.push(tick(EPOCH + 30 * MINUTE))
    row = await stand.list(listed(EPOCH + 10 * MINUTE, 0.9, -1.0))
    assert (row.source, row.last_updated) == ("binance", EPOCH + 30 * MINUTE)
    assert changes(row) == (None, -1.0)


async def test_the_same_old_row_again_is_no_newer_list(stand: Stand) -> None:
    assert changes(stand.push(tick(EPOCH + 9 * MINUTE))) == (0.5, -3.0)
    await stand.list(listed(EPOCH))
    assert changes(stand.push(tick(EPOCH + 12 * MINUTE))) == (None, -3.0)


async def test_a_quarantined_row_does_not_renew_them(stand: Stand) -> None:
    leapt = replace(
        listed(EPOCH + 9 * MINUTE, 40.0, 40.0), price=180.0, high_24h=None, market_cap=None
    )
    row = await stand.list(leapt)
    assert (row.price, changes(row)) == (101.0, (0.5, -3.0))
    assert changes(stand.push(tick(EPOCH + 11 * MINUTE))) == (None, -3.0)


async def test_a_row_without_a_stamp_loses_them_with_the_first_tick() -> None:
    stand = Stand()
    await stand.refresh(Ranking((replace(listed(), last_updated=None),)), "coingecko_free", EPOCH)
    assert changes(await stand.venue(tick(EPOCH + MINUTE))) == (None, None)


async def test_a_restart_keeps_them_for_ten_minutes_more_at_most(stand: Stand) -> None:
    at = EPOCH + 5 * MINUTE
    stand.push(tick(at))
    stand.quoted.next = PairTickers((tick(at),)), "binance", at
    codec = MARKET.retention.codec
    saved = codec.decoded(codec.encoded(MarketQuery(), await stand.universe.fetch(MarketQuery())))
    assert saved is not None
    again = Stand()
    again.universe.adopt(saved.answer)
    assert changes(again.push(tick(at + LISTED_1H_FOR))) == (0.5, -3.0)
    assert changes(again.push(tick(at + LISTED_1H_FOR + MINUTE))) == (None, -3.0)


async def test_answers_of_another_process_do_not_renew_them(stand: Stand) -> None:
    """A follower adopts the market of the leader each few seconds."""
    leader, seen = Stand(), []
    await leader.list(listed())
    await leader.venue(tick(EPOCH + timedelta(seconds=1)))
    for minute in range(1, 16):
        at = EPOCH + minute * MINUTE
        market = leader.universe.apply_ticks([tick(at, 100 + minute / 10)])
        assert market
        stand.universe.adopt(Answer(market, "binance", at, 1.0))
        later = tick(at + timedelta(seconds=20), 100.05 + minute / 10)
        seen.append(changes(stand.push(later))[0])
    assert seen == [0.5] * 9 + [None] * 6
