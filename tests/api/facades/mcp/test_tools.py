"""What tools answer: the same data as the REST routes, bounded, with their provenance."""

import re
from typing import Any

import httpx
import orjson
import pytest

from tests.api.facades.mcp.client import ask, call, found, refused

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
#: The largest question to each tool.
LARGEST: dict[str, dict[str, Any]] = {
    "get_prices": {"limit": 25},
    "find_coin": {"query": "c"},
    "get_candles": {"symbol": "BTC", "interval": "1m", "limit": 120},
    "get_news": {"limit": 20},
    "get_sentiment": {"days": 30},
    "get_gas": {},
    "get_status": {},
}


@pytest.mark.parametrize("name", LARGEST)
async def test_every_answer_is_short_and_says_where_it_is_from(
    reader: httpx.AsyncClient, name: str
) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    body["params"] = {"name": name, "arguments": LARGEST[name]}
    answer = await reader.post("/mcp", json=body)
    assert len(answer.content) < 12_000
    document = orjson.loads(answer.json()["result"]["content"][0]["text"])
    assert document["source"]
    assert INSTANT.fullmatch(document["as_of"])
    assert document["stale"] is False
    assert len(document["warnings"]) <= 3
    if name != "get_status":
        sources = document["source"]
        named = sources if isinstance(sources, str) else ", ".join(sources)
        assert answer.headers["x-source"] == named
        assert answer.headers["x-cache"] in {"hit", "miss"}
        assert int(answer.headers["age"]) >= 0


async def test_prices_are_those_of_the_market(reader: httpx.AsyncClient) -> None:
    told = (await reader.get("/api/market?symbols=BTC,ethereum")).json()
    answer = await found(reader, "get_prices", symbols=["BTC", "ethereum", "nosuchcoin"])
    assert (answer["currency"], answer["unknown"]) == ("USD", ["nosuchcoin"])
    assert any("nosuchcoin" in warning for warning in answer["warnings"])
    for row, coin in zip(answer["rows"], told["data"], strict=True):
        assert (row["id"], row["symbol"], row["name"]) == (coin["id"], coin["symbol"], coin["name"])
        assert (row["rank"], row["price"]) == (coin["market_cap_rank"], coin["price"])
        assert row["change_24h_percent"] == coin["price_change_percentage_24h"]
        assert row["volume_24h"] == pytest.approx(coin["volume_24h"], rel=1e-11)
    assert (answer["source"], answer["as_of"]) == (
        told["meta"]["source"],
        told["meta"]["fetched_at"],
    )


async def test_without_symbols_prices_are_of_the_largest_coins(reader: httpx.AsyncClient) -> None:
    rows = (await found(reader, "get_prices"))["rows"]
    assert [row["rank"] for row in rows] == list(range(1, 11))
    assert len((await found(reader, "get_prices", limit=3))["rows"]) == 3
    assert len((await found(reader, "get_prices", limit=None, symbols=None))["rows"]) == 10


async def test_candles_are_those_of_the_route(reader: httpx.AsyncClient) -> None:
    told = (await reader.get("/api/market/ohlc?symbol=BTC&interval=4h&limit=12")).json()
    answer = await found(reader, "get_candles", symbol="BTC", interval="4h", limit=12)
    assert answer["columns"] == ["time", "open", "high", "low", "close", "volume"]
    for row, candle in zip(answer["rows"], told["data"], strict=True):
        assert row[0] == candle["time"].replace(":00.000Z", "Z")
        assert row[1:] == [candle[name] for name in answer["columns"][1:]]
    assert answer["last_is_open"] is not told["data"][-1]["closed"]
    assert (answer["interval"], answer["currency"]) == ("4h", "USD")
    assert len((await found(reader, "get_candles", symbol="eth"))["rows"]) == 50


async def test_coins_are_found_by_a_part_of_their_names(reader: httpx.AsyncClient) -> None:
    answer = await found(reader, "find_coin", query="BTC")
    assert answer["rows"][0] == {"id": "bitcoin", "symbol": "BTC", "name": "Bitcoin", "rank": 1}
    assert 1 <= len(answer["rows"]) <= 10
    assert (await found(reader, "find_coin", query="zzzzzz"))["rows"] == []


async def test_news_sentiment_and_gas_are_those_of_the_routes(reader: httpx.AsyncClient) -> None:
    news = await found(reader, "get_news", limit=3)
    told = (await reader.get("/api/news?limit=3")).json()
    assert [row["url"] for row in news["rows"]] == [one["url"] for one in told["data"]]
    assert news["source"] == told["meta"]["source"]
    mood = await found(reader, "get_sentiment", days=2)
    days = (await reader.get("/api/sentiment?days=2")).json()["data"]
    assert [row["value"] for row in mood["rows"]] == [day["value"] for day in days]
    assert [row["day"] for row in mood["rows"]] == [day["timestamp"][:10] for day in days]
    assert mood["attribution"] == days[0]["attribution"]
    gas = await found(reader, "get_gas")
    fees = (await reader.get("/api/gas")).json()["data"]
    assert {name: gas[name] for name in fees} == fees


async def test_news_are_of_the_coins_that_are_asked_for(reader: httpx.AsyncClient) -> None:
    await found(reader, "get_prices")  # names need a market
    news = await found(reader, "get_news", symbols=["bitcoin"], limit=5)
    assert news["rows"]
    assert all("BTC" in row["symbols"] for row in news["rows"])


async def test_the_status_names_providers_and_ages(reader: httpx.AsyncClient) -> None:
    await found(reader, "get_prices")
    status = await found(reader, "get_status")
    assert status["providers"]["coingecko_free"] == "active"
    assert status["categories"]["market"]["age_seconds"] >= 0
    assert (status["source"], status["status"] in {"ok", "degraded"}) == ("gateway", True)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("get_prices", {"symbols": []}, "symbols must be a list of 1 to 25"),
        ("get_prices", {"symbols": ["X"] * 26}, "symbols must be a list of 1 to 25"),
        ("get_prices", {"symbols": "BTC,ETH"}, 'like ["BTC", "ETH"]'),
        ("get_prices", {"symbols": [7]}, "texts of 1 to 64 characters"),
        ("get_prices", {"symbols": ["a\nb"]}, "texts of 1 to 64 characters"),
        ("get_prices", {"limit": 0}, "limit must be an integer from 1 to 25"),
        ("get_prices", {"limit": True}, "limit must be an integer from 1 to 25"),
        ("get_prices", {"limit": "10"}, "limit must be an integer from 1 to 25"),
        ("get_prices", {"limit": 1e300}, "limit must be an integer from 1 to 25"),
        ("get_prices", {"nonsense": 1}, "unknown: nonsense; the arguments are: symbols, limit"),
        ("get_gas", {"chain": "base"}, "the arguments are: none"),
        ("get_candles", {}, "symbol is required"),
        ("get_candles", {"symbol": "BTC", "interval": "7h"}, "1h, 2h, 4h"),
        ("get_candles", {"symbol": "BTC", "interval": "1H"}, "interval must be one of"),
        ("get_candles", {"symbol": "BTC", "limit": 5_000}, "an integer from 1 to 120"),
        ("get_candles", {"symbol": "x" * 10_000}, "a text of 1 to 64 characters"),
        ("get_candles", {"symbol": "   "}, "a text of 1 to 64 characters"),
        ("get_candles", {"symbol": "nosuchcoin"}, "Call find_coin"),
        ("get_candles", {"symbol": "bitcion"}, "Did you mean BTC, bitcoin"),
        ("get_prices", {"symbols": ["bitcion"]}, "Did you mean BTC, bitcoin"),
        ("find_coin", {"query": "x" * 65}, "a text of 1 to 64 characters"),
        ("get_news", {"limit": 21}, "an integer from 1 to 20"),
        ("get_sentiment", {"days": 31}, "an integer from 1 to 30"),
        ("get_candles", {"symbol": {}, "limit": [], "x": 1}, "unknown: x"),
    ],
)
async def test_wrong_arguments_are_errors_that_models_can_mend(
    reader: httpx.AsyncClient, name: str, arguments: dict[str, Any], words: str
) -> None:
    text = await refused(reader, name, **arguments)
    assert words in text
    assert len(text) < 1_600


async def test_long_and_many_arguments_are_not_sent_back(reader: httpx.AsyncClient) -> None:
    many = {f"{'n' * 50}{number}": 1 for number in range(500)}
    text = await refused(reader, "get_gas", **many)
    assert len(text) < 300
    result = await ask(reader, "tools/call", name="get_prices", arguments={"symbols": ["🪙" * 64]})
    assert result["isError"] is True
    assert len(orjson.dumps(result)) < 2_000


async def test_names_of_odd_characters_fit_into_an_answer(reader: httpx.AsyncClient) -> None:
    names = ["BTC", *('"' * 60 + f"{number:04}" for number in range(24))]
    is_error, text = await call(reader, "get_prices", symbols=names)
    assert (is_error, len(orjson.dumps(text)) < 12_000) == (False, True)
    assert len(orjson.loads(text)["unknown"]) == 24
