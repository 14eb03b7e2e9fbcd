"""Cached responses: the same bytes as the application's, with the same access control."""

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.cache.body import body_of
from api.cache.response_cache import (
    LARGE_BYTES,
    MAX_BYTES,
    MAX_LARGE,
    MAX_TARGET_BYTES,
    MAX_TARGETS,
    MAX_VARIANTS,
    ResponseCache,
    View,
)
from api.hf_unified_server import Application, create_app
from backend.cache.freshness import EntryValidity
from backend.gateway import Gateway, open_gateway, read_configuration
from tests.api.conftest import Serve
from tests.clocks import ManualClock
from tests.memory import kept_bytes
from tests.world.server import World

TARGETS = (
    "/api/market",
    "/api/market?limit=250&sort=-volume_24h",
    "/api/market?limit=5&format=csv",
    "/api/market?symbols=BTC,nobody",
    "/api/market/bitcoin",
    "/api/market/ohlc?symbol=BTC&interval=1h&limit=24",
    "/api/market/ohlc?symbol=BTC&interval=1h&start=2026-11-22",
    "/api/market/ohlc?symbol=BTC&interval=4h&format=arrays",
    "/api/news?limit=5",
    "/api/sentiment?days=7",
    "/api/gas",
    "/api/gas?nonsense=1",
    "/api/market?limit=0",
    "/api/market?limit=5&limit=6",
    "/api/market/nobody-knows-it",
    "/api/nowhere",
    "/api/status",
    "/docs",
)
CODINGS = (None, "gzip", "br;q=0.5, gzip", "gzip, deflate, br, zstd", "identity, *;q=0")
ORIGINS = (None, "https://dashboard.example")


@asynccontextmanager
async def one_gateway(
    world: World, surroundings: pytest.MonkeyPatch, **settings: str
) -> AsyncIterator[tuple[Application, Application, ManualClock]]:
    """Applications with and without stored responses, over one gateway with a manual clock."""
    environment = world.environment(CLIENT_RATE_LIMIT="", BINANCE_STREAM_URL="", **settings)
    for name, value in environment.items():
        surroundings.setenv(name, value)
    configuration, clock = read_configuration(), ManualClock(world.clock.now())
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(
            open_gateway(configuration, clock=clock, jitter=lambda: 1.0)
        )

        @asynccontextmanager
        async def opened(_configuration: Any) -> AsyncIterator[Gateway]:
            yield gateway

        apps = []
        for is_on in (True, False):
            own = configuration.gateway.model_copy(update={"prepared_answers": is_on})
            app = create_app(type(configuration)(own, configuration.providers), opened)
            await stack.enter_async_context(app.router.lifespan_context(app))
            apps.append(app)
        yield apps[0], apps[1], clock


async def ask(app: FastAPI, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        request = client.build_request(method, path, headers=headers)
        if "Accept-Encoding" not in headers:
            del request.headers["Accept-Encoding"]
        answer = await client.send(request, stream=True)
        answer._content = b"".join([part async for part in answer.aiter_raw()])
        return answer


def parts_of(answer: httpx.Response) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    return answer.status_code, answer.headers.raw, answer._content


def headers_of(coding: str | None, origin: str | None, tag: str | None) -> dict[str, str]:
    named = {"Accept-Encoding": coding, "Origin": origin, "If-None-Match": tag}
    sent = {name: value for name, value in named.items() if value is not None}
    return {"X-Request-Id": "the-same", **sent}


@pytest.mark.parametrize("path", TARGETS)
async def test_responses_are_the_same_without_the_cache(
    world: World, surroundings: pytest.MonkeyPatch, path: str
) -> None:
    async with one_gateway(world, surroundings) as (cached, uncached, clock):
        first = await ask(uncached, "GET", path, {})
        tag = first.headers.get("etag")
        tags = (None, tag, f'"other", W/{tag}', "*", '"other"') if tag else (None,)
        for coding, origin, one in product(CODINGS, ORIGINS, tags):
            headers = headers_of(coding, origin, one)
            for method in ("GET", "HEAD"):
                plain = parts_of(await ask(uncached, method, path, headers))
                if path == "/api/status":  # has the caches' counts, which each request raises
                    plain = (*plain[:2], b"")
                for _ in range(3):  # of the application, then of the cache twice
                    answer = parts_of(await ask(cached, method, path, headers))
                    answer = (*answer[:2], b"") if path == "/api/status" else answer
                    assert answer == plain or path == "/api/status"
            clock.advance(0.3)


@pytest.mark.parametrize("path", [*TARGETS[:6], *TARGETS[7:11]])
async def test_a_cached_response_does_not_reach_the_application(
    world: World, surroundings: pytest.MonkeyPatch, path: str
) -> None:
    async with one_gateway(world, surroundings) as (app, _, clock):
        before = await ask(app, "GET", path, {})
        app.state.gateway = None
        clock.advance(2)
        for method in ("GET", "HEAD"):
            answer = await ask(app, method, path, {"Range": "bytes=0-10"})
            assert answer.status_code == 200
            assert answer.headers["x-cache"] == "hit"
            assert answer.headers["age"] == "2"
            assert answer.headers["etag"] == before.headers["etag"]
            assert answer.headers["x-request-id"] != before.headers["x-request-id"]
            assert answer._content == (before._content if method == "GET" else b"")
        other = f"{path}{'&' if '?' in path else '?&'}"  # the same query in other bytes
        assert (await ask(app, "GET", other, {})).status_code == 500


async def test_a_refresh_drops_cached_responses(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    settings = {"CACHE_TTL_MARKET": "60", "COINGECKO_FREE_LIMITS": "30/minute"}
    async with one_gateway(world, surroundings, **settings) as (app, _, clock):
        first = await ask(app, "GET", "/api/market", {})
        assert (await ask(app, "GET", "/api/market", {})).headers["etag"] == first.headers["etag"]
        clock.advance(130)
        renewed = await ask(app, "GET", "/api/market", {})
        assert renewed.headers["etag"] != first.headers["etag"]
        assert (await ask(app, "GET", "/api/market", {})).headers["etag"] == renewed.headers["etag"]


async def test_a_stale_answer_is_never_cached(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    async with one_gateway(world, surroundings, CACHE_TTL_GAS="10") as (app, uncached, clock):
        await ask(app, "GET", "/api/gas", {})
        world.faults |= dict.fromkeys(("etherscan", "ethereum_rpc"), "http500")
        clock.advance(100)
        for _ in range(3):
            answer = await ask(app, "GET", "/api/gas", {})
            assert answer.headers["x-cache"] == "stale"
            assert (await ask(uncached, "GET", "/api/gas", {}))._content == answer._content


async def test_keys_are_checked_for_cached_responses(serve: Serve) -> None:
    key = "a-key-of-the-gateway-0001"
    client = await serve(GATEWAY_API_KEYS=key)
    for _ in range(3):
        good = await client.get("/api/gas", headers={"X-API-Key": key})
        assert good.status_code == 200
        bearer = {"Authorization": f"Bearer {key}"}
        assert (await client.get("/api/gas", headers=bearer)).status_code == 200
        assert (await client.get("/api/gas")).status_code == 401
        assert (await client.get("/api/gas", headers={"X-API-Key": "wrong"})).status_code == 401


async def test_cached_responses_count_for_client_limits(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="4/hour")
    answers = [await client.get("/api/gas") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
    left = [answer.headers["ratelimit"].partition("r=")[2][0] for answer in answers[:4]]
    assert left == ["3", "2", "1", "0"]
    assert answers[5].headers["retry-after"]


async def test_cached_responses_are_counted(serve: Serve) -> None:
    client = await serve()
    for _ in range(10):
        await client.get("/api/gas")
    metrics = (await client.get("/metrics")).text
    assert 'gateway_requests_total{cache="hit",route="/api/gas",status="200"} 9.0' in metrics
    assert 'gateway_requests_total{cache="miss",route="/api/gas",status="200"} 1.0' in metrics
    assert (await client.get("/api/status")).json()["cache"]["hits"] == 9


async def test_oversized_headers_are_refused_for_a_cached_url(serve: Serve) -> None:
    client = await serve()
    await client.get("/api/gas")
    assert (await client.get("/api/gas", headers={"X-Much": "x" * 40_000})).status_code == 431
    assert (await client.get("/api/gas", headers={"Content-Length": "9" * 9})).status_code == 413


async def test_the_cache_is_bounded(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="")
    await client.get("/healthz")
    cache = cache_of(client)
    for number in range(300):
        same = "&" * (number % 250)
        await client.get(f"/api/market?limit=250&offset={number % 7}{same}")
        await client.get("/api/gas", headers={"Accept-Encoding": f"gzip, x-{number}"})
    assert cache._bytes <= MAX_BYTES
    assert cache._bytes == sum(view.size for view in cache._views.values())
    gas = cache._targets[b"/api/gas"]
    assert len(gas.variants) == MAX_VARIANTS
    assert max(len(view.targets) for view in cache._views.values()) == MAX_TARGETS
    await client.get("/api/market?symbols=" + "BTC," * MAX_TARGET_BYTES)
    assert all(len(target) <= MAX_TARGET_BYTES for target in cache._targets)


def test_large_views_displace_no_others() -> None:
    cache = ResponseCache(lambda headers, _origin: headers)

    def made(name: bytes, size: int, refresh_id: int = 1) -> View:
        view = View(name, refresh_id, body_of(bytes(size), "application/json"))
        cache.add_view(view)
        return view

    small = [made(b"small %d" % number, 10_000) for number in range(50)]
    large = [made(b"large %d" % number, LARGE_BYTES + 1) for number in range(MAX_LARGE + 1)]
    assert [cache.view(view.key, 1) for view in small] == small
    assert [cache.view(view.key, 1) for view in large] == [None, *large[1:]]
    assert cache.view(large[-1].key, 2) is None
    newer = made(large[-1].key, LARGE_BYTES + 1, 2)
    assert cache.view(newer.key, 2) is newer
    assert cache._bytes == sum(view.size for view in small)


class Lasting:
    """The validity of an answer that never expires."""

    def current_age_s(self) -> float | None:
        return 1.0

    def note_hit(self) -> None: ...


def test_a_replaced_view_leaves_no_memory_to_the_garbage_collector() -> None:
    size, headers = 100_000, [(b"content-length", b"100000")]

    def replaced_often() -> ResponseCache:
        cache = ResponseCache(lambda headers, _origin: headers)
        for refresh_id in range(50):
            view = View(b"market", refresh_id, body_of(bytes(size), "application/json"))
            cache.add_view(view)
            response = 200, headers, view.body.content
            cache.add_response(view, Lasting(), b"/market", {}, response, "/market")
        return cache

    gc.disable()
    try:
        assert kept_bytes(replaced_often) < 2 * size
    finally:
        gc.enable()


async def test_responses_to_long_headers_are_not_stored(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="")
    for number in range(20):
        origin = {"Origin": f"https://{number:0600}.example"}
        assert (await client.get("/api/gas", headers=origin)).status_code == 200
    assert cache_of(client)._targets == {}


async def test_a_response_without_a_length_is_not_stored(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    """The server itself could not send it, and would count the request twice."""
    async with one_gateway(world, surroundings) as (app, _, _clock):
        await ask(app, "GET", "/api/gas", {})
        cache: ResponseCache = app.state.responder._cache
        (target,) = cache._targets.values()
        for path, headers in ((b"/a", []), (b"/b", [(b"content-length", b"2")])):
            response = (200, [(b"age", b"0"), *headers], b"{}")
            cache.add_response(target.view, target.validity, path, {}, response, "/x")
        assert set(cache._targets) == {b"/api/gas", b"/b"}
        cached = app.edge.cached
        requests = {path: cached.read("GET", path, []) for path in (b"/a", b"/b")}
        assert [cached.respond(one, None) is None for one in requests.values() if one] == [
            True,
            False,
        ]
        assert app.edge.counts["/x", 200, "hit"] == 1


async def test_the_newest_variants_are_kept(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="")
    for number in range(MAX_VARIANTS + 4):
        await client.get("/api/gas", headers={"Accept-Encoding": f"gzip, x-{number}"})
    (gas,) = cache_of(client)._targets.values()
    kept = {key[0] for key in gas.variants if key}
    assert kept == {b"gzip, x-%d" % number for number in range(4, MAX_VARIANTS + 4)}


async def test_an_expired_response_is_not_stored_again(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    async with one_gateway(world, surroundings) as (app, _, _clock):
        await ask(app, "GET", "/api/gas", {})
        cache: ResponseCache = app.state.responder._cache
        (target,) = cache._targets.values()
        before = cache._bytes
        validity = target.validity
        assert isinstance(validity, EntryValidity)
        object.__setattr__(validity.entry(), "refresh_at", 0.0)  # a refresh is due
        for _ in range(10):
            await ask(app, "GET", "/api/gas", {})
        assert cache._bytes == before == sum(view.size for view in cache._views.values())


def cache_of(client: httpx.AsyncClient) -> ResponseCache:
    transport: Any = client._transport
    cache: ResponseCache = transport.app.state.responder._cache
    return cache
