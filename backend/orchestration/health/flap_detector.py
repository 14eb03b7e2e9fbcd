"""Finds providers that keep failing after short successes: they are asked last for a while."""

from backend.clock import Clock

#: Answers in a row after which an earlier failure is forgotten.
STEADY_AFTER = 10
#: The provider is asked last for this multiple of the time between its last two failures, and for
#: six hours at most. So at any rate of calls, a provider that fails every third time is asked a
#: third as often, and one answer in ten needs a second call. A cooldown of seconds has no such
#: effect on calls that come a quarter of an hour apart.
PENALTY_FACTOR, MAX_PENALTY_S = 2.0, 6 * 3_600.0


class FlapDetector:
    """Decides the order only: whether the provider may be asked is the circuit breaker's part."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed_at: float | None = None
        self._answers = 0
        self._flapping_until = 0.0

    def __repr__(self) -> str:
        return f"<FlapDetector {'flapping' if self.is_flapping else 'steady'}>"

    @property
    def is_flapping(self) -> bool:
        """True while all other providers are to be asked first."""
        return self._clock.monotonic() < self._flapping_until

    def record_success(self) -> None:
        self._answers += 1

    def record_failure(self) -> None:
        now = self._clock.monotonic()
        if self._failed_at is not None and self._answers < STEADY_AFTER:
            penalty_s = min(MAX_PENALTY_S, PENALTY_FACTOR * (now - self._failed_at))
            self._flapping_until = max(self._flapping_until, now + penalty_s)
        self._failed_at, self._answers = now, 0
