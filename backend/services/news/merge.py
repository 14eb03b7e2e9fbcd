"""Merging reports into the store of articles: cleaned, deduplicated, tagged, bounded."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from backend.models.answer import Answer
from backend.models.news import Article, Report, Reports
from backend.models.text import one_line
from backend.providers.rows import CURRENT_WITHIN_MS
from backend.services.news.sentiment import sentiment_of
from backend.services.news.tags import CoinTagger
from backend.services.news.text import (
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
#: A publisher's clock may be ahead of the present by this; later articles are not published yet.
CLOCK_ERROR = timedelta(minutes=2)
#: Our own clock may be two hours behind, and a list's newest article is an hour old.
MOST_BEHIND = timedelta(milliseconds=CURRENT_WITHIN_MS)
MOST_ARTICLES = 2_000
#: The same title at another address is the same story, if it is this near in time.
SAME_STORY_WITHIN = timedelta(hours=6)


def merged(
    known: dict[str, Article],
    brought: Iterable[Answer[Reports]],
    tagger: CoinTagger,
    now: datetime,
) -> tuple[dict[str, Article], dict[str, int]]:
    """The store after `brought`, and how many rows of each provider were refused.

    Each story is kept once; articles that are too old are dropped. Rows with a future date, and
    rows of which no clean article is left, count as refused.
    """
    brought = tuple(brought)
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
                index.put(_article(report, provider, tagger))
            except ValueError:  # also an address or a title of which nothing is left
                refused[provider] += 1
    recent = [
        (key, article)
        for key, article in index.articles.items()
        if earliest <= article.published_at <= latest + MOST_BEHIND
    ]
    return dict(shared_out(recent, MOST_ARTICLES)), refused


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


def shared_out(articles: list[tuple[str, Article]], most: int) -> list[tuple[str, Article]]:
    """At most `most` of the articles, with their keys, newest first.

    If there are more, the provider with the most loses its oldest ones: each provider keeps at
    least `most` divided by the number of providers, if it has as many.
    """
    newest_first = sorted(articles, key=lambda item: age_order(item[1]), reverse=True)
    counts = Counter[str]()
    ranks = []  # the place of each article among its provider's
    for _, article in newest_first:
        ranks.append(counts[article.provider])
        counts[article.provider] += 1
    kept = sorted(range(len(ranks)), key=ranks.__getitem__)[:most]
    return [newest_first[place] for place in sorted(kept)]


class _ArticleIndex:
    """Articles by address, and by title for stories that appear at several addresses."""

    def __init__(self, known: dict[str, Article]) -> None:
        self.articles = dict(known)
        self._by_title: dict[str, list[str]] = {}
        for key, article in known.items():
            self._by_title.setdefault(title_key(article.title), []).append(key)

    def put(self, article: Article) -> None:
        key = article_key(article.url)
        if key in self.articles:
            self.articles[key] = _updated(self.articles[key], article)
        elif (other := self._same_story(article)) is not None:
            self.articles[other] = _merged(self.articles[other], article)
        else:
            self.articles[key] = article
            self._by_title.setdefault(title_key(article.title), []).append(key)

    def _same_story(self, article: Article) -> str | None:
        """The key of an article with this title from about the same time: a daily column has the
        same title every day."""
        for key in self._by_title.get(title_key(article.title), ()):
            apart = abs(self.articles[key].published_at - article.published_at)
            if apart <= SAME_STORY_WITHIN:
                return key
        return None


def _article(report: Report, provider: str, tagger: CoinTagger) -> Article:
    """The clean article. Raises ValueError if nothing plausible is left."""
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


def _updated(before: Article, again: Article) -> Article:
    """The same address again: an edit by its own provider, or an addition by another one."""
    if again.provider != before.provider:
        return _merged(before, again)
    edited = replace(
        again, published_at=before.published_at, symbols=_union(again.symbols, before.symbols)
    )
    return _with_sentiment(edited, before) if before.sentiment_method == "votes" else edited


def _merged(before: Article, again: Article) -> Article:
    """One story from two providers: the first one's article, with what the other has besides."""
    complete = replace(
        before,
        summary=before.summary or again.summary,
        image=before.image or again.image,
        symbols=_union(before.symbols, again.symbols),
    )
    return _with_sentiment(complete, again) if again.sentiment_method == "votes" else complete


def _with_sentiment(article: Article, of: Article) -> Article:
    return replace(
        article,
        sentiment=of.sentiment,
        sentiment_score=of.sentiment_score,
        sentiment_method=of.sentiment_method,
    )


def _union(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def age_order(article: Article) -> tuple[datetime, str]:
    return article.published_at, article.id
