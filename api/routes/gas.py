"""`/api/gas`: the price of gas on Ethereum."""

from functools import partial
from typing import Annotated

from fastapi import Request, Response

from api.cache.formats import Format, encoder
from api.routes.checked_routes import checked_router
from api.routes.parameters import TableFormat, choice, refuse_others
from api.routes.responder import gateway_of, responder_of
from api.routes.schemas import PROVIDER_ERRORS, documented
from backend.models.gas import GasFees

router = checked_router("gas")
CHAINS = ("ethereum",)


@router.get(
    "/api/gas",
    summary="Ethereum gas prices",
    responses=documented("GasEnvelope", GasFees, *PROVIDER_ERRORS, "unsupported"),
)
async def read_gas(
    request: Request,
    chain: Annotated[str, choice("in any case", CHAINS)] = "ethereum",
    format: TableFormat = Format.JSON,
) -> Response:
    """Slow, average and fast price in gwei, including the base fee."""
    refuse_others("chain", chain, CHAINS)
    gas = gateway_of(request).gas
    answer = await gas.latest()
    page, encode = partial(gas.page, answer.data), encoder(format, GasFees)
    return await responder_of(request).respond(request, answer, ("gas", format), page, encode)
