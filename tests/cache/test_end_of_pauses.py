"""A failure's pause ends when a leader is there that may succeed where an island could not."""

from backend.cache.refreshes import Failures
from backend.errors import AllProvidersFailed
from backend.models.gas import GasQuery
from tests.clocks import ManualClock


def test_pauses_end_and_further_failures_go_on_to_be_longer(clock: ManualClock) -> None:
    failures = Failures(clock, lambda _event: None)
    query = GasQuery()
    failures.record(query, AllProvidersFailed("no provider"))
    assert failures.in_force(query)
    failures.end_pauses()
    assert failures.in_force(query) is None
    failures.record(query, AllProvidersFailed("no provider"))
    failure = failures.in_force(query)
    assert failure
    assert failure.pause_s == 20.0
