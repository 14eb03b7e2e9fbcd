"""`/api/gas`: what a transaction costs on a chain."""

from functools import partial
from typing import Annotated

from fastapi import Request, Response

from api.cache.formats import Format, encoder
from api.routes.checked_routes import checked_router
from api.routes.parameters import TableFormat, choice, refuse_others
from api.routes.responder import gateway_of, responder_of
from api.routes.schemas import PROVIDER_ERRORS, documented
from backend.models.chains import CHAINS, DEFAULT_CHAIN
from backend.models.gas import GasFees

router = checked_router("gas")


@router.get(
    "/api/gas",
    operation_id="get_gas",
    summary="Fees of a chain",
    responses=documented("GasEnvelope", GasFees, *PROVIDER_ERRORS, "unsupported"),
)
async def read_gas(
    request: Request,
    chain: Annotated[str, choice("in any case", tuple(CHAINS))] = DEFAULT_CHAIN,
    format: TableFormat = Format.JSON,
) -> Response:
    """Slow, average and fast price, including the base fee: in gwei, of Bitcoin in sat/vB."""
    refuse_others("chain", chain, tuple(CHAINS))
    name, gas = CHAINS[chain.lower()].name, gateway_of(request).gas
    answer = await gas.latest(name)
    page, encode = partial(gas.page, answer.data), encoder(format, GasFees)
    selection = "gas", name, format
    return await responder_of(request).respond(request, answer, selection, page, encode)
