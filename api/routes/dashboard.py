"""`/`: the dashboard, from files beside this package and one script of an installed wheel."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.metadata import distribution
from pathlib import Path

from fastapi import Request, Response

from api.cache.body import Body, body_of, respond_with
from api.edge.path_policies import Access, GatewayRouter
from api.edge.problems import problem
from api.edge.response_headers import FRAME_ANCESTORS

#: Relative, so that it also works behind a path prefix.
ASSETS = "assets/dashboard"
FOLDER = Path(__file__).resolve().parent.parent / "dashboard"
PAGE = "index.html"
#: TradingView's own file, as the wheel has it; the page pins its content by a hash (SRI).
CHARTS = "lightweight-charts.js"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: Only files of this host, no scripts inside the page; and the hosts that may frame it.
POLICY = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        + FRAME_ANCESTORS
    )
}
#: The URL of a file changes with its content; that of the page does not.
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The page and its files by name. `version` changes with the content of any of them."""

    page: Body
    files: Mapping[str, Body]
    version: str


router = GatewayRouter(access=Access.PUBLIC, include_in_schema=False)


@router.get("/")
async def read_dashboard(request: Request) -> Response:
    headers = {"Cache-Control": REVALIDATE, "Vary": "Accept-Encoding", **POLICY}
    return await respond_with(request, dashboard().page, headers)


@router.get(f"/{ASSETS}/{{version}}/{{name}}")
async def read_dashboard_file(request: Request, version: str, name: str) -> Response:
    """Only of the running version: files of two versions do not fit together."""
    file = dashboard().files.get(name) if version == dashboard().version else None
    if file is None:
        return problem(request, "not_found", "no file of this version of the dashboard")
    headers = {"Cache-Control": IMMUTABLE, "Vary": "Accept-Encoding"}
    return await respond_with(request, file, headers)


@cache
def dashboard() -> Dashboard:
    """Read once per process."""
    paths = [path for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES]
    contents = {path.name: path.read_bytes() for path in [*paths, charts_script()]}
    version = blake2b(b"".join(contents.values()), digest_size=8).hexdigest()
    page = contents.pop(PAGE).replace(f"{ASSETS}/".encode(), f"{ASSETS}/{version}/".encode())
    files = {name: _body(name, content) for name, content in contents.items()}
    return Dashboard(_body(PAGE, page), files, version)


def charts_script() -> Path:
    """The script's path; its package is never imported."""
    return Path(str(distribution("litecharts").locate_file(f"litecharts/js/{CHARTS}")))


def _body(name: str, content: bytes) -> Body:
    return body_of(content, TYPES[Path(name).suffix])
