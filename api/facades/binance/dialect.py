"""Binance's errors, and the place where its clients put a key."""

from fastapi import Response

from api.cache.formats import JSON
from api.edge.path_policies import GatewayRouter, KeyPlaces
from api.edge.problems import ProblemDetails
from api.encoding import to_json
from api.facades.pass_through import status_of
from api.routes.schemas import FACADE_TAG

KEY_PLACES = KeyPlaces(headers=("x-mbx-apikey",))
#: Binance's codes by HTTP status. A client under a foreign address knows only the general ones.
CODES = {
    401: -1002,
    403: -1002,
    422: -1100,
    429: -1003,
    503: -1001,
    504: -1007,
}
#: For all others: an unknown error.
UNKNOWN = -1000
#: The wait in seconds where none is known; clients back off only with one.
USUAL_WAIT_S = 5


def render_error(details: ProblemDetails) -> Response:
    headers, status = dict(details.headers), status_of(details)
    if status in (429, 503):
        headers.setdefault("Retry-After", str(USUAL_WAIT_S))
    document = {"code": CODES.get(status, UNKNOWN), "msg": details.detail}
    status = 400 if status == 422 else status
    return Response(to_json(document), status, headers, media_type=JSON)


def binance_router() -> GatewayRouter:
    return GatewayRouter(
        prefix="/binance",
        render_error=render_error,
        key_places=KEY_PLACES,
        tags=[FACADE_TAG],
        default_response_class=Response,
    )
