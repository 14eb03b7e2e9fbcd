"""What the routes share: how they reach the gateway, and the errors they document."""

from typing import Annotated, Any

from fastapi import Depends, Request

from api.problems import PROBLEM, TITLES
from api.responses import Responder
from api.schemas import Problem
from backend.gateway import Gateway


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _responder(request: Request) -> Responder:
    responder: Responder = request.app.state.responder
    return responder


Served = Annotated[Gateway, Depends(_gateway)]
Responds = Annotated[Responder, Depends(_responder)]

ERRORS = {
    404: ("unknown_symbol",),
    422: ("invalid_parameter",),
    503: ("all_providers_failed", "no_provider_configured", "quota_exhausted", "not_ready"),
    504: ("deadline_exceeded",),
}


def documented(ok: type, *errors: int, formats: tuple[str, ...] = ()) -> dict[int | str, Any]:
    """The `responses` of a route: its envelope, other formats, and problem documents."""
    content: dict[str, Any] = {f"{kind}": {"schema": {"type": "string"}} for kind in formats}
    responses: dict[int | str, Any] = {
        200: {"model": ok, **({"content": content} if content else {})},
        304: {"description": "unchanged since the ETag in If-None-Match"},
    }
    for status in errors:
        text = "; ".join(f"`{code}`: {TITLES[code]}" for code in ERRORS[status])
        # The model under its own media type, not under application/json.
        schema = {"$ref": "#/components/schemas/Problem"}
        responses[status] = {"description": text, "content": {PROBLEM: {"schema": schema}}}
    return responses


__all__ = ["Problem", "Responds", "Served", "documented"]
