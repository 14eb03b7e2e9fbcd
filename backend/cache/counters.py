"""What a cached source counts, plainly: the hit path is hot, so readers of these come to them."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class CacheCounters:
    """`joined` are readers who waited for a refresh that another one had begun."""

    hits: int = 0
    misses: int = 0
    joined: int = 0
    stale_by_reason: Counter[str] = field(default_factory=Counter)

    @property
    def stale_served(self) -> int:
        return self.stale_by_reason.total()
