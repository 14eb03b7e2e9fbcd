"""`/api/global`: the whole market in a few figures."""

from functools import partial

from fastapi import Request, Response

from api.cache.formats import Format, encoder
from api.routes.checked_routes import checked_router
from api.routes.parameters import Currency, TableFormat, VsCurrency, currency_of
from api.routes.responder import gateway_of, responder_of
from api.routes.schemas import PROVIDER_ERRORS, MoneyMeta, documented
from backend.models.global_market import GlobalMarket

router = checked_router("market")


@router.get(
    "/api/global",
    operation_id="get_global",
    summary="The whole market in a few figures",
    responses=documented(
        "GlobalEnvelope", GlobalMarket, *PROVIDER_ERRORS, "unsupported", meta=MoneyMeta
    ),
)
async def read_global(
    request: Request,
    currency: Currency = None,
    vs_currency: VsCurrency = None,
    format: TableFormat = Format.JSON,
) -> Response:
    """Market cap and volume of all coins, and the shares of Bitcoin and Ethereum."""
    code = currency_of(currency, vs_currency)
    service = gateway_of(request).global_market
    answer, conversion, refresh_ids = await service.asked(code)
    page = partial(service.page, answer.data, code, conversion)
    selection = "global", code, format, refresh_ids
    return await responder_of(request).respond(
        request, answer, selection, page, encoder(format, GlobalMarket)
    )
