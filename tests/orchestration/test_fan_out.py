"""Every provider at once: all answers together, failures named, limits kept."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from backend.errors import AllProvidersFailed, NoProviderConfigured, QuotaExhausted
from backend.models.answer import Attempt
from backend.models.status import ProviderChosen, ProviderState
from backend.orchestration.fan_out import FanOut
from backend.providers.adapter import Call, Window
from tests.clocks import LoopClock, ManualClock
from tests.walk import PriceQuery, Walk, hang, price, price_operation, status, stub_adapter

QUERY = PriceQuery()


def fan_out(walk: Walk) -> FanOut:
    return FanOut(walk.manager(), clock=walk.clock, emit=walk.events.append, timeout_s=3)


async def test_all_providers_are_asked_and_all_answers_returned(clock: ManualClock) -> None:
    walk = Walk(clock)
    for number, name in enumerate("abc", start=1):
        walk.wire.scripts[name] = [price(number)]
        walk.add(name)
    answer = await fan_out(walk).fetch(QUERY)
    assert [(part.source, part.data) for part in answer.data] == [("a", 1), ("b", 2), ("c", 3)]
    assert answer.source == ("a", "b", "c")
    assert answer.tried == tuple(Attempt(name, "ok", 0.0) for name in "abc")
    chosen = walk.of(ProviderChosen)
    assert [choice.provider for choice in chosen] == ["a", "b", "c"]
    assert chosen[0].reason == "asked together with 2 others"


async def test_one_failure_does_not_remove_the_other_answers_and_is_named(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(500)]
    walk.add("a")
    walk.add("b")
    answer = await fan_out(walk).fetch(QUERY)
    assert answer.source == ("b",)
    assert answer.tried == (Attempt("a", "upstream_5xx", 0.0), Attempt("b", "ok", 0.0))
    again = await fan_out(walk).fetch(QUERY)
    assert [attempt.provider for attempt in again.tried] == ["b"]


@pytest.mark.looptime
async def test_providers_are_asked_concurrently_and_a_silent_one_ends_at_the_time_out() -> None:
    walk = Walk(LoopClock())
    walk.wire.scripts["a"] = hang
    walk.add("a")
    walk.add("b")
    answer = await fan_out(walk).fetch(QUERY)
    assert asyncio.get_running_loop().time() == pytest.approx(3)
    assert answer.latency_ms == pytest.approx(3_000)
    assert answer.tried[0].outcome == "timeout"


async def test_a_provider_that_cannot_afford_a_call_is_not_asked(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("a", windows=(Window(1, 60),))
    walk.add("b")
    source = fan_out(walk)
    await source.fetch(QUERY)
    answer = await source.fetch(QUERY)
    assert answer.source == ("b",)
    assert walk.wire.calls == {"a": 1, "b": 2}
    assert walk.of(ProviderChosen)[-1].passed_over[0].reason == "rate_limited"
    assert answer.warnings == ("a was not asked: rate_limited",)


async def test_all_failing_gives_every_reason(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"a": [status(500)], "b": [status(429)]}
    walk.add("a")
    walk.add("b")
    walk.add("c", keyless=False, state=ProviderState.NOT_CONFIGURED)
    with pytest.raises(AllProvidersFailed) as caught:
        await fan_out(walk).fetch(QUERY)
    reasons = {refusal.provider: refusal.reason for refusal in caught.value.refusals}
    assert reasons == {"a": "upstream_5xx", "b": "rate_limited", "c": "not_configured"}


async def test_without_a_configured_provider_the_managers_precise_error_is_raised(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.add("a", keyless=False, state=ProviderState.NOT_CONFIGURED)
    with pytest.raises(NoProviderConfigured):
        await fan_out(walk).fetch(QUERY)


async def test_while_all_cool_down_an_early_probe_goes_to_one(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"a": [status(500), price(7)], "b": [status(500)]}
    walk.add("a")
    walk.add("b")
    source = fan_out(walk)
    with pytest.raises(AllProvidersFailed):
        await source.fetch(QUERY)
    clock.advance(5)
    answer = await source.fetch(QUERY)
    assert (answer.source, answer.data[0].data) == (("a",), 7.0)
    assert walk.wire.calls == {"a": 2, "b": 1}
    assert repr(source).startswith("<FanOut <ProviderManager [")


async def test_a_provider_with_a_reserved_budget_is_not_asked_while_others_have_budget(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.add("a", windows=(Window(100, 86_400.0, kind="day"),))
    walk.add("b")
    source = fan_out(walk)
    assert (await source.fetch(QUERY)).source == ("a", "b")  # what was saved up
    answer = await source.fetch(QUERY)
    assert (answer.source, walk.wire.calls["a"]) == (("b",), 1)
    assert answer.warnings == ("a was not asked: rate_limited",)
    passed_over = walk.of(ProviderChosen)[-1].passed_over[0]
    assert passed_over.until is not None
    assert (passed_over.until - clock.now()).total_seconds() == pytest.approx(86_400 / 93)
    clock.advance(86_400 / 93 + 1)
    assert (await source.fetch(QUERY)).source == ("a", "b")


async def test_where_no_budget_can_spare_a_call_all_borrow_a_little(clock: ManualClock) -> None:
    walk = Walk(clock)
    for name in "ab":
        walk.add(name, windows=(Window(100, 86_400.0, kind="day"),))
    source = fan_out(walk)
    for _ in range(2):
        assert (await source.fetch(QUERY)).source == ("a", "b")


async def test_an_unexpected_exception_does_not_end_the_other_attempts(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    walk = Walk(clock)
    walk.add("a", adapter=stub_adapter(replace(price_operation(), build=stumbling_build)))
    walk.add("b")
    source = fan_out(walk)
    for _ in range(2):
        answer = await source.fetch(QUERY)
        assert answer.source == ("b",)
    assert [record.exc_info is not None for record in caplog.records] == [True]


def stumbling_build(_query: object, _context: object) -> tuple[Call, ...]:
    raise KeyError("a bug of one vendor's file")


async def test_spent_quotas_of_all_are_the_precise_error(clock: ManualClock) -> None:
    walk = Walk(clock)
    for name in "ab":
        walk.wire.scripts[name] = [httpx.Response(429, text="your monthly quota is used up")]
        walk.add(name)
    for _ in range(2):  # asked, and not asked
        with pytest.raises(QuotaExhausted):
            await fan_out(walk).fetch(QUERY)
