"""Gas from recent blocks: exact to the wei, of the right chain, and no error in a 200 slips by."""

import json
from dataclasses import replace
from decimal import Decimal
from statistics import median
from typing import Any

import httpx
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import (
    BatchRefused,
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    QuotaSpent,
    RateLimited,
    UpstreamFailed,
)
from backend.models.gas import BlockFees, GasQuery
from backend.providers.adapter import Call, Context, Plan, Window
from backend.providers.client import ProviderClient, parsed
from backend.providers.vendors import evm_rpc
from tests.clocks import EPOCH_MS

SPEC = evm_rpc.provider("ethereum")
ADAPTER = SPEC.adapter
CONTEXT = Context("ethereum_rpc", "public", EPOCH_MS)
BASE = 301_000_009
OLDEST = 26_012_345
Rows = list[tuple[int, int, int]]


def history(rows: Rows, base: int = BASE, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "oldestBlock": hex(OLDEST),
        "baseFeePerGas": [*(hex(10**9) for _ in rows), hex(base)],
        "gasUsedRatio": [0.5 for _ in rows],
        "reward": [[hex(tip) for tip in row] for row in rows],
        "baseFeePerBlobGas": ["0x1" for _ in range(len(rows) + 1)],
        "blobGasUsedRatio": [0 for _ in rows],
    }
    return {name: value for name, value in (found | changes).items() if value is not ...}


ROWS: Rows = [(100, 1_000, 5_000), (0, 2_000, 6_000), (300, 9_000, 90_000)]
GOOD = history(ROWS)


def answer(number: Any, result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


def batch(told: Any, chain: Any = "0x1") -> list[dict[str, Any]]:
    return [answer(1, chain), answer(2, told)]


def failure(code: Any, message: Any, number: Any = 2) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}


def fees(payload: Any) -> BlockFees:
    return evm_rpc.parse_fee_history(GasQuery(), [payload], CONTEXT)


def test_a_price_is_the_next_base_fee_and_the_median_tip_of_its_percentile() -> None:
    assert fees(batch(GOOD)) == BlockFees(
        chain="ethereum",
        unit="gwei",
        slow=0.301000109,
        average=0.301002009,
        fast=0.301006009,
        base_fee=0.301000009,
        block=OLDEST + 2,
        method="fee_history",
    )


def test_answers_in_any_order_are_matched_by_their_ids() -> None:
    assert fees(batch(GOOD)[::-1]) == fees(batch(GOOD))


def test_empty_blocks_do_not_lower_the_median() -> None:
    rows: Rows = [*ROWS, (0, 0, 0), (0, 0, 0), (0, 0, 0)]
    told = history(rows, gasUsedRatio=[0.5, 1, 0.01, 0, 0.0, 0])
    found, without = fees(batch(told)), fees(batch(GOOD))
    assert (found.slow, found.average, found.fast) == (without.slow, without.average, without.fast)
    assert found.block == OLDEST + 5


def test_a_tip_of_zero_in_a_block_with_transactions_counts() -> None:
    rows: Rows = [(0, 10, 20), (0, 10, 20), (500, 600, 700)]
    found = fees(batch(history(rows)))
    assert found.slow == found.base_fee == 0.301000009


def test_sub_gwei_prices_are_normal_down_to_a_few_wei() -> None:
    found = fees(batch(history([(0, 1, 2)], base=7)))
    assert (found.slow, found.average, found.fast) == (7e-09, 8e-09, 9e-09)


TIPS = st.tuples(*(st.integers(min_value=0, max_value=10**13) for _ in range(3))).map(
    lambda tips: (min(tips), sorted(tips)[1], max(tips))
)


@given(st.integers(min_value=1, max_value=10**14), st.lists(TIPS, min_size=1, max_size=20))
def test_prices_are_exact_to_the_wei_and_in_order(base: int, rows: Rows) -> None:
    found = fees(batch(history(rows, base=base)))
    for price, tips in zip(
        (found.slow, found.average, found.fast), zip(*rows, strict=True), strict=True
    ):
        exact = Decimal(base) + median(map(Decimal, tips))
        in_wei = Decimal(repr(price)).scaleb(9)
        assert in_wei == int(in_wei)
        assert abs(in_wei - exact) <= Decimal("0.5")
    assert found.slow <= found.average <= found.fast
    assert found.base_fee is not None
    assert Decimal(repr(found.base_fee)).scaleb(9) == base


@pytest.mark.parametrize(("lower", "taken"), [(100, 100), (101, 102)])
def test_a_median_between_two_wei_is_the_even_one(lower: int, taken: int) -> None:
    found = fees(batch(history([(lower,) * 3, (lower + 1,) * 3])))
    assert Decimal(repr(found.slow)).scaleb(9) == BASE + taken


NO_TIPS: list[Any] = [[], ["0x0", "0x0"], ["0x0"] * 4, None, "0x0", {}, ["0x3", "0x2", "0x1"]]
NO_TIPS += [["0x1", "0x2", hex(10**15 + 1)], ["0x1", "0x2", None]]
NO_RATIOS: list[Any] = [1.01, -0.1, float("nan"), float("inf"), "0.5", None, [], 10**400]


@pytest.mark.parametrize("ratio", [0, 0.5])
@pytest.mark.parametrize("tips", NO_TIPS, ids=repr)
def test_a_block_without_three_rising_tips_is_left_out(tips: Any, ratio: float) -> None:
    told = GOOD | {"gasUsedRatio": [ratio, 0.5, 0.5], "reward": [tips, *GOOD["reward"][1:]]}
    found, without = fees(batch(told)), fees(batch(history(ROWS[1:])))
    assert (found.slow, found.average, found.fast) == (without.slow, without.average, without.fast)
    assert found.refused == (str(OLDEST),)
    assert found.block == OLDEST + 2


@pytest.mark.parametrize("ratio", NO_RATIOS, ids=lambda ratio: repr(ratio)[:20])
def test_a_block_with_an_impossible_gas_ratio_is_left_out(ratio: Any) -> None:
    found = fees(batch(GOOD | {"gasUsedRatio": [0.5, ratio, 0.5]}))
    without = fees(batch(history([ROWS[0], ROWS[2]])))
    assert (found.slow, found.average, found.fast) == (without.slow, without.average, without.fast)
    assert found.refused == (str(OLDEST + 1),)


@pytest.mark.parametrize(("bad", "is_taken"), [(10, True), (11, False)])
def test_only_a_majority_of_malformed_blocks_refuses_the_history(bad: int, is_taken: bool) -> None:
    told = history([(1, 2, 3)] * 20)
    told["reward"][:bad] = [None] * bad
    if is_taken:
        assert len(fees(batch(told)).refused) == bad
    else:
        with pytest.raises(MalformedResponse):
            parsed(fees, batch(told))


def test_falling_percentiles_in_all_blocks_are_malformed() -> None:
    with pytest.raises(MalformedResponse):
        parsed(fees, batch(history([(3, 2, 1)])))


@pytest.mark.parametrize("no_answer", [None, [], "x", 7, {}, {"id": [1]}, {"id": {}}], ids=repr)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_value_in_the_batch_that_is_not_an_answer_is_ignored(no_answer: Any, place: int) -> None:
    told: list[Any] = batch(GOOD)
    told.insert(place, no_answer)
    assert fees(told) == fees(batch(GOOD))


@pytest.mark.parametrize(("count", "is_taken"), [(10, True), (11, False)])
def test_too_many_answers_are_refused(count: int, is_taken: bool) -> None:
    told = [*batch(GOOD), *([answer(9, "0x1")] * (count - 2))]
    if is_taken:
        assert fees(told) == fees(batch(GOOD))
    else:
        with pytest.raises(ValueError, match="at most 10"):
            fees(told)


HEX_JUNK = ["", "0x", "1", "x1", "0x-1", "-0x1", "+0x1", "0x1_0", " 0x1", "0x1 ", "0xg", "0X1"]
NO_QUANTITIES: list[Any] = [
    *HEX_JUNK,
    "0x" + "f" * 65,
    "٤",
    1,
    1.5,
    True,
    None,
    [],
    {},
    float("nan"),
]


@pytest.mark.parametrize("junk", NO_QUANTITIES, ids=repr)
def test_a_quantity_that_is_not_hexadecimal_is_malformed(junk: Any) -> None:
    fee_list = GOOD["baseFeePerGas"]
    for change in (
        {"oldestBlock": junk},
        {"baseFeePerGas": [*fee_list[:-1], junk]},
        {"reward": [["0x1", "0x2", junk]] * 3},
    ):
        with pytest.raises(MalformedResponse):
            parsed(fees, batch(GOOD | change))
    # Of past blocks the base fee is not read.
    assert fees(batch(GOOD | {"baseFeePerGas": [junk, *fee_list[1:]]})) == fees(batch(GOOD))
    found = fees(batch(GOOD | {"reward": [["0x1", "0x2", junk], *GOOD["reward"][1:]]}))
    assert found.refused == (str(OLDEST),)


@pytest.mark.parametrize(
    "change",
    [
        {"baseFeePerGas": GOOD["baseFeePerGas"][:-1]},
        {"baseFeePerGas": [*GOOD["baseFeePerGas"], "0x1"]},
        {"baseFeePerGas": []},
        {"baseFeePerGas": None},
        {"baseFeePerGas": ...},
        {"baseFeePerGas": ["0x1", "0x1", "0x1", "0x0"]},  # a base fee of nothing
        {"baseFeePerGas": ["0x1", "0x1", "0x1", hex(10**16)]},  # ten million gwei
        {"baseFeePerGas": ["0x1", "0x1", "0x1", "0x" + "f" * 64]},
        {"reward": GOOD["reward"][:-1]},
        {"reward": [*GOOD["reward"], ["0x1", "0x1", "0x1"]]},
        {"reward": [["0x1", "0x2"] for _ in ROWS]},
        {"reward": [["0x1", "0x2", "0x3", "0x4"] for _ in ROWS]},
        {"reward": [None for _ in ROWS]},
        {"reward": []},
        {"reward": None},
        {"reward": ...},
        {"gasUsedRatio": [0, 0, 0]},
        {"gasUsedRatio": [0.5, 0.5]},
        {"gasUsedRatio": [0.5, 1.01, 1.01]},
        {"gasUsedRatio": [0.5, None, "0.5"]},
        {"gasUsedRatio": [0, None, 0]},
        {"gasUsedRatio": []},
        {"gasUsedRatio": None},
        {"gasUsedRatio": ...},
        {"oldestBlock": ...},
        {"oldestBlock": "latest"},
        {"oldestBlock": "0x" + "f" * 64},
    ],
    ids=str,
)
def test_an_inconsistent_history_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedResponse):
        parsed(fees, batch({name: v for name, v in (GOOD | change).items() if v is not ...}))


@pytest.mark.parametrize(("blocks", "is_taken"), [(1, True), (20, True), (21, False)])
def test_fewer_blocks_than_requested_are_accepted_but_not_more(blocks: int, is_taken: bool) -> None:
    payload = batch(history([(1, 2, 3)] * blocks))
    if is_taken:
        assert fees(payload).block == OLDEST + blocks - 1
    else:
        with pytest.raises(ValueError, match="at most 20"):
            fees(payload)


def test_a_history_without_blocks_is_malformed() -> None:
    with pytest.raises(MalformedResponse):
        parsed(fees, batch(history([])))


@pytest.mark.parametrize(
    "payload",
    [
        answer(2, GOOD),  # single, though a batch was asked
        [answer(2, GOOD)],  # nobody vouches for the chain
        [answer(1, "0x1")],
        batch(None),
        batch([]),
        batch({}),
        batch("0x1"),
        batch(GOOD, chain=None),
        batch(GOOD, chain="0x38"),
        batch(GOOD, chain=1),
        [answer("1", "0x1"), answer("2", GOOD)],
        [None, None],
        ["", ""],
        [{"jsonrpc": "2.0", "id": 1}, answer(2, GOOD)],
        [answer(1, "0x1"), failure(-32000, "header not found")],
    ],
    ids=lambda payload: repr(payload)[:80],
)
def test_an_answer_without_chain_and_history_is_malformed(payload: Any) -> None:
    with pytest.raises(MalformedResponse):
        parsed(fees, payload)


def test_the_chain_and_the_history_are_one_post_to_the_hosts_root() -> None:
    (call,) = ADAPTER.operations[0].build(GasQuery(), CONTEXT)
    assert call == Call("", json_body=call.json_body, parts=call.parts, max_bytes=64 * 1024)
    assert json.loads(call.json_body or b"") == [json.loads(part) for part in call.parts]
    assert json.loads(call.json_body or b"") == [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "eth_feeHistory",
            "params": ["0x14", "latest", [10, 50, 70]],
        },
    ]


def test_the_hosts_have_different_operators() -> None:
    assert SPEC.keyless == Plan(
        "public",
        (
            "https://ethereum-rpc.publicnode.com",
            "https://rpc.mevblocker.io",
            "https://eth.drpc.org",
        ),
        (Window(60, 60),),
        independent_hosts=True,
    )


REFUSALS: list[tuple[Any, str | None]] = [
    (batch(GOOD), None),
    (batch(GOOD)[::-1], None),
    ([*batch(GOOD), {"id": 3, "error": None}], None),
    (failure(-32046, "Cannot fulfill request", 1), "rpc_error"),
    (failure(-32000, "Unauthorized: generate your personal API key", None), "rpc_error"),
    (failure(-32601, "the method does not exist"), "rpc_error"),
    (failure(-32005, "limit exceeded"), "rate"),
    (failure(-32005, None), "rate"),
    (failure(-32016, "over rate limit"), "rate"),
    (failure(0, "Ratelimit reached"), "rate"),
    (failure(15, "Too many requests, try again later"), "rate"),
    ({"error": "Too Many Requests"}, "rate"),
    ({"error": "not found"}, "rpc_error"),
    ({"error": {}}, "rpc_error"),
    ({"error": []}, "rpc_error"),
    ([answer(1, "0x1"), failure(-32000, "header not found")], "rpc_error"),
    ([answer(1, "0x1"), failure(-32005, "slow down")], "rate"),
    ([failure(-32000, "x", 1), failure(-32005, "x")], "rate"),
    (failure(-32600, "batch requests are not supported", None), "no_batches"),
    (failure(-32600, "Invalid Request", None), "no_batches"),
    (failure(-32000, "Batch of more than 1 request", None), "no_batches"),
    (failure(-32700, "cannot unmarshal array into Go value", None), "no_batches"),
    ({"error": "no batches, please"}, "no_batches"),
    ([failure(-32000, "batches are not supported", None)], "no_batches"),
    (failure(-32700, "Parse error", None), "no_batches"),
    ([failure(-32600, "batches are not supported", n) for n in (1, 2)], "no_batches"),
    ([failure(-32600, "x", 1), failure(-32600, "x", 2)], "rpc_error"),  # it does read batches
    (failure(-32600, "batch rate limit exceeded", None), "rate"),
    (failure(-32005, "daily request count exceeded"), "quota"),
    (failure(-32000, "100000 requests per day are used up"), "quota"),
    (failure(-32005, "daily average is fine, but 25 requests per second are not"), "rate"),
    (failure(-32000, "quota of 25 requests per second: rate exceeded"), "rate"),
    (batch(GOOD, chain="0x38"), "wrong_chain"),
    (batch(GOOD, chain=None), "wrong_chain"),
    (batch(GOOD, chain=1), "wrong_chain"),
    ([answer(2, GOOD)], None),
    ([], None),
    ([None, "x"], None),
    ({}, None),
    ("<html>", None),
    (None, None),
]


@pytest.mark.parametrize(("payload", "code"), REFUSALS, ids=lambda value: repr(value)[:80])
def test_an_error_is_found_in_a_single_answer_or_in_a_batch(payload: Any, code: str | None) -> None:
    assert ADAPTER.error_code(payload) == code


HTML = "<html><h1>Web server is down</h1></html>"
URL = evm_rpc.NODES["ethereum"][0]
KINDS: dict[str, type[ProviderError]] = {
    "rate": RateLimited,
    "quota": QuotaSpent,
    "no_batches": BatchRefused,
    "rpc_error": UpstreamFailed,
    "wrong_chain": MalformedResponse,
}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        *((200, payload, KINDS[code]) for payload, code in REFUSALS if code),
        (429, failure(-32000, "slow down"), RateLimited),
        (429, failure(-32600, "Invalid Request", None), RateLimited),
        (400, failure(-32600, "Invalid Request", None), BatchRefused),
        (401, failure(-32600, "Must be authenticated!", None), UpstreamFailed),
        (429, HTML, RateLimited),
        (403, failure(-32000, "Unauthorized"), UpstreamFailed),
        (403, HTML, GeoBlocked),
        *((status, HTML, UpstreamFailed) for status in (400, 401, 402, 404, 405, 410, 413, 521)),
        (200, HTML, MalformedResponse),
        (308, "", MalformedResponse),
    ],
    ids=lambda value: repr(value)[:80],
)
async def test_every_refusal_is_the_hosts_failure(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    status: int,
    body: Any,
    kind: type[ProviderError],
) -> None:
    (call,) = ADAPTER.operations[0].build(GasQuery(), CONTEXT)
    content = {"text": body} if isinstance(body, str) else {"json": body}
    respx_mock.post(URL).mock(return_value=httpx.Response(status, **content))
    with pytest.raises(ProviderError) as caught:
        await client.call(ADAPTER, call, URL, None, 5.0)
    assert (type(caught.value), caught.value.http_status) == (kind, status)


async def test_a_good_batch_passes_the_client_whole(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    (call,) = ADAPTER.operations[0].build(GasQuery(), CONTEXT)
    route = respx_mock.post(URL).mock(return_value=httpx.Response(200, json=batch(GOOD)))
    reply = await client.call(ADAPTER, call, URL, None, 5.0)
    assert fees(reply.payload).block == OLDEST + 2
    assert route.calls.last.request.content == call.json_body


async def test_the_answers_of_the_single_calls_replace_the_batchs(
    client: ProviderClient, respx_mock: respx.MockRouter
) -> None:
    (call,) = ADAPTER.operations[0].build(GasQuery(), CONTEXT)
    payloads = []
    for part, told in zip(call.parts, batch(GOOD), strict=True):
        route = respx_mock.post(URL).mock(return_value=httpx.Response(200, json=told))
        reply = await client.call(ADAPTER, replace(call, json_body=part, parts=()), URL, None, 5.0)
        assert route.calls.last.request.content == part
        payloads.append(reply.payload)
    assert fees(payloads) == fees(batch(GOOD))
