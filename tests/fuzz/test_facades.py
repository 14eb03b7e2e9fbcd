"""Whatever is sent to a facade, it answers in its protocol, never with a failure of the server."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.facades.mcp.dispatch import TOOLS
from api.facades.mcp.versions import SUPPORTED, VERSION_KEY
from api.facades.udf.resolutions import RESOLUTIONS
from tests.fuzz.budget import budget
from tests.fuzz.gateway import Gateway, running

TEXTS = st.text(max_size=80) | st.sampled_from(["BTC", "bitcoin", "far", "GATEWAY:ETH", "BTCUSDT"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from([tool.name for tool in TOOLS])
VERSIONS = st.sampled_from(SUPPORTED) | TEXTS


def dumped(value: Any) -> bytes:
    """Also integers of more than 64 bits, which orjson does not write."""
    return json.dumps(value).encode()


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """A call of a tool whose arguments are mostly right."""
    tool = draw(st.sampled_from(TOOLS))
    known = {name: draw(_near(one.schema())) for name, one in tool.parameters.items()}
    kept = {name: value for name, value in known.items() if draw(st.booleans())}
    other = draw(st.dictionaries(TEXTS, VALUES, max_size=1))
    return {"name": tool.name, "arguments": kept | other}


def _near(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "integer": st.integers(-2, 200),
        "array": st.lists(TEXTS, max_size=30),
        "string": st.sampled_from(schema.get("enum", ["BTC"])) | TEXTS,
    }
    return kinds[schema["type"]] | VALUES


MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | VALUES, "method": st.just("tools/call") | TEXTS},
    optional={
        "id": st.integers(-(2**63), 2**63 - 1) | VALUES,
        "params": calls() | st.fixed_dictionaries({"name": NAMES, "arguments": VALUES}) | VALUES,
    },
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "MCP-Protocol-Version": VERSIONS,
        "Mcp-Method": st.just("tools/call") | TEXTS,
        "Mcp-Name": NAMES | TEXTS,
    },
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    kept = {"CACHE_TTL_OHLC": "600", "CACHE_TTL_GAS": "600", "CACHE_TTL_MARKET": "600"}
    with running(tmp_path_factory.mktemp("gateway"), **kept) as started:
        yield started


def sent(gateway: Gateway, body: bytes, headers: dict[str, str]) -> Any:
    """The JSON-RPC document that comes, None for an accepted notification."""
    coded = [(name.encode(), text.encode()) for name, text in headers.items()]
    request = gateway.client.build_request("POST", "/mcp", content=body, headers=coded)
    answer = gateway.ask(request)
    if answer.status_code == 202:
        assert answer.content == b""
        return None
    assert answer.status_code in {200, 400, 404}, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.content) < 12_500
    document = answer.json()
    assert document["jsonrpc"] == "2.0"
    assert ("result" in document) is not ("error" in document)
    return document


@budget(100)
@given(message=MESSAGES, headers=HEADERS)
def test_any_message_is_answered_by_one(
    gateway: Gateway, message: dict[str, Any], headers: dict[str, str]
) -> None:
    document = sent(gateway, dumped(message), headers)
    if document is not None and "result" in document:
        assert document["id"] == message["id"]


@budget(100)
@given(call=calls(), is_stateless=st.booleans())
def test_any_call_of_a_tool_gets_a_text(
    gateway: Gateway, call: dict[str, Any], is_stateless: bool
) -> None:
    headers: dict[str, str] = {}
    params = dict(call)
    if is_stateless:
        params["_meta"] = {VERSION_KEY: SUPPORTED[0]}
        headers = {"MCP-Protocol-Version": SUPPORTED[0], "Mcp-Method": "tools/call"}
        headers["Mcp-Name"] = call["name"]
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    result = sent(gateway, dumped(message), headers)["result"]
    (content,) = result["content"]
    if not result["isError"]:
        document = orjson.loads(content["text"])
        assert {"source", "as_of", "stale", "warnings"} <= set(document)
        assert len(document["warnings"]) <= 3


@budget(100)
@given(body=st.binary(max_size=200) | VALUES.map(dumped), headers=HEADERS)
def test_any_bytes_are_answered(gateway: Gateway, body: bytes, headers: dict[str, str]) -> None:
    sent(gateway, body, headers)


PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "symbol": TEXTS,
        "symbols": TEXTS | st.lists(TEXTS, max_size=4).map(",".join),
        "query": TEXTS,
        "limit": st.integers(-3, 120).map(str) | TEXTS,
        "resolution": st.sampled_from([*RESOLUTIONS, "D", "7"]) | TEXTS,
        "from": st.integers().map(str) | TEXTS,
        "to": st.integers().map(str) | TEXTS,
        "countback": st.integers(-3, 10_010).map(str) | TEXTS,
        "currencyCode": st.sampled_from(["USD", "eur", "xyz"]) | TEXTS,
        "type": TEXTS,
        "exchange": TEXTS,
    },
)


@pytest.mark.parametrize("path", ["config", "symbols", "search", "history", "quotes"])
@budget(40)
@given(parameters=PARAMETERS)
def test_any_question_of_a_chart_is_answered_or_refused_in_words(
    gateway: Gateway, path: str, parameters: dict[str, str]
) -> None:
    query = urlencode(parameters, errors="replace")
    answer = gateway.get(f"/udf/{path}?{query}")
    document = answer.json()
    if answer.status_code == 200:
        assert path == "search" or document.get("s", "ok") in {"ok", "no_data"}
    else:
        assert answer.status_code in {404, 422, 503}, answer.text
        assert (document["s"], set(document)) == ("error", {"s", "errmsg"})
        assert document["errmsg"]


PROGRAM_PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "ids": TEXTS | st.lists(TEXTS, max_size=4).map(",".join),
        "symbols": TEXTS | st.lists(TEXTS, max_size=4).map(",".join),
        "vs_currencies": st.sampled_from(["usd", "USD,usd", "eur", ","]) | TEXTS,
        "vs_currency": st.sampled_from(["usd", "USD", "eur"]) | TEXTS,
        "include_market_cap": st.sampled_from(["True", "false"]) | TEXTS,
        "precision": st.sampled_from(["full", "0", "18", "19"]) | TEXTS,
        "order": st.sampled_from(["id_asc", "volume_desc", "market_cap_asc"]) | TEXTS,
        "per_page": st.integers(-2, 300).map(str) | TEXTS,
        "page": st.integers(-2, 10**13).map(str) | TEXTS,
        "days": st.sampled_from(["1", "max", "90"]) | TEXTS,
        "date": st.dates().map(lambda day: day.strftime("%d-%m-%Y")) | TEXTS,
        "from": st.integers(-9, 10**12).map(str) | st.floats().map(str) | TEXTS,
        "to": st.integers(-9, 10**12).map(str) | st.floats().map(str) | TEXTS,
    },
)
PROGRAM_PATHS = (
    "simple/price",
    "coins/markets",
    "coins/bitcoin/history",
    "coins/bitcoin/market_chart",
    "coins/bitcoin/market_chart/range",
)


@pytest.mark.parametrize("path", PROGRAM_PATHS)
@budget(40)
@given(parameters=PROGRAM_PARAMETERS)
def test_any_question_of_a_coingecko_program_is_answered_or_refused_in_its_words(
    gateway: Gateway, path: str, parameters: dict[str, str]
) -> None:
    query = urlencode(parameters, errors="replace")
    answer = gateway.get(f"/coingecko/api/v3/{path}?{query}")
    document = answer.json()
    if answer.status_code != 200:
        assert answer.status_code in {400, 401, 404, 422, 429, 503}, answer.text
        is_status = answer.status_code in {401, 429, 503}
        assert set(document) <= ({"status", "error"} if is_status else {"error"})
