"""Whole events and errors of an attempt, and the bounds of its retries."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend.errors import (
    AllProvidersFailed,
    GeoBlocked,
    MalformedResponse,
    NoProviderConfigured,
    QuotaExhausted,
    UpstreamFailed,
)
from backend.events import CallRetried, ProviderCalled, ProviderStateChanged
from backend.models.answer import Attempt
from backend.models.status import ProviderChosen, ProviderState, Refusal
from backend.orchestration.provider_manager import unavailable
from backend.providers.adapter import Context, Window
from tests.clocks import LoopClock, ManualClock
from tests.walk import (
    FixedQuery,
    PriceQuery,
    Walk,
    error,
    price,
    price_operation,
    status,
    stub_adapter,
)

QUERY = PriceQuery()


async def test_the_events_of_a_success_and_a_failure_are_complete(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [price(), status(500)]
    provider = walk.add("a")
    await provider.fetch(QUERY, 3)
    with pytest.raises(UpstreamFailed) as caught:
        await provider.fetch(QUERY, 3)
    now, until = clock.now(), clock.now() + timedelta(seconds=30)
    assert walk.events == [
        ProviderCalled(now, "a", "price", "ok", 0.0, 1.0),
        ProviderCalled(now, "a", "price", "upstream_5xx", 0.0, 0.5, 500, "HTTP 500", until),
        ProviderStateChanged(now, "a", "active", "cooldown", "upstream_5xx", until),
    ]
    assert caught.value.attempt == Attempt("a", "upstream_5xx", 0.0)
    assert caught.value.refusal == Refusal("a", "upstream_5xx", until, "HTTP 500")
    told = provider.status()
    assert (told.last_success_at, told.last_failure_at) == (now, now)


async def test_the_event_of_a_retry_is_complete(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["one"] = [status(451)]
    await walk.add("a", hosts=("one", "two")).fetch(QUERY, 3)
    assert walk.of(CallRetried) == [
        CallRetried(clock.now(), "a", "geo_blocked", "another_host", 451)
    ]


async def test_the_text_of_a_refused_fixed_query_stays(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["a"] = [error(404, "no_such_coin")]
    with pytest.raises(UpstreamFailed, match="404"):
        await walk.add("a").fetch(FixedQuery(), 3)


async def test_each_of_three_independent_hosts_is_asked_once_for_malformed_replies(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    hosts = ("one", "two", "three")
    walk.wire.scripts |= {host: [price(-1)] for host in hosts}
    with pytest.raises(MalformedResponse):
        await walk.add("a", hosts=hosts, independent_hosts=True).fetch(QUERY, 3)
    assert walk.wire.calls == {"one": 1, "two": 1, "three": 1}
    assert [event.how for event in walk.of(CallRetried)] == ["another_host"] * 2


async def test_all_hosts_blocked_names_the_last_status_and_the_soonest_retry(
    clock: ManualClock,
) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"one": [status(451)], "two": [status(403, **{"retry-after": "60"})]}
    adapter = replace(stub_adapter(), errors={(451, None): GeoBlocked, (403, None): GeoBlocked})
    with pytest.raises(GeoBlocked, match="all hosts block this IP address") as caught:
        await walk.add("a", hosts=("one", "two"), adapter=adapter).fetch(QUERY, 3)
    assert (caught.value.http_status, caught.value.retry_after_s) == (403, 60)


async def test_a_parser_gets_the_query_and_the_whole_context(clock: ManualClock) -> None:
    seen: list[tuple[object, Context]] = []

    def parse(query: Any, _payloads: Sequence[Any], context: Context) -> float:
        seen.append((query, context))
        return 1.0

    walk = Walk(clock)
    await walk.add("a", adapter=stub_adapter(replace(price_operation(), parse=parse))).fetch(
        QUERY, 3
    )
    now_ms = int(clock.now().timestamp() * 1000)
    assert seen == [(QUERY, Context("a", "keyless", now_ms, "https://a.example"))]


async def test_the_event_of_a_choice_is_complete(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.add("a", state=ProviderState.DISABLED)
    walk.add("b")
    await walk.manager().fetch_data(QUERY)
    assert walk.of(ProviderChosen) == [
        ProviderChosen(
            clock.now(),
            "price",
            "b",
            "the only eligible one of tier 0",
            (Refusal("a", "disabled"),),
        )
    ]


@pytest.mark.looptime
async def test_a_failure_and_an_answer_at_the_same_time_give_the_answer() -> None:
    async def later(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(1.5 if request.url.host == "a.example" else 0.5)
        return status(500) if request.url.host == "a.example" else price(2.0)

    walk = Walk(LoopClock())
    walk.wire.scripts |= {"a": later, "b": later}
    for name in "ab":
        walk.add(name, windows=(Window(100, 60.0),))
    answer = await walk.manager().fetch_data(PriceQuery(is_urgent=True))
    assert (answer.data, answer.source) == (2.0, "b")


def test_the_error_says_what_kind_of_trouble_all_providers_have() -> None:
    off, unable = Refusal("a", "disabled"), Refusal("b", "unsupported")
    spent, down = Refusal("c", "quota_exhausted"), Refusal("d", "cooldown")
    none = unavailable(QUERY, [], [off])
    assert isinstance(none, NoProviderConfigured)
    assert str(none) == "no provider is configured for price"
    quota = unavailable(QUERY, [], [off, unable, spent])
    assert isinstance(quota, QuotaExhausted)
    assert str(quota) == "no provider could answer for price"
    assert isinstance(unavailable(QUERY, [], [spent, down]), AllProvidersFailed)
