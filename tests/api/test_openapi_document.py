"""The committed OpenAPI document is the application's."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from api.edge.problems import PROBLEM
from api.edge.response_headers import SECURITY_HEADERS as SECURITY
from api.openapi import EXAMPLES, PROTOCOL
from api.stream.commands import auth_key, parse_command
from api.stream.protocol import RECONNECT_AFTER_MS, error, frame
from tests.api.conftest import Serve
from tests.api.examples import collected
from tests.api.openapi_document import DOCUMENT, document, own_paths
from tests.api.refusals import refused
from tests.clocks import EPOCH, ManualClock
from tests.world.server import World

#: On every answer, whatever it is: of its body, for browsers, and what the CORS layer adds.
GENERAL = {"content-length", "content-type", *(name.lower() for name in SECURITY)}
CORS = ("vary", "Origin")
#: Only a body that is long enough is compressed.
SOMETIMES = {"content-encoding"}


def test_the_committed_document_is_current() -> None:
    hint = "run `python -m tests.api.openapi_document` and look at the difference"
    assert json.loads(DOCUMENT.read_bytes()) == json.loads(document()), hint


def test_groups_are_ordered_and_described() -> None:
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
NEEDED = {
    "/api/search": {"q": "bitc"},
    "/api/market/ohlc": {"symbol": "BTC"},
    "/api/market/{coin}": {"coin": "bitcoin"},
}


def requests() -> list[Any]:
    """Each path as it is, and with each example of each parameter: path, parameters, headers."""
    found = []
    for path, methods in own_paths(json.loads(DOCUMENT.read_bytes())).items():
        examples: list[tuple[dict[str, str], dict[str, str]]] = [({}, {})]
        for parameter in methods["get"].get("parameters", ()):
            for example in parameter["schema"]["examples"]:
                one = {
                    parameter["name"]: str(example).lower() if example is False else str(example)
                }
                examples.append(({}, one) if parameter["in"] == "header" else (one, {}))
        found += [(path, NEEDED.get(path, {}) | one, headers) for one, headers in examples]
    return [request for request in found if request[0] != "/api/stream"]


def particular(headers: Mapping[str, str]) -> set[str]:
    """Names of those that not every answer has."""
    return {name for name, text in headers.items() if (name, text) != CORS} - GENERAL


def described_headers(path: str, status: int) -> set[str]:
    responses = json.loads(DOCUMENT.read_bytes())["paths"][path]["get"]["responses"]
    return {name.lower() for name in responses[str(status)]["headers"]}


async def test_every_parameter_example_works_and_response_headers_are_described(
    serve: Serve,
) -> None:
    client = await serve(CLIENT_RATE_LIMIT="600/minute")
    assert len(requests()) > 40
    for path, parameters, headers in requests():
        address = path.replace("{coin}", parameters.get("coin", ""))
        query = {name: text for name, text in parameters.items() if name != "coin"}
        answer = await client.get(address, params=query, headers=headers)
        assert answer.status_code == 200, (path, parameters, answer.text)
        sent, wanted = particular(answer.headers), described_headers(path, 200)
        assert wanted - SOMETIMES <= sent <= wanted, path


async def test_content_encoding_and_x_accel_buffering_are_described(
    serve: Serve,
) -> None:
    client = await serve(CLIENT_RATE_LIMIT="600/minute")
    market = await client.get("/api/market", headers={"Accept-Encoding": "br"})
    assert particular(market.headers) == described_headers("/api/market", 200)
    stream = await client.head("/api/stream")
    assert particular(stream.headers) == described_headers("/api/stream", 200)


async def test_304_and_307_have_the_described_headers(
    serve: Serve,
) -> None:
    client = await serve(CLIENT_RATE_LIMIT="600/minute")
    etag = (await client.get("/api/gas")).headers["etag"]
    unchanged = await client.get("/api/gas", headers={"If-None-Match": etag})
    assert particular(unchanged.headers) == described_headers("/api/gas", 304)
    elsewhere = await client.get("/api/market/bitcoin/")
    assert particular(elsewhere.headers) == described_headers("/api/market/{coin}", 307)


async def test_errors_have_the_described_headers(
    surroundings: pytest.MonkeyPatch,
) -> None:
    """All that one of a status has; `Retry-After` only those have where it is known."""
    clock, sent = ManualClock(EPOCH), defaultdict[tuple[str, int], set[str]](set)
    async with World(clock) as world:
        for error in await refused(world, clock):
            sent[error.path, error.status] |= particular(error.headers)
    for (path, status), names in sent.items():
        assert names == described_headers(path, status), (path, status)


def test_each_status_has_examples_of_exactly_its_codes() -> None:
    for path, methods in own_paths(json.loads(DOCUMENT.read_bytes())).items():
        for status, response in methods["get"]["responses"].items():
            if int(status) >= 400:
                said = re.findall(r"`(\w+)`", response["description"])
                shown = response["content"][PROBLEM]["examples"]
                assert set(said) == set(shown), (path, status)


def test_every_produced_error_is_an_example_of_its_route() -> None:
    described = json.loads(DOCUMENT.read_bytes())["paths"]
    for path, answers in orjson.loads(EXAMPLES.read_bytes()).items():
        for code, problem in answers[PROBLEM].items():
            response = described[path]["get"]["responses"][str(problem["status"])]
            assert response["content"][PROBLEM]["examples"][code]["value"] == problem


async def test_the_examples_are_current(surroundings: pytest.MonkeyPatch) -> None:
    hint = "run `python -m tests.api.examples`, then `python -m tests.api.openapi_document`"
    assert await collected() == orjson.loads(EXAMPLES.read_bytes()), hint


def test_every_response_has_an_example() -> None:
    for path, methods in own_paths(json.loads(DOCUMENT.read_bytes())).items():
        for response in methods["get"]["responses"].values():
            for media, content in response.get("content", {}).items():
                assert "example" in content or "examples" in content, (path, media)


def test_the_documented_stream_messages_are_accepted() -> None:
    said = re.findall(r'`(\{"op":.*?\})`', PROTOCOL.read_text(encoding="utf-8"))
    assert len(said) == 4
    assert auth_key(said[0]) == "…"
    assert [parse_command(text).op for text in said[1:]] == ["subscribe", "unsubscribe", "ping"]


def test_each_kind_of_stream_frame_is_documented_as_sent() -> None:
    said = re.findall(r'^(\{"op":.*\})$', PROTOCOL.read_text(encoding="utf-8"), re.MULTILINE)
    frames = [orjson.loads(text) for text in said]
    kinds = [frame["op"] for frame in frames]
    assert kinds == ["hello", "data", "data", "status", "feed", "error", "heartbeat", "shutdown"]
    hello, snapshot = stream_frames("hello", "data")
    assert frames[0] == hello
    for data, kind in zip(frames[1:3], ("snapshot", "update"), strict=True):
        assert (data["type"], set(data)) == (kind, set(snapshot))
        assert set(data["data"][0]) == set(snapshot["data"][0])
        assert set(data["meta"]) == set(snapshot["meta"])
    assert [said[5].encode(), said[7].encode()] == [
        error(*(frames[5][name] for name in ("code", "message", "id"))).text,
        frame("shutdown", reconnect_after_ms=RECONNECT_AFTER_MS).text,
    ]


def stream_frames(*ops: str) -> list[Any]:
    """The first of each that the example of the stream has."""
    text = orjson.loads(EXAMPLES.read_bytes())["/api/stream"]["text/event-stream"]
    frames = [orjson.loads(text) for text in re.findall(r"^data: (.*)$", text, re.MULTILINE)]
    return [next(frame for frame in frames if frame["op"] == op) for op in ops]


def test_every_header_has_a_description_and_an_example() -> None:
    for path, methods in own_paths(json.loads(DOCUMENT.read_bytes())).items():
        for answer in methods["get"]["responses"].values():
            for name, header in answer["headers"].items():
                assert header["description"], (path, name)
                assert header["example"], (path, name)


#: The names that generated clients have; a change breaks the programs that use them.
OPERATIONS = {
    "/api/market": "list_market",
    "/api/market/{coin}": "get_coin",
    "/api/market/ohlc": "list_candles",
    "/api/news": "list_news",
    "/api/sentiment": "list_sentiment",
    "/api/gas": "get_gas",
    "/api/global": "get_global",
    "/api/search": "search_coins",
    "/api/status": "get_status",
    "/api/status/explain": "explain_choice",
    "/api/stream": "stream_events",
    "/metrics": "get_metrics",
    "/healthz": "get_health",
    "/readyz": "get_readiness",
}


def test_operation_ids_are_short_verbs() -> None:
    own = own_paths(json.loads(DOCUMENT.read_bytes()))
    assert {path: methods["get"]["operationId"] for path, methods in own.items()} == OPERATIONS


def test_operation_ids_of_facades_are_their_paths_in_words() -> None:
    paths = json.loads(DOCUMENT.read_bytes())["paths"]
    ids = [one["operationId"] for methods in paths.values() for one in methods.values()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", one) for one in ids)
    market_chart = "/coingecko/api/v3/coins/{id}/market_chart"
    assert paths[market_chart]["get"]["operationId"] == "coingecko_coins_id_market_chart"
    assert paths["/binance/api/v3/ticker/24hr"]["get"]["operationId"] == "binance_ticker_24hr"
    assert paths["/binance/api/v3/exchangeInfo"]["get"]["operationId"] == "binance_exchange_info"


def test_the_document_names_no_foreign_address() -> None:
    info = json.loads(DOCUMENT.read_bytes())["info"]
    assert info["description"]
    assert info["contact"] == {"name": "The operator of this gateway"}
