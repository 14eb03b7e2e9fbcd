"""The share of a page that one publisher may have."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.models.news import Article, News
from backend.services.news.articles import age_order
from backend.services.news.view import MOST_ARTICLES, SHARED_SPAN, NewsView
from tests.clocks import EPOCH
from tests.services.news.test_service import article

PUBLISHERS = ("CoinDesk", "Decrypt", "Protos", "The Defiant")


def news(*published: tuple[str, float]) -> News:
    """Articles by publisher and hours of age, newest first."""
    articles = [
        article(number, source=publisher, published_at=EPOCH - timedelta(hours=hours))
        for number, (publisher, hours) in enumerate(published)
    ]
    return News(tuple(sorted(articles, key=age_order, reverse=True)))


def sources(view: NewsView, told: News) -> list[str]:
    return [one.source for one in view.pick(told).rows]


def ages(told: News, view: NewsView) -> list[float]:
    rows = view.pick(told).rows
    return [(EPOCH - one.published_at) / timedelta(hours=1) for one in rows]


BUSY = [("Busy", 0.1 * number) for number in range(1, 31)]


def test_a_busy_publisher_has_a_third_of_a_page() -> None:
    told = news(*BUSY, *[("A", 5.0 + n) for n in range(5)], *[("B", 6.5 + n) for n in range(5)])
    found = sources(NewsView(limit=9), told)
    assert Counter(found) == {"Busy": 3, "A": 3, "B": 3}
    assert NewsView(limit=9).pick(told).total == 40


def test_its_newest_articles_are_those_that_stay() -> None:
    told = news(*BUSY, *[("A", 5.0 + n) for n in range(5)], *[("B", 6.5 + n) for n in range(5)])
    assert ages(told, NewsView(limit=9))[:3] == pytest.approx([0.1, 0.2, 0.3])


def test_the_rest_of_a_page_goes_on_by_time() -> None:
    told = news(*BUSY, ("A", 10.0))
    found = sources(NewsView(limit=9), told)
    assert found == ["Busy"] * 8 + ["A"]
    assert ages(told, NewsView(limit=9))[7] == pytest.approx(0.8)


def test_articles_of_another_day_displace_none_of_today() -> None:
    told = news(*BUSY, *[("A", 24.2 + n) for n in range(9)])
    assert sources(NewsView(limit=9), told) == ["Busy"] * 9


def test_the_filter_by_source_lifts_the_share() -> None:
    told = news(*BUSY, *[("A", 5.0 + n) for n in range(5)])
    assert sources(NewsView(limit=9, source="busy"), told) == ["Busy"] * 9


def test_other_filters_do_not() -> None:
    told = news(*BUSY, *[("A", 5.0 + n) for n in range(9)])
    view = NewsView(limit=6, symbols=("BTC",), since=EPOCH - timedelta(hours=8))
    assert Counter(sources(view, told)) == {"Busy": 4, "A": 2}


def test_spellings_of_one_publisher_share_its_places() -> None:
    told = news(("BUSY", 1), ("Busy", 2), ("busy", 3), ("A", 4), ("B", 5))
    assert sources(NewsView(limit=3), told) == ["BUSY", "A", "B"]


def test_a_page_of_one_is_the_newest_article() -> None:
    assert sources(NewsView(limit=1), news(*BUSY, ("A", 10.0))) == ["Busy"]


@st.composite
def stores(draw: st.DrawFn) -> News:
    """Up to 90 articles within 72 hours, most of them of the first publishers."""
    weights = st.sampled_from([PUBLISHERS[0]] * 5 + [PUBLISHERS[1]] * 2 + list(PUBLISHERS[2:]))
    rows = st.tuples(weights, st.floats(0, 72, allow_nan=False))
    return news(*draw(st.lists(rows, max_size=90)))


def within_span(rows: tuple[Article, ...], newest: Article) -> list[Article]:
    return [one for one in rows if one.published_at >= newest.published_at - SHARED_SPAN]


@given(told=stores(), limit=st.integers(1, 60))
def test_every_page_is_full_newest_first_and_shared(told: News, limit: int) -> None:
    page = NewsView(limit=limit).pick(told)
    rows, share = page.rows, max(1, limit // 3)
    assert page.total == len(told.articles)
    assert len(rows) == min(limit, len(told.articles))  # never fewer than there are
    assert len({one.id for one in rows}) == len(rows)
    assert list(rows) == sorted(rows, key=age_order, reverse=True)
    counts = Counter(one.source for one in rows)
    left_out = [one for one in told.articles if one not in rows]
    for publisher, count in counts.items():
        # Of each publisher the newest ones are on the page.
        own = [one for one in told.articles if one.source == publisher]
        assert [one for one in rows if one.source == publisher] == own[:count]
        if count > share:  # no other publisher below its share lacks an article of the last day
            waiting = within_span(tuple(left_out), told.articles[0])
            assert all(counts[one.source] >= share for one in waiting)


@given(told=stores())
def test_a_page_with_room_for_all_articles_has_all_of_them(told: News) -> None:
    assert NewsView(limit=MOST_ARTICLES).pick(told).rows == told.articles
