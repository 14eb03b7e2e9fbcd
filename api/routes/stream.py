"""`/ws` and `/api/stream`: the same stream by WebSocket and by Server-Sent Events."""

from typing import Annotated

from fastapi import Query, Request, Response, WebSocket

from api.edge.client_limits import account_of
from api.edge.path_policies import Access, GatewayRouter
from api.edge.problems import problem
from api.routes.checked_routes import checked_router
from api.routes.parameters import check, choice, refuse_others
from api.routes.schemas import SYMBOL_ERRORS, documented_errors
from api.stream.broadcaster import Broadcaster
from api.stream.clients import SSE_HEADERS, EventStream, WebSocketSession
from api.stream.commands import CommandError, Subscribe, subscriptions_in_query
from api.stream.protocol import CHANNELS
from backend.errors import InvalidParameter
from backend.models.chains import CHAINS
from backend.models.ohlc import Interval

#: Public to the edge: browsers send their key as the first message, after the handshake.
router = GatewayRouter(access=Access.PUBLIC, tags=["stream"])
events_router = checked_router("stream")

#: Query parameters of `/ws`, the same as those of `/api/stream`.
PARAMETERS = ("channels", "symbols", "interval", "chain")


@router.websocket("/ws")
async def read_websocket(websocket: WebSocket) -> None:
    """The protocol is described in docs/stream.md."""

    def read_query() -> tuple[Subscribe, ...]:
        query = websocket.query_params
        check(query, PARAMETERS)
        return subscriptions_in_query(*map(query.get, PARAMETERS))

    await WebSocketSession(websocket, read_query).run()


@router.get("/ws", include_in_schema=False)
async def read_without_upgrade(request: Request) -> Response:
    """For a browser's address line, or a proxy that does not pass the upgrade on."""
    detail = "this path requires a WebSocket upgrade; /api/stream sends the same by plain HTTP"
    return problem(request, "upgrade_required", detail, headers={"Upgrade": "websocket"})


@events_router.get(
    "/api/stream",
    operation_id="stream_events",
    summary="The stream, as Server-Sent Events",
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **documented_errors(*SYMBOL_ERRORS, "unsupported", "too_many_clients"),
    },
)
async def read_stream(
    request: Request,
    channels: Annotated[
        str,
        Query(
            max_length=200,
            description=f"comma list of {', '.join(CHANNELS)}",
            examples=["market,gas"],
        ),
    ] = "market",
    symbols: Annotated[
        str | None,
        Query(
            max_length=5_000,
            description="comma list, for market, ohlc and news; all if left out",
            examples=["BTC,ETH"],
        ),
    ] = None,
    interval: Annotated[
        Interval | None, Query(description="interval of the candles, for ohlc", examples=["1h"])
    ] = None,
    chain: Annotated[
        str | None,
        choice("chain of the fees, for gas, in any case; ethereum if left out", tuple(CHAINS)),
    ] = None,
) -> Response:
    """Each event has its channel's name, `seq` as its id, and a WebSocket message as its data.

    A client that reconnects with `Last-Event-ID` gets a snapshot, like every new client.
    """
    broadcaster: Broadcaster = request.app.state.broadcaster
    refuse_others("chain", chain, tuple(CHAINS))
    try:
        commands = subscriptions_in_query(channels, symbols, interval, chain)
        await broadcaster.validate(commands, account_of(request.scope))
    except CommandError as rejection:
        raise InvalidParameter("channels", str(rejection)) from None
    if request.scope.get("is_head"):
        return Response(headers=SSE_HEADERS)
    return EventStream(request, commands)
