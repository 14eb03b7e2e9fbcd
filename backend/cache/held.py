"""What an answer that may be given again depends on: its entry in the cache."""

from backend.clock import Clock
from backend.models.counters import CacheCounters


class Held:
    """An entry of the cache, as those know it who give it again."""

    __slots__ = ("__weakref__", "_counters", "_monotonic", "_stored_at", "is_replaced", "until")

    def __init__(
        self, clock: Clock, counters: CacheCounters, stored_at: float, until: float
    ) -> None:
        self._monotonic = clock.monotonic
        self._counters = counters
        self._stored_at = stored_at
        self.until = until
        self.is_replaced = False

    def current_age_s(self) -> float | None:
        now = self._monotonic()
        return None if self.is_replaced or now >= self.until else now - self._stored_at

    def note_hit(self) -> None:
        self._counters.hits += 1
