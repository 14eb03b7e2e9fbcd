"""The health state machine as tables of (seconds passed, event, status, admits, until)."""

from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from backend.errors import (
    AuthFailed,
    ConnectFailed,
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    ProviderTimeout,
    QueryRefused,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.models.status import ProviderState
from backend.orchestration.health.circuit_breaker import CircuitBreaker, Lease
from tests.clocks import ManualClock

HOUR = 3_600.0


def breaker(
    clock: ManualClock, jitter: float = 1.0, state: ProviderState = ProviderState.ACTIVE
) -> CircuitBreaker:
    return CircuitBreaker(
        clock,
        cooldown_s=30,
        cooldown_max_s=300,
        lease_s=4,
        jitter=lambda: jitter,
        state=state,
    )


def fail(made: CircuitBreaker, error: ProviderError) -> None:
    lease = made.acquire()
    assert lease is not None
    made.record_failure(lease, error)


def is_probing(made: CircuitBreaker) -> bool:
    """True while the one attempt that may end the state is in flight."""
    made._expire_probe()
    return made._probe is not None


def wait_s(made: CircuitBreaker, clock: ManualClock) -> float:
    assert made.until is not None
    return made.until - clock.monotonic()


@pytest.mark.parametrize(
    "error",
    [
        ProviderTimeout(),
        ConnectFailed(),
        UpstreamFailed(http_status=500),
        MalformedResponse(http_status=200),
    ],
)
def test_one_failure_opens_the_breaker_for_the_cooldown(
    clock: ManualClock, error: ProviderError
) -> None:
    made = breaker(clock)
    fail(made, error)
    assert (made.state, made.reason) == (ProviderState.COOLDOWN, error.reason)
    assert not made.admits()
    clock.advance(29.9)
    assert not made.admits()
    clock.advance(0.1)
    assert made.admits()


def test_failing_probes_double_the_cooldown_up_to_its_maximum(clock: ManualClock) -> None:
    made, waits = breaker(clock), []
    for _ in range(6):
        fail(made, UpstreamFailed())
        waits.append(wait_s(made, clock))
        clock.advance(waits[-1])
    assert waits == [30, 60, 120, 240, 300, 300]


@pytest.mark.parametrize(("jitter", "expected"), [(0.8, 24.0), (1.2, 36.0)])
def test_the_cooldown_is_jittered(clock: ManualClock, jitter: float, expected: float) -> None:
    made = breaker(clock, jitter)
    fail(made, UpstreamFailed())
    assert wait_s(made, clock) == pytest.approx(expected)


def test_a_retry_after_raises_the_cooldown_but_never_shortens_it(clock: ManualClock) -> None:
    made = breaker(clock)
    fail(made, UpstreamFailed(retry_after_s=120))
    assert wait_s(made, clock) == 120
    other = breaker(clock)
    fail(other, UpstreamFailed(retry_after_s=5))
    assert wait_s(other, clock) == 30


def test_one_failure_is_forgotten_per_ten_quiet_minutes(clock: ManualClock) -> None:
    made = breaker(clock)
    for _ in range(3):
        fail(made, UpstreamFailed())
        clock.advance(wait_s(made, clock))
    lease = made.acquire()
    assert lease is not None
    made.record_success(lease)
    clock.advance(1_200)
    fail(made, UpstreamFailed())
    assert wait_s(made, clock) == 60


@pytest.mark.parametrize(
    ("error", "state", "expected"),
    [
        (RateLimited, ProviderState.RATE_LIMITED, [60, 300, 900, 900]),
        (QuotaSpent, ProviderState.QUOTA_EXHAUSTED, [0.25 * HOUR, 0.5 * HOUR, HOUR, HOUR]),
        (AuthFailed, ProviderState.AUTH_FAILED, [900, HOUR, 6 * HOUR, 6 * HOUR]),
        (
            GeoBlocked,
            ProviderState.GEO_BLOCKED,
            [0.5 * HOUR, HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR, 6 * HOUR],
        ),
    ],
)
def test_each_kind_of_refusal_has_its_own_backoff(
    clock: ManualClock,
    error: Callable[[], ProviderError],
    state: ProviderState,
    expected: list[float],
) -> None:
    made, waits = breaker(clock), []
    for _ in expected:
        fail(made, error())
        assert (made.state, made.reason) == (state, error().reason)
        waits.append(wait_s(made, clock))
        clock.advance(waits[-1])
    assert waits == expected


@pytest.mark.parametrize("retry_after_s", [30.0, 53.0, 10 * 86_400.0])
def test_the_providers_retry_after_overrides_the_backoff(
    clock: ManualClock, retry_after_s: float
) -> None:
    made = breaker(clock)
    fail(made, RateLimited(retry_after_s=retry_after_s))
    assert wait_s(made, clock) == retry_after_s
    clock.advance(retry_after_s - 1)
    assert not made.admits()


def test_a_429_does_not_lengthen_the_next_cooldown(clock: ManualClock) -> None:
    made = breaker(clock)
    fail(made, RateLimited(retry_after_s=10))
    clock.advance(10)
    fail(made, UpstreamFailed())
    assert wait_s(made, clock) == 30


def test_only_one_probe_is_admitted(clock: ManualClock) -> None:
    made = breaker(clock)
    fail(made, UpstreamFailed())
    clock.advance(30)
    probe = made.acquire()
    assert probe is not None
    assert (is_probing(made), made.state) == (True, ProviderState.COOLDOWN)
    assert not made.admits()
    assert made.acquire() is None


def test_a_successful_probe_closes_the_breaker(clock: ManualClock) -> None:
    made = breaker(clock)
    fail(made, UpstreamFailed())
    clock.advance(30)
    probe = made.acquire()
    assert probe is not None
    made.record_success(probe)
    assert (made.state, made.reason, made.until) == (ProviderState.ACTIVE, None, None)


def test_a_probe_whose_lease_expires_has_failed(clock: ManualClock) -> None:
    made = breaker(clock)
    fail(made, UpstreamFailed())
    clock.advance(30)
    probe = made.acquire()
    assert probe is not None
    clock.advance(3.9)
    assert is_probing(made)
    clock.advance(0.1)
    assert (made.state, made.reason) == (ProviderState.COOLDOWN, "timeout")
    assert wait_s(made, clock) == 60
    made.record_success(probe)
    assert not made.admits()


def test_a_neutral_outcome_releases_the_probe_and_changes_no_count(clock: ManualClock) -> None:
    made = breaker(clock)
    fail(made, UpstreamFailed())
    clock.advance(30)
    probe = made.acquire()
    assert probe is not None
    made.record_failure(probe, QueryRefused())
    assert made.admits()
    fail(made, UpstreamFailed())
    assert wait_s(made, clock) == 60


def test_a_refused_query_does_not_open_the_breaker(clock: ManualClock) -> None:
    made = breaker(clock)
    fail(made, QueryRefused(http_status=400))
    assert made.state is ProviderState.ACTIVE


def test_concurrent_failures_count_once(clock: ManualClock) -> None:
    made = breaker(clock)
    leases = [made.acquire() for _ in range(5)]
    for lease in leases:
        assert lease is not None
        made.record_failure(lease, UpstreamFailed())
    assert wait_s(made, clock) == 30


def test_a_late_success_of_an_older_attempt_does_not_close_the_breaker(clock: ManualClock) -> None:
    made = breaker(clock)
    slow = made.acquire()
    fail(made, UpstreamFailed())
    assert slow is not None
    made.record_success(slow)
    assert made.state is ProviderState.COOLDOWN


@pytest.mark.parametrize(
    ("error", "state", "wait"),
    [
        (RateLimited(retry_after_s=200), ProviderState.RATE_LIMITED, 200),
        (RateLimited(), ProviderState.RATE_LIMITED, 60),
        (AuthFailed(), ProviderState.AUTH_FAILED, 900),
        (RateLimited(retry_after_s=5), ProviderState.RATE_LIMITED, 30),
    ],
)
def test_a_stated_refusal_replaces_a_cooldown_even_when_it_comes_late(
    clock: ManualClock, error: ProviderError, state: ProviderState, wait: float
) -> None:
    made = breaker(clock)
    slow = made.acquire()
    fail(made, UpstreamFailed())
    assert slow is not None
    made.record_failure(slow, error)
    assert (made.state, wait_s(made, clock)) == (state, wait)
    assert not made.admits(is_early_probe=True)


def test_concurrent_refusals_raise_the_backoff_once_and_the_longest_wait_counts(
    clock: ManualClock,
) -> None:
    made = breaker(clock)
    leases = [made.acquire() for _ in range(3)]
    for lease, told_s in zip(leases, (10, 40, 20), strict=True):
        assert lease is not None
        made.record_failure(lease, RateLimited(retry_after_s=told_s))
    assert wait_s(made, clock) == 40
    clock.advance(40)
    fail(made, RateLimited())
    assert wait_s(made, clock) == 300


def test_a_late_503_with_retry_after_extends_the_wait(clock: ManualClock) -> None:
    made = breaker(clock)
    slow = made.acquire()
    fail(made, UpstreamFailed())
    assert slow is not None
    made.record_failure(slow, UpstreamFailed(retry_after_s=120))
    assert wait_s(made, clock) == 120
    assert not made.admits(is_early_probe=True)


def test_a_late_failure_without_retry_after_changes_nothing(clock: ManualClock) -> None:
    made = breaker(clock)
    slow = made.acquire()
    fail(made, UpstreamFailed())
    assert slow is not None
    clock.advance(5)
    made.record_failure(slow, UpstreamFailed())
    assert wait_s(made, clock) == 25


def test_a_guessed_cooldown_may_be_probed_early(clock: ManualClock) -> None:
    made = breaker(clock)
    fail(made, UpstreamFailed())
    assert made.acquire() is None
    probe = made.acquire(is_early_probe=True)
    assert probe is not None
    made.record_success(probe)
    assert made.state is ProviderState.ACTIVE


@pytest.mark.parametrize(
    "error", [UpstreamFailed(retry_after_s=120), RateLimited(), GeoBlocked(), AuthFailed()]
)
def test_a_wait_set_by_the_provider_is_never_probed_early(
    clock: ManualClock, error: ProviderError
) -> None:
    made = breaker(clock)
    fail(made, error)
    assert not made.admits(is_early_probe=True)
    assert made.acquire(is_early_probe=True) is None


@pytest.mark.parametrize("state", [ProviderState.NOT_CONFIGURED, ProviderState.DISABLED])
def test_a_disabled_provider_never_admits_an_attempt(
    clock: ManualClock, state: ProviderState
) -> None:
    made = breaker(clock, state=state)
    clock.advance(1e9)
    assert (made.state, made.reason, made.until) == (state, state, None)
    assert made.acquire(is_early_probe=True) is None


def test_a_success_resets_the_backoff_of_the_key(clock: ManualClock) -> None:
    made = breaker(clock)
    fail(made, AuthFailed())
    clock.advance(900)
    lease = made.acquire()
    assert lease is not None
    made.record_success(lease)
    fail(made, AuthFailed())
    assert wait_s(made, clock) == 900


def test_the_repr_shows_the_current_state(clock: ManualClock) -> None:
    made = breaker(clock)
    fail(made, UpstreamFailed())
    clock.advance(10)
    assert repr(made) == "<CircuitBreaker cooldown n=1 for 20.0 s>"


ERRORS = st.sampled_from([UpstreamFailed, RateLimited, QuotaSpent, AuthFailed, GeoBlocked])


class BreakerMachine(RuleBasedStateMachine):
    """Any order of attempts, ends and waits: `until` never falls, at most one probe is out."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.breaker = breaker(self.clock)
        self.leases: list[Lease] = []
        self.highest = 0.0
        self.state: ProviderState = ProviderState.ACTIVE
        self.was_probing = False

    @rule(is_early_probe=st.booleans())
    def begin(self, is_early_probe: bool) -> None:
        admitted = self.breaker.admits()
        lease = self.breaker.acquire(is_early_probe=is_early_probe)
        assert lease is not None or not admitted
        if lease:
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), error=ERRORS, retry_after_s=st.none() | st.floats(1, 1e6))
    def fail(
        self, data: st.DataObject, error: type[ProviderError], retry_after_s: float | None
    ) -> None:
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        self.breaker.record_failure(lease, error(retry_after_s=retry_after_s))

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        self.breaker.record_success(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.breaker.release(self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1))))

    @rule(seconds=st.floats(0, 1e5))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def until_never_falls(self) -> None:
        until = self.breaker.until
        if until is not None:
            assert until >= self.highest
            self.highest = until

    @invariant()
    def a_probe_shuts_everybody_else_out(self) -> None:
        if is_probing(self.breaker):
            assert not self.breaker.admits()

    @invariant()
    def only_a_probe_leads_back(self) -> None:
        now = self.breaker.state
        if now is ProviderState.ACTIVE:
            assert self.state is ProviderState.ACTIVE or self.was_probing
        self.state, self.was_probing = now, is_probing(self.breaker)


TestBreakerMachine = pytest.mark.many_rounds(BreakerMachine.TestCase)
