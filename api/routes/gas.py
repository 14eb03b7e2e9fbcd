"""`/api/gas`: the price of gas on Ethereum."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.cache.formats import Format, encoder
from api.routes.common import (
    PROVIDER_ERRORS,
    TableFormat,
    documented,
    gateway_of,
    refuse_others,
    responder_of,
)
from api.routes.parameters import CheckedRoute
from backend.models.gas import GasFees

router = APIRouter(tags=["gas"], route_class=CheckedRoute, default_response_class=Response)

CHAINS = ("ethereum",)


@router.get(
    "/api/gas",
    summary="Ethereum gas prices",
    responses=documented("GasEnvelope", GasFees, *PROVIDER_ERRORS, "unsupported"),
)
async def read_gas(
    request: Request,
    chain: Annotated[
        str,
        Query(
            description="in any case",
            examples=["ethereum"],
            json_schema_extra={"enum": list(CHAINS)},
        ),
    ] = "ethereum",
    format: TableFormat = Format.JSON,
) -> Response:
    """Slow, average and fast price in gwei, including the base fee."""
    gateway = gateway_of(request)
    refuse_others("chain", chain, CHAINS)
    answer = await gateway.gas.latest()
    return await responder_of(request).respond(
        request,
        answer,
        ("gas", format),
        lambda: gateway.gas.page(answer.data),
        encode=encoder(format, GasFees),
    )
