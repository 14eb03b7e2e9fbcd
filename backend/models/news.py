"""News: what a provider reports, and the canonical article."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass as validated

from backend.models.answer import Query
from backend.models.numbers import STRICT, Instant, Text, Url
from backend.models.text import require_one_line

Headline = Annotated[str, Field(min_length=3, max_length=1_000)]
Summary = Annotated[str, Field(max_length=100_000)]
Label = Annotated[str, Field(min_length=1, max_length=200)]
OneLine = AfterValidator(require_one_line)
#: With a character in it that cannot be shown it would look like another address.
Link = Annotated[Url, OneLine]
Sentiment = Literal["positive", "neutral", "negative"]
SentimentMethod = Literal["votes", "lexicon"]
Score = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
VoteCount = Annotated[int, Field(ge=0, le=1_000_000_000)]


@validated(frozen=True, slots=True, config=STRICT)
class Report:
    """One article as a provider reports it, its texts not yet cleaned.

    `source` is the publisher, `symbols` the provider's own tags (upper case). `votes_for` and
    `votes_against` are readers' votes where the provider counts them.
    """

    title: Headline
    url: Link
    source: Label
    published_at: Instant
    summary: Summary | None = None
    image: Link | None = None
    symbols: tuple[Label, ...] = ()
    votes_for: VoteCount = 0
    votes_against: VoteCount = 0


@dataclass(frozen=True, slots=True)
class Reports:
    """One provider's answer. `refused` counts rows that were left out as implausible; `warnings`
    are further warnings for readers."""

    reports: tuple[Report, ...]
    refused: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportsQuery(Query[Reports]):
    """The query for new articles: one for all readers, who filter the store."""

    category: ClassVar[str] = "news"
    is_fixed: ClassVar[bool] = True


@validated(frozen=True, slots=True, config=STRICT)
class Article:
    """One article. `id` is derived from the canonical URL and so stays the same.

    `source` is the publisher, `provider` the provider of it. `summary` is plain text of at most 300
    characters. Every text is one line of characters that can be shown. `sentiment_score` runs
    from -1 to 1, `sentiment_method` says where it comes from.
    """

    id: Text
    title: Annotated[Headline, OneLine]
    url: Link
    source: Annotated[Label, OneLine]
    provider: Text
    published_at: Instant
    summary: Annotated[Summary, OneLine] | None
    image: Link | None
    symbols: tuple[Annotated[Label, OneLine], ...]
    sentiment: Sentiment
    sentiment_score: Score
    sentiment_method: SentimentMethod


@dataclass(frozen=True, slots=True)
class News:
    """All articles in store, newest first."""

    articles: tuple[Article, ...]


@dataclass(frozen=True)
class NewsQuery(Query[News]):
    """The query for the store of the last 72 hours."""

    category: ClassVar[str] = "news"
