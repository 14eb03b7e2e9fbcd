"""Which questions a provider is asked again and again, and so have to share its budget."""

from collections import OrderedDict
from typing import Any, NamedTuple

from backend.clock import Clock
from backend.models.answer import Query

#: Asked longer ago than so many of its turns, a question is not asked again and again.
TURNS = 2.0
#: However scarce: a question of an hour ago may be forgotten.
LEAST_S, MOST_REMEMBERED = 600.0, 1_024
#: A question is recurrent if its last two answers lie no further apart than this, in seconds.
RECURRENT_S = 6 * 3_600.0


class Asked(NamedTuple):
    """When a question was answered last, and whether that was again."""

    at: float
    is_recurrent: bool


class DemandTracker:
    """When each was last answered; bounded, the oldest goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: OrderedDict[Query[Any], Asked] = OrderedDict()

    def __repr__(self) -> str:
        return f"<DemandTracker {len(self._asked)}>"

    def record(self, query: Query[Any]) -> None:
        now, before = self._clock.monotonic(), self._asked.get(query)
        is_recurrent = before is not None and now - before.at <= RECURRENT_S
        self._asked[query] = Asked(now, is_recurrent)
        self._asked.move_to_end(query)
        if len(self._asked) > MOST_REMEMBERED:
            self._asked.popitem(last=False)

    def is_recurrent(self, query: Query[Any]) -> bool:
        """True when it was answered at least twice lately: more than one reader's whim."""
        asked = self._asked.get(query)
        return asked is not None and asked.is_recurrent and self._is_within(asked, RECURRENT_S)

    def interval_factor(self, interval_s: float, query: Query[Any]) -> int:
        """In which turn `query` is refreshed, where the budget affords a call each `interval_s`:
        every first, every third ... Recurrent questions share the turns evenly, but those that
        are one for all readers have half of them, however many series are asked for."""
        shared, series = self._counts(interval_s, query)
        if query.is_shared:
            return min(shared + series, 2 * shared)
        return max(shared + series, 2 * series) if shared else series

    def _counts(self, interval_s: float, query: Query[Any]) -> tuple[int, int]:
        """How many recurrent questions there are, `query` among them: shared ones, and others."""
        counts = {True: 0, False: 0, query.is_shared: 1}
        for other, asked in reversed(self._asked.items()):  # newest first: each lengthens turns
            if other == query or not asked.is_recurrent:
                continue
            if not self._is_within(asked, TURNS * (sum(counts.values()) + 1) * interval_s):
                break
            counts[other.is_shared] += 1
        return counts[True], counts[False]

    def _is_within(self, asked: Asked, seconds: float) -> bool:
        return self._clock.monotonic() - asked.at <= max(LEAST_S, seconds)
