"""`/api/sentiment`: the Fear & Greed index."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.cache.formats import Format, encoder
from api.routes.common import PROVIDER_ERRORS, TableFormat, documented, gateway_of, responder_of
from api.routes.parameters import CheckedRoute
from backend.models.sentiment import FearGreed
from backend.services.sentiment import MOST_DAYS

router = APIRouter(tags=["sentiment"], route_class=CheckedRoute, default_response_class=Response)


@router.get(
    "/api/sentiment",
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
    gateway = gateway_of(request)
    answer = await gateway.sentiment.latest()
    return await responder_of(request).respond(
        request,
        answer,
        ("sentiment", days, format),
        lambda: gateway.sentiment.cut(answer, days),
        encode=encoder(format, FearGreed),
    )
