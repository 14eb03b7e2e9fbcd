"""How steady a provider is: one that fails again and again comes last, for as long as it took."""

from backend.clock import Clock

#: So many good answers in a row, and an earlier failure is history.
STEADY_AFTER = 10
#: It comes last for so many times the span between its last two failures, at most six hours:
#: whatever the rate of calls, a provider that fails each third time is then asked a third as
#: often, and costs a second call for every tenth answer. A cooldown of seconds can't do that
#: where a quarter of an hour lies between two calls.
REST_FACTOR, MOST_REST_S = 2.0, 6 * 3_600.0


class FlapDetector:
    """Failures that followed each other. Says nothing of whether it may be asked, only when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed_at: float | None = None
        self._answers = 0
        self._last_until = 0.0

    def __repr__(self) -> str:
        return f"<FlapDetector {'unsteady' if self.is_flapping else 'steady'}>"

    @property
    def is_flapping(self) -> bool:
        """True while others, if there are any, are to be asked before it."""
        return self._clock.monotonic() < self._last_until

    def record_success(self) -> None:
        self._answers += 1

    def record_failure(self) -> None:
        now = self._clock.monotonic()
        if self._failed_at is not None and self._answers < STEADY_AFTER:
            rest_s = min(MOST_REST_S, REST_FACTOR * (now - self._failed_at))
            self._last_until = max(self._last_until, now + rest_s)
        self._failed_at, self._answers = now, 0
