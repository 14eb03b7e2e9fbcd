"""Binance's errors, the place where its clients put a key, and what every route does."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.cache.body import CODINGS
from api.cache.formats import JSON
from api.edge.path_policies import GatewayRouter, KeyPlaces
from api.edge.problems import HANDLERS, ProblemDetails
from api.encoding import to_json
from api.facades.pass_through import status_of
from api.facades.vendor_paths import MissingParameter, RepeatedParameter
from api.routes.responder import NO_HEADERS, gateway_of
from api.routes.schemas import FACADE_TAG
from backend.errors import GatewayError, InvalidParameter
from backend.gateway import Gateway

KEY_PLACES = KeyPlaces(headers=("x-mbx-apikey",))
#: Codes of Binance's documentation (errors.md). Clients under a foreign address know only these
#: general ones, and try again after the first three and the last; so no other one is used for a
#: failure (`-1008`, which is for that, is none to ccxt).
UNKNOWN, DISCONNECTED, TIMEOUT, TOO_MANY_REQUESTS = -1000, -1001, -1007, -1003
UNAUTHORIZED = -1002
ILLEGAL_CHARACTERS, REPEATED, MISSING, INVALID = -1100, -1101, -1102, -1130
#: By HTTP status; UNKNOWN for all others.
CODES = {
    **dict.fromkeys((400, 413, 414, 422, 431), ILLEGAL_CHARACTERS),
    401: UNAUTHORIZED,
    403: UNAUTHORIZED,
    429: TOO_MANY_REQUESTS,
    503: DISCONNECTED,
    504: TIMEOUT,
}
#: The wait in seconds where none is known; clients back off only with one.
USUAL_WAIT_S = 5
#: The only unit of times that is served.
MILLISECOND = "millisecond"
#: Added to Accept-Encoding; of equal names the last one counts.
OTHER_CODINGS = b", " + b", ".join(b"%b;q=0" % name.encode() for name in CODINGS if name != "gzip")


class Refused(Exception):
    """The request is refused here as Binance would refuse it: by its code, and in its words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def response(self) -> Response:
        return error_response(400, self.code, str(self))


def error_response(
    status: int, code: int, text: str, headers: Mapping[str, str] = NO_HEADERS
) -> Response:
    headers = {"Cache-Control": "no-store", **headers}
    return Response(to_json({"code": code, "msg": text}), status, headers, media_type=JSON)


def render_error(details: ProblemDetails) -> Response:
    headers, status = dict(details.headers), status_of(details)
    if status in (429, 503):
        headers.setdefault("Retry-After", str(USUAL_WAIT_S))
    code = CODES.get(status, UNKNOWN)
    return error_response(400 if status == 422 else status, code, details.detail, headers)


def refusal_of(error: InvalidParameter) -> Refused:
    """A parameter that was refused before any call, in Binance's words."""
    name = error.parameter
    if isinstance(error, RepeatedParameter):
        return Refused(REPEATED, "Duplicate values for a parameter detected.")
    if isinstance(error, MissingParameter):
        text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        return Refused(MISSING, text)
    return Refused(
        ILLEGAL_CHARACTERS, f"Illegal characters found in parameter '{name}'; {error.detail}."
    )


def used_weight(gateway: Gateway) -> dict[str, str]:
    """What the gateway's address has used of Binance's limit per minute, by its own count."""
    quota = gateway.status.quota("binance", "minute")
    used = str(quota.used if quota else 0)
    return {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}


class BinanceRoute(APIRoute):
    """A route whose answers all have the used weight, errors included, and no coding but gzip."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                _check_time_unit(request)
                response = await handler(_in_gzip(request))
            except Refused as refused:
                response = refused.response
            except InvalidParameter as error:
                response = refusal_of(error).response
            except GatewayError as error:
                response = await HANDLERS[GatewayError](request, error)
            response.headers.update(used_weight(gateway_of(request)))
            return response

        return handle


def _in_gzip(request: Request) -> Request:
    """The request, with the vendor's own coding as the only one: `binance-sdk-spot` asks for
    Brotli, too, which it can read only if another package is installed."""
    accepted = b"accept-encoding"
    headers = [
        (name, value + OTHER_CODINGS if name == accepted else value)
        for name, value in request.scope["headers"]
    ]
    return Request({**request.scope, "headers": headers}, request.receive)


def _check_time_unit(request: Request) -> None:
    """The vendor is always asked for milliseconds: a client that wants another unit would take
    them for it."""
    unit = request.headers.get("x-mbx-time-unit", MILLISECOND)
    if unit.strip().lower() not in ("", MILLISECOND):
        text = "Header 'X-MBX-TIME-UNIT' is not served: times are in milliseconds."
        raise Refused(ILLEGAL_CHARACTERS, text)


def binance_router() -> GatewayRouter:
    return GatewayRouter(
        prefix="/binance",
        render_error=render_error,
        key_places=KEY_PLACES,
        tags=[FACADE_TAG],
        default_response_class=Response,
        route_class=BinanceRoute,
    )
