"""`/openapi.json`, `/docs` and `/redoc`. Their files are in a wheel: browsers ask no other host."""

from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import orjson
from fastapi import Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

from api.cache.body import Body, body_of, respond_with
from api.edge.path_policies import Access, GatewayRouter
from api.edge.problems import problem
from api.edge.response_headers import FRAME_ANCESTORS

router = GatewayRouter(access=Access.PUBLIC, include_in_schema=False)

#: Relative, so that they also work behind a path prefix.
ASSETS = "assets/docs"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
}
#: ReDoc's script loads a logo from redoc.ly; it is removed here.
REDOC = "redoc.standalone.js"
LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
POLICY = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; worker-src blob:; base-uri 'none'; form-action 'none'; "
        + FRAME_ANCESTORS
    )
}


@cache
def _files() -> dict[str, Body]:
    """Swagger UI and ReDoc by name, as fastapi-offline has them; it is never imported."""
    folder = Path(str(distribution("fastapi-offline").locate_file("fastapi_offline/static")))
    contents = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in TYPES}
    contents[REDOC] = contents[REDOC].replace(LOGO, b"data:,")
    return {name: body_of(text, TYPES[Path(name).suffix]) for name, text in contents.items()}


@router.get(f"/{ASSETS}/{{path}}")
async def read_docs_file(request: Request, path: str) -> Response:
    file = _files().get(path)
    if file is None:
        return problem(request, "not_found", "no file of the interactive documentation")
    headers = {"Cache-Control": "max-age=3600", "Vary": "Accept-Encoding"}
    return await respond_with(request, file, headers)


@router.get("/openapi.json")
async def read_openapi(request: Request) -> Response:
    """Encoded once: it takes about 8 ms, for which all other requests would wait."""
    state = request.app.state
    if not hasattr(state, "openapi_json"):
        state.openapi_json = orjson.dumps(request.app.openapi())
    return Response(state.openapi_json, media_type="application/json")


@router.get("/docs")
async def read_docs(request: Request) -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=f"{request.app.title} - try it",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
    )
    page.headers.update(POLICY)
    return page


@router.get("/redoc")
async def read_redoc(request: Request) -> HTMLResponse:
    page = get_redoc_html(
        openapi_url="openapi.json",
        title=f"{request.app.title} - reference",
        redoc_js_url=f"{ASSETS}/{REDOC}",
        redoc_favicon_url=f"{ASSETS}/favicon.png",
        with_google_fonts=False,
    )
    page.headers.update(POLICY)
    return page
