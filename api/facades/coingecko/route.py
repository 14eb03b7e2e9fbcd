"""The paths of CoinGecko's API."""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import Request, Response

from api.cache.formats import JSON
from api.encoding import to_json
from api.facades.coingecko.dialect import Missing, coingecko_router, paid_plans_only
from api.facades.coingecko.documented import RESPONSES
from api.facades.coingecko.freshness import of_day
from api.facades.coingecko.markets import respond_from_page
from api.facades.coingecko.paths import (
    CHART_RANGES,
    HISTORY,
    MARKETS,
    PAID,
    PASSED_ON,
    SIMPLE_PRICE,
)
from api.facades.coingecko.series import cut, on_grid, range_of
from api.facades.coingecko.simple_price import respond_from_market
from api.facades.pass_through import pass_through, respond_with_body, respond_with_vendor
from api.facades.vendor_paths import MissingParameter, VendorPath, add_path, add_paths
from api.routes.responder import gateway_of
from backend.errors import DeadlineExceeded
from backend.models.pass_through import PassThroughQuery

router = coingecko_router()

PING = {"gecko_says": "(V3) To the Moon!"}
#: None where the gateway's own data do not have the answer.
Respond = Callable[[Request, PassThroughQuery], Awaitable[Response | None]]
#: One of them says which coins.
NAMES = ("ids", "names", "symbols")


def query_of(request: Request, path: VendorPath) -> PassThroughQuery:
    """Raises InvalidParameter, NotInDialect."""
    try:
        return path.query("coingecko", request)
    except MissingParameter as error:
        raise Missing(error.parameter) from None


@router.get("/ping", summary="Whether the gateway serves", responses=RESPONSES)
@router.get("/ping/", include_in_schema=False)
async def ping() -> Response:
    """No call of the vendor."""
    return Response(to_json(PING), media_type=JSON, headers={"Cache-Control": "no-store"})


async def read_path(request: Request, path: VendorPath) -> Response:
    return await pass_through(request, query_of(request, path))


async def own_or_passed_through(
    request: Request, query: PassThroughQuery, respond: Respond
) -> Response:
    """From the gateway's own data if `respond` can; both together within the deadline."""
    deadline_s = gateway_of(request).request_deadline_s
    try:
        async with asyncio.timeout(deadline_s):
            return await respond(request, query) or await pass_through(request, query)
    except TimeoutError:
        raise DeadlineExceeded(f"no answer within {deadline_s:g} s") from None


async def read_prices(request: Request, path: VendorPath) -> Response:
    query = query_of(request, path)
    if dict(query.params).keys().isdisjoint(NAMES):
        raise Missing("ids")
    return await own_or_passed_through(request, query, respond_from_market)


async def read_markets(request: Request, path: VendorPath) -> Response:
    query = query_of(request, path)
    return await own_or_passed_through(request, query, respond_from_page)


async def read_history(request: Request, path: VendorPath) -> Response:
    query = query_of(request, path)
    now = gateway_of(request).clock.now()
    return await pass_through(request, of_day(query, dict(query.params)["date"], now))


async def read_range(request: Request, path: VendorPath) -> Response:
    query = query_of(request, path)
    asked = range_of(query)
    if asked is None:
        return await pass_through(request, query)
    gateway = gateway_of(request)
    query = on_grid(query, asked, gateway.clock.now())
    answer = await gateway.pass_through.fetch(query)
    if answer.data.status != 200:
        return await respond_with_vendor(request, query, answer)
    selection = "range", query, asked
    return await respond_with_body(request, answer, selection, cut(answer.data.body, asked))


async def refuse_paid() -> Response:
    return paid_plans_only()


for one in PAID:
    router.add_api_route(one, refuse_paid, include_in_schema=False)
    router.add_api_route(f"{one}/", refuse_paid, include_in_schema=False)
add_path(router, SIMPLE_PRICE, read_prices, responses=RESPONSES)
add_path(router, MARKETS, read_markets, responses=RESPONSES)
add_paths(router, PASSED_ON, read_path, responses=RESPONSES)
add_path(router, HISTORY, read_history, responses=RESPONSES)
add_paths(router, CHART_RANGES, read_range, responses=RESPONSES)
