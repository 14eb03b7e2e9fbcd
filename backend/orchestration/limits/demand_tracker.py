"""Which queries a provider answers repeatedly: they share its daily or monthly budget."""

from collections import OrderedDict
from collections.abc import Iterable
from math import inf
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
#: Largest part of a budget that is kept for the queries that all readers share.
SHARED_PART = 0.5
#: Steps towards the interval at which the budget is used up, and the change that ends them.
MOST_STEPS, LEAST_CHANGE = 50, 0.001


class LastAnswer(NamedTuple):
    """When a query was answered last (monotonic), whether it was recurrent then, and the seconds
    since the answer before."""

    at: float
    is_recurrent: bool
    gap_s: float


class Demand(NamedTuple):
    """One query in demand: its weight, and the part of the budget that it used lately."""

    is_shared: bool
    weight: float
    part: float


class DemandTracker:
    """Remembers when each query was answered last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: OrderedDict[Query[Any], LastAnswer] = OrderedDict()

    def __repr__(self) -> str:
        return f"<DemandTracker {len(self._asked)}>"

    def record(self, query: Query[Any]) -> None:
        key = query.budget_key
        now, before = self._clock.monotonic(), self._asked.get(key)
        gap_s = now - before.at if before else inf
        self._asked[key] = LastAnswer(now, gap_s <= RECURRENT_S, gap_s)
        self._asked.move_to_end(key)
        if len(self._asked) > MAX_QUERIES:
            self._asked.popitem(last=False)

    def is_recurrent(self, query: Query[Any]) -> bool:
        """True when the query was answered at least twice lately: not a single client's whim."""
        asked = self._asked.get(query.budget_key)
        return asked is not None and asked.is_recurrent and self._is_within(asked, RECURRENT_S)

    def answered_s_ago(self, query: Query[Any]) -> float:
        """Seconds since the last answer; infinite without one."""
        asked = self._asked.get(query.budget_key)
        return self._clock.monotonic() - asked.at if asked else inf

    def interval_factor(self, interval_s: float, query: Query[Any], reserved: float = 0.0) -> float:
        """How many intervals lie between two refreshes of `query`, where the budget affords one
        call per `interval_s`.

        Recurrent queries share the budget by weight (max-min fairness): one that needs less than
        its share leaves the rest to the others. But queries that all readers share have at least
        half of it, if they need it, however many series are in demand.

        `reserved`: the part of the budget that others use. Series leave it to them; queries that
        all readers share give nothing up.
        """
        others, own = self._in_demand(interval_s, query.budget_key), query.budget_weight
        factor = 2 * (own + sum(other.weight for other in others))
        for _ in range(MOST_STEPS):
            shared, series = (_used(others, factor, is_shared=flag) for flag in (True, False))
            if query.is_shared:
                shared += own
                found = min(shared + series, shared / SHARED_PART)
            else:
                series += own
                needed = sum(other.part for other in others if other.is_shared)
                left = 1 - min(SHARED_PART, needed) - reserved
                found = max((shared + series) / (1 - reserved), series / left)
            is_found, factor = found >= (1 - LEAST_CHANGE) * factor, found
            if is_found:
                break
        return factor / own

    def _in_demand(self, interval_s: float, key: Query[Any]) -> list[Demand]:
        """The other queries in demand. The newest first: each one makes the intervals longer."""
        found: list[Demand] = []
        for other, asked in reversed(self._asked.items()):
            if other == key or not asked.is_recurrent:
                continue
            if not self._is_within(asked, DEMAND_INTERVALS * (len(found) + 2) * interval_s):
                break
            part = interval_s / asked.gap_s if asked.gap_s else inf
            found.append(Demand(other.is_shared, other.budget_weight, part))
        return found

    def _is_within(self, asked: LastAnswer, seconds: float) -> bool:
        return self._clock.monotonic() - asked.at <= max(MIN_DEMAND_S, seconds)


def _used(queries: Iterable[Demand], factor: float, *, is_shared: bool) -> float:
    """Calls of these queries in `factor` intervals, none more than its weight."""
    return sum(
        min(query.weight, factor * query.part) for query in queries if query.is_shared is is_shared
    )
