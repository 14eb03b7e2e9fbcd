"""`/api/gas`: what an Ethereum transaction costs."""

from fastapi import APIRouter, Request, Response

from api.responses import json_envelope
from api.routes.common import ASKING, Responds, Served, documented
from api.schemas import GasEnvelope

router = APIRouter(tags=["gas"])


@router.get(
    "/api/gas",
    summary="Ethereum gas prices",
    responses=documented(GasEnvelope, *ASKING),
    response_class=Response,
)
async def read_gas(request: Request, gateway: Served, responder: Responds) -> Response:
    """Slow, average and fast in gwei, base fee included."""
    answer = await gateway.gas.latest()
    return await responder.respond(
        request,
        answer,
        "gas",
        lambda: gateway.gas.page(answer.data),
        encode=json_envelope,
    )
