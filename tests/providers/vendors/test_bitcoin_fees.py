"""Bitcoin's fees: decimals below one, tiers that never rise, heights, and mirrors of any age."""

from typing import Any

import httpx
import pytest
import respx

from backend.errors import (
    GeoBlocked,
    MalformedResponse,
    PathUnknown,
    ProviderError,
    RateLimited,
    UpstreamFailed,
)
from backend.models.chains import CHAINS
from backend.models.gas import GasFees, GasQuery
from backend.providers.adapter import KIB, Context, Operation
from backend.providers.client import ProviderClient, parsed
from backend.providers.vendors import bitcoin_fees
from tests.clocks import EPOCH_MS

CONTEXT = Context("mempool_space", "public", EPOCH_MS)
QUERY = GasQuery(chain="bitcoin")
(MEMPOOL,) = bitcoin_fees.MEMPOOL_ADAPTER.operations
(ESPLORA,) = bitcoin_fees.ESPLORA_ADAPTER.operations
HEIGHT = 975_310
PRECISE = {
    "fastestFee": 2.067,
    "halfHourFee": 1.5,
    "hourFee": 0.801,
    "economyFee": 0.2,
    "minimumFee": 0.1,
}
ESTIMATES = {"1": 87.882, "2": 87.882, "3": 61.5, "4": 61.5, "6": 20, "144": 1.027, "1008": 1.0}
each_operation = pytest.mark.parametrize(
    ("operation", "told"), [(MEMPOOL, PRECISE), (ESPLORA, ESTIMATES)], ids=["mempool", "esplora"]
)


def fees(operation: Operation, told: Any, height: Any = HEIGHT, query: GasQuery = QUERY) -> GasFees:
    found: GasFees = parsed(operation.parse, query, [told, height], CONTEXT)
    return found


def test_the_mempools_fees_for_an_hour_half_an_hour_and_the_next_block() -> None:
    assert fees(MEMPOOL, PRECISE) == GasFees(
        chain="bitcoin",
        unit="sat/vB",
        slow=0.801,
        average=1.5,
        fast=2.067,
        base_fee=None,
        block=HEIGHT,
        method="mempool",
    )


def test_esploras_estimates_for_six_three_and_one_blocks() -> None:
    found = fees(ESPLORA, ESTIMATES)
    assert (found.slow, found.average, found.fast) == (20.0, 61.5, 87.882)
    assert (found.base_fee, found.unit, found.method) == (None, "sat/vB", "mempool")


def test_whole_numbers_that_are_all_equal_are_accepted() -> None:
    """As `recommended` has them in calm times."""
    found = fees(MEMPOOL, dict.fromkeys(PRECISE, 1))
    assert found.slow == found.average == found.fast == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"fastestFee": 1.4},
        {"halfHourFee": 0.8},
        {"hourFee": 0.19},
        {"economyFee": 0.05},
        {"minimumFee": 0.9},
    ],
    ids=str,
)
def test_fees_that_rise_along_their_order_are_malformed(change: dict[str, float]) -> None:
    with pytest.raises(MalformedResponse):
        fees(MEMPOOL, PRECISE | change)


@pytest.mark.parametrize("target", ["1", "3"])
def test_estimates_that_rise_with_the_time_are_malformed(target: str) -> None:
    with pytest.raises(MalformedResponse):
        fees(ESPLORA, ESTIMATES | {target: 0.5})


def test_an_older_mirror_without_the_lowest_tiers_is_accepted() -> None:
    told = {name: PRECISE[name] for name in ("fastestFee", "halfHourFee", "hourFee")}
    assert fees(MEMPOOL, told) == fees(MEMPOOL, PRECISE)


@each_operation
@pytest.mark.parametrize(
    "wrong", [0, -1, 1_000_001, 10**400, "1.5", None, True, float("nan"), float("inf"), [], {}]
)
def test_a_wrong_value_for_a_fee_is_malformed(
    operation: Operation, told: dict[str, Any], wrong: Any
) -> None:
    names = bitcoin_fees.TIERS[:3] if operation is MEMPOOL else bitcoin_fees.TARGETS
    for name in names:
        with pytest.raises(MalformedResponse):
            fees(operation, {**told, name: wrong})
        with pytest.raises(MalformedResponse):
            fees(operation, {key: value for key, value in told.items() if key != name})


@pytest.mark.parametrize("operation", [MEMPOOL, ESPLORA])
@pytest.mark.parametrize("told", [None, [], "", 1, {}, {"error": "not found"}])
def test_an_answer_without_fees_is_malformed(operation: Operation, told: Any) -> None:
    with pytest.raises(MalformedResponse):
        fees(operation, told)


@each_operation
@pytest.mark.parametrize(
    "height", [0, -1, 10_000_000, 1_795_672_800, "975310", 975_310.0, True, None, [], {}]
)
def test_an_impossible_height_is_malformed(
    operation: Operation, told: dict[str, Any], height: Any
) -> None:
    with pytest.raises(MalformedResponse):
        fees(operation, told, height)


@each_operation
def test_a_mirror_that_is_two_blocks_behind_is_refused(
    operation: Operation, told: dict[str, Any]
) -> None:
    query = GasQuery(chain="bitcoin", newest_block=HEIGHT, newest_block_at_ms=EPOCH_MS - 60_000)
    assert fees(operation, told, HEIGHT - 1, query).block == HEIGHT - 1
    with pytest.raises(MalformedResponse):
        fees(operation, told, HEIGHT - 2, query)


@each_operation
def test_only_bitcoin_is_served_by_two_small_calls(
    operation: Operation, told: dict[str, Any]
) -> None:
    served = [name for name in CHAINS if operation.serves(GasQuery(chain=name), CONTEXT)]  # type: ignore[arg-type] # names of the table
    assert served == ["bitcoin"]
    calls = operation.build(QUERY, CONTEXT)
    assert len(calls) == 2
    assert all(call.max_bytes == 16 * KIB for call in calls)
    assert calls[1].path == "/api/blocks/tip/height"


def test_a_mirror_without_decimals_is_asked_for_whole_numbers() -> None:
    first, _ = MEMPOOL.build(QUERY, CONTEXT)
    assert first.path == "/api/v1/fees/precise"
    assert first.substitute is not None
    assert first.substitute.path == "/api/v1/fees/recommended"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, PathUnknown),
        (429, RateLimited),
        (503, UpstreamFailed),
        (401, UpstreamFailed),
        (400, UpstreamFailed),
        (403, GeoBlocked),
    ],
)
async def test_refusals_are_the_hosts(
    client: ProviderClient, respx_mock: respx.MockRouter, status: int, kind: type[ProviderError]
) -> None:
    url = bitcoin_fees.MIRRORS.base_urls[0]
    call, _ = MEMPOOL.build(QUERY, CONTEXT)
    respx_mock.get(url + call.path).mock(return_value=httpx.Response(status, text="out of sync"))
    with pytest.raises(ProviderError) as caught:
        await client.call(bitcoin_fees.MEMPOOL_ADAPTER, call, url, None, 5.0)
    assert type(caught.value) is kind


async def test_a_height_is_a_bare_number_as_text(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    url = bitcoin_fees.ESPLORA.base_urls[0]
    _, call = ESPLORA.build(QUERY, CONTEXT)
    answer = httpx.Response(200, text="975310", headers={"Content-Type": "text/plain"})
    respx_mock.get(url + call.path).mock(return_value=answer)
    reply = await client.call(bitcoin_fees.ESPLORA_ADAPTER, call, url, None, 5.0)
    assert fees(ESPLORA, ESTIMATES, reply.payload).block == HEIGHT
