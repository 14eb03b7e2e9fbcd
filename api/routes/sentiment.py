"""`/api/sentiment`: the Fear & Greed index."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.responses import json_envelope
from api.routes.common import ASKING, Responds, Served, documented
from api.schemas import SentimentEnvelope
from backend.services.sentiment import MOST_DAYS

router = APIRouter(tags=["sentiment"])


@router.get(
    "/api/sentiment",
    summary="Fear & Greed",
    responses=documented(SentimentEnvelope, *ASKING),
    response_class=Response,
)
async def read_sentiment(
    request: Request,
    gateway: Served,
    responder: Responds,
    days: Annotated[
        int, Query(ge=1, le=MOST_DAYS, description="the newest so many", examples=[7])
    ] = 1,
) -> Response:
    """Days of one maker's index, newest first, with the attribution that it asks for."""
    answer = await gateway.sentiment.latest()
    return await responder.respond(
        request,
        answer,
        ("sentiment", days),
        lambda: gateway.sentiment.cut(answer, days),
        encode=json_envelope,
    )
