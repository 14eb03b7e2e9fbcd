"""What every floor returns: data with its provenance, and the protocol they all share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar, Generic, Literal, Protocol, TypeVar, cast

U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)
Q_contra = TypeVar("Q_contra", bound="Query[object]", contravariant=True)

CacheState = Literal["hit", "miss", "stale"]


@dataclass(frozen=True)
class Query(Generic[T_co]):
    """A question in our own words: hashable, its own cache key. `T_co` is what answers it.

    `is_urgent`: readers wait and there is nothing else to give them, so that a second provider
    may be asked beside a slow first. It is no part of what is asked.
    """

    category: ClassVar[str]
    #: One question for all readers: its refreshes come before questions that readers choose.
    is_shared: ClassVar[bool] = True
    #: Nothing in it is a reader's choice: it cannot be at fault, whoever refuses it is.
    is_fixed: ClassVar[bool] = False
    is_urgent: bool = field(default=False, compare=False, repr=False, kw_only=True)

    @property
    def subject(self) -> str:
        """The question in words, for a reader."""
        return self.category

    @property
    def series(self) -> str | None:
        """Names a series that must not change hands needlessly; None for plain questions."""
        return None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider's part in a refresh: `outcome` is `ok` or a reason of the contract."""

    provider: str
    outcome: str
    latency_ms: float | None


class Hold(Protocol):
    """What stands behind an answer that may be given again, unasked, while it is current."""

    def current_age_s(self) -> float | None:
        """Seconds since it was told; None once a refresh brought something else, or is due."""

    def note_hit(self) -> None:
        """It was given again: that counts as a read."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """Data with its provenance.

    All but `cache` and `age_s` describe one refresh and are the same for every reader until the
    next; `refresh_id` tells two refreshes apart (0: not yet through a cache). `source` is the
    provider, or the providers of an answer that was merged. `later` waits for what another
    provider was asked at the same time, or raises as a source does; it too is worth keeping.
    `holds` are all that it depends on, its own data's last; none where it may not be given again.
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
    later: "Callable[[], Awaitable[Answer[T_co]]] | None" = field(
        default=None, compare=False, repr=False
    )
    holds: tuple[Hold, ...] = field(default=(), compare=False, repr=False)

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,) if isinstance(self.source, str) else self.source

    def carrying(self, data: U, *warnings: str) -> "Answer[U]":
        """The same provenance around other data, with more to warn of."""
        changed = replace(self, data=data, warnings=(*self.warnings, *warnings), later=None)  # type: ignore[arg-type] # replace() can't change a type argument
        return cast("Answer[U]", changed)


class Source(Protocol[Q_contra, T_co]):
    """Anything that answers: one provider, the manager over many, the cache in front."""

    async def fetch(self, query: Q_contra) -> "Answer[T_co]":
        """Raises GatewayError (above the manager) or ProviderError (a single provider)."""
