"""What a process counts when it becomes the leader of a cluster: the calls of all, and blocks."""

from dataclasses import replace
from pathlib import Path

import pytest

from backend.models.status import ProviderState
from backend.orchestration.limits.cluster_guard import ClusterLimits
from backend.orchestration.limits.sliding_window import COUNTED_LATE_S
from backend.orchestration.limits.window import Cost, Permit, usable_limit
from backend.orchestration.provider import Provider
from backend.orchestration.provider_factory import ProviderFactory
from backend.providers.adapter import Auth, Plan, ProviderSpec, Window
from backend.providers.client import ProviderClient
from backend.settings import load_configuration
from backend.storage.contract import SavedBlock, SavedState
from tests.clocks import EPOCH, EPOCH_MS, ManualClock
from tests.walk import Wire, stub_adapter

PLAN = Plan("open", ("https://a.example",), (Window(10, 60), Window(100, 86_400.0, kind="day")))
KEYED = Plan("keyed", ("https://a.example",), (Window(10, 60),), Auth("header", "x-key"))
SPEC = ProviderSpec("one", stub_adapter(), keyless=PLAN)
WITH_KEY = ProviderSpec("two", stub_adapter(), keyed=KEYED)
SECOND, MINUTE = EPOCH_MS // 1_000, EPOCH_MS // 60_000
NOW_S = EPOCH.timestamp()
LOG = SavedState({"one/open/minute": {SECOND - 5: 3}, "one/open/day": {MINUTE: 7}}, {}, NOW_S)


@pytest.fixture(autouse=True)
def no_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWO_API_KEY", "secret-key")


def built(clock: ManualClock, *, processes: int = 3) -> tuple[ProviderFactory, Provider, Provider]:
    shared = ClusterLimits(lambda: True, lambda: True, processes, 0) if processes else None
    factory = ProviderFactory(
        load_configuration(["one", "two"]),
        ProviderClient(clock, Wire()),
        clock=clock,
        emit=lambda _event: None,
        jitter=lambda: 1.0,
        redact=str,
        shared=shared,
    )
    return factory, factory.build(SPEC), factory.build(WITH_KEY)


def used(provider: Provider) -> list[int]:
    return [quota.used for quota in provider.status().quotas]


def test_a_complete_log_is_counted_and_nothing_else(clock: ManualClock) -> None:
    factory, provider, _ = built(clock)
    assert factory.restore(LOG, log_is_complete=True) == {}
    assert used(provider) == [3, 7]


def test_the_log_takes_the_place_of_the_own_count(clock: ManualClock) -> None:
    """What is under way is in the log; its end changes nothing any more."""
    factory, provider, _ = built(clock)
    guard = factory.ledgers["one/open"].guard
    permits = [guard.try_acquire(Cost(1, 1)) for _ in range(2)]
    factory.restore(LOG, log_is_complete=True)
    for permit in permits:
        assert isinstance(permit, Permit)
        guard.settle(permit, was_sent=False, may_have_succeeded=True)
    assert used(provider) == [3, 7]
    assert guard.unsaved() == {}


def test_without_a_complete_log_the_short_windows_are_used_up(clock: ManualClock) -> None:
    """They are free after one period; the day is assumed where it is not known."""
    factory, provider, _ = built(clock)
    assumed = factory.restore(replace(LOG, seen_at=NOW_S - 3_600), log_is_complete=False)
    short = usable_limit(10)
    assert assumed[("one/open/minute", SECOND + COUNTED_LATE_S)] == short
    assert assumed[("two/keyed/minute", SECOND + COUNTED_LATE_S)] == short
    of_day = sum(n for (window, _), n in assumed.items() if window == "one/open/day/assumed")
    assert of_day == usable_limit(100) // 24
    assert used(provider) == [short, 7 + of_day]
    clock.advance(60 + COUNTED_LATE_S - 0.1)
    assert used(provider)[0] == short, "a call of the leader before may have been under way"
    clock.advance(0.2)
    assert used(provider)[0] == 0


@pytest.mark.parametrize("kept", [SavedState(), replace(LOG, calls={})])
def test_a_log_without_calls_counts_none(clock: ManualClock, kept: SavedState) -> None:
    factory, provider, _ = built(clock)
    factory.restore(replace(kept, seen_at=NOW_S), log_is_complete=True)
    assert used(provider) == [0, 0]


def test_a_process_that_is_the_whole_gateway_has_nothing_to_restore(clock: ManualClock) -> None:
    factory, provider, _ = built(clock, processes=0)
    before = used(provider)
    assert factory.restore(LOG, log_is_complete=False) == {}
    assert used(provider) == before


def test_blocks_of_the_leader_before_hold_on(clock: ManualClock) -> None:
    factory, provider, keyed = built(clock)
    names = [name for name, _ in factory._blocked]
    (key,) = [name for name in names if name.endswith("/key")]
    refused = SavedBlock("rate_limited", "rate_limited", NOW_S + 600, True, NOW_S)
    blocks = {"one/keyless": refused, key: replace(refused, state="auth_failed"), "gone/x": refused}
    factory.restore(SavedState({}, {}, NOW_S, blocks), log_is_complete=True)
    assert (provider.status().status, provider.is_usable) == (ProviderState.RATE_LIMITED, False)
    endpoint = keyed._executor.keyed
    assert endpoint
    assert endpoint.credential
    assert not endpoint.credential.is_usable()
    clock.advance(601)
    assert endpoint.credential.is_usable()
    assert provider.is_usable
