"""`/api/market/ohlc`: candles of one coin."""

from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from fastapi import Query, Request, Response

from api.cache.formats import JSON, CandleRow, candles_csv, candles_json, meta
from api.edge.client_limits import account_of
from api.encoding import to_json
from api.routes.checked_routes import checked_router
from api.routes.parameters import BOOKS, BookCurrency, Instant, VsBookCurrency, currency_of
from api.routes.responder import gateway_of, responder_of
from api.routes.schemas import SYMBOL_ERRORS, MoneyMeta, documented
from backend.models.answer import Answer
from backend.models.ohlc import Interval
from backend.services.candles.service import DEFAULT_LIMIT, MOST_LIMIT, OhlcView
from backend.services.instants import parse_instant
from backend.services.page import Page

router = checked_router("candles")

Symbol = Annotated[
    str,
    Query(
        min_length=1,
        max_length=64,
        description="id, symbol or pair",
        examples=["BTC", "bitcoin", "BTC/USDT"],
    ),
]
CandleInterval = Annotated[
    Interval, Query(description="case-sensitive: 1m is a minute, 1M a month", examples=["4h"])
]
CandleLimit = Annotated[
    int | None,
    Query(
        ge=1,
        le=MOST_LIMIT,
        description=f"default {DEFAULT_LIMIT}; with start and end: all candles between them",
        examples=[24],
    ),
]
#: With `format=arrays` each row is timestamp, open, high, low, close, volume.
CandleRows = list[CandleRow] | list[tuple[int, float, float, float, float, float | None]]


class OhlcFormat(StrEnum):
    """`arrays` is JSON with an array in place of each object."""

    JSON = "json"
    CSV = "csv"
    ARRAYS = "arrays"


@router.get(
    "/api/market/ohlc",
    operation_id="list_candles",
    summary="Candles",
    responses=documented("OhlcEnvelope", CandleRows, *SYMBOL_ERRORS, "unsupported", meta=MoneyMeta),
)
async def read_ohlc(
    request: Request,
    symbol: Symbol,
    interval: CandleInterval = Interval.H1,
    limit: CandleLimit = None,
    start: Instant = None,
    end: Instant = None,
    include_open: Annotated[
        bool, Query(description="include the candle that is still open", examples=[False])
    ] = True,
    currency: BookCurrency = None,
    vs_currency: VsBookCurrency = None,
    format: Annotated[
        OhlcFormat,
        Query(description="arrays: [timestamp, o, h, l, c, volume]", examples=["arrays"]),
    ] = OhlcFormat.JSON,
) -> Response:
    """Candles of one provider, oldest first. Timestamps are opening times in Unix ms.

    With `start` the first candles from there, else the newest. `start` and `end` without `limit`
    give all candles between them, up to 10,000.
    """
    view = OhlcView(
        interval,
        limit,
        parse_instant("start", start) if start is not None else None,
        parse_instant("end", end) if end is not None else None,
        include_open,
        currency_of(currency, vs_currency, BOOKS),
    )
    ohlc = gateway_of(request).ohlc
    answer = await ohlc.candles(symbol, view, account_of(request.scope).charge)
    selection = symbol, view, format, ohlc.open_is_too_old(answer), answer.warnings
    page = partial(ohlc.cut, answer, view)
    return await responder_of(request).respond(request, answer, selection, page, _ENCODERS[format])


def _arrays(answer: Answer[Any], page: Page[Any]) -> tuple[bytes, str]:
    rows = [[c.timestamp, c.open, c.high, c.low, c.close, c.volume] for c in page.rows]
    return to_json({"data": rows, "meta": meta(answer, page)}), JSON


_ENCODERS = {
    OhlcFormat.JSON: candles_json,
    OhlcFormat.CSV: candles_csv,
    OhlcFormat.ARRAYS: _arrays,
}
