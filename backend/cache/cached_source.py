"""The cache in front of a source: RFC 5861's stale answers, request coalescing, refresh ahead."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Generic
from weakref import ref

from backend.cache.cached_answers import CachedAnswers, Entry
from backend.cache.freshness import (
    EntryState,
    EntryValidity,
    Freshness,
    SharedAnswer,
    state_of,
)
from backend.cache.refreshes import Failure, Failures, SingleFlight, reason_of, tried_in
from backend.cache.ttl_cache import TTLCache
from backend.clock import Clock
from backend.errors import AllProvidersFailed, DeadlineExceeded, GatewayError, ProviderError
from backend.events import EventSink
from backend.models.answer import Answer, CacheCounters, CacheState, Q, Source, T, replaced

#: Refreshes running at once. Each holds memory until a provider answers or its deadline passes;
#: beyond this, a query without any cached answer is refused.
MOST_REFRESHES = 1_000
#: The longest wait for a fresh answer while a stale one is at hand, in seconds.
STALE_WAIT_S = 1.2
#: `watch` asks again after this when there is no answer, or only an expired one, in seconds.
WATCH_RETRY_S = 1.0


class CachedSource(Generic[Q, T]):
    """Answers queries from the cache and refreshes it from `source`.

    A refresh runs in its own task: all readers of a query share it, and a reader that leaves does
    not cancel it. Readers wait at most `deadline_s`; `aclose` cancels the refreshes still running.
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
        budget_interval_s: Callable[[Q], float] = lambda _query: 0.0,
        save: Callable[[Q, Answer[T]], None] = lambda _query, _answer: None,
        adopt: Callable[[Answer[T]], None] = lambda _answer: None,
        refresh_share: Callable[[], float] = lambda: 1.0,
        on_refresh: Callable[[Q], None] = lambda _query: None,
    ) -> None:
        """`budget_interval_s`: the shortest interval between refreshes of a query that the
        providers' budgets can sustain, in seconds. `save` receives each new answer, to persist it.
        `adopt` receives each answer that another process fetched, so that the source can rebuild
        its own state from it. `refresh_share`: the share of its TTL after which a read answer is
        refreshed ahead; drawn for each answer, so that many are not due at once. `on_refresh` is
        called after each refresh that stored an answer of the source."""
        self._source = source
        self._cache = cache
        self._clock = clock
        self._answers = CachedAnswers(
            cache,
            clock,
            freshness=freshness,
            budget_interval_s=budget_interval_s,
            refresh_share=refresh_share,
        )
        self._deadline_s = deadline_s
        self._save = save
        self._adopt = adopt
        self._on_refresh = on_refresh
        self._refreshes: SingleFlight[Q, Entry[T]] = SingleFlight("refresh")
        self._late_answers: SingleFlight[int, None] = SingleFlight("late answer")
        self._failures = Failures(clock, emit)
        self._is_closed = False
        self.counters = CacheCounters()

    def __repr__(self) -> str:
        return f"<CachedSource {self._cache!r} {len(self._refreshes)} refreshing>"

    def __len__(self) -> int:
        return len(self._cache)

    @property
    def newest(self) -> Answer[T] | None:
        """The answer stored last, None once it may not be served. Does not count as a read."""
        return self._peek(self._answers.usable(self._answers.newest))

    def newest_to(self, query: Q) -> Answer[T] | None:
        """As `newest`, of the answers to `query`."""
        return self._peek(self._answers.newest_to(query))

    def _peek(self, entry: Entry[T] | None) -> Answer[T] | None:
        if entry is None:
            return None
        return self._view(entry, "stale" if entry.value.stale else "hit")

    async def fetch(self, query: Q) -> Answer[T]:
        """Fresh, or stale and flagged. Raises SourceUnavailable or DeadlineExceeded."""
        entry, failure = await self._cache.get(query), self._failures.in_force(query)
        state = state_of(entry, failure, self._clock.monotonic())
        if entry is None:  # EntryState.MISS
            return await self._first_answer(query, failure)
        match state:
            case EntryState.REFRESH_AHEAD | EntryState.STALE_WHILE_REVALIDATE:
                self._refresh(query)
            case EntryState.STALE:
                return await self._fresh_or_stale(query, entry)
            case EntryState.STALE_IF_ERROR:
                return await self._serve_stale(query, entry, failure.error if failure else None)
        return self._serve(entry)

    async def costs_a_call(self, query: Q) -> bool:
        """True if `fetch` would start a refresh: no fresh answer is cached, no refresh is running
        and no failure forbids one."""
        entry = await self._cache.get(query)
        if query in self._refreshes or self._failures.in_force(query):
            return False
        return entry is None or self._clock.monotonic() > entry.fresh_until

    async def watch(
        self, ask: Callable[[], Awaitable[tuple[Q, Answer[T]]]]
    ) -> AsyncGenerator[Answer[T] | GatewayError]:
        """Each new answer, or the error while there is none, until the source is closed. The
        answers are for all readers alike: what is computed for each one says nothing in them.

        `ask` fetches the answer from this source and returns it with its query, which may differ
        from call to call. It is called again when the answer was superseded or has expired.
        """
        seen = 0
        while not self._is_closed:
            try:
                query, answer = await ask()
            except GatewayError as error:
                seen = 0
                yield error
                await asyncio.sleep(WATCH_RETRY_S)
                continue
            entry = self._cache.newest(query)
            if answer.refresh_id != seen:
                seen = answer.refresh_id
                yield answer
            wait_s = max(answer.ttl_left_s, WATCH_RETRY_S)
            if entry is None:  # evicted already
                await asyncio.sleep(wait_s)
            elif entry.value.refresh_id == seen:
                await entry.superseded.wait(wait_s)
                while update := self._update_of(entry):
                    entry, seen = update, update.value.refresh_id
                    self.counters.hits += 1
                    yield entry.value
                    wait_s = entry.fresh_until - self._clock.monotonic()
                    await entry.superseded.wait(wait_s if wait_s > 0 else WATCH_RETRY_S)

    def _update_of(self, entry: Entry[T]) -> Entry[T] | None:
        """The entry that `update` put in the place of `entry`: nothing else about it is new, so
        that nobody need ask. None if there is another one, or if a refresh is due."""
        newer = entry.superseded.swapped
        while newer is not None and newer.superseded.is_set:
            newer = newer.superseded.swapped
        if newer is None or self._is_closed or newer.value.stale:
            return None
        return newer if self._clock.monotonic() < newer.refresh_at else None

    async def update(
        self,
        query: Q,
        change: Callable[[Answer[T]], Answer[T] | None],
        *,
        is_fresh: bool = False,
    ) -> None:
        """Replaces the cached answer, if there is one, by `change` of it; None changes nothing.

        Its times stay, unless `is_fresh`: then it counts as refreshed now.
        """
        entry = self._cache.newest(query)
        if entry is None or self._clock.monotonic() >= entry.kept_until:
            return
        if (changed := change(entry.value)) is None:
            return
        if not is_fresh:
            await self._answers.swap(entry, changed)
            return
        self._failures.clear(query)
        tried = tuple(attempt for attempt in changed.tried if attempt.outcome == "ok")
        fresh = replace(changed, stale=False, stale_reason=None, tried=tried)
        await self._store_and_save(query, fresh)

    async def import_answer(self, query: Q, answer: Answer[T]) -> bool:
        """Stores an answer that another process fetched, at its age by the calendar.

        False if it is too old to be served or comes from the future; then nothing is stored.
        """
        age_s = (self._clock.now() - answer.fetched_at).total_seconds()
        freshness = self._answers.freshness(query, answer)
        is_usable = 0 <= age_s < max(freshness.ttl_s, freshness.max_stale_s)
        if is_usable:
            await self._answers.store(query, answer, age_s)
            self._adopt(answer)
        return is_usable

    def shared(self, query: Q) -> SharedAnswer[T] | None:
        """The cached answer with its times, for other processes; None where there is none."""
        return self._answers.shared(query)

    async def fetch_newer(self, query: Q, than_s: float | None) -> Answer[T]:
        """As `fetch`, but waits for a refresh that is due if the answer is not newer than `than_s`
        (epoch seconds): another process has that one."""
        answer = await self.fetch(query)
        if than_s is None or answer.fetched_at.timestamp() > than_s or answer.stale:
            return answer
        if query not in self._refreshes:
            return answer
        refresh = self._refresh(query)
        await asyncio.wait({refresh}, timeout=self._deadline_s)
        return await self.fetch(query)

    def end_pauses(self) -> None:
        """Queries that failed may be refreshed at once."""
        self._failures.end_pauses()

    def failure(self, query: Q) -> Exception | None:
        """Why the last refresh failed, while that forbids another one."""
        failure = self._failures.in_force(query)
        return failure.error if failure else None

    async def adopt(self, query: Q, shared: SharedAnswer[T]) -> Answer[T] | None:
        """Stores what another process fetched, with the times that it has there, unless a newer
        answer is cached. Returns the cached answer; None for one that is too old to be served.

        A fresh answer takes the place of an expired one in any case: `fetched_at` is by the clock
        of the machine that fetched it, and that one's may have been ahead.
        """
        entry, now = self._answers.newest_to(query), self._clock.monotonic()
        if entry:
            ahead = entry.value.fetched_at - shared.answer.fetched_at
            is_fresh_one = shared.age_s < shared.ttl_s and now > entry.fresh_until
            if not ahead or (ahead > timedelta() and not is_fresh_one):
                return entry.value
        keep_s = self._answers.freshness(query, shared.answer).max_stale_s
        if shared.age_s >= max(shared.ttl_s, keep_s):
            return None
        if shared.age_s < shared.ttl_s:
            self._failures.clear(query)
        stored = await self._answers.store_as(query, shared, keep_s)
        self._adopt(stored.value)
        self._save(query, stored.value)
        return stored.value

    async def aclose(self) -> None:
        """Cancels running refreshes and ends every `watch`; no answer may be reused afterwards."""
        self._is_closed = True
        self._cache.close()
        await asyncio.gather(self._refreshes.aclose(), self._late_answers.aclose())

    async def _first_answer(self, query: Q, failure: Failure | None) -> Answer[T]:
        """State MISS: waits for the refresh until the deadline."""
        if failure is not None:
            raise failure.error.with_traceback(None)  # else it grows with each reader
        self.counters.misses += 1
        self.counters.joined += query in self._refreshes
        if query not in self._refreshes and len(self._refreshes) >= MOST_REFRESHES:
            raise AllProvidersFailed(f"{MOST_REFRESHES} other queries are waiting for providers")
        refresh = self._refresh(query, is_urgent=True)
        await asyncio.wait({refresh}, timeout=self._deadline_s)
        if not refresh.done():
            raise DeadlineExceeded(f"no answer within {self._deadline_s:g} s")
        error = refresh.exception()
        if isinstance(error, GatewayError) and (entry := await self._cache.get(query)):
            return await self._serve_stale(query, entry, error)  # another process had an old one
        return self._view(refresh.result(), "miss")

    async def _fresh_or_stale(self, query: Q, entry: Entry[T]) -> Answer[T]:
        """State STALE: waits for the refresh, but not for long."""
        self.counters.joined += query in self._refreshes
        refresh = self._refresh(query)
        await asyncio.wait({refresh}, timeout=min(STALE_WAIT_S, self._deadline_s))
        if not refresh.done():
            return await self._serve_stale(query, entry, None)
        error = refresh.exception()
        if error is None:
            self.counters.misses += 1
            return self._view(refresh.result(), "miss")
        if not isinstance(error, GatewayError):
            raise error
        return await self._serve_stale(query, entry, error)

    def _refresh(self, query: Q, *, is_urgent: bool = False) -> asyncio.Task[Entry[T]]:
        """The running refresh of `query`, started now if there is none."""
        asked = replace(query, is_urgent=is_urgent)
        return self._refreshes.join(query, lambda: self._fetch_and_store(asked))

    async def _fetch_and_store(self, query: Q) -> Entry[T]:
        try:
            answer = await self._source.fetch(query)
        except Exception as error:  # of any kind: even a bug must not cost a call for each reader
            self._failures.record(query, error)
            raise
        self._failures.clear(query)
        if answer.refresh_id:  # `adopt` has stored it
            return self._cache.newest(query) or await self._answers.store(query, answer)
        entry = await self._store_and_save(query, answer)
        self._on_refresh(query)
        if late := answer.late_answer:
            self._late_answers.join(entry.value.refresh_id, lambda: self._store_late(query, late))
        return entry

    async def _store_late(self, query: Q, late: Callable[[], Awaitable[Answer[T]]]) -> None:
        """Stores the slower answer of a hedged call, unless a newer one is cached by then."""
        with suppress(ProviderError):  # recorded with its provider; readers have an answer
            answer = await late()
            entry = await self._cache.get(query)
            if entry is None or entry.value.fetched_at <= answer.fetched_at:
                await self._store_and_save(query, answer)
                self._on_refresh(query)

    async def _store_and_save(self, query: Q, answer: Answer[T]) -> Entry[T]:
        entry = await self._answers.store(query, answer)
        self._save(query, entry.value)
        return entry

    async def _serve_stale(self, query: Q, entry: Entry[T], error: Exception | None) -> Answer[T]:
        """The stale answer, flagged with the reason (None: a timeout). The flagged answer takes its
        place in the cache, so that all readers get the same one."""
        reason = reason_of(error) if error else "timeout"
        while entry.value.stale_reason != reason:
            tried = tried_in(error) or entry.value.tried
            flagged = replace(entry.value, stale=True, stale_reason=reason, tried=tried)
            entry = await self._answers.swap(entry, flagged)
            if self._clock.monotonic() <= entry.fresh_until:  # refreshed in the meantime
                break
        return self._serve(entry)

    def _serve(self, entry: Entry[T]) -> Answer[T]:
        if entry.value.stale:
            self.counters.stale_by_reason[str(entry.value.stale_reason)] += 1
            return self._view(entry, "stale")
        self.counters.hits += 1
        return self._view(entry, "hit")

    def _view(self, entry: Entry[T], cache: CacheState) -> Answer[T]:
        """The answer as one reader gets it now."""
        now = self._clock.monotonic()
        validity = EntryValidity(ref(entry), self._clock, self.counters)
        return replaced(
            entry.value,
            cache=cache,
            age_s=now - entry.stored_at,
            ttl_left_s=entry.fresh_until - now if now < entry.fresh_until else 0.0,
            validity=None if entry.value.stale else validity,
        )
