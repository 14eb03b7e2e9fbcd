"""Fear & Greed: a year of one index, cut to the days that a reader asks for."""

from datetime import timedelta

from backend.models.answer import Answer, Source
from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.services.market import Page

MOST_DAYS = 365
#: An index of each day that is older than this has missed its time.
LATE_AFTER = timedelta(hours=25)


class SentimentService:
    """`/api/sentiment`."""

    def __init__(self, source: Source[SentimentQuery, FearGreedSeries]) -> None:
        self._source = source

    async def latest(self) -> Answer[FearGreedSeries]:
        """Raises GatewayError."""
        return await self._source.fetch(SentimentQuery())

    def cut(self, answer: Answer[FearGreedSeries], days: int) -> Page[tuple[FearGreed, ...]]:
        """The newest `days` calendar days, newest first; one that is missing stays missing."""
        series = answer.data
        age = answer.fetched_at - series.days[0].timestamp
        late = f"the index has not changed for {age.total_seconds() / 3_600:.0f} hours"
        since = series.days[0].timestamp - timedelta(days=days)
        rows = tuple(day for day in series.days if day.timestamp > since)
        return Page(rows, len(series.days), (late,) if age > LATE_AFTER else ())
