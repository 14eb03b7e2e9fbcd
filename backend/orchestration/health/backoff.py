"""A count of recent troubles that forgets: the rung of a back-off backoff."""

from backend.clock import Clock

CLEAN_S = 600.0


class Backoff:
    """Climbs by one at each trouble, falls by one per ten clean minutes."""

    def __init__(self, clock: Clock, delays_s: tuple[float, ...] = ()) -> None:
        self._clock = clock
        self._delays_s = delays_s
        self._count = 0
        self._clean_since = clock.monotonic()

    def __repr__(self) -> str:
        return f"<Backoff {self.attempts}>"

    @property
    def attempts(self) -> int:
        """Troubles still remembered."""
        clean_s = max(0.0, self._clock.monotonic() - self._clean_since)
        return max(0, self._count - int(clean_s / CLEAN_S))

    def next_delay_s(self) -> float:
        """Notes one more trouble; returns the wait (seconds) of the rung it lands on."""
        attempts = self.attempts
        wait_s = self._delays_s[min(attempts, len(self._delays_s) - 1)] if self._delays_s else 0.0
        self._count = attempts + 1
        self._clean_since = self._clock.monotonic()
        return wait_s

    def pause(self, seconds: float) -> None:
        """Ten clean minutes begin only after `seconds` more: being shut out is not clean."""
        self._clean_since = self._clock.monotonic() + seconds

    def reset(self) -> None:
        self._count = 0
