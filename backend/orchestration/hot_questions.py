"""Which questions a provider is asked again and again, and so have to share its budget."""

from collections import OrderedDict
from typing import Any

from backend.clock import Clock
from backend.models.answer import Query

#: Asked longer ago than so many of its turns, a question is not asked again and again.
TURNS = 2.0
#: However scarce: a question of an hour ago may be forgotten.
LEAST_S, MOST_REMEMBERED = 600.0, 1_024


class HotQuestions:
    """When each was last answered; bounded, the oldest goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: OrderedDict[Query[Any], float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<HotQuestions {len(self._at)}>"

    def note(self, query: Query[Any]) -> None:
        self._at[query] = self._clock.monotonic()
        self._at.move_to_end(query)
        if len(self._at) > MOST_REMEMBERED:
            self._at.popitem(last=False)

    def count(self, interval_s: float, query: Query[Any]) -> int:
        """How many there are with `query`, where each may be asked once in `interval_s` times
        their number."""
        others = [at for asked, at in reversed(self._at.items()) if asked != query]
        now, hot = self._clock.monotonic(), 1
        for at in others:  # newest first: each one more makes turns longer
            if now - at > max(LEAST_S, TURNS * (hot + 1) * interval_s):
                break
            hot += 1
        return hot
