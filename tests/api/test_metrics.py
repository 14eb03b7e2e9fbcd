"""`/metrics` over the loopback world, read as Prometheus would."""

import asyncio
from collections.abc import Iterable

import httpx

from api.hf_unified_server import create_app
from backend.gateway import read_configuration
from backend.providers.registry import REGISTRY
from tests.api.conftest import Serve
from tests.scrape import samples
from tests.world.server import World

QUICK = {"PROVIDER_TIMEOUT": "1", "REQUEST_DEADLINE": "3"}


async def scrape(client: httpx.AsyncClient) -> dict[str, float]:
    return samples((await client.get("/metrics")).text)


async def ask(client: httpx.AsyncClient, paths: Iterable[str]) -> None:
    """Asks the application itself: httpx would take most of the time."""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: object) -> None:
        pass

    for target in paths:
        path, _, query = target.partition("?")
        scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode()}
        scope |= {"headers": [], "scheme": "http", "server": ("gateway.test", 80), "root_path": ""}
        await transport.app(scope, receive, send)


async def test_metrics_are_uncached_prometheus_text_without_provider_calls(
    world: World, client: httpx.AsyncClient
) -> None:
    await client.get("/api/market")
    before = sum(world.calls.values())
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["cache-control"] == "no-store"
    assert sum(world.calls.values()) == before
    assert "_created" not in answer.text


async def test_requests_are_counted_by_route_status_and_x_cache(client: httpx.AsyncClient) -> None:
    etag = (await client.get("/api/market")).headers["etag"]
    await client.get("/api/market?limit=2")
    await client.get("/api/market", headers={"If-None-Match": etag})
    await client.head("/api/market/BTC")
    await client.get("/api/market?limit=nonsense")
    await client.post("/api/gas")
    await client.get("/wp-login.php")
    await client.head("/wp-login.php")
    await client.get("/openapi.json")
    await client.head("/assets/docs/favicon.png")
    requests = {
        series.removeprefix("gateway_requests_total"): value
        for series, value in (await scrape(client)).items()
        if series.startswith("gateway_requests_total")
    }
    assert requests == {
        "{cache=miss,route=/api/market,status=200}": 1,
        "{cache=hit,route=/api/market,status=200}": 1,
        "{cache=hit,route=/api/market,status=304}": 1,
        "{cache=hit,route=/api/market/{coin},status=200}": 1,
        "{route=/api/market,status=422}": 1,
        "{route=/api/gas,status=405}": 1,
        "{route=unmatched,status=404}": 2,
        "{route=/openapi.json,status=200}": 1,
        "{route=/assets/docs/{path},status=200}": 1,
    }
    after = await scrape(client)
    assert after["gateway_requests_total{route=/metrics,status=200}"] == 1


async def test_an_internal_error_is_counted_as_500_of_its_route(client: httpx.AsyncClient) -> None:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    del transport.app.state.responder  # type: ignore[attr-defined]
    await client.get("/api/gas")
    assert (await scrape(client))["gateway_requests_total{route=/api/gas,status=500}"] == 1


async def test_a_failover_is_in_the_metrics(world: World, serve: Serve) -> None:
    world.faults["coingecko_free"] = "http500"
    client = await serve(CACHE_TTL_MARKET="0.05", **QUICK)
    await client.get("/api/market")
    found = await scrape(client)
    calls = "gateway_provider_call_seconds_count{{category=market,outcome={},provider={}}}"
    assert found[calls.format("upstream_5xx", "coingecko_free")] == 1
    assert found[calls.format("ok", "binance")] == 1
    assert found["gateway_provider_state{provider=coingecko_free,state=cooldown}"] == 1
    assert found["gateway_provider_state{provider=coingecko_free,state=active}"] == 0
    over = "gateway_provider_passed_over_total{provider=coingecko_pro,reason=not_configured}"
    assert found[over] == 2
    assert found["gateway_provider_quota_used{provider=binance,window=minute}"] >= 80
    assert found["gateway_provider_quota_limit{provider=binance,window=minute}"] == 6_000
    states = [series for series in found if series.startswith("gateway_provider_state")]
    assert len(states) == 8 * len(REGISTRY)


async def test_stale_answers_with_age_and_reason_are_in_the_metrics(
    world: World, serve: Serve
) -> None:
    client = await serve(CACHE_TTL_GAS="0.01", **QUICK)
    await client.get("/api/gas")
    for name in ("etherscan", "etherscan_backup", "ethereum_rpc"):
        world.faults[name] = "http500"
    while (await client.get("/api/gas")).headers["x-cache"] != "stale":
        await asyncio.sleep(0)
    found = await scrape(client)
    assert found["gateway_stale_answers_total{category=gas,reason=upstream_5xx}"] >= 1
    assert found["gateway_answer_age_seconds{category=gas}"] > 0
    assert "gateway_answer_age_seconds{category=news}" not in found
    assert found["gateway_refresh_outages_total{category=gas,reason=upstream_5xx}"] == 1
    assert found["gateway_requests_total{cache=stale,route=/api/gas,status=200}"] == 1


async def test_hits_misses_and_coalesced_requests_are_in_the_metrics(
    world: World, client: httpx.AsyncClient
) -> None:
    world.delay_s = 0.3  # all five come while the call is under way
    await asyncio.gather(*(client.get("/api/sentiment") for _ in range(5)))
    await client.get("/api/sentiment")
    found = await scrape(client)
    assert found["gateway_cache_misses_total{category=sentiment}"] == 5
    assert found["gateway_readers_joined_total{category=sentiment}"] == 4
    assert found["gateway_cache_hits_total{category=sentiment}"] == 1
    assert found["gateway_cache_hits_total{category=gas}"] == 0


async def test_unknown_paths_and_symbols_add_no_series(client: httpx.AsyncClient) -> None:
    def odd(numbers: range) -> list[str]:
        paths = []
        for n in numbers:
            paths += [f"/odd/{n}", f"/api/market/X{n}Q", f"/api/news?symbols=Y{n}&since={n}"]
            paths += [f"/api/market/ohlc?symbol=Z{n}&interval=w{n}", f"/assets/docs/{n}.js"]
        return paths

    await client.get("/metrics")
    await ask(client, odd(range(10)))
    before = set(await scrape(client))
    target = odd(range(10, 410))
    assert len(target) == 2_000
    await ask(client, target)
    found = await scrape(client)
    assert set(found) == before
    assert found["gateway_requests_total{route=unmatched,status=404}"] == 410


async def test_a_restarted_application_has_new_gateway_metrics(serve: Serve) -> None:
    await serve(STATE_PATH="")  # else the second one begins with what the first one knew
    app = create_app(read_configuration())
    transport = httpx.ASGITransport(app)
    for _ in range(2):
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as client,
        ):
            await client.get("/api/gas")
            found = await scrape(client)
            assert found["gateway_cache_misses_total{category=gas}"] == 1
    assert found["gateway_requests_total{cache=miss,route=/api/gas,status=200}"] == 2
