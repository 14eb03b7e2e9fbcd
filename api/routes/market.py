"""`/api/market`: the ranked list, and single coins."""

from functools import partial
from typing import Annotated

from fastapi import Path, Query, Request, Response

from api.cache.formats import Format, encoder
from api.edge.problems import problem
from api.routes.checked_routes import checked_router
from api.routes.parameters import (
    Currency,
    TableFormat,
    VsCurrency,
    comma_list,
    refuse_other_currencies,
)
from api.routes.responder import gateway_of, responder_of
from api.routes.schemas import SYMBOL_ERRORS, documented
from api.routes.slashes import redirect, reference_without_slashes
from backend.models.market import Coin
from backend.services.market.service import SORT_FIELDS, MarketView

router, coin_router = checked_router("market"), checked_router("market")

Names = Annotated[
    str | None,
    Query(
        max_length=5_000,
        description="comma list of ids, symbols or pairs",
        examples=["BTC,ETH", "bitcoin,BNBUSDT"],
    ),
]
SortField = Annotated[
    str,
    Query(
        max_length=64,
        description="a field of the row, descending with - in front; unknown values come last",
        examples=["-volume_24h"],
        json_schema_extra={"enum": list(SORT_FIELDS)},
    ),
]


@router.get(
    "/api/market",
    summary="The market list",
    responses=documented("MarketEnvelope", list[Coin], *SYMBOL_ERRORS, "unsupported"),
)
async def read_market(
    request: Request,
    limit: Annotated[
        int, Query(ge=1, le=250, description="largest number of rows", examples=[10])
    ] = 100,
    offset: Annotated[
        int, Query(ge=0, le=1_000_000, description="number of rows to skip", examples=[10])
    ] = 0,
    symbols: Names = None,
    ids: Names = None,
    sort: SortField = "market_cap_rank",
    currency: Currency = None,
    vs_currency: VsCurrency = None,
    format: TableFormat = Format.JSON,
) -> Response:
    """Coins by market-cap rank. Parameters cause no calls to providers."""
    refuse_other_currencies(currency, vs_currency)
    view = MarketView(limit, offset, comma_list("symbols", symbols, ids), sort)
    market = gateway_of(request).market
    answer = await market.latest()
    page, encode = partial(market.top, answer.data, view), encoder(format, Coin)
    return await responder_of(request).respond(request, answer, (view, format), page, encode)


@coin_router.get(
    "/api/market/{coin:path}",
    summary="One coin",
    responses={
        307: {"description": "to the same path without the slash at its end"},
        **documented("CoinEnvelope", Coin, *SYMBOL_ERRORS, "unsupported"),
    },
)
async def read_coin(
    request: Request,
    coin: Annotated[
        str, Path(max_length=64, description="id, symbol or pair", examples=["bitcoin", "BTC"])
    ],
    currency: Currency = None,
    vs_currency: VsCurrency = None,
    format: TableFormat = Format.JSON,
) -> Response:
    """One coin by id, symbol or pair."""
    refuse_other_currencies(currency, vs_currency)
    if coin.endswith("/") or not coin:  # a redirect, as for all other paths
        reference = reference_without_slashes(request.scope)
        return redirect(reference) if reference else problem(request, "not_found", "no such path")
    market = gateway_of(request).market
    answer = await market.latest()
    page, encode = partial(market.coin, answer.data, coin), encoder(format, Coin)
    return await responder_of(request).respond(
        request, answer, ("coin", coin, format), page, encode
    )
