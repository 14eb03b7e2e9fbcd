"""Errors: the vendor's refusals as they are, and the gateway's own in Binance's codes and words."""

import httpx
import pytest

from api.edge.problems import ERRORS, ProblemDetails
from api.facades.binance.dialect import render_error
from tests.api.conftest import Serve
from tests.api.facades.binance.asking import answered, ask, asked, error_in, refused, sent
from tests.api.shared import SharedGateways
from tests.world.server import PROVIDERS, World

PAIR = {"symbol": "BTCUSDT"}
PATHS_OF_ONE = ("klines", "uiKlines", "depth", "trades", "historicalTrades", "aggTrades")


async def test_the_vendors_refusals_are_passed_on_and_cached(
    world: World, client: httpx.AsyncClient
) -> None:
    for _ in range(3):
        assert await refused(client, "klines", symbol="NOPEUSDT", interval="1h") == (
            400,
            -1121,
            "Invalid symbol.",
        )
        assert await refused(client, "klines", **PAIR, interval="7h") == (
            400,
            -1120,
            "Invalid interval.",
        )
        status, code, text = await refused(client, "avgPrice", symbol="btcusdt")
        assert (status, code) == (400, -1100)
        assert "'symbol'" in text
        assert (await refused(client, "ticker/price", **PAIR, symbols='["BTCUSDT"]'))[1] == -1128
    assert len(sent(world)) == 4
    status = (await client.get("/api/status")).json()
    (provider,) = [one for one in status["providers"] if one["name"] == "binance"]
    assert (provider["status"], provider["failures"]) == ("active", 0)


async def test_a_refusal_says_where_it_is_from_and_is_not_stored(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "ticker/price", symbol="NOPE")
    assert answer.headers["x-source"] == "binance"
    assert answer.headers["x-cache"] == "miss"
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["x-mbx-used-weight-1m"]) == 2


@pytest.mark.parametrize("path", [*PATHS_OF_ONE, "avgPrice"])
async def test_a_missing_symbol_costs_no_call(
    world: World, client: httpx.AsyncClient, path: str
) -> None:
    text = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
    for parameters in ({}, {"symbol": ""}, {"interval": "1h"}):
        assert await refused(client, path, **parameters) == (400, -1102, text)
    assert world.calls["binance"] == 0


async def test_a_missing_interval_and_missing_symbols_cost_no_call(
    world: World, client: httpx.AsyncClient
) -> None:
    text = "Mandatory parameter 'interval' was not sent, was empty/null, or malformed."
    assert await refused(client, "klines", **PAIR) == (400, -1102, text)
    text = "Param 'symbol' or 'symbols' must be sent, but both were empty/null!"
    for path in ("ticker", "ticker/tradingDay"):
        assert await refused(client, path) == (400, -1102, text)
    assert world.calls["binance"] == 0


@pytest.mark.parametrize(
    ("path", "name", "text"),
    [
        ("depth", "limit", "ten"),
        ("depth", "limit", "-5"),
        ("depth", "limit", "1.5"),
        ("depth", "limit", "1" * 21),
        ("depth", "limit", "\u0661"),
        ("aggTrades", "startTime", "2026-01-01"),
        ("aggTrades", "fromId", "1e5"),
        ("klines", "interval", "1h' OR 1=1"),
        ("klines", "timeZone", "Europe/Berlin"),
        ("avgPrice", "symbol", "BTC/USDT"),
        ("avgPrice", "symbol", "B" * 21),
        ("avgPrice", "symbol", "BTC\nUSDT"),
        ("avgPrice", "symbol", "<script>"),
        ("avgPrice", "symbol", "UNION SELECT"),
        ("ticker/price", "symbols", "BTCUSDT"),
        ("ticker/price", "symbols", '["BTCUSDT"'),
        ("ticker/price", "symbols", "[]"),
        ("ticker/price", "symbols", "[1]"),
        ("ticker/price", "symbols", '["BTC USDT"]'),
        ("ticker/price", "symbols", '{"a":1}'),
        ("ticker/price", "symbols", "[" * 4_000),
        ("exchangeInfo", "permissions", '["SPOT","--"]'),
        ("exchangeInfo", "showPermissionSets", "maybe"),
        ("ticker/24hr", "type", "FULL;"),
    ],
)
async def test_a_malformed_parameter_costs_no_call(
    world: World, client: httpx.AsyncClient, path: str, name: str, text: str
) -> None:
    parameters = {**PAIR, "interval": "1h"} if path == "klines" else dict(PAIR)
    if path in ("ticker/price", "exchangeInfo"):
        parameters = {}
    status, code, told = await refused(client, path, **{**parameters, name: text})
    assert (status, code) == (400, -1100)
    assert told.startswith(f"Illegal characters found in parameter '{name}'; ")
    assert world.calls["binance"] == 0


async def test_too_many_symbols_cost_no_call(world: World, client: httpx.AsyncClient) -> None:
    symbols = "[" + ",".join(f'"C{number}USDT"' for number in range(101)) + "]"
    status, code, text = await refused(client, "ticker/24hr", symbols=symbols)
    assert (status, code) == (400, -1130)
    assert "100" in text
    assert world.calls["binance"] == 0


async def test_a_repeated_parameter_costs_no_call(world: World, client: httpx.AsyncClient) -> None:
    answer = await client.get("/binance/api/v3/avgPrice?symbol=BTCUSDT&symbol=ETHUSDT")
    text = "Duplicate values for a parameter detected."
    assert error_in(answer) == (400, -1101, text)
    assert world.calls["binance"] == 0
    answer = await client.get("/binance/api/v3/avgPrice?symbol=BTCUSDT&_=1&_=2")
    assert answer.status_code == 200


@pytest.mark.parametrize("unit", ["MICROSECOND", "microsecond", "seconds", "x"])
async def test_another_unit_of_time_is_refused_on_every_path(
    world: World, client: httpx.AsyncClient, unit: str
) -> None:
    headers = {"X-MBX-TIME-UNIT": unit}
    for path in ("time", "avgPrice?symbol=BTCUSDT", "klines?symbol=BTCUSDT&interval=1h"):
        status, code, text = error_in(await client.get(f"/binance/api/v3/{path}", headers=headers))
        assert (status, code) == (400, -1100)
        assert "X-MBX-TIME-UNIT" in text
    assert world.calls["binance"] == 0


@pytest.mark.parametrize("unit", ["MILLISECOND", "millisecond", ""])
async def test_milliseconds_are_served_and_the_header_is_not_sent(
    world: World, client: httpx.AsyncClient, unit: str
) -> None:
    answer = await ask(client, "avgPrice", {"X-MBX-TIME-UNIT": unit}, **PAIR)
    assert answer.status_code == 200
    ((_, request),) = world.requests
    assert "x-mbx-time-unit" not in request.headers


PRIVATE = (
    "account",
    "account/commission",
    "order",
    "order/test",
    "order/cancelReplace",
    "openOrders",
    "allOrders",
    "orderList/oco",
    "myTrades",
    "userDataStream",
    "sor/order",
    "rateLimit/order",
    "order/",
)


@pytest.mark.parametrize("path", PRIVATE)
async def test_nothing_private_is_served(
    world: World, reader: httpx.AsyncClient, path: str
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = await reader.request(method, f"/binance/api/v3/{path}?signature=s&timestamp=1")
        status, code, text = error_in(answer)
        assert (status, code) == (403, -1002)
        assert "public market data only" in text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_no_path_takes_another_method(reader: httpx.AsyncClient, method: str) -> None:
    for path in ("klines", "ping", "time", "avgPrice", "nothing"):
        answer = await reader.request(method, f"/binance/api/v3/{path}", content=b"a=1")
        assert error_in(answer)[:2] == (403, -1002)


@pytest.mark.parametrize(
    "path",
    [
        "/binance",
        "/binance/",
        "/binance/api/v3",
        "/binance/api/v3/nothing",
        "/binance/api/v3/klines/more",
        "/binance/api/v1/klines",
        "/binance/sapi/v1/capital/config/getall",
        "/binance/fapi/v1/klines",
        "/binance/dapi/v1/exchangeInfo",
    ],
)
async def test_other_paths_are_unknown(reader: httpx.AsyncClient, path: str) -> None:
    assert error_in(await reader.get(path))[:2] == (404, -1000)


async def test_head_has_no_body(reader: httpx.AsyncClient) -> None:
    answer = await reader.head("/binance/api/v3/avgPrice?symbol=BTCUSDT")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["x-source"] == "binance"
    assert (await reader.head("/binance/api/v3/account")).status_code == 403


@pytest.mark.parametrize("fault", ["http500", "html", "451", "refused"])
async def test_no_other_vendor_answers_for_binance(world: World, serve: Serve, fault: str) -> None:
    client = await serve()
    if fault == "refused":
        await world.stop("binance")
    else:
        world.faults["binance"] = fault
    for path, parameters in (("ticker/price", PAIR), ("klines", {**PAIR, "interval": "1h"})):
        answer = await ask(client, path, **parameters)
        assert error_in(answer)[:2] == (503, -1001)
        assert int(answer.headers["retry-after"]) > 0
        assert "x-mbx-used-weight" in answer.headers
    assert world.calls["coingecko_free"] == 0


async def test_the_vendors_limit_is_a_limit_with_its_wait(world: World, serve: Serve) -> None:
    world.faults["binance"] = "429"
    client = await serve()
    answer = await ask(client, "ticker/price", **PAIR)
    assert error_in(answer)[:2] == (429, -1003)
    assert int(answer.headers["retry-after"]) > 0


async def test_a_used_up_part_of_the_limit_is_a_limit_with_its_wait(
    world: World, serve: Serve
) -> None:
    client = await serve(BINANCE_LIMITS="100/minute")
    for number in range(60):
        answer = await ask(client, "avgPrice", symbol=f"C{number}USDT")
        if answer.status_code != 200:
            break
    assert error_in(answer)[:2] == (429, -1003)
    assert 0 < int(answer.headers["retry-after"]) <= 65
    used = int(answer.headers["x-mbx-used-weight-1m"])
    assert used == sum(world.weights["binance"]) < 100
    assert not world.overruns


async def test_a_silent_vendor_is_an_error_in_time(world: World, serve: Serve) -> None:
    world.faults["binance"] = "silence"
    client = await serve(REQUEST_DEADLINE="0.5")
    status, code, _ = await refused(client, "ticker/price", **PAIR)
    # The error of all providers comes 25 ms before the deadline, on a machine that is not busy.
    assert (status, code) in {(503, -1001), (504, -1007)}


async def test_the_limit_of_a_client_is_told_in_its_dialect(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="2/minute")
    for _ in range(2):
        assert await answered(client, "ping") == {}
    answer = await ask(client, "ping")
    assert error_in(answer)[:2] == (429, -1003)
    assert int(answer.headers["retry-after"]) > 0


async def test_a_missing_key_is_told_in_its_dialect(shared: SharedGateways) -> None:
    client = shared.client(GATEWAY_API_KEYS="a-key-of-the-gateway-0001")
    answer = await ask(client, "ping")
    assert error_in(answer)[:2] == (401, -1002)
    answer = await ask(client, "ping", {"X-MBX-APIKEY": "a-key-of-the-gateway-0001"})
    assert answer.status_code == 200


async def test_too_long_urls_are_wrong_parameters(reader: httpx.AsyncClient) -> None:
    answer = await reader.get("/binance/api/v3/ping?" + "&".join(["a=1"] * 300))
    assert error_in(answer)[:2] == (414, -1100)


def test_every_error_of_the_gateway_has_a_code_that_clients_know() -> None:
    """Never 418 and never -1008, which clients of a foreign address do not know."""
    for code in ERRORS:
        answer = render_error(ProblemDetails(code, "text", "/", "1", {}, {}))
        assert answer.status_code != 418
        document = httpx.Response(200, content=bytes(answer.body)).json()
        assert document["code"] in {-1000, -1001, -1002, -1003, -1007, -1100}, code
        assert document["msg"] == "text"
        assert ("retry-after" in answer.headers) is (answer.status_code in (429, 503))


async def test_everybody_down_is_an_error_of_every_path(world: World, serve: Serve) -> None:
    world.faults = dict.fromkeys(PROVIDERS, "http500")
    client = await serve()
    for path in ("exchangeInfo", "ticker/24hr", "ticker/price", "ticker/bookTicker"):
        assert (await refused(client, path))[:2] == (503, -1001)
    assert await answered(client, "ping") == {}
    assert len(asked(world, "exchangeInfo")) >= 1
