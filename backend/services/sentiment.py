"""Fear & Greed: a year of one index, cut to the days of a view."""

from datetime import datetime, timedelta

from backend.models.answer import Answer
from backend.models.sentiment import FearGreed, FearGreedSeries
from backend.services.page import Page, refused_warning

MOST_DAYS = 365
#: A daily index is late if its newest day is older than this.
LATE_AFTER = timedelta(hours=25)


def newest_days(answer: Answer[FearGreedSeries], days: int) -> Page[tuple[FearGreed, ...]]:
    """The newest `days` calendar days, newest first. Missing days stay missing."""
    series = answer.data
    since = series.days[0].timestamp - timedelta(days=days)
    rows = tuple(day for day in series.days if day.timestamp > since)
    return Page(rows, len(series.days), _warnings(series, answer.fetched_at))


def _warnings(series: FearGreedSeries, fetched_at: datetime) -> tuple[str, ...]:
    """Warnings about refused rows and a late index. With refused rows it is not known whether the
    index has changed: the newest day may be among them."""
    refused = refused_warning(series.refused)
    age = fetched_at - series.days[0].timestamp
    if age <= LATE_AFTER:
        return refused
    hours = f"{age.total_seconds() / 3_600:.0f} hours"
    if refused:
        return (*refused, f"the newest day that can be read is {hours} old")
    return (f"the index has not changed for {hours}",)
