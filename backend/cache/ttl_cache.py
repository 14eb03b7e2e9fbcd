"""TTLCache: bounded, locked, a time to live per entry; expired entries may be kept as stale."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from backend.clock import Clock

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class CacheEntry(Generic[V]):
    """A value with its times on Clock.monotonic(): when stored, till when fresh, till when kept."""

    value: V
    stored_at: float
    fresh_until: float
    kept_until: float


class TTLCache(Generic[V]):
    """Bounded: the sizes of all entries stay within `capacity`, the least used goes first.

    Without `size` each entry counts one. All changes pass one asyncio lock, so that a store with
    I/O can take this one's place.
    """

    def __init__(
        self, clock: Clock, capacity: int, size: Callable[[V], int] = lambda _value: 1
    ) -> None:
        self._clock = clock
        self._capacity = capacity
        self._size = size
        self._used = 0
        self._entries: OrderedDict[Hashable, CacheEntry[V]] = OrderedDict()
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<TTLCache {len(self._entries)} entries, {self._used}/{self._capacity}>"

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: Hashable) -> CacheEntry[V] | None:
        """The entry, fresh or kept as stale; None when there is none any more."""
        async with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if self._clock.monotonic() >= entry.kept_until:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return entry

    async def set(
        self, key: Hashable, value: V, ttl_s: float, keep_s: float = 0.0, *, age_s: float = 0.0
    ) -> CacheEntry[V]:
        """Stores `value`: fresh for `ttl_s`, kept for `keep_s` if that is longer.

        One that is `age_s` old already has so much less of both before it.
        """
        born = self._clock.monotonic() - age_s
        entry = CacheEntry(value, born, born + ttl_s, born + max(ttl_s, keep_s))
        async with self._lock:
            self._drop(key)
            self._entries[key] = entry
            self._used += self._size(value)
            while self._used > self._capacity:
                self._drop(next(iter(self._entries)))
        return entry

    async def restate(self, key: Hashable, entry: CacheEntry[V], value: V) -> CacheEntry[V]:
        """Puts another value in `entry`'s place, its times unchanged.

        Returns what stands there then: where somebody was quicker, theirs.
        """
        async with self._lock:
            return self._swap(key, entry, replace(entry, value=value))

    def _swap(self, key: Hashable, entry: CacheEntry[V], restated: CacheEntry[V]) -> CacheEntry[V]:
        held = self._entries.get(key, entry)
        if held is not entry:
            return held
        if key in self._entries:
            self._used += self._size(restated.value) - self._size(entry.value)
            self._entries[key] = restated
        return restated

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._used -= self._size(entry.value)
