"""Gateway keys, client limits, sizes and origins: which requests are refused, and how."""

from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

from api.edge.access_control import MAX_PARAMETERS, AccessControl, GatewayKeys
from api.edge.client_limits import ClientLimits, client_address
from api.edge.origins import AllowedOrigins
from api.edge.page_limits import PageLimits
from api.edge.path_policies import PathPolicies
from backend.clock import SystemClock
from tests.api.conftest import Serve
from tests.api.shared import SharedGateways

KEYS = "first-gateway-key,second-gateway-key"
LOCKED = ["/api/market", "/api/gas", "/api/status", "/api/stream", "/metrics", "/api/nothing"]
OPEN = ["/healthz", "/readyz", "/docs", "/openapi.json", "/"]
ORIGIN = {"Origin": "https://page.example"}


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


@pytest.mark.parametrize("path", LOCKED)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong-gateway-key"},
        {"X-API-Key": ""},
        {"X-API-Key": "first-gateway-key,second-gateway-key"},
        {"Authorization": "Bearer wrong-gateway-key"},
        {"Authorization": "first-gateway-key"},
        {"Authorization": "Basic first-gateway-key"},
    ],
)
async def test_data_is_locked_without_a_valid_key(
    shared: SharedGateways, path: str, headers: dict[str, str]
) -> None:
    client = shared.client(GATEWAY_API_KEYS=KEYS)
    answer = await client.get(path, headers=headers | ORIGIN)
    assert (answer.status_code, problem_of(answer)["code"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "gateway-key" not in answer.text


@pytest.mark.parametrize("path", LOCKED)
async def test_data_is_locked_behind_a_root_path(serve: Serve, path: str) -> None:
    client = await serve(GATEWAY_API_KEYS=KEYS)
    assert isinstance(client._transport, httpx.ASGITransport)
    client._transport.root_path = "/gw"
    answer = await client.get(f"/gw{path}")
    assert (answer.status_code, problem_of(answer)["code"]) == (401, "unauthorized")
    key = {"X-API-Key": KEYS.split(",", maxsplit=1)[0]}
    assert (await client.head(f"/gw{path}", headers=key)).status_code != 401  # a stream has no end
    assert (await client.get("/gw/healthz")).status_code == 200


@pytest.mark.parametrize("key", KEYS.split(","))
@pytest.mark.parametrize("how", ["X-API-Key", "Authorization"])
async def test_each_key_is_accepted_in_both_headers(
    shared: SharedGateways, key: str, how: str
) -> None:
    client = shared.client(GATEWAY_API_KEYS=KEYS)
    text = key if how == "X-API-Key" else f"bearer {key}"
    assert (await client.get("/api/gas", headers={how: text})).status_code == 200


@pytest.mark.parametrize("path", OPEN)
async def test_pages_and_probes_need_no_key(shared: SharedGateways, path: str) -> None:
    client = shared.client(GATEWAY_API_KEYS=KEYS)
    assert (await client.get(path)).status_code == 200


async def test_a_preflight_needs_no_key(shared: SharedGateways) -> None:
    client = shared.client(GATEWAY_API_KEYS=KEYS)
    preflight = {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "x-api-key",
    }
    answer = await client.options("/api/market", headers=ORIGIN | preflight)
    assert answer.status_code == 200
    assert "x-api-key" in answer.headers["access-control-allow-headers"]


async def test_without_keys_every_request_is_admitted(reader: httpx.AsyncClient) -> None:
    assert (await reader.get("/api/gas", headers={"X-API-Key": "any"})).status_code == 200


def test_keys_are_not_in_their_repr() -> None:
    assert repr(GatewayKeys(())) == "<GatewayKeys 0>"


async def test_a_client_over_its_limit_gets_429_with_retry_after(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="3/hour")
    answers = [await client.get("/api/gas", headers=ORIGIN) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    left = [answer.headers["ratelimit"].split(";")[1] for answer in answers]
    assert left == ["r=2", "r=1", "r=0", "r=0"]
    assert answers[0].headers["ratelimit-policy"] == '"client";q=3;w=3600'
    problem = problem_of(answers[3])
    assert problem["code"] == "rate_limited"
    assert 0 < problem["retry_after_seconds"] <= 3_600
    assert answers[3].headers["retry-after"] == str(problem["retry_after_seconds"])
    assert answers[3].headers["access-control-allow-origin"] == "*"
    assert "Retry-After" in answers[3].headers["access-control-expose-headers"]
    assert "RateLimit" in answers[3].headers["access-control-expose-headers"]
    assert (await client.get("/healthz")).status_code == 200


async def test_the_header_reports_the_limit_with_the_fewest_units_left(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="100/hour,2/day")
    answers = [await client.get("/healthz/none") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert answers[0].headers["ratelimit"].startswith('"client";r=1;')


async def test_requests_with_wrong_keys_count_for_the_limit(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="2/hour", GATEWAY_API_KEYS=KEYS)
    wrong = {"X-API-Key": "wrong-gateway-key"}
    codes = [(await client.get("/api/gas", headers=wrong)).status_code for _ in range(3)]
    assert codes == [401, 401, 429]


async def test_addresses_behind_a_trusted_proxy_have_separate_limits(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="1/hour", TRUST_PROXY="true")
    codes = [
        (await client.get("/api/gas", headers={"X-Forwarded-For": forwarded})).status_code
        for forwarded in ("203.0.113.1", "203.0.113.2", "198.51.100.7, 203.0.113.1", "203.0.113.1")
    ]
    assert codes == [200, 200, 429, 429], "entries left of the proxy's own are not trusted"


async def test_x_forwarded_for_is_ignored_without_a_trusted_proxy(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="1/hour")
    codes = [
        (await client.get("/api/gas", headers={"X-Forwarded-For": forwarded})).status_code
        for forwarded in ("203.0.113.1", "203.0.113.2")
    ]
    assert codes == [200, 429]


@pytest.mark.parametrize(
    ("forwarded", "proxies", "client"),
    [
        ("", 1, "192.0.2.9"),
        ("203.0.113.1", 1, "203.0.113.1"),
        ("203.0.113.1, 203.0.113.2", 1, "203.0.113.2"),
        ("203.0.113.1, 203.0.113.2", 2, "203.0.113.1"),
        ("203.0.113.1", 3, "203.0.113.1"),
        (" , ,", 1, "192.0.2.9"),
        ("<script>", 1, "unknown"),
        ("2001:db8:1:2:3:4:5:6", 1, "2001:db8:1:2::/64"),
        ("203.0.113.1", 0, "192.0.2.9"),
    ],
)
def test_the_address_named_by_the_trusted_proxies_counts(
    forwarded: str, proxies: int, client: str
) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())]
    scope = {"type": "http", "client": ("192.0.2.9", 1), "headers": headers}
    assert client_address(scope, proxies) == client


def test_a_connection_without_an_address_is_unknown() -> None:
    assert client_address({"type": "http", "client": None, "headers": []}, 0) == "unknown"


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/api/market", {"X-Long": "a" * 33_000}, 431, "headers_too_large"),
        ("/api/market", {"Content-Length": "70000"}, 413, "body_too_large"),
        ("/api/market", {"Content-Length": "-5"}, 413, "body_too_large"),
    ],
)
async def test_oversized_requests_are_refused(
    reader: httpx.AsyncClient, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = await reader.get(path, headers=headers)
    assert (answer.status_code, problem_of(answer)["code"]) == (status, code)
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/api/market", "/healthz", "/", "/nothing"])
async def test_too_many_parameters_are_refused_before_they_are_parsed(
    reader: httpx.AsyncClient, path: str
) -> None:
    few = await reader.get(f"{path}?{'&'.join(['x=1'] * MAX_PARAMETERS)}")
    many = await reader.get(f"{path}?{'&' * MAX_PARAMETERS}")
    assert few.status_code != 414
    assert (many.status_code, problem_of(many)["code"]) == (414, "uri_too_long")


@pytest.mark.parametrize("path", ["/api/market", "/api/nothing", "/metrics", "/api/market?limit=0"])
async def test_data_has_a_strict_content_security_policy(
    reader: httpx.AsyncClient, path: str
) -> None:
    answer = await reader.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_only_a_space_may_frame_the_pages(reader: httpx.AsyncClient, path: str) -> None:
    headers = (await reader.get(path)).headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'self' https://huggingface.co https://*.hf.space" in policy
    assert "x-frame-options" not in headers
    assert "set-cookie" not in headers


async def test_the_document_has_a_lock_only_where_keys_are_set(shared: SharedGateways) -> None:
    document = (await shared.client().get("/openapi.json")).json()
    assert "securitySchemes" not in document["components"]
    assert "security" not in document
    document = (await shared.client(GATEWAY_API_KEYS="first-key").get("/openapi.json")).json()
    assert set(document["components"]["securitySchemes"]) == {"ApiKey", "Bearer"}
    assert document["security"] == [{"ApiKey": []}, {"Bearer": []}]
    operations = [(path, one) for path, item in document["paths"].items() for one in item.values()]
    unlocked = {path for path, one in operations if one.get("security") == []}
    assert unlocked == {"/healthz", "/readyz"}


async def test_the_openapi_document_describes_keys_and_limits(reader: httpx.AsyncClient) -> None:
    document = (await reader.get("/openapi.json")).json()
    for path, item in document["paths"].items():
        if path.startswith("/api"):
            assert {"401", "429"} <= set(item["get"]["responses"]), path


def test_a_url_longer_than_all_parameters_is_refused() -> None:
    """By the access control itself: httpx would not send one."""
    access = AccessControl(
        PathPolicies(),
        keys=GatewayKeys(()),
        limits=ClientLimits((), SystemClock()),
        origins=AllowedOrigins(("*",)),
        trusted_proxies=0,
        page_limits=PageLimits((), SystemClock()),
    )
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/api/market",
        "raw_path": b"/api/market",
        "query_string": b"a" * 140_000,
        "headers": [],
        "state": {"request_id": "1"},
    }
    _, refusal = access.check(scope, Headers(scope=scope))
    assert refusal is not None
    assert refusal.status_code == 414


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("OPTIONS", "/api/market", {"Access-Control-Request-Method": "GET"} | ORIGIN),
        ("GET", "/api/nothing", {}),
        ("GET", "/api/market?limit=0", {}),
        ("POST", "/api/market", {}),
        ("GET", "/api/market", {"X-API-Key": "wrong-gateway-key"}),
        ("GET", "/api/market", {"Content-Length": "999999999"}),
    ],
)
async def test_preflights_and_refusals_count(
    serve: Serve, method: str, path: str, headers: dict[str, str]
) -> None:
    client = await serve(CLIENT_RATE_LIMIT="3/hour", GATEWAY_API_KEYS=KEYS)
    for left in (2, 1, 0):
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code != 429
        assert answer.headers["ratelimit"].startswith(f'"client";r={left};')
    answer = await client.request(method, path, headers=headers | {"Content-Length": "0"})
    assert (answer.status_code, problem_of(answer)["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) == problem_of(answer)["retry_after_seconds"] > 3_000
