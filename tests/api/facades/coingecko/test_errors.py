"""The gateway's own errors in CoinGecko's words, and its keys in CoinGecko's places."""

import json
import time
from datetime import datetime
from typing import Any

import httpx
import pytest

from api.edge.problems import ProblemDetails
from api.facades.coingecko.dialect import render_error
from tests.api.conftest import Serve
from tests.api.facades.coingecko.conftest import Scene, opened
from tests.clocks import EPOCH, ManualClock
from tests.world.server import PROVIDERS, World

ROOT = "/coingecko/api/v3"
PRICE = f"{ROOT}/simple/price?ids=bitcoin&vs_currencies=usd"
TARGETS = (
    PRICE,
    f"{ROOT}/coins/markets?vs_currency=usd",
    f"{ROOT}/coins/bitcoin",
    f"{ROOT}/coins/bitcoin/market_chart/range?vs_currency=usd&from=1&to=2",
)
KEY = "a-key-of-the-gateway-01"


def status_in(answer: httpx.Response) -> Any:
    """The status object: clients that back off look for it."""
    document = answer.json()
    assert list(document) == ["status"]
    status = document["status"]
    assert list(status) == ["timestamp", "error_code", "error_message"]
    assert datetime.fromisoformat(status["timestamp"]).tzinfo
    assert isinstance(status["error_message"], str)
    assert answer.headers["content-type"] == "application/json"
    return status


async def test_nobody_answers(world: World, serve: Serve) -> None:
    world.faults = dict.fromkeys(PROVIDERS, "http500")
    client = await serve()
    for target in TARGETS:
        answer = await client.get(target)
        assert answer.status_code == status_in(answer)["error_code"] == 503
        assert int(answer.headers["retry-after"]) >= 1


async def test_vendors_that_hang_cost_the_deadline_once(world: World, serve: Serve) -> None:
    """Also where the market is asked before the vendor."""
    world.faults = dict.fromkeys(("coingecko_free", "binance"), "silence")
    client = await serve(REQUEST_DEADLINE="1", PROVIDER_TIMEOUT="0.7")
    began = time.monotonic()
    answer = await client.get(PRICE)
    assert time.monotonic() - began < 1.6
    assert answer.status_code == status_in(answer)["error_code"] == 504
    assert answer.json()["status"]["error_message"] == "no answer within 1 s"


@pytest.mark.parametrize(
    ("code", "status", "error_code"),
    [
        ("deadline_exceeded", 504, 504),
        ("not_ready", 503, 503),
        ("internal_error", 500, 500),
        ("unauthorized", 401, 10_002),
        ("rate_limited", 429, 429),
    ],
)
def test_what_is_nobodys_fault_or_a_limit_is_a_status(
    code: str, status: int, error_code: int
) -> None:
    answer = render_error(ProblemDetails(code, "why", "/x", "id", {"X-Y": "z"}, {}))
    document = json.loads(bytes(answer.body))
    assert (answer.status_code, document["status"]["error_code"]) == (status, error_code)
    assert document["status"]["error_message"].endswith("why")
    assert ("retry-after" in answer.headers) is (status in {429, 503})
    assert answer.headers["x-y"] == "z"


async def test_a_limit_of_the_client(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="1/minute")
    await client.get(f"{ROOT}/ping")
    answer = await client.get(f"{ROOT}/ping")
    assert answer.status_code == status_in(answer)["error_code"] == 429
    assert "exceeded the rate limit" in answer.json()["status"]["error_message"].lower()
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_used_up_limit_of_the_vendor(world: World, serve: Serve) -> None:
    """A keyless plan has five calls a minute, of which programs may use a part."""
    client = await serve()
    answers = [await client.get(f"{ROOT}/coins/coin-{number}") for number in range(8)]
    refused = answers[-1]
    assert answers[0].status_code == 200
    assert refused.status_code == status_in(refused)["error_code"] == 429
    assert "exceeded the rate limit" in refused.json()["status"]["error_message"].lower()
    assert int(refused.headers["retry-after"]) >= 1
    assert world.overruns == []


async def test_a_bug_is_an_error_of_the_dialect(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("api.facades.coingecko.simple_price.asked_of", fail)
    answer = await client.get(PRICE)
    assert answer.status_code == status_in(answer)["error_code"] == 500
    assert "a bug" not in answer.text


async def test_what_is_too_long_is_a_text(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{ROOT}/coins/bitcoin?x={'a' * 9_000}")
    assert answer.status_code in {200, 414, 431}
    ids = ",".join(f"coin-{number}" for number in range(1_000))
    refused = await client.get(f"{ROOT}/simple/price", params={"ids": ids, "vs_currencies": "usd"})
    assert refused.status_code in {414, 422, 431}
    assert list(refused.json()) == ["error"]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"x-cg-demo-api-key": KEY}, ""),
        ({"X-CG-Pro-API-Key": KEY}, ""),
        ({"X-API-Key": KEY}, ""),
        ({"Authorization": f"Bearer {KEY}"}, ""),
        ({}, f"&x_cg_demo_api_key={KEY}"),
        ({}, f"&x_cg_pro_api_key={KEY}"),
    ],
)
async def test_each_place_of_a_key_unlocks(
    world: World, serve: Serve, headers: dict[str, str], query: str
) -> None:
    client = await serve(GATEWAY_API_KEYS=KEY)
    answer = await client.get(PRICE + query, headers=headers)
    assert answer.json() == {"bitcoin": {"usd": 50_000}}
    assert answer.headers["cache-control"].startswith("private")
    await client.get(f"{ROOT}/coins/bitcoin?a=1{query}", headers=headers)
    for _, sent in world.requests:
        told = f"{sent.path} {sent.query} {sent.headers} {sent.body!r}"
        assert KEY not in told
        assert "x_cg" not in told
        assert "x-cg" not in told


async def test_without_a_key_or_with_a_wrong_one_all_is_locked(serve: Serve) -> None:
    client = await serve(GATEWAY_API_KEYS=KEY)
    await client.get(PRICE, headers={"x-cg-demo-api-key": KEY})
    wrong = "CG-of-the-vendor-000001"
    for target in (*TARGETS, f"{ROOT}/ping", f"{ROOT}/key", f"{ROOT}/no/such/path"):
        mark = "&" if "?" in target else "?"
        for query, headers in (
            ("", {}),
            ("", {"x-cg-demo-api-key": wrong}),
            (f"{mark}x_cg_pro_api_key={wrong}", {}),
        ):
            answer = await client.get(target + query, headers=headers)
            assert answer.status_code == 401, target
            assert status_in(answer)["error_code"] == 10_002
            assert wrong not in answer.text


async def test_a_key_of_the_vendor_changes_nothing_in_an_open_gateway(scene: Scene) -> None:
    for place in ({"x_cg_demo_api_key": "CG-b"}, {"x_cg_pro_api_key": "CG-b"}):
        (name,) = place
        answer = await scene.ask(f"coins/bitcoin?{name}=CG-b", x_cg_pro_api_key="CG-a")
        assert answer.status_code == 200
        assert "CG-" not in answer.text
    assert scene.calls == [("coins/bitcoin", {})]


async def test_the_operators_key_is_used_and_not_the_clients(
    surroundings: pytest.MonkeyPatch,
) -> None:
    clock, own = ManualClock(EPOCH), "CG-worldprokey0000000000001"
    async with (
        World(clock) as world,
        opened(world, clock, surroundings, COINGECKO_PRO_API_KEY=own) as scene,
    ):
        answer = await scene.ask("coins/bitcoin", x_cg_pro_api_key="CG-of-the-client")
        assert answer.headers["x-source"] == "coingecko_pro"
        assert set(world.keys["coingecko_pro"]) == {own}


async def test_it_can_be_switched_off(serve: Serve) -> None:
    client = await serve(FACADES="udf")
    answer = await client.get(PRICE)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
