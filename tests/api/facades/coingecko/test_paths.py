"""The paths that are passed through: how a question is spelt, how long its answer is fresh."""

import re
from typing import Any

import pytest

from api.facades.coingecko.parameters import days
from api.facades.coingecko.paths import (
    CHART_RANGES,
    HISTORY,
    MARKETS,
    PAID,
    PASSED_ON,
    SIMPLE_PRICE,
)
from tests.api.facades.coingecko.conftest import Scene

PATHS = (*PASSED_ON, *CHART_RANGES, HISTORY, MARKETS, SIMPLE_PRICE)
HOUR, DAY = 3_600, 86_400


async def test_ping_asks_nobody(scene: Scene) -> None:
    for target in ("ping", "ping/", "ping?_=1", "ping?x_cg_demo_api_key=CG-a"):
        assert await scene.get(target) == {"gecko_says": "(V3) To the Moon!"}
    assert scene.calls == []


SPELLINGS = [
    ("coins/bitcoin/", "coins/bitcoin", {}),
    ("coins/bitcoin?localization=False", "coins/bitcoin", {"localization": "false"}),
    ("coins/tether?tickers=TRUE&sparkline=false&extra=1", "coins/tether", {}),
    (
        "coins/bitcoin/market_chart?vs_currency=USD&days=007&api_key=CG-a",
        "coins/bitcoin/market_chart",
        {"days": "7", "vs_currency": "usd"},
    ),
    (
        "coins/bitcoin/ohlc?days=7&vs_currency=usd&precision=02",
        "coins/bitcoin/ohlc",
        {"days": "7", "precision": "2", "vs_currency": "usd"},
    ),
    (
        "coins/bitcoin/history?date=5-1-2025&localization=false",
        "coins/bitcoin/history",
        {"date": "05-01-2025", "localization": "false"},
    ),
    (
        "coins/coin-1?tickers=0&sparkline=yes",
        "coins/coin-1",
        {"sparkline": "true", "tickers": "false"},
    ),
    (
        "coins/bitcoin/market_chart?vs_currency=usd&days=2.0",
        "coins/bitcoin/market_chart",
        {"days": "2", "vs_currency": "usd"},
    ),
    ("search?query=bit%20coin&type=x", "search", {"query": "bit coin"}),
    ("coins/bitcoin/tickers?page=1&order=trust_score_desc", "coins/bitcoin/tickers", {}),
    ("exchange_rates/", "exchange_rates", {}),
    ("global", "global", {}),
    ("asset_platforms?filter=NFT", "asset_platforms", {"filter": "nft"}),
    ("simple/supported_vs_currencies", "simple/supported_vs_currencies", {}),
    ("coins/categories/list", "coins/categories/list", {}),
    ("search/trending", "search/trending", {}),
]


async def test_a_question_goes_out_in_one_spelling(scene: Scene) -> None:
    for target, path, sent in SPELLINGS:
        scene.world.requests.clear()
        answer = await scene.ask(target, x_cg_pro_api_key="CG-b")
        assert answer.status_code == 200, answer.text
        assert scene.calls == [(path, sent)]
        assert answer.headers["x-source"] == "coingecko_free"
        assert answer.headers["x-cache"] == "miss"
        again = await scene.ask(target + ("&" if "?" in target else "?") + "cache_buster=1")
        assert (again.content, again.headers["x-cache"]) == (answer.content, "hit")
        assert {"age", "cache-control", "etag"} <= set(again.headers)
        same = await scene.ask(target, If_None_Match=again.headers["etag"])
        assert (same.status_code, same.content) == (304, b"")
        assert len(scene.calls) == 1


@pytest.mark.parametrize(
    ("target", "ttl_s", "stale_s"),
    [
        ("exchange_rates", 60, 300),
        ("simple/price?ids=bitcoin&vs_currencies=eur", 60, 300),
        ("simple/price?ids=bitcoin&vs_currencies=eur&include_last_updated_at=true", 60, 900),
        ("coins/markets?vs_currency=eur", 60, 900),
        ("coins/bitcoin", 300, HOUR),
        ("coins/bitcoin/tickers", 300, HOUR),
        ("global", 300, HOUR),
        ("coins/categories", 300, HOUR),
        ("coins/bitcoin/market_chart?vs_currency=usd&days=1", 300, 6 * HOUR),
        ("coins/bitcoin/market_chart?vs_currency=usd&days=90", 900, 6 * HOUR),
        ("coins/bitcoin/market_chart?vs_currency=usd&days=91", HOUR, 6 * HOUR),
        ("coins/bitcoin/ohlc?vs_currency=usd&days=1", 900, 6 * HOUR),
        ("simple/supported_vs_currencies", DAY, 7 * DAY),
        ("asset_platforms", DAY, 7 * DAY),
        ("coins/bitcoin/history?date=21-11-2026", DAY, 7 * DAY),
        ("coins/bitcoin/history?date=22-11-2026", 300, HOUR),
        ("coins/bitcoin/history?date=23-11-2026", 300, HOUR),
    ],
)
async def test_answers_are_fresh_and_stale_for_their_path(
    scene: Scene, target: str, ttl_s: int, stale_s: int
) -> None:
    answer = await scene.ask(target)
    assert answer.headers["cache-control"] == f"public, max-age={ttl_s}"
    scene.fails("coingecko_free")
    scene.clock.advance(stale_s - 1)
    stale = await scene.ask(target)
    assert (stale.status_code, stale.headers["x-cache"]) == (200, "stale")
    assert stale.headers["x-stale-reason"] == "upstream_5xx"
    scene.clock.advance(2)
    assert (await scene.ask(target)).status_code == 503


@pytest.mark.parametrize("target", ["search/trending", "exchanges"])
async def test_figures_without_a_time_are_never_older_than_five_minutes(
    scene: Scene, target: str
) -> None:
    assert (await scene.ask(target)).status_code == 200
    scene.fails("coingecko_free")
    scene.clock.advance(299)
    assert (await scene.ask(target)).status_code == 200
    scene.clock.advance(2)
    assert (await scene.ask(target)).status_code == 503


MISSING = [
    ("coins/markets", "vs_currency"),
    ("coins/markets?vs_currency=", "vs_currency"),
    ("coins/markets?vs_currency=%20", "vs_currency"),
    ("simple/price?ids=bitcoin", "vs_currencies"),
    ("simple/price?ids=bitcoin&vs_currencies=,", "vs_currencies"),
    ("simple/price?vs_currencies=usd", "ids"),
    ("simple/token_price/ethereum?vs_currencies=usd", "contract_addresses"),
    ("coins/bitcoin/market_chart?days=1", "vs_currency"),
    ("coins/bitcoin/market_chart?vs_currency=usd", "days"),
    ("coins/bitcoin/market_chart/range?vs_currency=usd&to=2", "from"),
    ("coins/bitcoin/ohlc?vs_currency=usd", "days"),
    ("coins/bitcoin/history", "date"),
    ("search", "query"),
]


async def test_what_is_missing_is_said_as_the_vendor_says_it(scene: Scene) -> None:
    for target, name in MISSING:
        scene.world.requests.clear()
        answer = await scene.ask(target)
        assert (answer.status_code, answer.json()) == (422, {"error": f"Missing parameter {name}"})
        assert scene.calls == []


WRONG = [
    ("coins/markets?vs_currency=usd&vs_currency=eur", "vs_currency"),
    ("coins/markets?vs_currency=usd&per_page=many", "per_page"),
    ("coins/markets?vs_currency=usd&page=-1", "page"),
    ("coins/markets?vs_currency=usd&page=²", "page"),
    ("coins/markets?vs_currency=usd&page=" + "9" * 400, "page"),
    ("coins/markets?vs_currency=usd&sparkline=maybe", "sparkline"),
    ("simple/price?ids=bitcoin&vs_currencies=usd&precision=19", "precision"),
    ("simple/price?ids=bitcoin&vs_currencies=usd&precision=full2", "precision"),
    ("simple/price?ids=bitcoin%00&vs_currencies=usd", "ids"),
    ("coins/bitcoin/market_chart?vs_currency=usd&days=1e3", "days"),
]


async def test_what_is_wrong_is_said_without_a_call(scene: Scene) -> None:
    for target, name in WRONG:
        scene.world.requests.clear()
        answer = await scene.ask(target)
        assert answer.status_code == 422
        assert list(answer.json()) == ["error"]
        assert answer.json()["error"].startswith(f"{name}: ")
        assert scene.calls == []


OTHER_PATHS = [
    "no/such/path",
    "",
    "coins",
    "coins/bitcoin/nothing",
    "coins/bit%2Fcoin",
    "coins/%2e%2e",
    "coins/..%2f..%2fping",
    "coins/.",
    "coins/bitcoin//ohlc",
    "simple/token_price/%2e%2e?contract_addresses=a&vs_currencies=usd",
    "onchain/networks",
    "derivatives",
    "coins/" + "a" * 200,
]


async def test_other_paths_are_not_found(scene: Scene) -> None:
    for target in OTHER_PATHS:
        scene.world.requests.clear()
        answer = await scene.ask(target)
        assert (answer.status_code, answer.json()) == (404, {"error": "not found"})
        assert scene.calls == []


async def test_the_operators_paid_plan_is_nobodys_business(scene: Scene) -> None:
    for template in PAID:
        path = re.sub(r"\{\w+\}", "bitcoin", template).removeprefix("/")
        for target in (path, f"{path}/", f"{path}?vs_currency=usd&from=1&to=2"):
            answer = await scene.ask(target)
            assert answer.status_code == 401, target
            assert answer.json()["status"]["error_code"] == 10_005
    assert scene.calls == []


async def test_nothing_is_written(scene: Scene) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await scene.client.request(method, "/coingecko/api/v3/coins/bitcoin")
        assert (answer.status_code, answer.json()) == (405, {"error": "not found"})
        assert answer.headers["allow"] == "GET, HEAD"
    assert scene.calls == []


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("coins/no-such-coin", 404, {"error": "coin not found"}),
        ("coins/bitcoin/history?date=2025-01-05", 400, {"error": "invalid date"}),
        ("coins/bitcoin/ohlc?vs_currency=usdt&days=1", 400, {"error": "invalid vs_currency"}),
        ("coins/bitcoin/market_chart?vs_currency=usd&days=max", 401, None),
    ],
)
async def test_a_refusal_is_the_vendors_own_and_costs_one_call(
    scene: Scene, target: str, status: int, body: Any
) -> None:
    for _ in range(3):
        answer = await scene.ask(target)
        assert answer.status_code == status
        assert body is None or answer.json() == body
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-source"] == "coingecko_free"
    assert answer.headers["x-cache"] == "hit"
    assert len(scene.calls) == 1
    assert (await scene.ask("coins/bitcoin")).status_code == 200


@pytest.mark.parametrize(
    ("sent", "spelt"), [("0.50", "0.5"), ("007", "7"), (" MAX ", "max"), ("90.0", "90")]
)
def test_days(sent: str, spelt: str) -> None:
    assert days(sent) == spelt


@pytest.mark.parametrize("sent", ["1e3", "-1", "nan", "1.23456", "999999", "", "²"])
def test_no_days(sent: str) -> None:
    with pytest.raises(ValueError, match="number of days"):
        days(sent)


def test_the_list_of_all_coins_outlives_a_restart() -> None:
    (path,) = [one for one in PASSED_ON if one.template == "/coins/list"]
    query = path.query_of("coingecko", {}, {})
    assert query.outlives_restart
    assert query.max_bytes >= 16 * 1024 * 1024
    others = (one for one in PASSED_ON if not one.parameters and one is not path)
    assert not any(one.query_of("coingecko", {}, {}).outlives_restart for one in others)


def test_every_path_says_what_its_parameters_are() -> None:
    for path in PATHS:
        segments = set(re.findall(r"\{(\w+)\}", path.template))
        assert segments <= path.parameters.keys(), path.template
        for name, parameter in path.parameters.items():
            assert parameter.description, (path.template, name)
            assert parameter.example, (path.template, name)
            parameter.spelling(parameter.example)
