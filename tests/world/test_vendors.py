"""The world's CoinGecko and Binance answer in the vendors' shapes, and refuse in their words."""

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.clocks import EPOCH, ManualClock
from tests.world.binance import binance, weight
from tests.world.coingecko import coingecko
from tests.world.data import BEYOND, HOUR
from tests.world.facts import Facts
from tests.world.messages import Request

FACTS = Facts(ManualClock(EPOCH))
FIELDS = 26
CONTRACT = BEYOND[0][5]


def request(target: str) -> Request:
    path, _, query = target.partition("?")
    return Request(f"/api/v3/{path}", dict(parse_qsl(query)), {})


def of_coingecko(target: str) -> tuple[int, Any]:
    reply = coingecko(FACTS, "coingecko_free", request(target))
    return reply.status, json.loads(reply.body)


def of_binance(target: str) -> tuple[int, Any]:
    reply = binance(FACTS, "binance", request(target))
    return reply.status, json.loads(reply.body)


def test_markets_are_paged_in_the_order_that_is_asked_for() -> None:
    pages = [
        of_coingecko(f"coins/markets?vs_currency=usd&per_page=100&page={page}")[1]
        for page in (1, 2, 3, 4)
    ]
    assert [len(page) for page in pages] == [100, 100, 50, 0]
    rows = [row for page in pages for row in page]
    assert {len(row) for row in rows} == {FIELDS}
    caps = [row["market_cap"] for row in rows]
    assert caps == sorted(caps, reverse=True)
    lowest = of_coingecko("coins/markets?vs_currency=usd&order=market_cap_asc&per_page=1")[1]
    assert lowest == rows[-1:]


def test_rows_of_ids_are_in_the_order_of_the_market() -> None:
    rows = of_coingecko("coins/markets?vs_currency=eur&ids=far-away,ethereum,nothing,bitcoin")[1]
    assert [row["id"] for row in rows] == ["bitcoin", "ethereum", "far-away"]
    assert rows[0]["current_price"] == 50_000 * 0.9215
    spans = of_coingecko(
        "coins/markets?vs_currency=usd&ids=bitcoin&sparkline=true&price_change_percentage=1h,7d"
    )[1][0]
    assert len(spans["sparkline_in_7d"]["price"]) == 168
    assert [name for name in spans if name.endswith("_in_currency")] == [
        "price_change_percentage_1h_in_currency",
        "price_change_percentage_7d_in_currency",
    ]


def test_prices_have_only_what_was_asked_for() -> None:
    plain = of_coingecko("simple/price?ids=bitcoin,nothing&vs_currencies=usd,btc,nothing")
    assert plain == (200, {"bitcoin": {"usd": 50_000.0, "btc": 1.0}})
    assert of_coingecko("simple/price?symbols=FAR&vs_currencies=usd")[1] == {"far": {"usd": 0.25}}
    whole = of_coingecko(
        "simple/price?ids=bitcoin&vs_currencies=usd&include_market_cap=true&include_24hr_vol=True"
        "&include_24hr_change=true&include_last_updated_at=true"
    )[1]["bitcoin"]
    assert list(whole) == [
        "usd",
        "usd_market_cap",
        "usd_24h_vol",
        "usd_24h_change",
        "last_updated_at",
    ]
    by_contract = of_coingecko(
        f"simple/token_price/ethereum?contract_addresses={CONTRACT}&vs_currencies=usd"
    )[1]
    assert by_contract == {CONTRACT.lower(): {"usd": 0.25}}


@pytest.mark.parametrize(
    ("days", "step_ms", "count"), [(1, 300_000, 289), (90, HOUR, 2_161), (365, 24 * HOUR, 366)]
)
def test_the_three_series_of_a_chart_have_one_length(days: int, step_ms: int, count: int) -> None:
    chart = of_coingecko(f"coins/bitcoin/market_chart?vs_currency=usd&days={days}")[1]
    assert list(chart) == ["prices", "market_caps", "total_volumes"]
    assert {len(series) for series in chart.values()} == {count}
    times = [at for at, _ in chart["prices"]]
    assert times == sorted(set(times))
    assert times[-1] == FACTS.now_ms
    assert 0 < times[1] - times[0] < 2 * step_ms


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("coins/markets", 422, {"error": "Missing parameter vs_currency"}),
        ("coins/markets?vs_currency=usdt", 400, {"error": "invalid vs_currency"}),
        ("simple/price?ids=bitcoin", 422, {"error": "Missing parameter vs_currencies"}),
        ("coins/nothing", 404, {"error": "coin not found"}),
        ("coins/nothing/ohlc?vs_currency=usd&days=1", 404, {"error": "coin not found"}),
        ("coins/bitcoin/market_chart?vs_currency=usd", 422, {"error": "Missing parameter days"}),
        ("coins/bitcoin/history?date=2023-12-30", 400, {"error": "invalid date"}),
        ("no/such/path", 404, {"error": "not found"}),
    ],
)
def test_coingecko_refuses_in_its_words(target: str, status: int, body: Any) -> None:
    assert of_coingecko(target) == (status, body)


def test_coingecko_s_plans_have_their_codes() -> None:
    for path in ("key", "coins/list/new", "coins/bitcoin/ohlc/range?vs_currency=usd"):
        status, body = of_coingecko(path)
        assert (status, body["status"]["error_code"]) == (401, 10005)
    status, body = of_coingecko("coins/bitcoin/market_chart?vs_currency=usd&days=max")
    assert (status, body["error"]["status"]["error_code"]) == (401, 10012)


def test_one_symbol_is_an_object_and_several_are_a_list() -> None:
    for path in ("ticker/24hr", "ticker/price", "ticker/bookTicker", "ticker", "ticker/tradingDay"):
        assert of_binance(f"{path}?symbol=ETHBTC")[1]["symbol"] == "ETHBTC"
        listed = of_binance(f'{path}?symbols=["ETHBTC","BTCUSDT"]')[1]
        assert [row["symbol"] for row in listed] == ["ETHBTC", "BTCUSDT"]
    assert len(of_binance("ticker/price")[1]) > 60


def test_klines_start_where_they_are_asked_to() -> None:
    start = FACTS.now_ms // HOUR * HOUR - 100 * HOUR
    rows = of_binance(f"klines?symbol=BTCUSDT&interval=1h&startTime={start}&limit=50")[1]
    assert ([row[0] for row in rows[:2]], len(rows)) == ([start, start + HOUR], 50)
    assert {len(row) for row in rows} == {12}


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("klines?interval=1h", -1102),
        ("klines?symbol=BTCUSDT", -1102),
        ("klines?symbol=BTCUSDT&interval=7h", -1120),
        ("klines?symbol=NOSUCH&interval=1h", -1121),
        ("ticker/price?symbol=bad symbol", -1100),
        ("ticker/price?symbols=[", -1100),
        ("ticker/price?symbol=A&symbols=[]", -1128),
        ("ticker", -1102),
    ],
)
def test_binance_refuses_in_its_codes(target: str, code: int) -> None:
    status, body = of_binance(target)
    assert (status, body["code"]) == (400, code)


@pytest.mark.parametrize(
    ("target", "units"),
    [
        ("ping", 1),
        ("klines?symbol=A", 2),
        ("exchangeInfo", 20),
        ("ticker/24hr?symbol=A", 2),
        ("ticker/24hr", 80),
        ("ticker/price", 4),
        ("ticker/bookTicker?symbol=A", 2),
        ("ticker?symbols=A,B", 8),
        ("depth?symbol=A&limit=5000", 250),
        ("depth?symbol=A", 5),
        ("trades?symbol=A", 25),
        ("aggTrades?symbol=A", 4),
    ],
)
def test_weights_are_binance_s(target: str, units: int) -> None:
    assert weight(request(target)) == units
