"""One provider's health: a state machine without I/O, over an injected clock.

One failure opens it. A single probe closes it again, on a client's query and never by a timer.
`ProviderError.effect` is the state that an error leads to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from backend.backoff import Backoff, doubling
from backend.clock import Clock
from backend.errors import ProviderError
from backend.models.status import OFF, ProviderState

MINUTE, HOUR = 60.0, 3_600.0
#: Waits in seconds, where the provider names none.
RATE_DELAYS_S = (MINUTE, 5 * MINUTE, 15 * MINUTE)
QUOTA_DELAYS_S = (0.25 * HOUR, 0.5 * HOUR, HOUR)
AUTH_DELAYS_S = (15 * MINUTE, HOUR, 6 * HOUR)
GEO_DELAYS_S = (0.5 * HOUR, HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR)


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission for one attempt. It is returned exactly once, with the outcome."""

    number: int
    epoch: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class Block:
    """A state that admits no attempt before `until` (monotonic seconds).

    `is_provider_set`: the provider named the wait itself; else it is our own guess.
    """

    state: ProviderState
    reason: str
    until: float
    is_provider_set: bool


class CircuitBreaker:
    """Admits attempts, and records their outcomes.

    `jitter` returns a factor, between 0.8 and 1.2 in production. `lease_s` bounds a probe: if its
    lease is not returned within this time, it counts as a failure.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        cooldown_s: float,
        cooldown_max_s: float,
        lease_s: float,
        jitter: Callable[[], float],
        state: ProviderState = ProviderState.ACTIVE,
    ) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._jitter = jitter
        self._state = state
        #: Why it does not admit; None while active.
        self.reason: str | None = state if state in OFF else None
        self._until = 0.0
        self._is_provider_set = False
        self._epoch = 0  # raised by each change of state; older attempts count for less
        self._numbers = count(1)
        self._probe: Lease | None = None
        self._backoffs = {
            ProviderState.COOLDOWN: Backoff(clock, doubling(cooldown_s, cooldown_max_s)),
            ProviderState.RATE_LIMITED: Backoff(clock, RATE_DELAYS_S),
            ProviderState.QUOTA_EXHAUSTED: Backoff(clock, QUOTA_DELAYS_S),
            ProviderState.AUTH_FAILED: Backoff(clock, AUTH_DELAYS_S),
            ProviderState.GEO_BLOCKED: Backoff(clock, GEO_DELAYS_S),
        }

    def __repr__(self) -> str:
        left = max(0.0, self._until - self._clock.monotonic())
        attempts = self._backoffs[ProviderState.COOLDOWN].attempts
        return f"<CircuitBreaker {self._state} n={attempts} for {left:.1f} s>"

    @property
    def state(self) -> ProviderState:
        """The state now. It does not change while it is probed; an expired probe has failed."""
        self._expire_probe()
        return self._state

    @property
    def until(self) -> float | None:
        """Clock.monotonic() until which no attempt is admitted; None where no time is set."""
        return self._until if self.state not in (ProviderState.ACTIVE, *OFF) else None

    def admits(self, *, is_early_probe: bool = False) -> bool:
        """True when an attempt may begin now. An early probe need not wait for a cooldown."""
        state = self.state
        if state is ProviderState.ACTIVE:
            return True
        if self._probe or state in OFF:
            return False
        if self._clock.monotonic() >= self._until:
            return True
        # Only our own guess may be cut short, not a wait that the provider set.
        return is_early_probe and state is ProviderState.COOLDOWN and not self._is_provider_set

    @property
    def block(self) -> Block | None:
        """The block in force; None while active or off."""
        state = self.state
        if state is ProviderState.ACTIVE or state in OFF:
            return None
        return Block(state, self.reason or state, self._until, self._is_provider_set)

    def restore(self, block: Block) -> None:
        """Continues a block of an earlier run, unless the provider is off."""
        if self._state is ProviderState.ACTIVE:
            self._state, self.reason = block.state, block.reason
            self._is_provider_set = block.is_provider_set
            self._extend(block.until)

    def acquire(self, *, is_early_probe: bool = False) -> Lease | None:
        """A lease for one attempt, or None where `admits` is False."""
        if not self.admits(is_early_probe=is_early_probe):
            return None
        lease = Lease(next(self._numbers), self._epoch, self._clock.monotonic() + self._lease_s)
        if self._state is not ProviderState.ACTIVE:
            self._probe = lease
        return lease

    def record_success(self, lease: Lease) -> None:
        """The attempt succeeded. Only a successful probe makes the provider active again."""
        self._expire_probe()
        if lease != self._probe:
            return
        self._probe, self.reason = None, None
        self._state = ProviderState.ACTIVE
        self._epoch += 1
        self._backoffs[ProviderState.AUTH_FAILED].reset()

    def record_failure(self, lease: Lease, error: ProviderError) -> None:
        """The attempt failed; the error's `effect` is the state that follows."""
        self._expire_probe()
        # A refusal that the provider states replaces a cooldown, even when it comes late.
        is_cooldown = self._state is ProviderState.COOLDOWN and not self._probe
        is_graver = is_cooldown and error.effect is not ProviderState.COOLDOWN
        if error.effect is None:
            self.release(lease)
        elif lease == self._probe or lease.epoch == self._epoch or is_graver:
            self._block(error.effect, error.reason, error.retry_after_s)
        elif self._state is not ProviderState.ACTIVE and not self._probe and error.retry_after_s:
            # The attempt began before the block: only a longer wait is news.
            self._is_provider_set = True
            self._extend(self._clock.monotonic() + error.retry_after_s)

    def release(self, lease: Lease) -> None:
        """The attempt says nothing about the provider: no count changes, another may probe."""
        self._expire_probe()
        if lease == self._probe:
            self._probe = None

    def _expire_probe(self) -> None:
        if self._probe and self._clock.monotonic() >= self._probe.expires_at:
            self._block(ProviderState.COOLDOWN, "timeout", None)

    def _block(self, state: ProviderState, reason: str, retry_after_s: float | None) -> None:
        wait_s = self._backoffs[state].next_delay_s()
        if state is ProviderState.COOLDOWN:
            wait_s = max(wait_s * self._jitter(), retry_after_s or 0.0)
        elif retry_after_s is not None:
            wait_s = retry_after_s
        self._probe = None
        self._epoch += 1
        self._state, self.reason = state, reason
        self._is_provider_set = retry_after_s is not None
        self._extend(self._clock.monotonic() + wait_s)

    def _extend(self, until: float) -> None:
        self._until = max(self._until, until)
        left_s = self._until - self._clock.monotonic()
        for backoff in self._backoffs.values():
            backoff.pause(left_s)
