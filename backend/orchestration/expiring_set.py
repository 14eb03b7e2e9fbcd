"""A bounded set whose members expire; beyond its capacity the oldest is dropped."""

from collections import OrderedDict
from collections.abc import Hashable

from backend.clock import Clock


class ExpiringSet:
    """Members are added for a number of seconds each."""

    def __init__(self, clock: Clock, capacity: int = 1_024) -> None:
        self._clock = clock
        self._capacity = capacity
        self._until: OrderedDict[Hashable, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<ExpiringSet {len(self._until)}/{self._capacity}>"

    def add(self, key: Hashable, seconds: float) -> None:
        self._until[key] = self._clock.monotonic() + seconds
        self._until.move_to_end(key)
        if len(self._until) > self._capacity:
            self._until.popitem(last=False)

    def __contains__(self, key: Hashable) -> bool:
        return self._until.get(key, float("-inf")) > self._clock.monotonic()
