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

KEPT_FOR = timedelta(hours=72)
#: A clock of a publisher may be a little ahead of ours.
AHEAD = timedelta(minutes=10)
MOST_ARTICLES = 2_000


class LatestMarket(Protocol):
    async def latest(self) -> Answer[Market]: ...


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
        now = self._clock.now()
        # Cleaning and weighing hundreds of texts takes tens of milliseconds.
        self._articles = await asyncio.to_thread(merged, self._articles, brought.data, tagger, now)
        newest_first = sorted(self._articles.values(), key=_age_order, reverse=True)
        warnings = [
            f"{answer.sources[0]}: {answer.data.refused} rows were refused as implausible"
            for answer in brought.data
            if answer.data.refused
        ]
        return brought.carrying(News(tuple(newest_first)), *warnings)

    async def _tagger(self) -> CoinTagger:
        """Without a market there are the providers' own tags only."""
        try:
            return CoinTagger((await self._market.latest()).data)
        except GatewayError:
            return CoinTagger(None)


def merged(
    known: dict[str, Article],
    brought: Iterable[Answer[Reports]],
    tagger: CoinTagger,
    now: datetime,
) -> dict[str, Article]:
    """The store after `brought`: each story once, none too old, the newest of too many."""
    articles = dict(known)
    titles = {title_key(article.title): key for key, article in articles.items()}
    for answer in brought:
        for report in answer.data.reports:
            article = _article(report, answer.sources[0], tagger)
            if article is None or not now - KEPT_FOR <= article.published_at <= now + AHEAD:
                continue
            key, title = article_key(article.url), title_key(article.title)
            held = key if key in articles else titles.get(title, key)
            before = articles.get(held)
            articles[held] = _updated(before, article) if before else article
            titles.setdefault(title, held)
    recent = [item for item in articles.items() if item[1].published_at >= now - KEPT_FOR]
    recent.sort(key=lambda item: _age_order(item[1]), reverse=True)
    return dict(recent[:MOST_ARTICLES])


def _article(report: Report, provider: str, tagger: CoinTagger) -> Article | None:
    """The clean article, None where nothing but markup was in its title."""
    title = shortened(plain_text(report.title), LONGEST_TITLE)
    if len(title) < 3:
        return None
    summary = shortened(plain_text(report.summary or ""), LONGEST_SUMMARY)
    text = f"{title}. {summary}"
    mood, score, method = sentiment_of(report, text)
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
        symbols=tagger.tags(text, report.symbols),
        sentiment=mood,
        sentiment_score=score,
        sentiment_method=method,
    )


def _updated(before: Article, again: Article) -> Article:
    """One story told twice: its first teller keeps it, and takes what the other knows better."""
    if again.provider == before.provider:  # a silent edit
        return replace(again, id=before.id, url=before.url)
    votes = again if again.sentiment_method == "votes" else before
    return replace(
        before,
        summary=before.summary or again.summary,
        image=before.image or again.image,
        symbols=tuple(dict.fromkeys((*before.symbols, *again.symbols))),
        sentiment=votes.sentiment,
        sentiment_score=votes.sentiment_score,
        sentiment_method=votes.sentiment_method,
    )


def _age_order(article: Article) -> tuple[datetime, str]:
    return article.published_at, article.id
