"""What this process knows of the cluster's calls: the store's log, as it was read and added to."""

from collections.abc import Iterable, Mapping

from backend.cluster.store import Calls
from backend.storage.contract import FIRST_SECOND_TICK


class CallLog:
    """Amounts by window and tick. It outlives a loss of the store's data in this process's memory.

    Two logs are joined by the larger amount of each tick: each is a part of the truth.
    """

    def __init__(self) -> None:
        self._calls: Calls = {}

    def __repr__(self) -> str:
        return (
            f"<CallLog {sum(map(len, self._calls.values()))} ticks of {len(self._calls)} windows>"
        )

    def __len__(self) -> int:
        return sum(map(len, self._calls.values()))

    def add(self, amounts: Mapping[tuple[str, int], int]) -> None:
        """Calls that were made."""
        for (window, tick), amount in amounts.items():
            ticks = self._calls.setdefault(window, {})
            ticks[tick] = ticks.get(tick, 0) + amount

    def join(self, calls: Mapping[str, Mapping[int, int]]) -> None:
        """What another log has: the larger amount of each tick."""
        for window, ticks in calls.items():
            own = self._calls.setdefault(window, {})
            for tick, amount in ticks.items():
                own[tick] = max(amount, own.get(tick, amount))

    def copy(self) -> Calls:
        return {window: dict(ticks) for window, ticks in self._calls.items() if ticks}

    def delete_before(self, minute: int, second: int) -> list[tuple[str, int]]:
        """Forgets older ticks of minutes and seconds; returns what was forgotten."""
        old = [*self._older(minute, second)]
        for window, tick in old:
            del self._calls[window][tick]
        return old

    def _older(self, minute: int, second: int) -> Iterable[tuple[str, int]]:
        for window, ticks in self._calls.items():
            for tick in ticks:
                if tick < minute or FIRST_SECOND_TICK <= tick < second:
                    yield window, tick
