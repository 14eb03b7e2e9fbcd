"""`/api/search`: coins by a part of their names."""

from functools import partial
from typing import Annotated

from fastapi import Query, Request, Response

from api.cache.formats import Format, encoder
from api.edge.client_limits import account_of
from api.routes.checked_routes import checked_router
from api.routes.parameters import TableFormat
from api.routes.responder import gateway_of, responder_of
from api.routes.schemas import PROVIDER_ERRORS, documented
from backend.errors import InvalidParameter
from backend.services.market.coin_names import SEARCH_UNITS, Found

router = checked_router("market")


@router.get(
    "/api/search",
    operation_id="search_coins",
    summary="Search coins",
    responses=documented("SearchEnvelope", list[Found], *PROVIDER_ERRORS),
)
async def search_coins(
    request: Request,
    q: Annotated[
        str,
        Query(min_length=1, max_length=64, description="part of a name", examples=["bitc"]),
    ],
    limit: Annotated[
        int, Query(ge=1, le=50, description="largest number of coins", examples=[5])
    ] = 10,
    format: TableFormat = Format.JSON,
) -> Response:
    """All coins, not only the ranked list: exact tickers and ids first, then by rank."""
    if not q.strip():
        raise InvalidParameter("q", "must not be blank: give a part of a name")
    names = gateway_of(request).names
    answer, listed = await names.to_search()
    selection = "search", q, limit, format, listed.refresh_ids
    account_of(request.scope).charge(SEARCH_UNITS - 1)
    page = partial(names.search, answer.data, listed, q, limit)
    return await responder_of(request).respond(
        request, answer, selection, page, encoder(format, Found), is_slow=True
    )
