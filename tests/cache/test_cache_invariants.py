"""Whatever sources, readers and time do: one flight a key, nothing served beyond its age, and what
is old says so."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import looptime
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.cache.cached_source import CachedSource
from backend.cache.freshness import Freshness
from backend.cache.ttl_cache import TTLCache
from backend.errors import AllProvidersFailed, DeadlineExceeded
from backend.models.answer import Answer
from backend.models.status import Refusal
from tests.clocks import LoopClock
from tests.walk import PriceQuery

TTL_S, MAX_STALE_S, DEADLINE_S = 60.0, 600.0, 4.0
COINS = ("btc", "eth", "ada")


@dataclass
class Source:
    """Each call: how long it takes, and whether it fails."""

    script: list[tuple[float, bool]]
    under_way: Counter[PriceQuery] = field(default_factory=Counter)
    most_under_way: int = 0

    async def fetch(self, query: PriceQuery) -> Answer[float]:
        self.under_way[query] += 1
        self.most_under_way = max(self.most_under_way, *self.under_way.values())
        delay_s, fails = self.script.pop() if self.script else (0.0, False)
        try:
            await asyncio.sleep(delay_s)
        finally:
            self.under_way[query] -= 1
        if fails:
            raise AllProvidersFailed("down", [Refusal("a", "upstream_5xx")])
        return Answer(LoopClock().monotonic(), "a", LoopClock().now(), 1.0)


@dataclass(frozen=True)
class Reader:
    """Comes `after_s` after the one before, and leaves after `patience_s`."""

    after_s: float
    coin: str
    patience_s: float


async def read(cached: CachedSource[PriceQuery, float], reader: Reader) -> None:
    began = LoopClock().monotonic()
    try:
        async with asyncio.timeout(reader.patience_s):
            answer = await cached.fetch(PriceQuery(reader.coin))
    except (AllProvidersFailed, DeadlineExceeded, TimeoutError):  # nothing else comes out
        return
    now = LoopClock().monotonic()
    assert now - began <= DEADLINE_S + 0.001
    age_s = now - answer.data
    assert age_s <= MAX_STALE_S + DEADLINE_S
    assert answer.stale is (answer.cache == "stale") is bool(answer.stale_reason)
    assert answer.stale or age_s <= 2 * TTL_S + DEADLINE_S, f"{age_s:.0f} s old and unflagged"


async def play(script: list[tuple[float, bool]], readers: list[Reader]) -> None:
    clock, source = LoopClock(), Source(list(script))
    cached: CachedSource[PriceQuery, float] = CachedSource(
        source,
        TTLCache[Answer[float]](clock, 2),  # fewer than there are questions
        clock=clock,
        emit=lambda _event: None,
        freshness=lambda _query, _answer: Freshness(TTL_S, MAX_STALE_S),
        deadline_s=DEADLINE_S,
    )
    tasks = []
    for reader in readers:
        await asyncio.sleep(reader.after_s)
        tasks.append(asyncio.create_task(read(cached, reader)))
    await asyncio.gather(*tasks)
    await cached.aclose()
    assert source.most_under_way <= 1, "two flights of one key"
    assert len(cached) <= 2


DELAYS = st.one_of(st.just(0.0), st.floats(0, 6))
READERS = st.builds(
    Reader,
    st.one_of(st.just(0.0), st.floats(0, 3), st.floats(0, 700)),
    st.sampled_from(COINS),
    st.one_of(st.just(60.0), st.floats(0, 2)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(DELAYS, st.booleans()), max_size=30), st.lists(READERS, max_size=40))
def test_one_flight_a_key_and_no_old_answer_unflagged(
    script: list[tuple[float, bool]], readers: list[Reader]
) -> None:
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(play(script, readers))
