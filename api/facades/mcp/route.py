"""`POST /mcp`: one JSON-RPC message in, one out. No session, no stream."""

from typing import Any

from fastapi import Request, Response

from api.cache.formats import JSON
from api.edge.client_limits import account_of
from api.edge.path_policies import GatewayRouter
from api.edge.problems import problem
from api.encoding import to_json
from api.facades.mcp.body import BodyRefused, read_body
from api.facades.mcp.dispatch import answered
from api.facades.mcp.documented import EXTRA, RESPONSES
from api.facades.mcp.errors import render_error
from api.facades.mcp.messages import (
    Document,
    Message,
    ProtocolError,
    error_document,
    parse_message,
    result_document,
)
from api.routes.responder import gateway_of
from api.routes.schemas import FACADE_TAG

NO_STORE = {"Cache-Control": "no-store"}

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
    try:
        body = await read_body(request)
    except BodyRefused as error:
        return problem(request, error.code, str(error), headers={"Connection": "close"})
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


def _json(document: Document, status: int, headers: dict[str, Any]) -> Response:
    return Response(to_json(document), status, headers, media_type=JSON)
