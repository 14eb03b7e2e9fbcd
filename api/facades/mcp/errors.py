"""Errors of the edge in the words of MCP: refusals before a message was read, and failures."""

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from api.cache.formats import JSON
from api.edge.problems import ProblemDetails
from api.encoding import to_json
from api.facades.mcp.body import BodyRefused, read_body
from api.facades.mcp.dispatch import refused_call
from api.facades.mcp.messages import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    SERVER_ERROR,
    ProtocolError,
    error_document,
    parse_message,
    result_document,
)

#: JSON-RPC's code for an error of the edge, where it is not that of a server.
CODES = {
    "bad_request": INVALID_REQUEST,
    "body_too_large": INVALID_REQUEST,
    "internal_error": INTERNAL_ERROR,
    "method_not_allowed": INVALID_REQUEST,
    "not_found": INVALID_REQUEST,
}


def render_error(details: ProblemDetails) -> Response:
    wait_s = details.members.get("retry_after_seconds")
    text = f"{details.detail}; retry in {wait_s} s" if wait_s else details.detail
    data = {"code": details.code, "request_id": details.request_id}
    if wait_s:
        data["retry_after_seconds"] = wait_s
    document = error_document(None, CODES.get(details.code, SERVER_ERROR), text, data)
    headers = dict(details.headers)
    response = Response(to_json(document), details.status, headers, media_type=JSON)
    return OverLimit(response, text) if details.code == "rate_limited" else response


class OverLimit(Response):
    """The answer to a client over its limit. A call of a tool gets a result with `text`, which its
    model reads, and the status 200; all else gets `error`."""

    def __init__(self, error: Response, text: str) -> None:
        super().__init__(error.body, error.status_code, dict(error.headers))
        self._text = text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        result = await self._result(Request(scope, receive))
        if result is None:
            await super().__call__(scope, receive, send)
        else:
            await result(scope, receive, send)

    async def _result(self, request: Request) -> Response | None:
        try:
            message = parse_message(await read_body(request))
        except (BodyRefused, ProtocolError):
            return None
        if message.id is None or message.method != "tools/call":
            return None
        result = refused_call(message, request.headers, self._text)
        headers = {name: self.headers[name] for name in ("cache-control", "retry-after")}
        document = to_json(result_document(message.id, result))
        return Response(document, 200, headers, media_type=JSON)
