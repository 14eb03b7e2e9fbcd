"""The paths of CoinGecko's API."""

from fastapi import Request, Response

from api.cache.formats import JSON
from api.encoding import to_json
from api.facades.coingecko.dialect import coingecko_router
from api.facades.pass_through import pass_through
from api.facades.vendor_paths import VendorPath, add_paths

router = coingecko_router()

PATHS = (VendorPath("/global", "The whole market", ttl_s=300.0, max_stale_s=3_600.0),)


@router.get("/ping", summary="Whether the gateway serves")
async def ping() -> Response:
    """No call of the vendor."""
    return Response(to_json({"gecko_says": "(V3) To the Moon!"}), media_type=JSON)


async def read_path(request: Request, path: VendorPath) -> Response:
    return await pass_through(request, path.query("coingecko", request))


add_paths(router, PATHS, read_path)
