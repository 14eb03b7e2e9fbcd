"""Fear & Greed: one index's daily values. Indices of different makers are never blended."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from backend.models.answer import Query
from backend.models.numbers import STRICT, Instant, Text

IndexValue = Annotated[int, Field(ge=0, le=100)]


@validated(frozen=True, slots=True, config=STRICT)
class FearGreed:
    """One day of one index. `value` is 0 (extreme fear) to 100 (extreme greed).

    `classification` is the maker's own word, None if the maker gave none; `attribution` is the text
    that the maker requires beside the figure.
    """

    value: IndexValue
    classification: Text | None
    timestamp: Instant
    index: Text
    attribution: Text


@dataclass(frozen=True, slots=True)
class FearGreedSeries:
    """Days of one index, newest first and unique; missing days stay missing.

    `next_update_s` is the time until the maker publishes again, None if it is unknown. `refused`
    names the rows that were left out as malformed.
    """

    days: tuple[FearGreed, ...]
    next_update_s: float | None = None
    refused: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.days:
            raise ValueError("an index without a day")
        if any(newer.timestamp <= older.timestamp for newer, older in pairwise(self.days)):
            raise ValueError("days do not descend")
        if len({day.index for day in self.days}) > 1:
            raise ValueError("indices of different makers are never blended")


@dataclass(frozen=True)
class SentimentQuery(Query[FearGreedSeries]):
    """The query for a year of one index; readers' `days` are cut from it."""

    category: ClassVar[str] = "sentiment"
    is_fixed: ClassVar[bool] = True
