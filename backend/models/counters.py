"""Counters of a cached source. Plain numbers, as the cache hit path is hot; read at a scrape."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class CacheCounters:
    """`joined` counts readers that waited for a refresh which another reader had started."""

    hits: int = 0
    misses: int = 0
    joined: int = 0
    stale_by_reason: Counter[str] = field(default_factory=Counter)

    @property
    def stale_served(self) -> int:
        return self.stale_by_reason.total()
