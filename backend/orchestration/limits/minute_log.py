"""Calls of a long window, counted by minute."""

from collections import OrderedDict
from collections.abc import Iterable

MINUTE_S = 60


class MinuteLog:
    """Amounts by minute of the epoch, oldest first.

    `assumed` are those amounts that stand for unknown time before the start.
    """

    def __init__(self) -> None:
        self._amounts: OrderedDict[int, int] = OrderedDict()
        self._assumed: dict[int, int] = {}
        self.total = 0

    def __repr__(self) -> str:
        return f"<MinuteLog {self.total} in {len(self._amounts)} minutes>"

    @property
    def assumed_total(self) -> int:
        return sum(self._assumed.values())

    @property
    def oldest(self) -> int | None:
        """The oldest minute with calls."""
        return next(iter(self._amounts), None)

    @property
    def newest(self) -> int:
        """The newest minute with calls, 0 without any."""
        return next(reversed(self._amounts), 0)

    def add(self, minute: int, amount: int, *, assumed: int = 0) -> None:
        """Counts `amount` and `assumed` calls. Minutes are added in ascending order."""
        self._amounts[minute] = self._amounts.get(minute, 0) + amount + assumed
        self.total += amount + assumed
        if assumed:
            self._assumed[minute] = self._assumed.get(minute, 0) + assumed

    def drop_assumed(self, amount: int) -> dict[int, int]:
        """Removes up to `amount` assumed calls, oldest first; returns what was removed, by
        minute."""
        removed = {}
        for minute, assumed in list(self._assumed.items()):
            removed[minute] = min(assumed, amount)
            amount -= removed[minute]
            self._amounts[minute] -= removed[minute]
            self._assumed[minute] -= removed[minute]
            self.total -= removed[minute]
        return removed

    def forget_before(self, instant_s: float) -> None:
        """Drops the minutes that ended at or before `instant_s` (epoch seconds)."""
        while self._amounts:
            oldest = next(iter(self._amounts))
            if (oldest + 1) * MINUTE_S > instant_s:
                return
            self.total -= self._amounts.pop(oldest)
            self._assumed.pop(oldest, None)

    def known_since(self, instant_s: float) -> int:
        """Calls that were really made since `instant_s`."""
        return sum(
            amount - self._assumed.get(minute, 0)
            for minute, amount in self._amounts.items()
            if minute * MINUTE_S >= instant_s
        )

    def minute_that_frees(self, excess: int) -> int | None:
        """The minute with which `excess` calls have left; None where there are not as many."""
        for minute, amount in self._amounts.items():
            excess -= amount
            if excess <= 0:
                return minute
        return None


def spread(since_s: float, until_s: float, amount: int) -> Iterable[tuple[int, int]]:
    """`amount` spread evenly over the minutes of a span; what falls into one minute is added."""
    first, span = int(since_s // MINUTE_S) + 1, max(1, int((until_s - since_s) // MINUTE_S))
    places = min(amount, span)
    for place in range(places):
        share = amount * (place + 1) // places - amount * place // places
        yield first + place * span // places, share
