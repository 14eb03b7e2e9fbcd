"""What the OpenAPI document says of `POST /mcp`."""

from typing import Any

from api.facades.mcp.messages import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    SERVER_ERROR,
    Document,
    error_document,
    result_document,
)

MESSAGE = {
    "type": "object",
    "properties": {"jsonrpc": {"const": "2.0", "description": "Version of JSON-RPC."}},
    "required": ["jsonrpc"],
}
REQUEST: Document = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "get_prices", "arguments": {"symbols": ["BTC", "ETH"]}},
}
EXTRA = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": MESSAGE, "example": REQUEST}},
    }
}
#: What the tool's answer begins with.
_ANSWER = '{"currency":"USD","unknown":[],"rows":[{"id":"bitcoin","symbol":"BTC", …'
_DIFFERS = "the header mcp-method must equal method of the body"
#: Code and text of an error by status.
_ERRORS = {
    400: (HEADER_MISMATCH, _DIFFERS, "no valid message, or an unsupported version"),
    401: (SERVER_ERROR, "send one of the gateway's keys as X-API-Key, …", "a key is needed"),
    403: (SERVER_ERROR, "pages of this origin may not use it; …", "a page of another origin"),
    404: (METHOD_NOT_FOUND, "no method is named 'ping'", "no such method, since 2026-07-28"),
    413: (INVALID_REQUEST, "a request body has at most 65536 bytes", "the body is too large"),
    429: (SERVER_ERROR, "this address may use …; retry in 12 s", "the client has used its limit"),
}


def _content(example: Document) -> dict[str, Any]:
    return {"application/json": {"schema": MESSAGE, "example": example}}


_RESULT = {"content": [{"type": "text", "text": _ANSWER}], "isError": False}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "a result; errors of tools are results with `isError`",
        "content": _content(result_document(1, _RESULT)),
        # Of tools with data: named here, described with those of all facades.
        "headers": {name: {} for name in ("X-Source", "X-Cache", "Age", "X-Stale-Reason")},
    },
    202: {"description": "a notification was accepted"},
    **{
        status: {"description": text, "content": _content(error_document(None, code, message))}
        for status, (code, message, text) in _ERRORS.items()
    },
}
