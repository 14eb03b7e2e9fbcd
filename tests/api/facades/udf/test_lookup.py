"""`/udf/config`, `time`, `symbols`, `search`, `quotes`, and `/widgets.json`."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from api.facades.udf import lookup
from api.facades.udf.resolutions import RESOLUTIONS, interval_of
from api.facades.udf.symbols import plain_name, pricescale
from backend.models.ohlc import Interval
from tests.api.conftest import Serve
from tests.world.server import PROVIDERS, World


async def get(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await client.get(f"/udf/{path}", params=parameters or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refused(client: httpx.AsyncClient, path: str, **parameters: Any) -> tuple[int, str]:
    answer = await client.get(f"/udf/{path}", params=parameters or None)
    document = answer.json()
    assert (document["s"], set(document)) == ("error", {"s", "errmsg"})
    assert document["errmsg"]
    return answer.status_code, document["errmsg"]


async def test_config_says_what_there_is(reader: httpx.AsyncClient) -> None:
    config = await get(reader, "config", _="17")
    assert config["supported_resolutions"] == list(RESOLUTIONS)
    claims = {name: value for name, value in config.items() if name.startswith("supports_")}
    assert {name for name, value in claims.items() if value} == {
        "supports_search",
        "supports_time",
    }
    for path in ("symbol_info", "marks", "timescale_marks"):
        assert (await refused(reader, path))[0] == 404


async def test_time_is_bare_seconds(reader: httpx.AsyncClient) -> None:
    answer = await reader.get("/udf/time")
    assert answer.headers["content-type"].startswith("text/plain")
    assert abs(int(answer.text) - time.time()) < 5


async def test_config_and_time_need_no_provider(world: World, serve: Serve) -> None:
    world.faults = dict.fromkeys(PROVIDERS, "http500")
    client = await serve()
    assert (await get(client, "config"))["supports_time"] is True
    assert (await client.get("/udf/time")).text.isdigit()
    assert sum(world.calls.values()) == 0
    for path in ("symbols?symbol=BTC", "search?query=BTC", "search", "quotes?symbols=BTC"):
        status, text = await refused(client, path)
        assert status == 503
        assert "coingecko_free: upstream_5xx" in text
        assert "retry in" in text


def test_resolutions_are_all_intervals() -> None:
    assert list(RESOLUTIONS.values()) == list(Interval)
    assert [interval_of(one) for one in "DWM"] == [Interval.D1, Interval.W1, Interval.MONTH]


@pytest.mark.parametrize(
    ("price", "scale"),
    [
        (61_240.5, 100),
        (999.9, 100),
        (99.9, 1_000),
        (1.0, 10_000),
        (0.5, 100_000),
        (0.01, 1_000_000),
        (1.234e-9, 10**13),
        (1e-25, 10**16),
        (None, 10**8),
    ],
)
def test_the_price_scale_shows_five_digits(price: float | None, scale: int) -> None:
    assert pricescale(price) == scale


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("GATEWAY:BTC", "BTC"),
        ("gateway:btc", "btc"),
        ("BTC", "BTC"),
        ("BINANCE:BTCUSDT", "BINANCE:BTCUSDT"),
        (":BTC", ":BTC"),
        ("GATEWAY:", ""),
    ],
)
def test_only_our_exchange_is_cut_off(text: str, name: str) -> None:
    assert plain_name(text) == name


SPELLINGS = ("BTC", "btc", "bitcoin", "BTCUSDT", "BTC/USD", "GATEWAY:BTC")


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_symbol_is_found_by_any_spelling(reader: httpx.AsyncClient, spelling: str) -> None:
    symbol = await get(reader, "symbols", symbol=spelling)
    assert (symbol["ticker"], symbol["name"]) == ("bitcoin", "BTC")
    assert (symbol["session"], symbol["timezone"]) == ("24x7", "Etc/UTC")
    assert symbol["intraday_multipliers"] == [one for one in RESOLUTIONS if one.isdigit()]
    assert (symbol["minmov"], symbol["pricescale"]) == (1, 100)
    assert (symbol["data_status"], symbol["currency_code"]) == ("streaming", "USD")


async def test_a_lesser_namesake_has_its_id_as_name(reader: httpx.AsyncClient) -> None:
    symbol = await get(reader, "symbols", symbol="fake-bitcoin")
    assert (symbol["ticker"], symbol["name"]) == ("fake-bitcoin", "fake-bitcoin")
    assert symbol["pricescale"] == 10_000_000
    again = await get(reader, "symbols", symbol=f"{symbol['exchange']}:{symbol['name']}")
    assert again == symbol


async def test_symbols_of_the_list_ask_nobody(world: World, serve: Serve) -> None:
    client = await serve(CACHE_TTL_MARKET="0.05")
    await get(client, "symbols", symbol="BTC")
    world.calls.clear()
    world.faults = dict.fromkeys(PROVIDERS, "silence")
    await asyncio.sleep(0.3)
    began = time.monotonic()
    assert (await get(client, "symbols", symbol="ETH"))["ticker"] == "ethereum"
    assert time.monotonic() - began < 1
    assert sum(world.calls.values()) == 0


async def test_a_symbol_beyond_the_list_is_looked_up(reader: httpx.AsyncClient) -> None:
    symbol = await get(reader, "symbols", symbol="btc-of-mars")
    assert (symbol["ticker"], symbol["pricescale"]) == ("btc-of-mars", 100_000)


async def test_an_unknown_symbol_says_so(reader: httpx.AsyncClient) -> None:
    status, text = await refused(reader, "symbols", symbol="bitcion")
    assert status == 404
    assert "did you mean" in text
    assert "bitcoin" in text
    assert (await refused(reader, "symbols", symbol="BINANCE:BTC"))[0] == 404


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("symbols", {}),
        ("symbols", {"symbol": ""}),
        ("symbols", {"symbol": "x" * 65}),
        ("search", {"limit": "0"}),
        ("search", {"limit": "many"}),
        ("search", {"query": "x" * 10_000}),
        ("quotes", {}),
        ("quotes", {"symbols": ""}),
        ("quotes", {"symbols": ","}),
        ("quotes", {"symbols": ",".join(map(str, range(251)))}),
    ],
)
async def test_wrong_parameters_are_errors(
    reader: httpx.AsyncClient, path: str, parameters: dict[str, str]
) -> None:
    assert (await refused(reader, path, **parameters))[0] == 422


async def test_search_finds_exact_tickers_first(reader: httpx.AsyncClient) -> None:
    rows = await get(reader, "search", query="BTC", limit=30, type="", exchange="")
    assert (rows[0]["symbol"], rows[0]["ticker"]) == ("BTC", "bitcoin")
    assert rows[0]["full_name"] == "GATEWAY:BTC"
    assert len({row["ticker"] for row in rows}) == len(rows)
    lesser = next(row for row in rows if row["ticker"] == "fake-bitcoin")
    assert (lesser["symbol"], lesser["full_name"]) == ("BTC", "GATEWAY:fake-bitcoin")
    assert await get(reader, "search", query="zzzzzz") == []
    assert len(await get(reader, "search", query="coin", limit=3)) == 3


async def test_search_without_a_query_has_the_largest(reader: httpx.AsyncClient) -> None:
    rows = await get(reader, "search", limit=2, type="crypto", exchange="GATEWAY")
    assert [row["ticker"] for row in rows] == ["bitcoin", "ethereum"]
    for filters in ({"type": "stock"}, {"exchange": "NYSE"}):
        assert await get(reader, "search", **filters) == []
        assert await get(reader, "search", query="BTC", **filters) == []


async def test_quotes_are_in_the_order_asked_and_name_the_unknown(
    reader: httpx.AsyncClient,
) -> None:
    told = {row["id"]: row for row in (await reader.get("/api/market")).json()["data"]}
    document = await get(reader, "quotes", symbols="ETH,NOSUCHCOIN,GATEWAY:BTC,btc-of-mars")
    rows = document["d"]
    assert document["s"] == "ok"
    assert [row["n"] for row in rows] == ["ETH", "NOSUCHCOIN", "GATEWAY:BTC", "btc-of-mars"]
    assert [row["s"] for row in rows] == ["ok", "error", "ok", "ok"]
    figures, coin = rows[2]["v"], told["bitcoin"]
    assert (figures["lp"], figures["volume"]) == (coin["price"], coin["volume_24h"])
    assert figures["ch"] == coin["price_change_24h"]
    assert figures["chp"] == coin["price_change_percentage_24h"]
    assert (figures["high_price"], figures["low_price"]) == (coin["high_24h"], coin["low_24h"])
    assert (figures["short_name"], figures["original_name"]) == ("BTC", "GATEWAY:BTC")
    assert not {"bid", "ask", "spread", "open_price"} & set(figures)
    assert all(value is not None for row in rows for value in row["v"].values())
    (unknown,) = (await get(reader, "quotes", symbols="NOSUCHCOIN"))["d"]
    assert (unknown["s"], unknown["n"], unknown["v"]) == ("error", "NOSUCHCOIN", {})


async def test_old_quotes_are_not_served_as_current(
    world: World, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await serve(CACHE_TTL_MARKET="0.05", PREPARED_ANSWERS="false")
    await get(client, "quotes", symbols="BTC")
    world.faults = dict.fromkeys(PROVIDERS, "http500")
    await asyncio.sleep(0.2)
    await client.get("/udf/quotes?symbols=BTC")
    await asyncio.sleep(0.2)
    answer = await client.get("/udf/quotes?symbols=BTC")
    assert (answer.status_code, answer.headers["x-cache"]) == (200, "stale")
    assert answer.headers["x-stale-reason"] == "upstream_5xx"
    symbol = await get(client, "symbols", symbol="BTC")
    assert symbol["data_status"] == "delayed_streaming"
    monkeypatch.setattr(lookup, "MAX_STALE_QUOTES_S", 0.1)
    status, text = await refused(client, "quotes", symbols="BTC")
    assert status == 503
    assert "the newest prices are" in text


async def test_answers_have_the_headers_of_all_data(reader: httpx.AsyncClient) -> None:
    for path in ("symbols?symbol=BTC", "search?query=BTC", "quotes?symbols=BTC"):
        answer = await reader.get(f"/udf/{path}")
        assert answer.headers["x-source"] == "coingecko_free"
        assert answer.headers["x-cache"] in {"hit", "miss"}
        etag = answer.headers["etag"]
        same = await reader.get(f"/udf/{path}", headers={"If-None-Match": etag})
        assert (same.status_code, same.content) == (304, b"")
        exposed = await reader.get(f"/udf/{path}", headers={"Origin": "https://pro.openbb.co"})
        assert "X-Source" in exposed.headers["access-control-expose-headers"]
        assert exposed.headers["access-control-allow-origin"] == "*"


async def test_gateway_keys_lock_it_in_its_own_words(serve: Serve) -> None:
    key = "a-key-of-the-gateway-0001"
    client = await serve(GATEWAY_API_KEYS=key)
    for path in ("config", "time", "nothing"):
        assert (await refused(client, path))[0] == 401
    assert (await client.get("/widgets.json")).status_code == 401
    client.headers["X-API-Key"] = key
    assert (await client.get("/udf/time")).status_code == 200


async def test_limits_and_bugs_are_told_in_its_own_words(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await serve(CLIENT_RATE_LIMIT="2/hour")
    status, text = await refused(client, "search", query="BTC", limit=-1)
    assert status == 422
    await client.get("/udf/time")
    status, text = await refused(client, "time")
    assert status == 429
    assert "retry in" in text

    def boom(*_: Any) -> str:
        raise RuntimeError("/home/secret/path")

    monkeypatch.setattr(lookup, "plain_name", boom)
    status, text = await refused(await serve(CLIENT_RATE_LIMIT=""), "symbols", symbol="BTC")
    assert status == 500
    assert "secret" not in text


async def test_openbb_finds_the_chart(reader: httpx.AsyncClient) -> None:
    widgets = (await reader.get("/widgets.json")).json()
    (widget,) = widgets.values()
    assert (widget["type"], widget["endpoint"]) == ("advanced_charting", "/udf")
    assert (await get(reader, "symbols", symbol=widget["data"]["defaultSymbol"]))["ticker"]


async def test_without_the_facade_there_is_no_path(serve: Serve) -> None:
    client = await serve(FACADES="mcp")
    for path in ("/udf/config", "/widgets.json"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
