"""A mapping with a bound: the least recently used entry goes first; entries may expire."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from math import inf
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedMap(Generic[K, V]):
    """At most `most` entries. With `ttl_s` an entry is gone that many seconds after it was set."""

    def __init__(
        self, most: int, *, ttl_s: float = inf, timer: Callable[[], float] = lambda: 0.0
    ) -> None:
        """`timer` gives the time in seconds; without one nothing expires."""
        self._most = most
        self._ttl_s = ttl_s
        self._timer = timer
        #: Values with the time of their expiry, the least recently used first.
        self._entries: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<BoundedMap {len(self._entries)}/{self._most}>"

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return self.get(key) is not None

    def get(self, key: K) -> V | None:
        """The value, which counts as a use; None if there is none or it has expired."""
        value, expires_at = self._entries.get(key, (None, inf))
        if self._timer() >= expires_at:
            del self._entries[key]
            return None
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def __iter__(self) -> Iterator[K]:
        """The keys of entries that have not expired, the least recently used first."""
        now = self._timer()
        return (key for key, (_, expires_at) in list(self._entries.items()) if now < expires_at)

    def set(self, key: K, value: V, ttl_s: float | None = None) -> None:
        """`ttl_s` in place of the map's own."""
        self._entries[key] = value, self._timer() + (self._ttl_s if ttl_s is None else ttl_s)
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def pop_oldest(self) -> tuple[K, V]:
        """The least recently used entry. Raises KeyError if the map is empty."""
        key, (value, _) = self._entries.popitem(last=False)
        return key, value

    def pop(self, key: K) -> V | None:
        value, expires_at = self._entries.pop(key, (None, inf))
        return value if self._timer() < expires_at else None
