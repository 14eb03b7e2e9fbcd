"""Trailing slashes: redirects that are right behind any proxy, and never lead to another host."""

from urllib.parse import unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.routes.slashes import MAX_SLASHES, reference_without_slashes
from tests.api.conftest import Serve

FRONTS = ("https://shop.example", "https://shop.example/crypto/v1", "http://localhost:7860")
PATHS = (
    "/api/market",
    "/api/market/BTC",
    "/api/market/BTC/USDT",
    "/api/market/BTC%2FUSDT",
    "/api/market/ohlc",
    "/api/news",
    "/api/sentiment",
    "/api/gas",
    "/api/stream",
    "/api/status",
    "/api/status/explain",
    "/metrics",
    "/healthz",
    "/readyz",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/ws",
)


def scope_of(raw_path: str, query: bytes = b"") -> dict[str, object]:
    path = unquote(raw_path)
    return {"raw_path": raw_path.encode(), "path": path, "query_string": query}


def resolved(base: str, reference: str) -> str:
    """As a client resolves a Location (RFC 3986, 5.2)."""
    return str(httpx.URL(base).join(reference))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PATHS)
async def test_the_reference_is_right_behind_any_proxy(
    reader: httpx.AsyncClient, path: str, method: str
) -> None:
    answer = await reader.request(method, f"{path}/")
    assert answer.status_code == 307
    location = answer.headers["location"]
    for front in FRONTS:
        assert resolved(f"{front}{path}/", location) == f"{front}{path}"


@pytest.mark.parametrize("path", ["/api/gas/", "/api/market/BTC/"])
async def test_a_redirect_keeps_the_query(reader: httpx.AsyncClient, path: str) -> None:
    answer = await reader.get(f"{path}?format=csv")
    wanted = f"https://shop.example/crypto{path.rstrip('/')}?format=csv"
    assert resolved(f"https://shop.example/crypto{path}", answer.headers["location"]) == wanted
    followed = await reader.get(f"{path}?format=csv", follow_redirects=True)
    assert (followed.status_code, followed.headers["content-type"][:8]) == (200, "text/csv")


async def test_a_redirect_never_uses_the_host_header(serve: Serve) -> None:
    for trusted in ("0", "1"):
        client = await serve(TRUST_PROXY=trusted)
        headers = {"Host": "evil.example", "X-Forwarded-Proto": "https"}
        answer = await client.get("/api/gas/", headers=headers)
        assert answer.headers["location"] == "../gas"


@pytest.mark.parametrize(
    "path", ["/nothing/", "//", "//evil.example/", "/%5C%5Cevil.example/", "/assets/docs/", "/%2F"]
)
async def test_unknown_paths_with_a_trailing_slash_are_not_redirected(
    reader: httpx.AsyncClient, path: str
) -> None:
    answer = await reader.get(f"http://gateway.test{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/api/gas/", "/api/market/BTC/"])
async def test_too_many_trailing_slashes_are_not_redirected(
    reader: httpx.AsyncClient, path: str
) -> None:
    answer = await reader.get(path + "/" * MAX_SLASHES)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("raw_path", "reference"),
    [
        ("/api/gas/", "../gas"),
        ("/api/gas//", "../../gas"),
        ("/api/market/BTC%2F", "./BTC"),
        ("/api/market/BTC%2f/", "../BTC"),
        ("/api/market/BTC%2FUSDT/", "../BTC%2FUSDT"),
        ("/api/market//evil.example/", "../evil.example"),
        ("/api/market/\\evil/", "../%5Cevil"),
        ("/api/market/javascript:x/", "../javascript:x"),
        ("/api/market/a#b/", "../a%23b"),
        ("/api/gas", None),
        ("/", None),
        ("//", None),
    ],
)
def test_the_reference_has_only_the_last_segment(raw_path: str, reference: str | None) -> None:
    assert reference_without_slashes(scope_of(raw_path)) == reference


@given(st.binary(max_size=40), st.integers(1, 3), st.binary(max_size=20))
def test_a_reference_is_a_valid_header_and_names_no_host(
    tail: bytes, slashes: int, query: bytes
) -> None:
    raw = b"/api/market/" + tail + b"/" * slashes
    scope = {"raw_path": raw, "path": raw.decode("latin-1"), "query_string": query}
    reference = reference_without_slashes(scope)
    if reference is not None:
        assert reference.isascii()
        assert reference.isprintable()
        assert " " not in reference
        assert reference.startswith(("./", "../"))
        parts = urlsplit(reference)
        assert (parts.scheme, parts.netloc, parts.fragment) == ("", "", "")
