"""What one client address may hold of what all readers of the stream share: places and series."""

from collections import Counter
from collections.abc import Iterable

from api.edge.client_limits import UNKNOWN

#: Names one series of candles: the channel, the coin, the interval.
SeriesKey = tuple[str, ...]


class AddressShares:
    """Counts places and candle series by address; an address that nobody knows has no bound of
    its own. Of addresses that hold nothing, nothing is kept."""

    def __init__(self, most_places: int, most_series: int, share: float) -> None:
        """`share` (0 to 1) of each is the most that one address may hold, and at least one."""
        self.places = max(1, int(most_places * share))
        self.series = max(1, int(most_series * share))
        self._places: Counter[str] = Counter()
        #: By address and series: how many of its readers follow it.
        self._followed: dict[str, Counter[SeriesKey]] = {}

    def __repr__(self) -> str:
        return f"<AddressShares {len(self._places)} addresses>"

    def has_place(self, address: str) -> bool:
        return address == UNKNOWN or self._places[address] < self.places

    def take_place(self, address: str) -> None:
        self._places[address] += 1

    def free_place(self, address: str) -> None:
        self._places[address] -= 1
        if self._places[address] <= 0:
            del self._places[address]

    def has_room(self, address: str, wanted: Iterable[SeriesKey]) -> bool:
        """True where the address may follow all of `wanted` besides what it follows already."""
        followed = self._followed.get(address, Counter())
        return address == UNKNOWN or len(followed.keys() | set(wanted)) <= self.series

    def follow(self, address: str, series: SeriesKey) -> None:
        self._followed.setdefault(address, Counter())[series] += 1

    def unfollow(self, address: str, series: SeriesKey) -> None:
        followed = self._followed[address]
        followed[series] -= 1
        if followed[series] <= 0:
            del followed[series]
        if not followed:
            del self._followed[address]
