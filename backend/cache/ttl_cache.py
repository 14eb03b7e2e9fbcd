"""TTLCache: a bounded LRU store whose entries expire, and may be kept longer as stale ones."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from backend.clock import Clock

V = TypeVar("V")


class Superseded:
    """An event with a time-out: `asyncio.timeout` and `asyncio.Event` would take five times the
    calls, and each tick ends one wait and begins the next."""

    __slots__ = ("_waiting", "is_set", "swapped")

    def __init__(self) -> None:
        self.is_set = False
        #: The entry that `TTLCache.swap` put into the place of this one.
        self.swapped: CacheEntry[Any] | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    def set(self) -> None:
        self.is_set = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def wait(self, timeout_s: float) -> None:
        """Returns when it is set, or after `timeout_s`."""
        if self.is_set:
            return
        loop = asyncio.get_running_loop()
        waiting = loop.create_future()
        timer = loop.call_later(timeout_s, _wake, waiting)
        self._waiting.add(waiting)
        try:
            await waiting
        finally:
            timer.cancel()
            self._waiting.discard(waiting)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class CacheEntry(Generic[V]):
    """One stored value. A new value is a new entry, so the entry's identity is the version.

    Times are seconds on Clock.monotonic(). From `refresh_at` on, a read starts a refresh ahead;
    after `fresh_until` the value is stale; until `grace_until` it is still served without a wait
    (stale-while-revalidate); at `kept_until` it is dropped. `superseded` is set when another entry
    takes the place of this one, and when the cache closes; not when this one is evicted.
    """

    value: V
    stored_at: float
    refresh_at: float
    fresh_until: float
    grace_until: float
    kept_until: float
    key: Hashable
    superseded: Superseded = field(default_factory=Superseded, repr=False)


class TTLCache(Generic[V]):
    """Keeps the sizes of all entries within `capacity`; evicts the least recently used first.

    Without `size` each entry counts one. Reads and writes take one asyncio lock, so that a store
    with I/O can replace this one.
    """

    def __init__(self, clock: Clock, capacity: int, size: Callable[[V], int] | None = None) -> None:
        self._clock = clock
        self._capacity = capacity
        self._size = size
        self._used = 0
        self._entries: OrderedDict[Hashable, CacheEntry[V]] = OrderedDict()
        #: Entries that were dropped and have no successor, while something refers to them.
        self._dropped: WeakValueDictionary[Hashable, CacheEntry[V]] = WeakValueDictionary()
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<TTLCache {len(self._entries)} entries, {self._used}/{self._capacity}>"

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: Hashable) -> CacheEntry[V] | None:
        """The entry, fresh or stale; None if there is none or its `kept_until` has passed.

        An evicted entry is found as long as something refers to it, since it uses its memory: a
        stream may follow more series than the cache has room for.
        """
        async with self._lock:
            entry = self._entries.get(key)
            is_evicted = entry is None
            entry = self._dropped.get(key) if entry is None else entry
            if entry is None:
                return None
            if self._clock.monotonic() >= entry.kept_until:
                self._drop(key)
                return None
            if not is_evicted and len(self._entries) > 1:
                self._entries.move_to_end(key)
            return entry

    def newest(self, key: Hashable) -> CacheEntry[V] | None:
        """The entry stored last under `key`, even an evicted one that is still referred to, or one
        whose `kept_until` has passed."""
        return self._entries.get(key) or self._dropped.get(key)

    async def set(
        self,
        key: Hashable,
        value: V,
        ttl_s: float,
        keep_s: float = 0.0,
        *,
        age_s: float = 0.0,
        refresh_s: float | None = None,
        grace_s: float = 0.0,
    ) -> CacheEntry[V]:
        """Stores `value`: fresh for `ttl_s`, dropped after the longer of `keep_s` and `ttl_s`.

        A refresh ahead is due after `refresh_s` (default: `ttl_s`). The grace period follows the
        TTL. A value that is `age_s` old already has used up that much of each period.
        """
        stored_at = self._clock.monotonic() - age_s
        entry = CacheEntry(
            value,
            stored_at,
            refresh_at=stored_at + (ttl_s if refresh_s is None else refresh_s),
            fresh_until=stored_at + ttl_s,
            grace_until=stored_at + ttl_s + grace_s,
            kept_until=stored_at + max(ttl_s, keep_s),
            key=key,
        )
        async with self._lock:
            before = self.newest(key)
            self._drop(key)
            self._dropped.pop(key, None)
            self._entries[key] = entry
            self._used += self._size(value) if self._size else 1
            if before is not None:
                before.superseded.set()
            while self._used > self._capacity:
                self._drop(next(iter(self._entries)))
            return entry

    async def swap(self, entry: CacheEntry[V], value: V) -> CacheEntry[V]:
        """Replaces the value of `entry`, its times unchanged, if `entry` is still the current one.

        Returns the current entry afterwards: the new one, or the one that another task stored.
        """
        async with self._lock:
            if entry.superseded.is_set:
                return self.newest(entry.key) or entry
            swapped = CacheEntry(
                value,
                entry.stored_at,
                entry.refresh_at,
                entry.fresh_until,
                entry.grace_until,
                entry.kept_until,
                entry.key,
            )
            if entry.key in self._entries:  # the same object: no two queries are compared
                if self._size:
                    self._used += self._size(value) - self._size(entry.value)
                self._entries[entry.key] = swapped
                self._entries.move_to_end(entry.key)
            else:
                self._dropped[entry.key] = swapped
            entry.superseded.swapped = swapped
            entry.superseded.set()
            return swapped

    def close(self) -> None:
        """Marks every entry as superseded: answers made from them must not be reused."""
        for entry in (*self._entries.values(), *self._dropped.values()):
            entry.superseded.set()

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._used -= self._size(entry.value) if self._size else 1
            self._dropped[key] = entry
