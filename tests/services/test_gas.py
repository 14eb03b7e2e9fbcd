"""Nodes that lag, stall or report absurd heights: another provider answers, or a stale answer."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx
import orjson
import pytest

from backend.cache.cached_source import CachedSource
from backend.cache.freshness import Freshness, constant
from backend.cache.ttl_cache import TTLCache
from backend.errors import MalformedResponse
from backend.models.answer import Answer
from backend.models.chains import CHAINS
from backend.models.gas import BlockFees, GasFees, GasQuery
from backend.providers.vendors import etherscan, evm_rpc
from backend.services.gas import GasSource
from tests.clocks import EPOCH, EPOCH_MS, ManualClock
from tests.walk import Walk
from tests.world import feeds

TTL_S, MAX_STALE_S = 15.0, 300.0
GUARD_S = CHAINS["ethereum"].guard_s
NODE = evm_rpc.provider("ethereum").adapter
#: After it a reader waits for the refresh.
OVER_S = 2 * TTL_S + 1
HEAD = feeds.FIRST_HEAD
Heights = Callable[[int], int]


def behind(head: int) -> int:
    return head - 8_000


def stuck(_head: int) -> int:
    return HEAD


@dataclass
class Scene:
    """A chain that makes a block each 12 s, two nodes `a` and `b` of one provider, an `oracle`.

    `told` says which height each tells in place of the chain's.
    """

    clock: ManualClock
    told: dict[str, Heights] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.walk = Walk(self.clock)
        self.walk.wire.scripts |= {"a": self._node("a"), "b": self._node("b")}
        self.walk.wire.scripts["oracle"] = self._oracle
        self.walk.add("rpc", adapter=NODE, hosts=("a", "b"), independent_hosts=True)

    @property
    def head(self) -> int:
        return HEAD + int(self.clock.elapsed // 12)

    def _height(self, name: str) -> int:
        told = self.told.get(name)
        return told(self.head) if told else self.head

    def _node(self, name: str) -> Callable[[httpx.Request], httpx.Response]:
        def answer(request: httpx.Request) -> httpx.Response:
            calls: list[dict[str, Any]] = orjson.loads(request.content)
            return httpx.Response(200, json=feeds.fee_history(calls, self._height(name)))

        return answer

    def _oracle(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=feeds.gas_oracle(self._height("oracle")))

    def cached(self) -> CachedSource[GasQuery, GasFees]:
        return CachedSource(
            GasSource(self.walk.manager()),
            TTLCache[Answer[GasFees]](self.clock, 1),
            clock=self.clock,
            emit=self.walk.events.append,
            freshness=partial(constant, Freshness(TTL_S, MAX_STALE_S)),
            deadline_s=4.0,
        )


@pytest.fixture
def scene(clock: ManualClock) -> Scene:
    return Scene(clock)


@pytest.fixture
async def gas(scene: Scene) -> AsyncIterator[CachedSource[GasQuery, GasFees]]:
    scene.walk.add("oracle", adapter=etherscan.ADAPTER)
    cached = scene.cached()
    yield cached
    await cached.aclose()


@pytest.fixture
async def alone(scene: Scene) -> AsyncIterator[CachedSource[GasQuery, GasFees]]:
    cached = scene.cached()
    yield cached
    await cached.aclose()


Gas = CachedSource[GasQuery, GasFees]


async def test_a_lagging_node_is_replaced_by_the_other_one_at_once(
    scene: Scene, alone: Gas
) -> None:
    await alone.fetch(GasQuery())
    scene.told["a"] = behind
    scene.clock.advance(OVER_S)
    answer = await alone.fetch(GasQuery())
    assert (answer.stale, answer.data.block) == (False, scene.head)
    assert scene.walk.wire.calls == {"a": 2, "b": 1}


@pytest.mark.parametrize("fault", [behind, lambda head: 1])
async def test_a_provider_whose_nodes_all_lag_is_replaced_at_once(
    scene: Scene, gas: Gas, fault: Heights
) -> None:
    await gas.fetch(GasQuery())
    scene.told |= {"a": fault, "b": fault}
    for _ in range(20):
        scene.clock.advance(OVER_S)
        answer = await gas.fetch(GasQuery())
        assert (answer.source, answer.stale, answer.data.block) == ("oracle", False, scene.head)


async def test_a_lagging_oracle_is_replaced_by_a_node_at_once(scene: Scene, gas: Gas) -> None:
    await gas.fetch(GasQuery())
    scene.told["oracle"] = behind
    for _ in range(20):
        scene.clock.advance(OVER_S)
        answer = await gas.fetch(GasQuery())
        assert (answer.source, answer.stale, answer.data.block) == ("rpc", False, scene.head)


@pytest.mark.parametrize(("fault", "fresh_for_s"), [(behind, 0), (stuck, 95)])
async def test_without_an_alternative_to_a_lagging_node_the_answer_is_stale_with_a_reason(
    scene: Scene, alone: Gas, fault: Heights, fresh_for_s: int
) -> None:
    await alone.fetch(GasQuery())
    scene.told |= {"a": fault, "b": fault}
    while scene.clock.elapsed + OVER_S < GUARD_S:
        scene.clock.advance(OVER_S)
        answer = await alone.fetch(GasQuery())
        assert answer.data.block == HEAD
        is_fresh = scene.clock.elapsed <= fresh_for_s
        assert (answer.stale, answer.stale_reason) == (
            (False, None) if is_fresh else (True, "bad_payload")
        )


async def test_after_five_minutes_at_one_height_the_answer_is_accepted_with_a_warning(
    scene: Scene, alone: Gas
) -> None:
    """The chain itself may stand still, and then these are its prices."""
    scene.told |= {"a": stuck, "b": stuck}
    seen: list[tuple[bool, tuple[str, ...]]] = []
    while scene.clock.elapsed < 1_000:
        answer = await alone.fetch(GasQuery())
        assert answer.data.block == HEAD
        seen.append((answer.stale, answer.warnings))
        scene.clock.advance(OVER_S)
    silent = [told for told in seen[1:] if not told[0] and not told[1]]
    assert len(silent) <= 95 // OVER_S + 1
    told = re.compile(rf"block {HEAD} has been the newest one for \d+ s: .* stand still")
    warnings = [warning for is_stale, warnings in seen if not is_stale for warning in warnings]
    assert warnings
    assert all(told.fullmatch(warning) for warning in warnings)
    scene.told.clear()
    scene.clock.advance(400)
    answer = await alone.fetch(GasQuery())
    assert (answer.stale, answer.warnings, answer.data.block) == (False, (), scene.head)


async def test_one_absurd_height_does_not_lead_to_the_refusal_of_honest_nodes(
    scene: Scene, alone: Gas
) -> None:
    await alone.fetch(GasQuery())
    scene.told["a"] = lambda _head: 10**9
    scene.clock.advance(OVER_S)
    assert (await alone.fetch(GasQuery())).data.block == 10**9
    del scene.told["a"]
    scene.clock.advance(OVER_S)
    answer = await alone.fetch(GasQuery())
    assert (answer.stale, answer.data.block) == (False, scene.head)


async def test_an_unexplained_height_is_accepted_from_a_second_answer(
    scene: Scene, alone: Gas
) -> None:
    """As after days without any known block."""
    await alone.fetch(GasQuery())
    scene.told |= dict.fromkeys("ab", lambda head: head + 5_000)
    for _ in range(2):
        scene.clock.advance(OVER_S)
        await alone.fetch(GasQuery())
    scene.told.clear()
    scene.clock.advance(OVER_S)
    assert (await alone.fetch(GasQuery())).stale_reason == "bad_payload"


async def test_an_absurd_first_height_refuses_honest_nodes_for_five_minutes_at_most(
    scene: Scene, alone: Gas
) -> None:
    scene.told["a"] = lambda _head: 10**9
    assert (await alone.fetch(GasQuery())).data.block == 10**9
    del scene.told["a"]
    scene.clock.advance(290)
    assert (await alone.fetch(GasQuery())).stale_reason == "bad_payload"
    scene.clock.advance(60)
    answer = await alone.fetch(GasQuery())
    assert (answer.stale, answer.data.block) == (False, scene.head)


def fees(block: int, at: datetime = EPOCH) -> Answer[GasFees]:
    return Answer(GasFees("ethereum", "gwei", 1.0, 2.0, 3.0, None, block, "oracle"), "a", at, 1.0)


@dataclass
class Scripted:
    """Gives `answers`, the last one again and again; keeps the questions."""

    answers: list[Answer[GasFees]]
    asked: list[GasQuery] = field(default_factory=list)

    async def fetch(self, query: GasQuery) -> Answer[GasFees]:
        self.asked.append(query)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @property
    def known(self) -> list[tuple[int | None, int | None]]:
        return [(query.newest_block, query.newest_block_at_ms) for query in self.asked]


def after(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


async def test_a_query_carries_the_highest_block_and_the_time_it_was_first_seen() -> None:
    told = [fees(100), fees(102, after(24)), fees(101, after(36)), fees(102, after(48))]
    scripted = Scripted([*told, fees(103, after(60))])
    source = GasSource(scripted)
    for _ in range(5):
        await source.fetch(GasQuery(is_urgent=True))
    await source.fetch(GasQuery())
    assert scripted.known == [
        (None, None),
        (100, EPOCH_MS),
        *[(102, EPOCH_MS + 24_000)] * 3,
        (103, EPOCH_MS + 60_000),
    ]
    assert [query.is_urgent for query in scripted.asked] == [True] * 5 + [False]


async def test_after_five_minutes_a_lower_block_becomes_the_known_one() -> None:
    scripted = Scripted([fees(10**9), fees(100, after(300))])
    source = GasSource(scripted)
    for _ in range(3):
        await source.fetch(GasQuery())
    assert scripted.known == [(None, None), (10**9, EPOCH_MS), (100, EPOCH_MS + 300_000)]


async def test_the_block_of_an_earlier_run_is_known() -> None:
    scripted = Scripted([fees(101)])
    source = GasSource(scripted)
    source.adopt(fees(100, after(-60)))
    await source.fetch(GasQuery())
    assert scripted.known == [(100, EPOCH_MS - 60_000)]


async def test_an_adopted_height_that_no_growth_explains_needs_an_answer_of_its_own() -> None:
    """The same answer again, as a cache gives it, confirms nothing."""
    absurd = fees(10**9, after(2))
    scripted = Scripted([fees(100), fees(10**9, after(3))])
    source = GasSource(scripted)
    await source.fetch(GasQuery())
    for _ in range(3):
        source.adopt(absurd)
    await source.fetch(GasQuery())
    source.adopt(absurd)
    assert scripted.known == [(None, None), (100, EPOCH_MS)]
    assert source._heads["ethereum"].known.newest_block == 10**9, "the second answer confirmed it"


async def test_an_adopted_block_refuses_nodes_that_lag_behind_it() -> None:
    scripted = Scripted([fees(101)])
    source = GasSource(scripted)
    await source.fetch(GasQuery())
    source.adopt(fees(105, after(60)))
    source.adopt(fees(105, after(60)))
    source.adopt(fees(104, after(61)))
    await source.fetch(GasQuery())
    assert scripted.known[-1] == (105, EPOCH_MS + 60_000)


def answering_later(first: Answer[GasFees], late: Answer[GasFees]) -> Answer[GasFees]:
    async def later() -> Answer[GasFees]:
        return late

    return replace(first, late_answer=later)


async def test_a_late_answer_is_checked_against_the_block_of_the_first_one() -> None:
    lagging, good = fees(100, after(2)), fees(9_001, after(2))
    first = answering_later(fees(9_000, after(1)), lagging)
    scripted = Scripted([first, answering_later(fees(9_000, after(1)), good), good])
    source = GasSource(scripted)
    answer = await source.fetch(GasQuery())
    assert answer.late_answer is not None
    with pytest.raises(MalformedResponse, match="block 100 is older than 8997"):
        await answer.late_answer()
    answer = await source.fetch(GasQuery())
    assert answer.late_answer is not None
    assert (await answer.late_answer()).data == good.data
    await source.fetch(GasQuery())
    assert scripted.known[-1] == (9_001, EPOCH_MS + 2_000)


async def test_refused_blocks_are_a_warning_and_no_part_of_the_fees() -> None:
    plain = fees(100).data
    blocks = BlockFees("ethereum", "gwei", 1.0, 2.0, 3.0, None, 100, "oracle", refused=("99", "98"))
    scripted = Scripted(
        [replace(fees(100), data=blocks), replace(fees(100), data=replace(blocks, refused=()))]
    )
    source = GasSource(scripted)
    answer = await source.fetch(GasQuery())
    assert (answer.data, type(answer.data)) == (plain, GasFees)
    assert answer.warnings == ("2 blocks were refused as malformed: 99, 98",)
    assert (await source.fetch(GasQuery())).warnings == ()
