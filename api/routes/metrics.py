"""`/metrics`: metrics in Prometheus' text format. No calls to providers."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.routes.common import documented_errors, gateway_of
from api.routes.parameters import CheckedRoute
from api.routes.status import NO_STORE

router = APIRouter(tags=["operations"], route_class=CheckedRoute)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **documented_errors("unknown_parameter"),
    },
    response_class=Response,
)
async def read_metrics(request: Request) -> Response:
    """Requests, calls, provider states, quotas, caches, the stream and the process."""
    text = generate_latest(gateway_of(request).metrics)
    return Response(text, media_type=CONTENT_TYPE_LATEST, headers=NO_STORE)
