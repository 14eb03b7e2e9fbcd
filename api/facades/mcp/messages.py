"""JSON-RPC 2.0 as MCP uses it: one message in, one message out, all bounded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND = -32700, -32600, -32601
INVALID_PARAMS, INTERNAL_ERROR, SERVER_ERROR = -32602, -32603, -32000
#: Of MCP: the headers of a request differ from its body; a version that is not spoken here.
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022
#: Characters of the longest id: it is sent back.
MAX_ID_LENGTH = 128

Id = str | int | None
Document = dict[str, Any]


class ProtocolError(Exception):
    """A message that cannot be answered by a result. `status` is that of HTTP."""

    def __init__(
        self, code: int, message: str, *, status: int = 400, data: Document | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.status, self.data = code, status, data


@dataclass(frozen=True, slots=True)
class Message:
    """A request; a notification if it has no id (None)."""

    method: str
    params: Mapping[str, Any]
    id: Id


def parse_message(body: bytes) -> Message:
    """Raises ProtocolError for all that is not one request or one notification."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(PARSE_ERROR, f"the body is no JSON: {error.msg}") from None
    if not isinstance(message, dict):
        raise ProtocolError(INVALID_REQUEST, "the body must be one JSON-RPC object; no batch")
    method, params = message.get("method"), message.get("params", {})
    if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
        detail = 'a request has "jsonrpc": "2.0" and a method'
        raise ProtocolError(INVALID_REQUEST, detail)
    if not isinstance(params, dict):
        raise ProtocolError(INVALID_REQUEST, "params must be an object")
    if "id" in message and not _is_id(message["id"]):
        detail = f"id must be an integer, or a text of at most {MAX_ID_LENGTH} characters"
        raise ProtocolError(INVALID_REQUEST, detail)
    return Message(method, params, message.get("id"))


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_ID_LENGTH
    return isinstance(value, int) and not isinstance(value, bool)


def result_document(id_: Id, result: Document) -> Document:
    return {"jsonrpc": "2.0", "id": id_, "result": result}


def error_document(id_: Id, code: int, message: str, data: Document | None = None) -> Document:
    error = {"code": code, "message": message, **({"data": data} if data else {})}
    return {"jsonrpc": "2.0", "id": id_, "error": error}
