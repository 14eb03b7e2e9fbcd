"""Remembers that something holds for a while; bounded, the oldest entry goes first."""

from collections import OrderedDict
from collections.abc import Hashable

from backend.clock import Clock


class ExpiringSet:
    """What was noted holds until its time is over."""

    def __init__(self, clock: Clock, capacity: int = 1_024) -> None:
        self._clock = clock
        self._capacity = capacity
        self._until: OrderedDict[Hashable, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<ExpiringSet {len(self._until)}/{self._capacity}>"

    def add(self, key: Hashable, seconds: float) -> None:
        """`key` holds for so many seconds from now."""
        self._until[key] = self._clock.monotonic() + seconds
        self._until.move_to_end(key)
        if len(self._until) > self._capacity:
            self._until.popitem(last=False)

    def __contains__(self, key: Hashable) -> bool:
        return self._until.get(key, float("-inf")) > self._clock.monotonic()
