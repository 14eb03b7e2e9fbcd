"""`/udf/history`: the bars of a chart."""

from functools import partial
from typing import Annotated, Any

from fastapi import Query, Request, Response

from api.cache.formats import JSON
from api.edge.client_limits import account_of
from api.encoding import to_json
from api.facades.provenance import source_headers
from api.facades.udf import examples
from api.facades.udf.bars import Asked, Bars, columns, fetch_bars, no_data
from api.facades.udf.dialect import NO_STORE, Name, udf_router
from api.facades.udf.documented import data_responses
from api.facades.udf.resolutions import interval_of
from api.facades.udf.symbols import plain_name
from api.routes.parameters import BOOKS, currency_of
from api.routes.responder import gateway_of, responder_of
from backend.errors import InvalidParameter
from backend.models.answer import Answer
from backend.services.candles.service import MOST_CANDLES
from backend.services.page import Page

router = udf_router()

#: Largest number of seconds, as a bound of sums.
MAX_SECOND = 10**13


def _second(description: str, alias: str) -> Any:
    bounds: dict[str, Any] = {"ge": -MAX_SECOND, "le": MAX_SECOND}
    return Query(alias=alias, description=description, examples=[1_795_132_800], **bounds)


@router.get("/history", summary="Bars", responses=data_responses("columns", examples.HISTORY))
async def read_history(
    request: Request,
    symbol: Name,
    resolution: Annotated[
        str, Query(max_length=8, description="minutes, or 1D, 3D, 1W, 1M", examples=["60"])
    ],
    to: Annotated[int | None, _second("end in epoch seconds, exclusive; default now", "to")] = None,
    start: Annotated[
        int | None, _second("start in epoch seconds; needed without countback", "from")
    ] = None,
    countback: Annotated[
        int | None,
        Query(
            ge=1,
            le=MOST_CANDLES,
            description="exactly so many bars before `to`, whatever `from` is",
            examples=[40],
        ),
    ] = None,
    currency: Annotated[
        str | None,
        Query(alias="currencyCode", max_length=8, description="of the book", examples=["USD"]),
    ] = None,
) -> Response:
    """Bars of one provider, oldest first; `t` is the open. The forming bar is included."""
    gateway = gateway_of(request)
    interval, code = interval_of(resolution), currency_of(currency or None, None, BOOKS)
    now_ms = int(gateway.clock.now().timestamp() * 1000)
    to_ms = now_ms if to is None else min(to * 1000, interval.next_open(now_ms))
    if start is None and countback is None:
        raise InvalidParameter("from", "is required without countback")
    from_ms = (start or 0) * 1000
    asked = Asked(plain_name(symbol), interval, code, from_ms, to_ms, countback)
    bars = await fetch_bars(gateway.ohlc, asked, account_of(request.scope).charge)
    if bars is None:
        return Response(to_json(no_data(None)), media_type=JSON, headers=NO_STORE)
    return await _respond_with_bars(request, asked, bars)


async def _respond_with_bars(request: Request, asked: Asked, bars: Bars) -> Response:
    def encode(_answer: Answer[Any], page: Page[Any]) -> tuple[bytes, str]:
        document = columns(page.rows) if page.rows else no_data(bars.earlier_ms)
        return to_json(document), JSON

    rows = bars.rows
    bounds = (rows[0].timestamp, rows[-1].timestamp, len(rows)) if rows else bars.earlier_ms
    selection = "udf history", asked.symbol, asked.interval, asked.currency, bounds
    page = partial(Page, rows, len(rows))
    headers = source_headers(bars.answer)
    return await responder_of(request).respond(
        request, bars.answer, selection, page, encode, headers=headers
    )
