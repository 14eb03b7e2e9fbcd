"""One suite for the shared store, over each real server and over the fake of the other tests.

Leases take 0.24 s in place of 3 s.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from itertools import count

import pytest
import redis

from backend.clock import SystemClock
from backend.cluster import redis_store
from backend.cluster.redis_store import RedisStore
from backend.cluster.store import Beat, BeatReply, SharedStore, StoreFull, StoreUnavailable
from backend.storage.contract import SavedBlock
from tests.cluster import fake_store
from tests.cluster.fake_store import FakeServer, FakeStore
from tests.cluster.servers import PROGRAMS, Server, running

LEASE_S, CLAIM_S, MEMBER_S = 0.24, 0.06, 0.4
NAMES = count(1)
CALLS = {"a/minute": {1_790_000_000: 3, 1_790_000_001: 1}, "a/day": {29_833_333: 4}}
BLOCK = SavedBlock("auth_failed", "401", 1_790_000_100.5, True, 1_790_000_000.25)


@dataclass
class Bench:
    """A server, and the connections of several processes to it."""

    real: Server | None
    fake: FakeServer
    name: str

    def store(self) -> SharedStore:
        return RedisStore(self.real.url, self.name) if self.real else FakeStore(self.fake)

    def admin(self) -> redis.Redis:
        assert self.real
        return redis.Redis.from_url(self.real.url, protocol=2)

    def wipe(self) -> None:
        if self.real is None:
            self.fake.wipe()
        else:
            with self.admin() as admin:
                admin.flushall()

    def fill(self, *, is_full: bool) -> None:
        if self.real is None:
            self.fake.is_full = is_full
            return
        with self.admin() as admin:
            admin.config_set("maxmemory", 1 if is_full else 0)

    def stop(self) -> None:
        if self.real is None:
            self.fake.stop()
        else:
            self.real.kill()

    def begin_with_the_same_data(self, *stores: SharedStore) -> None:
        """As after a restart with a snapshot."""
        self.fake.run_id = "another run"
        for store in stores:
            store._run_id = "another run"  # type: ignore[attr-defined]

    def start(self) -> None:
        if self.real is None:
            self.fake.start()
        else:
            self.real.start()


@pytest.fixture(scope="module", params=["fake", *PROGRAMS])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server | None]:
    if request.param == "fake":
        yield None
        return
    with running(tmp_path_factory.mktemp("server"), request.param) as one:
        yield one


@pytest.fixture
def bench(server: Server | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for module in (redis_store, fake_store):
        monkeypatch.setattr(module, "LEASE_S", LEASE_S)
        monkeypatch.setattr(module, "CLAIM_S", CLAIM_S)
        monkeypatch.setattr(module, "MEMBER_S", MEMBER_S)
        monkeypatch.setattr(module, "CHUNK", 2)
    one = Bench(server, FakeServer(SystemClock()), f"t{next(NAMES)}")
    yield one
    one.fill(is_full=False)


@pytest.fixture
async def stores(bench: Bench) -> AsyncIterator[tuple[SharedStore, SharedStore]]:
    """The connections of two processes."""
    first, second = bench.store(), bench.store()
    await first.connect()
    await second.connect()
    yield first, second
    await first.aclose()
    await second.aclose()


def beat_of(process: str, last_term: int = 0, known_term: int | None = None) -> Beat:
    known = last_term if known_term is None else known_term
    return Beat(process, last_term, True, '{"SIZE": 2}', f"I am {process}", known)


async def lead(store: SharedStore, beat: Beat) -> BeatReply:
    """Beats until it has the lease."""
    while (reply := await store.beat(beat)).standing != "leader":
        await asyncio.sleep(0.01)
    return reply


async def lead_whole(store: SharedStore, process: str) -> int:
    """Leads with a complete log; returns the term."""
    reply = await lead(store, beat_of(process))
    assert await store.replace_calls(process, {})
    return reply.term


Stores = tuple[SharedStore, SharedStore]


async def test_on_a_new_server_all_may_speak_before_one_of_them_leads(stores: Stores) -> None:
    a, _ = stores
    began = asyncio.get_running_loop().time()
    first = await a.beat(beat_of("a"))
    assert (first.standing, first.is_broken, first.term, first.holder) == ("vacant", True, 0, "")
    assert (dict(first.claims), first.highest_claim, first.last_life_s) == ({"a": 0}, 0, 0.0)
    reply = await lead(a, beat_of("a"))
    assert asyncio.get_running_loop().time() - began >= CLAIM_S - 0.02  # by two clocks
    assert (reply.term, reply.holder, reply.is_broken, reply.is_full) == (1, "a", True, False)
    assert 0 < reply.lease_left_s <= LEASE_S
    assert abs(reply.server_s - SystemClock().now().timestamp()) < 1


async def test_one_leads_the_others_follow_until_its_lease_ends(stores: Stores) -> None:
    a, b = stores
    term = await lead_whole(a, "a")
    assert (await b.beat(beat_of("b"))).standing == "follower"
    await asyncio.sleep(LEASE_S / 2)
    assert (await a.beat(beat_of("a", term))).standing == "leader"  # renewed
    await asyncio.sleep(LEASE_S / 2 + 0.05)
    reply = await b.beat(beat_of("b"))
    assert (reply.standing, reply.holder, reply.term) == ("follower", "a", term)
    assert 0 < reply.lease_left_s <= LEASE_S / 2
    await asyncio.sleep(reply.lease_left_s + 0.02)
    reply = await b.beat(beat_of("b"))
    assert (reply.standing, reply.term, reply.is_broken) == ("leader", term + 1, False)
    assert (await a.beat(beat_of("a", term))).standing == "follower"


async def test_a_process_that_may_not_lead_does_not(stores: Stores) -> None:
    a, b = stores
    term = await lead_whole(a, "a")
    await a.release("a")
    watching = replace(beat_of("b"), may_lead=False)
    reply = await b.beat(watching)
    assert (reply.standing, reply.term, reply.is_broken) == ("vacant", term, False)
    await asyncio.sleep(CLAIM_S)
    assert (await b.beat(watching)).standing == "vacant"


async def test_a_released_lease_is_free_at_once_and_terms_only_grow(stores: Stores) -> None:
    a, b = stores
    term = await lead_whole(a, "a")
    await b.beat(beat_of("b"))
    heard = asyncio.ensure_future(anext(a.messages()))
    await asyncio.sleep(0)
    await b.release("b")  # has no lease: nothing happens
    assert (await a.beat(beat_of("a", term))).standing == "leader"
    await b.release("a")
    assert await asyncio.wait_for(heard, 1) == ("leader", b"a\nvacant")
    reply = await b.beat(beat_of("b", known_term=term + 7))
    assert (reply.standing, reply.term) == ("leader", term + 8)
    assert "a" not in reply.members


async def test_after_a_loss_who_led_last_goes_first(bench: Bench, stores: Stores) -> None:
    a, b = stores
    term = await lead_whole(a, "a")
    bench.wipe()
    began = asyncio.get_running_loop().time()
    assert (await b.beat(beat_of("b", known_term=term))).standing == "vacant"
    reply = await a.beat(beat_of("a", term))
    assert (reply.standing, reply.is_broken) == ("vacant", True)
    assert (dict(reply.claims), reply.highest_claim) == ({"a": term, "b": term}, term)
    await asyncio.sleep(CLAIM_S + 0.02)
    assert (await b.beat(beat_of("b", known_term=term))).standing == "vacant"
    reply = await a.beat(beat_of("a", term))
    assert (reply.standing, reply.term, reply.is_broken) == ("leader", term + 1, True)
    assert (dict(reply.claims), reply.highest_claim) == ({"a": term, "b": term}, term)
    assert asyncio.get_running_loop().time() - began < CLAIM_S + LEASE_S


async def test_after_a_loss_anybody_goes_one_lease_later(bench: Bench, stores: Stores) -> None:
    """The one who led last does not come back; another knows of its term."""
    a, b = stores
    term = await lead_whole(a, "a")
    bench.wipe()
    began = asyncio.get_running_loop().time()
    reply = await lead(b, beat_of("b", known_term=term))
    assert asyncio.get_running_loop().time() - began >= CLAIM_S + LEASE_S - 0.01
    assert (reply.term, reply.is_broken, reply.highest_claim) == (term + 1, True, term)


async def test_the_time_to_speak_begins_with_the_server(bench: Bench, stores: Stores) -> None:
    """A snapshot may have been made while all were waiting for it."""
    a, b = stores
    assert (await a.beat(beat_of("a"))).standing == "vacant"
    await asyncio.sleep(CLAIM_S + 0.02)
    bench.begin_with_the_same_data(a, b)
    assert (await a.beat(beat_of("a"))).standing == "vacant"
    assert (await b.beat(beat_of("b", 1))).standing == "vacant"
    await asyncio.sleep(CLAIM_S + 0.02)
    assert (await b.beat(beat_of("b", 1))).standing == "leader"


async def test_a_takeover_that_was_not_completed_leaves_a_broken_log(stores: Stores) -> None:
    a, b = stores
    await lead(a, beat_of("a"))
    again = await a.beat(beat_of("a"))
    assert (again.standing, again.is_broken, dict(again.claims)) == ("leader", True, {"a": 0})
    await a.release("a")
    reply = await lead(b, beat_of("b"))
    assert (reply.is_broken, reply.last_life_s) == (True, 0.0)


async def test_until_the_log_is_complete_the_last_life_is_that_of_the_leader_before(
    bench: Bench, stores: Stores
) -> None:
    a, b = stores
    term = await lead_whole(a, "a")
    life = (await a.beat(beat_of("a", term))).last_life_s
    last = await a.beat(beat_of("a", term))
    assert life <= last.last_life_s <= last.server_s
    await a.release("a")
    await asyncio.sleep(0.02)
    found = await b.beat(beat_of("b", known_term=term))
    assert (found.standing, found.last_life_s) == ("leader", last.server_s)


async def test_a_broken_log_keeps_the_last_life(bench: Bench, stores: Stores) -> None:
    a, b = stores
    term = await lead_whole(a, "a")
    last = await a.beat(beat_of("a", term))
    await a.release("a")
    if bench.real:  # as after a restart from a snapshot
        with bench.admin() as admin:
            admin.hdel(f"{{gw:{bench.name}}}:v1:calls", "whole")
    else:
        bench.fake.data.whole = ""
    first = await lead(b, beat_of("b", known_term=term))
    second = await b.beat(beat_of("b", known_term=term))
    assert first.last_life_s == second.last_life_s == last.server_s
    assert second.is_broken


async def test_other_settings_exclude_while_others_run(stores: Stores) -> None:
    a, b = stores
    await a.beat(beat_of("a"))
    other = replace(beat_of("b"), settings='{"SIZE": 3}')
    reply = await b.beat(other)
    assert (reply.standing, reply.settings, reply.term) == ("excluded", '{"SIZE": 2}', 0)
    assert reply.members["a"][1] == "I am a"
    assert "b" not in (await a.beat(beat_of("a"))).members
    await asyncio.sleep(MEMBER_S + 0.02)
    assert (await b.beat(other)).standing == "leader"  # alone: its own are the cluster's now
    assert (await a.beat(beat_of("a"))).standing == "excluded"


async def test_after_a_loss_the_settings_are_those_of_who_was_not_excluded(
    bench: Bench, stores: Stores
) -> None:
    a, b = stores
    await a.beat(beat_of("a"))
    other = replace(beat_of("b"), settings='{"SIZE": 3}', was_excluded=True)
    assert (await b.beat(other)).standing == "excluded"
    bench.wipe()
    reply = await b.beat(other)
    assert (reply.standing, reply.settings) == ("excluded", "")
    assert (await a.beat(beat_of("a"))).standing == "vacant"
    assert (await b.beat(other)).settings == '{"SIZE": 2}'
    bench.wipe()
    assert (await b.beat(other)).standing == "excluded"
    await asyncio.sleep(CLAIM_S + 0.02)
    assert (await b.beat(other)).standing == "vacant"  # nobody else is there


async def test_members_are_known_by_their_beats_and_forgotten(stores: Stores) -> None:
    a, b = stores
    await a.beat(beat_of("a"))
    reply = await b.beat(beat_of("b"))
    (seen_s, detail), now_s = reply.members["a"], SystemClock().now().timestamp()
    assert (list(reply.members), detail) == (["a"], "I am a")
    assert abs(seen_s - now_s) < 1
    await asyncio.sleep(MEMBER_S + 0.02)
    await b.beat(beat_of("b"))
    assert list((await b.beat(beat_of("b"))).members) == ["b"]


async def test_only_the_leader_adds_calls(stores: Stores) -> None:
    a, b = stores
    assert not await a.append("a", {("a/minute", 5): 1})
    await lead_whole(a, "a")
    assert await a.append("a", {("a/minute", 5): 2, ("a/day", 1): 1})
    assert await a.append("a", {("a/minute", 5): -1})
    assert not await b.append("b", {("a/minute", 5): 1})
    assert await b.load_calls() == {"a/minute": {5: 1}, "a/day": {1: 1}}
    await asyncio.sleep(LEASE_S + 0.02)
    assert not await a.append("a", {("a/minute", 5): 1})


async def test_the_log_is_replaced_by_the_leader_only(stores: Stores) -> None:
    a, b = stores
    assert await b.load_calls() == {}
    assert not await b.replace_calls("b", CALLS)
    reply = await lead(a, beat_of("a"))
    await a.append("a", {("old", 1): 1})
    assert await a.replace_calls("a", CALLS)
    assert not await b.replace_calls("b", {})
    assert await b.load_calls() == CALLS
    again = await a.beat(beat_of("a", reply.term))
    assert (again.is_broken, dict(again.claims)) == (False, {})
    await a.delete_calls([("a/minute", 1_790_000_000), ("a/day", 29_833_333), ("none", 1)])
    assert await b.load_calls() == {"a/minute": {1_790_000_001: 1}}
    assert await a.replace_calls("a", {})
    assert await b.load_calls() == {}


async def test_the_newest_answers_of_a_category_stay(stores: Stores) -> None:
    a, b = stores
    for number in range(4):
        await a.save_answer(f"ohlc/{number}", b"%d\0\xff" % number, 100.0 + number, 2)
    await a.save_answer("gas/eth", b"old", 1.0, None)
    await a.save_answer("gas/eth", b"new", 2.0, None)
    await a.save_answer("gas/btc", b"x", 1.0, None)
    assert await b.load_answers() == {
        "ohlc/2": b"2\0\xff",
        "ohlc/3": b"3\0\xff",
        "gas/eth": b"new",
        "gas/btc": b"x",
    }


async def test_blocks_are_saved_and_deleted(stores: Stores) -> None:
    a, b = stores
    await a.save_block("binance/keyless", BLOCK)
    await a.save_block("kraken/keyless", BLOCK)
    await a.save_block("kraken/keyless", None)
    await a.save_block("okx/keyless", None)
    assert await b.load_blocks() == {"binance/keyless": BLOCK}


async def test_messages_reach_the_others_whole(stores: Stores) -> None:
    a, b = stores
    heard = b.messages()
    first = asyncio.ensure_future(anext(heard))
    await asyncio.sleep(0)
    await a.publish("ask", b"a\n\0\xff\r\n")
    await a.publish("answers", b"a\n" + bytes(100_000))
    assert await asyncio.wait_for(first, 1) == ("ask", b"a\n\0\xff\r\n")
    assert await asyncio.wait_for(anext(heard), 1) == ("answers", b"a\n" + bytes(100_000))


async def test_a_full_server_keeps_the_lease_and_refuses_what_is_new(
    bench: Bench, stores: Stores
) -> None:
    a, b = stores
    term = await lead_whole(a, "a")
    await a.append("a", {("a/minute", 5): 1})
    bench.fill(is_full=True)
    for refused in (
        a.append("a", {("a/minute", 6): 1}),
        a.replace_calls("a", CALLS),
        a.save_answer("gas/eth", b"x", 1.0, None),
        a.save_block("binance", BLOCK),
    ):
        with pytest.raises(StoreFull, match="the server is full"):
            await refused
    assert await a.load_calls() == {"a/minute": {5: 1}}
    assert not await b.append("b", {("a/minute", 6): 1})  # it is not the leader: that is said
    await asyncio.sleep(LEASE_S / 2)
    full = await a.beat(beat_of("a", term))
    assert (full.standing, full.is_full) == ("leader", True)
    await asyncio.sleep(LEASE_S / 2 + 0.05)
    assert (await b.beat(beat_of("b"))).standing == "follower"
    await a.publish("ticks", b"a\nx")
    await a.release("a")
    vacant = await b.beat(beat_of("b"))
    assert (vacant.standing, vacant.is_full, vacant.term) == ("vacant", True, term)
    bench.fill(is_full=False)
    again = await b.beat(beat_of("b"))
    assert (again.standing, again.is_full, again.is_broken) == ("leader", False, False)
    assert a.is_connected
    assert b.is_connected


async def test_a_lost_server_is_known_at_once_and_comes_back_empty(
    bench: Bench, stores: Stores
) -> None:
    a, b = stores
    term = await lead_whole(a, "a")
    heard = asyncio.ensure_future(anext(b.messages()))
    await asyncio.sleep(0)
    bench.stop()
    with pytest.raises(StoreUnavailable):
        await a.append("a", {("a/minute", 5): 1})
    assert not a.is_connected
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(heard, 5)
    with pytest.raises(StoreUnavailable, match="not connected"):
        await a.beat(beat_of("a"))
    with pytest.raises(StoreUnavailable, match="unreachable"):
        await a.connect()
    bench.start()
    await a.connect()
    assert a.is_connected
    reply = await a.beat(beat_of("a", term))
    assert (reply.standing, reply.is_broken, reply.term) == ("vacant", True, 0)
    assert (await lead(a, beat_of("a", term))).term == term + 1


async def test_before_it_is_connected_nothing_is_tried(bench: Bench) -> None:
    store = bench.store()
    assert not store.is_connected
    with pytest.raises(StoreUnavailable, match="not connected"):
        await store.load_blocks()
    with pytest.raises(StoreUnavailable, match="not connected"):
        await anext(store.messages())
    await store.aclose()


async def test_a_caller_that_leaves_does_not_end_the_connection(stores: Stores) -> None:
    a, _ = stores
    await lead_whole(a, "a")
    await a.append("a", {("a/minute", 4): 1})  # the server has the script
    leaving = asyncio.create_task(a.append("a", {("a/minute", 5): 1}))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await a.load_calls() == {"a/minute": {4: 1, 5: 1}}
