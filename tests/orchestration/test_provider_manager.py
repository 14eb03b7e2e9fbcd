"""The manager's walks: rotation, failover, cooldown, half-open, series, forced probes, slices."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from backend.errors import (
    AllProvidersFailed,
    NoProviderConfigured,
    QuotaExhausted,
)
from backend.models.answer import Attempt
from backend.models.status import ProviderChosen, ProviderState, Refusal
from backend.orchestration.routing import BUDGET_RESERVED, Choice
from backend.providers.adapter import Window
from tests.clocks import LoopClock, ManualClock
from tests.walk import (
    PriceQuery,
    Walk,
    error,
    hang,
    price,
    price_operation,
    status,
    stub_adapter,
)

QUERY = PriceQuery()
DAY = Window(100, 86_400.0, kind="day")  # 95 usable, 1 to save up or to borrow


async def test_providers_of_a_tier_take_turns_and_each_choice_has_its_reason(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    for name in "abc":
        walk.add(name)
    manager = walk.manager()
    sources = [(await manager.fetch_data(QUERY)).source for _ in range(6)]
    assert sources == ["a", "b", "c", "a", "b", "c"]
    assert walk.of(ProviderChosen)[-1].reason == "its turn in tier 0, weight 1.00"


async def test_the_client_that_meets_a_failure_gets_the_next_providers_answer(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(500)]
    walk.add("a")
    walk.add("b")
    answer = await walk.manager().fetch_data(QUERY)
    assert answer.source == "b"
    assert answer.tried == (Attempt("a", "upstream_5xx", 0.0), Attempt("b", "ok", 0.0))


async def test_one_failure_takes_a_provider_out_until_its_cooldown_is_over(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(500), price()]
    walk.add("a")
    walk.add("b")
    manager = walk.manager()
    for _ in range(5):
        await manager.fetch_data(QUERY)
    assert walk.wire.calls == {"a": 1, "b": 5}
    passed_over = walk.of(ProviderChosen)[-1].passed_over[0]
    assert (passed_over.provider, passed_over.reason) == ("a", "upstream_5xx")
    assert passed_over.until == clock.now() + timedelta(seconds=30)
    clock.advance(30)
    sources = {(await manager.fetch_data(QUERY)).source for _ in range(2)}
    assert sources == {"a", "b"}


@pytest.mark.looptime
async def test_half_open_lets_exactly_one_probe_through() -> None:
    walk = Walk(LoopClock())

    async def slow(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(1)
        return price()

    walk.wire.scripts["a"] = [status(500), slow]
    walk.add("a")
    walk.add("b", tier=1)
    manager = walk.manager()
    await manager.fetch_data(QUERY)
    await asyncio.sleep(30)
    answers = await asyncio.gather(*(manager.fetch_data(QUERY) for _ in range(20)))
    assert [answer.source for answer in answers].count("a") == 1
    assert walk.wire.calls["a"] == 2


async def test_a_lower_tier_is_asked_only_when_the_higher_is_out(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["first"] = [price(), price(), status(500)]
    walk.add("last", tier=1)
    walk.add("first")
    manager = walk.manager()
    sources = [(await manager.fetch_data(QUERY)).source for _ in range(4)]
    assert sources == ["first", "first", "last", "last"]
    assert walk.of(ProviderChosen)[0].reason == "the only eligible one of tier 0"


async def test_a_provider_is_able_to_answer_though_its_limit_is_used_up(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["out"] = [status(500)]
    walk.add("last", tier=1)
    walk.add("out")
    walk.add("first", windows=(Window(2, 60),))
    manager = walk.manager()
    for _ in range(3):
        await manager.fetch_data(QUERY)
    assert [provider.name for provider in manager.eligible(QUERY)] == ["last"]
    assert [provider.name for provider in manager.able(QUERY)] == ["first", "last"]


async def test_a_provider_that_fails_repeatedly_is_asked_last_for_a_while(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["first"] = [price(), status(500), price(), status(500), price()]
    walk.add("first")
    walk.add("last", tier=1)
    manager = walk.manager()
    sources = []
    for _ in range(8):  # four an hour: each cooldown is over before the next reader comes
        sources.append((await manager.fetch_data(QUERY)).source)
        clock.advance(900)
    # Two failures lie half an hour apart: an hour for the other one.
    assert sources == ["first", "last", "first", "last", "last", "last", "last", "first"]
    assert walk.wire.calls == {"first": 5, "last": 5}


async def test_a_flapping_provider_is_named_and_still_asked_when_it_is_the_only_one(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["first"] = [status(500), status(500), price()]
    walk.wire.scripts["last"] = [price(), price(), price(), status(500)]
    walk.add("first")
    walk.add("last", tier=1)
    manager = walk.manager()
    for _ in range(3):
        await manager.fetch_data(QUERY)
        clock.advance(60)
    reason = walk.of(ProviderChosen)[-1].reason
    assert reason == (
        "the only eligible one of tier 1; tried last, because it fails repeatedly: first"
    )
    assert (await manager.fetch_data(QUERY)).source == "first"


async def test_providers_with_more_quota_left_get_more_turns(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("scarce", windows=(Window(12, 3_600),))
    walk.add("plenty")
    manager = walk.manager()
    for _ in range(30):
        await manager.fetch_data(QUERY)
    assert walk.wire.calls["scarce"] < 10 < walk.wire.calls["plenty"]


async def test_traffic_is_diverted_before_the_limit_not_after_a_429(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("a", windows=(Window(3, 60),))
    walk.add("b", tier=1)
    manager = walk.manager()
    sources = [(await manager.fetch_data(QUERY)).source for _ in range(4)]
    assert sources == ["a", "a", "b", "b"]
    passed_over = walk.of(ProviderChosen)[-1].passed_over[0]
    assert (passed_over.provider, passed_over.reason) == ("a", "rate_limited")


async def test_a_series_keeps_its_provider_while_that_is_eligible(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("a")
    walk.add("b")
    manager, series = walk.manager(), PriceQuery("btc", is_series=True)
    (first,) = (await manager.fetch_data(series)).sources
    await manager.fetch_data(QUERY)
    sources = {(await manager.fetch_data(series)).source for _ in range(5)}
    assert sources == {first}
    assert walk.of(ProviderChosen)[-1].reason == "keeps its series"
    walk.wire.scripts[first] = [status(500)]
    (other,) = (await manager.fetch_data(series)).sources
    assert other != first
    clock.advance(60)
    walk.wire.scripts[first] = [price()]
    assert (await manager.fetch_data(series)).source == other


async def test_forgotten_series_are_bounded(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("a")
    manager = walk.manager()
    for number in range(1_100):
        await manager.fetch_data(PriceQuery(f"coin-{number}", is_series=True))
    assert len(manager.choosing._series) == 1_024


async def test_at_most_eight_providers_are_tried(clock: ManualClock) -> None:
    walk = Walk(clock)
    for name in "abcdefghij":
        walk.wire.scripts[name] = [status(500)]
        walk.add(name)
    with pytest.raises(AllProvidersFailed) as caught:
        await walk.manager().fetch_data(QUERY)
    assert sum(walk.wire.calls.values()) == 8
    assert [refusal.provider for refusal in caught.value.refusals] == [*"abcdefgh"]


async def test_the_error_gives_every_providers_reason_and_the_soonest_retry(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"a": [status(500)], "b": [status(429, **{"retry-after": "12"})]}
    walk.add("a")
    walk.add("b")
    walk.add("c", adapter=stub_adapter(price_operation(plans=("keyed",))))
    walk.add("d", keyless=False, state=ProviderState.NOT_CONFIGURED)
    with pytest.raises(AllProvidersFailed) as caught:
        await walk.manager().fetch_data(QUERY)
    reasons = {refusal.provider: refusal.reason for refusal in caught.value.refusals}
    assert reasons == {
        "a": "upstream_5xx",
        "b": "rate_limited",
        "c": "unsupported",
        "d": "not_configured",
    }
    assert caught.value.retry_at == clock.now() + timedelta(seconds=12)


async def test_no_configured_provider_is_an_error_of_its_own(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("a", keyless=False, state=ProviderState.NOT_CONFIGURED)
    walk.add("b", state=ProviderState.DISABLED)
    with pytest.raises(NoProviderConfigured):
        await walk.manager().fetch_data(QUERY)


async def test_quotas_all_spent_is_an_error_of_its_own(clock: ManualClock) -> None:
    walk = Walk(clock)
    body = {"info": "API monthly quota exceeded"}
    walk.wire.scripts["a"] = [httpx.Response(429, json=body)]
    walk.add("a")
    walk.add("b", keyless=False, state=ProviderState.NOT_CONFIGURED)
    manager = walk.manager()
    with pytest.raises(QuotaExhausted):
        await manager.fetch_data(QUERY)
    with pytest.raises(QuotaExhausted):
        await manager.fetch_data(QUERY)
    assert walk.wire.calls["a"] == 1


async def test_a_refused_query_goes_to_the_next_provider_and_is_no_failure(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [error(400, "no_such_coin")]
    walk.add("a")
    walk.add("b")
    answer = await walk.manager().fetch_data(QUERY)
    assert answer.tried[0] == Attempt("a", "unsupported", 0.0)
    assert all(provider.is_usable for provider in walk.providers)


async def test_while_all_cool_down_one_probe_goes_out_every_five_seconds(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    for name in "ab":
        walk.wire.scripts[name] = [status(500)]
        walk.add(name)
    manager = walk.manager()
    with pytest.raises(AllProvidersFailed):
        await manager.fetch_data(QUERY)
    before = sum(walk.wire.calls.values())
    for _ in range(200):
        clock.advance(0.1)
        with pytest.raises(AllProvidersFailed):
            await manager.fetch_data(QUERY)
    assert sum(walk.wire.calls.values()) - before == 4
    walk.wire.scripts = {}
    clock.advance(5)
    assert (await manager.fetch_data(QUERY)).data == 1.0
    assert (
        walk.of(ProviderChosen)[-1].reason
        == "no provider is eligible: early probe of the one whose cooldown ends first"
    )


async def test_a_provider_that_named_a_time_is_not_probed_early(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(503, **{"retry-after": "120"})]
    walk.add("a")
    manager = walk.manager()
    for _ in range(24):
        with pytest.raises(AllProvidersFailed):
            await manager.fetch_data(QUERY)
        clock.advance(4.9)
    assert walk.wire.calls["a"] == 1


@pytest.mark.looptime
async def test_each_attempt_leaves_time_for_those_that_may_follow() -> None:
    walk = Walk(LoopClock())
    for name in "ab":
        walk.wire.scripts[name] = hang
        walk.add(name)
    walk.add("c")
    began = asyncio.get_running_loop().time()
    answer = await walk.manager().fetch_data(QUERY)
    assert answer.source == "c"
    assert [round(attempt.latency_ms or 0) for attempt in answer.tried] == [1_900, 1_000, 0]
    assert asyncio.get_running_loop().time() - began == pytest.approx(2.9)


@pytest.mark.looptime
async def test_with_all_providers_silent_the_fetch_fails_within_the_deadline() -> None:
    walk = Walk(LoopClock())
    for name in "abc":
        walk.wire.scripts[name] = hang
        walk.add(name)
    began = asyncio.get_running_loop().time()
    with pytest.raises(AllProvidersFailed) as caught:
        await walk.manager().fetch_data(QUERY)
    assert asyncio.get_running_loop().time() - began == pytest.approx(3.9)
    assert {refusal.reason for refusal in caught.value.refusals} == {"timeout"}


async def test_after_the_deadline_no_further_provider_is_asked(clock: ManualClock) -> None:
    walk = Walk(clock)

    def late(_request: httpx.Request) -> httpx.Response:
        clock.advance(10)
        return status(500)

    walk.wire.scripts["a"] = late
    walk.add("a")
    walk.add("b")
    with pytest.raises(AllProvidersFailed) as caught:
        await walk.manager().fetch_data(QUERY)
    assert walk.wire.calls["b"] == 0
    reasons = {refusal.provider: refusal.reason for refusal in caught.value.refusals}
    assert reasons == {"a": "upstream_5xx", "b": "timeout"}


async def test_get_next_provider_returns_the_provider_and_the_reason(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("a")
    walk.add("b", state=ProviderState.DISABLED)
    manager = walk.manager()
    choice = manager.get_next_provider(QUERY)
    assert isinstance(choice, Choice)
    assert (choice.provider.name, choice.passed_over) == ("a", (Refusal("b", "disabled"),))
    assert manager.get_next_provider(QUERY, exclude=["a"]) == (Refusal("b", "disabled"),)
    assert [chosen.provider for chosen in walk.of(ProviderChosen)] == ["a", None]
    assert sum(walk.wire.calls.values()) == 0


async def test_the_repr_shows_the_current_state(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("a")
    assert repr(walk.manager()).startswith("<ProviderManager [<Provider a ")
    assert repr(walk.manager().choosing) == "<Chooser 0 rotations, 0 series>"


async def test_a_limit_reached_within_an_operation_states_when_it_ends(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)

    def spend(_request: httpx.Request) -> httpx.Response:
        guard.observe({"x-used": "100"})
        return price()

    window = Window(100, 60, header="x-used")
    walk.wire.scripts["a"] = spend
    provider = walk.add("a", adapter=stub_adapter(price_operation(calls=3)), windows=(window,))
    endpoint = provider._executor.keyless
    assert endpoint is not None
    guard = endpoint.guard
    with pytest.raises(AllProvidersFailed) as caught:
        await walk.manager().fetch_data(QUERY)
    (refusal,) = caught.value.refusals
    assert refusal.reason == "rate_limited"
    assert refusal.until == clock.now() + timedelta(seconds=60)
    assert provider.is_usable


async def test_eligible_providers_are_in_the_order_of_tiers_and_take_no_turn(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.add("last", tier=2)
    walk.add("first")
    walk.add("off", state=ProviderState.DISABLED)
    manager = walk.manager()
    assert [provider.name for provider in manager.eligible(QUERY)] == ["first", "last"]
    assert walk.of(ProviderChosen) == []


# Budgets of days and months


async def test_a_scarce_budget_is_reserved_while_a_provider_of_the_tier_has_plenty(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.add("a", windows=(DAY,))
    walk.add("b")
    manager = walk.manager()
    sources = [(await manager.fetch_data(QUERY)).source for _ in range(6)]
    assert sources == ["a", "b", "b", "b", "b", "b"]
    choice = manager.get_next_provider(QUERY)
    assert isinstance(choice, Choice)
    assert choice.reason == "the only eligible one of tier 0"
    (kept,) = choice.passed_over
    assert (kept.provider, kept.reason, kept.detail) == ("a", "rate_limited", BUDGET_RESERVED)
    assert kept.until is not None
    assert (kept.until - clock.now()).total_seconds() == pytest.approx(86_400 / 93)


async def test_where_no_budget_of_the_tier_can_spare_a_call_they_borrow_a_little(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    for name in "ab":
        walk.add(name, windows=(DAY,))
    manager = walk.manager()
    sources = [(await manager.fetch_data(QUERY)).source for _ in range(4)]
    assert sorted(sources) == ["a", "a", "b", "b"]
    with pytest.raises(AllProvidersFailed) as caught:
        await manager.fetch_data(QUERY)
    assert {refusal.reason for refusal in caught.value.refusals} == {"rate_limited"}
    assert all(refusal.until for refusal in caught.value.refusals)


async def test_a_budget_is_not_reserved_in_favour_of_a_worse_tier(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("a", windows=(DAY,))
    walk.add("b", tier=1)
    manager = walk.manager()
    sources = [(await manager.fetch_data(QUERY)).source for _ in range(3)]
    assert sources == ["a", "a", "b"]  # saved up, borrowed, nothing to spare


async def test_failover_goes_to_the_provider_with_the_reserved_budget(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["b"] = [price(), status(500)]
    walk.add("a", windows=(DAY,))
    walk.add("b")
    manager = walk.manager()
    assert [(await manager.fetch_data(QUERY)).source for _ in range(3)] == ["a", "b", "a"]


async def test_the_refresh_interval_is_that_of_the_best_budget(clock: ManualClock) -> None:
    walk = Walk(clock)
    manager = walk.manager()
    assert manager.refresh_interval_s(QUERY) == 0.0
    walk.add("a", windows=(DAY,))
    walk.add("b", windows=(Window(1_000, 86_400.0, kind="day"),))
    walk.add("c", adapter=stub_adapter(price_operation(plans=("other",))))
    manager = walk.manager()
    assert manager.refresh_interval_s(QUERY) == pytest.approx(86_400 / 912)  # of 950, 2 x 19 slack
    walk.add("d", windows=(Window(30, 60),))
    assert walk.manager().refresh_interval_s(QUERY) == 0.0


async def test_a_worse_tier_without_a_budget_does_not_shorten_the_refresh_interval(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    best = walk.add("a", windows=(DAY,))
    walk.add("b", windows=(Window(30, 60),), tier=1)
    manager = walk.manager()
    assert manager.refresh_interval_s(QUERY) == pytest.approx(86_400 / 93)
    walk.wire.scripts["a"] = [status(500)]
    await manager.fetch_data(QUERY)
    assert not best.is_usable
    assert manager.refresh_interval_s(QUERY) == 0.0


async def test_a_query_that_others_can_answer_takes_no_more_than_its_share_of_a_budget(
    clock: ManualClock,
) -> None:
    """What is saved up stays for the queries that only this provider answers."""
    walk = Walk(clock)
    limited = walk.add("a", windows=(Window(10_000, 86_400.0, kind="day"),))
    walk.add("b")
    manager = walk.manager()
    for _ in range(2):
        await limited.fetch(PriceQuery("eth"), 3)
    share_s = 2 * 86_400 / 9_120
    sources = []
    for _ in range(12):
        sources.append((await manager.fetch_data(QUERY)).source)
        clock.advance(share_s / 4)
    assert sources.count("a") == 3


async def test_an_explanation_is_the_next_choice_and_takes_no_turn(clock: ManualClock) -> None:
    walk = Walk(clock)
    for name in "abc":
        walk.add(name)
    manager = walk.manager()
    for _ in range(7):
        told = [manager.explain(QUERY)[0] for _ in range(3)]
        chosen = manager.get_next_provider(QUERY)
        assert told == [chosen] * 3
    assert len(walk.of(ProviderChosen)) == 7
    assert walk.wire.calls == {}


async def test_an_explanation_names_the_provider_with_the_reserved_budget(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    a = walk.add("a", windows=(DAY,))
    b = walk.add("b")
    await a.fetch(QUERY, 3)
    choice, refusals = walk.manager().explain(QUERY)
    assert choice
    assert choice.provider is b
    assert [(refusal.provider, refusal.detail) for refusal in refusals] == [("a", BUDGET_RESERVED)]


async def test_without_an_eligible_provider_an_explanation_has_only_reasons(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(500)]
    walk.add("a")
    manager = walk.manager()
    with pytest.raises(AllProvidersFailed):
        await manager.fetch_data(QUERY)
    choice, refusals = manager.explain(QUERY)
    assert choice is None
    assert [refusal.reason for refusal in refusals] == ["upstream_5xx"]
