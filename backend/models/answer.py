"""What every layer returns: data with its provenance, and the protocol they all share."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, cast

from backend.models.replacing import replacing

#: A kind of query, and the data that answer it: for the modules that pass both on.
Q = TypeVar("Q", bound="Query[Any]")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Q_contra = TypeVar("Q_contra", bound="Query[object]", contravariant=True)

CacheState = Literal["hit", "miss", "stale"]


@dataclass(frozen=True)
class Query(Generic[T_co]):
    """A question in the gateway's own terms: hashable, its own cache key, answered by `T_co`.

    `is_urgent`: readers wait and no cached answer exists, so a second provider may be called while
    the first is slow (hedging). It is not part of the query's identity.
    """

    category: ClassVar[str]
    #: All readers ask the same query; its refreshes have priority over queries that readers choose.
    is_shared: ClassVar[bool] = True
    #: It is passed through to one vendor, and has only a part of the vendor's limits.
    is_pass_through: ClassVar[bool] = False
    #: No part of it is a reader's choice: if a provider rejects it, the provider is at fault.
    is_fixed: ClassVar[bool] = False
    #: Its share of a scarce budget, relative to other queries in demand.
    budget_weight: ClassVar[float] = 1.0
    is_urgent: bool = field(default=False, compare=False, repr=False, kw_only=True)

    @property
    def budget_key(self) -> "Query[Any]":
        """Queries with the same key count as one when a budget is shared out."""
        return self

    @property
    def subject(self) -> str:
        """The query in words; distinct queries of a category that are persisted differ in it."""
        return self.category

    @property
    def kind(self) -> str:
        """Kind of question; the registry orders the providers of each kind."""
        return self.category

    @property
    def series(self) -> str | None:
        """The name of a series that should stay with one provider; None for other queries."""
        return None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider's part in a refresh: `outcome` is `ok` or a reason of the contract."""

    provider: str
    outcome: str
    latency_ms: float | None


@dataclass(slots=True)
class CacheCounters:
    """Counters of a cached source: plain numbers, as the cache hit path is hot; read at a scrape.

    `joined` counts readers that waited for a refresh which another reader had started.
    """

    hits: int = 0
    misses: int = 0
    joined: int = 0
    stale_by_reason: Counter[str] = field(default_factory=Counter)

    @property
    def stale_served(self) -> int:
        return self.stale_by_reason.total()


class Validity(Protocol):
    """Says whether an answer may be reused without asking the cache for it again."""

    def current_age_s(self) -> float | None:
        """The answer's age in seconds; None once it was replaced, or a refresh of it is due."""

    def note_hit(self) -> None:
        """Counts one reuse as a cache hit."""


@dataclass(frozen=True, slots=True)
class CombinedValidity:
    """The validity of an answer that was made with the help of another one: both must be valid."""

    helper: Validity
    own: Validity

    def current_age_s(self) -> float | None:
        """The age of the answer's own data."""
        return None if self.helper.current_age_s() is None else self.own.current_age_s()

    def note_hit(self) -> None:
        self.helper.note_hit()
        self.own.note_hit()


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """Data with its provenance.

    `cache`, `age_s` and `ttl_left_s` are computed for each reader; every other field is the same
    for all readers until the next refresh. `refresh_id` identifies the refresh (0: not cached).
    `source` is one provider, or all providers of a merged answer. `late_answer` waits for the
    slower provider of a hedged call; it raises like a source. `validity` says for how long the
    answer may be reused; None: not at all.
    """

    data: T_co
    source: str | tuple[str, ...]
    fetched_at: datetime
    latency_ms: float | None
    tried: tuple[Attempt, ...] = ()
    warnings: tuple[str, ...] = ()
    expires_at: datetime | None = None
    stale: bool = False
    stale_reason: str | None = None
    refresh_id: int = 0
    cache: CacheState = "miss"
    age_s: float = 0.0
    ttl_left_s: float = 0.0
    late_answer: "Callable[[], Awaitable[Answer[T_co]]] | None" = field(
        default=None, compare=False, repr=False
    )
    validity: Validity | None = field(default=None, compare=False, repr=False)

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,) if isinstance(self.source, str) else self.source

    def carrying(self, data: T, *warnings: str) -> "Answer[T]":
        """The same provenance with other `data` and further `warnings`."""
        changed = replace(self, data=data, warnings=(*self.warnings, *warnings), late_answer=None)  # type: ignore[arg-type] # replace() can't change a type argument
        return cast("Answer[T]", changed)

    def converted(
        self,
        convert: "Callable[[Answer[T_co]], Answer[T]]",
        convert_late: "Callable[[Answer[T_co]], Answer[T]] | None" = None,
    ) -> "Answer[T]":
        """`convert` of this answer, and of the late one when it comes; with `convert_late` that is
        applied to the late one."""
        made, later = convert(self), self.late_answer
        if later is None:
            return made

        async def converted_later() -> "Answer[T]":
            return (convert_late or convert)(await later())

        return replace(made, late_answer=converted_later)

    def depending_on(self, validity: Validity | None) -> "Answer[T_co]":
        """Reusable only while `validity` holds too; None: not reusable."""
        own = self.validity
        combined = CombinedValidity(validity, own) if validity and own else None
        return replace(self, validity=combined)


#: `replace` of an Answer, for each tick and each reader.
replaced: Callable[..., Answer[Any]] = replacing(Answer)


class Source(Protocol[Q_contra, T_co]):
    """Anything that answers: one provider, the manager over many, the cache in front."""

    async def fetch(self, query: Q_contra) -> "Answer[T_co]":
        """Raises GatewayError (above the manager) or ProviderError (a single provider)."""
