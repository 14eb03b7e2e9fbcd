"""`/widgets.json`: makes the gateway a backend of OpenBB Workspace, whose charts ask `/udf`."""

from fastapi import Response

from api.cache.formats import JSON
from api.edge.path_policies import GatewayRouter
from api.encoding import to_json
from api.routes.schemas import FACADE_TAG, documented_errors

router = GatewayRouter(tags=[FACADE_TAG])
#: The chart asks again after this time, in milliseconds.
UPDATE_MS = 60_000
WIDGETS = {
    "crypto_chart": {
        "name": "Crypto chart",
        "description": "Candles of any coin, from the first provider that answers.",
        "category": "Crypto",
        "type": "advanced_charting",
        "endpoint": "/udf",
        "gridData": {"w": 20, "h": 20},
        "data": {"defaultSymbol": "BTC", "updateFrequency": UPDATE_MS},
    }
}


@router.get(
    "/widgets.json",
    summary="Widgets of OpenBB Workspace",
    response_class=Response,
    responses={
        200: {"description": "by their ids", "content": {JSON: {"example": WIDGETS}}},
        **documented_errors("unauthorized", "rate_limited"),
    },
)
async def read_widgets() -> Response:
    """One chart over `/udf`, for *Connect backend* in OpenBB Workspace."""
    return Response(to_json(WIDGETS), media_type=JSON, headers={"Cache-Control": "no-store"})
