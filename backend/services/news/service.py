"""News: readers' filters of the store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from backend.models.answer import Answer, Source
from backend.models.news import Article, News, NewsQuery
from backend.services.page import Page

MOST_ARTICLES = 200


@dataclass(frozen=True, slots=True)
class NewsView:
    """A reader's choice. `symbols` are tickers in upper case, `source` a publisher or provider."""

    limit: int = 50
    symbols: tuple[str, ...] = ()
    source: str | None = None
    sentiment: Literal["positive", "neutral", "negative"] | None = None
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
        filters = _filters(view)
        found = [one for one in news.articles if all(passes(one) for passes in filters)]
        return Page(tuple(found[: view.limit]), len(found))


def _filters(view: NewsView) -> list[Callable[[Article], bool]]:
    filters: list[Callable[[Article], bool]] = []
    if view.symbols:
        wanted = frozenset(view.symbols)
        filters.append(lambda one: not wanted.isdisjoint(one.symbols))
    if view.source:
        name = view.source.casefold()
        filters.append(lambda one: name in (one.source.casefold(), one.provider))
    if view.sentiment:
        filters.append(lambda one: one.sentiment == view.sentiment)
    if view.since:
        since = view.since
        filters.append(lambda one: one.published_at >= since)
    return filters
