"""CoinGecko's errors, and the places where its clients put a key."""

from typing import Any

from fastapi import Response

from api.cache.formats import JSON
from api.edge.path_policies import GatewayRouter, KeyPlaces
from api.edge.problems import ProblemDetails
from api.encoding import to_json
from api.facades.pass_through import status_of
from api.routes.schemas import FACADE_TAG
from backend.clock import SystemClock
from backend.errors import InvalidParameter

KEY_PLACES = KeyPlaces(
    headers=("x-cg-demo-api-key", "x-cg-pro-api-key"),
    parameters=("x_cg_demo_api_key", "x_cg_pro_api_key"),
)
#: CoinGecko's codes for a missing key, and for what a plan does not include.
NO_KEY, PAID_PLAN = 10_002, 10_005
#: Clients look for these words, and wait.
RATE_LIMITED = "You've exceeded the Rate Limit."
#: The wait in seconds where none is known; clients back off only with one.
USUAL_WAIT_S = 5


class Missing(InvalidParameter):
    """A required parameter was not sent; in CoinGecko's words."""

    def __init__(self, parameter: str) -> None:
        super().__init__(parameter, "is required")
        self.args = (f"Missing parameter {parameter}",)


def render_error(details: ProblemDetails) -> Response:
    """A text for what is wrong with a request; for all else a status object, which clients that
    back off look for."""
    headers, http_status = dict(details.headers), status_of(details)
    if http_status in (404, 405):
        return _json({"error": "not found"}, http_status, headers)
    if http_status in (400, 413, 414, 422, 431):
        return _json({"error": details.detail}, http_status, headers)
    if http_status in (429, 503):
        headers.setdefault("Retry-After", str(USUAL_WAIT_S))
    code, text = http_status, details.detail
    if http_status == 401:
        code = NO_KEY
    elif http_status == 429:
        text = f"{RATE_LIMITED} {text}"
    return _status(code, text, http_status, headers)


def paid_plans_only() -> Response:
    """As CoinGecko answers a free plan: the operator's account is not for its clients."""
    text = "This request is limited to PRO API subscribers."
    return _status(PAID_PLAN, text, 401, {"Cache-Control": "no-store"})


def _status(code: int, text: str, http_status: int, headers: dict[str, str]) -> Response:
    status = {
        "timestamp": SystemClock().now().isoformat(timespec="milliseconds"),
        "error_code": code,
        "error_message": text,
    }
    return _json({"status": status}, http_status, headers)


def _json(document: Any, status: int, headers: dict[str, str]) -> Response:
    return Response(to_json(document), status, headers, media_type=JSON)


def coingecko_router() -> GatewayRouter:
    return GatewayRouter(
        prefix="/coingecko/api/v3",
        render_error=render_error,
        key_places=KEY_PLACES,
        tags=[FACADE_TAG],
        default_response_class=Response,
    )
