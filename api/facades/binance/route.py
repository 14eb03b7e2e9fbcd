"""Binance's paths: what is passed through, what the gateway answers itself, what it refuses."""

from dataclasses import replace

from fastapi import Request, Response

from api.cache.formats import JSON
from api.encoding import to_json
from api.facades.binance.dialect import UNAUTHORIZED, UNKNOWN, binance_router, error_response
from api.facades.binance.documented import OWN, RESPONSES
from api.facades.binance.klines import (
    PAGE,
    newest_limit,
    newest_rows,
    normalized,
    whole_page,
)
from api.facades.binance.paths import KLINES, PATHS, ROOT
from api.facades.pass_through import respond_with_body, respond_with_vendor
from api.facades.vendor_paths import VendorPath, add_paths
from api.routes.responder import gateway_of
from backend.models.answer import Answer
from backend.models.pass_through import PassThroughQuery, VendorAnswer

router = binance_router()

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
#: The first segments, below ROOT, of paths of accounts.
PRIVATE = frozenset(
    "account allOrderList allOrders myAllocations myFilters myPreventedMatches myTrades "
    "openOrderList openOrders order orderList rateLimit sor userDataStream".split()
)
NO_STORE = {"Cache-Control": "no-store"}
PUBLIC_ONLY = "This gateway serves public market data only: no accounts, and no orders."


@router.get(f"{ROOT}/ping", summary="Whether the gateway serves", responses=OWN)
@router.get(f"{ROOT}/ping/", include_in_schema=False)
async def ping() -> Response:
    """No call of the vendor."""
    return Response(b"{}", headers=NO_STORE, media_type=JSON)


@router.get(f"{ROOT}/time", summary="The gateway's time, in epoch milliseconds", responses=OWN)
@router.get(f"{ROOT}/time/", include_in_schema=False)
async def server_time(request: Request) -> Response:
    """No call of the vendor."""
    now_ms = _now_ms(request)
    return Response(to_json({"serverTime": now_ms}), headers=NO_STORE, media_type=JSON)


async def read_path(request: Request, path: VendorPath) -> Response:
    query = path.query("binance", request)
    return await respond_with_vendor(request, query, await _fetched(request, query))


async def read_klines(request: Request, path: VendorPath) -> Response:
    """The newest candles are the same question for every limit."""
    query = normalized(path.query("binance", request), _now_ms(request))
    limit = newest_limit(query)
    if limit is None:
        return await respond_with_vendor(request, query, await _fetched(request, query))
    query = whole_page(query)
    answer = await _fetched(request, query)
    if answer.data.status != 200 or limit == PAGE:
        return await respond_with_vendor(request, query, answer)
    return await respond_with_body(
        request,
        answer,
        ("newest klines", query, limit),
        lambda: newest_rows(answer.data.body, limit),
    )


async def _fetched(request: Request, query: PassThroughQuery) -> Answer[VendorAnswer]:
    """Not reusable without its route, which adds the weight that is used by then."""
    answer = await gateway_of(request).pass_through.fetch(query)
    return replace(answer, validity=None)


def _now_ms(request: Request) -> int:
    return int(gateway_of(request).clock.now().timestamp() * 1000)


add_paths(router, KLINES, read_klines, responses=RESPONSES)
add_paths(router, PATHS, read_path, responses=RESPONSES)


@router.api_route("/{path:path}", methods=METHODS, include_in_schema=False)
async def read_other(request: Request, path: str) -> Response:
    """Nothing else is passed on, by any method."""
    first, *_ = f"/{path}".removeprefix(f"{ROOT}/").split("/")
    if request.method != "GET" or first in PRIVATE:
        return error_response(403, UNAUTHORIZED, PUBLIC_ONLY)
    text = "No such path: this gateway serves Binance's public market data below /api/v3."
    return error_response(404, UNKNOWN, text)
