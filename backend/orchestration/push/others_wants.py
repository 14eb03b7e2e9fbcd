"""What the other processes of a cluster want ticks of."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice, zip_longest

from backend.bounded_map import BoundedMap
from backend.clock import Clock
from backend.models.ticks import CandleTicks, MarketTicks, TickSubject
from backend.orchestration.push.tick_messages import Wants

#: Wants that were not repeated for this long are over, in seconds: they are sent each second.
WANTS_S = 5.0
#: Processes whose wants are kept (the largest CLUSTER_SIZE), and candles of all of them.
MOST_PROCESSES, MOST_KEPT = 1_000, 20_000
#: Subjects that are asked of venues for all processes; each venue has a bound of its own.
MOST_MERGED = 2_000
MARKET = MarketTicks()


class OthersWants:
    """Keeps each process's last wants for WANTS_S. Synchronous."""

    def __init__(self, clock: Clock) -> None:
        self._wants = BoundedMap[str, Wants](MOST_PROCESSES, ttl_s=WANTS_S, timer=clock.monotonic)

    def __repr__(self) -> str:
        return f"<OthersWants of {len(self._wants)} processes>"

    def note(self, process: str, wants: Wants) -> None:
        """Replaces what `process` wants. Candles beyond MOST_KEPT are not kept."""
        self._wants.pop(process)
        room = MOST_KEPT - sum(len(one.candles) for one in self._current())
        self._wants.set(process, replace(wants, candles=wants.candles[: max(0, room)]))

    @property
    def market(self) -> bool:
        return any(one.market for one in self._current())

    @property
    def candles(self) -> frozenset[CandleTicks]:
        return frozenset(chain.from_iterable(one.candles for one in self._current()))

    def merged(self, own: Sequence[TickSubject]) -> tuple[TickSubject, ...]:
        """What this process and the others want, tickers first, at most MOST_MERGED.

        Candles are taken from each process in turn: those that want the most lose some first.
        """
        wants_market = self.market or any(isinstance(one, MarketTicks) for one in own)
        lists = [[one for one in own if isinstance(one, CandleTicks)]]
        lists += [list(one.candles) for one in self._current()]
        in_turn = (one for turn in zip_longest(*lists) for one in turn if one is not None)
        found: dict[TickSubject, None] = dict.fromkeys([MARKET] if wants_market else [])
        found |= dict.fromkeys(in_turn)
        return tuple(islice(found, MOST_MERGED))

    def _current(self) -> list[Wants]:
        """By process id, so that their order stays when they are repeated."""
        return [wants for name in sorted(self._wants) if (wants := self._wants.get(name))]
