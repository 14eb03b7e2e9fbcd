"""The equivalent hosts of one provider, tried in order. Blocked hosts are left out."""

from collections.abc import Sequence

from backend.backoff import Backoff
from backend.clock import Clock
from backend.orchestration.health.circuit_breaker import GEO_DELAYS_S


class Hosts:
    """Base URLs in the order of the next call."""

    def __init__(self, clock: Clock, base_urls: Sequence[str]) -> None:
        self._clock = clock
        self._order = list(base_urls)
        self._blocked_until: dict[str, float] = {}
        self._backoffs = {url: Backoff(clock, GEO_DELAYS_S) for url in base_urls}

    def __repr__(self) -> str:
        return f"<Hosts {len(self.available())} of {len(self._order)}>"

    def available(self) -> tuple[str, ...]:
        now = self._clock.monotonic()
        return tuple(url for url in self._order if self._blocked_until.get(url, 0.0) <= now)

    def block(self, url: str, retry_after_s: float | None) -> None:
        """The host refuses our IP address: for the wait that it names, else 30 min to 6 h."""
        if self._blocked_until.get(url, 0.0) > self._clock.monotonic():
            return  # concurrent calls are refused together: that is one refusal
        wait_s = self._backoffs[url].next_delay_s()
        self._backoffs[url].pause(wait_s)
        self._blocked_until[url] = self._clock.monotonic() + (retry_after_s or wait_s)

    def demote(self, url: str) -> None:
        """The host failed: the next call starts with another one."""
        self._order.remove(url)
        self._order.append(url)

    def wait_s(self) -> float:
        """Seconds until a host may be called again; 0 while one is available."""
        if self.available():
            return 0.0
        return min(self._blocked_until.values()) - self._clock.monotonic()
