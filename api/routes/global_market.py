"""`/api/global`: the whole market in a few figures."""

from functools import partial

from fastapi import Request, Response

from api.cache.formats import Format, encoder
from api.routes.checked_routes import checked_router
from api.routes.parameters import TableFormat
from api.routes.responder import gateway_of, responder_of
from api.routes.schemas import PROVIDER_ERRORS, documented
from backend.models.global_market import GlobalMarket

router = checked_router("market")


@router.get(
    "/api/global",
    summary="The whole market in a few figures",
    responses=documented("GlobalEnvelope", GlobalMarket, *PROVIDER_ERRORS),
)
async def read_global(request: Request, format: TableFormat = Format.JSON) -> Response:
    """Market cap and volume of all coins in USD, and the shares of Bitcoin and Ethereum."""
    service = gateway_of(request).global_market
    answer = await service.latest()
    page, encode = partial(service.page, answer.data), encoder(format, GlobalMarket)
    return await responder_of(request).respond(request, answer, ("global", format), page, encode)
