"""Which answers are kept, how often, and what a later run is given of them."""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import TypeAdapter

from backend.cache.answer_codec import AnswerCodec, KeptAnswer
from backend.cache.answer_keeper import HELD_S, IDLE_S, MOST_PASSED_OVER, AnswerKeeper, Keeping
from backend.cache.last_answers import LastAnswers
from backend.models.answer import Answer
from tests.clocks import EPOCH, LoopClock
from tests.walk import PriceQuery

pytestmark = pytest.mark.looptime
CODEC = AnswerCodec(TypeAdapter(KeptAnswer[PriceQuery, float]))
KEEPING = Keeping("price", CODEC)
QUERY = PriceQuery()


@dataclass
class Store:
    """Takes `delay_s` for each body; has no room for the first `failures`."""

    delay_s: float = 0.0
    failures: int = 0
    writes: list[tuple[str, float]] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)

    async def keep_answer(self, question: str, body: bytes, now_s: float) -> bool:
        await asyncio.sleep(self.delay_s)
        if self.failures:
            self.failures -= 1
            return False
        self.bodies[question] = body
        self.writes.append((question, now_s - EPOCH.timestamp()))
        return True

    @property
    def values(self) -> dict[str, Any]:
        """What a later run would find."""
        kept = {name: CODEC.decoded(body) for name, body in self.bodies.items()}
        return {name: (one.query.coin, one.data) for name, one in kept.items() if one}


def answer(value: float) -> Answer[float]:
    return Answer(value, "a", LoopClock().now(), 1.0)


def opened(keeping: Keeping[PriceQuery, float], store: Store) -> AnswerKeeper[PriceQuery, float]:
    return AnswerKeeper(keeping, store, LoopClock())


async def test_an_answer_is_written_behind_the_readers_back() -> None:
    store = Store(delay_s=1.0)
    keeper = opened(KEEPING, store)
    keeper.keep(QUERY, answer(1.0))
    assert store.values == {}
    await asyncio.sleep(1.1)
    assert store.values == {"price/0": ("btc", 1.0)}
    assert store.writes == [("price/0", 0.0)]


async def test_of_those_that_come_during_a_write_the_newest_is_next() -> None:
    store = Store(delay_s=1.0)
    keeper = opened(KEEPING, store)
    for value in range(10):
        keeper.keep(QUERY, answer(float(value)))
        await asyncio.sleep(0.05)
    await asyncio.sleep(5)
    assert store.values == {"price/0": ("btc", 9.0)}
    assert len(store.writes) == 2


async def test_what_is_renewed_all_the_time_is_written_seldom() -> None:
    store = Store()
    keeper = opened(replace(KEEPING, every_s=60.0), store)
    for second in range(150):
        keeper.keep(QUERY, answer(float(second)))
        await asyncio.sleep(1)
    assert [at for _, at in store.writes] == [0.0, 60.0, 120.0]
    await keeper.flush()
    assert store.values == {"price/0": ("btc", 149.0)}


async def test_a_flush_waits_for_a_write_that_is_under_way() -> None:
    store = Store(delay_s=1.0)
    keeper = opened(replace(KEEPING, every_s=60.0), store)
    keeper.keep(QUERY, answer(1.0))
    await asyncio.sleep(0.1)
    keeper.keep(QUERY, answer(2.0))
    await keeper.flush()
    assert store.values == {"price/0": ("btc", 2.0)}


async def test_what_a_full_disk_did_not_take_is_written_at_the_end() -> None:
    store = Store(failures=1)
    keeper = opened(KEEPING, store)
    keeper.keep(QUERY, answer(1.0))
    await asyncio.sleep(1.0)
    assert store.values == {}
    await keeper.flush()
    assert store.values == {"price/0": ("btc", 1.0)}


async def test_in_place_of_what_was_not_written_a_newer_answer_is() -> None:
    store = Store(delay_s=1.0, failures=1)
    keeper = opened(KEEPING, store)
    keeper.keep(QUERY, answer(1.0))
    await asyncio.sleep(0.5)
    keeper.keep(QUERY, answer(2.0))
    await asyncio.sleep(1.0)
    await keeper.flush()
    assert store.values == {"price/0": ("btc", 2.0)}
    assert len(store.writes) == 1


async def test_questions_have_places_of_their_own_as_long_as_there_are_some() -> None:
    store = Store()
    keeper = opened(replace(KEEPING, places=3), store)
    for coin in "abcd":
        keeper.keep(PriceQuery(coin), answer(1.0))
    await asyncio.sleep(1)
    assert [coin for coin, _ in store.values.values()] == ["a", "b", "c"]
    assert repr(keeper) == "<AnswerKeeper price 3/3>"


async def test_a_newcomer_takes_the_place_that_was_longest_out_of_use() -> None:
    store = Store()
    keeper = opened(replace(KEEPING, places=3), store)
    for coin in "abca":
        keeper.keep(PriceQuery(coin), answer(1.0))
        await asyncio.sleep(1)
    await asyncio.sleep(IDLE_S - 2.5)
    keeper.keep(PriceQuery("d"), answer(2.0))
    keeper.keep(PriceQuery("e"), answer(2.0))
    await asyncio.sleep(1)
    assert [coin for coin, _ in store.values.values()] == ["a", "d", "c"]


async def test_a_crowd_of_questions_does_not_drive_out_one_that_is_asked_all_the_time() -> None:
    store = Store()
    keeper = opened(replace(KEEPING, places=2, every_s=60.0), store)
    for second in range(600):
        keeper.keep(PriceQuery(f"crowd {second}"), answer(1.0))
        if second % 15 == 1:
            keeper.keep(PriceQuery("hot"), answer(2.0))
        await asyncio.sleep(1)
    assert ("hot", 2.0) in store.values.values()
    assert len(store.writes) <= 2 * 11


async def test_one_that_comes_again_takes_a_place_sooner() -> None:
    store = Store()
    keeper = opened(KEEPING, store)
    keeper.keep(PriceQuery("once"), answer(1.0))
    for second in range(int(HELD_S) - 5, int(HELD_S) + 5, 5):
        await asyncio.sleep(second - LoopClock().monotonic())
        keeper.keep(PriceQuery("again"), answer(2.0))
        assert store.values == {"price/0": ("once", 1.0)}
    await asyncio.sleep(1)
    assert store.values == {"price/0": ("again", 2.0)}


async def test_those_that_found_no_place_are_not_remembered_without_end() -> None:
    keeper = opened(KEEPING, Store())
    for number in range(2 * MOST_PASSED_OVER):
        keeper.keep(PriceQuery(f"crowd {number}"), answer(1.0))
    assert len(keeper._passed_over) == MOST_PASSED_OVER
    await keeper.flush()


async def test_a_place_is_not_given_away_while_it_is_written() -> None:
    store = Store(delay_s=1_000.0)
    keeper = opened(KEEPING, store)
    keeper.keep(PriceQuery("slow"), answer(1.0))
    await asyncio.sleep(IDLE_S + 1)
    keeper.keep(PriceQuery("next"), answer(2.0))
    await asyncio.sleep(2_000)
    assert store.values == {"price/0": ("slow", 1.0)}


async def test_what_is_not_wanted_is_not_kept() -> None:
    store = Store()
    keeper = opened(replace(KEEPING, is_wanted=lambda query: query.coin == "btc"), store)
    keeper.keep(PriceQuery("eth"), answer(1.0))
    keeper.keep(PriceQuery("btc"), answer(2.0))
    await asyncio.sleep(1)
    assert store.values == {"price/0": ("btc", 2.0)}


async def test_what_cannot_be_encoded_is_told_and_the_next_one_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store()
    keeper = opened(KEEPING, store)
    with caplog.at_level(logging.ERROR):
        keeper.keep(QUERY, replace(answer(1.0), source="\ud800"))
        await asyncio.sleep(1)
    assert [record.getMessage() for record in caplog.records] == [
        "an answer of price cannot be kept"
    ]
    keeper.keep(QUERY, answer(2.0))
    await asyncio.sleep(1)
    assert store.values == {"price/0": ("btc", 2.0)}


@dataclass
class Taker:
    """Takes what is asked of it, but not the answers in `refused`."""

    refused: tuple[float, ...] = ()
    taken: list[tuple[str, float]] = field(default_factory=list)

    async def __call__(self, query: PriceQuery, answer: Answer[float]) -> bool:
        self.taken.append((query.coin, answer.data))
        return answer.data not in self.refused


async def written(*coins: str) -> Store:
    """By an earlier run, a second apart, their values the place in the order."""
    store = Store()
    keeper = opened(replace(KEEPING, places=len(coins)), store)
    for value, coin in enumerate(coins):
        keeper.keep(PriceQuery(coin), answer(float(value)))
        await asyncio.sleep(1)
    return store


async def test_what_was_kept_is_recalled_the_oldest_first() -> None:
    store, taker = await written("a", "b", "c"), Taker()
    store.bodies["price/0"], store.bodies["price/2"] = (
        store.bodies["price/2"],
        store.bodies["price/0"],
    )
    keeper = opened(replace(KEEPING, places=3), store)
    await keeper.recall(store.bodies, taker)
    assert taker.taken == [("a", 0.0), ("b", 1.0), ("c", 2.0)]


async def test_what_is_refused_leaves_its_place_free() -> None:
    store = await written("a", "b")
    keeper = opened(replace(KEEPING, places=2), store)
    await keeper.recall(store.bodies, Taker(refused=(0.0,)))
    keeper.keep(PriceQuery("new"), answer(5.0))
    await asyncio.sleep(1)
    assert store.values == {"price/0": ("new", 5.0), "price/1": ("b", 1.0)}


async def test_junk_what_is_not_wanted_and_what_is_anothers_is_not_recalled() -> None:
    store, taker = await written("a", "b", "c"), Taker()
    store.bodies["price/0"] = b"junk"
    store.bodies["other/0"] = store.bodies["price/1"]
    keeping = replace(KEEPING, places=3, is_wanted=lambda query: query.coin != "b")
    await opened(keeping, store).recall(store.bodies, taker)
    assert taker.taken == [("c", 2.0)]


async def test_a_recalled_question_keeps_its_place_and_a_newcomer_takes_the_oldest() -> None:
    store = await written("a", "b")
    keeper = opened(replace(KEEPING, places=2), store)
    await keeper.recall(store.bodies, Taker())
    keeper.keep(PriceQuery("b"), answer(5.0))
    keeper.keep(PriceQuery("new"), answer(6.0))
    await asyncio.sleep(1)
    assert store.values == {"price/0": ("new", 6.0), "price/1": ("b", 5.0)}


async def test_of_a_question_kept_twice_the_newer_answer_counts() -> None:
    store, taker = await written("a", "b", "a"), Taker()
    store.bodies["price/2"] = CODEC.encoded(PriceQuery("a"), answer(9.0))
    keeper = opened(replace(KEEPING, places=3), store)
    await keeper.recall(store.bodies, taker)
    assert taker.taken[-1] == ("a", 9.0)
    assert repr(keeper) == "<AnswerKeeper price 2/3>"


async def test_all_keepers_are_recalled_and_closed_together() -> None:
    store, first, second = Store(delay_s=0.4), Taker(), Taker()
    for _ in range(2):
        answers = LastAnswers(store, LoopClock())
        for name, taker in (("price", first), ("other", second)):
            keeper = answers.keeper(replace(KEEPING, name=name, every_s=60.0))
            answers.add(keeper, taker)
        await answers.recall(store.bodies)
        for keeper in answers._keepers:
            keeper.keep(QUERY, answer(1.0))
        began = LoopClock().monotonic()
        await answers.aclose()
        assert LoopClock().monotonic() - began == pytest.approx(0.4, abs=0.05)
    assert first.taken == second.taken == [("btc", 1.0)]
    assert "price 1/1" in repr(answers)


async def test_the_end_does_not_wait_for_a_store_that_hangs() -> None:
    store = Store(delay_s=1_000.0)
    answers = LastAnswers(store, LoopClock())
    keeper = answers.keeper(KEEPING)
    answers.add(keeper, Taker())
    keeper.keep(QUERY, answer(1.0))
    await answers.aclose()
    assert LoopClock().monotonic() < 1
    assert store.bodies == {}


async def test_a_keeper_closed_alone_ends_its_writing() -> None:
    store = Store(delay_s=1.0)
    keeper = opened(KEEPING, store)
    keeper.keep(QUERY, answer(1.0))
    await asyncio.sleep(0.5)
    await keeper.aclose()
    await asyncio.sleep(5)
    assert store.bodies == {}
