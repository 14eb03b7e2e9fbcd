"""Responses for the errors that routes raise."""

import math
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.edge.problems import problem
from backend.errors import (
    ClientLimitReached,
    GatewayError,
    InvalidParameter,
    SourceUnavailable,
    UnknownParameter,
    UnknownSymbol,
    Unsupported,
)


async def _gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    more = _members(request, error)
    wait_s = more.get("retry_after_seconds")
    headers = {"Retry-After": str(wait_s)} if wait_s else {}
    return problem(request, error.code, str(error), headers=headers, **more)


def _members(request: Request, error: GatewayError) -> dict[str, Any]:
    """The members of the error's document besides its text, by the kind of error."""
    members: dict[str, Any] = {}
    match error:
        case InvalidParameter():
            allowed = error.allowed or _allowed(request, error.parameter)
            members["errors"] = [_wrong(error.parameter, error.detail, allowed)]
        case UnknownParameter():
            first = error.unknown[0]
            members = {"parameter": first.parameter, "allowed": error.allowed}
            members["suggestions"] = first.suggestions
            members["errors"] = [
                _wrong(one.parameter, one.detail, error.allowed) | {"suggestions": one.suggestions}
                for one in error.unknown
            ]
        case Unsupported():
            members["errors"] = [_wrong(error.parameter, error.detail, error.available)]
            members |= {"parameter": error.parameter, "available": error.available}
        case UnknownSymbol():
            members["suggestions"] = error.suggestions
        case ClientLimitReached():
            members["retry_after_seconds"] = error.retry_after_s
        case SourceUnavailable():
            members["providers"] = [
                {
                    "provider": r.provider,
                    "reason": r.reason,
                    "retry_at": r.until,
                    "detail": r.detail,
                }
                for r in error.refusals
            ]
            if error.retry_at:
                wait = error.retry_at - request.app.state.gateway.clock.now()
                members["retry_after_seconds"] = max(1, math.ceil(wait.total_seconds()))
    return members


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [
        _wrong(parameter, item["msg"], _allowed(request, parameter))
        for item in error.errors()
        for parameter in [str(item["loc"][-1])]
    ]
    detail = "; ".join(f"{item['parameter']}: {item['detail']}" for item in wrong)
    return problem(request, "invalid_parameter", detail, errors=wrong)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    headers = {name.lower(): text for name, text in (error.headers or {}).items()}
    if code == "method_not_allowed":
        headers["allow"] = "GET, HEAD"
    return problem(request, code, f"{request.method} {request.scope['path']}", headers=headers)


def _allowed(request: Request, parameter: str) -> list[str]:
    """The values or the bounds of a parameter, from the OpenAPI document."""
    route = request.scope.get("route")
    path = request.app.openapi()["paths"].get(getattr(route, "path_format", ""), {})
    for declared in path.get("get", {}).get("parameters", ()):
        if declared["name"] == parameter:
            return _values(declared["schema"], request.app.openapi()["components"]["schemas"])
    return []


def _values(schema: dict[str, Any], named: dict[str, Any]) -> list[str]:
    for given in (schema, *schema.get("anyOf", ())):
        part = named.get(given.get("$ref", "").rpartition("/")[2], given)
        if "enum" in part:
            return [str(value) for value in part["enum"]]
        if "minimum" in part and "maximum" in part:
            return [f"{part['minimum']:g} to {part['maximum']:g}"]
        if part.get("type") == "boolean":
            return ["true", "false"]
    return []


def _wrong(parameter: str, detail: str, allowed: Any) -> dict[str, Any]:
    return {"parameter": parameter, "detail": detail, "allowed": list(allowed) or None}


#: For every error that a route can raise.
HANDLERS = {
    GatewayError: _gateway_error,
    RequestValidationError: _validation_error,
    HTTPException: _http_error,
}
