"""`/openapi.json`, `/docs` and `/redoc`, whose assets are in a wheel: no outside host is asked."""

from importlib.util import find_spec
from pathlib import Path

import orjson
from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from api.edge.security_headers import FRAMERS

router = APIRouter(include_in_schema=False)

#: Relative, so that they also work behind a path prefix.
ASSETS = "assets/docs"
#: ReDoc's script shows a logo from its maker's host, unless that is none.
REDOC = f"{ASSETS}/redoc.standalone.js"
LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
POLICY = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; worker-src blob:; base-uri 'none'; form-action 'none'; " + FRAMERS
    )
}


def _folder() -> Path:
    """Swagger UI and ReDoc as fastapi-offline carries them; located, never imported."""
    spec = find_spec("fastapi_offline")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static"


def docs_assets() -> StaticFiles:
    return StaticFiles(directory=_folder())


@router.get(f"/{REDOC}")
def read_redoc_script() -> Response:
    """As its makers published it, but for the logo: no outside host is asked."""
    script = (_folder() / "redoc.standalone.js").read_bytes().replace(LOGO, b"data:,")
    return Response(script, media_type="text/javascript", headers={"Cache-Control": "max-age=3600"})


@router.get("/openapi.json")
async def read_openapi(request: Request) -> Response:
    """Encoded once: it takes some 8 ms, which all others would wait for."""
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
        redoc_js_url=REDOC,
        redoc_favicon_url=f"{ASSETS}/favicon.png",
        with_google_fonts=False,
    )
    page.headers.update(POLICY)
    return page
