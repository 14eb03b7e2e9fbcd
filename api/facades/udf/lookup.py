"""`/udf/config`, `time`, `symbols`, `search` and `quotes`: coins as charts look them up."""

from functools import partial
from typing import Annotated, Any

from fastapi import Query, Request, Response

from api.cache.formats import JSON
from api.edge.client_limits import account_of
from api.encoding import to_json
from api.facades.udf import examples
from api.facades.udf.dialect import LONGEST_NAME, NO_STORE, Name, respond, udf_router
from api.facades.udf.documented import data_responses, responses
from api.facades.udf.resolutions import RESOLUTIONS
from api.facades.udf.symbols import (
    EXCHANGE,
    TYPE,
    plain_name,
    quote,
    search_row,
    symbol_info,
)
from api.routes.parameters import comma_list
from api.routes.responder import gateway_of
from backend.errors import AllProvidersFailed
from backend.models.answer import Answer
from backend.models.market import Market
from backend.services.market.coin_names import SEARCH_UNITS, Found
from backend.services.market.service import MarketView
from backend.services.market.symbols import SymbolIndex

router = udf_router()

#: Quotes have no time, so they are not served once they are older, in seconds.
MAX_STALE_QUOTES_S = 300.0
CONFIG = {
    "supported_resolutions": list(RESOLUTIONS),
    "supports_search": True,
    "supports_group_request": False,
    "supports_marks": False,
    "supports_timescale_marks": False,
    "supports_time": True,
    "exchanges": [{"value": "", "name": "All", "desc": ""}],
    "symbols_types": [{"name": "Crypto", "value": TYPE}],
}


@router.get("/config", summary="What the datafeed can do", responses=responses("now", CONFIG))
async def read_config() -> Response:
    """The same for everybody; no provider is asked."""
    return Response(to_json(CONFIG), media_type=JSON, headers=NO_STORE)


@router.get("/time", summary="Server time", responses=responses("now", "1795132800"))
async def read_time(request: Request) -> Response:
    """Epoch seconds, as bare text."""
    now_s = int(gateway_of(request).clock.now().timestamp())
    return Response(str(now_s), media_type="text/plain", headers=NO_STORE)


@router.get(
    "/symbols", summary="One symbol", responses=data_responses("the symbol", examples.SYMBOL)
)
async def read_symbol(request: Request, symbol: Name) -> Response:
    """By names as they are known, without asking a provider for coins of the list."""
    gateway, name = gateway_of(request), plain_name(symbol)
    listed: Answer[Market] | None = gateway.status.caches["market"].newest
    listed = listed or await gateway.coins.latest()
    index = gateway.coins.index(listed.data)
    answer: Answer[Any] = listed
    found = index.find(name)
    if found is None and listed.data.ranked:
        answer, found = await gateway.names.resolve(name)
    coin = (found or index.resolve(name)).coin
    document = partial(symbol_info, index, coin, is_stale=answer.stale)
    return await respond(request, answer, ("symbol", name, listed.refresh_id), document)


@router.get("/search", summary="Search symbols", responses=data_responses("rows", examples.SEARCH))
async def search_symbols(
    request: Request,
    query: Annotated[
        str, Query(max_length=LONGEST_NAME, description="part of a name", examples=["BTC"])
    ] = "",
    limit: Annotated[int, Query(ge=1, le=100, description="most rows", examples=[30])] = 30,
    kind: Annotated[
        str,
        Query(alias="type", max_length=LONGEST_NAME, description="kind of symbol", examples=[TYPE]),
    ] = "",
    exchange: Annotated[
        str, Query(max_length=LONGEST_NAME, description="exchange", examples=[EXCHANGE])
    ] = "",
) -> Response:
    """All coins: exact tickers and ids first, then by rank. Without a query the largest coins."""
    gateway, text = gateway_of(request), plain_name(query).strip()
    is_ours = kind.lower() in ("", TYPE) and exchange.upper() in ("", EXCHANGE)
    if not (text and is_ours):
        answer = await gateway.coins.latest()
        largest = partial(_largest, gateway.coins.index(answer.data), limit if is_ours else 0)
        return await respond(request, answer, ("largest", limit, is_ours), largest)
    answer, listed = await gateway.names.to_search()
    index = gateway.coins.index(answer.data)

    def rows() -> list[dict[str, Any]]:
        found = gateway.names.search(answer.data, listed, text, limit)
        return [search_row(index, one) for one in found.rows]

    account_of(request.scope).charge(SEARCH_UNITS - 1)
    selection = "search", text, limit, listed.refresh_ids
    return await respond(request, answer, selection, rows, is_slow=True)


def _largest(index: SymbolIndex, limit: int) -> list[dict[str, Any]]:
    coins = [coin for coin in index.market.coins if coin.id][:limit]
    return [
        search_row(index, Found(str(coin.id), coin.symbol, coin.name or coin.symbol, None, None))
        for coin in coins
    ]


@router.get("/quotes", summary="Quotes", responses=data_responses("rows", examples.QUOTES))
async def read_quotes(
    request: Request,
    symbols: Annotated[
        str,
        Query(
            min_length=1,
            max_length=5_000,
            description="comma list of symbols",
            examples=["BTC,ETH"],
        ),
    ],
) -> Response:
    """Prices in USD with their 24 h changes; `volume` is that of 24 h in USD."""
    gateway, asked = gateway_of(request), comma_list("symbols", symbols)
    names = {one: plain_name(one) for one in asked}
    market = gateway.market
    view = MarketView(names=tuple(dict.fromkeys(names.values())))
    answer, additions = await market.asked(view, account_of(request.scope).charge)
    if answer.stale and answer.age_s > MAX_STALE_QUOTES_S:
        age = f"the newest prices are {answer.age_s:.0f} s old"
        raise AllProvidersFailed(f"{age}: {answer.stale_reason}")
    index = gateway.coins.index(answer.data)

    def rows() -> dict[str, Any]:
        quotes = []
        for one, name in names.items():
            found = additions.coins.get(name) or index.find(name)
            is_open = name in additions.not_looked_up
            reason = "could not be looked up" if is_open else "unknown symbol"
            quotes.append(quote(one, found.coin if found else None, reason=reason))
        return {"s": "ok", "d": quotes}

    return await respond(request, answer, ("quotes", asked, additions.version), rows)
