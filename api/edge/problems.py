"""One table: our error -> HTTP status and `application/problem+json` (RFC 9457)."""

import math
from datetime import datetime
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from api.encoding import to_json
from backend.clock import Clock
from backend.errors import (
    ClientLimitReached,
    GatewayError,
    InvalidParameter,
    SourceUnavailable,
    UnknownParameter,
    UnknownSymbol,
    Unsupported,
)

PROBLEM = "application/problem+json"
STATUS = {
    "bad_request": 400,
    "invalid_parameter": 422,
    "unknown_parameter": 422,
    "unsupported": 422,
    "unknown_symbol": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "no_provider_configured": 503,
    "all_providers_failed": 503,
    "quota_exhausted": 503,
    "not_ready": 503,
    "too_many_clients": 503,
    "deadline_exceeded": 504,
    "internal_error": 500,
    "upgrade_required": 426,
    "unauthorized": 401,
    "rate_limited": 429,
    "uri_too_long": 414,
    "headers_too_large": 431,
    "body_too_large": 413,
}
TITLES = {
    "bad_request": "The request is not valid HTTP",
    "invalid_parameter": "A parameter is wrong",
    "unknown_parameter": "The route has no such parameter",
    "unsupported": "No provider can serve this",
    "unknown_symbol": "No such coin",
    "not_found": "No such path",
    "method_not_allowed": "The path does not know this method",
    "no_provider_configured": "No provider is configured for this",
    "all_providers_failed": "No provider could answer",
    "quota_exhausted": "The providers' quotas are used up",
    "not_ready": "Not ready yet",
    "too_many_clients": "As many read the stream as may",
    "deadline_exceeded": "It took too long",
    "internal_error": "The gateway itself failed",
    "upgrade_required": "WebSocket is spoken here",
    "unauthorized": "A key is asked for",
    "rate_limited": "This address asks too often",
    "uri_too_long": "The address is too long",
    "headers_too_large": "The headers are too large",
    "body_too_large": "The body is too large",
}
HINTS = {
    "unknown_parameter": "/docs lists the parameters of each route",
    "no_provider_configured": "/api/status names the variable that unlocks each provider",
    "all_providers_failed": "/api/status shows each provider's state",
    "not_found": "/docs lists the paths",
}


def problem(
    request: Request, code: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """A problem document; `more` are the members that apply."""
    status = STATUS[code]
    document = {
        "type": f"urn:problem-type:{code}",
        "title": TITLES[code],
        "status": status,
        "detail": detail,
        "instance": _instance(request.scope["path"]),
        "code": code,
        "request_id": request.state.request_id,
        **({"hint": HINTS[code]} if code in HINTS else {}),
        **more,
    }
    headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(to_json(document), status, media_type=PROBLEM, headers=headers)


def _instance(path: str) -> str:
    """The path as a URI reference, which names no other host (RFC 9457, 3.1.5).

    Not by `request.url`: that raises for a query that is not UTF-8.
    """
    reference = quote(path, safe="/!$&'()*+,;=:@", errors="replace")
    return f"/%2F{reference[2:]}" if reference.startswith("//") else reference


def install(app: FastAPI) -> None:
    """Every error that a route can raise, told as a problem."""
    app.add_exception_handler(GatewayError, _gateway_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    more = _members(request, error)
    wait_s = more.get("retry_after_seconds")
    headers = {"Retry-After": str(wait_s)} if wait_s else {}
    return problem(request, error.code, str(error), headers=headers, **more)


def _members(request: Request, error: GatewayError) -> dict[str, Any]:
    """What a problem document says besides its text, by the kind of error."""
    members: dict[str, Any] = {}
    match error:
        case InvalidParameter():
            allowed = error.allowed or _allowed(request, error.parameter)
            members["errors"] = [_wrong(error.parameter, error.detail, allowed)]
        case UnknownParameter():
            members = _unknown(error)
        case Unsupported():
            members["errors"] = [_wrong(error.parameter, error.detail, error.available)]
            members |= {"parameter": error.parameter, "available": error.available}
        case UnknownSymbol():
            members["suggestions"] = error.suggestions
        case ClientLimitReached():
            members["retry_after_seconds"] = error.retry_after_s
        case SourceUnavailable():
            members = _refusals(error, request.app.state.gateway.clock)
    return members


def _refusals(error: SourceUnavailable, clock: Clock) -> dict[str, Any]:
    providers = [
        {"provider": r.provider, "reason": r.reason, "retry_at": r.until, "detail": r.detail}
        for r in error.refusals
    ]
    if not error.retry_at:
        return {"providers": providers}
    wait_s = _seconds_until(error.retry_at, clock)
    return {"providers": providers, "retry_after_seconds": wait_s}


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [
        _wrong(
            str(item["loc"][-1]),
            item["msg"],
            _allowed(request, str(item["loc"][-1])),
        )
        for item in error.errors()
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
    """What the OpenAPI document says that a parameter may be: its values, or its bounds."""
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


def _unknown(error: UnknownParameter) -> dict[str, Any]:
    """The first unknown parameter by itself, all of them in `errors`."""
    first = error.unknown[0]
    return {
        "parameter": first.parameter,
        "allowed": error.allowed,
        "suggestions": first.suggestions,
        "errors": [
            _wrong(one.parameter, one.detail, error.allowed) | {"suggestions": one.suggestions}
            for one in error.unknown
        ],
    }


def _seconds_until(at: datetime, clock: Clock) -> int:
    return max(1, math.ceil((at - clock.now()).total_seconds()))
