"""`/api/market`: the ranked list, and single coins."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.responses import Format, csv_table, json_envelope
from api.routes.common import Responds, Served, documented
from api.schemas import CoinEnvelope, MarketEnvelope
from backend.errors import InvalidParameter
from backend.services.market import MOST_NAMES, SORT_FIELDS, MarketView

router = APIRouter(tags=["market"])

Names = Annotated[
    str | None, Query(max_length=5_000, description="comma list of ids, symbols or pairs")
]


@router.get(
    "/api/market",
    summary="The market list",
    responses=documented(MarketEnvelope, 404, 422, 503, 504, formats=("text/csv",)),
    response_class=Response,
)
async def read_market(
    request: Request,
    gateway: Served,
    responder: Responds,
    limit: Annotated[int, Query(ge=1, le=250)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    symbols: Names = None,
    ids: Names = None,
    sort: Annotated[
        str, Query(max_length=64, json_schema_extra={"enum": list(SORT_FIELDS)})
    ] = "market_cap_rank",
    format: Annotated[Format, Query()] = Format.JSON,
) -> Response:
    """Coins by market-cap rank. No parameter costs an upstream call."""
    view = MarketView(limit, offset, _names(symbols, ids), sort)
    answer = await gateway.market.latest()
    return responder.respond(
        request,
        answer,
        (view, format),
        lambda: gateway.market.top(answer.data, view),
        encode=csv_table if format is Format.CSV else json_envelope,
    )


@router.get(
    "/api/market/{coin:path}",
    summary="One coin",
    responses=documented(CoinEnvelope, 404, 503, 504),
    response_class=Response,
)
async def read_coin(
    request: Request,
    gateway: Served,
    responder: Responds,
    coin: Annotated[str, Path(max_length=64, description="id, symbol or pair: bitcoin, BTC")],
) -> Response:
    """One coin by id, symbol or pair."""
    answer = await gateway.market.latest()
    return responder.respond(
        request,
        answer,
        ("coin", coin),
        lambda: gateway.market.coin(answer.data, coin),
        encode=json_envelope,
    )


def _names(*lists: str | None) -> tuple[str, ...]:
    parts = [part.strip() for names in lists if names for part in names.split(",")]
    unique = tuple(dict.fromkeys(part for part in parts if part))
    if len(unique) > MOST_NAMES:
        raise InvalidParameter("symbols", f"at most {MOST_NAMES} coins in one question")
    return unique
