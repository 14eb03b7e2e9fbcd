"""News: readers' filters of the store."""

from dataclasses import dataclass
from datetime import datetime

from backend.models.answer import Answer, Source
from backend.models.news import Article, News, NewsQuery, Sentiment
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


class NewsService:
    """`/api/news`."""

    def __init__(self, source: Source[NewsQuery, News]) -> None:
        self._source = source

    async def latest(self) -> Answer[News]:
        """Raises GatewayError."""
        return await self._source.fetch(NewsQuery())

    def pick(self, news: News, view: NewsView) -> Page[tuple[Article, ...]]:
        """The newest articles that pass every filter."""
        wanted, source = frozenset(view.symbols), (view.source or "").casefold()
        found = [
            one
            for one in news.articles
            if (not wanted or not wanted.isdisjoint(one.symbols))
            and (not source or source in (one.source.casefold(), one.provider))
            and view.sentiment in (None, one.sentiment)
            and (view.since is None or one.published_at >= view.since)
        ]
        return Page(tuple(found[: view.limit]), len(found))
