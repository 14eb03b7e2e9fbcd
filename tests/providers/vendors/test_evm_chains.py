"""Gas of the other EVM chains: each one's traits, and the traps of their nodes."""

import json
from typing import Any

import httpx
import pytest
import respx

from backend.errors import MalformedResponse, ProviderError, UpstreamFailed
from backend.models.chains import CHAINS
from backend.models.gas import BlockFees, GasQuery
from backend.providers.adapter import KIB, Context, Window
from backend.providers.client import ProviderClient, parsed
from backend.providers.vendors import evm_rpc
from tests.clocks import EPOCH_MS

IDS = {
    "ethereum": "0x1",
    "base": "0x2105",
    "arbitrum": "0xa4b1",
    "optimism": "0xa",
    "polygon": "0x89",
    "bnb": "0x38",
    "avalanche": "0xa86a",
}
each_chain = pytest.mark.parametrize("chain", IDS)
OLDEST = 80_000_000
Row = tuple[int, int, int]


def batch(
    chain: str, base_fees: list[int], rows: list[Row], further: Any = ..., **changes: Any
) -> list[dict[str, Any]]:
    history: dict[str, Any] = {
        "oldestBlock": hex(OLDEST),
        "baseFeePerGas": [hex(fee) for fee in base_fees],
        "gasUsedRatio": [0.3 for _ in rows],
        "reward": [[hex(tip) for tip in row] for row in rows],
        **changes,
    }
    results = {1: IDS[chain], 2: history} | ({} if further is ... else {3: further})
    return [{"jsonrpc": "2.0", "id": one, "result": result} for one, result in results.items()]


def fees(chain: str, payload: Any) -> BlockFees:
    spec = evm_rpc.provider(chain)
    context = Context(spec.name, "public", EPOCH_MS)
    query = GasQuery(chain=CHAINS[chain].name)
    found: BlockFees = parsed(spec.adapter.operations[0].parse, query, [payload], context)
    return found


def code(chain: str, payload: Any) -> Any:
    return evm_rpc.provider(chain).adapter.error_code(payload)


def test_bnb_has_a_base_fee_of_zero_so_that_the_tip_is_the_price() -> None:
    rows: list[Row] = [(100_000_000, 110_000_000, 125_000_000)] * 2
    found = fees("bnb", batch("bnb", [0, 0, 0], rows))
    assert (found.base_fee, found.slow, found.average, found.fast) == (0, 0.1, 0.11, 0.125)


def test_bnb_without_any_tip_is_malformed_as_no_price_is_zero() -> None:
    with pytest.raises(MalformedResponse):
        fees("bnb", batch("bnb", [0, 0], [(0, 0, 0)]))


@pytest.mark.parametrize("chain", [chain for chain in IDS if chain != "bnb"])
def test_a_base_fee_of_zero_is_malformed_on_any_other_chain(chain: str) -> None:
    with pytest.raises(MalformedResponse):
        fees(chain, batch(chain, [0, 0], [(1, 2, 3)], "0x0"))


@pytest.mark.parametrize("rows", [[(0, 0, 0)] * 2, [(5, 6, 70_000_000)] * 2])
def test_a_tip_buys_nothing_on_arbitrum(rows: list[Row]) -> None:
    found = fees("arbitrum", batch("arbitrum", [20_016_000, 20_094_000, 20_050_000], rows))
    assert found.slow == found.average == found.fast == found.base_fee == 0.02005


@pytest.mark.parametrize(
    "change", [{"reward": [[], []]}, {"reward": None}, {"gasUsedRatio": [0, 0]}]
)
def test_arbitrum_needs_neither_tips_nor_gas_ratios(change: dict[str, Any]) -> None:
    found = fees("arbitrum", batch("arbitrum", [1, 1, 20_050_000], [(0, 0, 0)] * 2, **change))
    assert (found.slow, found.block) == (0.02005, OLDEST + 1)


def test_base_has_prices_of_some_thousandths_of_a_gwei_without_a_floor() -> None:
    rows: list[Row] = [(5, 1_000_000, 4_000_000), (50, 1_100_000, 20_000_000)]
    found = fees("base", batch("base", [5_000_000, 5_000_000, 5_000_000], rows))
    assert (found.slow, found.average, found.fast) == (0.005000028, 0.00605, 0.017)


def test_polygon_has_prices_of_hundreds_of_gwei() -> None:
    rows: list[Row] = [(25 * 10**9, 30 * 10**9, 110 * 10**9)]
    found = fees("polygon", batch("polygon", [330 * 10**9, 341 * 10**9], rows))
    assert (found.slow, found.average, found.fast) == (366.0, 371.0, 451.0)


def test_a_history_without_percentiles_is_malformed_where_tips_count() -> None:
    with pytest.raises(MalformedResponse):
        fees("base", batch("base", [5_000_000, 5_000_000], [(1, 2, 3)], reward=[[]]))


AVALANCHE: list[Row] = [(1_000, 2_000, 3_000), (1_000, 2_000, 3_000)]


@pytest.mark.parametrize("base_fees", [[11, 12], [11, 12, 13]])
def test_avalanches_next_base_fee_comes_from_its_own_method(base_fees: list[int]) -> None:
    """Its node's history may end with the last block; a gateway's may have one value more."""
    found = fees("avalanche", batch("avalanche", base_fees, AVALANCHE, hex(40_000_000)))
    assert (found.base_fee, found.slow, found.is_last_base_fee) == (0.04, 0.040001, False)


@pytest.mark.parametrize("further", [..., None, "", "latest", 40_000_000, {}])
@pytest.mark.parametrize("base_fees", [[11, 30_000_000], [11, 30_000_000, 13]])
def test_without_it_the_base_fee_is_the_last_blocks_and_says_so(
    base_fees: list[int], further: Any
) -> None:
    found = fees("avalanche", batch("avalanche", base_fees, AVALANCHE, further))
    assert (found.base_fee, found.is_last_base_fee) == (0.03, True)


@pytest.mark.parametrize("base_fees", [[], [11], [11, 12, 13, 14], [11, 0], [0, 0, 0]])
def test_avalanche_without_the_last_base_fee_or_with_another_number_of_base_fees_is_malformed(
    base_fees: list[int],
) -> None:
    with pytest.raises(MalformedResponse):
        fees("avalanche", batch("avalanche", base_fees, AVALANCHE, hex(40_000_000)))


def test_a_node_that_does_not_know_avalanches_method_is_no_failure() -> None:
    unknown = {"id": 3, "error": {"code": -32601, "message": "the method does not exist"}}
    payload = [*batch("avalanche", [11, 30_000_000], AVALANCHE), unknown]
    assert code("avalanche", payload) is None
    assert code("avalanche", unknown) is None
    assert fees("avalanche", payload).is_last_base_fee
    limited = {"id": 3, "error": {"code": -32005, "message": "limit exceeded"}}
    assert code("avalanche", [*payload[:2], limited]) == "rate"


@each_chain
def test_only_avalanche_is_asked_for_its_base_fee(chain: str) -> None:
    call = evm_rpc.fee_history_call(CHAINS[chain])
    methods = [part["method"] for part in json.loads(call.json_body or b"")]
    further = ["eth_baseFee"] if chain == "avalanche" else []
    assert methods == ["eth_chainId", "eth_feeHistory", *further]
    assert len(methods) <= 3  # dRPC refuses more
    assert [json.loads(part) for part in call.parts] == json.loads(call.json_body or b"")
    blocks = json.loads(call.parts[1])["params"][0]
    assert int(blocks, 16) == CHAINS[chain].history_blocks
    assert call.max_bytes == 64 * KIB


@each_chain
def test_a_node_of_another_chain_is_refused(chain: str) -> None:
    """As after a pasted address."""
    for other in IDS:
        payload = batch(other, [9 * 10**9, 10**9], [(1, 2, 3)], "0x1")
        if other == chain:
            assert code(chain, payload) is None
            continue
        assert code(chain, payload) == "wrong_chain"
        with pytest.raises(MalformedResponse):
            fees(chain, payload)


@each_chain
def test_a_single_object_and_answers_in_arrays_of_their_own_are_read(chain: str) -> None:
    answers = batch(chain, [9 * 10**9, 10**9], [(1, 2, 3)], "0x1")
    expected = fees(chain, answers)
    assert fees(chain, [[answer] for answer in answers]) == expected
    with pytest.raises(MalformedResponse):
        fees(chain, answers[0])


@each_chain
def test_a_history_may_have_all_requested_blocks_and_no_more(chain: str) -> None:
    most = CHAINS[chain].history_blocks
    rows: list[Row] = [(10**8, 10**8, 10**8)] * (most + 1)
    base = 0 if chain == "bnb" else 10**9
    assert (
        fees(chain, batch(chain, [base] * (most + 1), rows[:-1], "0x1")).block == OLDEST + most - 1
    )
    with pytest.raises(MalformedResponse):
        fees(chain, batch(chain, [base] * (most + 2), rows, "0x1"))


@each_chain
def test_each_chain_has_nodes_of_at_least_two_operators(chain: str) -> None:
    spec = evm_rpc.provider(chain)
    plan = spec.keyless
    assert plan is not None
    assert spec.name == f"{chain}_rpc"
    operators = {url.split("/")[2].split(".", 1)[1] for url in plan.base_urls}
    assert len(operators) == len(plan.base_urls) >= 2
    assert plan.independent_hosts
    assert plan.windows == (Window(60 if chain == "ethereum" else 20, 60),)
    dead = ("1rpc.io", "polygon-rpc.com", "llamarpc", "blastapi", "meowrpc", "blockpi", "ankr")
    assert not [url for url in plan.base_urls for name in dead if name in url]


@each_chain
def test_a_provider_serves_its_own_chain_only(chain: str) -> None:
    (operation,) = evm_rpc.provider(chain).adapter.operations
    context = Context(f"{chain}_rpc", "public", EPOCH_MS)
    served = [one for one in CHAINS if operation.serves(GasQuery(chain=CHAINS[one].name), context)]
    assert served == [chain]


DISABLED = {"code": -32051, "message": "API key disabled, reason: tenant disabled"}
TOO_MANY = {"code": 31, "message": "Batch of more than 3 requests are not allowed on free tier"}


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (403, {"jsonrpc": "2.0", "id": None, "error": DISABLED}, "upstream_5xx"),
        (401, {"jsonrpc": "2.0", "id": None, "error": DISABLED}, "upstream_5xx"),
        (200, {"message": "This endpoint has been discontinued."}, None),
        (500, {"error": TOO_MANY}, "upstream_5xx"),
    ],
)
async def test_a_discontinued_or_restricted_node_is_a_failure_of_the_node(
    client: ProviderClient,
    respx_mock: respx.MockRouter,
    status: int,
    body: dict[str, Any],
    reason: str | None,
) -> None:
    spec = evm_rpc.provider("polygon")
    url, call = evm_rpc.NODES["polygon"][0], evm_rpc.fee_history_call(CHAINS["polygon"])
    respx_mock.post(url).mock(return_value=httpx.Response(status, json=body))
    if reason is None:
        reply = await client.call(spec.adapter, call, url, None, 5.0)
        with pytest.raises(MalformedResponse):
            fees("polygon", reply.payload)
        return
    with pytest.raises(ProviderError) as caught:
        await client.call(spec.adapter, call, url, None, 5.0)
    assert isinstance(caught.value, UpstreamFailed)
    assert caught.value.reason == reason
