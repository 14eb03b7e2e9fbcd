"""What a new leader believes of the store's log, and of its own memory."""

import asyncio
import json

import pytest

from backend.cluster.identity import Identity
from backend.cluster.leadership import LEASE_MARGIN_S, Takeover
from backend.cluster.membership import Membership
from backend.cluster.store import LEASE_S, BeatReply, Standing, StoreUnavailable
from tests.clocks import ManualClock
from tests.cluster.fake_store import FakeServer, FakeStore

DETAIL = json.dumps({"name": "vm/1", "role": "follower", "version": "1", "readers": 0})


def reply(
    standing: Standing,
    term: int,
    *members: str,
    claims: dict[str, int] | None = None,
    is_full: bool = False,
) -> BeatReply:
    """`claims`: the store has lost data, and these have spoken since."""
    return BeatReply(
        standing,
        1_790_000_000.0,
        term,
        holder="me" if standing == "leader" else "b",
        is_broken=claims is not None,
        is_full=is_full,
        claims=claims or {},
        highest_claim=max((claims or {}).values(), default=0),
        members=dict.fromkeys(members, (1790000000.0, DETAIL)),
    )


class Process:
    """The process `me`; `takeovers` are those that it was told of."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.takeovers: list[Takeover] = []
        self.result: bool | Exception = True
        store = FakeStore(FakeServer(self.clock))
        identity = Identity("me", "vm/0", "gateway", "1", 3, True, "{}")
        self.membership = Membership(store, identity, self.clock)
        self.membership.take_over = self._take_over

    async def _take_over(self, takeover: Takeover) -> bool:
        self.takeovers.append(takeover)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def hear(self, *replies: BeatReply) -> None:
        """The store's answers to its beats."""
        await self.membership.store.connect()
        for one in replies:
            self.membership._note_reply(one, self.clock.monotonic())
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    @property
    def last(self) -> Takeover:
        return self.takeovers[-1]


LED = reply("leader", 4, "me", "b")


async def test_a_whole_log_is_complete() -> None:
    process = Process()
    await process.hear(reply("follower", 3, "b"), LED)
    assert (process.last.log_is_complete, process.last.has_past) == (True, True)
    assert process.membership.leads


async def test_a_first_start_has_no_past() -> None:
    process = Process()
    await process.hear(reply("leader", 1, claims={"me": 0, "b": 0}))
    assert (process.last.log_is_complete, process.last.has_past) == (False, False)


@pytest.mark.parametrize(
    ("claims", "is_complete"),
    [
        ({"me": 4, "b": 4}, True),
        ({"me": 4, "b": 0}, True),
        ({"me": 4, "b": 4, "new": 0}, True),
        ({"me": 4}, False),
        ({"me": 4, "b": 5}, False),
        ({"me": 4, "b": 4, "stranger": 1}, False),
    ],
    ids=[
        "all have spoken",
        "one knew of nobody",
        "a new one",
        "one is silent",
        "another led since",
        "a stranger knows of a leader",
    ],
)
async def test_after_a_loss_the_memory_of_who_led_last_is_complete(
    claims: dict[str, int], is_complete: bool
) -> None:
    process = Process()
    await process.hear(LED, LED, reply("vacant", 0, "me", claims={"me": 4}))
    await process.hear(reply("leader", 6, "me", claims=claims))
    assert (process.last.term, process.last.log_is_complete) == (6, is_complete)


async def test_who_was_followed_by_another_does_not_have_all_calls() -> None:
    """Even if the other one's terms began anew, in a store that had been emptied."""
    process = Process()
    await process.hear(LED, reply("follower", 1, "me", "b"))
    await process.hear(reply("leader", 5, "me", claims={"me": 4, "b": 1}))
    assert not process.last.log_is_complete


async def test_a_takeover_that_failed_is_tried_again_with_what_was_found() -> None:
    process = Process()
    process.result = StoreUnavailable("the server is full")
    await process.hear(reply("leader", 4, claims={"me": 0}))
    assert not process.membership.leads
    process.result = False
    await process.hear(reply("leader", 4, claims={"me": 0, "b": 3}))
    assert not process.membership.leads
    process.result = True
    await process.hear(reply("leader", 4, claims={}))
    assert process.membership.leads
    assert process.takeovers == [process.takeovers[0]] * 3
    assert process.membership.takeovers == 1


async def test_a_bug_in_a_takeover_is_logged_and_nobody_leads(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Process()
    process.result = RuntimeError("a bug")
    await process.hear(LED)
    assert not process.membership.leads
    assert "the takeover of the cluster failed" in caplog.text


async def test_what_a_takeover_found_in_an_earlier_term_does_not_count() -> None:
    """It lost the lease meanwhile, and has it again."""
    process, goes_on = Process(), asyncio.Event()

    async def slow(takeover: Takeover) -> bool:
        process.takeovers.append(takeover)
        await goes_on.wait()
        return True

    process.membership.take_over = slow
    await process.hear(LED, reply("leader", 6, "me"))
    assert [takeover.term for takeover in process.takeovers] == [4, 6]
    goes_on.set()
    await asyncio.sleep(0.01)
    assert process.membership.takeovers == 1
    assert process.membership.leads


async def test_it_leads_until_its_lease_ends_by_its_own_clock() -> None:
    process = Process()
    await process.hear(LED)
    process.clock.advance(LEASE_S - LEASE_MARGIN_S - 0.01)
    assert process.membership.leads
    process.clock.advance(0.02)
    assert not process.membership.leads


@pytest.mark.parametrize("was_fenced", [True, False])
async def test_after_a_refusal_it_reads_the_log_again_before_it_leads(was_fenced: bool) -> None:
    process = Process()
    await process.hear(LED)
    process.membership.record_refusal(was_fenced=was_fenced)
    assert not process.membership.leads
    assert process.membership.fenced == was_fenced
    await process.hear(LED)
    assert process.membership.leads
    assert len(process.takeovers) == 2


async def test_with_a_full_store_nobody_leads() -> None:
    process = Process()
    await process.hear(LED, reply("leader", 4, "me", is_full=True))
    assert not process.membership.leads
    assert process.membership.state().reason == "the store is full"
    await process.hear(LED)
    assert process.membership.leads
