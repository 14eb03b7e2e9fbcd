"""Readers' filters of the news."""

from dataclasses import dataclass
from datetime import datetime

from backend.models.news import Article, News, Sentiment
from backend.services.page import Page

MOST_ARTICLES = 200


@dataclass(frozen=True, slots=True)
class NewsView:
    """A reader's choice. `symbols` are tickers in upper case, `source` a publisher or provider."""

    limit: int = 50
    symbols: tuple[str, ...] = ()
    source: str | None = None
    sentiment: Sentiment | None = None
    since: datetime | None = None

    def pick(self, news: News) -> Page[tuple[Article, ...]]:
        """The newest articles that pass every filter."""
        wanted, source = frozenset(self.symbols), (self.source or "").casefold()
        found = [
            one
            for one in news.articles
            if (not wanted or not wanted.isdisjoint(one.symbols))
            and (not source or source in (one.source.casefold(), one.provider))
            and self.sentiment in (None, one.sentiment)
            and (self.since is None or one.published_at >= self.since)
        ]
        return Page(tuple(found[: self.limit]), len(found))
