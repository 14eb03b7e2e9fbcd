"""Fear & Greed: a year of one index, cut to the days that a reader asks for."""

from datetime import timedelta

from backend.models.answer import Answer, Source
from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.services.market import Page

MOST_DAYS = 365


class SentimentService:
    """`/api/sentiment`."""

    def __init__(self, source: Source[SentimentQuery, FearGreedSeries]) -> None:
        self._source = source

    async def latest(self) -> Answer[FearGreedSeries]:
        """Raises GatewayError."""
        return await self._source.fetch(SentimentQuery())

    def cut(self, series: FearGreedSeries, days: int) -> Page[tuple[FearGreed, ...]]:
        """The newest `days` calendar days, newest first; one that is missing stays missing."""
        since = series.days[0].timestamp - timedelta(days=days)
        rows = tuple(day for day in series.days if day.timestamp > since)
        return Page(rows, len(series.days))
