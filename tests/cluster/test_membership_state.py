"""What a process says about its part in the cluster: its role, since when, and why."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from backend.cluster.contract import ClusterState
from backend.cluster.identity import Identity
from backend.cluster.membership import SILENT_S, Membership
from backend.cluster.redis_store import RedisStore
from backend.cluster.store import Beat, BeatReply, Standing, StoreUnavailable
from tests.clocks import EPOCH, ManualClock

STORE_S = EPOCH.timestamp() + 3_600.0
SETTINGS = {"CLUSTER_SIZE": 2, "NEWSAPI_LIMITS": "1/60"}


class Store(RedisStore):
    """A store that answers as a test says; None: not at all."""

    reply: BeatReply | None = None

    def __init__(self) -> None:
        super().__init__("redis://:geheim@127.0.0.1:1", "test")

    async def beat(self, beat: Beat) -> BeatReply:
        if self.reply is None:
            self.is_connected = False
            raise StoreUnavailable("the server is unreachable")
        return self.reply

    async def connect(self) -> None:
        if self.reply is None:
            raise StoreUnavailable("the server is unreachable")
        self.is_connected = True


class Process:
    def __init__(self, clock: ManualClock) -> None:
        identity = Identity("me-id", "vm/1", "gateway", "0.1.0", 2, True, json.dumps(SETTINGS))
        self.store, self.clock = Store(), clock
        self.membership = Membership(self.store, identity, clock)

    @property
    def state(self) -> ClusterState:
        return self.membership.state()

    async def beat(
        self, standing: Standing | None, *others: str, settings: Mapping[str, object] = SETTINGS
    ) -> None:
        """A beat with this answer of the store; `others` are in it. The first of them leads."""
        detail = {"name": "vm/0", "role": "leader", "version": "0.1.0", "readers": 3}
        members = {one: (STORE_S - 0.5, json.dumps({**detail})) for one in others}
        self.store.is_connected = True
        self.store.reply = standing and BeatReply(
            standing,
            STORE_S,
            term=4,
            holder=others[0] if others else "",
            settings=json.dumps(settings),
            members=members,
        )
        await self.membership._beat_once()

    def hear(self, leader: str) -> None:
        self.membership._hear(leader, b"beat")


async def test_a_role_begins_when_it_changes(clock: ManualClock) -> None:
    process = Process(clock)
    assert (process.state.role, process.state.since) == ("island", EPOCH)
    clock.advance(2)
    await process.beat("follower", "leader-id")
    process.hear("leader-id")
    since = process.state.since
    assert (process.state.role, process.state.leader) == ("follower", "vm/0")
    assert since == clock.now()
    clock.advance(SILENT_S / 2)
    process.hear("leader-id")
    assert process.state.since == since
    clock.advance(SILENT_S + 0.1)
    assert (process.state.role, process.state.since) == ("island", clock.now())
    assert process.state.reason == "the leader is silent"


async def test_a_lost_store_is_the_reason_at_once_and_the_error_after_the_next_beat(
    clock: ManualClock,
) -> None:
    process = Process(clock)
    await process.beat("follower", "leader-id")
    process.hear("leader-id")
    assert process.state.reason is None
    process.store.is_connected = False  # as the receiver or the sender finds out
    found = process.state
    assert (found.role, found.leader, found.is_connected) == ("island", None, False)
    assert found.reason == "the connection was lost"
    await process.beat(None)
    assert process.state.reason == "the server is unreachable"
    assert process.membership.falls == 1


async def test_a_process_is_a_member_before_the_first_contact(clock: ManualClock) -> None:
    process = Process(clock)
    process.membership.count_readers_by(lambda: 5)
    (own,) = process.state.members
    assert process.state.reason == "not connected yet"
    assert (own.name, own.role, own.readers) == ("vm/1", "island", 5)
    assert own.seen_at == process.state.store_s == clock.now().timestamp()


async def test_members_are_as_old_as_the_stores_clock_says(clock: ManualClock) -> None:
    process = Process(clock)
    await process.beat("follower", "leader-id", "me-id")
    clock.advance(2)
    ages = {one.process: process.state.store_s - one.seen_at for one in process.state.members}
    assert ages == {"leader-id": 2.5, "me-id": 0.0}
    assert [one.readers for one in process.state.members] == [3, 0]


async def test_an_excluded_process_names_every_setting_that_differs(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(clock)
    for _ in range(2):
        await process.beat("excluded", settings={"CLUSTER_SIZE": 3, "BINANCE_LIMITS": "9/60"})
    names = "BINANCE_LIMITS, CLUSTER_SIZE, NEWSAPI_LIMITS"
    assert process.state.role == "excluded"
    assert process.state.reason == f"{names} differs from that of the running processes"
    assert [one.getMessage() for one in caplog.records].count(
        f"this process does not join the cluster: {process.state.reason}"
    ) == 1


async def test_a_surplus_process_says_that_it_has_no_share(clock: ManualClock) -> None:
    process = Process(clock)
    await process.beat("follower", "leader-id", "other-id")
    process.hear("leader-id")
    assert process.state.role == "follower"
    assert process.state.reason == "more processes run than CLUSTER_SIZE says"
    await process.beat("follower", "leader-id", "me-id")
    assert process.state.reason is None


async def test_a_member_that_nobody_can_read_ends_no_beats(clock: ManualClock) -> None:
    process = Process(clock)
    await process.beat("follower", "other-id")
    assert process.store.reply
    seen_s, text = STORE_S, "[" * 100_000
    process.store.reply = replace(process.store.reply, members={"other-id": (seen_s, text)})
    await process.membership._beat_once()
    assert [one.name for one in process.state.members] == ["vm/1"]


async def test_a_bug_while_a_reply_is_noted_ends_no_beats(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(clock)

    def fail(_store_s: float) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(process.membership.store_clock, "set", fail)
        await process.beat("follower", "other-id")
    assert process.state.reason == "an error of the gateway"
    assert "a beat of the cluster failed" in caplog.text
    await process.beat("follower", "other-id")
    process.hear("other-id")
    assert process.state.role == "follower"


async def test_a_term_that_another_led_in_a_new_store_is_not_taken_for_the_own(
    clock: ManualClock,
) -> None:
    """An emptied store begins at term 1 again, where nobody of before has spoken."""
    process = Process(clock)
    process.membership._leadership.last_term = 4
    await process.beat("leader")
    assert process.membership._beat().last_term == 4
    await process.beat("follower", "other-id")
    assert process.membership._beat().last_term == 0
