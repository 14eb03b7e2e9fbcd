"""For any source, readers and times: one refresh at a time per query, no answer served beyond its
highest age, and every stale answer flagged."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import looptime
import pytest
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
    """`script`: of each call its duration in seconds, and whether it fails."""

    script: list[tuple[float, bool]]
    running: Counter[PriceQuery] = field(default_factory=Counter)
    most_running: int = 0

    async def fetch(self, query: PriceQuery) -> Answer[float]:
        self.running[query] += 1
        self.most_running = max(self.most_running, *self.running.values())
        delay_s, fails = self.script.pop() if self.script else (0.0, False)
        try:
            await asyncio.sleep(delay_s)
        finally:
            self.running[query] -= 1
        if fails:
            raise AllProvidersFailed("down", [Refusal("a", "upstream_5xx")])
        return Answer(LoopClock().monotonic(), "a", LoopClock().now(), 1.0)


@dataclass(frozen=True)
class Reader:
    """Arrives `after_s` after the previous one; leaves after `patience_s`."""

    after_s: float
    coin: str
    patience_s: float


async def read(cached: CachedSource[PriceQuery, float], reader: Reader) -> None:
    began = LoopClock().monotonic()
    try:
        async with asyncio.timeout(reader.patience_s):
            answer = await cached.fetch(PriceQuery(reader.coin))
    except (AllProvidersFailed, DeadlineExceeded, TimeoutError):  # no other error
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
        TTLCache[Answer[float]](clock, 2),  # fewer than there are queries
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
    assert source.most_running <= 1, "two refreshes of one query at once"
    assert len(cached) <= 2


DELAYS = st.one_of(st.just(0.0), st.floats(0, 6))
READERS = st.builds(
    Reader,
    st.one_of(st.just(0.0), st.floats(0, 3), st.floats(0, 700)),
    st.sampled_from(COINS),
    st.one_of(st.just(60.0), st.floats(0, 2)),
)


@pytest.mark.many_rounds
@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(DELAYS, st.booleans()), max_size=30), st.lists(READERS, max_size=40))
def test_one_refresh_per_query_and_no_unflagged_stale_answer(
    script: list[tuple[float, bool]], readers: list[Reader]
) -> None:
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(play(script, readers))
