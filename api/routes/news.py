"""`/api/news`: articles of the last 72 hours from every provider."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import Query, Request, Response

from api.cache.formats import Format, encoder
from api.routes.checked_routes import checked_router
from api.routes.parameters import Instant, TableFormat, comma_list
from api.routes.responder import gateway_of, responder_of
from api.routes.schemas import PROVIDER_ERRORS, documented
from backend.models.news import Article, NewsQuery, Sentiment
from backend.services.instants import parse_instant
from backend.services.news.view import MOST_ARTICLES, NewsView

router = checked_router("news")


@router.get(
    "/api/news",
    operation_id="list_news",
    summary="News",
    responses=documented("NewsEnvelope", list[Article], *PROVIDER_ERRORS),
)
async def read_news(
    request: Request,
    limit: Annotated[
        int, Query(ge=1, le=MOST_ARTICLES, description="largest number of articles", examples=[10])
    ] = 50,
    symbols: Annotated[
        str | None,
        Query(
            max_length=1_000, description="comma list of ids or symbols", examples=["BTC,ethereum"]
        ),
    ] = None,
    source: Annotated[
        str | None,
        Query(
            max_length=200, description="publisher or provider", examples=["CoinDesk", "newsapi"]
        ),
    ] = None,
    sentiment: Annotated[
        Sentiment | None, Query(description="mood of headline and summary", examples=["positive"])
    ] = None,
    since: Instant = None,
    format: TableFormat = Format.JSON,
) -> Response:
    """Articles, newest first, without duplicates. Parameters cause no calls to providers.

    One publisher has at most a third of a page while others have articles of the same 24 hours.
    """
    gateway = gateway_of(request)
    names = comma_list("symbols", symbols)
    earliest = (
        datetime.fromtimestamp(parse_instant("since", since) / 1000, UTC)
        if since is not None
        else None
    )
    answer = await gateway.news.fetch(NewsQuery())
    if names:  # their meaning depends on the market, of which no validity is at hand
        answer = answer.depending_on(None)
    view = NewsView(limit, gateway.coins.tickers(names), source, sentiment, earliest)
    page, encode = partial(view.pick, answer.data), encoder(format, Article)
    return await responder_of(request).respond(
        request, answer, ("news", view, format), page, encode
    )
