"""How old an answer may be, and the headers that say so."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import httpx
import pytest

from api.facades.binance.paths import PATHS
from api.hf_unified_server import create_app
from backend.gateway import open_gateway, read_configuration
from tests.api.conftest import Serve
from tests.api.facades.binance.asking import ROOT, ask, asked, error_in
from tests.api.serving import serving
from tests.clocks import ManualClock
from tests.world.data import HOUR
from tests.world.server import World

PAIR = {"symbol": "BTCUSDT"}
CANDLES = {**PAIR, "interval": "1h"}
#: Path and TTL in seconds of what is never stale.
NEVER_STALE = {
    "ticker/price": 2,
    "avgPrice": 2,
    "ticker/bookTicker": 1,
    "depth": 1,
    "trades": 1,
    "historicalTrades": 1,
    "aggTrades": 1,
}
#: Seconds for which the others may be stale.
STALE = {"exchangeInfo": 86_400, "ticker/24hr": 60, "ticker": 60, "ticker/tradingDay": 60}


@pytest.fixture
async def client(
    world: World, surroundings: pytest.MonkeyPatch, clock: ManualClock
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway whose time the test moves."""
    for name, value in world.environment().items():
        surroundings.setenv(name, value)
    app = create_app(read_configuration(), partial(open_gateway, clock=clock))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test") as made:
            yield made


def test_the_bounds_are_those_of_the_table() -> None:
    bounds = {
        path.template.removeprefix("/api/v3/"): (path.ttl_s, path.max_stale_s) for path in PATHS
    }
    never = {name: (ttl_s, 0.0) for name, ttl_s in NEVER_STALE.items()}
    others = {name: (3_600 if name == "exchangeInfo" else 2, left) for name, left in STALE.items()}
    assert bounds == never | others


@pytest.mark.parametrize("path", NEVER_STALE)
async def test_prices_books_and_trades_are_never_stale(
    world: World, client: httpx.AsyncClient, clock: ManualClock, path: str
) -> None:
    assert (await ask(client, path, **PAIR)).status_code == 200
    world.faults["binance"] = "http500"
    clock.advance(NEVER_STALE[path] + 0.1)
    answer = await ask(client, path, **PAIR)
    assert error_in(answer)[:2] == (503, -1001)


@pytest.mark.parametrize(
    ("path", "parameters", "ttl_s"),
    [("ticker/24hr", PAIR, 2), ("ticker", PAIR, 2), ("klines", CANDLES, 5)],
)
async def test_what_tells_its_time_is_stale_for_a_minute_and_says_so(
    world: World,
    client: httpx.AsyncClient,
    clock: ManualClock,
    path: str,
    parameters: dict[str, str],
    ttl_s: float,
) -> None:
    good = await ask(client, path, **parameters)
    assert (good.headers["x-cache"], good.headers["x-source"]) == ("miss", "binance")
    assert "x-stale-reason" not in good.headers
    world.faults["binance"] = "http500"
    clock.advance(2 * ttl_s + 1)
    stale = await ask(client, path, **parameters)
    assert (stale.status_code, stale.content) == (200, good.content)
    assert stale.headers["x-cache"] == "stale"
    assert stale.headers["x-stale-reason"] == "upstream_5xx"
    assert int(stale.headers["age"]) >= 2 * ttl_s
    assert stale.headers["cache-control"] == "public, max-age=0"
    clock.advance(60)
    assert error_in(await ask(client, path, **parameters))[:2] == (503, -1001)


async def test_an_unknown_symbol_is_asked_again_after_a_while(
    world: World, client: httpx.AsyncClient, clock: ManualClock
) -> None:
    """It may be listed by then, although the range is over."""
    question = {"symbol": "NEWUSDT", "interval": "1h", "startTime": 0, "endTime": HOUR}
    for wait_s in (0, 299, 2):
        clock.advance(wait_s)
        answer = await ask(client, "klines", **question)
        assert error_in(answer)[:2] == (400, -1121)
    assert len(asked(world, "klines")) == 2


async def test_every_data_answer_has_the_headers_and_a_304(client: httpx.AsyncClient) -> None:
    for path in ("exchangeInfo", "ticker/24hr", "klines?symbol=BTCUSDT&interval=1h&limit=9"):
        answer = await client.get(f"{ROOT}/{path}", headers={"Accept-Encoding": "gzip"})
        headers = answer.headers
        assert (headers["x-source"], headers["x-cache"], headers["age"]) == ("binance", "miss", "0")
        assert headers["cache-control"].startswith("public, max-age=")
        assert headers["content-encoding"] == "gzip"
        known = {"If-None-Match": headers["etag"], "Accept-Encoding": "gzip"}
        again = await client.get(f"{ROOT}/{path}", headers=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["x-cache"] == "hit"
        assert again.headers["x-mbx-used-weight-1m"] == headers["x-mbx-used-weight-1m"]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br", "gzip"),  # binance-sdk-spot, which cannot read the last one
        ("br;q=1.0, gzip;q=0.1", "gzip"),
        ("br, zstd", None),
        ("*", "gzip"),
        ("identity", None),
        (None, None),
    ],
)
async def test_only_the_vendors_own_coding_is_used(
    reader: httpx.AsyncClient, accepted: str | None, coding: str | None
) -> None:
    request = reader.build_request("GET", f"{ROOT}/ticker/24hr")
    del request.headers["Accept-Encoding"]
    if accepted:
        request.headers["Accept-Encoding"] = accepted
    answer = await reader.send(request)
    assert answer.headers.get("content-encoding") == coding
    assert len(answer.json()) > 60


async def test_a_page_of_another_origin_may_read_the_headers(reader: httpx.AsyncClient) -> None:
    answer = await ask(reader, "ping", {"Origin": "https://page.example"})
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"X-MBX-USED-WEIGHT", "X-MBX-USED-WEIGHT-1M", "X-Source", "Retry-After"} <= exposed


async def test_the_used_weight_is_that_of_now_although_the_answer_is_cached(
    world: World, client: httpx.AsyncClient
) -> None:
    """All that the address has used, by the typed questions too."""
    first = await ask(client, "exchangeInfo")
    await client.get("/api/market")
    await client.get("/api/market/ohlc?symbol=BTC&interval=1h")
    second = await ask(client, "exchangeInfo")
    assert (second.headers["x-cache"], second.content) == ("hit", first.content)
    used = [int(answer.headers["x-mbx-used-weight-1m"]) for answer in (first, second)]
    assert used[0] == 20
    assert used[1] == sum(world.weights["binance"]) > used[0]


async def test_nothing_is_used_where_binance_is_off(serve: Serve, world: World) -> None:
    client = await serve(BINANCE_ENABLED="false")
    answer = await ask(client, "ticker/price", **PAIR)
    assert error_in(answer)[:2] == (503, -1001)
    assert answer.headers["x-mbx-used-weight"] == "0"
    assert world.calls["binance"] == 0


async def test_all_pairs_are_there_after_a_restart(
    world: World, surroundings: pytest.MonkeyPatch
) -> None:
    def start() -> AbstractAsyncContextManager[httpx.AsyncClient]:
        return serving(world, surroundings, STATE_PATH="state/gateway.sqlite")

    async with start() as client:
        before = await ask(client, "exchangeInfo")
        await ask(client, "exchangeInfo", symbol="BTCUSDT")
    await world.stop("binance")
    async with start() as client:
        after = await ask(client, "exchangeInfo")
        one = await ask(client, "exchangeInfo", symbol="BTCUSDT")
    assert (after.status_code, after.content) == (200, before.content)
    assert after.headers["x-cache"] == "hit"
    assert error_in(one)[:2] == (503, -1001)
