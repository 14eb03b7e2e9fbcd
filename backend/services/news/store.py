"""The rolling store of articles, refreshed from all news providers."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

from backend.clock import Clock
from backend.errors import GatewayError
from backend.models.answer import Answer, Source
from backend.models.news import Article, News, NewsQuery, Reports, ReportsQuery
from backend.services.market.symbols import CoinDirectory
from backend.services.news.merge import age_order, merged
from backend.services.news.tags import CoinTagger
from backend.services.news.text import article_key

#: Longest wait for the names of coins, in seconds.
LONGEST_WAIT_S = 0.5


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
    warnings = [
        f"{answer.sources[0]}: {warning}" for answer in brought for warning in answer.data.warnings
    ]
    counted = [(name, count) for name, count in refused.items() if count]
    return warnings + [
        f"{name}: {count} rows were refused as implausible" for name, count in counted
    ]
