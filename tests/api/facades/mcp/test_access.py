"""Who may use `/mcp`: keys, origins, limits, bodies; and what happens while providers fail."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Message

from api.edge.access_control import MAX_BODY_BYTES
from api.facades.mcp import body, route
from backend.environment.forms import FACADES
from tests.api.conftest import Serve
from tests.api.facades.mcp.client import call, found, post, refused, stateless
from tests.api.refusals import scope_of
from tests.world.server import PROVIDERS, World

KEY = "a-key-of-the-gateway-0001"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
TOOLS: dict[str, dict[str, Any]] = {
    "get_prices": {},
    "find_coin": {"query": "bit"},
    "get_candles": {"symbol": "BTC"},
    "get_news": {},
    "get_sentiment": {},
    "get_gas": {},
}


@pytest.mark.parametrize("fault", ["http500", "html", "429", "401"])
async def test_failed_providers_are_errors_of_the_tools(
    world: World, serve: Serve, fault: str
) -> None:
    world.faults = dict.fromkeys(PROVIDERS, fault)
    client = await serve()
    for name, arguments in TOOLS.items():
        text = await refused(client, name, **arguments)
        assert "Retry in" in text, name
        assert "http://" not in text
    assert (await found(client, "get_status"))["status"] == "down"


async def test_a_passed_deadline_is_an_error_of_the_tool(world: World, serve: Serve) -> None:
    world.faults = dict.fromkeys(PROVIDERS, "silence")
    client = await serve(REQUEST_DEADLINE="0.5")
    assert "Retry in" in await refused(client, "get_gas")


async def test_no_provider_is_an_error_that_names_the_operator(serve: Serve) -> None:
    off = {f"{name.upper()}_ENABLED": "false" for name in ("alternative_me", "coinmarketcap")}
    assert "operator" in await refused(await serve(**off), "get_sentiment")


async def test_a_stale_answer_says_so(world: World, serve: Serve) -> None:
    client = await serve(CACHE_TTL_GAS="0.05")
    assert (await found(client, "get_gas"))["stale"] is False
    world.faults = dict.fromkeys(PROVIDERS, "http500")
    await asyncio.sleep(0.15)
    await found(client, "get_gas")  # it may be served while a refresh runs in the background
    await asyncio.sleep(0.15)
    answer = await post(client, {**PING, "method": "tools/call", "params": {"name": "get_gas"}})
    document = json.loads(answer.json()["result"]["content"][0]["text"])
    assert (document["stale"], document["stale_reason"]) == (True, "upstream_5xx")
    assert answer.headers["x-stale-reason"] == "upstream_5xx"
    assert answer.headers["x-cache"] == "stale"


async def test_a_key_is_asked_for_in_the_dialect(serve: Serve) -> None:
    client = await serve(GATEWAY_API_KEYS=KEY)
    for sent in ({}, {"X-API-Key": "wrong-key"}, {"Authorization": "Basic eHg="}):
        answer = await post(client, PING, sent)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["error"]["data"]["code"] == "unauthorized"
    for sent in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
        assert (await post(client, PING, sent)).json()["result"] == {}


@pytest.mark.parametrize(
    ("origin", "listed", "status"),
    [
        ("https://evil.example", "*", 403),
        ("https://evil.example", "https://mine.example", 403),
        ("null", "*", 403),
        ("", "*", 403),
        ("http://[::1", "*", 403),
        ("https://localhost.evil.example", "*", 403),
        ("https://evil.example://gateway.test.evil", "*", 403),
        ("https://mine.example", "https://mine.example", 200),
        ("https://mine.example", "*,https://mine.example", 200),
        ("http://gateway.test", "*", 200),
        ("https://gateway.test", "*", 200),
        ("http://localhost:6274", "*", 200),
        ("http://127.0.0.1:1", "https://mine.example", 200),
        ("http://[::1]:80", "*", 200),
    ],
)
async def test_pages_of_other_origins_are_refused(
    serve: Serve, origin: str, listed: str, status: int
) -> None:
    client = await serve(CORS_ORIGINS=listed)
    answer = await post(client, PING, {"Origin": origin})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"]["data"]["code"] == "forbidden_origin"


async def test_a_browser_may_ask_for_post_here_and_nowhere_else(serve: Serve) -> None:
    client = await serve(CORS_ORIGINS="https://mine.example", GATEWAY_API_KEYS=KEY)
    asked = "authorization, content-type, mcp-method, mcp-name, mcp-protocol-version"
    headers = {
        "Origin": "https://mine.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    allowed = await client.options("/mcp", headers=headers)
    assert (allowed.status_code, allowed.headers["access-control-allow-methods"]) == (200, "POST")
    assert allowed.headers["access-control-allow-headers"] == asked
    assert allowed.headers["access-control-allow-origin"] == "https://mine.example"
    assert (await client.options("/api/market", headers=headers)).status_code == 400
    other = headers | {"Origin": "https://other.example"}
    assert (await client.options("/mcp", headers=other)).status_code == 400


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1_024):
        yield b" " * 1_024


async def test_a_body_is_bounded_with_and_without_a_length(serve: Serve) -> None:
    client = await serve()
    for content in (b" " * (MAX_BODY_BYTES + 1), in_pieces(2 * MAX_BODY_BYTES)):
        answer = await client.post("/mcp", content=content)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
        assert answer.json()["error"]["data"]["code"] == "body_too_large"
    padded = json.dumps(PING).encode().ljust(MAX_BODY_BYTES)
    assert (await post(client, padded)).json()["result"] == {}


async def test_a_body_that_does_not_arrive_is_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "BODY_TIMEOUT_S", 0.05)

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    answer = await (await serve()).post("/mcp", content=endless())
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")
    assert "did not arrive" in answer.json()["error"]["message"]


async def test_a_client_over_its_limit_is_told_to_wait(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="2/hour")
    for left in (1, 0):
        answer = await post(client, PING)
        assert answer.headers["ratelimit"].startswith(f'"client";r={left};')
    answer = await post(client, PING)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (429, -32000)
    assert int(answer.headers["retry-after"]) == error["data"]["retry_after_seconds"] > 3_000
    assert "retry in" in error["message"]


async def test_a_call_over_the_limit_is_an_error_of_the_tool(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="1/hour")
    await post(client, PING)
    for asked, headers in (
        (stateless("tools/call", name="get_gas", arguments={})),
        ({**PING, "method": "tools/call", "params": {"name": "get_gas"}}, {}),
    ):
        answer = await post(client, asked, headers)
        result = answer.json()["result"]
        assert (answer.status_code, answer.json()["id"], result["isError"]) == (200, 1, True)
        assert "retry in" in result["content"][0]["text"]
        assert int(answer.headers["retry-after"]) > 3_000
        assert ("resultType" in result) is bool(headers)
    others: tuple[Any, ...] = (
        PING,
        [],
        b"{",
        {"jsonrpc": "2.0", "method": "tools/call"},
        b" " * (MAX_BODY_BYTES + 1),
    )
    for other in others:
        answer = await post(client, other)
        assert answer.status_code == (413 if len(other) > MAX_BODY_BYTES else 429)
        assert answer.json()["error"]["data"]["code"] in {"rate_limited", "body_too_large"}
    assert (await client.get("/mcp")).status_code == 429
    assert (await client.post("/mcp", content=in_pieces(2 * MAX_BODY_BYTES))).status_code == 429


async def test_a_client_that_leaves_while_it_sends_is_no_failure(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    app: Any = (await serve())._transport.app  # type: ignore[attr-defined]
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of("/mcp", {}, "POST"), receive, send)
    assert sent[0]["status"] == 400
    assert "failed" not in caplog.text


async def test_a_tool_costs_what_its_route_costs(serve: Serve) -> None:
    """Candles that a provider is asked for cost two units more, a search one."""
    client = await serve(CLIENT_RATE_LIMIT="3/hour", TRUST_PROXY="1")
    for number, (name, arguments) in enumerate(TOOLS.items()):
        client.headers["X-Forwarded-For"] = f"192.0.2.{number}"
        await found(client, name, **arguments)
        answer = await post(client, PING)
        left = {"get_candles": None, "find_coin": 0}.get(name, 1)
        if left is None:
            assert answer.status_code == 429
        else:
            assert answer.headers["ratelimit"].startswith(f'"client";r={left};'), name


async def test_a_charge_beyond_the_limit_is_an_error_of_the_tool(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="2/hour")
    is_error, text = await call(client, "get_candles", symbol="BTC")
    assert is_error
    assert "Retry in" in text


async def test_a_bug_is_an_error_without_a_trace(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def boom(*_: Any) -> Any:
        raise RuntimeError("/home/secret/path")

    monkeypatch.setattr(route, "answered", boom)
    answer = await post(await serve(), PING)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, -32603)
    assert "secret" not in answer.text


async def test_each_facade_can_be_switched_off(serve: Serve) -> None:
    client = await serve(FACADES="")
    answer = await post(client, PING)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "/mcp" not in (await client.get("/openapi.json")).json()["paths"]
    on = await serve(FACADES=",".join(FACADES))
    assert (await post(on, PING)).status_code == 200
