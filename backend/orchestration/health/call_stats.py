"""Statistics of one provider's last hundred calls."""

from collections import deque
from datetime import datetime

from backend.models.status import LatencyStatus

REMEMBERED = 100


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
    def p90_ms(self) -> float | None:
        """90th percentile of the last 100 successful calls; None before the first."""
        return _percentile(sorted(self._latencies_ms), 90) if self._latencies_ms else None

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


def _percentile(ranked: list[float], percent: int) -> float:
    """By nearest rank, so that the value is one that was measured."""
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)]
