"""An API key, and whether the provider still accepts it."""

from collections.abc import Callable

from pydantic import SecretStr

from backend.backoff import Backoff
from backend.clock import Clock
from backend.orchestration.health.circuit_breaker import AUTH_DELAYS_S


class Credential:
    """A key. After a refusal it is not used for 15 minutes, then 1 h, then 6 h."""

    def __init__(
        self,
        clock: Clock,
        key: SecretStr,
        *,
        refused_until: float = 0.0,
        on_refused: Callable[[float], None] = lambda _until: None,
    ) -> None:
        """`refused_until` (monotonic seconds) comes from an earlier run; `on_refused` receives
        each new one."""
        self._clock = clock
        self._backoff = Backoff(clock, AUTH_DELAYS_S)
        self._refused_until = refused_until
        self._on_refused = on_refused
        #: Revealed only where a request is built from it.
        self.key = key

    def __repr__(self) -> str:
        return f"<Credential {'usable' if self.is_usable() else 'refused'}>"

    def is_usable(self) -> bool:
        return self._clock.monotonic() >= self._refused_until

    def refuse(self) -> None:
        """The provider rejected the key twice."""
        if not self.is_usable():
            return  # concurrent calls are rejected together: that is one refusal
        wait_s = self._backoff.next_delay_s()
        self._backoff.pause(wait_s)
        self._refused_until = self._clock.monotonic() + wait_s
        self._on_refused(self._refused_until)
