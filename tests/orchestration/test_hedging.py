"""A second provider beside a slow first: for who has nothing, where calls are cheap."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import pytest

from backend.errors import AllProvidersFailed, ProviderError
from backend.models.answer import Answer, Attempt
from backend.models.status import ProviderChosen
from backend.orchestration.provider_manager import ProviderManager
from backend.providers.adapter import Window
from tests.clocks import LoopClock
from tests.walk import PriceQuery, Walk, hang, price, status

pytestmark = pytest.mark.looptime
QUERY = PriceQuery()
URGENT = PriceQuery(is_urgent=True)
MINUTE = Window(100, 60.0)


def after(seconds: float, response: httpx.Response) -> Callable[..., Awaitable[httpx.Response]]:
    async def answer(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(seconds)
        return response

    return answer


def walk_of(first: object, second: object, *windows: Window, tier: int = 0) -> Walk:
    walk = Walk(LoopClock())
    walk.wire.scripts |= {"a": [first], "b": [second]}
    walk.add("a", windows=(MINUTE,))
    walk.add("b", windows=windows or (MINUTE,), tier=tier)
    return walk


async def timed(manager: ProviderManager, query: PriceQuery) -> tuple[Answer[float], float]:
    began = asyncio.get_running_loop().time()
    answer = await manager.fetch_data(query)
    return answer, asyncio.get_running_loop().time() - began


async def test_a_slow_first_provider_is_hedged_by_a_second() -> None:
    walk = walk_of(hang, after(0.2, price(2.0)))
    answer, took_s = await timed(walk.manager(), URGENT)
    assert (answer.data, answer.source) == (2.0, "b")
    assert took_s == pytest.approx(1.2)  # the guess of a second, for a provider never heard
    assert answer.tried == (Attempt("b", "ok", answer.latency_ms),)
    assert walk.of(ProviderChosen)[-1].reason == "asked beside a, which is slow"


async def test_two_silent_providers_leave_time_for_a_third() -> None:
    walk = walk_of(hang, hang)
    walk.wire.scripts["c"] = [after(0.5, price(3.0))]
    walk.add("c", windows=(Window(1, 60.0),), tier=1)
    answer, took_s = await timed(walk.manager(), URGENT)
    assert (answer.data, answer.source) == (3.0, "c")
    assert [attempt.outcome for attempt in answer.tried] == ["timeout", "timeout", "ok"]
    assert took_s < 4.0


async def test_with_a_stale_answer_at_hand_no_second_provider_is_asked() -> None:
    walk = walk_of(after(1.5, price()), price(2.0))
    answer, took_s = await timed(walk.manager(), QUERY)
    assert answer.source == "a"
    assert took_s == pytest.approx(1.5)
    assert walk.wire.calls["b"] == 0


async def test_a_quick_first_provider_is_not_hedged() -> None:
    walk = walk_of(after(0.9, price()), price(2.0))
    answer, _ = await timed(walk.manager(), URGENT)
    assert (answer.source, answer.late_answer) == ("a", None)
    assert walk.wire.calls["b"] == 0


async def test_slow_means_slower_than_the_90th_percentile() -> None:
    walk = walk_of(after(0.1, price()), price(2.0), tier=1)
    a = walk.providers[0]
    for _ in range(10):
        await a.fetch(QUERY, 3)
    walk.wire.scripts["a"] = [hang]
    answer, took_s = await timed(walk.manager(), URGENT)
    assert answer.source == "b"
    assert took_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    "windows",
    [
        pytest.param((Window(9, 60.0),), id="a few calls a minute"),
        pytest.param((MINUTE, Window(10_000, 30 * 86_400.0)), id="a month to share out"),
    ],
)
async def test_hedging_uses_no_scarce_calls(windows: tuple[Window, ...]) -> None:
    walk = walk_of(after(1.5, price()), price(2.0), *windows)
    answer, _ = await timed(walk.manager(), URGENT)
    assert answer.source == "a"
    assert walk.wire.calls["b"] == 0


async def test_the_slower_answer_comes_later() -> None:
    walk = walk_of(after(1.5, price(1.0)), after(0.1, price(2.0)))
    manager = walk.manager()
    answer = await manager.fetch_data(URGENT)
    assert answer.source == "b"
    assert answer.late_answer is not None
    late = await answer.late_answer()
    assert (late.data, late.source) == (1.0, "a")
    assert [attempt.provider for attempt in late.tried] == ["b", "a"]
    assert walk.providers[0].success_rate == 1.0


async def test_a_late_answer_of_a_worse_tier_is_not_used() -> None:
    walk = walk_of(after(1.1, price(1.0)), after(0.5, price(2.0)), tier=1)
    answer = await walk.manager().fetch_data(URGENT)
    assert (answer.source, answer.late_answer) == ("a", None)
    await asyncio.sleep(1)
    assert walk.providers[1].success_rate == 1.0  # its health is told all the same


async def test_a_late_answer_of_a_better_tier_takes_over_the_series() -> None:
    query = PriceQuery(is_series=True, is_urgent=True)
    walk = walk_of(after(1.5, price(1.0)), after(0.1, price(2.0)), tier=1)
    manager = walk.manager()
    answer = await manager.fetch_data(query)
    assert answer.source == "b"
    assert answer.late_answer is not None
    await answer.late_answer()
    assert (await manager.fetch_data(replace(query, is_urgent=False))).source == "a"


@pytest.mark.parametrize("first_fails", [True, False])
async def test_when_one_of_two_fails_the_other_answers(first_fails: bool) -> None:
    good, bad = after(1.4, price(1.0)), after(1.1, status(500))
    walk = walk_of(bad, good) if first_fails else walk_of(good, after(0.1, status(500)))
    answer, took_s = await timed(walk.manager(), URGENT)
    assert answer.tried[0].outcome == "upstream_5xx"
    assert answer.tried[1].outcome == "ok"
    assert took_s == pytest.approx(2.4 if first_fails else 1.4)


async def test_when_both_fail_the_next_one_is_asked() -> None:
    walk = walk_of(after(1.1, status(500)), after(0.2, status(500)))
    walk.add("c")
    walk.wire.scripts["c"] = [price(3.0)]
    answer, took_s = await timed(walk.manager(), URGENT)
    assert answer.source == "c"
    assert took_s == pytest.approx(1.2)


async def test_when_all_fail_the_error_has_each_reason() -> None:
    walk = walk_of(hang, hang)
    with pytest.raises(AllProvidersFailed) as caught:
        await walk.manager().fetch_data(URGENT)
    assert {r.provider: r.reason for r in caught.value.refusals} == {"a": "timeout", "b": "timeout"}


async def test_a_late_failure_concerns_only_the_providers_health() -> None:
    walk = walk_of(after(1.5, status(500)), price(2.0))
    answer = await walk.manager().fetch_data(URGENT)
    assert answer.late_answer is not None
    with pytest.raises(ProviderError):
        await answer.late_answer()
    assert walk.providers[0].status().status == "cooldown"


async def test_a_cancelled_fetch_ends_both_attempts() -> None:
    walk = walk_of(hang, hang)
    flight = asyncio.create_task(walk.manager().fetch_data(URGENT))
    await asyncio.sleep(1.5)
    flight.cancel()
    await asyncio.gather(flight, return_exceptions=True)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1
    assert {p.status().status for p in walk.providers} == {"active"}


async def test_closing_ends_late_attempts() -> None:
    walk = walk_of(hang, price(2.0))
    manager = walk.manager()
    await manager.fetch_data(URGENT)
    await manager.aclose()
    assert len(asyncio.all_tasks()) == 1
