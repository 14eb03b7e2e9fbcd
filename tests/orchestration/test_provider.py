"""One provider over a scripted wire: hosts, keys, plans, guards, leases, statistics."""

import asyncio
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from backend.clock import Clock
from backend.errors import (
    AuthFailed,
    BatchRefused,
    Busy,
    ConnectFailed,
    GeoBlocked,
    LeaseRefused,
    MalformedResponse,
    NotAffordable,
    NoTimeLeft,
    NotRecorded,
    PathUnknown,
    PlanRestricted,
    ProviderTimeout,
    QueryRefused,
    UnexpectedFailure,
    UpstreamFailed,
)
from backend.events import CallRetried, ProviderCalled, ProviderStateChanged
from backend.models.account import AccountLimits, AccountQuery
from backend.models.status import ProviderState, Refusal
from backend.orchestration.accounts import learn_account
from backend.orchestration.calls.executor import PARSE_IN_THREAD_BYTES
from backend.orchestration.limits.ledger import Ledger
from backend.orchestration.provider import Offer, Provider
from backend.providers.adapter import Adapter, Call, Context, Operation, Window
from backend.storage.contract import Storage
from tests.clocks import LoopClock, ManualClock
from tests.walk import (
    FixedQuery,
    Handler,
    PriceQuery,
    SeriesQuery,
    Walk,
    error,
    hang,
    price,
    price_operation,
    refuse,
    status,
    stub_adapter,
)

QUERY = PriceQuery()
DAY = Window(100, 86_400.0, kind="day")  # 95 usable, 1 to save up or to borrow
UNSUPPORTED = Refusal("a", "unsupported", detail="it has no operation that answers this query")


async def test_an_answer_carries_its_source_and_latency(clock: ManualClock) -> None:
    walk = Walk(clock)
    answer = await walk.add("a").fetch(QUERY, 3)
    assert (answer.data, answer.source, answer.latency_ms) == (1.0, "a", 0.0)
    assert answer.fetched_at == clock.now()


async def test_a_provider_has_operations_for_queries_of_their_type(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(500)]
    provider = walk.add("a")
    with pytest.raises(UpstreamFailed):
        await provider.fetch(QUERY, 3)
    assert provider.has_operation_for(QUERY), "a failure changes nothing"
    assert not provider.has_operation_for(AccountQuery())


async def test_statistics_follow_the_outcomes(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [price(), status(500)]
    provider = walk.add("a")
    assert provider.success_rate is None
    await provider.fetch(QUERY, 3)
    with pytest.raises(UpstreamFailed):
        await provider.fetch(QUERY, 3)
    assert provider.success_rate == 0.5
    assert provider.consecutive_failures == 1
    assert provider.latency.last == 0.0
    told = provider.status()
    assert (told.requests, told.failures, told.last_error) == (2, 1, "upstream_5xx: HTTP 500")
    assert (told.status, told.reason) == ("cooldown", "upstream_5xx")
    assert told.cooldown_until == provider.retry_at


async def test_the_quotas_are_those_of_the_plan_in_use(clock: ManualClock) -> None:
    walk = Walk(clock)
    provider = walk.add("a", windows=(Window(100, 60.0),))
    await provider.fetch(QUERY, 3)
    assert [(quota.window, quota.used) for quota in provider.quotas] == [("minute", 1)]
    off = walk.add("b", windows=(Window(100, 60.0),), state=ProviderState.DISABLED)
    assert off.quotas == ()


async def test_a_refused_query_is_not_a_failure(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [error(400, "no_such_coin")]
    provider = walk.add("a")
    with pytest.raises(QueryRefused):
        await provider.fetch(QUERY, 3)
    assert provider.success_rate is None
    assert provider.is_usable


async def test_a_provider_that_refuses_a_fixed_query_has_failed(clock: ManualClock) -> None:
    """One odd 404 in the place of a list must not keep it from being asked for ten minutes."""
    walk = Walk(clock)
    walk.wire.scripts["a"] = [error(404, "no_such_coin"), price()]
    provider = walk.add("a")
    with pytest.raises(UpstreamFailed) as caught:
        await provider.fetch(FixedQuery(), 3)
    assert caught.value.http_status == 404
    assert provider.status().status == "cooldown"
    clock.advance(30)
    assert (await provider.fetch(FixedQuery(), 3)).data == 1.0


async def test_an_absurd_answer_is_a_failure(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [price(-5)]
    provider = walk.add("a")
    with pytest.raises(MalformedResponse):
        await provider.fetch(QUERY, 3)
    assert provider.status().reason == "bad_payload"


async def test_a_blocked_host_moves_to_the_next_and_is_left_out(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["one"] = [status(451)]
    provider = walk.add("a", hosts=("one", "two"))
    for _ in range(3):
        await provider.fetch(QUERY, 3)
    assert walk.wire.calls == {"one": 1, "two": 3}
    assert provider.status().status == "active"
    assert [event.how for event in walk.of(CallRetried)] == ["another_host"]


async def test_a_parser_knows_the_host_that_answered(clock: ManualClock) -> None:
    seen: list[str] = []

    def parse(_query: Any, _payloads: Any, context: Context) -> float:
        seen.append(context.base_url)
        return 1.0

    walk = Walk(clock)
    walk.wire.scripts["one"] = [status(451)]
    adapter = stub_adapter(replace(price_operation(), parse=parse))
    await walk.add("a", hosts=("one", "two"), adapter=adapter).fetch(QUERY, 3)
    assert seen == ["https://two.example"]


async def test_with_every_host_blocked_the_provider_is_geo_blocked(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"one": [status(451)], "two": [status(403)]}
    provider = walk.add("a", hosts=("one", "two"))
    with pytest.raises(GeoBlocked):
        await provider.fetch(QUERY, 3)
    assert [event.how for event in walk.of(CallRetried)] == ["another_host"], "after the last one"
    assert provider.status().status == "geo_blocked"
    assert provider.offer(QUERY) == Refusal("a", "geo_blocked", provider.retry_at)
    clock.advance(1_799)
    assert not provider.is_usable
    clock.advance(1)
    walk.wire.scripts["one"] = [price()]
    await provider.fetch(QUERY, 3)
    assert provider.status().status == "active"


async def test_an_unreachable_host_moves_on_and_costs_no_quota(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["one"] = refuse
    provider = walk.add("a", hosts=("one", "two"), windows=(Window(10, 60),))
    await provider.fetch(QUERY, 3)
    await provider.fetch(QUERY, 3)
    assert walk.wire.calls == {"one": 1, "two": 2}
    assert provider.status().quotas[0].used == 2


async def test_no_host_reachable_is_a_connect_error(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"one": refuse, "two": [status(451)]}
    provider = walk.add("a", hosts=("one", "two"))
    with pytest.raises(ConnectFailed):
        await provider.fetch(QUERY, 3)
    assert provider.status().reason == "connect_error"


@pytest.mark.looptime
async def test_a_host_that_never_answers_is_tried_last() -> None:
    walk = Walk(LoopClock())
    walk.wire.scripts["one"] = hang
    provider = walk.add("a", hosts=("one", "two"))
    with pytest.raises(ProviderTimeout):
        await provider.fetch(QUERY, 3)
    await asyncio.sleep(30)
    await provider.fetch(QUERY, 3)
    assert walk.wire.calls == {"one": 1, "two": 1}


async def test_a_spurious_401_is_forgiven(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [error(401, "bad_key"), price()]
    provider = walk.add("a", key="secret")
    await provider.fetch(QUERY, 3)
    assert walk.wire.calls["a"] == 2
    assert provider.status().reason is None


async def test_after_two_refusals_of_the_key_the_keyless_plan_answers(clock: ManualClock) -> None:
    walk = Walk(clock)

    def answer(request: httpx.Request) -> httpx.Response:
        return error(401, "bad_key") if "x-key" in request.headers else price()

    walk.wire.scripts["a"] = answer
    provider = walk.add("a", key="secret")
    for _ in range(5):
        await provider.fetch(QUERY, 3)
    with_key = [request for request in walk.wire.requests if "x-key" in request.headers]
    assert len(with_key) == 2
    told = provider.status()
    assert (told.status, told.reason) == ("active", "auth_failed")
    assert told.hint == "the key in A_API_KEY is refused: the provider is used without a key"
    assert [event.how for event in walk.of(CallRetried)] == ["once_more", "no_key"]


async def test_a_refused_key_is_tried_again_after_a_quarter_then_an_hour(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = lambda request: (
        error(401, "bad_key") if "x-key" in request.headers else price()
    )
    provider, tried_at = walk.add("a", key="secret"), []
    for minute in range(0, 120, 5):
        before = len([r for r in walk.wire.requests if "x-key" in r.headers])
        await provider.fetch(QUERY, 3)
        if len([r for r in walk.wire.requests if "x-key" in r.headers]) > before:
            tried_at.append(minute)
        clock.advance(300)
    assert tried_at == [0, 15, 75]


async def test_without_a_keyless_plan_a_refused_key_takes_the_provider_out(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [error(401, "bad_key")]
    provider = walk.add("a", key="secret", keyless=False)
    with pytest.raises(AuthFailed):
        await provider.fetch(QUERY, 3)
    assert walk.wire.calls["a"] == 2
    told = provider.status()
    assert (told.status, told.hint) == ("auth_failed", "the key in A_API_KEY is refused")
    clock.advance(899)
    assert not provider.is_usable


async def test_a_plan_restricts_one_operation_for_a_day(clock: ManualClock) -> None:
    walk = Walk(clock)

    def answer(request: httpx.Request) -> httpx.Response:
        return error(401, "plan") if request.url.path.startswith("/fine") else price()

    walk.wire.scripts["a"] = answer
    adapter = stub_adapter(price_operation(name="fine"), price_operation(name="coarse"))
    provider = walk.add("a", adapter=adapter)
    await provider.fetch(QUERY, 3)
    await provider.fetch(QUERY, 3)
    paths = [request.url.path for request in walk.wire.requests]
    assert paths == ["/fine/btc", "/coarse/btc", "/coarse/btc"]
    assert provider.is_usable
    clock.advance(86_400)
    await provider.fetch(QUERY, 3)
    assert walk.wire.requests[3].url.path == "/fine/btc"


async def test_with_all_operations_restricted_the_query_is_unsupported(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [error(401, "plan")]
    provider = walk.add("a")
    with pytest.raises(PlanRestricted):
        await provider.fetch(QUERY, 3)
    assert provider.offer(QUERY) == UNSUPPORTED
    assert provider.status().status == "active"


async def test_an_operation_that_only_the_key_buys_is_lost_with_the_key(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [error(401, "bad_key")]
    adapter = stub_adapter(price_operation(plans=("keyed",)))
    provider = walk.add("a", adapter=adapter, key="secret")
    with pytest.raises(PlanRestricted):
        await provider.fetch(QUERY, 3)
    assert provider.offer(QUERY) == UNSUPPORTED


async def test_an_offer_counts_all_calls_of_an_operation(clock: ManualClock) -> None:
    walk = Walk(clock)
    adapter = stub_adapter(price_operation(calls=3))
    provider = walk.add("a", adapter=adapter, windows=(Window(6, 60),), tier=2)
    offer = provider.offer(QUERY)
    assert isinstance(offer, Offer)
    assert (offer.tier, offer.headroom) == (2, 1.0)
    await provider.fetch(QUERY, 3)
    assert walk.wire.calls["a"] == 3
    refusal = provider.offer(QUERY)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "rate_limited"
    assert refusal.until is not None
    assert (refusal.until - clock.now()).total_seconds() == 60


async def test_the_guard_refuses_before_the_wire_is_touched(clock: ManualClock) -> None:
    walk = Walk(clock)
    provider = walk.add("a", windows=(Window(2, 60),))
    await provider.fetch(QUERY, 3)
    with pytest.raises(NotAffordable):
        await provider.fetch(QUERY, 3)
    assert walk.wire.calls["a"] == 1
    assert provider.status().failures == 0


async def test_a_call_that_the_shared_store_refuses_is_not_made_and_is_due_a_second_later(
    clock: ManualClock,
) -> None:
    class Refusing(Storage):
        async def add_calls(
            self, amounts: Mapping[tuple[str, int], int], now_s: float | None
        ) -> bool:
            return False

    walk = Walk(clock)
    provider = walk.add("a", windows=(Window(60, 60),))
    with_ledger(provider, Refusing(), clock)
    with pytest.raises(NotRecorded) as refused:
        await provider.fetch(QUERY, 3)
    assert refused.value.retry_after_s == 1.0  # else caches wait ten seconds and more
    assert walk.wire.calls["a"] == 0
    assert provider.status().status is ProviderState.ACTIVE


async def test_a_second_attempt_while_probing_is_refused(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(500)]
    provider = walk.add("a")
    with pytest.raises(UpstreamFailed):
        await provider.fetch(QUERY, 3)
    with pytest.raises(LeaseRefused):
        await provider.fetch(QUERY, 3)
    assert walk.wire.calls["a"] == 1


@pytest.mark.looptime
async def test_a_cancelled_attempt_says_nothing_about_health_but_counts_in_the_quota() -> None:
    walk = Walk(LoopClock())
    walk.wire.scripts["a"] = hang
    provider = walk.add("a", windows=(Window(10, 60),))
    attempt = asyncio.create_task(provider.fetch(QUERY, 3))
    await asyncio.sleep(1)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert provider.is_usable
    told = provider.status()
    assert (told.requests, told.quotas[0].used) == (0, 1)


@pytest.mark.looptime
async def test_several_calls_share_one_deadline() -> None:
    walk = Walk(LoopClock())

    async def slow(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(1.8)
        return price()

    walk.wire.scripts["a"] = slow
    provider = walk.add("a", adapter=stub_adapter(price_operation(calls=3)))
    with pytest.raises(ProviderTimeout):
        await provider.fetch(QUERY, 3)
    assert provider.status().cooldown_until is not None
    assert asyncio.get_running_loop().time() == pytest.approx(3)


async def test_without_time_left_no_call_is_made_and_health_does_not_change(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    provider = walk.add("a")
    with pytest.raises(NoTimeLeft):
        await provider.fetch(QUERY, 0)
    assert walk.wire.calls["a"] == 0
    assert provider.is_usable


@pytest.mark.looptime
async def test_a_provider_that_got_too_little_time_has_not_failed() -> None:
    walk = Walk(LoopClock())
    walk.wire.scripts["a"] = hang
    provider = walk.add("a", windows=(Window(10, 60),))
    with pytest.raises(NoTimeLeft):
        await provider.fetch(QUERY, 0.2)
    assert provider.is_usable
    assert provider.status().quotas[0].used == 1


@pytest.mark.looptime
async def test_the_calls_after_the_first_run_concurrently() -> None:
    walk = Walk(LoopClock())

    async def slow(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.5)
        return price()

    walk.wire.scripts["a"] = slow
    provider = walk.add("a", adapter=stub_adapter(price_operation(calls=10)))
    await provider.fetch(QUERY, 3)
    assert asyncio.get_running_loop().time() == pytest.approx(1)
    assert walk.wire.calls["a"] == 10


@pytest.mark.looptime
async def test_one_failing_call_cancels_the_concurrent_ones() -> None:
    walk = Walk(LoopClock())
    walk.wire.scripts["a"] = [price(), hang, status(500), hang]
    provider = walk.add(
        "a", adapter=stub_adapter(price_operation(calls=4)), windows=(Window(100, 60),)
    )
    with pytest.raises(UpstreamFailed):
        await provider.fetch(QUERY, 3)
    assert asyncio.get_running_loop().time() < 1
    assert provider.status().quotas[0].used == 4


@pytest.mark.looptime
async def test_more_calls_than_slots_queue_without_failures() -> None:
    walk = Walk(LoopClock())

    async def slow(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.9)
        return price()

    walk.wire.scripts["a"] = slow
    provider = walk.add("a")
    results = await asyncio.gather(
        *(provider.fetch(PriceQuery(str(n)), 3) for n in range(200)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, Exception)]
    assert {type(error) for error in refused} == {Busy}
    assert len(results) - len(refused) == 64
    assert walk.wire.calls["a"] == 64
    assert provider.is_usable


async def test_a_question_that_was_refused_is_not_asked_again_for_ten_minutes(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [error(400, "no_such_coin"), price()]
    provider = walk.add("a")
    with pytest.raises(QueryRefused):
        await provider.fetch(QUERY, 3)
    refusal = provider.offer(QUERY)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.detail) == (
        "unsupported",
        "it refused this query less than ten minutes ago",
    )
    assert isinstance(provider.offer(PriceQuery("eth")), Offer)
    clock.advance(599)
    assert isinstance(provider.offer(QUERY), Refusal)
    clock.advance(1)
    assert isinstance(provider.offer(QUERY), Offer)
    assert (await provider.fetch(QUERY, 3)).data == 1.0


@pytest.mark.looptime
async def test_concurrent_refusals_of_a_key_are_one_refusal() -> None:
    walk = Walk(LoopClock())

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.1)
        return error(401, "bad_key") if "x-key" in request.headers else price()

    walk.wire.scripts["a"] = answer
    provider = walk.add("a", key="secret")
    await asyncio.gather(*(provider.fetch(PriceQuery(str(n)), 3) for n in range(8)))
    await asyncio.sleep(900)
    before = len(walk.wire.requests)
    await provider.fetch(QUERY, 3)
    assert "x-key" in walk.wire.requests[before].headers


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        (ProviderState.NOT_CONFIGURED, "set A_API_KEY to use it"),
        (ProviderState.DISABLED, "A_ENABLED is false"),
    ],
)
async def test_a_provider_that_is_off_says_what_would_switch_it_on(
    clock: ManualClock, state: ProviderState, hint: str
) -> None:
    provider = Walk(clock).add("a", keyless=False, state=state)
    told = provider.status()
    assert (told.status, told.reason, told.hint, told.quotas) == (state, state, hint, ())
    assert provider.offer(QUERY) == Refusal("a", state)


async def test_a_failure_and_a_recovery_emit_one_event_each(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(500), status(500), price(), price()]
    provider = walk.add("a")
    for _ in range(4):
        try:
            await provider.fetch(QUERY, 3)
        except UpstreamFailed:
            clock.advance(300)
    changes = [(event.was, event.now) for event in walk.of(ProviderStateChanged)]
    assert changes == [("active", "cooldown"), ("cooldown", "active")]
    outcomes = [event.outcome for event in walk.of(ProviderCalled)]
    assert outcomes == ["upstream_5xx", "upstream_5xx", "ok", "ok"]


async def test_reprs_show_the_state_and_no_key(clock: ManualClock) -> None:
    walk = Walk(clock)
    provider = walk.add("a", key="secret-key", windows=(Window(5, 60),))
    assert repr(provider) == "<Provider a <CircuitBreaker active n=0 for 0.0 s>>"
    endpoint = provider._executor.keyed
    assert endpoint is not None
    assert repr(endpoint) == "<Endpoint keyed <Hosts 1 of 1> <RateLimitGuard <minute 0+0/5>>>"
    assert repr(endpoint.credential) == "<Credential usable>"


async def test_a_refusal_of_the_key_that_cannot_be_confirmed_soon_is_believed(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [error(401, "bad_key")]
    provider = walk.add("a", key="secret", keyless=False, windows=(Window(1, 870),))
    with pytest.raises(AuthFailed):
        await provider.fetch(QUERY, 3)
    assert provider.status().status == "auth_failed"
    assert walk.wire.calls["a"] == 1


async def test_a_cooldown_that_is_over_says_that_it_waits_for_a_query(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(500)]
    provider = walk.add("a")
    with pytest.raises(UpstreamFailed):
        await provider.fetch(QUERY, 3)
    assert provider.status().hint is None
    clock.advance(30)
    told = provider.status()
    assert told.status == "cooldown"
    assert told.hint == "its wait is over: the next query will try it"


async def test_the_repr_of_an_endpoint_shows_its_plan_and_hosts(clock: ManualClock) -> None:
    provider = Walk(clock).add("a", hosts=("one", "two"))
    endpoint = provider._executor.keyless
    assert endpoint is not None
    assert repr(endpoint).startswith("<Endpoint keyless <Hosts 2 of 2>")


async def test_an_unconfirmed_refusal_of_the_key_falls_back_to_the_keyless_plan(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = lambda request: (
        error(401, "bad_key") if "x-key" in request.headers else price()
    )
    provider = walk.add("a", key="secret", windows=(Window(1, 870),))
    assert (await provider.fetch(QUERY, 3)).data == 1.0
    assert provider.status().status == "active"
    assert len([r for r in walk.wire.requests if "x-key" in r.headers]) == 1


async def test_the_repr_of_an_executor_contains_no_key(clock: ManualClock) -> None:
    provider = Walk(clock).add("a", key="secret-key")
    assert repr(provider._executor).startswith("<Executor <Endpoint keyed <Hosts 1 of 1>")
    assert "secret" not in repr(provider._executor)


# Budgets of days and months


def account_operation() -> Operation:
    return Operation(
        "account",
        AccountQuery,
        lambda _query, _context: (Call("/account"),),
        lambda _query, payloads, _context: AccountLimits(**payloads[-1]),
    )


def with_ledger(provider: Provider, store: Storage, clock: Clock) -> Ledger:
    """Its endpoint tells the store what a restart is to know."""
    endpoint = provider._executor.endpoint()
    endpoint.ledger = Ledger("a", endpoint.guard, store, clock)
    return endpoint.ledger


class Store(Storage):
    """Keeps what it is told after `wait_s`."""

    def __init__(self, wait_s: float = 0.0) -> None:
        self.wait_s = wait_s
        self.kept: Counter[tuple[str, int]] = Counter()

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> bool:
        await asyncio.sleep(self.wait_s)
        self.kept.update(amounts)
        return True


async def test_an_offer_states_when_its_budget_can_spare_the_call(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    provider = walk.add("a", windows=(DAY,))
    unused = provider.offer(QUERY)
    assert isinstance(unused, Offer)
    assert (unused.tier, unused.headroom, unused.budget_wait_s) == (0, 1.0, 0.0)
    await provider.fetch(QUERY, 3)
    offer = provider.offer(QUERY)
    assert isinstance(offer, Offer)
    assert offer.budget_wait_s == pytest.approx(86_400 / 93)
    await provider.fetch(QUERY, 3)  # borrowed
    refused = provider.offer(QUERY)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.detail) == (
        "rate_limited",
        "the limit per day has nothing to spare",
    )
    assert refused.until is not None
    assert (refused.until - clock.now()).total_seconds() == pytest.approx(86_400 / 93)


async def test_recurrent_queries_share_the_budget(clock: ManualClock) -> None:
    walk = Walk(clock)
    provider = walk.add("a", windows=(DAY,))
    assert provider.interval_s(PriceQuery("eth")) == pytest.approx(86_400 / 93)
    await provider.fetch(QUERY, 3)
    await provider.fetch(QUERY, 3)
    assert provider.interval_s(QUERY) == pytest.approx(86_400 / 93)
    assert provider.interval_s(PriceQuery("eth")) == pytest.approx(2 * 86_400 / 93)


async def test_without_a_budget_the_interval_is_zero(clock: ManualClock) -> None:
    assert Walk(clock).add("a", windows=(Window(30, 60),)).interval_s(QUERY) == 0.0


async def test_a_provider_that_cannot_answer_a_query_has_no_interval(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"a": [error(400, "no_such_coin")], "b": [status(500)]}
    refusing, failing = walk.add("a", windows=(DAY,)), walk.add("b", windows=(DAY,))
    assert refusing.interval_s(AccountQuery()) is None
    with pytest.raises(QueryRefused):
        await refusing.fetch(QUERY, 3)
    assert refusing.interval_s(QUERY) is None
    assert refusing.interval_s(PriceQuery("eth")) is not None
    with pytest.raises(UpstreamFailed):
        await failing.fetch(QUERY, 3)
    assert failing.interval_s(QUERY) is None


@pytest.mark.parametrize(("keeps", "limit"), [(False, 2_000), (True, 100)])
async def test_the_account_call_sets_the_limits_of_the_keys_plan(
    clock: ManualClock, keeps: bool, limit: int
) -> None:
    walk = Walk(clock)
    told = {"per_minute": None, "per_month": 2_000, "used_this_month": 70}
    walk.wire.scripts["a"] = [httpx.Response(200, json=told)]
    month = Window(100, 30 * 86_400.0, kind="month")
    provider = walk.add("a", adapter=stub_adapter(account_operation()), windows=(month,))
    assert await learn_account(provider, 3, keeps_limits=keeps)
    (quota,) = provider.status().quotas
    assert (quota.limit, quota.used) == (limit, 70)


@pytest.mark.parametrize("saves", [True, False])
async def test_what_others_used_of_the_account_is_saved_at_once(
    clock: ManualClock, saves: bool
) -> None:
    """Another process may lead before the next call; one that is not saved is asked again."""
    saved: list[int] = []

    class Store(Storage):
        async def add_calls(self, amounts: Any, now_s: float | None) -> bool:
            saved.append(sum(amounts.values()))
            return saves or len(saved) == 1  # the account's own call

    walk = Walk(clock)
    told = {"per_minute": None, "per_month": 2_000, "used_this_month": 70}
    walk.wire.scripts["a"] = [httpx.Response(200, json=told)]
    month = Window(100, 30 * 86_400.0, kind="month")
    provider = walk.add("a", adapter=stub_adapter(account_operation()), windows=(month,))
    with_ledger(provider, Store(), clock)
    assert await learn_account(provider, 3, keeps_limits=False) is saves
    assert sum(saved) == 70


async def test_a_vendor_without_an_account_call_is_not_asked(clock: ManualClock) -> None:
    walk = Walk(clock)
    provider = walk.add("a", windows=(DAY,))
    assert await learn_account(provider, 3, keeps_limits=False)
    assert walk.wire.calls == {}
    assert provider.status().quotas[0].limit == 100


@pytest.mark.parametrize(
    ("script", "is_final"),
    [
        (refuse, False),
        ([status(500)], False),
        ([status(429)], False),
        ([httpx.Response(200, json={"per_minute": -1})], True),
    ],
)
async def test_a_failed_account_call_changes_no_limits(
    clock: ManualClock, script: Handler | list[Any], is_final: bool
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = script
    provider = walk.add("a", adapter=stub_adapter(account_operation()), windows=(DAY,))
    assert await learn_account(provider, 3, keeps_limits=False) is is_final
    assert walk.wire.calls == {"a": 1}
    assert provider.status().quotas[0].limit == 100


async def test_during_a_cooldown_the_account_is_not_asked(clock: ManualClock) -> None:
    walk = Walk(clock)
    told = httpx.Response(200, json={"per_minute": None, "per_month": 2_000, "used_this_month": 70})
    walk.wire.scripts["a"] = [status(500), price(), told]
    both = stub_adapter(account_operation(), price_operation())
    provider = walk.add("a", adapter=both)
    assert not await learn_account(provider, 3, keeps_limits=False)
    assert not await learn_account(provider, 3, keeps_limits=False)
    assert walk.wire.calls == {"a": 1}
    clock.advance(60)
    assert not await learn_account(provider, 3, keeps_limits=False), "readers come first"
    await provider.fetch(QUERY, 3)
    assert await learn_account(provider, 3, keeps_limits=False)
    assert walk.wire.calls == {"a": 3}


async def test_a_call_is_stored_before_it_is_sent(clock: ManualClock) -> None:
    walk, store, seen = Walk(clock), Store(), []
    provider = walk.add("a", windows=(DAY,))
    with_ledger(provider, store, clock)

    def answer(_request: httpx.Request) -> httpx.Response:
        seen.append(store.kept.total())
        return price()

    walk.wire.scripts["a"] = answer
    before = provider.status().quotas[0].used
    await provider.fetch(QUERY, 3)
    assert seen == [before + 1]


@pytest.mark.looptime
@pytest.mark.parametrize(("wait_s", "ended_s"), [(1.9, 3.0), (2.9, 3.0)])
async def test_the_time_of_a_slow_store_is_part_of_the_calls_time(
    wait_s: float, ended_s: float
) -> None:
    walk = Walk(LoopClock())
    walk.wire.scripts["a"] = hang
    provider = walk.add("a", windows=(DAY,))
    with_ledger(provider, Store(wait_s), walk.clock)
    with pytest.raises((ProviderTimeout, NoTimeLeft)):
        await provider.fetch(QUERY, 3)
    assert asyncio.get_running_loop().time() == pytest.approx(ended_s)


@pytest.mark.looptime
async def test_a_call_not_sent_because_of_a_slow_store_is_released() -> None:
    walk, store = Walk(LoopClock()), Store(3.1)
    provider = walk.add("a", windows=(DAY,))
    ledger = with_ledger(provider, store, walk.clock)
    before = provider.status().quotas[0].used
    with pytest.raises(NoTimeLeft):
        await provider.fetch(QUERY, 3)
    assert walk.wire.calls == {}
    assert provider.is_usable
    assert provider.status().quotas[0].used == before
    await ledger.save()
    assert store.kept.total() == before


async def test_a_redirect_within_the_host_is_followed_and_counts_as_a_call(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(308, Location="/elsewhere"), price(2.0)]
    provider = walk.add("a", windows=(Window(100, 60),))
    assert (await provider.fetch(QUERY, 3)).data == 2.0
    assert [request.url.path for request in walk.wire.requests] == ["/price/btc", "/elsewhere"]
    assert provider.status().quotas[0].used == 2
    assert provider.status().requests == 1


async def test_a_redirect_that_no_limit_affords_is_not_followed(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(302, Location="/elsewhere")]
    provider = walk.add("a", windows=(Window(2, 60),))  # one of the two stays unused
    with pytest.raises(NotAffordable):
        await provider.fetch(QUERY, 3)
    assert walk.wire.calls["a"] == 1


async def test_a_redirect_loop_is_a_failure(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(302, Location="/price/btc")]
    provider = walk.add("a")
    with pytest.raises(MalformedResponse, match="redirect loop"):
        await provider.fetch(QUERY, 3)
    assert walk.wire.calls["a"] == 3
    assert provider.status().status == "cooldown"


async def test_an_unexpected_exception_is_a_failure_of_the_provider(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    walk = Walk(clock)
    built = iter([(Call("/price"),)])  # the offer succeeds, the attempt without it does not

    def build(_query: object, _context: object) -> tuple[Call, ...]:
        return next(built)

    operation = replace(price_operation(), build=build)
    provider = walk.add("b", adapter=stub_adapter(operation))
    assert isinstance(provider.offer(QUERY), Offer)
    with pytest.raises(UnexpectedFailure, match="StopIteration"):
        await provider.fetch(QUERY, 3)
    told = provider.status()
    assert (told.status, told.reason, told.failures) == ("cooldown", "bad_payload", 1)
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_a_bug_in_the_planning_of_calls_makes_no_offer(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    def serves(_query: object, _context: object) -> bool:
        raise ZeroDivisionError

    walk = Walk(clock)
    provider = walk.add("a", adapter=stub_adapter(replace(price_operation(), serves=serves)))
    for _ in range(3):
        assert provider.offer(QUERY) == UNSUPPORTED
    assert provider.interval_s(QUERY) is None
    assert len(caplog.records) == 1


async def test_large_replies_are_parsed_in_a_thread_and_small_ones_are_not(
    clock: ManualClock,
) -> None:
    threads = []

    def parse(_query: object, payloads: Any, _context: object) -> int:
        threads.append(threading.current_thread() is threading.main_thread())
        return len(payloads[0]["price"])

    walk = Walk(clock)
    walk.wire.scripts["a"] = [
        httpx.Response(200, json={"price": "x" * size}) for size in (10, PARSE_IN_THREAD_BYTES)
    ]
    provider = walk.add("a", adapter=stub_adapter(replace(price_operation(), parse=parse)))
    await provider.fetch(QUERY, 3)
    await provider.fetch(QUERY, 3)
    assert threads == [True, False]


async def test_endless_parsing_is_a_failure_of_the_provider(clock: ManualClock) -> None:
    is_over = threading.Event()

    def parse(_query: object, _payloads: object, _context: object) -> int:
        is_over.wait(5)
        return 1

    operation = replace(price_operation(), parse=parse, parse_in_thread=True)
    walk = Walk(clock)
    provider = walk.add("a", adapter=stub_adapter(operation))
    with pytest.raises(MalformedResponse, match="took too long"):
        await provider.fetch(QUERY, 0.05)
    is_over.set()
    assert provider.status().status == "cooldown"


async def test_the_last_share_of_a_minute_is_reserved_for_recurrent_and_shared_queries(
    clock: ManualClock,
) -> None:
    """275 ranges from one reader were Binance's whole minute."""
    walk = Walk(clock)
    provider = walk.add("a", windows=(Window(100, 60),))  # 95 usable
    recurrent = SeriesQuery("btc")
    for _ in range(2):
        await provider.fetch(recurrent, 3)
    clock.advance(60)
    number = 0
    while isinstance(provider.offer(SeriesQuery(str(number))), Offer):
        await provider.fetch(SeriesQuery(str(number)), 3)
        number += 1
    assert number == 76
    refused = provider.offer(SeriesQuery("new"))
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.window) == ("rate_limited", "minute")
    assert isinstance(provider.offer(recurrent), Offer)
    assert isinstance(provider.offer(QUERY), Offer)


def batch_adapter() -> Adapter:
    parts = b'{"id":1}', b'{"id":2}'

    def parse(_query: object, payloads: Any, _context: object) -> float:
        return sum(float(answer["price"]) for answer in payloads[0])

    def build(_query: object, _context: object) -> tuple[Call, ...]:
        return (Call("/rpc", json_body=b"[%b]" % b",".join(parts), parts=parts),)

    adapter = stub_adapter(replace(price_operation(), build=build, parse=parse))
    return replace(adapter, errors={(None, "no_batches"): BatchRefused})


async def test_a_host_that_takes_no_batches_is_asked_one_by_one(clock: ManualClock) -> None:
    walk = Walk(clock)
    refusal = httpx.Response(200, json={"code": "no_batches"})
    walk.wire.scripts["a"] = [refusal, price(1), price(2), price(3), price(4)]
    provider = walk.add("a", adapter=batch_adapter(), windows=(Window(100, 60),))
    assert (await provider.fetch(QUERY, 3)).data == 3.0
    assert (await provider.fetch(QUERY, 3)).data == 7.0, "and is not sent another batch"
    bodies = [request.content for request in walk.wire.requests]
    assert bodies[1:] == [b'{"id":1}', b'{"id":2}'] * 2
    assert provider.status().quotas[0].used == 5, "each of them counts"


async def test_a_host_that_answers_a_batch_by_one_object_is_asked_one_by_one(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    single = httpx.Response(200, json={"id": 1, "result": "0x1", "price": 9})
    walk.wire.scripts["a"] = [single, price(1), price(2), price(3), price(4)]
    provider = walk.add("a", adapter=batch_adapter())
    assert (await provider.fetch(QUERY, 3)).data == 3.0
    assert (await provider.fetch(QUERY, 3)).data == 7.0
    assert walk.wire.calls["a"] == 5


def with_substitute() -> Adapter:
    substitute = Call("/older")

    def build(_query: object, _context: object) -> tuple[Call, ...]:
        return (Call("/newer", substitute=substitute),)

    adapter = stub_adapter(replace(price_operation(), build=build))
    return replace(adapter, errors={(404, None): PathUnknown})


async def test_a_host_without_the_path_gets_the_calls_substitute(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(404), price(5)]
    provider = walk.add("a", adapter=with_substitute(), windows=(Window(100, 60),))
    assert (await provider.fetch(QUERY, 3)).data == 5.0
    assert [request.url.path for request in walk.wire.requests] == ["/newer", "/older"]
    assert provider.status().quotas[0].used == 2, "each of them counts"
    assert provider.status().status == "active"


async def test_a_host_without_both_paths_has_failed(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"a": [status(404)], "b": [price(1)]}
    provider = walk.add("both", adapter=with_substitute(), hosts=("a", "b"), independent_hosts=True)
    assert (await provider.fetch(QUERY, 3)).data == 1.0
    assert walk.wire.calls == {"a": 2, "b": 1}


async def test_an_unknown_path_without_a_substitute_is_a_failure(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [status(404)]
    adapter = replace(stub_adapter(), errors={(404, None): PathUnknown})
    with pytest.raises(PathUnknown):
        await walk.add("a", adapter=adapter).fetch(QUERY, 3)
    assert walk.wire.calls["a"] == 1


async def test_a_refusal_of_batches_without_a_batch_is_a_failure(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [httpx.Response(200, json={"code": "no_batches"})]
    adapter = replace(stub_adapter(), errors={(None, "no_batches"): BatchRefused})
    with pytest.raises(BatchRefused):
        await walk.add("a", adapter=adapter).fetch(QUERY, 3)
    assert walk.wire.calls["a"] == 1


async def test_a_host_that_refuses_the_parts_as_well_has_failed(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [httpx.Response(200, json={"code": "no_batches"})]
    provider = walk.add("a", adapter=batch_adapter())
    with pytest.raises(BatchRefused):
        await provider.fetch(QUERY, 3)
    assert walk.wire.calls["a"] == 2
    assert provider.status().status == "cooldown"


async def test_series_asked_once_do_not_lengthen_the_interval(clock: ManualClock) -> None:
    """40 series made of everybody's 568 s 8,374 s."""
    walk = Walk(clock)
    provider = walk.add("a", windows=(Window(100_000, 30 * 86_400.0, kind="month"),))
    before = provider.interval_s(QUERY)
    assert before
    for number in range(40):
        await provider.fetch(SeriesQuery(str(number)), 3)
    assert provider.interval_s(QUERY) == pytest.approx(before, rel=0.01)
    for number in range(40):
        await provider.fetch(SeriesQuery(str(number)), 3)
    assert provider.interval_s(QUERY) == pytest.approx(2 * before, rel=0.01)
