"""`/`: the dashboard, from files beside this package and one script inside an installed wheel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request, Response

from api.cache.compression import LEAST_BYTES, coding_for, compressed
from api.cache.etags import etag_of, matches
from api.cache.field_values import field_value
from api.edge.problems import problem
from api.edge.security_headers import FRAMERS

#: Relative, so that it also works behind a path prefix.
ASSETS = "assets/dashboard"
FOLDER = Path(__file__).resolve().parent.parent / "dashboard"
PAGE = "index.html"
#: TradingView's own file, as the wheel carries it; the page's SRI pins its content.
CHARTS = "lightweight-charts.js"

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: Nothing from elsewhere, no script inside the page; and who may show it in a frame.
POLICY = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; " + FRAMERS
    )
}
#: The address of a file changes with its content; that of the page does not.
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, ready to send; `coded` holds it as compressed so far, by coding."""

    content: bytes
    media_type: str
    digest: str
    coded: dict[str, bytes] = field(default_factory=dict)

    def body(self, coding: str) -> bytes:
        """Compressed once in the process's life: the largest file takes 5 ms."""
        if not coding:
            return self.content
        if coding not in self.coded:
            self.coded[coding] = compressed(self.content, coding)
        return self.coded[coding]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The page, and what it is made of by name; `version` stands for the content of it all."""

    page: Asset
    files: Mapping[str, Asset]
    version: str


router = APIRouter(include_in_schema=False)


@router.get("/")
async def read_dashboard(request: Request) -> Response:
    answer = _respond(request, dashboard().page, ASK_AGAIN)
    answer.headers.update(POLICY)
    return answer


@router.get(f"/{ASSETS}/{{version}}/{{name}}")
async def read_dashboard_file(request: Request, version: str, name: str) -> Response:
    """Of the version that runs only: parts of two versions don't fit together."""
    asset = dashboard().files.get(name) if version == dashboard().version else None
    if asset is None:
        return problem(request, "not_found", "no file of this version of the dashboard")
    return _respond(request, asset, FOREVER)


@cache
def dashboard() -> Dashboard:
    """Read once in the process's life."""
    paths = [path for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES]
    contents = {path.name: path.read_bytes() for path in [*paths, charts_script()]}
    version = _digest(b"".join(contents.values()))
    page = contents.pop(PAGE).replace(f"{ASSETS}/".encode(), f"{ASSETS}/{version}/".encode())
    files = {name: _asset(name, content) for name, content in contents.items()}
    return Dashboard(_asset(PAGE, page), files, version)


def charts_script() -> Path:
    """Located, never imported."""
    spec = find_spec("litecharts")
    assert spec is not None, "the package litecharts is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent / "js" / CHARTS


def _asset(name: str, content: bytes) -> Asset:
    return Asset(content, TYPES[Path(name).suffix], _digest(content))


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()


def _respond(request: Request, asset: Asset, cache_control: str) -> Response:
    accepted = field_value(request.headers, "accept-encoding")
    coding = coding_for(accepted, is_small=len(asset.content) < LEAST_BYTES)
    headers = {
        "Cache-Control": cache_control,
        "ETag": etag_of(asset.digest, coding),
        "Vary": "Accept-Encoding",
    }
    if matches(field_value(request.headers, "if-none-match"), asset.digest):
        return Response(status_code=304, headers=headers)
    if coding:
        headers["Content-Encoding"] = coding
    return Response(asset.body(coding), media_type=asset.media_type, headers=headers)
