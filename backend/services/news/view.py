"""Readers' filters of the news, and the share of a page that one publisher may have."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backend.models.news import Article, News, Sentiment
from backend.services.page import Page

MOST_ARTICLES = 200
#: One publisher has at most this part of a page, while others have articles that are at most
#: SHARED_SPAN older than the newest.
LARGEST_SHARE = 3  # a third
SHARED_SPAN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class NewsView:
    """A reader's choice. `symbols` are tickers in upper case, `source` a publisher or provider."""

    limit: int = 50
    symbols: tuple[str, ...] = ()
    source: str | None = None
    sentiment: Sentiment | None = None
    since: datetime | None = None

    def pick(self, news: News) -> Page[tuple[Article, ...]]:
        """The newest articles that pass every filter, newest first.

        Without `source`, a publisher with more than its share leaves places to others. `total`
        counts all articles that pass.
        """
        wanted, source = frozenset(self.symbols), (self.source or "").casefold()
        found = [
            one
            for one in news.articles
            if (not wanted or not wanted.isdisjoint(one.symbols))
            and (not source or source in (one.source.casefold(), one.provider))
            and self.sentiment in (None, one.sentiment)
            and (self.since is None or one.published_at >= self.since)
        ]
        rows = found[: self.limit] if source else shared_page(found, self.limit)
        return Page(tuple(rows), len(found))


def shared_page(found: Sequence[Article], limit: int) -> list[Article]:
    """`limit` of the articles, which are newest first, in the same order.

    The first places are for the articles of the last day of which each publisher has at most its
    share. The rest of the page, if any, is filled with the newest of the others.
    """
    if len(found) <= limit:
        return list(found)
    most, earliest = max(1, limit // LARGEST_SHARE), found[0].published_at - SHARED_SPAN
    counts = Counter[str]()
    first, others = list[int](), list[int]()
    for place, article in enumerate(found):
        publisher = article.source.casefold()
        counts[publisher] += 1
        is_first = counts[publisher] <= most and article.published_at >= earliest
        (first if is_first else others).append(place)
    return [found[place] for place in sorted([*first, *others][:limit])]
