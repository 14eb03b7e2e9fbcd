"""Failed refreshes, and when each query may be refreshed again (negative caching)."""

from dataclasses import dataclass
from typing import Any

from backend.bounded_map import BoundedMap
from backend.clock import Clock
from backend.errors import GatewayError, SourceUnavailable
from backend.events import EventSink, RefreshFailing
from backend.models.answer import Attempt, Query

#: The pause after a failed refresh, in seconds: doubles with each failure up to the longest.
PAUSE_S, LONGEST_PAUSE_S = 10.0, 60.0
#: A provider that recovers sooner shortens the pause, but not below this, in seconds.
SHORTEST_PAUSE_S = 1.0
#: Queries whose failure is remembered; the one that failed longest ago is forgotten first.
MOST_FAILURES = 1_024


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed refresh. The query is not refreshed before `retry_at` (monotonic seconds)."""

    error: Exception
    retry_at: float
    pause_s: float


class Failures:
    """The last failure of each query since its last success. Emits the first one and the end."""

    def __init__(self, clock: Clock, emit: EventSink) -> None:
        self._clock = clock
        self._emit = emit
        self._by_query: BoundedMap[Query[Any], Failure] = BoundedMap(MOST_FAILURES)

    def __repr__(self) -> str:
        return f"<Failures {len(self._by_query)}/{MOST_FAILURES}>"

    def record(self, query: Query[Any], error: Exception) -> None:
        previous = self._by_query.get(query)
        pause_s = min(LONGEST_PAUSE_S, previous.pause_s * 2) if previous else PAUSE_S
        wait_s = pause_s
        if isinstance(error, SourceUnavailable) and error.retry_at is not None:
            # A longer pause than Retry-After would make that header wrong.
            recovery_s = (error.retry_at - self._clock.now()).total_seconds()
            wait_s = min(pause_s, max(SHORTEST_PAUSE_S, recovery_s))
        self._by_query.set(query, Failure(error, self._clock.monotonic() + wait_s, pause_s))
        if previous is None:
            self._emit_change(query, reason_of(error))

    def clear(self, query: Query[Any]) -> None:
        """A refresh succeeded."""
        if self._by_query.pop(query):
            self._emit_change(query, None)

    def in_force(self, query: Query[Any]) -> Failure | None:
        """The failure that forbids a refresh of `query` now."""
        failure = self._by_query.get(query)
        return failure if failure and self._clock.monotonic() < failure.retry_at else None

    def _emit_change(self, query: Query[Any], reason: str | None) -> None:
        self._emit(RefreshFailing(self._clock.now(), query.category, query.subject, reason))


def reason_of(error: Exception) -> str:
    """The contract's word for it; `internal_error` for a bug in the gateway."""
    return error.reason if isinstance(error, GatewayError) else "internal_error"


def tried_in(error: Exception | None) -> tuple[Attempt, ...]:
    """The providers that were called before `error`."""
    return error.tried if isinstance(error, SourceUnavailable) else ()
