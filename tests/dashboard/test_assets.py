"""The page's files over HTTP: types, caching, compression, and what they may refer to."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from api.routes.pages import FOLDER, POLICY, charts_script, dashboard
from backend.environment.forms import FACADES
from backend.identity.currencies import CURRENCIES
from backend.models.chains import CHAINS
from backend.providers.registry import REGISTRY
from tests.api.conftest import client, serve, surroundings, world
from tests.api.test_compression import UNPACK

__all__ = ["client", "serve", "surroundings", "world"]

#: TradingView Lightweight Charts 5.1.0 as its makers published it.
CHARTS_SHA256 = "756b0ba9f58930226d6b8b9d47ad310448ab85d799ea1f7c2c02304777c10b52"
SOURCES = sorted(FOLDER.glob("*.js"))


def links(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="(assets/[^"]+)"', page)


async def test_the_page_is_revalidated_on_each_visit(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    again = await client.get("/", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"].startswith("default-src 'self';")


async def test_the_page_names_addresses_of_served_paths_only(client: httpx.AsyncClient) -> None:
    table = re.search(r"PROTOCOLS = \{(.*?)\n\};", (FOLDER / "addresses.js").read_text(), re.DOTALL)
    assert table is not None
    named = dict(re.findall(r'(\w+): \["[^"]+", "([^"]+)"', table[1]))
    assert set(named) == set(FACADES)
    paths = (await client.get("/openapi.json")).json()["paths"]
    for prefix in named.values():
        assert any(path == f"/{prefix}" or path.startswith(f"/{prefix}/") for path in paths), prefix
    assert f'data-facades="{" ".join(FACADES)}"' in (await client.get("/")).text


async def test_assets_are_immutable_under_a_versioned_url(
    client: httpx.AsyncClient,
) -> None:
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    paths = links((await client.get("/")).text)
    assert len(paths) == len(dashboard().files)
    for path in paths:
        answer = await client.get(f"/{path}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith(types[path.rpartition(".")[2]])


@pytest.mark.parametrize("path", ["0123456789abcdef/app.js", "{version}/nothing.js"])
async def test_a_file_of_another_version_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    path = path.replace("{version}", dashboard().version)
    answer = await client.get(f"/assets/dashboard/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("offered", "encoding"),
    [
        ("gzip, deflate, br", "br"),
        ("br;q=0.5, gzip", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=abc", None),
        ("identity", None),
    ],
)
async def test_files_are_compressed_as_the_client_accepts(
    client: httpx.AsyncClient, offered: str, encoding: str | None
) -> None:
    path = f"/assets/dashboard/{dashboard().version}/app.js"
    answer = await client.get(path, headers={"Accept-Encoding": offered})
    assert answer.headers.get("content-encoding") == encoding
    assert "Accept-Encoding" in answer.headers["vary"]
    assert answer.content == (FOLDER / "app.js").read_bytes()


async def test_each_variant_has_a_tag_of_its_own(client: httpx.AsyncClient) -> None:
    tags = {
        (await client.get("/", headers={"Accept-Encoding": offered})).headers["etag"]
        for offered in ("gzip", "identity")
    }
    assert len(tags) == 2


def test_the_chart_library_is_the_published_file() -> None:
    content = charts_script().read_bytes()
    assert sha256(content).hexdigest() == CHARTS_SHA256
    assert dashboard().files["lightweight-charts.js"].content == content


def test_the_page_has_an_integrity_hash_of_the_chart_library() -> None:
    pinned = b64encode(bytes.fromhex(CHARTS_SHA256)).decode()
    page = (FOLDER / "index.html").read_text()
    tag = re.search(r"<script defer[^>]*lightweight-charts[^>]*>", page)
    assert tag is not None
    assert f'integrity="sha256-{pinned}"' in tag.group()


def test_the_page_has_no_inline_script_and_only_relative_urls() -> None:
    page = (FOLDER / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", page) == []
    assert re.findall(r"\son\w+=", page) == []
    loaded = re.sub(r"<a [^>]*>", "", page)  # where a reader may go is not what the page asks
    addresses = re.findall(r'(?:src|href)="([^"]*)"', loaded)
    assert [one for one in addresses if one.startswith("/") or ":" in one] == []


def test_every_module_is_preloaded() -> None:
    page = (FOLDER / "index.html").read_text()
    named = {path.rpartition("/")[2] for path in links(page) if path.endswith(".js")}
    assert '<script src="assets/dashboard/theme.js"></script>' in page, "it runs before the paint"
    assert named == {path.name for path in SOURCES} | {"lightweight-charts.js"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_module_creates_markup_from_text(path: Path) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    text = path.read_text()
    assert re.findall(forbidden, text) == []
    stores = set(re.findall(r"localStorage|sessionStorage|indexedDB|document\.cookie", text))
    assert stores == ({"localStorage"} if path.name in {"storage.js", "theme.js"} else set())


def test_the_page_offers_the_currencies_and_chains_of_the_gateway() -> None:
    codes = re.search(r"CODES = \((.*?)\)", (FOLDER / "currency.js").read_text(), re.DOTALL)
    assert codes is not None
    assert tuple(re.findall(r"\b[A-Z]{3}\b", codes[1])) == CURRENCIES
    page = (FOLDER / "index.html").read_text()
    chains = re.search(r'<select id="chain".*?</select>', page, re.DOTALL)
    assert chains is not None
    assert re.findall(r'<option value="(\w+)"', chains[0]) == list(CHAINS)


def test_the_page_has_a_name_for_each_provider() -> None:
    table = re.search(r"NAMES = \{(.*?)\}", (FOLDER / "names.js").read_text(), re.DOTALL)
    assert table is not None
    names = dict(re.findall(r'(\w+): "([^"]+)"', table[1]))
    assert set(names) == {spec.name for spec in REGISTRY}
    assert len(set(names.values())) == len(names), "two providers of one name"


def test_the_page_knows_of_how_many_blocks_fees_are_estimated() -> None:
    table = re.search(r"HISTORY_BLOCKS = \{(.*?)\}", (FOLDER / "gas.js").read_text())
    assert table is not None
    blocks = {name: int(count) for name, count in re.findall(r"(\w+): (\d+)", table[1])}
    traits = CHAINS.items()
    assert blocks == {name: one.history_blocks for name, one in traits if one.history_blocks}


@pytest.mark.parametrize("coding", UNPACK)
async def test_the_compressed_files_are_the_files(coding: str) -> None:
    for asset in dashboard().files.values():
        assert UNPACK[coding](await asset.in_coding(coding)) == asset.content


@pytest.mark.parametrize("accepts", ["gzip;q=abc", "gzip;q=", "gzip;q=1e999", "gzip;q=nan"])
async def test_an_invalid_quality_value_is_ignored(client: httpx.AsyncClient, accepts: str) -> None:
    answer = await client.get("/", headers={"Accept-Encoding": accepts})
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers


async def test_an_etag_is_compared_as_a_whole(client: httpx.AsyncClient) -> None:
    tag = (await client.get("/")).headers["etag"]
    other = await client.get("/", headers={"If-None-Match": f'"x{tag[1:]}, "{tag[1:-1]}x"'})
    assert other.status_code == 200


def test_the_content_security_policy_allows_only_this_origin() -> None:
    policy = POLICY["Content-Security-Policy"].split("; ")
    inner = [part for part in policy if not part.startswith("frame-ancestors")]
    assert "default-src 'self'" in inner
    assert "script-src 'self'" in inner
    assert not any("http" in part or "*" in part for part in inner)
