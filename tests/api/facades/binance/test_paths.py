"""What is passed on of each path, what it weighs, and that the answer is the vendor's."""

import json
from typing import Any

import httpx
import pytest

from api.facades.binance.paths import KLINES, PATHS
from tests.api.conftest import Serve
from tests.api.facades.binance.asking import answered, ask, asked, error_in, sent
from tests.world.server import World

PAIR = {"symbol": "BTCUSDT"}
TWO = '["BTCUSDT","ETHUSDT"]'
#: Path, parameters and weight, as the vendor's documentation has them.
QUESTIONS: tuple[tuple[str, dict[str, str], int], ...] = (
    ("exchangeInfo", {}, 20),
    ("exchangeInfo", {"symbols": TWO, "showPermissionSets": "false"}, 20),
    ("klines", {**PAIR, "interval": "1h", "startTime": "0", "timeZone": "0"}, 2),
    ("uiKlines", {**PAIR, "interval": "1d", "startTime": "0"}, 2),
    ("ticker/24hr", PAIR, 2),
    ("ticker/24hr", {"symbols": TWO, "type": "MINI"}, 2),
    ("ticker/24hr", {"symbolStatus": "TRADING"}, 80),
    ("ticker/24hr", {}, 80),
    ("ticker/price", PAIR, 2),
    ("ticker/price", {"symbols": TWO}, 4),
    ("ticker/price", {}, 4),
    ("ticker/bookTicker", PAIR, 2),
    ("ticker/bookTicker", {}, 4),
    ("ticker", {**PAIR, "windowSize": "1h"}, 4),
    ("ticker", {"symbols": TWO}, 8),
    ("avgPrice", PAIR, 2),
    ("depth", PAIR, 5),
    ("depth", {**PAIR, "limit": "100"}, 5),
    ("depth", {**PAIR, "limit": "101"}, 25),
    ("depth", {**PAIR, "limit": "501"}, 50),
    ("depth", {**PAIR, "limit": "5000"}, 250),
    ("trades", {**PAIR, "limit": "3"}, 25),
    ("historicalTrades", {**PAIR, "fromId": "1"}, 25),
    ("aggTrades", {**PAIR, "fromId": "1"}, 4),
)


def names(count: int) -> str:
    """So many symbols that the world has, some more than once."""
    return json.dumps([f"C{number % 60}USDT" for number in range(count)])


@pytest.mark.parametrize(("path", "parameters", "weight"), QUESTIONS)
async def test_a_question_is_passed_on_with_its_weight(
    world: World, client: httpx.AsyncClient, path: str, parameters: dict[str, str], weight: int
) -> None:
    answer = await ask(client, path, **parameters)
    assert answer.status_code == 200, answer.text
    assert sent(world) == [(f"/api/v3/{path}", parameters)]
    assert world.weights["binance"] == [weight]
    assert answer.headers["x-mbx-used-weight-1m"] == str(weight)


@pytest.mark.parametrize(
    ("path", "count", "weight"),
    [
        ("ticker/24hr", 20, 2),
        ("ticker/24hr", 21, 40),
        ("ticker/24hr", 100, 40),
        ("ticker", 50, 200),
        ("ticker", 100, 200),
    ],
)
async def test_the_weight_grows_with_the_symbols(
    world: World, client: httpx.AsyncClient, path: str, count: int, weight: int
) -> None:
    answer = await ask(client, path, symbols=names(count))
    assert len(answer.json()) == count
    assert world.weights["binance"] == [weight]
    assert answer.headers["x-mbx-used-weight"] == str(weight)


def test_every_path_is_asked_here() -> None:
    listed = {path.template.removeprefix("/api/v3/") for path in (*KLINES, *PATHS)}
    assert listed == {path for path, _, _ in QUESTIONS} | {"ticker/tradingDay"}


async def test_the_trading_day_is_asked_of_the_host_that_has_it(world: World, serve: Serve) -> None:
    """The first host is for market data only."""
    world.lacking["binance"] = {"/api/v3/ticker/tradingDay"}
    client = await serve(BINANCE_BASE_URL=f"{world.url('binance')},{world.url('binance_second')}")
    for _ in range(2):
        row = await answered(client, "ticker/tradingDay", symbol="BTCUSDT", timeZone="0")
        assert row["symbol"] == "BTCUSDT"
    question = ("/api/v3/ticker/tradingDay", {"symbol": "BTCUSDT", "timeZone": "0"})
    assert sent(world) == [question]
    assert sent(world, "binance_second") == [question]
    status = (await client.get("/api/status")).json()
    (provider,) = [one for one in status["providers"] if one["name"] == "binance"]
    assert (provider["status"], provider["failures"]) == ("active", 0)


async def test_a_path_that_no_host_has_is_an_error(world: World, client: httpx.AsyncClient) -> None:
    world.lacking["binance"] = {"/api/v3/ticker/tradingDay"}
    answer = await ask(client, "ticker/tradingDay", symbol="BTCUSDT")
    assert error_in(answer)[:2] == (404, -1000)
    assert (await ask(client, "avgPrice", symbol="BTCUSDT")).status_code == 200


async def test_one_symbol_is_an_object_and_several_are_an_array(reader: httpx.AsyncClient) -> None:
    for path in ("ticker/24hr", "ticker/price", "ticker/bookTicker"):
        one = await answered(reader, path, symbol="BTCUSDT")
        several = await answered(reader, path, symbols=TWO)
        every = await answered(reader, path)
        assert one["symbol"] == "BTCUSDT"
        assert [row["symbol"] for row in several] == ["BTCUSDT", "ETHUSDT"]
        assert len(every) > 60


async def test_the_body_is_the_vendors_own(world: World, client: httpx.AsyncClient) -> None:
    row = await answered(client, "ticker/24hr", symbol="BTCUSDT")
    texts = {name for name, value in row.items() if isinstance(value, str)}
    assert {"lastPrice", "quoteVolume", "priceChangePercent"} <= texts
    assert {name for name, value in row.items() if not isinstance(value, str)} == {
        "openTime",
        "closeTime",
        "firstId",
        "lastId",
        "count",
    }
    assert row["lastPrice"] == "50500.00000000"


EQUAL: tuple[tuple[str, list[dict[str, Any]]], ...] = (
    ("ticker/price", [{"symbols": TWO}, {"symbols": '[ "BTCUSDT", "ETHUSDT" ]'}]),
    ("ticker/price", [PAIR, {**PAIR, "_": "1"}, {"t": "2", **PAIR}, {"symbol": " BTCUSDT "}]),
    ("depth", [{**PAIR, "limit": "20"}, {"limit": "0020", **PAIR}, {**PAIR, "limit": 20}]),
    ("exchangeInfo", [{"showPermissionSets": text} for text in ("false", "False", "FALSE")]),
    ("exchangeInfo", [{}, {"symbol": ""}, {"symbols": " "}]),
    (
        "avgPrice",
        [PAIR, {**PAIR, "timestamp": "1", "signature": "s", "recvWindow": "5", "apiKey": "k"}],
    ),
)


@pytest.mark.parametrize(("path", "spellings"), EQUAL)
async def test_equal_questions_cost_one_call(
    world: World, client: httpx.AsyncClient, path: str, spellings: list[dict[str, Any]]
) -> None:
    answers = [await ask(client, path, **one) for one in spellings]
    answers.append(await ask(client, f"{path}/", **spellings[0]))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(asked(world, path)) == 1


async def test_the_order_of_symbols_is_kept(world: World, client: httpx.AsyncClient) -> None:
    for symbols in (TWO, '["ETHUSDT","BTCUSDT"]'):
        rows = await answered(client, "ticker/price", symbols=symbols)
        assert [row["symbol"] for row in rows] == json.loads(symbols)
    assert len(asked(world, "ticker/price")) == 2


async def test_the_gateway_answers_ping_and_time_itself(
    world: World, client: httpx.AsyncClient
) -> None:
    for slash in ("", "/"):
        assert await answered(client, f"ping{slash}") == {}
        told = await answered(client, f"time{slash}")
        assert set(told) == {"serverTime"}
        assert abs(told["serverTime"] - world.now_ms) < 5_000
    answer = await ask(client, "time")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-mbx-used-weight-1m"] == answer.headers["x-mbx-used-weight"] == "0"
    assert world.calls["binance"] == 0
