"""A count of recent troubles that forgets: the rung of a back-off ladder."""

from backend.clock import Clock

CLEAN_S = 600.0


class Ladder:
    """Climbs by one at each trouble, falls by one per ten clean minutes."""

    def __init__(self, clock: Clock, rungs: tuple[float, ...] = ()) -> None:
        self._clock = clock
        self._rungs = rungs
        self._count = 0
        self._clean_since = clock.monotonic()

    def __repr__(self) -> str:
        return f"<Ladder {self.height}>"

    @property
    def height(self) -> int:
        """Troubles still remembered."""
        clean_s = max(0.0, self._clock.monotonic() - self._clean_since)
        return max(0, self._count - int(clean_s / CLEAN_S))

    def climb(self) -> float:
        """Notes one more trouble; returns the wait (seconds) of the rung it lands on."""
        height = self.height
        wait_s = self._rungs[min(height, len(self._rungs) - 1)] if self._rungs else 0.0
        self._count = height + 1
        self._clean_since = self._clock.monotonic()
        return wait_s

    def hold(self, seconds: float) -> None:
        """Ten clean minutes begin only after `seconds` more: being shut out is not clean."""
        self._clean_since = self._clock.monotonic() + seconds

    def reset(self) -> None:
        self._count = 0
