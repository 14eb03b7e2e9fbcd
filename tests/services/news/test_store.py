"""The rolling store: merged, deduplicated, bounded, never emptied by one provider's failure."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from backend.errors import AllProvidersFailed
from backend.models.answer import Answer, Attempt
from backend.models.market import Market
from backend.models.news import Article, News, NewsQuery, Report, Reports, ReportsQuery
from backend.providers.vendors import rss
from backend.services.market.symbols import CoinDirectory, SymbolIndex
from backend.services.news.store import MOST_ARTICLES, NewsStore
from tests.clocks import EPOCH, ManualClock

MINUTE = timedelta(minutes=1)


def report(title: str = "Bitcoin soars", **changes: Any) -> Report:
    given: dict[str, Any] = {
        "title": title,
        "url": f"https://a.example/{title.replace(' ', '-').lower()}",
        "source": "Publisher",
        "published_at": EPOCH - timedelta(hours=1),
    }
    return Report(**(given | changes))


@dataclass
class Wire:
    """Stands for the fan-out: each fetch gives the next of what was queued."""

    queued: list[dict[str, list[Report]]] = field(default_factory=list)
    refused: int = 0
    warnings: tuple[str, ...] = ()

    async def fetch(self, _query: ReportsQuery) -> Answer[tuple[Answer[Reports], ...]]:
        if not self.queued:
            raise AllProvidersFailed("down")
        brought = self.queued.pop(0)
        parts = tuple(
            Answer(Reports(tuple(reports), self.refused, self.warnings), name, EPOCH, 5.0)
            for name, reports in brought.items()
        )
        tried = tuple(Attempt(name, "ok", 5.0) for name in brought)
        return Answer(parts, tuple(brought), EPOCH, 5.0, tried)


class NoMarket(CoinDirectory):
    def __init__(self) -> None:
        """Without a source."""

    async def latest(self) -> Answer[Market]:
        raise AllProvidersFailed("no market either")

    def index(self, market: Market) -> SymbolIndex:
        raise AssertionError("there is no market")


class SilentMarket(NoMarket):
    async def latest(self) -> Answer[Market]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


def titles_of(articles: Iterable[Article]) -> set[str]:
    return {one.title for one in articles}


async def fetched(brought: dict[str, list[Report]]) -> Answer[News]:
    return await NewsStore(Wire([brought]), NoMarket(), clock=ManualClock()).fetch(NewsQuery())


async def stored(*brought: dict[str, list[Report]]) -> tuple[Article, ...]:
    """The store's articles after each of these refreshes."""
    store = NewsStore(Wire(list(brought)), NoMarket(), clock=ManualClock())
    for _ in brought:
        answer = await store.fetch(NewsQuery())
    return answer.data.articles


async def test_articles_of_all_providers_come_newest_first_with_their_provenance() -> None:
    old = report("Older", published_at=EPOCH - timedelta(hours=5))
    wire = Wire([{"one": [old], "two": [report()]}])
    answer = await NewsStore(wire, NoMarket(), clock=ManualClock()).fetch(NewsQuery())
    assert [(one.title, one.provider) for one in answer.data.articles] == [
        ("Bitcoin soars", "two"),
        ("Older", "one"),
    ]
    assert answer.source == ("one", "two")
    assert [attempt.provider for attempt in answer.tried] == ["one", "two"]


async def test_a_refresh_adds_to_the_articles_of_an_earlier_run() -> None:
    kept = await stored({"one": [report("Kept"), report("Told again")]})
    wire = Wire([{"one": [report("New"), report("Told again")]}])
    store = NewsStore(wire, NoMarket(), clock=ManualClock())
    store.adopt(Answer(News(kept), ("one",), EPOCH, 1.0))
    answer = await store.fetch(NewsQuery())
    assert sorted(one.title for one in answer.data.articles) == ["Kept", "New", "Told again"]


async def test_adopting_the_same_answer_again_changes_nothing() -> None:
    store = NewsStore(Wire([{"one": [report()]}]), NoMarket(), clock=ManualClock())
    answer = await store.fetch(NewsQuery())
    other = NewsStore(
        Wire([{"two": [report("New", url="https://b.example/new")]}]),
        NoMarket(),
        clock=ManualClock(),
    )
    for _ in range(2):
        other.adopt(answer)
    merged = await other.fetch(NewsQuery())
    assert {one.title for one in merged.data.articles} == {"Bitcoin soars", "New"}
    assert set(merged.source) == {"one", "two"}


async def test_tracking_parameters_make_no_second_article() -> None:
    tracked = report("Other words", url="https://www.a.example/bitcoin-soars/?utm_source=x")
    (article,) = await stored({"one": [report()], "two": [tracked]})
    assert (article.provider, article.url) == ("one", "https://a.example/bitcoin-soars")


async def test_one_title_at_two_addresses_is_one_story() -> None:
    copy = report("BITCOIN, soars!", url="https://b.example/copy", source="Another paper")
    (article,) = await stored({"one": [report()]}, {"two": [copy]})
    assert article.title == "Bitcoin soars"


async def test_a_second_provider_completes_the_article_of_the_first() -> None:
    copy = report(
        summary="More <b>words</b>",
        image="https://b.example/i.png",
        symbols=("BTC",),
        votes_for=9,
        votes_against=1,
    )
    (article,) = await stored({"one": [report()], "two": [copy]})
    assert (article.provider, article.summary) == ("one", "More words")
    assert (article.image, article.symbols) == ("https://b.example/i.png", ("BTC",))
    assert (article.sentiment_method, article.sentiment_score) == ("votes", 0.8)


async def test_a_silent_edit_by_the_same_provider_replaces_the_text_and_keeps_the_id() -> None:
    first = await stored({"one": [report()]})
    edited = report("Bitcoin soars, then falls", url="https://a.example/bitcoin-soars")
    (article,) = await stored({"one": [report()]}, {"one": [edited]})
    assert (article.id, article.title) == (first[0].id, "Bitcoin soars, then falls")


async def test_a_press_release_in_every_feed_is_one_article() -> None:
    brought = {
        name: [
            report(
                title,
                url=f"https://{name}.example/press-release/{place}/",
                source=publisher,
                published_at=EPOCH - place * timedelta(minutes=40),
            )
        ]
        for place, (name, (publisher, _)) in enumerate(rss.FEEDS.items(), start=1)
        for title in ["Coin’s Network – raises $5M" if place % 2 else "COIN'S NETWORK: raises $5M!"]
    }
    (article,) = await stored(brought)
    assert (article.provider, article.source) == ("rss_coindesk", "CoinDesk")


async def test_a_column_with_one_title_each_day_is_another_story_each_day() -> None:
    yesterday = report(
        "What happened today",
        url="https://a.example/1",
        published_at=EPOCH - timedelta(hours=25),
    )
    today = report("What happened today", url="https://a.example/2")
    articles = await stored({"one": [yesterday]}, {"one": [yesterday, today]})
    assert [one.url for one in articles] == ["https://a.example/2", "https://a.example/1"]


async def test_a_copy_at_another_publisher_does_not_change_the_source_and_address() -> None:
    first = report(url="https://first.example/1", source="First")
    copy = report(url="https://second.example/1", source="Second")
    (article,) = await stored({"newsapi": [first, copy]})
    assert (article.source, article.url) == ("First", "https://first.example/1")


async def test_titles_that_differ_by_a_sign_are_two_stories() -> None:
    up = report("Bitcoin +5% today", url="https://a.example/up")
    down = report("Bitcoin -5% today", url="https://a.example/down")
    assert len(await stored({"one": [up, down]})) == 2


async def test_votes_and_tags_outlive_an_edit_by_the_first_provider() -> None:
    voted = report(votes_for=9, votes_against=1, symbols=("BTC",))
    (article,) = await stored({"one": [report()]}, {"two": [voted]}, {"one": [report()]})
    assert (article.sentiment_method, article.symbols) == ("votes", ("BTC",))


async def test_a_malformed_row_is_counted_and_affects_no_other_row() -> None:
    grown = report("Grows beyond its bound", summary="x", url="https://a.example/x", source="S")
    hollow = report("<b></b><i></i>", url="https://a.example/hollow")
    answer = await NewsStore(
        Wire([{"one": [hollow, grown]}]), NoMarket(), clock=ManualClock()
    ).fetch(NewsQuery())
    assert [one.title for one in answer.data.articles] == ["Grows beyond its bound"]
    assert answer.warnings == ("one: 1 rows were refused as implausible",)


@pytest.mark.looptime
async def test_news_does_not_wait_for_a_silent_market() -> None:
    store = NewsStore(Wire([{"one": [report()]}]), SilentMarket(), clock=ManualClock())
    answer = await store.fetch(NewsQuery())
    assert len(answer.data.articles) == 1
    assert asyncio.get_running_loop().time() == pytest.approx(0.5, abs=0.01)


async def test_the_sources_are_those_of_the_articles_in_store() -> None:
    wire = Wire([{"one": [report()]}, {"two": [report("New")]}])
    store = NewsStore(wire, NoMarket(), clock=ManualClock())
    await store.fetch(NewsQuery())
    assert set((await store.fetch(NewsQuery())).sources) == {"one", "two"}


async def test_the_store_keeps_what_a_provider_no_longer_lists() -> None:
    titles = [one.title for one in await stored({"one": [report()]}, {"two": [report("New")]})]
    assert sorted(titles) == ["Bitcoin soars", "New"]


async def test_articles_leave_after_72_hours() -> None:
    clock = ManualClock()
    almost = report("Almost too old", published_at=EPOCH - timedelta(hours=71))
    gone = report("Too old", published_at=EPOCH - timedelta(hours=73))
    wire = Wire([{"one": [almost, gone]}, {"one": []}])
    store = NewsStore(wire, NoMarket(), clock=clock)
    assert [one.title for one in (await store.fetch(NewsQuery())).data.articles] == [
        "Almost too old"
    ]
    clock.advance(2 * 3_600)
    assert (await store.fetch(NewsQuery())).data.articles == ()


@pytest.mark.parametrize("ahead", [timedelta(minutes=2, seconds=1), timedelta(hours=2)])
async def test_an_article_from_the_future_is_refused_and_counted(ahead: timedelta) -> None:
    early = report("Early", published_at=EPOCH + ahead)
    answer = await fetched({"one": [report(), early], "two": [report("Other")]})
    assert {one.title for one in answer.data.articles} == {"Bitcoin soars", "Other"}
    assert answer.warnings == ("one: 1 rows were refused as implausible",)


async def test_a_publishers_clock_may_be_a_little_ahead() -> None:
    assert await stored({"one": [report(published_at=EPOCH + timedelta(minutes=2))]})


@pytest.mark.parametrize("behind", [timedelta(hours=2), timedelta(hours=1)])
async def test_news_is_accepted_while_our_own_clock_is_behind(behind: timedelta) -> None:
    true_now = EPOCH + behind
    brought = {
        name: [
            report(f"{name} {age}", published_at=true_now - age) for age in (MINUTE, 20 * MINUTE)
        ]
        for name in ("one", "two", "three")
    }
    answer = await fetched(brought)
    assert len(answer.data.articles) == 6
    assert answer.warnings == ()


@pytest.mark.parametrize("others", [1, 2, 3, 5])
async def test_one_provider_cannot_move_the_present(others: int) -> None:
    flood = [report(f"Flood {n}", published_at=EPOCH + 8 * MINUTE) for n in range(5)]
    honest = {f"honest{n}": [report(f"Honest {n}")] for n in range(others)}
    articles = await stored({"one": flood} | honest)
    assert {one.provider for one in articles} == set(honest)


async def test_articles_from_a_time_with_a_clock_far_ahead_are_dropped() -> None:
    kept = await stored({"one": [report("Kept")]})
    of_next_year = replace(kept[0], published_at=EPOCH + timedelta(days=365))
    store = NewsStore(Wire([{"one": [report("New")]}]), NoMarket(), clock=ManualClock())
    store.adopt(Answer(News((of_next_year,)), ("one",), EPOCH, 1.0))
    assert [one.title for one in (await store.fetch(NewsQuery())).data.articles] == ["New"]


async def test_articles_outlive_a_clock_that_is_set_back() -> None:
    clock = ManualClock()
    store = NewsStore(Wire([{"one": [report()]}, {"one": []}]), NoMarket(), clock=clock)
    await store.fetch(NewsQuery())
    clock.skew = -2 * 3_600
    assert len((await store.fetch(NewsQuery())).data.articles) == 1


async def test_the_store_is_bounded_and_keeps_the_newest() -> None:
    many = [
        report(f"Story {number}", published_at=EPOCH - timedelta(seconds=number))
        for number in range(MOST_ARTICLES + 50)
    ]
    articles = await stored({"one": many})
    assert len(articles) == MOST_ARTICLES
    assert articles[0].title == "Story 0"


async def test_no_provider_takes_the_share_of_others() -> None:
    flood = [
        report(f"Flood {number}", published_at=EPOCH + MINUTE)
        for number in range(MOST_ARTICLES + 600)
    ]
    honest = [report(f"Honest {n}", published_at=EPOCH - n * MINUTE) for n in range(700)]
    few = [report(f"Few {n}", published_at=EPOCH - timedelta(hours=70)) for n in range(3)]
    articles = await stored({"one": flood, "two": honest, "three": few})
    places = Counter(one.provider for one in articles)
    assert places == {"one": MOST_ARTICLES - 703, "two": 700, "three": 3}
    assert list(articles) == sorted(articles, key=lambda one: one.published_at, reverse=True)


async def test_each_provider_keeps_its_newest_up_to_an_equal_share() -> None:
    brought = {
        name: [report(f"{name} {n}", published_at=EPOCH - (n + 1) * MINUTE) for n in range(1_500)]
        for name in ("one", "two", "three")
    }
    articles = await stored(brought)
    places = Counter(one.provider for one in articles)
    assert len(articles) == MOST_ARTICLES
    assert min(places.values()) >= MOST_ARTICLES // 3
    oldest = {
        name: max(n for n in range(1_500) if f"{name} {n}" in titles_of(articles))
        for name in places
    }
    assert all(oldest[name] == places[name] - 1 for name in places)


async def test_a_providers_warnings_reach_readers_with_its_name() -> None:
    wire = Wire([{"one": [report()]}], warnings=("the feed is incomplete; 1 item was read",))
    answer = await NewsStore(wire, NoMarket(), clock=ManualClock()).fetch(NewsQuery())
    assert answer.warnings == ("one: the feed is incomplete; 1 item was read",)


async def test_articles_contain_no_undisplayable_characters() -> None:
    nasty = report(
        "Coin\x1b[31m \u202eup\x00",
        url="https://a.example/x",
        source="Pub\r\nlisher\u200b",
        summary="One\x07 two\x85three\u2066",
        symbols=("bt\x00c", "\u202e", "E\u200bTH"),
    )
    (article,) = await stored({"one": [nasty]})
    assert (article.title, article.source) == ("Coin[31m up", "Pub lisher")
    assert (article.summary, article.symbols) == ("One two three", ("BTC", "ETH"))


async def test_a_publisher_without_a_displayable_name_is_refused() -> None:
    nameless = report("Nameless", source="\u202e\x00")
    answer = await fetched({"one": [report(), nameless]})
    assert [one.title for one in answer.data.articles] == ["Bitcoin soars"]
    assert answer.warnings == ("one: 1 rows were refused as implausible",)


async def test_markup_and_scripts_never_reach_a_reader() -> None:
    nasty = report(
        "<script>alert(1)</script>Real &amp; <b>bold</b> title",
        url="https://a.example/x",
        summary="<p>First.</p><img src=x onerror=alert(1)>" + "word " * 200,
    )
    (article,) = await stored({"one": [nasty]})
    assert article.title == "Real & bold title"
    assert article.summary is not None
    assert len(article.summary) <= 300
    assert article.summary.startswith("First. word word")


async def test_a_row_whose_title_is_only_markup_is_refused() -> None:
    assert await stored({"one": [report("<b></b><i></i>", url="https://a.example/x")]}) == ()


async def test_refused_rows_are_a_warning() -> None:
    wire = Wire([{"one": [report()]}], refused=2)
    answer = await NewsStore(wire, NoMarket(), clock=ManualClock()).fetch(NewsQuery())
    assert answer.warnings == ("one: 2 rows were refused as implausible",)


async def test_if_no_provider_answers_the_error_is_raised() -> None:
    store = NewsStore(Wire(), NoMarket(), clock=ManualClock())
    with pytest.raises(AllProvidersFailed):
        await store.fetch(NewsQuery())
    assert repr(store) == "<NewsStore 0 articles>"
