"""What makes a coin or a pair's ticker implausible, and what does not."""

import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from backend.models.market import (
    Coin,
    MarketQuery,
    PairTicker,
    QuotesQuery,
    agree,
    market_cap_of,
)
from tests.clocks import EPOCH
from tests.instruments import instrument

NULLABLE = (
    "id",
    "name",
    "image",
    "market_cap_rank",
    "price",
    "market_cap",
    "volume_24h",
    "high_24h",
    "low_24h",
    "price_change_24h",
    "price_change_percentage_24h",
    "circulating_supply",
    "last_updated",
)
NO_NUMBERS = (math.nan, math.inf, -math.inf, "100", True, [100.0])


def coin(**changes: Any) -> Coin:
    fields: dict[str, Any] = {
        "id": "alpha",
        "symbol": "ALP",
        "name": "Alpha",
        "image": "https://img.example/alpha.png",
        "market_cap_rank": 1,
        "price": 100.0,
        "market_cap": 100_000.0,
        "volume_24h": 5_000.0,
        "high_24h": 110.0,
        "low_24h": 90.0,
        "price_change_24h": -1.5,
        "price_change_percentage_24h": -1.48,
        "circulating_supply": 1_000.0,
        "last_updated": EPOCH,
        "source": "coingecko_free",
    }
    return Coin(**(fields | changes))


def ticker(**changes: Any) -> PairTicker:
    fields: dict[str, Any] = {
        "instrument": instrument("ALPUSDT"),
        "price": 100.0,
        "high": 110.0,
        "low": 90.0,
        "quote_volume": 5_000.0,
        "change": -1.5,
        "change_percentage": -1.48,
        "closed_at": EPOCH,
    }
    return PairTicker(**(fields | changes))


def test_a_plausible_coin_keeps_every_field() -> None:
    assert asdict(coin())["price_change_percentage_24h"] == -1.48
    assert coin().last_updated == EPOCH


@pytest.mark.parametrize("name", NULLABLE)
def test_an_unknown_field_of_a_coin_may_be_none(name: str) -> None:
    assert asdict(coin(**{name: None}))[name] is None


@pytest.mark.parametrize("name", ["symbol", "source"])
def test_symbol_and_source_are_never_none_or_empty(name: str) -> None:
    for value in (None, ""):
        with pytest.raises(ValidationError, match=name):
            coin(**{name: value})


@pytest.mark.parametrize("value", [0, 0.0, -1, -0.01, *NO_NUMBERS])
@pytest.mark.parametrize("name", ["price", "market_cap", "high_24h", "low_24h"])
def test_an_implausible_price_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        coin(**{name: value})


@pytest.mark.parametrize("value", [-1, -0.01, *NO_NUMBERS])
@pytest.mark.parametrize("name", ["volume_24h", "circulating_supply"])
def test_an_amount_below_zero_or_no_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        coin(**{name: value})


@pytest.mark.parametrize("name", ["volume_24h", "circulating_supply"])
def test_an_amount_of_zero_is_accepted(name: str) -> None:
    assert asdict(coin(**{name: 0}))[name] == 0


@pytest.mark.parametrize("value", NO_NUMBERS)
@pytest.mark.parametrize("name", ["price_change_24h", "price_change_percentage_24h"])
def test_a_change_that_is_no_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        coin(**{name: value})


@pytest.mark.parametrize("value", [0, -1, 1.5, "1", True, math.nan, 10**9])
def test_a_rank_is_a_whole_number_from_one(value: object) -> None:
    with pytest.raises(ValidationError, match="market_cap_rank"):
        coin(market_cap_rank=value)


def test_a_whole_number_is_a_price() -> None:
    assert coin(price=101).price == 101.0


@pytest.mark.parametrize(
    "changes",
    [
        {"high_24h": 90.0, "low_24h": 110.0},
        {"price": 100_000.0, "market_cap": None},
        {"price": 0.1, "market_cap": None},
        {"price": 100_000.0, "low_24h": None, "market_cap": None},
        {"price": 0.1, "high_24h": None, "market_cap": None},
        {"market_cap": 1_100_000.0},
        {"market_cap": 9_000.0},
        {"market_cap": 100_000_000.0},
    ],
    ids=str,
)
def test_fields_that_contradict_each_other_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        coin(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"high_24h": 100.0, "low_24h": 100.0},
        {"price": 112.0},
        {"price": 88.0},
        {"price": 220.0},
        {"price": 45.0},
        {"market_cap": 900_000.0},
        {"market_cap": 11_000.0},
        {"market_cap": 1.0, "circulating_supply": None},
        {"market_cap": 1.0, "circulating_supply": 0},
        {"price": None, "market_cap": 1.0},
        {"price": 100_000.0, "high_24h": None, "low_24h": None, "market_cap": None},
    ],
    ids=str,
)
def test_fields_that_differ_a_little_or_cannot_be_compared_are_accepted(
    changes: dict[str, Any],
) -> None:
    assert asdict(coin(**changes)).items() >= changes.items()


def test_high_below_low_is_refused_without_a_price_too() -> None:
    with pytest.raises(ValidationError, match="high below"):
        coin(price=None, high_24h=1.0, low_24h=2.0)


@pytest.mark.parametrize("value", ["2026-11-22T08:00:00Z", 1_795_334_400, datetime(2026, 11, 22)])  # noqa: DTZ001 - naive on purpose
def test_a_coin_is_dated_with_an_aware_instant(value: object) -> None:
    with pytest.raises(ValidationError, match="last_updated"):
        coin(last_updated=value)


NO_ADDRESSES = [
    "missing_large.png",
    "javascript:alert(1)",
    "",
    "https://a.example/ x",
    'http://a/"',
]


@pytest.mark.parametrize("value", NO_ADDRESSES)
def test_an_image_is_an_http_address(value: str) -> None:
    with pytest.raises(ValidationError, match="image"):
        coin(image=value)


def test_a_coin_has_no_other_fields() -> None:
    with pytest.raises(ValidationError, match="ath"):
        coin(ath=1.0)


@pytest.mark.parametrize("value", [None, 0, -1, *NO_NUMBERS])
@pytest.mark.parametrize("name", ["price", "high", "low"])
def test_a_ticker_without_positive_prices_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        ticker(**{name: value})


def test_the_volume_of_a_ticker_may_be_unknown() -> None:
    assert ticker(quote_volume=None).quote_volume is None


@pytest.mark.parametrize("value", [-1, *NO_NUMBERS])
def test_a_ticker_with_a_volume_that_is_not_an_amount_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="quote_volume"):
        ticker(quote_volume=value)


@pytest.mark.parametrize(
    "changes",
    [{"high": 89.0}, {"price": 100_000.0}, {"price": 0.1}, {"price": 221.0}, {"price": 44.0}],
    ids=str,
)
def test_a_ticker_far_outside_its_own_range_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ticker(**changes)


def test_a_ticker_may_lag_its_range_a_little() -> None:
    assert ticker(price=220.0).price == 220.0
    assert ticker(price=45.0).price == 45.0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (50.0, 100.0, True),
        (200.0, 100.0, True),
        (100.0, 100.0, True),
        (49.0, 100.0, False),
        (201.0, 100.0, False),
        (1e-9, 1e9, False),
    ],
)
def test_prices_agree_within_a_factor_of_two(one: float, other: float, same: bool) -> None:
    assert agree(one, other) is same


@pytest.mark.parametrize("one", [0.0, 5e-324, 1.0, 1.7e308, math.inf, math.nan])
@pytest.mark.parametrize("other", [0.0, 5e-324, 1.0, 1.7e308, math.inf, math.nan])
def test_any_two_floats_can_be_compared(one: float, other: float) -> None:
    assert isinstance(agree(one, other), bool)


@pytest.mark.parametrize(
    ("price", "supply", "market_cap"),
    [
        (100.0, 1_000.0, 100_000.0),
        (50_000.0, 1.7e308, None),
        (1e20, 1e20, None),
        (5e-324, 0.1, None),
        (1.0, 1e18, None),
        (0.5, 1e18, 5e17),
    ],
)
def test_an_implausible_market_cap_is_unknown(
    price: float, supply: float, market_cap: float | None
) -> None:
    assert market_cap_of(price, supply) == market_cap


@pytest.mark.parametrize("name", ["price", "high_24h", "low_24h"])
@pytest.mark.parametrize("value", [5e-324, 1e-30, 1e30, 1.7e308])
def test_a_price_beyond_any_market_is_refused(name: str, value: float) -> None:
    alone: dict[str, Any] = dict.fromkeys(("price", "high_24h", "low_24h", "market_cap"))
    with pytest.raises(ValidationError, match=name):
        coin(**(alone | {name: value}))


@pytest.mark.parametrize("value", [1e30, 1.7e308])
@pytest.mark.parametrize("name", ["volume_24h", "circulating_supply", "price_change_24h"])
def test_an_amount_beyond_any_market_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        coin(**{name: value, "market_cap": None})


def test_a_supply_so_small_that_its_product_is_zero_is_compared_without_a_quotient() -> None:
    with pytest.raises(ValidationError, match="price times supply"):
        coin(circulating_supply=5e-324, price=0.1, high_24h=None, low_24h=None, market_cap=1.0)


@pytest.mark.parametrize(
    "text", ["a\nb", "a\rb", "a\x1bb", "a\x9bb", "a\u202eb", "a\u2028b", "\ud800"]
)
@pytest.mark.parametrize("name", ["id", "symbol", "source"])
def test_an_identifier_that_cannot_be_printed_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationError, match=name):
        coin(**{name: text})


def test_a_name_of_unprintable_characters_only_is_refused() -> None:
    assert coin(name="Bit\n\u202ecoin\ud800").name == "Bit coin"
    assert (
        coin(name="\u5e01\u5b89\u4eba\u751f \U0001f680").name
        == "\u5e01\u5b89\u4eba\u751f \U0001f680"
    )
    with pytest.raises(ValidationError, match="name"):
        coin(name="\u202e\n")


def test_a_ticker_may_lack_the_change_that_could_not_be_computed() -> None:
    assert ticker(change=None, change_percentage=None).change is None


def test_equal_market_queries_are_equal() -> None:
    assert MarketQuery() == MarketQuery()
    assert QuotesQuery(universe_known=True) != QuotesQuery()
    assert {MarketQuery(): 1}[MarketQuery()] == 1
    assert MarketQuery().series is None
    assert MarketQuery.category == QuotesQuery.category == "market"


def test_an_instant_may_come_in_any_zone() -> None:
    assert coin(last_updated=datetime.fromisoformat("2026-11-22T16:00:00+08:00")) == coin(
        last_updated=datetime(2026, 11, 22, 8, tzinfo=UTC)
    )
