"""How long answers are fresh, what a read of the cache finds, and when an answer may be reused."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Generic
from weakref import ReferenceType

from backend.cache.refreshes import Failure
from backend.cache.ttl_cache import CacheEntry
from backend.clock import Clock
from backend.models.answer import Answer, CacheCounters, Q, Query, T


@dataclass(frozen=True, slots=True)
class Freshness:
    """Seconds for which an answer is fresh, and its highest age when no fresh one is available."""

    ttl_s: float
    max_stale_s: float


@dataclass(frozen=True, slots=True)
class SharedAnswer(Generic[T]):
    """An answer as it is cached in one process, for the others: its age, the TTL, and the age at
    which a refresh ahead is due, in seconds."""

    answer: Answer[T]
    age_s: float
    ttl_s: float
    refresh_s: float


#: Gives the freshness of an answer to a query; the default one is that of the settings.
FreshnessRule = Callable[[Freshness, Q, Answer[T]], Freshness]


def constant(default: Freshness, _query: Query[Any], _answer: Answer[Any]) -> Freshness:
    return default


class EntryState(Enum):
    """The states of RFC 9111 (HTTP caching) and RFC 5861 (its stale extensions).

    FRESH: within the freshness lifetime (RFC 9111, 4.2); served.
    REFRESH_AHEAD: fresh, but the lifetime is almost over; served and refreshed in the background.
    STALE_WHILE_REVALIDATE: expired less than one TTL ago (RFC 5861, 3); served as a hit and
        refreshed in the background.
    STALE: expired longer ago; the reader waits briefly for a refresh, then gets it flagged.
    STALE_IF_ERROR: expired, and the last refresh failed (RFC 5861, 4); served flagged, and not
        refreshed before the failure's pause is over.
    MISS: nothing to serve; the reader waits for the first answer.
    """

    FRESH = auto()
    REFRESH_AHEAD = auto()
    STALE_WHILE_REVALIDATE = auto()
    STALE = auto()
    STALE_IF_ERROR = auto()
    MISS = auto()


def state_of(entry: CacheEntry[Any] | None, failure: Failure | None, now: float) -> EntryState:
    """`failure` is the one whose pause is not over; `now` is on Clock.monotonic()."""
    if entry is None:
        return EntryState.MISS
    if now <= entry.fresh_until:
        is_due = now > entry.refresh_at and failure is None
        return EntryState.REFRESH_AHEAD if is_due else EntryState.FRESH
    if failure is not None:
        return EntryState.STALE_IF_ERROR
    if now <= entry.grace_until:
        return EntryState.STALE_WHILE_REVALIDATE
    return EntryState.STALE


@dataclass(frozen=True, slots=True)
class EntryValidity:
    """An answer may be reused while its entry is current and no refresh is due.

    The reference is weak: prepared responses outlive their answers, and must not keep them alive.
    """

    entry: ReferenceType[CacheEntry[Any]]
    clock: Clock
    counters: CacheCounters

    def current_age_s(self) -> float | None:
        entry, now = self.entry(), self.clock.monotonic()
        if entry is None or entry.superseded.is_set or now >= entry.refresh_at:
            return None
        return now - entry.stored_at

    def note_hit(self) -> None:
        self.counters.hits += 1
