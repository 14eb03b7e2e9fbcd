"""The wire of both eras: openings, lists, errors of the protocol, and what is no message."""

from base64 import b64encode
from typing import Any

import httpx
import orjson
import pytest

from api.facades.mcp.documented import REQUEST, RESPONSES
from api.facades.mcp.messages import MAX_ID_LENGTH
from tests.api.facades.mcp.client import HANDSHAKE, PREFIX, STATELESS, ask, post, stateless

LISTED = ["get_prices", "find_coin", "get_candles", "get_news", "get_sentiment"]
LISTED += ["get_gas", "get_status"]
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ERROR = dict[str, Any]


def error_of(answer: httpx.Response) -> ERROR:
    document = answer.json()
    assert document["jsonrpc"] == "2.0"
    error: ERROR = document["error"]
    return error


async def test_the_newest_revision_discovers_and_lists(reader: httpx.AsyncClient) -> None:
    answer = await post(reader, *stateless("server/discover"))
    result = answer.json()["result"]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert result["supportedVersions"] == [STATELESS]
    assert result["capabilities"] == {"tools": {}}
    assert (result["resultType"], result["cacheScope"]) == ("complete", "public")
    assert result["_meta"][f"{PREFIX}serverInfo"]["name"] == "unified-crypto-data-platform"
    listed = (await post(reader, *stateless("tools/list"))).json()["result"]
    assert [tool["name"] for tool in listed["tools"]] == LISTED
    assert (listed["ttlMs"] > 0, listed["resultType"]) == (True, "complete")


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        (HANDSHAKE, HANDSHAKE),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("1999-01-01", HANDSHAKE),
        (STATELESS, HANDSHAKE),
        (None, HANDSHAKE),
        ([], HANDSHAKE),
    ],
)
async def test_a_handshake_agrees_on_a_version(
    reader: httpx.AsyncClient, asked: Any, agreed: str
) -> None:
    result = await ask(reader, "initialize", protocolVersion=asked, capabilities={})
    assert result["protocolVersion"] == agreed
    assert (result["serverInfo"]["version"], result["instructions"]) != ("", "")
    assert "resultType" not in result


async def test_the_revisions_with_a_handshake_list_and_ping(reader: httpx.AsyncClient) -> None:
    assert await ask(reader, "ping") == {}
    listed = await ask(reader, "tools/list")
    assert ([tool["name"] for tool in listed["tools"]], set(listed)) == (LISTED, {"tools"})
    without_header = await post(reader, PING)
    assert without_header.json() == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_each_tool_is_closed_bounded_described_and_read_only(
    reader: httpx.AsyncClient,
) -> None:
    tools = (await ask(reader, "tools/list"))["tools"]
    assert len(orjson.dumps(tools)) < 4_000
    for tool in tools:
        schema = tool["inputSchema"]
        assert (schema["type"], schema["additionalProperties"]) == ("object", False)
        assert tool["description"]
        assert tool["annotations"]["readOnlyHint"] is True
        for name, given in schema["properties"].items():
            bounds = {"integer": "maximum", "string": "maxLength", "array": "maxItems"}
            assert bounds[given["type"]] in given or "enum" in given, (tool["name"], name)
            assert given["description"]


@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/cancelled", "x"])
async def test_a_notification_is_accepted(reader: httpx.AsyncClient, method: str) -> None:
    answer = await post(reader, {"jsonrpc": "2.0", "method": method})
    assert (answer.status_code, answer.content) == (202, b"")
    assert "mcp-session-id" not in answer.headers


@pytest.mark.parametrize(
    ("method", "params", "headers", "status", "code"),
    [
        ("tools/list", {}, {"Mcp-Method": "tools/call"}, 400, -32020),
        ("tools/list", {}, {"MCP-Protocol-Version": HANDSHAKE}, 400, -32020),
        ("tools/call", {"name": "get_gas"}, {"Mcp-Name": "get_news"}, 400, -32020),
        ("tools/call", {"name": "get_gas"}, {"Mcp-Name": "=?base64?!?="}, 400, -32020),
        ("tools/call", {"name": "get_gas"}, {"Mcp-Name": "=?base64?/w==?="}, 400, -32020),
        ("no/such", {}, {}, 404, -32601),
        ("ping", {}, {}, 404, -32601),
        ("initialize", {}, {}, 404, -32601),
        ("tools/call", {"name": "no_tool"}, {}, 400, -32602),
        ("tools/call", {"name": "get_gas", "arguments": []}, {}, 400, -32602),
        ("tools/call", {"name": "get_gas", "arguments": "{}"}, {}, 400, -32602),
    ],
)
async def test_errors_of_the_newest_revision(
    reader: httpx.AsyncClient,
    method: str,
    params: dict[str, Any],
    headers: dict[str, str],
    status: int,
    code: int,
) -> None:
    body, usual = stateless(method, **params)
    answer = await post(reader, body, usual | headers)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)
    assert answer.json()["id"] == 1


@pytest.mark.parametrize("missing", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"])
async def test_a_missing_header_is_a_mismatch(reader: httpx.AsyncClient, missing: str) -> None:
    body, headers = stateless("tools/call", name="get_status", arguments={})
    del headers[missing]
    answer = await post(reader, body, headers)
    assert (answer.status_code, error_of(answer)["code"]) == (400, -32020)


async def test_a_repeated_header_is_a_mismatch(reader: httpx.AsyncClient) -> None:
    body, headers = stateless("tools/list")
    twice = [*headers.items(), ("Mcp-Method", "tools/list")]
    answer = await reader.post("/mcp", json=body, headers=twice)
    assert (answer.status_code, error_of(answer)["code"]) == (400, -32020)


async def test_a_name_may_be_sent_in_base64(reader: httpx.AsyncClient) -> None:
    body, headers = stateless("tools/call", name="get_status", arguments={})
    coded = b64encode(b"get_status").decode()
    answer = await post(reader, body, headers | {"Mcp-Name": f"=?base64?{coded}?="})
    assert answer.json()["result"]["isError"] is False


@pytest.mark.parametrize("has_meta", [True, False])
async def test_an_unsupported_version_is_told_the_supported_ones(
    reader: httpx.AsyncClient, has_meta: bool
) -> None:
    version = "2099-01-01"
    params = {"_meta": {f"{PREFIX}protocolVersion": version}} if has_meta else {}
    body = {"jsonrpc": "2.0", "id": "a", "method": "tools/list", "params": params}
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": "tools/list"}
    answer = await post(reader, body, headers)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (400, -32022)
    assert error["data"]["requested"] == version
    assert {STATELESS, HANDSHAKE} <= set(error["data"]["supported"])


async def test_the_newest_version_needs_its_meta(reader: httpx.AsyncClient) -> None:
    headers = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": "tools/list"}
    answer = await post(reader, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers)
    assert (answer.status_code, error_of(answer)["code"]) == (400, -32602)


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("no/such", {}, -32601),
        ("server/discover", {}, -32601),
        ("tools/call", {"name": "no_tool"}, -32602),
        ("tools/call", {}, -32602),
        ("tools/call", {"name": 7}, -32602),
        ("tools/call", {"name": "get_gas", "arguments": [1]}, -32602),
    ],
)
async def test_errors_with_a_handshake_have_status_200(
    reader: httpx.AsyncClient, method: str, params: dict[str, Any], code: int
) -> None:
    answer = await post(reader, {"jsonrpc": "2.0", "id": 5, "method": method, "params": params})
    assert (answer.status_code, error_of(answer)["code"], answer.json()["id"]) == (200, code, 5)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"jsonrpc": NaN}',
        b'{"a": 1e999}',
        b"[" * 5_000 + b"]" * 5_000,
        b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}',
        b"\x00" * 50,
    ],
    ids=["empty", "half", "no utf-8", "nan", "infinite", "deep", "surrogate", "zeros"],
)
async def test_what_is_no_json_is_a_parse_error(reader: httpx.AsyncClient, body: bytes) -> None:
    answer = await post(reader, body)
    assert (answer.status_code, error_of(answer)["code"]) == (400, -32700)
    assert answer.json()["id"] is None


@pytest.mark.parametrize(
    "body",
    [
        [],
        [PING],
        7,
        None,
        "ping",
        {"id": 1},
        {**PING, "jsonrpc": "1.0"},
        {**PING, "jsonrpc": 2.0},
        {**PING, "method": None},
        {**PING, "method": ["ping"]},
        {**PING, "params": []},
        {**PING, "params": "x"},
        {**PING, "params": None},
        {**PING, "id": None},
        {**PING, "id": True},
        {**PING, "id": 1.5},
        {**PING, "id": {}},
        {**PING, "id": [1]},
        {**PING, "id": "i" * (MAX_ID_LENGTH + 1)},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
    ],
    ids=repr,
)
async def test_what_is_not_one_request_object_is_invalid(
    reader: httpx.AsyncClient, body: Any
) -> None:
    answer = await post(reader, body)
    assert (answer.status_code, error_of(answer)["code"]) == (400, -32600)
    assert answer.json()["id"] is None


@pytest.mark.parametrize("id_", [0, -1, 2**63 - 1, "", "i" * MAX_ID_LENGTH, "🪙"])
async def test_an_id_is_sent_back_as_it_came(reader: httpx.AsyncClient, id_: Any) -> None:
    assert (await post(reader, PING | {"id": id_})).json()["id"] == id_


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/mcp", 405, "POST"),
        ("HEAD", "/mcp", 405, "POST"),
        ("DELETE", "/mcp", 405, "POST"),
        ("PUT", "/mcp", 405, "POST"),
        ("POST", "/mcp/nothing", 404, None),
    ],
)
async def test_other_methods_and_paths_are_refused_in_the_dialect(
    reader: httpx.AsyncClient, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = await reader.request(method, path, headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    if method != "HEAD":
        error = error_of(answer)
        assert error["data"]["request_id"] == answer.headers["x-request-id"]


async def test_the_documented_request_is_answered_as_documented(
    reader: httpx.AsyncClient,
) -> None:
    shown = RESPONSES[200]["content"]["application/json"]["example"]
    document = (await post(reader, REQUEST)).json()
    told, text = (one["result"]["content"][0]["text"] for one in (document, shown))
    assert told.startswith(text.removesuffix(" …"))
    assert document["result"]["isError"] is shown["result"]["isError"] is False


async def test_no_answer_is_stored(reader: httpx.AsyncClient) -> None:
    bodies: tuple[Any, ...] = (PING, {"jsonrpc": "2.0", "method": "x"}, [])
    for body in bodies:
        assert (await post(reader, body)).headers["cache-control"] == "no-store"
