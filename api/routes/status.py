"""The gateway's own state: `/api/status`, `/metrics`, `/healthz`, `/readyz`. Calls no provider."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.cache.formats import JSON
from api.edge.path_policies import Access
from api.edge.problems import problem
from api.encoding import to_json
from api.routes.checked_routes import checked_router
from api.routes.responder import gateway_of
from api.routes.schemas import Health, documented_errors
from api.ws_data_broadcaster import Broadcaster
from backend.models.status import Explanation, GatewayStatus, WebSocketStatus

router = checked_router("operations")
#: For the health probes of the platform.
probes = checked_router("operations", Access.PROBE)
NO_STORE = {"Cache-Control": "no-store"}


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type=JSON, headers=NO_STORE)


@router.get(
    "/api/status",
    operation_id="get_status",
    summary="Providers, categories, recent choices, cache",
    responses={200: {"model": GatewayStatus}, **documented_errors("unknown_parameter")},
)
async def read_status(request: Request) -> Response:
    """The provider of each category, why others are not used, and the last fifty choices."""
    return _json(gateway_of(request).status.overview(_websocket_status(request)))


def _websocket_status(request: Request) -> WebSocketStatus:
    """The stream's, with the clients of a dialect's streams and what they were sent."""
    broadcaster: Broadcaster = request.app.state.broadcaster
    own = broadcaster.counters()
    if request.app.state.raw_streams is None:
        return own
    raw: WebSocketStatus = request.app.state.raw_streams.counters()
    clients, sent = own.clients + raw.clients, own.messages_sent + raw.messages_sent
    return replace(own, clients=clients, messages_sent=sent)


@router.get(
    "/api/status/explain",
    operation_id="explain_choice",
    summary="Which provider would be used, and why not the others?",
    responses={
        200: {"model": Explanation},
        **documented_errors("invalid_parameter", "unknown_parameter"),
    },
)
async def read_explanation(
    request: Request,
    category: Annotated[
        str, Query(max_length=20, description="market, ohlc, news …", examples=["ohlc"])
    ] = "market",
) -> Response:
    """For the category's default query, now. Calls no provider, and changes no rotation."""
    return _json(gateway_of(request).status.explain(category))


@router.get(
    "/metrics",
    operation_id="get_metrics",
    summary="Metrics for Prometheus",
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **documented_errors("unknown_parameter"),
    },
)
async def read_metrics(request: Request) -> Response:
    """Requests, calls, provider states, quotas, caches, the stream and the process. With several
    workers, of all workers of the machine, by the label `process`."""
    gateway = gateway_of(request)
    workers = gateway.worker_metrics
    text = await workers.read() if workers else generate_latest(gateway.metrics)
    return Response(text, media_type=CONTENT_TYPE_LATEST, headers=NO_STORE)


@probes.get(
    "/healthz",
    operation_id="get_health",
    summary="Is the process serving?",
    responses={200: {"model": Health}, **documented_errors("unknown_parameter")},
)
async def read_health(request: Request) -> Response:
    """200 while the process serves."""
    return _json({"status": "ok"})


@probes.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Can market data be served?",
    responses={200: {"model": Health}, **documented_errors("unknown_parameter", "not_ready")},
)
async def read_readiness(request: Request) -> Response:
    """200 when this process has a usable provider or a warm cache, else 503."""
    if gateway_of(request).status.is_ready():
        return _json({"status": "ready"})
    return problem(request, "not_ready", "no market provider is usable and the cache is cold")
