"""CoinPaprika: a whole list without an order, missing values as empty texts, its error bodies."""

from datetime import timedelta
from typing import Any

import pytest

from backend.errors import (
    AuthFailed,
    GeoBlocked,
    ProviderError,
    QueryRefused,
    QuotaSpent,
    RateLimited,
)
from backend.models.global_market import GlobalMarket, GlobalQuery
from backend.models.market import Coin, ForeignRanking, ListedCoin, QuotesQuery
from backend.models.ohlc import DAY
from backend.providers.adapter import Call, Context, Plan, Window
from backend.providers.refusals import refusal_in
from backend.providers.vendors import coinpaprika
from tests.clocks import EPOCH, EPOCH_MS
from tests.world import lists

CONTEXT = Context("coinpaprika", "keyless", EPOCH_MS)


def rows(count: int = 10) -> list[dict[str, Any]]:
    """The best-ranked rows of the world's list, in the order of ranks."""
    found = [row for row in lists.paprika_tickers(EPOCH_MS) if row["rank"]]
    return sorted(found, key=lambda row: row["rank"])[:count]


def changed(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """`usd_<name>` is in the quote; `...` leaves a field out."""
    quote = {**row["quotes"]["USD"]}
    fields = {**row}
    for name, value in changes.items():
        where, field = (quote, name[4:]) if name.startswith("usd_") else (fields, name)
        where[field] = value
        if value is ...:
            del where[field]
    return {**fields, "quotes": {"USD": quote}}


def listed(payload: Any) -> ForeignRanking:
    return coinpaprika.parse_tickers(QuotesQuery(), [payload], CONTEXT)


def first(**changes: Any) -> ListedCoin:
    best, *others = rows()
    return listed([changed(best, **changes), *others]).listed[0]


def test_the_list_is_one_call_of_up_to_6_mib() -> None:
    call = Call("/v1/tickers", (("quotes", "USD"),), max_bytes=6 * 1024 * 1024)
    assert coinpaprika.build_tickers(QuotesQuery(), CONTEXT) == (call,)


def test_the_plan_is_two_calls_in_five_minutes_and_18_000_a_month() -> None:
    """A list and the global figures."""
    windows = (Window(2, 300), Window(18_000, 30 * 86_400.0, kind="month"))
    plan = Plan("keyless", ("https://api.coinpaprika.com",), windows)
    assert plan == coinpaprika.KEYLESS
    assert all(one.parse_in_thread for one in coinpaprika.ADAPTER.operations[:1])


def test_a_row_becomes_a_coin_without_id_image_high_and_low() -> None:
    row = first(
        usd_price=90_000.0,
        usd_ath_price=120_000.0,
        usd_percent_change_24h=-10.0,
        usd_percent_change_1h=0.25,
        usd_percent_change_7d=3.5,
        usd_market_cap=1_800_000_000_000,
        usd_volume_24h=4.0e10,
    )
    assert row == ListedCoin(
        Coin(
            id=None,
            symbol="BTC",
            name="Bitcoin",
            image=None,
            market_cap_rank=1,
            price=90_000.0,
            market_cap=1.8e12,
            volume_24h=4.0e10,
            high_24h=None,
            low_24h=None,
            price_change_24h=-10_000.0,
            price_change_percentage_24h=-10.0,
            circulating_supply=None,
            last_updated=EPOCH - timedelta(seconds=120),
            source="coinpaprika",
            price_change_percentage_1h=0.25,
            price_change_percentage_7d=3.5,
        ),
        "bitcoin",
    )


def test_the_list_is_sorted_by_rank() -> None:
    whole = lists.paprika_tickers(EPOCH_MS)
    ranks = [row.coin.market_cap_rank for row in listed(whole).listed]
    assert ranks == list(range(1, 251))
    assert [row["rank"] for row in whole] != ranks


def test_an_inactive_coin_has_rank_0_and_is_left_out_without_a_word() -> None:
    best, *others = rows()
    found = listed([*others, changed(best, rank=0)])
    assert [row.coin.market_cap_rank for row in found.listed] == list(range(2, 11))
    assert found.refused == ()


def test_the_best_500_of_a_long_list_are_kept() -> None:
    best = rows(1)[0]
    many = [changed(best, id=f"c-coin-{rank}", rank=rank) for rank in range(2_000, 0, -1)]
    found = listed(many).listed
    assert [row.coin.market_cap_rank for row in found] == list(range(1, 501))


@pytest.mark.parametrize(
    ("own_id", "slug"),
    [
        ("btc-bitcoin", "bitcoin"),
        ("bnb-binance-coin", "binance-coin"),
        ("usdc-usd-coin", "usd-coin"),
        ("usdc-usdc", "usdc"),
    ],
)
def test_the_slug_is_the_part_of_the_id_behind_the_symbol(own_id: str, slug: str) -> None:
    assert first(id=own_id).slug == slug


def test_an_empty_text_is_a_missing_value() -> None:
    coin = first(
        name="",
        last_updated="",
        usd_price="",
        usd_market_cap="",
        usd_volume_24h="",
        usd_percent_change_1h="",
        usd_percent_change_24h="",
        usd_percent_change_7d="",
    ).coin
    assert (coin.name, coin.last_updated, coin.price) == (None, None, None)
    assert (coin.market_cap, coin.volume_24h, coin.price_change_24h) == (None, None, None)
    assert coin.price_change_percentage_1h is coin.price_change_percentage_7d is None


def test_the_supply_is_unknown_where_the_plan_has_none() -> None:
    assert "circulating_supply" not in rows(1)[0]
    assert first().coin.circulating_supply is None
    assert first(circulating_supply=1e9).coin.circulating_supply == 1e9
    assert first(circulating_supply=0).coin.circulating_supply is None


@pytest.mark.parametrize("highest", [None, "", ..., 50_000.0, 25_000.0])
def test_an_all_time_high_may_be_missing_or_a_little_late(highest: Any) -> None:
    assert first(usd_ath_price=highest).coin.price == 50_000.0


def test_a_market_cap_of_zero_is_unknown() -> None:
    assert first(usd_market_cap=0).coin.market_cap is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": "bitcoin"},
        {"id": "btc-"},
        {"id": None},
        {"symbol": None},
        {"symbol": ""},
        {"rank": "1"},
        {"rank": -5},
        {"rank": None},
        {"rank": True},
        {"usd_price": 0},
        {"usd_price": -1.0},
        {"usd_price": "1.0"},
        {"usd_price": float("inf")},
        {"usd_price": ...},
        {"usd_market_cap": 1e19},
        {"usd_ath_price": 20_000.0},
        {"usd_ath_price": "60000"},
        {"last_updated": "2026-11-22T07:00:00"},
        {"last_updated": "2027-11-22T07:00:00Z"},
        {"quotes": {}},
    ],
    ids=str,
)
def test_a_malformed_row_costs_only_itself(change: dict[str, Any]) -> None:
    best, *others = rows()
    wrong = {**best, **change} if "quotes" in change else changed(best, **change)
    found = listed([wrong, *others])
    assert len(found.refused) == 1
    assert [row.coin.market_cap_rank for row in found.listed] == list(range(2, 11))


@pytest.mark.parametrize("junk", [None, [], {}, {"error": "no"}, [None] * 3, ["x"], "x"], ids=repr)
def test_junk_is_no_list(junk: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        listed(junk)


def test_a_list_of_yesterday_or_of_too_many_rows_is_refused() -> None:
    tomorrow = Context("coinpaprika", "keyless", EPOCH_MS + DAY)
    with pytest.raises(ValueError, match="not current"):
        coinpaprika.parse_tickers(QuotesQuery(), [rows()], tomorrow)
    with pytest.raises(ValueError, match="at most"):
        listed(rows() * 1_001)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (402, {"error": "payment required"}, QuotaSpent),
        (403, {"error": "api key required"}, AuthFailed),
        (403, None, GeoBlocked),  # a firewall's page
        (404, {"error": "id not found"}, QueryRefused),
        (429, {"error": "you have reached maximum request limit"}, RateLimited),
    ],
)
def test_each_documented_error(status: int, body: Any, kind: type[ProviderError]) -> None:
    assert type(refusal_in(coinpaprika.ADAPTER, status, {}, body, b"", EPOCH)) is kind


def whole_market(**changes: Any) -> GlobalMarket:
    payload = lists.paprika_global(EPOCH_MS) | changes
    return coinpaprika.parse_global(GlobalQuery(), [payload], CONTEXT)


def test_the_figures_of_the_whole_market() -> None:
    assert whole_market() == GlobalMarket(
        market_cap=2.5e12,
        volume_24h=9.0e10,
        market_cap_change_percentage_24h=1.25,
        btc_dominance=55.5,
        eth_dominance=None,
        active_coins=9_876,
        last_updated=EPOCH - timedelta(seconds=60),
    )
    assert whole_market(market_cap_change_24h="").market_cap_change_percentage_24h is None


@pytest.mark.parametrize(
    "change",
    [
        {"market_cap_usd": 0},
        {"market_cap_usd": 2.5e15},
        {"volume_24h_usd": -1},
        {"bitcoin_dominance_percentage": 100.5},
        {"cryptocurrencies_number": 1.5},
        {"last_updated": EPOCH_MS // 1000 - 86_400},
        {"last_updated": EPOCH_MS},
    ],
    ids=str,
)
def test_implausible_figures_of_the_market_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        whole_market(**change)
