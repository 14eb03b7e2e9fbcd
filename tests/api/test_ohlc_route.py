"""`/api/market/ohlc` over the whole stack."""

import asyncio
import csv
import io
import time
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.api.conftest import Serve
from tests.world.data import DAY, HOUR, STEPS
from tests.world.server import World

ROUTE = "/api/market/ohlc"


def stamps(answer: httpx.Response) -> list[int]:
    return [row["timestamp"] for row in answer.json()["data"]]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize("interval", ["1m", "1h", "4h", "1d"])
async def test_the_newest_candles_end_with_the_open_one(
    reader: httpx.AsyncClient, interval: str
) -> None:
    answer = await reader.get(f"{ROUTE}?symbol=BTC&interval={interval}&limit=50")
    rows: list[Any] = answer.json()["data"]
    step = STEPS[interval]
    assert [row["closed"] for row in rows] == [True] * 49 + [False]
    assert stamps(answer) == [rows[-1]["timestamp"] - step * back for back in range(49, -1, -1)]
    assert rows[-1]["timestamp"] in (now_ms() // step * step, (now_ms() - 5_000) // step * step)
    names = {"timestamp", "open", "high", "low", "close", "volume", "closed", "time"}
    assert set(rows[0]) == names
    for row in rows:
        opened = datetime.fromisoformat(row["time"])
        assert opened.timestamp() * 1000 == row["timestamp"]
    assert answer.json()["meta"]["source"] == "binance"


async def test_limits_and_formats_of_one_series_share_one_call(
    world: World, client: httpx.AsyncClient
) -> None:
    await client.get(f"{ROUTE}?symbol=BTC")
    before = world.calls["binance"]
    for query in ("limit=1", "limit=1000", "format=csv", "format=arrays", "include_open=false"):
        assert (await client.get(f"{ROUTE}?symbol=bitcoin&{query}")).status_code == 200
    start = now_ms() - 100 * HOUR
    assert len(stamps(await client.get(f"{ROUTE}?symbol=BTCUSDT&start={start}&limit=5"))) == 5
    assert world.calls["binance"] == before


async def test_history_is_paged_and_closed_candles_are_cached(world: World, serve: Serve) -> None:
    client = await serve(CACHE_TTL_OHLC="0.05")
    end = now_ms() // HOUR * HOUR - 500 * HOUR
    start = end - 2_500 * HOUR
    query = f"{ROUTE}?symbol=BTC&start={start}&end={end}"
    answer = await client.get(query)
    opens = stamps(answer)
    assert opens == list(range(start, end + 1, HOUR))
    before = world.paths["binance"].count("/api/v3/klines")
    assert before >= 4
    older = f"{ROUTE}?symbol=BTC&start={end - 2_900 * HOUR}&end={end - 2_890 * HOUR}"
    assert len(stamps(await client.get(older))) == 11
    count = world.paths["binance"].count("/api/v3/klines")
    await asyncio.sleep(0.2)
    await client.get(older)
    assert world.paths["binance"].count("/api/v3/klines") == count


async def test_arrays_and_csv_have_the_same_values(reader: httpx.AsyncClient) -> None:
    rows = (await reader.get(f"{ROUTE}?symbol=BTC&limit=3")).json()["data"]
    names = ["timestamp", "open", "high", "low", "close", "volume"]
    arrays = (await reader.get(f"{ROUTE}?symbol=BTC&limit=3&format=arrays")).json()["data"]
    assert arrays == [[row[name] for name in names] for row in rows]
    table = (await reader.get(f"{ROUTE}?symbol=BTC&limit=3&format=csv")).text
    cells = list(csv.DictReader(io.StringIO(table)))
    assert [float(cell["close"]) for cell in cells] == [row["close"] for row in rows]
    assert [cell["closed"] for cell in cells] == ["true", "true", "false"]


@pytest.mark.parametrize(
    ("interval", "step", "count"),
    [("4h", 4 * HOUR, 180), ("1d", DAY, 30), ("1h", HOUR, 24), ("30m", HOUR // 2, 48)],
)
async def test_coingecko_serves_the_candles_that_it_has(
    world: World, client: httpx.AsyncClient, interval: str, step: int, count: int
) -> None:
    world.faults["binance"] = "451"
    answer = await client.get(f"{ROUTE}?symbol=BTC&interval={interval}&limit=1000")
    document = answer.json()
    assert document["meta"]["source"] == "coingecko_free"
    assert {row["volume"] for row in document["data"]} == {None}
    opens = stamps(answer)
    assert opens == list(range(opens[0], opens[-1] + step, step))
    assert opens[-1] <= now_ms() < opens[-1] + step
    assert count - 1 <= len(opens) <= count
    assert "only since" in document["meta"]["warnings"][-1]


@pytest.mark.parametrize(("interval", "count"), [("1h", 1_000), ("1d", 180)])
async def test_coingecko_pro_has_native_hours_and_days(
    world: World, serve: Serve, interval: str, count: int
) -> None:
    world.faults["binance"] = "451"
    client = await serve(COINGECKO_PRO_API_KEY=world.good_keys["coingecko_pro"])
    answer = await client.get(f"{ROUTE}?symbol=BTC&interval={interval}&limit=1000")
    assert (answer.json()["meta"]["source"], len(stamps(answer))) == ("coingecko_pro", count)


@pytest.mark.parametrize("name", ["start", "end"])
async def test_an_empty_time_is_refused_by_name(reader: httpx.AsyncClient, name: str) -> None:
    answer = await reader.get(f"{ROUTE}?symbol=BTC&{name}=")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert answer.json()["errors"][0]["parameter"] == name


@pytest.mark.parametrize("interval", ["1m", "5m", "6h", "1w", "1M"])
async def test_an_unserved_interval_names_each_provider_and_its_reason(
    world: World, client: httpx.AsyncClient, interval: str
) -> None:
    world.faults["binance"] = "451"
    answer = await client.get(f"{ROUTE}?symbol=BTC&interval={interval}")
    document = answer.json()
    assert (answer.status_code, document["code"]) == (503, "all_providers_failed")
    reasons = {row["provider"]: row["reason"] for row in document["providers"]}
    assert {name: reason for name, reason in reasons.items() if reason != "disabled"} == {
        "coingecko_pro": "not_configured",
        "coingecko_free": "unsupported",
        "binance": "geo_blocked",
    }


async def test_a_coin_never_gets_the_candles_of_a_namesake(
    world: World, client: httpx.AsyncClient
) -> None:
    answer = await client.get(f"{ROUTE}?symbol=fake-bitcoin&interval=1m")
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported")
    assert world.calls["binance"] == 0


async def test_an_interval_that_nobody_has_for_a_coin_names_those_that_are_available(
    world: World, client: httpx.AsyncClient
) -> None:
    """Only CoinGecko has candles of this coin, and it has none of a minute."""
    document = (await client.get(f"{ROUTE}?symbol=fake-bitcoin&interval=1m")).json()
    assert document["parameter"] == "interval"
    assert "1m" not in document["available"]
    for interval in document["available"][:2]:  # CoinGecko allows five calls a minute
        answer = await client.get(f"{ROUTE}?symbol=fake-bitcoin&interval={interval}")
        assert answer.status_code == 200, interval


async def test_while_a_provider_of_an_interval_waits_it_is_not_called_unsupported(
    world: World, client: httpx.AsyncClient
) -> None:
    world.faults["binance"] = "http500"
    answer = await client.get(f"{ROUTE}?symbol=BTC&interval=1m")
    assert (answer.status_code, answer.json()["code"]) == (503, "all_providers_failed")


@pytest.mark.parametrize("symbol", ["namesake", "delisted", "unlisted"])
async def test_wrong_dead_and_missing_pairs_do_not_affect_provider_health(
    client: httpx.AsyncClient, symbol: str
) -> None:
    answer = await client.get(f"{ROUTE}?symbol={symbol}&interval=4h")
    assert answer.json()["meta"]["source"] == "coingecko_free"
    assert answer.json()["meta"]["tried"][0]["outcome"] == "unsupported"
    status = (await client.get("/api/status")).json()
    states = {row["status"] for row in status["providers"]}
    assert states == {"active", "not_configured", "disabled"}


async def test_the_second_host_serves_where_the_first_is_blocked(
    world: World, serve: Serve
) -> None:
    world.faults["binance"] = "451"
    client = await serve(BINANCE_BASE_URL=f"{world.url('binance')},{world.url('binance_second')}")
    for interval in ("1m", "1h", "4h"):
        answer = await client.get(f"{ROUTE}?symbol=BTC&interval={interval}")
        assert answer.json()["meta"]["source"] == "binance"
    assert (world.calls["binance"], world.calls["binance_second"]) == (1, 3)


async def test_unknown_symbols_cost_one_lookup_of_the_market_and_one_of_all_names(
    world: World, client: httpx.AsyncClient
) -> None:
    for number in range(20):
        answer = await client.get(f"{ROUTE}?symbol=NOPE{number}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_symbol")
    assert sum(world.calls.values()) == 2


async def test_a_stale_answer_drops_its_open_candle_only_when_too_old(
    world: World, serve: Serve
) -> None:
    client = await serve(CACHE_TTL_OHLC="0.05")
    await client.get(f"{ROUTE}?symbol=BTC&interval=1m&limit=5")
    world.faults["binance"] = "http500"
    await asyncio.sleep(0.2)
    answer = await client.get(f"{ROUTE}?symbol=BTC&interval=1m&limit=5")
    assert answer.json()["meta"]["stale"] is True
    assert answer.headers["x-cache"] == "stale"
    assert [row["closed"] for row in answer.json()["data"]] == [True] * 4 + [False]
