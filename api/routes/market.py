"""`/api/market`: the ranked list, and single coins."""

from functools import partial
from typing import Annotated

from fastapi import Path, Query, Request, Response

from api.cache.formats import Format, encoder
from api.edge.client_limits import account_of
from api.edge.problems import problem
from api.routes.checked_routes import checked_router
from api.routes.parameters import (
    Currency,
    TableFormat,
    VsCurrency,
    comma_list,
    currency_of,
)
from api.routes.responder import gateway_of, responder_of
from api.routes.schemas import SYMBOL_ERRORS, MoneyMeta, documented
from api.routes.slashes import redirect, reference_without_slashes
from backend.models.market import Coin, CoinWithSparkline
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
Sparkline = Annotated[
    bool, Query(description="add `sparkline_7d`, the hourly prices of seven days", examples=[True])
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
    operation_id="list_market",
    summary="The market list",
    responses=documented(
        "MarketEnvelope",
        list[CoinWithSparkline] | list[Coin],
        *SYMBOL_ERRORS,
        "unsupported",
        meta=MoneyMeta,
    ),
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
    sparkline: Sparkline = False,
    currency: Currency = None,
    vs_currency: VsCurrency = None,
    format: TableFormat = Format.JSON,
) -> Response:
    """Coins by market-cap rank, and by name also those beyond the list of 250."""
    names, code = comma_list("symbols", symbols, ids), currency_of(currency, vs_currency)
    view = MarketView(limit, offset, names, sort, code, sparkline)
    market = gateway_of(request).market
    answer, additions = await market.asked(view, account_of(request.scope).charge)
    page = partial(market.top, answer.data, view, additions)
    selection = view, format, additions.version
    return await responder_of(request).respond(
        request, answer, selection, page, encoder(format, row_type(sparkline))
    )


@coin_router.get(
    "/api/market/{coin:path}",
    operation_id="get_coin",
    summary="One coin",
    responses={
        307: {"description": "to the same path without the slash at its end"},
        **documented(
            "CoinEnvelope",
            CoinWithSparkline | Coin,
            *SYMBOL_ERRORS,
            "unsupported",
            meta=MoneyMeta,
        ),
    },
)
async def read_coin(
    request: Request,
    coin: Annotated[
        str, Path(max_length=64, description="id, symbol or pair", examples=["bitcoin", "BTC"])
    ],
    sparkline: Sparkline = False,
    currency: Currency = None,
    vs_currency: VsCurrency = None,
    format: TableFormat = Format.JSON,
) -> Response:
    """One coin by id, symbol or pair; also beyond the list of 250."""
    code = currency_of(currency, vs_currency)
    if coin.endswith("/") or not coin:  # a redirect, as for all other paths
        reference = reference_without_slashes(request.scope)
        return redirect(reference) if reference else problem(request, "not_found", "no such path")
    market = gateway_of(request).market
    view = MarketView(names=(coin,), currency=code, sparkline=sparkline)
    answer, additions = await market.asked(view)
    page = partial(market.coin, answer.data, coin, additions)
    selection = "coin", view, format, additions.version
    return await responder_of(request).respond(
        request, answer, selection, page, encoder(format, row_type(sparkline))
    )


def row_type(sparkline: bool) -> type[Coin]:
    return CoinWithSparkline if sparkline else Coin
