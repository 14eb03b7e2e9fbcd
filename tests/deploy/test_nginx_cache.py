"""docs/deploy/nginx.conf before a real gateway: what is answered from the cache, and what never."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from api.edge.access_control import KEY_HEADERS
from api.edge.path_policies import KeyPlaces
from api.facades.binance.dialect import KEY_PLACES as BINANCE
from api.facades.coingecko.dialect import KEY_PLACES as COINGECKO
from tests.deploy.nginx import HIT, Front, front, hit, needs_nginx, raw

pytestmark = [needs_nginx, pytest.mark.asyncio(loop_scope="module")]
KEY = "gateway-key-of-a-test"
#: Headers that differ by request, or that nginx adds or is allowed to change.
OF_REQUEST = {"age", "date", "ratelimit", "x-cache", "x-request-id"}
OF_NGINX = {"server", "connection", "cache-status"}
PLACES: tuple[KeyPlaces, ...] = (BINANCE, COINGECKO)
KEYED_HEADERS = sorted({*KEY_HEADERS, *(name for one in PLACES for name in one.headers)})
KEYED_PARAMETERS = sorted({name for one in PLACES for name in one.parameters})
PRICE = "/coingecko/api/v3/simple/price?ids=bitcoin&vs_currencies=usd"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("open"), CLIENT_RATE_LIMIT="100000/minute") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def locked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("locked"), GATEWAY_API_KEYS=KEY) as opened:
        yield opened


def own(response: httpx.Response) -> dict[str, str]:
    left_out = OF_REQUEST | OF_NGINX
    return {name: text for name, text in response.headers.items() if name not in left_out}


def is_hit(response: httpx.Response) -> bool:
    return bool(response.headers["cache-status"] == HIT)


async def test_a_hit_does_not_reach_the_gateway(served: Front) -> None:
    before = await served.answered("/api/market")
    got = [await served.proxy.client.get("/api/market?limit=7") for _ in range(20)]
    hits = sum(map(is_hit, got))
    assert hits > 0
    assert await served.answered("/api/market") - before == len(got) - hits
    assert {response.status_code for response in got} == {200}


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", ""),
        ("identity", ""),
        ("deflate", ""),
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("GZIP,BR", "br"),
        ("gzip, deflate", "gzip"),
    ],
)
async def test_a_hit_has_the_bytes_and_headers_of_the_gateway(
    served: Front, accepted: str, coding: str
) -> None:
    headers = {"Accept-Encoding": accepted} if accepted else {}
    copy, body = await hit(served.proxy.client, "/api/market", headers)
    answer, direct = await raw(served.gateway.client, "/api/market", headers)
    assert (copy.headers.get("content-encoding", ""), body) == (coding, direct)
    assert own(copy) == own(answer)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("*", "zstd"),
        ("identity;q=1, *;q=0", ""),
    ],
)
async def test_weights_of_codings_are_left_to_the_gateway(
    served: Front, accepted: str, coding: str
) -> None:
    for _ in range(3):
        answer, _ = await raw(served.proxy.client, "/api/market", {"Accept-Encoding": accepted})
        assert answer.headers.get("content-encoding", "") == coding
        assert answer.headers["cache-status"] == "nginx; fwd=bypass"


async def test_who_has_the_answer_gets_a_304_from_nginx(served: Front) -> None:
    copy, _ = await hit(served.proxy.client, "/api/market", {"Accept-Encoding": "gzip"})
    condition = {"Accept-Encoding": "gzip", "If-None-Match": copy.headers["etag"]}
    answer, body = await hit(served.proxy.client, "/api/market", condition)
    assert (answer.status_code, body) == (304, b"")
    assert answer.headers["etag"] == copy.headers["etag"]
    condition["If-None-Match"] = '"another"'
    assert (await hit(served.proxy.client, "/api/market", condition))[0].status_code == 200


async def test_a_head_request_and_a_range_get_what_the_gateway_sends(served: Front) -> None:
    await hit(served.proxy.client, "/api/market?limit=9", {})
    head = await served.proxy.client.head("/api/market?limit=9")
    whole = await served.proxy.client.get("/api/market?limit=9", headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.content, whole.status_code) == (200, b"", 200)
    assert "accept-ranges" not in whole.headers


async def test_a_hit_has_an_id_of_its_own_and_nobodys_limit(served: Front) -> None:
    first, _ = await raw(served.proxy.client, "/api/market?limit=11", {})
    copies = [(await hit(served.proxy.client, "/api/market?limit=11", {}))[0] for _ in range(2)]
    ids = {one.headers["x-request-id"] for one in (first, *copies)}
    assert len(ids) == 3
    assert '"client";r=' in first.headers["ratelimit"]
    assert ["ratelimit" in one.headers for one in copies] == [False, False]


async def test_a_request_id_that_is_passed_on_is_the_clients(served: Front) -> None:
    answer = await served.proxy.client.get("/api/status", headers={"X-Request-Id": "of-a-client"})
    assert answer.headers["x-request-id"] == "of-a-client"


async def test_pages_of_other_origins_have_copies_of_their_own(served: Front) -> None:
    origin = {"Origin": "https://example.org"}
    without, _ = await hit(served.proxy.client, "/api/gas", {})
    copy, _ = await hit(served.proxy.client, "/api/gas", origin)
    assert "access-control-allow-origin" not in without.headers
    assert copy.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "path",
    [
        "/api/status",
        "/metrics",
        "/healthz",
        "/",
        "/openapi.json",
        "/coingecko/api/v3/ping",
        "/binance/api/v3/time",
        "/binance/api/v3/depth?symbol=BTCUSDT",  # max-age=1: a copy may live for two seconds
        "/api/nothing",
        "/api/market?limit=wrong",
        "/mcp",
    ],
)
async def test_is_never_answered_from_the_cache(served: Front, path: str) -> None:
    for _ in range(3):
        assert not is_hit(await served.proxy.client.get(path))


async def test_equal_requests_do_not_wait_for_one_another(served: Front) -> None:
    """With proxy_cache_lock the last of them had its answer after 5 s."""
    async with asyncio.timeout(4):
        asked = [raw(served.proxy.client, "/api/status", {}) for _ in range(32)]
        assert {got.status_code for got, _ in await asyncio.gather(*asked)} == {200}


async def test_messages_to_mcp_are_passed_on(served: Front) -> None:
    for number in range(2):
        message = {"jsonrpc": "2.0", "id": number, "method": "ping"}
        answer = await served.proxy.client.post("/mcp", json=message)
        assert (answer.json()["id"], is_hit(answer)) == (number, False)


async def test_a_request_with_a_key_gets_no_copy_and_leaves_none(served: Front) -> None:
    path = "/api/market?limit=13"
    for name in KEYED_HEADERS:
        assert not is_hit(await served.proxy.client.get(path, headers={name: "a-key"})), name
    assert not is_hit((await raw(served.proxy.client, path, {}))[0])  # none of them left a copy
    await hit(served.proxy.client, path, {})
    for name in KEYED_HEADERS:
        answer = await served.proxy.client.get(path, headers={name: "a-key"})
        assert answer.headers["cache-status"] == "nginx; fwd=bypass", name


@pytest.mark.parametrize("spelling", [str, str.upper, lambda name: name.replace("_", "%5F")])
async def test_so_does_one_with_a_key_among_its_parameters(served: Front, spelling: object) -> None:
    assert callable(spelling)
    for name in KEYED_PARAMETERS:
        for _ in range(3):
            answer = await served.proxy.client.get(f"{PRICE}&{spelling(name)}=a-key")
            assert answer.status_code == 200
            assert answer.headers["cache-status"] == "nginx; fwd=bypass", name
    copies = [path for path in (served.proxy.folder / "cache").rglob("*") if path.is_file()]
    assert all(b"a-key" not in path.read_bytes() for path in copies)


async def test_keys_are_not_in_the_log(served: Front) -> None:
    parameter = KEYED_PARAMETERS[0]
    await served.proxy.client.get(f"{PRICE}&{parameter}=key-for-the-log")
    log = served.proxy.folder / "gateway.log"
    async with asyncio.timeout(20):  # it is written every 5 s
        while "/coingecko/api/v3/simple/price 200" not in log.read_text():
            await asyncio.sleep(0.1)
    assert "key-for-the-log" not in log.read_text()


async def test_with_gateway_keys_no_data_is_stored(locked: Front) -> None:
    client = locked.proxy.client
    for _ in range(3):
        refused = await client.get("/api/gas")
        answer = await client.get("/api/gas", headers={"X-API-Key": KEY})
        assert (refused.status_code, answer.status_code) == (401, 200)
        assert not is_hit(refused)
        assert not is_hit(answer)
        assert "private" in answer.headers["cache-control"]


async def test_every_place_of_a_key_is_passed_on(locked: Front) -> None:
    client = locked.proxy.client
    for name in COINGECKO.headers:
        assert (await client.get(PRICE, headers={name: KEY})).status_code == 200
    for name in COINGECKO.parameters:
        assert (await client.get(f"{PRICE}&{name}={KEY}")).status_code == 200
    time = "/binance/api/v3/time"
    for name in BINANCE.headers:
        assert (await client.get(time, headers={name: KEY})).status_code == 200
    bearer = await client.get(time, headers={"Authorization": f"Bearer {KEY}"})
    assert bearer.status_code == 200
