"""The cached answers of a source and their times: how long each is fresh, due, and kept."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Generic

from backend.cache.freshness import Freshness, SharedAnswer
from backend.cache.ttl_cache import CacheEntry, TTLCache
from backend.clock import Clock
from backend.models.answer import Answer, Q, T, replaced

Entry = CacheEntry[Answer[T]]


class CachedAnswers(Generic[Q, T]):
    """Stores answers with the times that freshness and budget give them, or another process."""

    def __init__(
        self,
        cache: TTLCache[Answer[T]],
        clock: Clock,
        *,
        freshness: Callable[[Q, Answer[T]], Freshness],
        budget_interval_s: Callable[[Q], float],
        refresh_share: Callable[[], float],
    ) -> None:
        """The arguments are those of CachedSource."""
        self._cache = cache
        self._clock = clock
        self._budget_interval_s = budget_interval_s
        self._refresh_share = refresh_share
        self._refresh_id = 0
        self.freshness = freshness
        #: The entry stored last.
        self.newest: Entry[T] | None = None

    def __repr__(self) -> str:
        return f"<CachedAnswers {self._cache!r}>"

    def usable(self, entry: Entry[T] | None) -> Entry[T] | None:
        """The entry, unless it may not be served any more."""
        return entry if entry and self._clock.monotonic() < entry.kept_until else None

    def newest_to(self, query: Q) -> Entry[T] | None:
        """The entry of `query` that may be served. Does not count as a read."""
        return self.usable(self._cache.newest(query))

    async def store(self, query: Q, answer: Answer[T], age_s: float = 0.0) -> Entry[T]:
        """With the times of this process."""
        freshness, interval_s = self.freshness(query, answer), self._budget_interval_s(query)
        ttl_s = max(freshness.ttl_s, min(interval_s, freshness.max_stale_s))
        refresh_s = min(ttl_s, max(ttl_s * self._refresh_share(), interval_s))
        shared = SharedAnswer(answer, age_s, ttl_s, refresh_s)
        return await self.store_as(query, shared, freshness.max_stale_s)

    async def store_as(self, query: Q, shared: SharedAnswer[T], keep_s: float) -> Entry[T]:
        """With given times; kept for `keep_s` seconds at least."""
        self._refresh_id += 1
        answer = replace(
            shared.answer,
            refresh_id=self._refresh_id,
            expires_at=shared.answer.fetched_at + timedelta(seconds=shared.ttl_s),
            ttl_left_s=shared.ttl_s,
            late_answer=None,
        )
        self.newest = await self._cache.set(
            query,
            answer,
            shared.ttl_s,
            keep_s,
            age_s=shared.age_s,
            refresh_s=shared.refresh_s,
            grace_s=self.freshness(query, answer).ttl_s,
        )
        return self.newest

    async def swap(self, entry: Entry[T], answer: Answer[T]) -> Entry[T]:
        """`entry` with another answer and the same times; or what was stored in the meantime."""
        self._refresh_id += 1
        answer = replaced(answer, refresh_id=self._refresh_id)
        current = await self._cache.swap(entry, answer)
        self.newest = current if self.newest is entry else self.newest
        return current

    def shared(self, query: Q) -> SharedAnswer[T] | None:
        """The answer with its times, for other processes; None where there is none."""
        entry = self.newest_to(query)
        if entry is None:
            return None
        return SharedAnswer(
            entry.value,
            age_s=self._clock.monotonic() - entry.stored_at,
            ttl_s=entry.fresh_until - entry.stored_at,
            refresh_s=entry.refresh_at - entry.stored_at,
        )
