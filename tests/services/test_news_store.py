"""The rolling store: merged, deduplicated, bounded, never emptied by one provider's failure."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from backend.errors import AllProvidersFailed
from backend.models.answer import Answer, Attempt
from backend.models.market import Market
from backend.models.news import Article, News, NewsQuery, Report, Reports, ReportsQuery
from backend.services.news_store import MOST_ARTICLES, NewsStore
from backend.services.symbols import SymbolIndex
from tests.clocks import EPOCH, ManualClock


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

    async def fetch(self, _query: ReportsQuery) -> Answer[tuple[Answer[Reports], ...]]:
        if not self.queued:
            raise AllProvidersFailed("down")
        brought = self.queued.pop(0)
        parts = tuple(
            Answer(Reports(tuple(reports), self.refused), name, EPOCH, 5.0)
            for name, reports in brought.items()
        )
        tried = tuple(Attempt(name, "ok", 5.0) for name in brought)
        return Answer(parts, tuple(brought), EPOCH, 5.0, tried)


class NoMarket:
    async def latest(self) -> Answer[Market]:
        raise AllProvidersFailed("no market either")

    def index(self, market: Market) -> SymbolIndex:
        raise AssertionError("there is no market")


class SilentMarket(NoMarket):
    async def latest(self) -> Answer[Market]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


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


async def test_what_an_earlier_run_had_in_store_is_added_to() -> None:
    kept = await stored({"one": [report("Kept"), report("Told again")]})
    wire = Wire([{"one": [report("New"), report("Told again")]}])
    store = NewsStore(wire, NoMarket(), clock=ManualClock())
    store.recall(News(kept))
    answer = await store.fetch(NewsQuery())
    assert sorted(one.title for one in answer.data.articles) == ["Kept", "New", "Told again"]


async def test_one_address_is_one_article_whatever_it_is_tracked_with() -> None:
    tracked = report("Other words", url="https://www.a.example/bitcoin-soars/?utm_source=x")
    (article,) = await stored({"one": [report()], "two": [tracked]})
    assert (article.provider, article.url) == ("one", "https://a.example/bitcoin-soars")


async def test_one_title_is_one_story_at_whatever_address() -> None:
    copy = report("BITCOIN, soars!", url="https://b.example/copy", source="Another paper")
    (article,) = await stored({"one": [report()]}, {"two": [copy]})
    assert article.title == "Bitcoin soars"


async def test_a_second_teller_adds_what_the_first_did_not_know() -> None:
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


async def test_a_column_with_one_title_each_day_is_another_story_each_day() -> None:
    yesterday = report(
        "What happened today",
        url="https://a.example/1",
        published_at=EPOCH - timedelta(hours=25),
    )
    today = report("What happened today", url="https://a.example/2")
    articles = await stored({"one": [yesterday]}, {"one": [yesterday, today]})
    assert [one.url for one in articles] == ["https://a.example/2", "https://a.example/1"]


async def test_a_copy_in_another_paper_leaves_the_first_ones_name_and_address() -> None:
    first = report(url="https://first.example/1", source="First")
    copy = report(url="https://second.example/1", source="Second")
    (article,) = await stored({"newsapi": [first, copy]})
    assert (article.source, article.url) == ("First", "https://first.example/1")


async def test_gains_and_losses_are_two_stories() -> None:
    up = report("Bitcoin +5% today", url="https://a.example/up")
    down = report("Bitcoin -5% today", url="https://a.example/down")
    assert len(await stored({"one": [up, down]})) == 2


async def test_votes_and_tags_outlive_the_first_tellers_next_word() -> None:
    voted = report(votes_for=9, votes_against=1, symbols=("BTC",))
    (article,) = await stored({"one": [report()]}, {"two": [voted]}, {"one": [report()]})
    assert (article.sentiment_method, article.symbols) == ("votes", ("BTC",))


async def test_a_row_that_cannot_be_an_article_is_counted_and_harms_no_other() -> None:
    grown = report("Grows beyond its bound", summary="x", url="https://a.example/x", source="S")
    hollow = report("<b></b><i></i>", url="https://a.example/hollow")
    answer = await NewsStore(
        Wire([{"one": [hollow, grown]}]), NoMarket(), clock=ManualClock()
    ).fetch(NewsQuery())
    assert [one.title for one in answer.data.articles] == ["Grows beyond its bound"]
    assert answer.warnings == ("one: 1 rows were refused as implausible",)


@pytest.mark.looptime
async def test_news_does_not_wait_for_a_market_that_keeps_silent() -> None:
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


async def test_an_article_from_the_future_is_left_out() -> None:
    ahead = report(published_at=EPOCH + timedelta(hours=1))
    assert await stored({"one": [ahead]}) == ()


async def test_the_store_is_bounded_and_keeps_the_newest() -> None:
    many = [
        report(f"Story {number}", published_at=EPOCH - timedelta(seconds=number))
        for number in range(MOST_ARTICLES + 50)
    ]
    articles = await stored({"one": many})
    assert len(articles) == MOST_ARTICLES
    assert articles[0].title == "Story 0"


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


async def test_a_title_of_markup_only_is_no_article() -> None:
    assert await stored({"one": [report("<b></b><i></i>", url="https://a.example/x")]}) == ()


async def test_refused_rows_are_told_of() -> None:
    wire = Wire([{"one": [report()]}], refused=2)
    answer = await NewsStore(wire, NoMarket(), clock=ManualClock()).fetch(NewsQuery())
    assert answer.warnings == ("one: 2 rows were refused as implausible",)


async def test_when_nobody_answers_the_error_passes() -> None:
    store = NewsStore(Wire(), NoMarket(), clock=ManualClock())
    with pytest.raises(AllProvidersFailed):
        await store.fetch(NewsQuery())
    assert repr(store) == "<NewsStore 0 articles>"
