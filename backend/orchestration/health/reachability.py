"""Whether this process reaches any provider at all: else its own network is down."""

from backend.clock import Clock
from backend.errors import ConnectFailed, ProviderTimeout
from backend.events import Event, ProviderCalled

#: Outcomes of calls that no provider answered.
UNANSWERED = frozenset({ConnectFailed.reason, ProviderTimeout.reason})
#: So many calls in a row, of at least so many providers, over so many seconds.
CALLS, PROVIDERS, SECONDS = 5, 3, 30.0


class Reachability:
    """An event sink. One provider that is down says nothing: three silent ones do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unanswered = 0
        self._silent: set[str] = set()
        self._since = 0.0

    def __repr__(self) -> str:
        return f"<Reachability {self._unanswered} calls unanswered>"

    def __call__(self, event: Event) -> None:
        if not isinstance(event, ProviderCalled):
            return
        if event.outcome not in UNANSWERED:
            self._unanswered = 0
            self._silent.clear()
            return
        if not self._unanswered:
            self._since = self._clock.monotonic()
        self._unanswered += 1
        self._silent.add(event.provider)

    def __bool__(self) -> bool:
        """False if no provider has answered for a while, although several were called."""
        is_long = self._clock.monotonic() - self._since >= SECONDS
        is_silent = self._unanswered >= CALLS and len(self._silent) >= PROVIDERS
        return not (is_silent and is_long)
