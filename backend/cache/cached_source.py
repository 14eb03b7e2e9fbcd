"""The cache in front of a source: fresh, single flight, stale while revalidating or on error."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from backend.cache.failures import Failures, reason_of, tried_in
from backend.cache.freshness import Freshness
from backend.cache.held import Held
from backend.cache.ttl_cache import CacheEntry, TTLCache
from backend.clock import Clock
from backend.errors import AllProvidersFailed, DeadlineExceeded, GatewayError, ProviderError
from backend.events import EventSink, RefreshFailing
from backend.models.answer import Answer, CacheState, Query, Source
from backend.models.counters import CacheCounters

Q = TypeVar("Q", bound=Query[Any])
T = TypeVar("T")

#: Refreshes of different questions under way at once. Beyond, a question without any answer at hand
#: is refused: each holds memory until a provider answers or the deadline is over.
MOST_FLIGHTS = 1_000
#: With a stale answer at hand nobody waits longer than this for a fresh one, in seconds.
PATIENCE_S = 1.2


class CachedSource(Generic[Q, T]):
    """Answers from the cache; refreshes in detached tasks that no reader's leaving disturbs.

    `freshness` decides for each query and answer. Every flight ends within `deadline_s` plus
    what the source itself takes to notice; readers wait no longer than `deadline_s`.
    """

    def __init__(
        self,
        source: Source[Q, T],
        cache: TTLCache[Answer[T]],
        *,
        clock: Clock,
        emit: EventSink,
        freshness: Callable[[Q, Answer[T]], Freshness],
        deadline_s: float,
        affordable_s: Callable[[Q], float] = lambda _query: 0.0,
        keep: Callable[[Q, Answer[T]], None] = lambda _query, _answer: None,
        ahead: Callable[[], float] = lambda: 1.0,
    ) -> None:
        """`affordable_s`: seconds between refreshes of a question that budgets afford for ever.
        `keep` is told each answer as it comes in, for the time after this process. `ahead`: after
        which share of its TTL an answer that is read is refreshed behind its reader's back; one
        that is another each time keeps many answers from being due together."""
        self._ahead = ahead
        self._affordable_s = affordable_s
        self._keep = keep
        self._source = source
        self._cache = cache
        self._clock = clock
        self._emit = emit
        self._freshness = freshness
        self._deadline_s = deadline_s
        self._flights: dict[Q, asyncio.Task[Answer[T]]] = {}
        self._later: set[asyncio.Task[None]] = set()
        self._failures = Failures(clock)
        self._refreshes = count(1)
        self._newest: CacheEntry[Answer[T]] | None = None
        #: Held by those who wait, and gone with them.
        self._watched: WeakValueDictionary[Q, asyncio.Event] = WeakValueDictionary()
        #: As long as the answers that have them.
        self._held: WeakValueDictionary[Q, Held] = WeakValueDictionary()
        self.counters = CacheCounters()

    def __repr__(self) -> str:
        return f"<CachedSource {self._cache!r} {len(self._flights)} in flight>"

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def newest(self) -> Answer[T] | None:
        """The last answer had, with its age, as long as it may be served; counts as no read."""
        entry = self._newest
        if entry is None or self._clock.monotonic() >= entry.kept_until:
            return None
        return self._dated(entry, "stale" if entry.value.stale else "hit")

    async def fetch(self, query: Q) -> Answer[T]:
        """Fresh, or stale and flagged. Raises SourceUnavailable or DeadlineExceeded."""
        entry = await self._cache.get(query)
        if entry is None:
            return await self._cold(query)
        now = self._clock.monotonic()
        if now <= entry.fresh_until:
            self._refresh_ahead(query, now)
            return self._hit(entry)
        if failure := self._failures.in_force(query):
            return await self._stale(query, entry, reason_of(failure.error), failure.error)
        is_under_way, flight = query in self._flights, self._flight(query)
        if now <= entry.fresh_until + self._freshness(query, entry.value).ttl_s:
            return self._hit(entry)
        self.counters.joined += is_under_way
        return await self._lukewarm(query, entry, flight)

    async def costs_a_call(self, query: Q) -> bool:
        """True where `fetch` would begin a refresh: no fresh answer is at hand, none is under way
        and the last failure does not forbid one."""
        entry = await self._cache.get(query)
        if query in self._flights or self._failures.in_force(query):
            return False
        return entry is None or self._clock.monotonic() > entry.fresh_until

    async def changed(self, query: Q, since: int) -> None:
        """Returns once something else is held for `query` than the answer of refresh `since`.

        Asks nobody; who wants fresh answers fetches them.
        """
        entry = await self._cache.get(query)
        if entry is None or entry.value.refresh_id == since:
            told = self._watched.setdefault(query, asyncio.Event())
            await told.wait()

    async def amend(
        self, query: Q, change: Callable[[Answer[T]], Answer[T] | None], *, renews: bool = False
    ) -> None:
        """What was told between two refreshes enters the answer that is held, if there is one.

        `change` gives the answer with it, or None to leave all as it is. With `renews` that is as
        good as a refresh: the answer is fresh again; else its times stay.
        """
        entry = await self._cache.get(query)
        amended = change(entry.value) if entry else None
        if entry is None or amended is None:
            return
        if renews:
            good = tuple(attempt for attempt in amended.tried if attempt.outcome == "ok")
            self._note_success(query)
            renewed = replace(amended, stale=False, stale_reason=None, tried=good)
            self._keep(query, await self._store(query, renewed))
        else:
            await self._restate(query, entry, amended)

    async def recall(self, query: Q, answer: Answer[T]) -> bool:
        """What an earlier process was told takes its place, as old as it is by the calendar.

        False, and nothing is held, if it is too old to be served, or of a time to come.
        """
        age_s = (self._clock.now() - answer.fetched_at).total_seconds()
        freshness = self._freshness(query, answer)
        is_usable = 0 <= age_s < max(freshness.ttl_s, freshness.max_stale_s)
        if is_usable:
            await self._store(query, answer, age_s)
        return is_usable

    async def aclose(self) -> None:
        """Ends the flights still under way; nothing is given again from here on."""
        for held in list(self._held.values()):
            held.is_replaced = True
        flights = [*self._flights.values(), *self._later]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    async def _cold(self, query: Q) -> Answer[T]:
        """Nothing at hand: wait for the flight as long as a reader may wait at all."""
        if failure := self._failures.in_force(query):
            raise failure.error.with_traceback(None)  # else it grows with each reader
        self.counters.misses += 1
        self.counters.joined += query in self._flights
        if query not in self._flights and len(self._flights) >= MOST_FLIGHTS:
            raise AllProvidersFailed(f"{MOST_FLIGHTS} other questions wait for providers")
        flight = self._flight(query, is_urgent=True)
        await asyncio.wait({flight}, timeout=self._deadline_s)
        if not flight.done():
            raise DeadlineExceeded(f"no answer within {self._deadline_s:g} s")
        return flight.result()

    async def _lukewarm(
        self, query: Q, entry: CacheEntry[Answer[T]], flight: asyncio.Task[Answer[T]]
    ) -> Answer[T]:
        """An old answer at hand: wait a little for a fresh one."""
        await asyncio.wait({flight}, timeout=min(PATIENCE_S, self._deadline_s))
        if not flight.done():
            return await self._stale(query, entry, "timeout", None)
        error = flight.exception()
        if error is None:
            self.counters.misses += 1
            return flight.result()
        if not isinstance(error, GatewayError):
            raise error
        return await self._stale(query, entry, reason_of(error), error)

    def _refresh_ahead(self, query: Q, now: float) -> None:
        """What has readers is renewed before it expires, so that none of them waits."""
        held = self._held.get(query)
        if held is not None and now > held.until and not self._failures.in_force(query):
            self._flight(query)

    def _flight(self, query: Q, *, is_urgent: bool = False) -> asyncio.Task[Answer[T]]:
        """The one refresh of `query` under way, begun now if there is none."""
        flight = self._flights.get(query)
        if flight is None:
            asked = replace(query, is_urgent=is_urgent)
            flight = asyncio.create_task(self._refresh(asked), name=f"refresh {query}")
            self._flights[query] = flight
            flight.add_done_callback(lambda task: self._land(query, task))
        return flight

    def _land(self, query: Q, flight: asyncio.Task[Answer[T]]) -> None:
        self._flights.pop(query, None)
        if not flight.cancelled():
            flight.exception()  # seen, even if every reader has left

    async def _refresh(self, query: Q) -> Answer[T]:
        try:
            answer = await self._source.fetch(query)
        except Exception as error:  # a bug of ours must not cost an upstream call a reader either
            self._note_failure(query, error)
            raise
        self._note_success(query)
        if answer.late_answer:
            self._follow_up(query, answer.late_answer)
        answer = await self._store(query, answer)
        self._keep(query, answer)
        return answer

    def _follow_up(self, query: Q, later: Callable[[], Awaitable[Answer[T]]]) -> None:
        task = asyncio.create_task(self._take_later(query, later), name=f"later {query}")
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _take_later(self, query: Q, later: Callable[[], Awaitable[Answer[T]]]) -> None:
        """What a slower provider was paid for takes its place, unless that is newer by then."""
        with suppress(ProviderError):  # its health knows; the readers have an answer
            answer = await later()
            entry = await self._cache.get(query)
            if entry is None or entry.value.fetched_at <= answer.fetched_at:
                self._keep(query, await self._store(query, answer))

    async def _store(self, query: Q, answer: Answer[T], age_s: float = 0.0) -> Answer[T]:
        freshness = self._freshness(query, answer)
        affordable_s = self._affordable_s(query)
        ttl_s = max(freshness.ttl_s, min(affordable_s, freshness.max_stale_s))
        born = self._clock.monotonic() - age_s
        ahead_s = min(ttl_s, max(ttl_s * self._ahead(), affordable_s))
        held = Held(self._clock, self.counters, born, born + ahead_s)
        answer = replace(
            answer,
            refresh_id=next(self._refreshes),
            expires_at=answer.fetched_at + timedelta(seconds=ttl_s),
            ttl_left_s=ttl_s,
            late_answer=None,
            validity=held,
        )
        keep_s = freshness.max_stale_s
        self._newest = await self._cache.set(query, answer, ttl_s, keep_s, age_s=age_s)
        self._replace_held(query, held)
        self._tell_watchers(query)
        return answer

    async def _restate(
        self, query: Q, entry: CacheEntry[Answer[T]], answer: Answer[T]
    ) -> CacheEntry[Answer[T]]:
        """Another answer in the old one's place, its times unchanged."""
        last = self._held.get(query)
        until = last.until if last else entry.fresh_until
        held = Held(self._clock, self.counters, entry.stored_at, until)
        validity = None if answer.stale else held
        answer = replace(answer, refresh_id=next(self._refreshes), validity=validity)
        before, entry = entry, await self._cache.restate(query, entry, answer)
        if entry.value is answer:  # else somebody was quicker, and has said all this of theirs
            self._newest = entry if self._newest is before else self._newest
            self._replace_held(query, held)
            self._tell_watchers(query)
        return entry

    def _replace_held(self, query: Q, held: Held) -> None:
        if before := self._held.get(query):
            before.is_replaced = True
        self._held[query] = held

    def _tell_watchers(self, query: Q) -> None:
        if watched := self._watched.pop(query, None):
            watched.set()

    def _note_success(self, query: Q) -> None:
        if self._failures.forget(query):
            self._emit(RefreshFailing(self._clock.now(), query.category, query.subject, None))

    def _note_failure(self, query: Q, error: Exception) -> None:
        if self._failures.note(query, error):
            now, reason = self._clock.now(), reason_of(error)
            self._emit(RefreshFailing(now, query.category, query.subject, reason))

    async def _stale(
        self, query: Q, entry: CacheEntry[Answer[T]], reason: str, error: Exception | None
    ) -> Answer[T]:
        """The old answer, flagged; the flagged one takes its place, to be the same for all."""
        while entry.value.stale_reason != reason:
            flagged = replace(
                entry.value,
                stale=True,
                stale_reason=reason,
                tried=tried_in(error) or entry.value.tried,
            )
            entry = await self._restate(query, entry, flagged)
            if self._clock.monotonic() <= entry.fresh_until:  # renewed meanwhile
                return self._hit(entry)
        return self._aged(entry, "stale")

    def _hit(self, entry: CacheEntry[Answer[T]]) -> Answer[T]:
        return self._aged(entry, "stale" if entry.value.stale else "hit")

    def _aged(self, entry: CacheEntry[Answer[T]], cache: CacheState) -> Answer[T]:
        if cache == "stale":
            self.counters.stale_by_reason[str(entry.value.stale_reason)] += 1
        else:
            self.counters.hits += 1
        return self._dated(entry, cache)

    def _dated(self, entry: CacheEntry[Answer[T]], cache: CacheState) -> Answer[T]:
        now = self._clock.monotonic()
        return replace(
            entry.value,
            cache=cache,
            age_s=now - entry.stored_at,
            ttl_left_s=max(0.0, entry.fresh_until - now),
        )
