"""Reachability: when a process concludes that its own network is down."""

from datetime import UTC, datetime

from backend.events import CallRetried, ProviderCalled
from backend.orchestration.health.reachability import CALLS, SECONDS, Reachability
from tests.clocks import ManualClock


def called(provider: str, outcome: str) -> ProviderCalled:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ProviderCalled(at, provider, "market", outcome, 1.0, None, None, None, None)


def silent(reachability: Reachability, clock: ManualClock, *providers: str) -> None:
    """Calls that no provider answers, over the whole time."""
    for number in range(2 * CALLS):
        outcome = "timeout" if number % 2 else "connect_error"
        reachability(called(providers[number % len(providers)], outcome))
        clock.advance(SECONDS / CALLS)


def test_several_silent_providers_for_a_while_are_an_outage_of_our_own(
    clock: ManualClock,
) -> None:
    reachability = Reachability(clock)
    silent(reachability, clock, "a", "b", "c")
    assert not reachability
    assert repr(reachability) == f"<Reachability {2 * CALLS} calls unanswered>"


def test_one_answer_of_any_kind_ends_it(clock: ManualClock) -> None:
    for outcome in ("ok", "rate_limited", "upstream_5xx", "bad_payload", "geo_blocked"):
        reachability = Reachability(clock)
        silent(reachability, clock, "a", "b", "c")
        reachability(called("a", outcome))
        assert reachability, outcome


def test_two_providers_that_are_down_are_their_own_fault(clock: ManualClock) -> None:
    reachability = Reachability(clock)
    silent(reachability, clock, "a", "b")
    assert reachability


def test_a_short_outage_changes_nothing(clock: ManualClock) -> None:
    reachability = Reachability(clock)
    for provider in "abcabc":
        reachability(called(provider, "timeout"))
    assert reachability
    clock.advance(SECONDS)
    assert not reachability


def test_few_calls_show_nothing_however_long_ago_they_were(clock: ManualClock) -> None:
    reachability = Reachability(clock)
    assert reachability
    for provider in "abc":
        reachability(called(provider, "timeout"))
    reachability(CallRetried(datetime(2026, 1, 1, tzinfo=UTC), "a", "timeout", "again", None))
    clock.advance(10 * SECONDS)
    assert reachability
