"""What routers declare: locked paths by default, public ones by choice, and error dialects."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Query, Request, Response, WebSocket
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message

from api.edge.path_policies import Access, GatewayRouter, KeyPlaces, PathPolicies
from api.edge.problems import ProblemDetails
from api.hf_unified_server import Application, create_app
from api.routes.checked_routes import CheckedRoute
from api.server.hooks import Refusal
from backend.errors import InvalidParameter
from backend.gateway import read_configuration
from tests.world.server import World

KEY = "a-key-of-the-gateway-0001"
PUBLIC = ("/", "/docs", "/docs/", "/redoc", "/openapi.json", "/healthz", "/readyz", "/ws")


def as_dialect(details: ProblemDetails) -> Response:
    text = f"{details.status} {details.code}: {details.detail}"
    return Response(text, details.status, details.headers, media_type="text/plain")


def new_router(**options: Any) -> GatewayRouter:
    """A facade like those to come: its own prefix, and routes that fail in each way."""
    router = GatewayRouter(prefix="/dialect/v1", route_class=CheckedRoute, **options)

    @router.get("/price")
    async def read_price(
        request: Request, ids: Annotated[str, Query(max_length=5)] = "btc"
    ) -> Response:
        if ids == "none":
            raise InvalidParameter("ids", "no such coin")
        if ids == "bug":
            raise RuntimeError("/home/secret/path")
        return JSONResponse(ids)

    return router


@asynccontextmanager
async def serving(
    world: World, surroundings: pytest.MonkeyPatch, *routers: APIRouter, **settings: str
) -> AsyncIterator[httpx.AsyncClient]:
    for name, value in world.environment(**settings).items():
        surroundings.setenv(name, value)
    app = create_app(read_configuration())
    for router in routers:
        app.include_router(router)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            yield client


def app_of(client: httpx.AsyncClient) -> Application:
    transport: Any = client._transport
    app: Application = transport.app
    return app


async def messages(app: ASGIApp, scope: dict[str, Any]) -> list[Message]:
    """What the application sends, of a request that httpx cannot make."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    whole = {"query_string": b"", "headers": [], "client": ("127.0.0.1", 1), "scheme": "http"}
    await app(whole | scope, receive, send)
    return sent


@pytest.mark.parametrize("is_plain", [True, False])
async def test_a_new_prefix_is_locked_by_default(
    world: World, surroundings: pytest.MonkeyPatch, is_plain: bool
) -> None:
    plain = APIRouter(prefix="/dialect/v1")
    plain.add_api_route("/price", lambda: "btc")
    router = plain if is_plain else new_router()
    async with serving(world, surroundings, router, GATEWAY_API_KEYS=KEY) as client:
        for path in ("/dialect/v1/price", "/dialect/v1/price/", "/dialect/v1/nothing", "/nothing"):
            refused = await client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        answer = await client.get("/dialect/v1/price", headers={"X-API-Key": KEY})
        assert (answer.status_code, answer.json()) == (200, "btc")


async def test_a_router_may_declare_its_paths_public(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    router = new_router(access=Access.PUBLIC)
    async with serving(world, surroundings, router, GATEWAY_API_KEYS=KEY) as client:
        assert (await client.get("/dialect/v1/price")).status_code == 200
        assert (await client.get("/dialect/v1/nothing")).status_code == 401
        assert (await client.get("/dialect/v1/price/more")).status_code == 401


async def test_pages_their_files_and_probes_are_public(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    async with serving(world, surroundings, GATEWAY_API_KEYS=KEY) as client:
        page = (await client.get("/")).text
        file = page.partition('src="assets/dashboard/')[2].partition('"')[0]
        paths = (*PUBLIC, f"/assets/dashboard/{file}", "/assets/docs/swagger-ui.css")
        assert [path for path in paths if (await client.get(path)).status_code == 401] == []
        assert (await client.get("/healthz/", headers={})).status_code == 307


def test_no_router_unlocks_or_renders_every_path() -> None:
    everything = GatewayRouter(access=Access.PUBLIC)
    everything.add_api_route("/{path:path}", lambda: "")
    with pytest.raises(ValueError, match="cannot be PUBLIC"):
        PathPolicies().declare(everything)
    with pytest.raises(ValueError, match="must have a prefix"):
        PathPolicies().declare(GatewayRouter(render_error=as_dialect), "/")
    with pytest.raises(ValueError, match="must have a prefix"):
        PathPolicies().declare(GatewayRouter(key_places=KeyPlaces(("x-cg-demo-api-key",))))


@pytest.mark.parametrize(
    ("public", "locked"),
    [
        ("/data", "/data/{path:path}"),
        ("/data/{name}", "/data/prices"),
        ("/data/{name}", "/data/{path:path}"),
    ],
)
def test_no_public_path_unlocks_another_routers_path(public: str, locked: str) -> None:
    routers = GatewayRouter(access=Access.PUBLIC), APIRouter()
    routers[0].add_api_route(public, lambda: "")
    routers[1].add_api_route(locked, lambda: "")
    for first, second in (routers, routers[::-1]):
        policies = PathPolicies()
        policies.declare(first)
        with pytest.raises(ValueError, match="a public path includes it"):
            policies.declare(second)


def test_the_longest_prefix_renders() -> None:
    policies = PathPolicies()
    policies.declare(GatewayRouter(prefix="/a", render_error=as_dialect))
    assert policies.renderer("/a/b") is as_dialect
    assert policies.renderer("/ab") is not as_dialect
    inner = GatewayRouter(prefix="/b", render_error=lambda _details: Response("inner"))
    policies.declare(inner, "/a")
    assert policies.renderer("/a/b/c") is inner.render_error
    assert policies.renderer("/a/c") is as_dialect
    assert repr(policies) == "<PathPolicies 0 paths, 2 renderers>"


async def test_a_dialect_has_its_own_places_for_a_key(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    places = KeyPlaces(("x-demo-key",), ("demo_key",))
    router = GatewayRouter(prefix="/dialect/v1", key_places=places)
    router.add_api_route("/price", lambda: "btc")
    async with serving(world, surroundings, router, GATEWAY_API_KEYS=KEY) as client:
        path = "/dialect/v1/price"
        for query, headers in (
            ("", {"X-Demo-Key": KEY}),
            (f"?demo_key={KEY}", {}),
            (f"?demo_key=&demo_key={KEY}", {"X-Demo-Key": "wrong-key"}),
            ("", {"X-API-Key": KEY}),
        ):
            answer = await client.get(f"{path}{query}", headers=headers)
            assert answer.status_code == 200, (query, headers)
        assert (await client.get(f"{path}?demo_key=wrong-key")).status_code == 401
        assert (await client.get(path, headers={"Demo-Key": KEY})).status_code == 401
        other = await client.get(f"/api/gas?demo_key={KEY}", headers={"X-Demo-Key": KEY})
        assert other.status_code == 401


def test_methods_are_those_that_a_path_declares() -> None:
    policies, router = PathPolicies(), GatewayRouter(prefix="/dialect")
    router.add_api_route("/message", lambda: "", methods=["POST"])
    router.add_api_route("/price", lambda: "")
    policies.declare(router)
    assert policies.methods("/dialect/message") == ("POST",)
    assert policies.methods("/dialect/price") == policies.methods("/nothing") == ("GET", "HEAD")


async def test_a_websocket_of_a_new_prefix_is_locked_by_default(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    async def serve_socket(websocket: WebSocket) -> None:
        await websocket.accept()

    for access, kind in ((Access.KEY, "websocket.close"), (Access.PUBLIC, "websocket.accept")):
        router = GatewayRouter(prefix="/dialect/v1", access=access)
        router.add_api_websocket_route("/stream", serve_socket)
        async with serving(world, surroundings, router, GATEWAY_API_KEYS=KEY) as client:
            sent = await messages(
                app_of(client), {"type": "websocket", "path": "/dialect/v1/stream"}
            )
            assert sent[0]["type"] == kind


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("GET", "/price", {"X-API-Key": "wrong"}, "401 unauthorized: send one of"),
        ("GET", "/nothing", {}, "404 not_found: GET /dialect/v1/nothing"),
        ("POST", "/price", {}, "405 method_not_allowed: POST /dialect/v1/price"),
        ("GET", "/price", {"Content-Length": "70000"}, "413 body_too_large: "),
        ("GET", f"/price?{'&' * 300}", {}, "414 uri_too_long: "),
        ("GET", "/price", {"X-Long": "x" * 33_000}, "431 headers_too_large: "),
        ("GET", "/price?ids=none", {}, "422 invalid_parameter: ids: no such coin"),
        ("GET", "/price?ids=too-long", {}, "422 invalid_parameter: ids: "),
        ("GET", "/price?coin=btc", {}, "422 unknown_parameter: "),
        ("GET", "/price?ids=bug", {}, "500 internal_error: see the server log"),
    ],
)
async def test_a_router_renders_every_error_under_its_prefix(
    world: World,
    surroundings: pytest.MonkeyPatch,
    method: str,
    path: str,
    headers: dict[str, str],
    expected: str,
) -> None:
    router = new_router(render_error=as_dialect)
    async with serving(world, surroundings, router, GATEWAY_API_KEYS=KEY) as client:
        sent = {"X-API-Key": KEY} | headers
        answer = await client.request(method, f"/dialect/v1{path}", headers=sent)
        assert answer.text.startswith(expected)
        assert str(answer.status_code) == expected[:3]
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["cache-control"] == "no-store"
        assert "secret" not in answer.text
        other = await client.get("/api/nothing", headers={"X-API-Key": KEY})
        assert other.headers["content-type"] == "application/problem+json"


async def test_a_router_renders_the_refusal_of_a_client_over_its_limit(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    router = new_router(render_error=as_dialect)
    async with serving(world, surroundings, router, CLIENT_RATE_LIMIT="1/hour") as client:
        assert (await client.get("/dialect/v1/price")).status_code == 200
        refused = await client.get("/dialect/v1/price")
        assert refused.text.startswith("429 rate_limited: this address may use")
        assert int(refused.headers["retry-after"]) > 3_000


async def test_a_router_renders_the_servers_own_refusals(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    router = new_router(render_error=as_dialect)
    async with serving(world, surroundings, router) as client:
        refuse = app_of(client).server_hooks.refuse(Refusal("bad_request", "no Host header"))
        for path, media_type in (
            ("/dialect/v1/price", b"text/plain"),
            ("/", b"application/problem"),
        ):
            sent = await messages(refuse, {"type": "http", "method": "GET", "path": path})
            headers = dict(sent[0]["headers"])
            assert sent[0]["status"] == 400
            assert headers[b"content-type"].startswith(media_type)
            assert headers[b"connection"] == b"close"
