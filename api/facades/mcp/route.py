"""`POST /mcp`: one JSON-RPC message in, one out. No session, no stream."""

import asyncio
from typing import Any

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from api.cache.formats import JSON
from api.edge.access_control import MAX_BODY_BYTES
from api.edge.client_limits import account_of
from api.edge.path_policies import GatewayRouter
from api.edge.problems import ProblemDetails, problem
from api.encoding import to_json
from api.facades.mcp.dispatch import answered
from api.facades.mcp.documented import EXTRA, RESPONSES
from api.facades.mcp.messages import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    SERVER_ERROR,
    Document,
    Message,
    ProtocolError,
    error_document,
    parse_message,
    result_document,
)
from api.routes.responder import gateway_of
from api.routes.schemas import FACADE_TAG

#: Time for a request's body to arrive, in seconds.
BODY_TIMEOUT_S = 5.0
NO_STORE = {"Cache-Control": "no-store"}
#: JSON-RPC's code for an error of the edge, where it is not that of a server.
CODES = {
    "bad_request": INVALID_REQUEST,
    "body_too_large": INVALID_REQUEST,
    "internal_error": INTERNAL_ERROR,
    "method_not_allowed": INVALID_REQUEST,
    "not_found": INVALID_REQUEST,
}


def render_error(details: ProblemDetails) -> Response:
    """What is refused before a message was read, and failures: as a JSON-RPC error."""
    wait = details.members.get("retry_after_seconds")
    advice = f"; retry in {wait} s" if wait else ""
    code, text = CODES.get(details.code, SERVER_ERROR), f"{details.detail}{advice}"
    data = {"code": details.code, "request_id": details.request_id}
    if wait:
        data["retry_after_seconds"] = wait
    document = error_document(None, code, text, data)
    return _json(document, details.status, dict(details.headers))


router = GatewayRouter(prefix="/mcp", render_error=render_error, tags=[FACADE_TAG])


@router.post(
    "",
    summary="Model Context Protocol, for assistants",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra=EXTRA,
)
async def answer_message(request: Request) -> Response:
    """One JSON-RPC message in, one out; revisions 2026-07-28, 2025-11-25, 2025-06-18, 2025-03-26.

    Seven tools that only read: prices, names, candles, news, sentiment, gas, status. `docs/mcp.md`
    has the configuration of assistants. No session: GET and DELETE are 405.
    """
    origin = request.headers.get("origin")
    if origin is not None and not request.app.state.origins.names(origin, request.headers):
        detail = "pages of this origin may not use it; CORS_ORIGINS may name the origin"
        return problem(request, "forbidden_origin", detail)
    body = await _read_body(request)
    if isinstance(body, Response):
        return body
    message: Message | None = None
    try:
        message = parse_message(body)
        if message.id is None:
            return Response(status_code=202, headers=NO_STORE)
        charge = account_of(request.scope).charge
        outcome = await answered(message, request.headers, gateway_of(request), charge)
    except ProtocolError as error:
        id_ = message.id if message else None
        document = error_document(id_, error.code, str(error), error.data)
        return _json(document, error.status, NO_STORE)
    return _json(result_document(message.id, outcome.result), 200, NO_STORE | outcome.headers)


async def _read_body(request: Request) -> bytes | Response:
    """The body; a refusal of one that is too long, or does not arrive."""
    body, closing = bytearray(), {"Connection": "close"}
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    detail = f"a request body has at most {MAX_BODY_BYTES} bytes"
                    return problem(request, "body_too_large", detail, headers=closing)
    except (TimeoutError, ClientDisconnect):
        detail = f"the body did not arrive within {BODY_TIMEOUT_S:g} s"
        return problem(request, "bad_request", detail, headers=closing)
    return bytes(body)


def _json(document: Document, status: int, headers: dict[str, Any]) -> Response:
    return Response(to_json(document), status, headers, media_type=JSON)
