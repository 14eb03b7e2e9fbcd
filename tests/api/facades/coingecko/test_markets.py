"""`coins/markets`: cut from the gateway's own list where that has all rows."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from api.facades.coingecko.coin_page import (
    Choice,
    choice_of,
    chosen,
    ordered,
    overlaid,
    parsed,
)
from backend.models.market import Coin
from tests.api.facades.coingecko.conftest import Scene
from tests.clocks import EPOCH
from tests.world import data

LIST = {
    "order": "market_cap_desc",
    "page": "1",
    "per_page": "250",
    "price_change_percentage": "1h,7d",
    "vs_currency": "usd",
}
OLD = "2026-11-22T07:59:00.000Z"


async def test_pages_are_cut_from_one_list(scene: Scene) -> None:
    one = await scene.get("coins/markets?vs_currency=usd&per_page=20")
    two = await scene.get("coins/markets?vs_currency=USD&per_page=20&page=2&sparkline=False")
    assert [row["market_cap_rank"] for row in (*one, *two)] == list(range(1, 41))
    assert len(await scene.get("coins/markets?vs_currency=usd")) == 100
    assert len(await scene.get("coins/markets?vs_currency=usd&per_page=900&page=0")) == 250
    # The market's own call, of which /api/market is made, too.
    await scene.client.get("/api/market")
    assert scene.calls == [("coins/markets", LIST)]


async def test_many_first_readers_cost_one_call(scene: Scene) -> None:
    pages = [f"coins/markets?vs_currency=usd&per_page=10&page={page}" for page in range(1, 21)]
    prices = [f"simple/price?ids=coin-{number}&vs_currencies=usd" for number in range(20)]
    await asyncio.gather(*map(scene.get, (*pages, *prices)))
    assert scene.calls == [("coins/markets", LIST)]


async def test_the_list_is_parsed_once_a_refresh(scene: Scene) -> None:
    parsed.cache_clear()
    for page in range(1, 11):
        await scene.get(f"coins/markets?vs_currency=usd&per_page=10&page={page}")
    assert parsed.cache_info().misses == 1
    scene.clock.advance(130)
    await scene.get("coins/markets?vs_currency=usd&per_page=10")
    await scene.get("coins/markets?vs_currency=usd&per_page=20")
    assert parsed.cache_info().misses == 2
    assert len(scene.calls) == 2


async def test_rows_are_as_the_vendor_has_them(scene: Scene) -> None:
    (row,) = await scene.get("coins/markets?vs_currency=usd&ids=ethereum")
    sent = next(
        one for one in data.coins(data.utc(scene.world.now_ms - 20_000)) if one["id"] == "ethereum"
    )
    assert list(row.items()) == list(sent.items())[:26]
    assert list(row)[-1] == "last_updated"


CHOSEN = [
    ("ids=tether,bitcoin", ["bitcoin", "tether"]),
    ("ids=tether,bitcoin&order=market_cap_asc", ["tether", "bitcoin"]),
    ("ids=tether,bitcoin,ethereum&order=volume_desc", ["tether", "ethereum", "bitcoin"]),
    ("ids=tether,bitcoin,ethereum&order=id_asc", ["bitcoin", "ethereum", "tether"]),
    ("ids=tether,bitcoin,ethereum&order=id_desc&per_page=2", ["tether", "ethereum"]),
    ("ids=tether,bitcoin,ethereum&per_page=2&page=2", ["tether"]),
    ("symbols=BTC,usdt", ["bitcoin", "tether"]),
    ("ids=ethereum&symbols=btc", ["ethereum"]),
]


async def test_chosen_coins_are_in_the_order_asked_for(scene: Scene) -> None:
    for query, ids in CHOSEN:
        rows = await scene.get(f"coins/markets?vs_currency=usd&{query}")
        assert [row["id"] for row in rows] == ids
        assert len(scene.calls) == 1


PASSED_THROUGH = [
    ("ids=bitcoin,far-away", 2),
    ("ids=bitcoin,no-such-coin", 1),
    ("symbols=far,btc", 2),
    ("per_page=250&page=2", 0),
    ("per_page=100&page=3", 50),
    ("order=volume_desc", 100),
    ("order=market_cap_asc", 100),
    ("order=id_asc", 100),
    ("sparkline=true", 100),
    ("price_change_percentage=24h,1h", 100),
    ("category=layer-1", 100),
    ("precision=2", 100),
    ("locale=de", 100),
    ("include_rehypothecated=true", 100),
    ("symbols=btc&include_tokens=all", 1),
]


async def test_other_questions_are_passed_through(scene: Scene) -> None:
    for query, count in PASSED_THROUGH:
        target, before = f"coins/markets?vs_currency=usd&{query}", len(scene.calls)
        assert len(await scene.get(target)) == count
        assert len(scene.calls) > before
        assert "price_change_percentage" not in scene.calls[-1][1] or "24h" in query
        asked = len(scene.calls)
        assert scene.calls[-1] != ("coins/markets", LIST)
        await scene.get(target + "&t=5")
        assert len(scene.calls) == asked


async def test_another_currency_is_the_vendors_word(scene: Scene) -> None:
    (row,) = await scene.get("coins/markets?vs_currency=eur&ids=bitcoin")
    assert row["current_price"] != 50_000
    answer = await scene.ask("coins/markets?vs_currency=usdt")
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid vs_currency"})
    assert answer.headers["cache-control"] == "no-store"


async def test_a_venues_newer_figures_are_laid_over_and_named(with_venue: Scene) -> None:
    scene = with_venue
    await scene.get("coins/markets?vs_currency=usd&per_page=3")
    scene.fails("coingecko_free")
    scene.clock.advance(130)
    answer = await scene.ask("coins/markets?vs_currency=usd&per_page=7")
    assert answer.headers["x-source"] == "coingecko_free, binance"
    assert answer.headers["x-cache"] == "stale"
    rows = {row["id"]: row for row in answer.json()}
    bitcoin = rows["bitcoin"]
    assert bitcoin["current_price"] == 50_500
    assert bitcoin["last_updated"] == "2026-11-22T08:02:10.000Z"
    assert bitcoin["high_24h"] == pytest.approx(50_500 * 1.03)
    assert bitcoin["price_change_percentage_24h"] == 2.0
    assert (bitcoin["ath"], bitcoin["market_cap_rank"]) == (100_000, 1)
    assert rows["tether"]["last_updated"] == "2026-11-22T07:59:40.000Z"
    only = await scene.ask("coins/markets?vs_currency=usd&ids=tether")
    assert only.headers["x-source"] == "coingecko_free"


@pytest.mark.parametrize(("age_s", "status"), [(800, 200), (1_000, 503)])
async def test_rows_are_served_for_a_quarter_of_an_hour(
    scene: Scene, age_s: float, status: int
) -> None:
    target = "coins/markets?vs_currency=usd&per_page=5"
    await scene.get(target)
    scene.fails("coingecko_free")
    scene.clock.advance(age_s)
    answer = await scene.ask(target)
    assert answer.status_code == status
    if status == 200:
        assert answer.headers["x-stale-reason"] == "upstream_5xx"


def row(name: str, **figures: Any) -> dict[str, Any]:
    return {"id": name, "symbol": name[:1], "last_updated": OLD, **figures}


def test_rows_without_a_figure_come_last_in_both_orders() -> None:
    rows = [row("a", market_cap=None), row("b", market_cap=1), row("c", market_cap=2)]
    for order, ids in (("market_cap_desc", "cba"), ("market_cap_asc", "bca")):
        assert "".join(one["id"] for one in ordered(rows, Choice((), False, order, 0, 9))) == ids
    odd = [row("a", market_cap="2"), row("b"), row("c", market_cap=2)]
    assert [one["id"] for one in ordered(odd, Choice((), False, "market_cap_desc", 0, 9))] == [
        "c",
        "a",
        "b",
    ]


def test_the_vendors_own_order_stays_while_its_figures_do() -> None:
    rows = [row("a", market_cap=1), row("b", market_cap=2)]
    choice = Choice((), False, "market_cap_desc", 0, 9)
    assert ordered(rows, choice, is_listed_order=True) == rows
    assert ordered(rows, choice) == rows[::-1]
    assert ordered(rows, replace(choice, order="id_desc"), is_listed_order=True) == rows[::-1]


def test_of_namesakes_the_first_is_meant() -> None:
    page = parsed(json.dumps([row("big"), row("bad")]).encode())
    found = chosen(page, Choice(("b",), True, "market_cap_desc", 0, 9))
    assert found is not None
    assert [one["id"] for one in found] == ["big"]


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'[{"id": 1, "symbol": "a"}]', b"nothing"])
def test_no_list_of_coins_is_no_page(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of two libraries
        parsed(body)


@pytest.mark.parametrize(
    "parameters", [{"order": "gecko_desc"}, {"order": "id"}, {"page": "3"}, {"names": "Bitcoin"}]
)
def test_what_the_page_cannot_answer(parameters: dict[str, str]) -> None:
    assert choice_of({"vs_currency": "usd", **parameters}) is None


def coin(source: str, **changed: Any) -> Coin:
    figures: dict[str, Any] = {
        "price": 2.0,
        "market_cap": 20.0,
        "volume_24h": 5.0,
        "high_24h": 3.0,
        "low_24h": 1.0,
        "price_change_24h": 0.5,
        "price_change_percentage_24h": 25.0,
        "last_updated": EPOCH,
    }
    names: dict[str, Any] = {
        "id": "a",
        "symbol": "A",
        "name": "A",
        "image": None,
        "market_cap_rank": 1,
    }
    return Coin(**names, circulating_supply=10.0, source=source, **(figures | changed))


def test_only_a_venues_complete_and_newer_figures_are_laid_over() -> None:
    listed = row("a", current_price=1.0, ath=9.0)
    newer = overlaid(listed, coin("binance"))
    assert (newer["current_price"], newer["ath"]) == (2.0, 9.0)
    assert newer["last_updated"] == "2026-11-22T08:00:00.000Z"
    assert listed["current_price"] == 1.0
    for other in (
        None,
        coin("coingecko_free"),
        coin("binance", price_change_24h=None),
        coin("binance", market_cap=None),
        coin("binance", last_updated=None),
    ):
        assert overlaid(listed, other) is listed
    for stamp in ("2026-11-22T08:00:00.000Z", "2026-11-22T16:00:01+08:00", "yesterday", None):
        known = {**listed, "last_updated": stamp}
        assert overlaid(known, coin("binance")) is known
    east = {**listed, "last_updated": "2026-11-22T15:59:59+08:00"}
    assert overlaid(east, coin("binance"))["current_price"] == 2.0
