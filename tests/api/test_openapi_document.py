"""The committed OpenAPI document is the application's."""

import json
import re
from typing import Any

import orjson
import pytest

from api.openapi import EXAMPLES, PROTOCOL
from api.stream.commands import key_in, parse_command
from tests.api.conftest import Serve
from tests.api.examples import collected
from tests.api.openapi_document import DOCUMENT, document
from tests.world.server import World

VENDORS = (
    "alternative_me",
    "binance",
    "coingecko_free",
    "coinmarketcap",
    "ethereum_rpc",
    "rss_coindesk",
    "rss_cointelegraph",
    "rss_decrypt",
    "rss_theblock",
)


def test_the_committed_document_is_what_is_served() -> None:
    told = "run `python -m tests.api.openapi_document` and look at the difference"
    assert json.loads(DOCUMENT.read_bytes()) == json.loads(document()), told


def test_groups_stand_in_order_and_tell_what_they_are() -> None:
    described = json.loads(DOCUMENT.read_bytes())
    groups = [group["name"] for group in described["tags"] if group["description"]]
    used = {one["tags"][0] for methods in described["paths"].values() for one in methods.values()}
    assert groups[0] == "market"
    assert set(groups) == used


def test_every_operation_is_described_and_belongs_to_one_group() -> None:
    for path, methods in json.loads(DOCUMENT.read_bytes())["paths"].items():
        for operation in methods.values():
            assert operation.get("summary"), path
            assert operation.get("description"), path
            assert len(operation.get("tags", ())) == 1, path
            for parameter in operation.get("parameters", ()):
                assert parameter.get("description"), (path, parameter["name"])
                assert parameter["schema"].get("examples"), (path, parameter["name"])
            for response in operation["responses"].values():
                assert response["description"]
                assert "X-Request-Id" in response["headers"]


#: Without which a path has no answer.
NEEDED = {"/api/market/ohlc": {"symbol": "BTC"}, "/api/market/{coin}": {"coin": "bitcoin"}}


def questions() -> list[Any]:
    """Each path as it is, and with each example of each parameter."""
    found = []
    for path, methods in json.loads(DOCUMENT.read_bytes())["paths"].items():
        asked: list[dict[str, str]] = [{}]
        asked += [
            {parameter["name"]: str(example).lower() if example is False else str(example)}
            for parameter in methods["get"].get("parameters", ())
            for example in parameter["schema"]["examples"]
        ]
        found += [(path, NEEDED.get(path, {}) | one) for one in asked if path != "/api/stream"]
    return found


async def test_every_example_of_a_parameter_is_understood_and_every_header_is_there(
    serve: Serve,
) -> None:
    client = await serve(CLIENT_RATE_LIMIT="600/minute")
    described = json.loads(DOCUMENT.read_bytes())["paths"]
    assert len(questions()) > 40
    for path, parameters in questions():
        address = path.replace("{coin}", parameters.get("coin", ""))
        query = {name: text for name, text in parameters.items() if name != "coin"}
        answer = await client.get(address, params=query)
        assert answer.status_code == 200, (path, parameters, answer.text)
        wanted = described[path]["get"]["responses"]["200"]["headers"]
        assert {name.lower() for name in wanted} <= set(answer.headers), path


async def test_refusals_have_the_headers_that_are_described(serve: Serve, world: World) -> None:
    """`Retry-After` where it is known: of all providers failed it is."""
    client = await serve(GATEWAY_API_KEYS="one-key-of-ours", CLIENT_RATE_LIMIT="5/minute")
    key = {"X-API-Key": "one-key-of-ours"}
    world.faults = {"ethereum_rpc": "http500", "ethereum_rpc_second": "http500"}
    refusals = [
        await client.get("/api/gas"),
        await client.get("/api/gas", headers=key),
        await client.get("/api/gas?nonsense=1&nonsense=2", headers=key),
        await client.get("/api/market/no-such-coin", headers=key),
    ]
    await client.get("/api/gas", headers=key)
    refusals.append(await client.get("/api/gas", headers=key))
    assert [answer.status_code for answer in refusals] == [401, 503, 422, 404, 429]
    for answer in refusals:
        path = "/api/gas" if "gas" in str(answer.url) else "/api/market/{coin}"
        described = json.loads(DOCUMENT.read_bytes())["paths"][path]["get"]["responses"]
        wanted = described[str(answer.status_code)]["headers"]
        assert {name.lower() for name in wanted} <= set(answer.headers), answer.status_code


async def test_the_examples_are_what_a_gateway_answers(surroundings: pytest.MonkeyPatch) -> None:
    told = "run `python -m tests.api.examples`, then `python -m tests.api.openapi_document`"
    assert await collected() == orjson.loads(EXAMPLES.read_bytes()), told


def test_every_answer_has_an_example() -> None:
    for path, methods in json.loads(DOCUMENT.read_bytes())["paths"].items():
        for response in methods["get"]["responses"].values():
            for media, content in response.get("content", {}).items():
                assert "example" in content or "examples" in content, (path, media)


def test_the_messages_that_the_stream_is_said_to_take_are_taken() -> None:
    said = re.findall(r'`(\{"op":.*?\})`', PROTOCOL.read_text(encoding="utf-8"))
    assert len(said) == 4
    assert key_in(said[0]) == "…"
    assert [parse_command(text).op for text in said[1:]] == ["subscribe", "unsubscribe", "ping"]


def shown(path: str, status: int) -> dict[str, Any]:
    """What the document shows for the code that stands first."""
    answers = json.loads(DOCUMENT.read_bytes())["paths"][path]["get"]["responses"]
    examples = answers[str(status)]["content"]["application/problem+json"]["examples"]
    return {code: example["value"] for code, example in examples.items()}


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/api/market", "", 503),
        ("/api/market/{coin}", "", 503),
        ("/api/market/ohlc", "?symbol=BTC", 503),
        ("/api/news", "", 503),
        ("/api/sentiment", "", 503),
        ("/api/gas", "", 503),
        ("/api/market", "?limit=0", 422),
        ("/api/market/{coin}", "", 404),
    ],
)
async def test_errors_that_are_shown_are_those_one_gets(
    serve: Serve, world: World, path: str, query: str, status: int
) -> None:
    if status == 503:
        world.faults |= dict.fromkeys(VENDORS, "http500")
    client = await serve()
    url = path.replace("{coin}", "bitcoin" if status == 503 else "nobody-knows-it")
    answer = await client.get(url + query)
    assert answer.status_code == status
    told = answer.json()
    example = shown(path, status)[told["code"]]
    assert set(example) == set(told)
    assert (example["type"], example["title"]) == (told["type"], told["title"])
    for name in ("providers", "errors"):
        for one, real in zip(example.get(name, ()), told.get(name, ()), strict=False):
            assert set(one) == set(real)
    asked = [one["provider"] for one in told.get("providers", ())]
    assert {one["provider"] for one in example.get("providers", ())} <= set(asked)


def test_every_header_says_what_it_is_and_shows_one() -> None:
    for path, methods in json.loads(DOCUMENT.read_bytes())["paths"].items():
        for answer in methods["get"]["responses"].values():
            for name, header in answer["headers"].items():
                assert header["description"], (path, name)
                assert header["example"], (path, name)
