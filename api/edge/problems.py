"""Error responses: status and title of each error code, how they are rendered, and the handlers
of the errors that routes raise.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from api.edge.error_log import PROBLEM as LOGGED
from api.encoding import to_json
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
#: Status and title by error code.
ERRORS = {
    "bad_request": (400, "Invalid HTTP request"),
    "invalid_parameter": (422, "Invalid parameter"),
    "unknown_parameter": (422, "Unknown parameter"),
    "unsupported": (422, "Not served by any provider"),
    "unknown_symbol": (404, "Unknown coin"),
    "not_found": (404, "Path not found"),
    "method_not_allowed": (405, "Method not allowed"),
    "no_provider_configured": (503, "No provider configured"),
    "all_providers_failed": (503, "All providers failed"),
    "quota_exhausted": (503, "Provider quotas exhausted"),
    "not_ready": (503, "Not ready"),
    "too_many_clients": (503, "Too many stream clients"),
    "deadline_exceeded": (504, "Deadline exceeded"),
    "internal_error": (500, "Internal error"),
    "upgrade_required": (426, "WebSocket upgrade required"),
    "unauthorized": (401, "API key required"),
    "forbidden_origin": (403, "Origin not allowed"),
    "rate_limited": (429, "Client rate limit reached"),
    "uri_too_long": (414, "URL too long"),
    "headers_too_large": (431, "Headers too large"),
    "body_too_large": (413, "Body too large"),
}
STATUS = {code: status for code, (status, _) in ERRORS.items()}
TITLES = {code: title for code, (_, title) in ERRORS.items()}
HINTS = {
    "unknown_parameter": "/docs lists the parameters of each route",
    "no_provider_configured": "/api/status names the variable that unlocks each provider",
    "all_providers_failed": "/api/status shows each provider's state",
    "not_found": "/docs lists the paths",
}
#: The key of the function in `scope["state"]` that renders the errors of a request.
RENDERER = "render_error"


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """An error before a renderer makes a response of it. `members` belong to some codes only."""

    code: str
    detail: str
    #: The path of the request, as a URI reference.
    instance: str
    request_id: str
    #: Every rendering of the error must have these headers.
    headers: Mapping[str, str]
    members: Mapping[str, Any]

    @property
    def status(self) -> int:
        return STATUS[self.code]

    @property
    def title(self) -> str:
        return TITLES[self.code]


def problem_json(details: ProblemDetails) -> Response:
    """The default renderer: `application/problem+json` (RFC 9457)."""
    document = {
        "type": f"urn:problem-type:{details.code}",
        "title": details.title,
        "status": details.status,
        "detail": details.detail,
        "instance": details.instance,
        "code": details.code,
        "request_id": details.request_id,
        **({"hint": HINTS[details.code]} if details.code in HINTS else {}),
        **details.members,
    }
    return Response(
        to_json(document), details.status, media_type=PROBLEM, headers=dict(details.headers)
    )


def problem(
    request: HTTPConnection,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """The response for an error, rendered as the router of the request's path declares. `request`
    may be the handshake of a WebSocket."""
    state = request.scope["state"]
    # Not by `request.url`, which raises for a query that is not UTF-8.
    path = quote(request.scope["path"], safe="/!$&'()*+,;=:@", errors="replace")
    if path.startswith("//"):  # as a reference it would name another host (RFC 9457, 3.1.5)
        path = f"/%2F{path[2:]}"
    details = ProblemDetails(
        code=code,
        detail=detail,
        instance=path,
        request_id=state["request_id"],
        headers={"Cache-Control": "no-store", **(headers or {})},
        members=members,
    )
    state[LOGGED] = code, members.get("providers", ())
    render_error = state.get(RENDERER, problem_json)
    response: Response = render_error(details)
    return response


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
        headers["allow"] = headers.get("allow", "GET").replace("GET", "GET, HEAD")
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
