"""Readers' filters over the store, and the small services beside it."""

from datetime import timedelta
from typing import Any

import pytest

from backend.models.answer import Answer, Query
from backend.models.gas import GasFees
from backend.models.news import Article, News
from backend.models.sentiment import FearGreed, FearGreedSeries
from backend.services.gas import GasService
from backend.services.news.view import NewsView
from backend.services.sentiment import newest_days
from tests.clocks import EPOCH


class Never:
    async def fetch(self, _query: Query[Any]) -> Answer[Any]:
        raise AssertionError("filters ask nobody")


def article(number: int, **changes: Any) -> Article:
    given: dict[str, Any] = {
        "id": f"id{number}",
        "title": f"Story {number}",
        "url": f"https://a.example/{number}",
        "source": "CoinDesk",
        "provider": "rss_coindesk",
        "published_at": EPOCH - timedelta(hours=number),
        "summary": None,
        "image": None,
        "symbols": ("BTC",),
        "sentiment": "neutral",
        "sentiment_score": 0.0,
        "sentiment_method": "lexicon",
    }
    return Article(**(given | changes))


NEWS = News(
    (
        article(0),
        article(1, symbols=("ETH",), sentiment="positive"),
        article(2, source="Elsewhere", provider="newsapi", symbols=()),
        article(3, sentiment="negative"),
    )
)


@pytest.mark.parametrize(
    ("view", "numbers", "total"),
    [
        (NewsView(), [0, 1, 2, 3], 4),
        (NewsView(limit=2), [0, 2], 4),
        (NewsView(limit=2, source="coindesk"), [0, 1], 3),
        (NewsView(symbols=("BTC",)), [0, 3], 2),
        (NewsView(symbols=("ETH", "BTC")), [0, 1, 3], 3),
        (NewsView(source="coindesk"), [0, 1, 3], 3),
        (NewsView(source="newsapi"), [2], 1),
        (NewsView(sentiment="positive"), [1], 1),
        (NewsView(since=EPOCH - timedelta(hours=1)), [0, 1], 2),
        (NewsView(symbols=("BTC",), sentiment="negative"), [3], 1),
        (NewsView(source="nobody"), [], 0),
    ],
)
def test_filters_select_articles_of_the_store(
    view: NewsView, numbers: list[int], total: int
) -> None:
    page = view.pick(NEWS)
    assert [one.id for one in page.rows] == [f"id{number}" for number in numbers]
    assert page.total == total


def day(back: int) -> FearGreed:
    return FearGreed(
        value=50,
        classification="Neutral",
        timestamp=EPOCH - timedelta(days=back),
        index="alternative_me",
        attribution="by somebody",
    )


@pytest.mark.parametrize(
    ("days", "backs"), [(1, [0]), (3, [0, 1]), (4, [0, 1, 3]), (365, [0, 1, 3, 9])]
)
def test_days_are_calendar_days_and_missing_ones_stay_missing(days: int, backs: list[int]) -> None:
    series = FearGreedSeries(tuple(day(back) for back in (0, 1, 3, 9)))
    page = newest_days(Answer(series, "a", EPOCH, 1.0), days)
    assert page.rows == tuple(day(back) for back in backs)
    assert page.warnings == ()


def test_a_late_index_has_a_warning() -> None:
    answer = Answer(FearGreedSeries((day(2),)), "a", EPOCH, 1.0)
    page = newest_days(answer, 1)
    assert page.warnings == ("the index has not changed for 48 hours",)


def warnings(series: FearGreedSeries) -> tuple[str, ...]:
    return newest_days(Answer(series, "a", EPOCH, 1.0), 1).warnings


def test_a_refused_row_is_counted_and_named() -> None:
    told = warnings(FearGreedSeries((day(0),), refused=("number 3",)))
    assert told == ("1 row was refused as malformed: number 3",)


def test_of_many_refused_rows_the_first_five_are_named() -> None:
    names = tuple(f"number {number}" for number in range(1, 8))
    assert warnings(FearGreedSeries((day(0),), refused=names)) == (
        "7 rows were refused as malformed: number 1, number 2, number 3, number 4, number 5"
        " and 2 more",
    )


def test_with_refused_rows_no_warning_claims_that_the_index_has_not_changed() -> None:
    assert warnings(FearGreedSeries((day(2),), refused=("1795305600",))) == (
        "1 row was refused as malformed: 1795305600",
        "the newest day that can be read is 48 hours old",
    )


@pytest.mark.parametrize(
    "days",
    [(), (day(1), day(0)), (day(0), day(0))],
)
def test_an_index_whose_days_do_not_descend_is_refused(days: tuple[FearGreed, ...]) -> None:
    with pytest.raises(ValueError, match="day"):
        FearGreedSeries(days)


def fees(slow: float, average: float, fast: float) -> GasFees:
    return GasFees(
        chain="ethereum",
        unit="gwei",
        slow=slow,
        average=average,
        fast=fast,
        base_fee=None,
        block=1,
        method="oracle",
    )


def test_gas_is_one_row() -> None:
    answer = fees(0.1, 0.1, 0.2)
    page = GasService(Never()).page(answer)
    assert (page.rows, page.total) == (answer, 1)


@pytest.mark.parametrize(
    "prices",
    [
        (0, 1, 2),
        (-1, 1, 2),
        (2, 1, 3),
        (1, 3, 2),
        (float("nan"), 1, 2),
        (1, 2, float("inf")),
        (1, 2, 5e9),
    ],
)
def test_gas_prices_out_of_order_or_of_another_unit_are_refused(
    prices: tuple[float, float, float],
) -> None:
    with pytest.raises(ValueError, match="GasFees"):
        fees(*prices)
