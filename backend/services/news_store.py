"""The rolling store of news: merged from all providers, deduplicated, tagged, bounded."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from backend.clock import Clock
from backend.errors import GatewayError
from backend.models.answer import Answer, Source
from backend.models.market import Market
from backend.models.news import Article, News, NewsQuery, Report, Reports, ReportsQuery
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
#: A clock of a publisher may be a little ahead of ours.
AHEAD = timedelta(minutes=10)
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

    Each story once, none too old, the newest of too many.
    """
    shelf, refused = _Shelf(known), dict[str, int]()
    for answer in brought:
        provider = answer.sources[0]
        refused[provider] = answer.data.refused
        for report in answer.data.reports:
            if not now - KEPT_FOR <= report.published_at <= now + AHEAD:
                continue
            try:
                shelf.put(_article(report, provider, tagger))
            except ValueError:  # an address or a title that nothing is left of
                refused[provider] += 1
    recent = [item for item in shelf.articles.items() if item[1].published_at >= now - KEPT_FOR]
    recent.sort(key=lambda item: _age_order(item[1]), reverse=True)
    return dict(recent[:MOST_ARTICLES]), refused


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
        source=report.source,
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


def _age_order(article: Article) -> tuple[datetime, str]:
    return article.published_at, article.id
