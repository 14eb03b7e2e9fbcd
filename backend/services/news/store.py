"""The rolling store of articles, refreshed from all news providers: deduplicated and bounded."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from backend.clock import Clock
from backend.errors import GatewayError
from backend.models.answer import Answer, Source
from backend.models.news import Article, News, NewsQuery, Reports, ReportsQuery
from backend.providers.rows import CURRENT_WITHIN_MS
from backend.services.market.symbols import CoinDirectory
from backend.services.news.articles import age_order, article_of, joined, updated
from backend.services.news.tags import CoinTagger
from backend.services.news.text import article_key, title_key

#: Longest wait for the names of coins, in seconds.
LONGEST_WAIT_S = 0.5
KEPT_FOR = timedelta(hours=72)
#: A publisher's clock may be ahead of the present by this; later articles are not published yet.
CLOCK_ERROR = timedelta(minutes=2)
#: Our own clock may be two hours behind, and a list's newest article is an hour old.
MOST_BEHIND = timedelta(milliseconds=CURRENT_WITHIN_MS)
MOST_ARTICLES = 2_000
#: The same title at another address is the same story, if it is this near in time.
SAME_STORY_WITHIN = timedelta(hours=6)


class NewsStore:
    """The source of all articles of the last 72 hours.

    A refresh asks every news provider whose budget allows it, and adds what they bring. `fetch`
    raises SourceUnavailable when no provider answered.
    """

    def __init__(
        self,
        reports: Source[ReportsQuery, tuple[Answer[Reports], ...]],
        coins: CoinDirectory,
        *,
        clock: Clock,
    ) -> None:
        self._reports = reports
        self._coins = coins
        self._clock = clock
        self._articles: dict[str, Article] = {}

    def __repr__(self) -> str:
        return f"<NewsStore {len(self._articles)} articles>"

    async def fetch(self, _query: NewsQuery) -> Answer[News]:
        reports, tagger = await asyncio.gather(self._reports.fetch(ReportsQuery()), self._tagger())
        # Cleaning and scoring hundreds of texts takes tens of milliseconds.
        self._articles, refused = await asyncio.to_thread(
            merged, self._articles, reports.data, tagger, self._clock.now()
        )
        newest_first = sorted(self._articles.values(), key=age_order, reverse=True)
        answer = reports.carrying(News(tuple(newest_first)), *_warnings(reports.data, refused))
        in_store = {article.provider for article in newest_first}
        ordered = dict.fromkeys((*reports.sources, *sorted(in_store)))
        sources = tuple(name for name in ordered if name in in_store)
        return replace(answer, source=sources or answer.sources)

    def adopt(self, answer: Answer[News]) -> None:
        """Goes on from an answer of an earlier run or of another process: the next refresh adds to
        its articles. May be called at any time, and again with the same answer."""
        self._articles = {article_key(article.url): article for article in answer.data.articles}

    async def _tagger(self) -> CoinTagger:
        """Without a market at once, this refresh has the providers' own tags only."""
        try:
            async with asyncio.timeout(LONGEST_WAIT_S):
                market = (await self._coins.latest()).data
                self._coins.index(market)  # so that readers' filters know names as well
                return CoinTagger(market)
        except (GatewayError, TimeoutError):
            return CoinTagger(None)


def _warnings(brought: Iterable[Answer[Reports]], refused: Mapping[str, int]) -> list[str]:
    """The providers' own warnings, and how many rows of each were refused."""
    own = [f"{answer.sources[0]}: {one}" for answer in brought for one in answer.data.warnings]
    return own + [
        f"{name}: {count} rows were refused as implausible"
        for name, count in refused.items()
        if count
    ]


def merged(
    known: dict[str, Article],
    brought: Sequence[Answer[Reports]],
    tagger: CoinTagger,
    now: datetime,
) -> tuple[dict[str, Article], dict[str, int]]:
    """The store after `brought`, and how many rows of each provider were refused.

    Each story is kept once; articles that are too old are dropped. Rows with a future date, and
    rows of which no clean article is left, count as refused.
    """
    earliest, latest = now - KEPT_FOR, present(brought, now) + CLOCK_ERROR
    index, refused = _ArticleIndex(known), dict[str, int]()
    for answer in brought:
        provider = answer.sources[0]
        refused[provider] = answer.data.refused
        for report in answer.data.reports:
            if report.published_at < earliest:
                continue
            if report.published_at > latest:  # not published yet
                refused[provider] += 1
                continue
            try:
                index.put(article_of(report, provider, tagger))
            except ValueError:  # also an address or a title of which nothing is left
                refused[provider] += 1
    recent = [
        (key, article)
        for key, article in index.articles.items()
        if earliest <= article.published_at <= latest + MOST_BEHIND
    ]
    return _shared_out(recent), refused


def present(brought: Iterable[Answer[Reports]], now: datetime) -> datetime:
    """`now`, or a later time if the providers show that our clock is behind.

    The median of the providers' newest articles has been published, whatever our clock says; a
    single provider, or a minority of them, cannot move it.
    """
    lists = [answer.data.reports for answer in brought if answer.data.reports]
    newest = sorted(max(report.published_at for report in reports) for reports in lists)
    if len(newest) < 2:
        return now
    return max(now, min(newest[(len(newest) - 1) // 2], now + MOST_BEHIND))


def _shared_out(articles: list[tuple[str, Article]]) -> dict[str, Article]:
    """At most MOST_ARTICLES of the articles by their keys, newest first.

    If there are more, the provider with the most loses its oldest ones: each provider keeps at
    least its share of MOST_ARTICLES, if it has as many.
    """
    newest_first = sorted(articles, key=lambda item: age_order(item[1]), reverse=True)
    counts = Counter[str]()
    ranks = []  # the place of each article among its provider's
    for _, article in newest_first:
        ranks.append(counts[article.provider])
        counts[article.provider] += 1
    kept = sorted(range(len(ranks)), key=ranks.__getitem__)[:MOST_ARTICLES]
    return dict(newest_first[place] for place in sorted(kept))


class _ArticleIndex:
    """Articles by address, and by title for stories that appear at several addresses."""

    def __init__(self, known: dict[str, Article]) -> None:
        self.articles = dict(known)
        self._by_title: dict[str, list[str]] = {}
        for key, article in known.items():
            self._by_title.setdefault(title_key(article.title), []).append(key)

    def put(self, article: Article) -> None:
        key = article_key(article.url)
        same_title = self._by_title.setdefault(title_key(article.title), [])
        if key in self.articles:
            self.articles[key] = updated(self.articles[key], article)
            return
        for other in same_title:
            # A daily column has the same title every day.
            apart = abs(self.articles[other].published_at - article.published_at)
            if apart <= SAME_STORY_WITHIN:
                self.articles[other] = joined(self.articles[other], article)
                return
        self.articles[key] = article
        same_title.append(key)
