"""A client of `/mcp` in both eras, as bytes on the wire."""

from typing import Any

import httpx
import orjson

STATELESS, HANDSHAKE = "2026-07-28", "2025-11-25"
PREFIX = "io.modelcontextprotocol/"


def stateless(method: str, /, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The body and the headers of a request since 2026-07-28."""
    meta = {f"{PREFIX}protocolVersion": STATELESS, f"{PREFIX}clientCapabilities": {}}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    headers = {"MCP-Protocol-Version": STATELESS, "Mcp-Method": method}
    if method == "tools/call":
        headers["Mcp-Name"] = params["name"]
    return body, headers


async def post(
    client: httpx.AsyncClient, body: Any, headers: dict[str, str] | None = None
) -> httpx.Response:
    """A body of bytes is sent as it is."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await client.post("/mcp", content=content, headers=headers or {})


async def ask(client: httpx.AsyncClient, method: str, **params: Any) -> Any:
    """The result of a request with a handshake."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = await post(client, body, {"MCP-Protocol-Version": HANDSHAKE})
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


async def call(client: httpx.AsyncClient, name: str, /, **arguments: Any) -> tuple[bool, str]:
    """Whether the tool's answer is an error, and its text."""
    result = await ask(client, "tools/call", name=name, arguments=arguments)
    (content,) = result["content"]
    assert content["type"] == "text"
    return result["isError"], content["text"]


async def found(client: httpx.AsyncClient, name: str, /, **arguments: Any) -> Any:
    is_error, text = await call(client, name, **arguments)
    assert not is_error, text
    return orjson.loads(text)


async def refused(client: httpx.AsyncClient, name: str, /, **arguments: Any) -> str:
    is_error, text = await call(client, name, **arguments)
    assert is_error, text
    return text
