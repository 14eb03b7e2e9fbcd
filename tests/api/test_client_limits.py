"""Limits of one client's address: exact in any window, bounded in memory and in work."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.edge.client_limits import (
    ClientAccount,
    ClientLimits,
    client_address,
    normalized_address,
)
from api.edge.sliding_log import PARTS, SlidingLog, Verdict
from backend.environment.forms import CallLimit
from backend.errors import ClientLimitReached
from tests.clocks import ManualClock

MINUTE = CallLimit(600, 60.0)


def test_exactly_the_limit_is_admitted(clock: ManualClock) -> None:
    limits = ClientLimits([MINUTE], clock)
    verdicts = [limits.hit("198.51.100.1") for _ in range(630)]
    assert [verdict.passes for verdict in verdicts] == [True] * 600 + [False] * 30
    assert verdicts[0] == Verdict(True, 599, 60)
    assert verdicts[-1] == Verdict(False, 0, 60)
    assert limits.hit("198.51.100.2").passes, "another's limit is another's"


@pytest.mark.parametrize("burst_at_s", [0.0, 30.0, 59.0])
def test_no_window_admits_more_than_the_limit(clock: ManualClock, burst_at_s: float) -> None:
    """Two bursts around a minute's end were 1,197 requests in one window of 600."""
    limits = ClientLimits([MINUTE], clock)
    clock.advance(burst_at_s)
    passed = sum(limits.hit("a").passes for _ in range(700))
    clock.advance(59.9)
    passed += sum(limits.hit("a").passes for _ in range(700))
    assert passed == 600
    clock.advance(0.1)
    assert sum(limits.hit("a").passes for _ in range(700)) == 600


@given(
    steps=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 40)), max_size=60),
    limit=st.integers(1, 30),
)
def test_the_limit_holds_in_every_window(steps: list[tuple[float, int]], limit: int) -> None:
    clock = ManualClock()
    limits = ClientLimits([CallLimit(limit, 60.0)], clock)
    passed: list[tuple[float, int]] = []
    for wait_s, units in steps:
        clock.advance(wait_s)
        now = clock.monotonic()
        in_window = sum(counted for at, counted in passed if now - at < 60.0)
        late = sum(counted for at, counted in passed if now - at < 60.0 * (1 + 1 / PARTS))
        counted = min(units, limit)
        verdict = limits.hit("a", units)
        if verdict.passes:
            assert in_window + counted <= limit
            passed.append((now, counted))
        else:
            assert late + counted > limit, "refused although it fits"


@given(st.lists(st.floats(0, 20), max_size=80), st.integers(1, 30))
def test_cached_responses_count_as_other_requests(waits_s: list[float], limit: int) -> None:
    clock = ManualClock()
    windows = [CallLimit(limit, 60.0)]
    limits, twin = ClientLimits(windows, clock), ClientLimits(windows, clock)
    for wait_s in waits_s:
        clock.advance(wait_s)
        verdict = twin.hit("a")
        assert limits.admit("a") == (verdict.header if verdict.passes else None)


def test_the_reported_seconds_are_never_zero() -> None:
    """At this time the oldest entry has expired by one sum of floats, and not by another."""
    log, start = SlidingLog(600, 60.0), 114.88707730117342
    for now in (start, start + 2.0):
        assert log.wait_s(now, 1) == 0
        log.add(now, 1)
    assert log.wait_s(start + 60.0, 1) == 0
    assert log.add(start + 60.0, 1).reset_s == 1


def test_units_are_free_again_after_the_reported_seconds(clock: ManualClock) -> None:
    limits = ClientLimits([CallLimit(10, 60.0)], clock)
    for _ in range(10):
        limits.hit("a")
        clock.advance(3)
    refused = limits.hit("a", 4)
    assert not refused.passes
    clock.advance(refused.reset_s - 1)
    assert not limits.hit("a", 4).passes
    clock.advance(1)
    assert limits.hit("a", 4).passes


def test_the_fullest_of_several_windows_decides(clock: ManualClock) -> None:
    limits = ClientLimits([CallLimit(5, 1.0), CallLimit(8, 60.0)], clock)
    assert limits.policy == '"client";q=5;w=1, "client";q=8;w=60'
    assert [limits.hit("a").passes for _ in range(6)] == [True] * 5 + [False]
    clock.advance(1)
    verdicts = [limits.hit("a") for _ in range(4)]
    assert [verdict.passes for verdict in verdicts] == [True] * 3 + [False]
    assert verdicts[2].left == 0
    assert verdicts[3].reset_s == 59


def test_a_use_beyond_the_limit_needs_a_whole_window(clock: ManualClock) -> None:
    limits = ClientLimits([CallLimit(10, 60.0)], clock)
    assert limits.hit("a", 33).passes
    assert not limits.hit("a").passes
    clock.advance(60)
    limits.hit("a")
    assert not limits.hit("a", 33).passes


def test_clients_and_log_entries_are_bounded(clock: ManualClock) -> None:
    limits = ClientLimits([MINUTE], clock, max_clients=100)
    for number in range(100_000):
        limits.hit(f"client {number}")
    assert len(limits._logs) == 100
    for _ in range(10_000):
        limits.hit("a", 0)
        clock.advance(0.05)
    (log,) = limits._logs["a"]
    assert len(log._older) + 1 <= PARTS + 1


def test_log_entries_are_in_order(clock: ManualClock) -> None:
    limits = ClientLimits([MINUTE], clock)
    for step in (0.0, 0.1, 0.5, 0.9, 1.0, 7.0):
        clock.advance(step)
        limits.hit("a")
    (log,) = limits._logs["a"]
    assert all(one[0] < other[0] for one, other in pairwise(log._older))


def test_an_account_is_charged_before_the_work_is_done(clock: ManualClock) -> None:
    limits = ClientLimits([CallLimit(10, 60.0)], clock)
    account = ClientAccount(limits, "a")
    account.charge(0)
    account.charge(8)
    with pytest.raises(ClientLimitReached, match="costs 3 units of the client's limit, 2 are left"):
        account.charge(3)
    account.charge(2)
    with pytest.raises(ClientLimitReached) as caught:
        account.charge(1)
    assert (caught.value.retry_after_s, caught.value.reason) == (60, "rate_limited")


def test_without_a_limit_nothing_is_charged(clock: ManualClock) -> None:
    ClientAccount(ClientLimits([], clock), "a").charge(10**9)
    ClientAccount(None, "a").charge(10**9)


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:51000", "203.0.113.9"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
        ("::FFFF:102:304", "1.2.3.4"),
        ("[2001:db8::1]:443", "2001:db8::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
        ("2001:db8:0:0:5::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ('"[2001:db8::1]:443"', "2001:db8::/64"),
        ("1.2.3.4.5", "unknown"),
        ("[", "unknown"),
        ("", "unknown"),
        ("unknown", "unknown"),
        ("_hidden", "unknown"),
        ("1.2.3.4\n", "unknown"),
    ],
)
def test_an_address_is_normalized_from_every_spelling(text: str, counted: str) -> None:
    assert normalized_address(text) == counted


def test_entries_with_ports_are_separate_clients() -> None:
    entries = ["203.0.113.9:51000", "198.51.100.7:4000", "192.0.2.5:1", "[2001:db8::1]:443"]
    found = [
        client_address(
            {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", entry.encode())]}, 1
        )
        for entry in entries
    ]
    assert found == ["203.0.113.9", "198.51.100.7", "192.0.2.5", "2001:db8::/64"]
