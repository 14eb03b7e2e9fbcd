"""Back-off: waits that grow with repeated failures and shrink again over time."""

from collections.abc import Sequence

from backend.clock import Clock

#: One failure is forgotten for each ten minutes without another, in seconds.
FORGET_AFTER_S = 600.0


class Backoff:
    """The n-th failure in a row waits `delays_s[n - 1]`; further ones wait the last of them."""

    def __init__(self, clock: Clock, delays_s: Sequence[float]) -> None:
        self._clock = clock
        self._delays_s = delays_s
        self._count = 0
        self._quiet_since = clock.monotonic()

    def __repr__(self) -> str:
        return f"<Backoff {self.attempts}>"

    @property
    def attempts(self) -> int:
        """Failures that are not forgotten yet."""
        quiet_s = max(0.0, self._clock.monotonic() - self._quiet_since)
        return max(0, self._count - int(quiet_s / FORGET_AFTER_S))

    def next_delay_s(self) -> float:
        """Counts one more failure; returns its wait in seconds."""
        attempts = self.attempts
        self._count = attempts + 1
        self._quiet_since = self._clock.monotonic()
        return self._delays_s[min(attempts, len(self._delays_s) - 1)]

    def pause(self, seconds: float) -> None:
        """Nothing is forgotten for `seconds`: time without attempts proves nothing."""
        self._quiet_since = self._clock.monotonic() + seconds

    def reset(self) -> None:
        self._count = 0


def doubling(first_s: float, longest_s: float) -> tuple[float, ...]:
    """`first_s` (above 0), then twice as long each time, up to `longest_s`."""
    delays = [min(first_s, longest_s)]
    while delays[-1] < longest_s:
        delays.append(min(2 * delays[-1], longest_s))
    return tuple(delays)
