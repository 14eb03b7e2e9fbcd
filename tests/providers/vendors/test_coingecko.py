"""CoinGecko's ranked list and its errors; the traps of its rows, one by one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.errors import MalformedResponse
from backend.models.account import AccountLimits, AccountQuery
from backend.models.market import Coin, QuotesQuery, Ranking
from backend.providers.adapter import MIB, Call, Context
from backend.providers.client import parsed
from backend.providers.vendors import coingecko, coingecko_coins
from tests.clocks import EPOCH, EPOCH_MS


def context(plan: str = "keyless", now_ms: int = EPOCH_MS) -> Context:
    return Context("coingecko_free", plan, now_ms)


def coin_row(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "bitcoin",
        "symbol": "btc",
        "name": "Bitcoin",
        "image": "https://img.example/bitcoin.png?1",
        "current_price": 50_000,
        "market_cap": 1_000_000_000_000,
        "market_cap_rank": 1,
        "fully_diluted_valuation": None,
        "total_volume": 30_000_000_000.5,
        "high_24h": 51_000,
        "low_24h": 49_000.25,
        "price_change_24h": -750.5,
        "price_change_percentage_24h": -1.5,
        "circulating_supply": 20_000_000.0,
        "max_supply": None,
        "ath_date": "2025-10-06T10:57:42.000Z",
        "roi": None,
        "last_updated": "2026-11-22T08:29:20.000Z",
    }
    return row | changes


def markets(*rows: Any) -> Ranking:
    return coingecko_coins.parse_markets(QuotesQuery(), [list(rows)], context())


def many(count: int, *others: Any) -> list[Any]:
    good = [coin_row(id=f"coin-{n}", market_cap_rank=n) for n in range(1, count + 1)]
    return [*good[:5], *others, *good[5:]]


def test_a_row_becomes_a_coin_in_dollars_and_percent() -> None:
    assert markets(coin_row()).coins == (
        Coin(
            id="bitcoin",
            symbol="BTC",
            name="Bitcoin",
            image="https://img.example/bitcoin.png?1",
            market_cap_rank=1,
            price=50_000.0,
            market_cap=1e12,
            volume_24h=30_000_000_000.5,
            high_24h=51_000.0,
            low_24h=49_000.25,
            price_change_24h=-750.5,
            price_change_percentage_24h=-1.5,
            circulating_supply=20_000_000.0,
            last_updated=datetime(2026, 11, 22, 8, 29, 20, tzinfo=UTC),
            source="coingecko_free",
        ),
    )


@pytest.mark.parametrize(("told", "symbol"), [("AVAX", "AVAX"), ("btc.b", "BTC.B")])
def test_symbols_become_upper_case(told: str, symbol: str) -> None:
    assert markets(coin_row(symbol=told)).coins[0].symbol == symbol


def test_ranks_out_of_order_are_sorted_and_coins_without_a_rank_come_last() -> None:
    rows = [coin_row(id=f"of-{rank}", market_cap_rank=rank) for rank in (76, 78, None, 77)]
    assert [coin.market_cap_rank for coin in markets(*rows).coins] == [76, 77, 78, None]


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ("current_price", "price"),
        ("market_cap", "market_cap"),
        ("total_volume", "volume_24h"),
        ("high_24h", "high_24h"),
        ("low_24h", "low_24h"),
        ("price_change_24h", "price_change_24h"),
        ("price_change_percentage_24h", "price_change_percentage_24h"),
        ("circulating_supply", "circulating_supply"),
        ("market_cap_rank", "market_cap_rank"),
        ("image", "image"),
    ],
)
def test_null_stays_null(told: str, field: str) -> None:
    coin = markets(coin_row(**{told: None})).coins[0]
    assert getattr(coin, field) is None
    assert coin.id == "bitcoin"


@pytest.mark.parametrize(
    ("text", "after_08_29"),
    [
        ("2026-11-22T16:29:20+08:00", 20.0),
        ("2026-11-22T08:29:20Z", 20.0),
        ("2026-11-22T08:29:20.000Z", 20.0),
        ("2026-11-22T08:29:20.5Z", 20.5),
        ("2026-11-22T08:29:20.123456+00:00", 20.123456),
    ],
)
def test_dates_are_read_with_any_offset_and_with_truncated_milliseconds(
    text: str, after_08_29: float
) -> None:
    instant = EPOCH + timedelta(minutes=29, seconds=after_08_29)
    assert markets(coin_row(last_updated=text)).coins[0].last_updated == instant


def test_numbers_may_be_ints_floats_or_exponents_and_become_floats() -> None:
    tiny = coin_row(current_price=8.5e-05, high_24h=9e-05, low_24h=8e-05, market_cap=1_700)
    coin = markets(tiny).coins[0]
    assert (coin.price, coin.market_cap) == (8.5e-05, 1_700.0)
    assert type(coin.market_cap) is float


def test_a_market_cap_of_zero_is_unknown() -> None:
    assert markets(coin_row(market_cap=0)).coins[0].market_cap is None


def test_a_supply_of_zero_with_a_market_cap_of_zero_is_unknown() -> None:
    coin = markets(coin_row(market_cap=0, market_cap_rank=None, circulating_supply=0)).coins[0]
    assert (coin.market_cap, coin.circulating_supply) == (None, None)
    assert markets(coin_row(market_cap=7e6, circulating_supply=0.0)).coins[0].market_cap == 7e6
    assert markets(coin_row(circulating_supply=0.0)).coins[0].circulating_supply == 0.0


@pytest.mark.parametrize(
    "image",
    [
        "missing_large.png",
        "https:///no-host.png",
        "https://user@/x.png",
        "https://img.example/\x01.png",
        "https://img.example/\u202egnp.exe",
        "https://\uff0f/x.png",
    ],
    ids=ascii,
)
def test_an_image_that_is_not_a_url_is_none(image: str) -> None:
    assert markets(coin_row(image=image)).coins[0].image is None


def test_of_a_repeated_id_the_first_row_is_kept() -> None:
    twice = markets(coin_row(), coin_row(name="Bitcoin again"))
    assert [(coin.id, coin.name) for coin in twice.coins] == [("bitcoin", "Bitcoin")]


ABSURD = [
    {"current_price": -1},
    {"current_price": 0},
    {"current_price": "50000"},
    {"current_price": 50_000_000},
    {"current_price": float("nan")},
    {"high_24h": float("inf")},
    {"high_24h": 40_000, "low_24h": 60_000},
    {"market_cap": 1_000_000_000_000_000},
    {"market_cap_rank": 0},
    {"last_updated": "2026-11-22T08:29:20"},
    {"last_updated": 1_795_335_000},
    {"symbol": ""},
]


@pytest.mark.parametrize("change", ABSURD)
def test_one_malformed_row_is_left_out_and_named(change: dict[str, Any]) -> None:
    ranking = markets(*many(49, coin_row(id="absurd", **change)))
    assert ranking.refused == ("absurd",)
    assert [coin.id for coin in ranking.coins] == [f"coin-{n}" for n in range(1, 50)]


@pytest.mark.parametrize("change", ABSURD)
def test_at_most_half_of_the_rows_may_be_malformed(change: dict[str, Any]) -> None:
    absurd = [coin_row(id=f"absurd-{n}", **change) for n in range(6)]
    assert len(markets(*many(5, *absurd[:5])).coins) == 5
    with pytest.raises(ValueError, match="6 rows are malformed, 5 are not"):
        markets(*many(5, *absurd))


NO_ROWS: list[Any] = [
    None,
    [],
    "bitcoin",
    {},
    {"symbol": "x", "name": "no id"},
    coin_row(id=None),
    {name: value for name, value in coin_row().items() if name != "symbol"},
    {name: value for name, value in coin_row().items() if name != "current_price"},
]


@pytest.mark.parametrize("row", NO_ROWS, ids=str)
def test_a_value_that_is_not_a_row_is_left_out_and_named_by_its_number(row: Any) -> None:
    named = isinstance(row, dict) and row.get("id")
    ranking = markets(*many(49, row))
    assert len(ranking.coins) == 49
    assert ranking.refused == (named or "number 6",)


HIDDEN = [
    "bit\ncoin",
    "bit\rcoin",
    "bit\x1b[31mcoin",
    "bit\u202ecoin",
    "bit\u200bcoin",
    "bit\ud800coin",
]
HIDDEN += ["bit\x00coin", "bit\u2028coin", "bit\x9bcoin", "bit\u00a0coin"]


@pytest.mark.parametrize("text", HIDDEN, ids=ascii)
@pytest.mark.parametrize("field", ["id", "symbol"])
def test_an_unprintable_name_is_not_confused_with_another(field: str, text: str) -> None:
    ranking = markets(*many(3, coin_row(**{"id": "odd", field: text})))
    assert ranking.refused == ("odd" if field == "symbol" else "number 4",)
    assert [coin.id for coin in ranking.coins] == ["coin-1", "coin-2", "coin-3"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bit\ncoin", "Bit coin"),
        ("\x1b[31mBitcoin", "[31mBitcoin"),
        ("nioctiB\u202e", "nioctiB"),
        ("Bit\u00a0coin", "Bit coin"),
        ("Bit\ud83dcoin", "Bitcoin"),
    ],
    ids=ascii,
)
def test_unprintable_characters_are_left_out_of_a_name(text: str, shown: str) -> None:
    assert markets(coin_row(name=text)).coins[0].name == shown


def test_an_impossible_supply_is_left_out_and_named() -> None:
    row = coin_row(id="odd", circulating_supply=1.7e308, market_cap=None, market_cap_rank=2)
    ranking = markets(coin_row(), row)
    assert ranking.refused == ()
    assert ranking.without_supply == ("odd",)
    assert [(coin.price, coin.circulating_supply) for coin in ranking.coins] == [
        (50_000.0, 20_000_000.0),
        (50_000.0, None),
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"current_price": 5e-324, "high_24h": None, "low_24h": None},
        {"current_price": 1.7e308, "high_24h": None, "low_24h": None},
        {"market_cap": 1e18, "circulating_supply": None},
        {"circulating_supply": True},
        {"market_cap": False},
        {"price_change_24h": -1e308},
        {"price_change_percentage_24h": 1e300},
        {"total_volume": 2**600},
    ],
    ids=str,
)
def test_a_row_with_an_impossible_number_is_left_out(change: dict[str, Any]) -> None:
    ranking = markets(*many(3, coin_row(id="odd", **change)))
    assert ranking.refused == ("odd",)
    assert len(ranking.coins) == 3


def test_too_many_rows_are_malformed() -> None:
    assert len(markets(*many(500)).coins) == 500
    with pytest.raises(ValueError, match="501 rows, at most 500"):
        markets(*many(501))


@pytest.mark.parametrize("ahead", [1, 11])
def test_rows_from_the_future_are_left_out_unless_most_are(ahead: int) -> None:
    rows = [coin_row(id=f"ahead-{n}", last_updated="2027-11-22T08:00:00Z") for n in range(ahead)]
    ranking = markets(*many(12, *rows))
    assert len(ranking.coins) == 12
    assert set(ranking.refused) == {f"ahead-{n}" for n in range(ahead)}
    with pytest.raises(ValueError, match="not current"):
        markets(*many(ahead - 1), *rows)


def test_a_row_that_is_days_old_is_kept_with_its_date() -> None:
    old = coin_row(id="slow", last_updated="2026-11-20T08:00:00Z", high_24h=None, low_24h=None)
    coins = markets(coin_row(market_cap_rank=1), old | {"market_cap_rank": 2}).coins
    assert [coin.last_updated for coin in coins][1] == datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-11-21T08:00:00Z", "2026-11-23T08:00:00Z"])
def test_a_list_whose_newest_row_is_not_current_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not current"):
        markets(coin_row(last_updated=text))


def test_the_market_is_one_call_for_250_coins() -> None:
    params = {"vs_currency": "usd", "order": "market_cap_desc", "per_page": "250", "page": "1"}
    params["price_change_percentage"] = "1h,7d"
    (call,) = coingecko_coins.build_markets(QuotesQuery(), context())
    assert call.path == "/coins/markets"
    assert dict(call.params) == params
    assert call.max_bytes == 2 * MIB


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"status": {"error_code": 429, "error_message": "slow down"}}, 429),
        ({"status": {"timestamp": "2026-11-22T08:00:00Z", "error_code": 10005}}, 10005),
        ({"error_code": 10010, "status": {"error_message": "other host"}}, 10010),
        ({"error": {"status": {"error_code": 10012, "error_message": "too far"}}}, 10012),
        ({"error": "coin not found"}, None),
        ({"status": 500, "error": "Internal Server Error"}, None),
        ({"status": {"error_code": "429"}}, None),
        ({"error": {"status": 400}}, None),
        ({"error": {}, "status": None}, None),
        ([], None),
        ([{"error_code": 429}], None),
        ("<html>", None),
        (None, None),
        (7, None),
    ],
)
def test_the_error_code_is_read_from_each_of_the_four_forms(payload: Any, code: int | None) -> None:
    assert coingecko.error_code(payload) == code


KEY = {
    "plan": "Analyst",
    "rate_limit_request_per_minute": 500,
    "monthly_call_credit": 500_000,
    "current_total_monthly_calls": 104_000,
    "current_remaining_monthly_calls": 396_000,
    "api_key_rate_limit_request_per_minute": 100,
    "api_key_monthly_call_credit": 50_000,
    "api_key_current_total_monthly_calls": 4_000,
}


def key_limits(told: Any) -> AccountLimits:
    return parsed(coingecko.parse_key, AccountQuery(), [told], context("pro"))


def test_the_limits_of_a_key_come_before_those_of_its_plan() -> None:
    assert key_limits(KEY) == AccountLimits(100, 50_000, 4_000)
    older = {name: value for name, value in KEY.items() if not name.startswith("api_key")}
    assert key_limits(older) == AccountLimits(500, 500_000, 104_000)
    assert key_limits({}) == AccountLimits(None, None, None)


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        "key",
        {**KEY, "api_key_monthly_call_credit": "many"},
        {**KEY, "api_key_monthly_call_credit": 0},
        {**KEY, "api_key_rate_limit_request_per_minute": -1},
        {**KEY, "api_key_current_total_monthly_calls": 1e30},
    ],
)
def test_implausible_limits_of_a_key_are_refused(told: Any) -> None:
    with pytest.raises(MalformedResponse):
        key_limits(told)


def test_only_a_paid_key_has_its_limits_requested() -> None:
    served = {plan: coingecko.serves_key(AccountQuery(), context(plan)) for plan in PLANS}
    assert served == {"pro": True, "demo": False, "keyless": False}
    assert coingecko.build_key(AccountQuery(), context("pro")) == (Call("/key"),)


PLANS = ("pro", "demo", "keyless")


def test_a_row_from_the_future_is_left_out_and_named() -> None:
    ranking = markets(*many(60, coin_row(id="ahead", last_updated="2026-11-22T10:00:00.000Z")))
    assert "ahead" not in {coin.id for coin in ranking.coins}
    assert ranking.refused == ("ahead",)


@pytest.mark.parametrize(
    "key",
    "name image market_cap_rank market_cap total_volume high_24h low_24h price_change_24h"
    " price_change_percentage_24h circulating_supply".split(),
)
def test_a_field_missing_in_all_rows_is_unknown(key: str) -> None:
    rows = [{name: cell for name, cell in row.items() if name != key} for row in many(20)]
    ranking = markets(*rows)
    assert (len(ranking.coins), ranking.refused) == (20, ())
