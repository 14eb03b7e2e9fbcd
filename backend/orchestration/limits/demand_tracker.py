"""Which queries a provider answers repeatedly: they share its daily or monthly budget."""

from collections import Counter, OrderedDict
from typing import Any, NamedTuple

from backend.clock import Clock
from backend.models.answer import Query

#: A query is in demand if it was answered within this many of its intervals, but at least within
#: `MIN_DEMAND_S` seconds.
DEMAND_INTERVALS, MIN_DEMAND_S = 2.0, 600.0
#: Queries that are remembered; the oldest is dropped first.
MAX_QUERIES = 1_024
#: A query is recurrent if its last two answers lie no further apart than this, in seconds.
RECURRENT_S = 6 * 3_600.0


class LastAnswer(NamedTuple):
    """When a query was answered last (monotonic), and whether it was recurrent then."""

    at: float
    is_recurrent: bool


class DemandTracker:
    """Remembers when each query was answered last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: OrderedDict[Query[Any], LastAnswer] = OrderedDict()

    def __repr__(self) -> str:
        return f"<DemandTracker {len(self._asked)}>"

    def record(self, query: Query[Any]) -> None:
        now, before = self._clock.monotonic(), self._asked.get(query)
        is_recurrent = before is not None and now - before.at <= RECURRENT_S
        self._asked[query] = LastAnswer(now, is_recurrent)
        self._asked.move_to_end(query)
        if len(self._asked) > MAX_QUERIES:
            self._asked.popitem(last=False)

    def is_recurrent(self, query: Query[Any]) -> bool:
        """True when the query was answered at least twice lately: not a single client's whim."""
        asked = self._asked.get(query)
        return asked is not None and asked.is_recurrent and self._is_within(asked, RECURRENT_S)

    def interval_factor(self, interval_s: float, query: Query[Any]) -> int:
        """How many intervals lie between two refreshes of `query`, where the budget affords one
        call per `interval_s`. Recurrent queries share the budget evenly; but queries that all
        readers share have at least half of it, however many series are in demand."""
        counts = Counter({query.is_shared: 1})  # queries in demand
        # The newest first: each one makes the intervals longer.
        for other, asked in reversed(self._asked.items()):
            if other == query or not asked.is_recurrent:
                continue
            if not self._is_within(asked, DEMAND_INTERVALS * (counts.total() + 1) * interval_s):
                break
            counts[other.is_shared] += 1
        shared, series = counts[True], counts[False]
        if query.is_shared:
            return min(shared + series, 2 * shared)
        return max(shared + series, 2 * series) if shared else series

    def _is_within(self, asked: LastAnswer, seconds: float) -> bool:
        return self._clock.monotonic() - asked.at <= max(MIN_DEMAND_S, seconds)
