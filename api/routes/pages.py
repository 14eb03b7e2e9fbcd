"""The pages: the dashboard at `/`, and `/docs`, `/redoc` and `/openapi.json`.

Browsers ask no other host: the files are in this repository or in an installed wheel, of which only
the files are used. References are relative, so that they also work behind a path prefix.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.metadata import distribution
from pathlib import Path

import orjson
from fastapi import Request, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse

from api.cache.body import Body, body_of, respond_with
from api.edge.path_policies import Access, GatewayRouter
from api.edge.problems import problem
from api.edge.response_headers import FRAME_ANCESTORS

router = GatewayRouter(access=Access.PUBLIC, include_in_schema=False)
#: The dashboard: a reader who opens it has not used up what programs may ask for.
page_router = GatewayRouter(access=Access.PAGE, include_in_schema=False)

ASSETS, DOCS_ASSETS = "assets/dashboard", "assets/docs"
FOLDER = Path(__file__).resolve().parent.parent / "dashboard"
PAGE = "index.html"
#: In the page's file; a gateway writes the names of its facades there.
NO_FACADES = b'data-facades=""'
#: TradingView's own file, as the wheel has it; the page pins its content by a hash (SRI).
CHARTS = "litecharts/js/lightweight-charts.js"
#: ReDoc's script loads a logo from redoc.ly; it is removed here.
REDOC = "redoc.standalone.js"
LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
#: The URL of a dashboard's file changes with its content; that of the page does not.
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"


def _policy(scripts: str) -> dict[str, str]:
    """Only files of this host; and the hosts that may frame the page."""
    policy = (
        f"default-src 'self'; {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        f"base-uri 'none'; form-action 'none'; {FRAME_ANCESTORS}"
    )
    return {"Content-Security-Policy": policy}


#: The dashboard has no scripts inside the page.
POLICY = _policy("script-src 'self'; connect-src 'self'")
DOCS_POLICY = _policy("script-src 'self' 'unsafe-inline'; worker-src blob:")


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The page and its files by name. `version` changes with the content of any of them."""

    page: bytes
    files: Mapping[str, Body]
    version: str


@cache
def dashboard() -> Dashboard:
    contents = _contents([*FOLDER.iterdir(), charts_script()])
    version = blake2b(b"".join(contents.values()), digest_size=8).hexdigest()
    page = contents.pop(PAGE).replace(f"{ASSETS}/".encode(), f"{ASSETS}/{version}/".encode())
    return Dashboard(page, _bodies(contents), version)


@cache
def page_of(facades: tuple[str, ...]) -> Body:
    """The page, which names the addresses of these facades."""
    named = f'data-facades="{" ".join(facades)}"'.encode()
    return body_of(dashboard().page.replace(NO_FACADES, named), TYPES[".html"])


@cache
def _docs_files() -> dict[str, Body]:
    """Swagger UI and ReDoc by name, as fastapi-offline has them."""
    folder = distribution("fastapi-offline").locate_file("fastapi_offline/static")
    contents = _contents(Path(str(folder)).iterdir())
    contents[REDOC] = contents[REDOC].replace(LOGO, b"data:,")
    return _bodies(contents)


def charts_script() -> Path:
    return Path(str(distribution("litecharts").locate_file(CHARTS)))


def _contents(paths: Iterable[Path]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(paths) if path.suffix in TYPES}


def _bodies(contents: Mapping[str, bytes]) -> dict[str, Body]:
    return {name: body_of(text, TYPES[Path(name).suffix]) for name, text in contents.items()}


@page_router.get("/")
async def read_dashboard(request: Request) -> Response:
    headers = {"Cache-Control": REVALIDATE, "Vary": "Accept-Encoding", **POLICY}
    return await respond_with(request, page_of(request.app.state.facades), headers)


@page_router.get(f"/{ASSETS}/{{version}}/{{name}}")
async def read_dashboard_file(request: Request, version: str, name: str) -> Response:
    """Only of the running version: files of two versions do not fit together."""
    file = dashboard().files.get(name) if version == dashboard().version else None
    return await _respond(request, file, IMMUTABLE)


@router.get(f"/{DOCS_ASSETS}/{{path}}")
async def read_docs_file(request: Request, path: str) -> Response:
    return await _respond(request, _docs_files().get(path), "max-age=3600")


async def _respond(request: Request, file: Body | None, cache_control: str) -> Response:
    if file is None:
        return problem(request, "not_found", "no file of this version of the page")
    headers = {"Cache-Control": cache_control, "Vary": "Accept-Encoding"}
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
        swagger_js_url=f"{DOCS_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{DOCS_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{DOCS_ASSETS}/favicon.png",
        # Groups begin closed: Swagger UI draws a hundred open paths anew at each click.
        swagger_ui_parameters={"docExpansion": "none", "defaultModelsExpandDepth": 0},
    )
    page.headers.update(DOCS_POLICY)
    return page


@router.get("/redoc")
async def read_redoc(request: Request) -> HTMLResponse:
    page = get_redoc_html(
        openapi_url="openapi.json",
        title=f"{request.app.title} - reference",
        redoc_js_url=f"{DOCS_ASSETS}/{REDOC}",
        redoc_favicon_url=f"{DOCS_ASSETS}/favicon.png",
        with_google_fonts=False,
    )
    page.headers.update(DOCS_POLICY)
    return page
