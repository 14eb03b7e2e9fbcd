"""The rolling store of news: merged from all providers, deduplicated, tagged, bounded."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from backend.clock import Clock
from backend.errors import GatewayError
from backend.models.answer import Answer, Source
from backend.models.market import Market
from backend.models.news import Article, News, NewsQuery, Report, Reports, ReportsQuery
from backend.models.text import one_line
from backend.providers.rows import CURRENT_WITHIN_MS
from backend.services.news_sentiment import sentiment_of
from backend.services.news_tags import CoinTagger
from backend.services.news_text import (
    LONGEST_SUMMARY,
    LONGEST_TITLE,
    article_id,
    article_key,
    clean_url,
    plain_text,
    shortened,
    title_key,
)
from backend.services.symbols import SymbolIndex

KEPT_FOR = timedelta(hours=72)
#: A publisher's clock may be ahead of the present by this; what is later is not published yet.
CLOCK_ERROR = timedelta(minutes=2)
#: Our own clock may be behind by two hours, and a list's newest article is an hour old.
MOST_BEHIND = timedelta(milliseconds=CURRENT_WITHIN_MS)
MOST_ARTICLES = 2_000
#: The same title at another address is the same story, if it is this near in time.
SAME_STORY_WITHIN = timedelta(hours=6)
#: News does not wait longer for the names of coins, in seconds.
LONGEST_WAIT_S = 0.5


class LatestMarket(Protocol):
    async def latest(self) -> Answer[Market]: ...
    def index(self, market: Market) -> SymbolIndex: ...


class NewsStore:
    """The source of all articles of the last 72 hours, refreshed by whoever can afford a call."""

    def __init__(
        self,
        reports: Source[ReportsQuery, tuple[Answer[Reports], ...]],
        market: LatestMarket,
        *,
        clock: Clock,
    ) -> None:
        self._reports = reports
        self._market = market
        self._clock = clock
        self._articles: dict[str, Article] = {}

    def __repr__(self) -> str:
        return f"<NewsStore {len(self._articles)} articles>"

    async def fetch(self, _query: NewsQuery) -> Answer[News]:
        """Raises SourceUnavailable when not one provider answered."""
        brought, tagger = await asyncio.gather(self._reports.fetch(ReportsQuery()), self._tagger())
        # Cleaning and weighing hundreds of texts takes tens of milliseconds.
        self._articles, refused = await asyncio.to_thread(
            merged, self._articles, brought.data, tagger, self._clock.now()
        )
        newest_first = sorted(self._articles.values(), key=_age_order, reverse=True)
        told = {article.provider for article in newest_first}
        ordered = dict.fromkeys((*brought.sources, *sorted(told)))
        warnings = [
            f"{answer.sources[0]}: {warning}"
            for answer in brought.data
            for warning in answer.data.warnings
        ]
        warnings += [
            f"{name}: {count} rows were refused as implausible"
            for name, count in refused.items()
            if count
        ]
        answer = brought.carrying(News(tuple(newest_first)), *warnings)
        tellers = tuple(name for name in ordered if name in told)
        return replace(answer, source=tellers or answer.sources)

    def recall(self, news: News) -> None:
        """The store of an earlier run: the next refresh adds to it."""
        self._articles = {article_key(article.url): article for article in news.articles}

    async def _tagger(self) -> CoinTagger:
        """Without a market at hand there are the providers' own tags only, until next time."""
        try:
            async with asyncio.timeout(LONGEST_WAIT_S):
                market = (await self._market.latest()).data
                self._market.index(market)  # so that readers' filters know names, too
                return CoinTagger(market)
        except (GatewayError, TimeoutError):
            return CoinTagger(None)


def merged(
    known: dict[str, Article],
    brought: Iterable[Answer[Reports]],
    tagger: CoinTagger,
    now: datetime,
) -> tuple[dict[str, Article], dict[str, int]]:
    """The store after `brought`, and how many rows of each provider were refused.

    Each story once, none too old and none that is yet to come. Refused are also rows that are
    dated ahead, or of which no clean article is left.
    """
    brought = tuple(brought)
    earliest, latest = now - KEPT_FOR, present(brought, now) + CLOCK_ERROR
    shelf, refused = _Shelf(known), dict[str, int]()
    for answer in brought:
        provider = answer.sources[0]
        refused[provider] = answer.data.refused
        for report in answer.data.reports:
            if report.published_at < earliest:
                continue
            try:
                _require_published(report, latest)
                shelf.put(_article(report, provider, tagger))
            except ValueError:  # an address or a title that nothing is left of, too
                refused[provider] += 1
    recent = [
        (key, article)
        for key, article in shelf.articles.items()
        if earliest <= article.published_at <= latest + MOST_BEHIND
    ]
    return dict(shared_out(recent, MOST_ARTICLES)), refused


def present(brought: Iterable[Answer[Reports]], now: datetime) -> datetime:
    """`now`, or later where the providers show that our clock is behind.

    The middle one of the providers' newest articles has been published, whatever our clock says:
    so a single provider, or a minority, cannot move the present.
    """
    newest = sorted(
        max(map(_published_at, one.data.reports)) for one in brought if one.data.reports
    )
    if len(newest) < 2:
        return now
    return max(now, min(newest[(len(newest) - 1) // 2], now + MOST_BEHIND))


def shared_out(articles: list[tuple[str, Article]], most: int) -> list[tuple[str, Article]]:
    """At most `most` of the articles, with their keys, newest first.

    Where there are more, the provider that has the most gives up its oldest: each provider keeps
    at least its share, `most` divided by their number, if it has so many.
    """
    newest_first = sorted(articles, key=lambda item: _age_order(item[1]), reverse=True)
    counts = Counter[str]()
    ranks = []  # of each article among its provider's
    for _, article in newest_first:
        ranks.append(counts[article.provider])
        counts[article.provider] += 1
    kept = sorted(range(len(ranks)), key=ranks.__getitem__)[:most]
    return [newest_first[place] for place in sorted(kept)]


def _require_published(report: Report, latest: datetime) -> None:
    if report.published_at > latest:
        raise ValueError("an article that is not published yet")


class _Shelf:
    """Articles by address, and by title for stories that are told at several addresses."""

    def __init__(self, known: dict[str, Article]) -> None:
        self.articles = dict(known)
        self._by_title: dict[str, list[str]] = {}
        for key, article in known.items():
            self._by_title.setdefault(title_key(article.title), []).append(key)

    def put(self, article: Article) -> None:
        key = article_key(article.url)
        if key in self.articles:
            self.articles[key] = _retold(self.articles[key], article)
        elif (other := self._same_story(article)) is not None:
            self.articles[other] = _completed(self.articles[other], article)
        else:
            self.articles[key] = article
            self._by_title.setdefault(title_key(article.title), []).append(key)

    def _same_story(self, article: Article) -> str | None:
        """The key of one with this title and about this time: columns have one title each day."""
        for key in self._by_title.get(title_key(article.title), ()):
            apart = abs(self.articles[key].published_at - article.published_at)
            if apart <= SAME_STORY_WITHIN:
                return key
        return None


def _article(report: Report, provider: str, tagger: CoinTagger) -> Article:
    """The clean article. Raises ValueError where nothing plausible is left."""
    title = shortened(plain_text(report.title), LONGEST_TITLE)
    summary = shortened(plain_text(report.summary or ""), LONGEST_SUMMARY)
    mood, score, method = sentiment_of(report, f"{title}. {summary}")
    url = clean_url(report.url)
    return Article(
        id=article_id(article_key(url)),
        title=title,
        url=url,
        source=one_line(report.source),
        provider=provider,
        published_at=report.published_at,
        summary=summary or None,
        image=report.image,
        symbols=tagger.tags(title, summary, report.symbols),
        sentiment=mood,
        sentiment_score=score,
        sentiment_method=method,
    )


def _retold(before: Article, again: Article) -> Article:
    """The same address again: from its own provider a silent edit, from another a completion."""
    if again.provider != before.provider:
        return _completed(before, again)
    edited = replace(
        again, published_at=before.published_at, symbols=_union(again.symbols, before.symbols)
    )
    return _with_mood(edited, before) if before.sentiment_method == "votes" else edited


def _completed(before: Article, again: Article) -> Article:
    """One story told twice: its first teller keeps it, and takes what the other knows besides."""
    completed = replace(
        before,
        summary=before.summary or again.summary,
        image=before.image or again.image,
        symbols=_union(before.symbols, again.symbols),
    )
    return _with_mood(completed, again) if again.sentiment_method == "votes" else completed


def _with_mood(article: Article, of: Article) -> Article:
    return replace(
        article,
        sentiment=of.sentiment,
        sentiment_score=of.sentiment_score,
        sentiment_method=of.sentiment_method,
    )


def _union(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def _published_at(report: Report) -> datetime:
    return report.published_at


def _age_order(article: Article) -> tuple[datetime, str]:
    return article.published_at, article.id
