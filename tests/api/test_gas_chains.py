"""`/api/gas?chain=`: each chain by its own providers, kept apart in cache, status and restart."""

import asyncio
from typing import Any

import httpx
import pytest

from backend.models.chains import CHAINS
from tests.api.conftest import Serve
from tests.api.serving import serving
from tests.chaos.answers import FEES
from tests.world.server import World

SOURCES = {name: "mempool_space" if name == "bitcoin" else f"{name}_rpc" for name in CHAINS}
each_chain = pytest.mark.parametrize("chain", CHAINS)


async def gas(client: httpx.AsyncClient, chain: str) -> dict[str, Any]:
    answer = await client.get(f"/api/gas?chain={chain}")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@each_chain
async def test_each_chain_has_real_fees_without_a_key(
    reader: httpx.AsyncClient, chain: str
) -> None:
    document = await gas(reader, chain)
    fees, meta = document["data"], document["meta"]
    least, most = FEES[chain]
    assert least < fees["slow"] <= fees["average"] <= fees["fast"] < most
    assert (fees["chain"], fees["unit"]) == (chain, CHAINS[chain].unit)
    assert meta["source"] == SOURCES[chain]
    assert meta["warnings"] == []
    if chain == "bitcoin":
        assert (fees["base_fee"], fees["method"]) == (None, "mempool")
    else:
        assert fees["method"] == "fee_history"
        assert (fees["base_fee"] == 0) is (chain == "bnb")


async def test_the_chain_is_ethereum_if_left_out_and_has_any_case(
    reader: httpx.AsyncClient,
) -> None:
    assert (await reader.get("/api/gas")).json()["data"]["chain"] == "ethereum"
    assert (await gas(reader, "BaSe"))["data"]["chain"] == "base"


async def test_each_chain_costs_calls_of_its_own_providers_only(
    world: World, client: httpx.AsyncClient
) -> None:
    for _ in range(3):
        for chain in ("base", "bitcoin"):
            assert (await gas(client, chain))["data"]["chain"] == chain
    assert {name: world.calls[name] for name in SOURCES.values()} == {
        **dict.fromkeys(SOURCES.values(), 0),
        "base_rpc": 1,
        "mempool_space": 2,
    }


@pytest.mark.parametrize("path", ["/api/gas?chain=solana", "/api/stream?channels=gas&chain=solana"])
async def test_an_unknown_chain_is_422_with_what_is_available(
    reader: httpx.AsyncClient, path: str
) -> None:
    answer = await reader.get(path)
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported")
    assert answer.json()["available"] == list(CHAINS)


async def test_etherscan_comes_first_for_the_two_chains_of_its_free_plan(
    world: World, serve: Serve
) -> None:
    client = await serve(ETHERSCAN_API_KEY="GOODKEY0001")
    sources = {chain: (await gas(client, chain))["meta"]["source"] for chain in CHAINS}
    assert sources == SOURCES | {"ethereum": "etherscan", "polygon": "etherscan"}
    assert world.calls["etherscan"] == 2


async def test_a_dead_chain_harms_no_other_and_not_the_categorys_health(
    world: World, client: httpx.AsyncClient
) -> None:
    world.faults["base_rpc"] = "http500"
    assert (await client.get("/api/gas?chain=base")).status_code == 503
    assert (await gas(client, "optimism"))["meta"]["stale"] is False
    await gas(client, "ethereum")
    status = (await client.get("/api/status")).json()
    states = {row["name"]: row["status"] for row in status["providers"]}
    assert states["base_rpc"] == "cooldown"
    category = status["categories"]["gas"]
    assert (category["status"], category["fresh"]) == ("ok", True)
    assert category["providers"] == ["ethereum_rpc"]


async def test_the_status_shows_the_default_chains_answer(client: httpx.AsyncClient) -> None:
    await gas(client, "base")
    category = (await client.get("/api/status")).json()["categories"]["gas"]
    assert (category["fresh"], category["age_seconds"]) == (False, None)
    await gas(client, "ethereum")
    await gas(client, "base")
    assert (await client.get("/api/status")).json()["categories"]["gas"]["fresh"] is True


async def test_bitcoin_is_refreshed_once_a_minute_at_most(world: World, serve: Serve) -> None:
    client = await serve(CACHE_TTL_GAS="0.05")
    for _ in range(3):
        assert (await gas(client, "bitcoin"))["meta"]["stale"] is False
        await asyncio.sleep(0.12)
    assert world.calls["mempool_space"] == 2, "fees and height"


async def test_esplora_answers_when_the_mirrors_fail(
    world: World, client: httpx.AsyncClient
) -> None:
    world.faults["mempool_space"] = "http503"  # its node is out of sync
    document = await gas(client, "bitcoin")
    assert document["meta"]["source"] == "esplora"
    assert document["data"]["fast"] == 3.1


@each_chain
async def test_a_node_behind_the_newest_block_is_refused(
    world: World, serve: Serve, chain: str
) -> None:
    client = await serve(CACHE_TTL_GAS="0.05", ESPLORA_ENABLED="false")
    first = await gas(client, chain)
    world.lags[SOURCES[chain]] = 8_000
    await asyncio.sleep(0.15)
    if chain == "bitcoin":
        assert (await gas(client, chain))["data"] == first["data"]
        return  # not asked again within a minute; its guard is tested with the vendor
    now = await gas(client, chain)
    assert now["data"] == first["data"]
    assert (now["meta"]["stale"], now["meta"]["stale_reason"]) == (True, "bad_payload")


async def test_the_answers_of_all_chains_outlive_a_restart(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    async with serving(world, surroundings) as client:
        before = {chain: await gas(client, chain) for chain in CHAINS}
    calls = world.calls.total()
    async with serving(world, surroundings) as client:
        for chain in CHAINS:
            assert (await gas(client, chain))["data"] == before[chain]["data"]
    assert world.calls.total() == calls
