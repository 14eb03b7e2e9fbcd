"""The addresses of Binance's streams."""

from fastapi import Request, Response, WebSocket

from api.edge.problems import problem
from api.facades.binance.dialect import binance_router
from api.facades.binance.streams.session import StreamSession

router = binance_router()


@router.websocket("/ws")
async def read_without_names(websocket: WebSocket) -> None:
    """Frames without an envelope, of the streams that the client's commands name."""
    await StreamSession(websocket, "", is_combined=False).run()


@router.websocket("/ws/{streams:path}")
async def read_streams(websocket: WebSocket, streams: str) -> None:
    """As without names, and the streams of the path from the start."""
    await StreamSession(websocket, streams, is_combined=False).run()


@router.websocket("/stream")
async def read_combined(websocket: WebSocket) -> None:
    """Frames in an envelope with the name of their stream."""
    names = "/".join(websocket.query_params.getlist("streams"))
    await StreamSession(websocket, names, is_combined=True).run()


@router.get("/ws", include_in_schema=False)
@router.get("/ws/{streams:path}", include_in_schema=False)
@router.get("/stream", include_in_schema=False)
async def read_without_upgrade(request: Request) -> Response:
    """For a browser's address line, or a proxy that does not pass the upgrade on."""
    detail = "this path requires a WebSocket upgrade"
    return problem(request, "upgrade_required", detail, headers={"Upgrade": "websocket"})
