"""`/api/market`: the ranked list, and single coins."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import RedirectResponse

from api.responses import Format, json_envelope
from api.routes.common import BY_NAME, Responds, Served, comma_list, documented, refuse_repeats
from api.schemas import CoinEnvelope, MarketEnvelope
from api.tables import csv_table
from backend.models.market import Coin
from backend.services.market import SORT_FIELDS, MarketView

router = APIRouter(tags=["market"])
coin_router = APIRouter(tags=["market"], dependencies=[Depends(refuse_repeats)])

Names = Annotated[
    str | None,
    Query(
        max_length=5_000,
        description="comma list of ids, symbols or pairs",
        examples=["BTC,ETH", "bitcoin,BNBUSDT"],
    ),
]


@router.get(
    "/api/market",
    summary="The market list",
    responses=documented(MarketEnvelope, *BY_NAME, formats=("text/csv",)),
    response_class=Response,
)
async def read_market(
    request: Request,
    gateway: Served,
    responder: Responds,
    limit: Annotated[int, Query(ge=1, le=250, description="rows at most", examples=[10])] = 100,
    offset: Annotated[
        int, Query(ge=0, le=1_000_000, description="rows to leave out", examples=[10])
    ] = 0,
    symbols: Names = None,
    ids: Names = None,
    sort: Annotated[
        str,
        Query(
            max_length=64,
            description="a field of the row, - in front to descend; unknown values come last",
            examples=["-volume_24h"],
            json_schema_extra={"enum": list(SORT_FIELDS)},
        ),
    ] = "market_cap_rank",
    format: Annotated[
        Format, Query(description="csv has the rows only", examples=["csv"])
    ] = Format.JSON,
) -> Response:
    """Coins by market-cap rank. No parameter costs an upstream call."""
    view = MarketView(limit, offset, comma_list("symbols", symbols, ids), sort)
    answer = await gateway.market.latest()
    return await responder.respond(
        request,
        answer,
        (view, format),
        lambda: gateway.market.top(answer.data, view),
        encode=csv_table(Coin) if format is Format.CSV else json_envelope,
    )


@coin_router.get(
    "/api/market/{coin:path}",
    summary="One coin",
    responses={
        307: {"description": "to the same path without a slash behind it"},
        **documented(CoinEnvelope, *BY_NAME),
    },
    response_class=Response,
)
async def read_coin(
    request: Request,
    gateway: Served,
    responder: Responds,
    coin: Annotated[
        str, Path(max_length=64, description="id, symbol or pair", examples=["bitcoin", "BTC"])
    ],
) -> Response:
    """One coin by id, symbol or pair."""
    if coin.endswith("/") or not coin:  # as the other routes do with a slash too many
        return RedirectResponse(request.url.replace(path=request.url.path.rstrip("/")))
    answer = await gateway.market.latest()
    return await responder.respond(
        request,
        answer,
        ("coin", coin),
        lambda: gateway.market.coin(answer.data, coin),
        encode=json_envelope,
    )
