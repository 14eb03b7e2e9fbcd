"""The OpenAPI document names the response headers that the facades' answers have."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from tests.api.conftest import Serve
from tests.api.facades.mcp.client import post
from tests.api.openapi_document import DOCUMENT
from tests.api.shared import SharedGateways
from tests.api.test_openapi_document import particular
from tests.world.server import World

#: Only a stale answer has the first, only a long one the second.
SOMETIMES = {"x-stale-reason", "content-encoding"}
PREFIXES = ("/coingecko/", "/binance/", "/udf/")


def operations() -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """Of each path of a facade: the path, its parameters by their examples, and its responses."""
    for path, methods in json.loads(DOCUMENT.read_bytes())["paths"].items():
        if path.startswith(PREFIXES):
            operation = methods["get"]
            examples = {
                one["name"]: str(one["schema"]["examples"][0])
                for one in operation.get("parameters", ())
                if one["required"]
            }
            yield path.format_map(examples), examples, operation["responses"]


def described(responses: dict[str, Any], status: int) -> set[str]:
    return {name.lower() for name in responses[str(status)]["headers"]}


async def asked(client: httpx.AsyncClient, path: str, parameters: dict[str, str]) -> httpx.Response:
    return await client.get(path, params=parameters)


async def test_answers_have_exactly_the_described_headers(world: World, serve: Serve) -> None:
    world.limits["coingecko_free"] = (1_000, 60.0)
    limits = {"COINGECKO_FREE_LIMITS": "1000/minute", "CLIENT_RATE_LIMIT": "9000/minute"}
    client, data = await serve(**limits), 0
    for path, parameters, responses in operations():
        answer = await asked(client, path, parameters)
        if answer.status_code != 200:
            continue
        sent, wanted = particular(answer.headers), described(responses, 200)
        if "304" not in responses:  # not of a provider: it is made now
            assert sent - {"cache-control"} == wanted, path
            continue
        data += 1
        assert sent <= wanted, path
        assert wanted - SOMETIMES <= sent, path
        headers = {"If-None-Match": answer.headers["etag"]}
        unchanged = await client.get(path, params=parameters, headers=headers)
        if unchanged.status_code == 304:
            assert particular(unchanged.headers) == described(responses, 304) - SOMETIMES, path
    assert data >= 20


async def test_a_tool_s_answer_has_the_described_headers(shared: SharedGateways) -> None:
    client = shared.client(CLIENT_RATE_LIMIT="9000/minute")
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "get_gas"}}
    answer = await post(client, call)
    responses = json.loads(DOCUMENT.read_bytes())["paths"]["/mcp"]["post"]["responses"]
    assert particular(answer.headers) - {"cache-control"} == described(responses, 200) - SOMETIMES
    assert answer.headers["x-source"] == "ethereum_rpc"


def test_the_headers_of_facades_are_described_in_one_place() -> None:
    document = json.loads(DOCUMENT.read_bytes())
    described = document["components"]["headers"]
    assert all(one["description"] and one["example"] for one in described.values())
    named = {
        header["$ref"].rpartition("/")[2]
        for _, _, responses in operations()
        for response in responses.values()
        for header in response["headers"].values()
        if "$ref" in header  # else it is one that only this dialect has
    }
    assert {"X-Source", "X-Stale-Reason", "Age"} <= named <= described.keys()
