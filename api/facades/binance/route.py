"""The paths of Binance's API."""

from fastapi import Request, Response

from api.cache.formats import JSON
from api.facades.binance.dialect import binance_router
from api.facades.pass_through import pass_through
from api.facades.vendor_paths import Parameter, VendorPath, add_paths, as_sent

router = binance_router()

PATHS = (
    VendorPath(
        "/api/v3/avgPrice",
        "The average price of a symbol",
        ttl_s=2.0,
        max_stale_s=0.0,
        parameters={"symbol": Parameter(as_sent, "pair", "BTCUSDT")},
        weight=2,
    ),
)


@router.get("/api/v3/ping", summary="Whether the gateway serves")
async def ping() -> Response:
    """No call of the vendor."""
    return Response(b"{}", media_type=JSON)


async def read_path(request: Request, path: VendorPath) -> Response:
    return await pass_through(request, path.query("binance", request))


add_paths(router, PATHS, read_path)
