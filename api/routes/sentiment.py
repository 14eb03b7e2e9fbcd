"""`/api/sentiment`: the Fear & Greed index."""

from functools import partial
from typing import Annotated

from fastapi import Query, Request, Response

from api.cache.formats import Format, encoder
from api.routes.checked_routes import checked_router
from api.routes.parameters import TableFormat
from api.routes.responder import gateway_of, responder_of
from api.routes.schemas import PROVIDER_ERRORS, documented
from backend.models.sentiment import FearGreed, SentimentQuery
from backend.services.sentiment import MOST_DAYS, newest_days

router = checked_router("sentiment")


@router.get(
    "/api/sentiment",
    operation_id="list_sentiment",
    summary="Fear & Greed",
    responses=documented("SentimentEnvelope", list[FearGreed], *PROVIDER_ERRORS),
)
async def read_sentiment(
    request: Request,
    days: Annotated[
        int, Query(ge=1, le=MOST_DAYS, description="number of newest days", examples=[7])
    ] = 1,
    format: TableFormat = Format.JSON,
) -> Response:
    """Days of one provider's index, newest first, with the attribution that it requires."""
    answer = await gateway_of(request).sentiment.fetch(SentimentQuery())
    page, encode = partial(newest_days, answer, days), encoder(format, FearGreed)
    return await responder_of(request).respond(
        request, answer, ("sentiment", days, format), page, encode
    )
