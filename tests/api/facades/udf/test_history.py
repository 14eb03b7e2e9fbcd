"""`/udf/history`: exactly the bars that a chart asks for, as columns."""

import time
from itertools import pairwise
from typing import Any

import httpx
import pytest

from api.facades.udf import examples
from tests.api.conftest import Serve
from tests.api.facades.udf.test_lookup import get, refused
from tests.world.data import DAY, HOUR, STEPS
from tests.world.server import PROVIDERS, World

HOUR_S, DAY_S = HOUR // 1000, DAY // 1000
#: Resolutions of a fixed length, by their intervals.
FIXED = {
    "1": "1m",
    "3": "3m",
    "5": "5m",
    "15": "15m",
    "30": "30m",
    "60": "1h",
    "120": "2h",
    "240": "4h",
    "360": "6h",
    "480": "8h",
    "720": "12h",
    "1D": "1d",
    "D": "1d",
    "3D": "3d",
    "1W": "1w",
    "W": "1w",
}


async def history(client: httpx.AsyncClient, /, **parameters: Any) -> Any:
    parameters["from"] = parameters.pop("start", None)
    given = {name: value for name, value in parameters.items() if value is not None}
    return await get(client, "history", **{"symbol": "bitcoin", "resolution": "60"} | given)


def now_s() -> int:
    return int(time.time())


@pytest.mark.parametrize("resolution", FIXED)
async def test_countback_outranks_from(reader: httpx.AsyncClient, resolution: str) -> None:
    step, now = STEPS[FIXED[resolution]] // 1000, now_s()
    for start in (now - 5 * step, now, 0, -(10**9), None):
        told = await history(reader, resolution=resolution, start=start, to=now, countback=40)
        assert told["s"] == "ok"
        assert {len(told[column]) for column in "tohlcv"} == {40}
        assert {later - one for one, later in pairwise(told["t"])} == {step}
        assert now - 2 * step <= told["t"][-1] < now


async def test_the_bars_are_the_candles_of_the_route(reader: httpx.AsyncClient) -> None:
    rows = (await reader.get("/api/market/ohlc?symbol=ETH&interval=4h&limit=3")).json()["data"]
    told = await history(reader, symbol="GATEWAY:ETH", resolution="240", countback=3)
    assert told["t"] == [row["timestamp"] // 1000 for row in rows]
    names = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
    for column, name in names.items():
        assert told[column] == [row[name] for row in rows]


async def test_from_is_inclusive_and_to_exclusive(reader: httpx.AsyncClient) -> None:
    to = now_s() // HOUR_S * HOUR_S
    told = await history(reader, start=to - 10 * HOUR_S, to=to)
    assert told["t"] == list(range(to - 10 * HOUR_S, to, HOUR_S))
    beyond = await history(reader, start=to - 10 * HOUR_S, to=to + 1)
    assert beyond["t"] == [*told["t"], to]
    before = await history(reader, to=to, countback=2)
    assert before["t"] == [to - 2 * HOUR_S, to - HOUR_S]


async def test_old_bars_come_by_countback_and_by_range(reader: httpx.AsyncClient) -> None:
    to = now_s() // HOUR_S * HOUR_S - 2_500 * HOUR_S
    told = await history(reader, to=to, countback=1_200)
    assert told["t"] == list(range(to - 1_200 * HOUR_S, to, HOUR_S))
    assert await history(reader, start=to - 1_200 * HOUR_S, to=to) == told


async def test_a_far_end_is_now(reader: httpx.AsyncClient) -> None:
    now = await history(reader, countback=5)
    for to in (10**10, 10**13, 1_000 * now_s()):
        assert (await history(reader, to=to, countback=5))["t"][-1] >= now["t"][-1]


@pytest.mark.parametrize(
    "range_",
    [
        {"start": 0, "to": 365 * DAY_S},
        {"start": 0, "to": 365 * DAY_S, "countback": 10},
        {"start": -(10**12), "to": -5, "countback": 10},
        {"start": 10**10, "to": 10**11},
        {"start": 1_700_000_000, "to": 1_600_000_000},
        {"start": 1_700_000_000, "to": 1_700_000_000},
    ],
)
async def test_no_data_is_no_error(reader: httpx.AsyncClient, range_: dict[str, int]) -> None:
    assert await history(reader, resolution="1D", **range_) == {"s": "no_data"}


async def test_before_the_first_bar_there_are_no_data(reader: httpx.AsyncClient) -> None:
    listed = now_s() - 4_000 * HOUR_S
    told = await history(reader, start=listed - 900 * HOUR_S, to=listed - 800 * HOUR_S)
    assert told == {"s": "no_data"}
    first = await history(reader, to=listed + 50 * HOUR_S, countback=500)
    assert first["s"] == "ok"
    assert 40 <= len(first["t"]) <= 52


async def test_a_range_between_two_bars_names_the_one_before(reader: httpx.AsyncClient) -> None:
    day = (now_s() // DAY_S - 5) * DAY_S
    told = await history(reader, resolution="1D", start=day + 60, to=day + 3_600)
    assert told == {"s": "no_data", "nextTime": day}


async def test_the_volume_is_left_out_where_nobody_has_it(world: World, serve: Serve) -> None:
    world.faults["binance"] = "451"
    client = await serve()
    told = await history(client, countback=5)
    assert set(told) == {"s", "t", "o", "h", "l", "c"}
    answer = await client.get("/udf/history?symbol=BTC&resolution=60&countback=5")
    assert answer.headers["x-source"] == "coingecko_free"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"resolution": "7"}, "resolution: must be one of 1, 3, 5"),
        ({"resolution": "1d"}, "resolution: must be one of"),
        ({"resolution": "1H"}, "resolution: must be one of"),
        ({"resolution": ""}, "resolution: must be one of"),
        ({"resolution": "x" * 10_000}, "resolution"),
        ({"symbol": ""}, "symbol"),
        ({"countback": "0"}, "countback"),
        ({"countback": "10001"}, "countback"),
        ({"countback": "NaN"}, "countback"),
        ({"countback": None}, "from: is required without countback"),
        ({"countback": None, "from": "0", "resolution": "1"}, "ask for less, or with countback"),
        ({"to": "yesterday"}, "to"),
        ({"to": "9" * 400}, "to"),
        ({"currencyCode": "xyz"}, "'xyz' is not available"),
    ],
)
async def test_wrong_parameters_are_errors(
    reader: httpx.AsyncClient, parameters: dict[str, str | None], words: str
) -> None:
    whole = {"symbol": "BTC", "resolution": "60", "countback": "5"} | parameters
    given = {name: value for name, value in whole.items() if value is not None}
    status, text = await refused(reader, "history", **given)
    assert status == 422
    assert words in text


async def test_unknown_parameters_are_dropped(reader: httpx.AsyncClient) -> None:
    assert (await history(reader, countback=1, unitId="x", _="17"))["s"] == "ok"
    assert (await history(reader, countback=1, currencyCode=""))["s"] == "ok"


async def test_an_unknown_symbol_is_an_error(reader: httpx.AsyncClient) -> None:
    status, text = await refused(
        reader, "history", symbol="nosuchcoin", resolution="60", countback=5
    )
    assert (status, "nosuchcoin" in text) == (404, True)


async def test_failed_providers_are_an_error_with_reasons(world: World, serve: Serve) -> None:
    client = await serve()
    await client.get("/api/market")
    world.faults = dict.fromkeys(PROVIDERS, "http500")
    status, text = await refused(client, "history", symbol="BTC", resolution="60", countback=5)
    assert status == 503
    assert "binance: upstream_5xx" in text


async def test_charts_that_ask_the_same_cost_one_call(world: World, serve: Serve) -> None:
    client = await serve()
    await history(client, countback=2)
    before = world.paths["binance"].count("/api/v3/klines")
    now = now_s()
    for back in range(40):
        told = await history(client, to=now - back, start=now - 600, countback=2 + back)
        assert len(told["t"]) == 2 + back
    assert world.paths["binance"].count("/api/v3/klines") == before


async def test_bars_cost_what_candles_cost(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="10/hour")
    answers = [
        await client.get("/udf/history?symbol=BTC&resolution=60&countback=2") for _ in range(2)
    ]
    left = [answer.headers["ratelimit"].partition("r=")[2].partition(";")[0] for answer in answers]
    assert left == ["9", "6"]


async def test_the_documented_answers_have_the_true_fields(reader: httpx.AsyncClient) -> None:
    symbol = await get(reader, "symbols", symbol="BTC")
    assert {name: symbol[name] for name in examples.SYMBOL} == examples.SYMBOL
    assert (await get(reader, "search", query="BTC"))[:1] == examples.SEARCH
    assert set(await history(reader, countback=1)) == set(examples.HISTORY)
    (row,), (shown,) = (await get(reader, "quotes", symbols="BTC"))["d"], examples.QUOTES["d"]
    assert set(shown) == set(row)
    assert set(shown["v"]) < set(row["v"])
