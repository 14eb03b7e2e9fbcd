"""Hosts that are run by different people: whatever one does wrong, the next is asked."""

import asyncio

import httpx
import pytest

from backend.errors import MalformedResponse, ProviderTimeout, UpstreamFailed
from backend.orchestration.provider import Provider
from tests.clocks import LoopClock, ManualClock
from tests.walk import Handler, PriceQuery, Walk, error, hang, price, refuse, status

QUERY = PriceQuery()


def independent(walk: Walk, *hosts: str) -> Provider:
    return walk.add("a", hosts=hosts, independent_hosts=True)


@pytest.mark.parametrize(
    "fault", [refuse, lambda _: status(500), lambda _: status(429), lambda _: status(403)]
)
async def test_the_next_host_answers_for_one_that_failed(
    clock: ManualClock, fault: Handler
) -> None:
    walk = Walk(clock)
    walk.wire.scripts["one"] = fault
    provider = independent(walk, "one", "two")
    for _ in range(3):
        assert (await provider.fetch(QUERY, 3)).data == 1.0
    assert walk.wire.calls == {"one": 1, "two": 3}
    assert provider.status().status == "active"


async def test_a_refused_query_is_not_sent_to_the_next_host(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["one"] = [error(400, "no_such_coin")]
    provider = independent(walk, "one", "two")
    with pytest.raises(Exception, match="400"):
        await provider.fetch(QUERY, 3)
    assert walk.wire.calls == {"one": 1}


async def test_the_provider_fails_only_when_all_hosts_failed(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts |= {"one": [status(500)], "two": [status(502)]}
    provider = independent(walk, "one", "two")
    with pytest.raises(UpstreamFailed):
        await provider.fetch(QUERY, 3)
    assert provider.status().status == "cooldown"


@pytest.mark.looptime
async def test_silent_hosts_share_the_time_evenly() -> None:
    walk = Walk(LoopClock())
    walk.wire.scripts |= {"one": hang, "two": hang}
    provider = independent(walk, "one", "two", "three")
    answer = await provider.fetch(QUERY, 3)
    assert answer.data == 1.0
    assert asyncio.get_running_loop().time() == pytest.approx(2)


@pytest.mark.looptime
async def test_hosts_that_are_all_silent_end_by_the_deadline() -> None:
    walk = Walk(LoopClock())
    walk.wire.scripts |= {"one": hang, "two": hang}
    provider = independent(walk, "one", "two")
    with pytest.raises(ProviderTimeout):
        await provider.fetch(QUERY, 3)
    assert asyncio.get_running_loop().time() == pytest.approx(3)


async def test_a_host_with_a_malformed_reply_is_tried_last(clock: ManualClock) -> None:
    walk = Walk(clock)
    walk.wire.scripts["one"] = lambda _request: httpx.Response(200, json={"price": -1})
    walk.wire.scripts["two"] = [price(2)]
    provider = walk.add("a", hosts=("one", "two"))
    with pytest.raises(MalformedResponse):
        await provider.fetch(QUERY, 3)
    clock.advance(30)
    assert (await provider.fetch(QUERY, 3)).data == 2.0


@pytest.mark.looptime
async def test_the_host_of_the_malformed_reply_is_blamed_not_the_last_one_called() -> None:
    walk = Walk(LoopClock())

    async def late_and_absurd(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.5)
        return price(-1)

    walk.wire.scripts["one"] = [late_and_absurd, status(500), price(1)]
    walk.wire.scripts["two"] = [price(2)]
    provider = independent(walk, "one", "two")
    absurd = asyncio.create_task(provider.fetch(QUERY, 3))
    await asyncio.sleep(0.1)
    assert (await provider.fetch(PriceQuery("eth"), 3)).data == 2.0
    assert (await absurd).data == 2.0, "the other one is asked at once"
    await asyncio.sleep(30)
    assert (await provider.fetch(QUERY, 3)).data == 2.0
