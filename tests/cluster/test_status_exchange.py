"""The leader's status on the bus: when it is told, which one is kept, and what is dropped."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from backend.cluster.status_exchange import MAX_AGE_S, MOST_BYTES, TELL_INTERVAL_S, StatusExchange
from backend.models.status import (
    CategoryStatus,
    Explanation,
    LatencyStatus,
    LeaderStatus,
    ProviderChosen,
    ProviderStatus,
    Quota,
    Refusal,
    Spread,
)
from backend.models.ticks import TickStatus
from tests.clocks import EPOCH, LoopClock, ManualClock
from tests.cluster.fake_cluster import FakeCluster, member, two

REFUSAL = Refusal("b", "rate_limited", EPOCH, "it is full", "minute")
PROVIDER = ProviderStatus(
    name="a",
    categories=("market",),
    status="active",
    reason=None,
    hint=None,
    success_rate=0.5,
    latency_ms=LatencyStatus(1.5, 1.0, None),
    consecutive_failures=0,
    requests=2,
    failures=1,
    last_success_at=datetime(2026, 11, 29, 12, 0, 0, 123_456, UTC),
    last_failure_at=EPOCH,
    last_error="timeout",
    cooldown_until=None,
    quotas=(Quota("minute", 5, 3, 2, EPOCH, 1, 2, 1, 3.5, EPOCH),),
)
STATUS = LeaderStatus(
    categories={"market": CategoryStatus("ok", ("a",), True, 1.25, EPOCH, 60.0, "why", 300.0)},
    providers=(PROVIDER,),
    rotation=(ProviderChosen(EPOCH, "market", "a", "its turn", (REFUSAL,)),),
    explanations={"market": Explanation("market", "a", "its turn", (REFUSAL,))},
    ticks=TickStatus("binance", "down", "timeout", EPOCH, 1),
    spread=Spread(EPOCH, ("a", "b"), 3, 0.1, 0.2, "BTC"),
)


def exchanges(clock: ManualClock) -> tuple[StatusExchange, StatusExchange, FakeCluster]:
    leader, follower = two()
    return StatusExchange(leader, clock), StatusExchange(follower, clock), follower


def test_a_follower_has_every_field_that_the_leader_told(clock: ManualClock) -> None:
    leader, follower, _ = exchanges(clock)
    leader.tell(lambda: STATUS)
    assert follower.newest == STATUS
    assert leader.newest is None


def test_the_newest_status_is_kept_for_ten_seconds(clock: ManualClock) -> None:
    leader, follower, _ = exchanges(clock)
    leader.tell(lambda: replace(STATUS, spread=None))
    leader.tell(lambda: STATUS)
    clock.advance(MAX_AGE_S)
    assert follower.newest == STATUS
    clock.advance(0.1)
    assert follower.newest is None


@pytest.mark.parametrize("role", ["island", "leader", "excluded"])
def test_only_a_follower_shows_what_it_heard(clock: ManualClock, role: str) -> None:
    leader, follower, its = exchanges(clock)
    leader.tell(lambda: STATUS)
    its.role = role  # type: ignore[assignment]
    assert follower.newest is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"junk",
        b"\xff\xfe",
        b"null",
        b"{}",
        b'{"categories": {}, "providers": 7}',
        b"[" * 5_000,
        b'{"padding": "' + b"x" * MOST_BYTES + b'"}',
    ],
    ids=["empty", "no JSON", "no UTF-8", "null", "no fields", "wrong", "nested", "too large"],
)
def test_a_malformed_status_is_dropped_and_the_last_one_stays(
    clock: ManualClock, message: bytes
) -> None:
    leader, follower, its = exchanges(clock)
    leader.tell(lambda: STATUS)
    its.bus.network.send("vm/9", "status", message)
    assert (follower.newest, follower.malformed) == (STATUS, 1)


def test_without_another_process_nothing_is_read_or_told(clock: ManualClock) -> None:
    leader, _ = two()
    leader.members = (member("vm/0", "leader"),)
    StatusExchange(leader, clock).tell(lambda: pytest.fail("it was read"))
    assert leader.bus.network.sent == []


def test_only_the_leader_tells(clock: ManualClock) -> None:
    _, follower = two()
    StatusExchange(follower, clock).tell(lambda: pytest.fail("it was read"))
    assert follower.bus.network.sent == []


@pytest.mark.looptime
async def test_it_is_told_every_two_seconds_whatever_one_reading_raises(
    caplog: pytest.LogCaptureFixture,
) -> None:
    leader, follower = two()
    exchange, readings = StatusExchange(leader, LoopClock()), [STATUS, None, STATUS]

    def read() -> LeaderStatus:
        status = readings.pop(0)
        if status is None:
            raise RuntimeError("a bug")
        return status

    task = asyncio.create_task(exchange.run(read))
    await asyncio.sleep(2 * TELL_INTERVAL_S + 0.1)
    task.cancel()
    assert "could not be told" in caplog.text
    assert [channel for _, channel, _ in follower.bus.network.sent] == ["status", "status"]
