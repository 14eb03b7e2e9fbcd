"""Which answers are persisted, how often, and what a later run restores."""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from backend.cache import answer_store
from backend.cache.answer_store import AnswerCodec, AnswerStore, KeptAnswer, Retention
from backend.models.answer import Answer
from backend.storage.contract import Storage
from tests.clocks import EPOCH, LoopClock
from tests.walk import PriceQuery

pytestmark = pytest.mark.looptime


@dataclass(frozen=True)
class CoinQuery(PriceQuery):
    @property
    def subject(self) -> str:
        return f"price of {self.coin}"


CODEC = AnswerCodec(KeptAnswer[CoinQuery, float])
#: One query, written at once.
ONE = Retention("price", CODEC)
#: Many queries, written once a minute.
MANY = Retention("price", CODEC, most=3, interval_s=60.0)
QUERY = CoinQuery()
Store = AnswerStore[CoinQuery, float]


@dataclass
class FakeStorage(Storage):
    """Takes `delay_s` for each body; has no room for the first `failures`. As the file does, it
    keeps the newest bodies of a category."""

    delay_s: float = 0.0
    failures: int = 0
    writes: list[tuple[str, float]] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)

    async def save_answer(
        self, key: str, body: bytes, now_s: float, max_answers: int | None = None
    ) -> bool:
        await asyncio.sleep(self.delay_s)
        if self.failures:
            self.failures -= 1
            return False
        self.bodies.pop(key, None)
        self.bodies[key] = body
        while max_answers is not None and len(self.bodies) > max_answers:
            del self.bodies[next(iter(self.bodies))]
        self.writes.append((key, now_s - EPOCH.timestamp()))
        return True

    @property
    def values(self) -> list[tuple[str, Any]]:
        """What a later run would find, the newest last."""
        decoded = [CODEC.decoded(body) for body in self.bodies.values()]
        return [(one.query.coin, one.data) for one in decoded if one]


def answer(value: float) -> Answer[float]:
    return Answer(value, "a", LoopClock().now(), 1.0)


def opened(retention: Retention[CoinQuery, float], storage: FakeStorage) -> Store:
    return AnswerStore(retention, storage, LoopClock())


def refresh(store: Store, *coins: str, value: float = 1.0) -> None:
    for coin in coins:
        store.save(CoinQuery(coin), answer(value))


async def test_an_answer_is_written_in_the_background() -> None:
    storage = FakeStorage(delay_s=1.0)
    store = opened(ONE, storage)
    store.save(QUERY, answer(1.0))
    assert storage.values == []
    assert repr(store) == "<AnswerStore price 1 pending>"
    await asyncio.sleep(1.1)
    assert storage.values == [("btc", 1.0)]
    assert storage.writes == [("price/price of btc", 0.0)]


async def test_nothing_is_written_where_another_process_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = FakeStorage()
    monkeypatch.setattr(FakeStorage, "saves_answers", False)
    store = opened(ONE, storage)
    store.save(QUERY, answer(1.0))
    await asyncio.sleep(1)
    assert storage.values == []


async def test_of_the_answers_that_come_during_a_write_only_the_newest_is_written() -> None:
    storage = FakeStorage(delay_s=1.0)
    store = opened(ONE, storage)
    for value in range(10):
        store.save(QUERY, answer(float(value)))
        await asyncio.sleep(0.05)
    await asyncio.sleep(5)
    assert storage.values == [("btc", 9.0)]
    assert len(storage.writes) == 2


async def test_an_answer_that_changes_all_the_time_is_written_once_an_interval() -> None:
    storage = FakeStorage()
    store = opened(replace(ONE, interval_s=60.0), storage)
    for second in range(150):
        store.save(QUERY, answer(float(second)))
        await asyncio.sleep(1)
    assert [at for _, at in storage.writes] == [0.0, 60.0, 120.0]
    await store.aclose()
    assert storage.values == [("btc", 149.0)]


async def test_closing_waits_for_a_running_write_and_writes_what_is_pending() -> None:
    storage = FakeStorage(delay_s=0.2)
    store = opened(replace(ONE, interval_s=60.0), storage)
    store.save(QUERY, answer(1.0))
    await asyncio.sleep(0.1)
    store.save(QUERY, answer(2.0))
    await store.aclose()
    assert storage.values == [("btc", 2.0)]


async def test_what_a_full_disk_refused_is_written_at_the_end() -> None:
    storage = FakeStorage(failures=1)
    store = opened(ONE, storage)
    store.save(QUERY, answer(1.0))
    await asyncio.sleep(1.0)
    assert storage.values == []
    await store.aclose()
    assert storage.values == [("btc", 1.0)]


async def test_what_a_full_disk_refused_is_replaced_by_a_newer_answer() -> None:
    storage = FakeStorage(delay_s=0.2, failures=1)
    store = opened(ONE, storage)
    store.save(QUERY, answer(1.0))
    await asyncio.sleep(0.1)
    store.save(QUERY, answer(2.0))
    await asyncio.sleep(1.0)
    await store.aclose()
    assert storage.values == [("btc", 2.0)]
    assert len(storage.writes) == 1


async def test_what_a_full_disk_refused_does_not_displace_newer_answers() -> None:
    storage = FakeStorage(delay_s=0.2, failures=1)
    store = opened(replace(MANY, most=2, interval_s=0.0), storage)
    refresh(store, "refused", "refused")
    await asyncio.sleep(0.1)
    refresh(store, "a", "a", "b", "b")
    await asyncio.sleep(1)
    await store.aclose()
    assert [coin for coin, _ in storage.values] == ["a", "b"]


async def test_while_there_is_room_every_query_is_persisted() -> None:
    storage = FakeStorage()
    store = opened(MANY, storage)
    refresh(store, "a", "b", "c")
    await asyncio.sleep(1)
    assert [coin for coin, _ in storage.values] == ["a", "b", "c"]


async def test_without_room_a_query_is_persisted_from_its_second_refresh_on() -> None:
    storage = FakeStorage()
    store = opened(replace(MANY, interval_s=0.0), storage)
    refresh(store, "a", "b", "c", "once", "twice")
    await asyncio.sleep(1)
    refresh(store, "twice", value=2.0)
    await asyncio.sleep(1)
    assert storage.values == [("b", 1.0), ("c", 1.0), ("twice", 2.0)]


async def test_the_newest_answers_stay() -> None:
    storage = FakeStorage()
    store = opened(replace(MANY, interval_s=0.0), storage)
    for coin in "abcdea":
        refresh(store, coin, coin)
        await asyncio.sleep(1)
    assert [coin for coin, _ in storage.values] == ["d", "e", "a"]


async def test_many_queries_asked_once_do_not_displace_one_that_is_asked_all_the_time() -> None:
    storage = FakeStorage()
    store = opened(replace(MANY, most=2), storage)
    for second in range(600):
        refresh(store, f"crowd {second}")
        if second % 15 == 1:
            refresh(store, "hot", value=2.0)
        await asyncio.sleep(1)
    assert ("hot", 2.0) in storage.values
    assert len(storage.writes) <= 2 * 11


async def test_thousands_of_queries_asked_once_cost_no_write_beyond_the_first() -> None:
    storage = FakeStorage()
    store = opened(MANY, storage)
    for second in range(100):
        refresh(store, *(f"crowd {second} {number}" for number in range(50)))
        await asyncio.sleep(1)
    await store.aclose()
    assert len(storage.writes) == MANY.most


@pytest.mark.many_rounds
async def test_thousands_of_queries_asked_again_and_again_cost_few_writes() -> None:
    storage = FakeStorage()
    store = opened(MANY, storage)
    for _ in range(300):
        refresh(store, *(f"crowd {number}" for number in range(1_000)))
        await asyncio.sleep(1)
    await store.aclose()
    assert len(storage.writes) <= MANY.most * (300 / MANY.interval_s + 1)


async def test_the_memory_of_refreshed_queries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_store, "MOST_REFRESHED", 100)
    store = opened(MANY, FakeStorage())
    refresh(store, *(f"crowd {number}" for number in range(1_000)))
    assert len(store._refreshed) == 100


async def test_a_query_that_is_not_kept_is_not_written() -> None:
    storage = FakeStorage()
    store = opened(replace(ONE, is_kept=lambda query: query.coin == "btc"), storage)
    refresh(store, "eth", "btc")
    await asyncio.sleep(1)
    assert storage.values == [("btc", 1.0)]


async def test_an_answer_that_cannot_be_encoded_is_logged_and_the_next_one_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = FakeStorage()
    store = opened(ONE, storage)
    with caplog.at_level(logging.ERROR):
        store.save(QUERY, replace(answer(1.0), source="\ud800"))
        await asyncio.sleep(1)
    assert [record.getMessage() for record in caplog.records] == [
        "an answer of price cannot be persisted"
    ]
    store.save(QUERY, answer(2.0))
    await asyncio.sleep(1)
    assert storage.values == [("btc", 2.0)]


@dataclass
class Cache:
    """Imports answers, but not those in `refused`."""

    refused: tuple[float, ...] = ()
    imported: list[tuple[str, float]] = field(default_factory=list)

    async def __call__(self, query: CoinQuery, answer: Answer[float]) -> bool:
        self.imported.append((query.coin, answer.data))
        return answer.data not in self.refused


async def written(*coins: str) -> FakeStorage:
    """By an earlier run, a second apart; each value is its place in the order."""
    storage = FakeStorage()
    for value, coin in enumerate(coins):
        body = CODEC.encoded(CoinQuery(coin), answer(float(value)))
        await storage.save_answer(f"price/{value}", body, 0.0)
        await asyncio.sleep(1)
    return storage


async def test_persisted_answers_are_restored_oldest_first() -> None:
    storage, cache = await written("a", "b", "c"), Cache()
    storage.bodies = dict(reversed(storage.bodies.items()))
    await opened(MANY, storage).restore(storage.bodies, cache)
    assert cache.imported == [("a", 0.0), ("b", 1.0), ("c", 2.0)]


async def test_only_the_newest_are_restored_from_a_file_with_too_many() -> None:
    storage, cache = await written("a", "b", "c", "d", "e"), Cache()
    await opened(MANY, storage).restore(storage.bodies, cache)
    assert [coin for coin, _ in cache.imported] == ["c", "d", "e"]


async def test_a_restored_query_keeps_its_place_and_one_that_was_refused_does_not() -> None:
    storage = await written("useless", "useful")
    store = opened(replace(MANY, most=2), storage)
    await store.restore(storage.bodies, Cache(refused=(0.0,)))
    refresh(store, "new", "other", "useful", value=5.0)
    await asyncio.sleep(1)
    assert storage.values == [("new", 5.0), ("useful", 5.0)]


async def test_junk_and_unwanted_answers_and_other_categories_are_not_restored() -> None:
    storage, cache = await written("a", "b", "c"), Cache()
    storage.bodies["price/0"] = b"junk"
    storage.bodies["other/0"] = storage.bodies["price/1"]
    retention = replace(MANY, is_kept=lambda query: query.coin != "b")
    await opened(retention, storage).restore(storage.bodies, cache)
    assert cache.imported == [("c", 2.0)]


async def test_of_a_query_persisted_twice_the_newer_answer_is_imported_last() -> None:
    storage, cache = await written("a", "b", "a"), Cache()
    await opened(MANY, storage).restore(storage.bodies, cache)
    assert cache.imported[-1] == ("a", 2.0)


async def test_closing_does_not_wait_for_a_storage_that_hangs() -> None:
    storage = FakeStorage(delay_s=1_000.0)
    store = opened(ONE, storage)
    store.save(QUERY, answer(1.0))
    await store.aclose()
    assert LoopClock().monotonic() < 1
    await asyncio.sleep(2_000)
    assert storage.bodies == {}


async def test_closing_writes_at_once_what_would_wait_for_its_interval() -> None:
    storage = FakeStorage()
    store = opened(MANY, storage)
    refresh(store, "a", "a", "b", "b")
    await asyncio.sleep(1)
    refresh(store, "a", value=2.0)
    await asyncio.sleep(1)
    began = LoopClock().monotonic()
    await store.aclose()
    assert LoopClock().monotonic() == began
    assert storage.values == [("b", 1.0), ("a", 2.0)]
