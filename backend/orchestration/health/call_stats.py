"""What the last calls of one provider show: its statistics, and whether it keeps failing."""

from collections import deque
from datetime import datetime

from backend.clock import Clock
from backend.models.status import LatencyStatus

REMEMBERED = 100
#: The usual answer time of a provider before its first answer, and the least that is assumed.
DEFAULT_USUAL_S, MIN_USUAL_S = 1.0, 0.05
#: Answers in a row after which an earlier failure is forgotten.
STEADY_AFTER = 10
#: The provider is asked last for this multiple of the time between its last two failures, and for
#: six hours at most. So at any rate of calls, a provider that fails every third time is asked a
#: third as often, and one answer in ten needs a second call. A cooldown of seconds has no such
#: effect on calls that come a quarter of an hour apart.
PENALTY_FACTOR, MAX_PENALTY_S = 2.0, 6 * 3_600.0


class CallStats:
    """Counts and latencies, in milliseconds. Failures that the query caused are not counted."""

    def __init__(self) -> None:
        self._outcomes: deque[bool] = deque(maxlen=REMEMBERED)
        self._latencies_ms: deque[float] = deque(maxlen=REMEMBERED)
        self.requests = 0
        self.failures = 0
        self.consecutive_failures = 0
        self.last_success_at: datetime | None = None
        self.last_failure_at: datetime | None = None
        self.last_error: str | None = None

    def __repr__(self) -> str:
        return f"<CallStats {self.requests - self.failures}/{self.requests}>"

    @property
    def success_rate(self) -> float | None:
        """0 to 1 over the last 100 calls, None before the first."""
        return sum(self._outcomes) / len(self._outcomes) if self._outcomes else None

    @property
    def latency(self) -> LatencyStatus:
        if not self._latencies_ms:
            return LatencyStatus(None, None, None)
        ranked = sorted(self._latencies_ms)
        return LatencyStatus(
            self._latencies_ms[-1], _percentile(ranked, 50), _percentile(ranked, 95)
        )

    @property
    def usual_s(self) -> float:
        """The 90th percentile of its answer times, in seconds; a guess before the first answer."""
        if not self._latencies_ms:
            return DEFAULT_USUAL_S
        return max(_percentile(sorted(self._latencies_ms), 90) / 1000, MIN_USUAL_S)

    def record_success(self, at: datetime, latency_ms: float) -> None:
        self.requests += 1
        self._outcomes.append(True)
        self._latencies_ms.append(latency_ms)
        self.consecutive_failures = 0
        self.last_success_at = at

    def record_failure(self, at: datetime, error: str) -> None:
        self.requests += 1
        self.failures += 1
        self._outcomes.append(False)
        self.consecutive_failures += 1
        self.last_failure_at = at
        self.last_error = error


class FlapDetector:
    """Finds providers that keep failing after short successes: they are asked last for a while.

    It decides the order only: whether a provider may be asked is the circuit breaker's part.
    """

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


def _percentile(ranked: list[float], percent: int) -> float:
    """By nearest rank, so that the value is one that was measured."""
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)]
