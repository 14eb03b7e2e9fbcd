"""Which processes are connected to the venues, as a table over time."""

import pytest

from backend.cluster.membership import BEAT_S, SILENT_S
from backend.cluster.store import LEASE_S
from backend.models.cluster import Role
from backend.orchestration.push.connection_rule import ISLAND_S, ConnectionRule
from tests.clocks import ManualClock


@pytest.mark.parametrize(
    ("steps", "is_connected"),
    [
        ((("leader", 0.0),), True),
        ((("single", 0.0),), True),
        ((("follower", 100.0), ("follower", 0.0)), False),
        ((("excluded", 100.0), ("excluded", 0.0)), False),
        ((("island", ISLAND_S - 0.1), ("island", 0.0)), False),
        ((("island", ISLAND_S), ("island", 0.0)), True),
        ((("island", 2.0), ("follower", 0.0), ("island", 2.0), ("island", 0.0)), False),
        ((("leader", 1.0), ("island", 0.0)), True),
        ((("leader", 1.0), ("island", 1.0), ("follower", 0.0)), False),
        ((("leader", 1.0), ("excluded", 1.0), ("island", 0.0)), False),
    ],
)
def test_who_is_connected(steps: tuple[tuple[Role, float], ...], is_connected: bool) -> None:
    clock = ManualClock()
    rule = ConnectionRule(clock)
    for role, seconds in steps:
        rule.note_role(role)
        clock.advance(seconds)
    assert rule.is_connected is is_connected
    assert repr(rule) == f"<ConnectionRule {'connected' if is_connected else 'relayed'}>"


def test_a_change_is_reported_once() -> None:
    clock = ManualClock()
    rule = ConnectionRule(clock)
    assert [rule.note_role("leader"), rule.note_role("leader")] == [True, False]
    changed_at = rule.changed_at
    clock.advance(1)
    assert [rule.note_role("follower"), rule.changed_at - changed_at] == [True, 1.0]


def test_an_island_waits_for_longer_than_a_takeover_takes() -> None:
    """The leader's last message may be as old as its last beat, when the lease began."""
    assert SILENT_S + ISLAND_S > LEASE_S + BEAT_S
    assert SILENT_S + ISLAND_S < LEASE_S + 2
