"""Refreshes under way, which callers share (request coalescing), and failed ones, after which a
query is not refreshed at once (negative caching)."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from backend.bounded_map import BoundedMap
from backend.clock import Clock
from backend.errors import GatewayError, SourceUnavailable
from backend.events import EventSink, RefreshFailing
from backend.models.answer import Attempt, Query

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

#: The pause after a failed refresh, in seconds: doubles with each failure up to the longest.
PAUSE_S, LONGEST_PAUSE_S = 10.0, 60.0
#: A provider that recovers sooner shortens the pause, but not below this, in seconds.
SHORTEST_PAUSE_S = 1.0
#: Queries whose failure is remembered; the one that failed longest ago is forgotten first.
MOST_FAILURES = 1_024


class SingleFlight(Generic[K, V]):
    """At most one running task for each key. A caller that stops waiting does not cancel it."""

    def __init__(self, name: str) -> None:
        """`name` is the first word of the tasks' names."""
        self._name = name
        self._tasks: dict[K, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, key: K) -> bool:
        return key in self._tasks

    def join(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> asyncio.Task[V]:
        """The running task of `key`; if there is none, `work` is started."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work(), name=f"{self._name} {key}")
            task.add_done_callback(lambda done: self._forget(key, done))
        return task

    async def aclose(self) -> None:
        """Cancels what is running."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, key: K, task: asyncio.Task[V]) -> None:
        self._tasks.pop(key, None)
        if not task.cancelled():
            task.exception()  # retrieved, even if every caller has left


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

    def end_pauses(self) -> None:
        """Other providers can be asked now than those that failed."""
        for query in list(self._by_query):
            failure = self._by_query.get(query)
            assert failure, "it has no time after which it is forgotten"
            self._by_query.set(query, replace(failure, retry_at=self._clock.monotonic()))

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
