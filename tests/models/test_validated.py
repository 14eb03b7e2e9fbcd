"""Rows made from mappings: what the constructor refuses is refused, what it makes is made."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from backend.models.market import (
    Coin,
    CoinWithSparkline,
    PairTicker,
    coin_from_fields,
    ticker_from_fields,
    with_fields,
    with_sparkline,
)
from backend.models.ohlc import Candle, candle_from_fields
from backend.models.validated import from_fields
from tests.instruments import instrument

AT = datetime(2026, 11, 22, 8, tzinfo=UTC)
COIN: dict[str, Any] = {
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
    "last_updated": AT,
    "source": "coingecko_free",
    "price_change_percentage_1h": 0.5,
    "price_change_percentage_7d": None,
}
TICKER: dict[str, Any] = {
    "instrument": instrument("BTCUSDT"),
    "price": 100.0,
    "high": 110.0,
    "low": 90.0,
    "quote_volume": 1e6,
    "change": -1.5,
    "change_percentage": -1.48,
    "closed_at": AT,
}
CANDLE: dict[str, Any] = {
    "timestamp": 1_700_000_000_000,
    "open": 100.0,
    "high": 110.0,
    "low": 90.0,
    "close": 101.0,
    "volume": None,
    "closed": True,
}
Make = Callable[[Mapping[str, Any]], Any]
MODELS: list[tuple[type[Any], Make, dict[str, Any]]] = [
    (Coin, coin_from_fields, COIN),
    (CoinWithSparkline, from_fields(CoinWithSparkline), {**COIN, "sparkline_7d": (1.0, 2.0)}),
    (PairTicker, ticker_from_fields, TICKER),
    (Candle, candle_from_fields, CANDLE),
]
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7.0, -0.0, 2**53, 10**9, 10**400, 1e-31, 1e30, 1e308),
    *(math.nan, math.inf, -math.inf, 109.0, 111.0, 250.0, 30.0),
    *("", "100", "ALP", "a\nb", "\u202egnp", "\ud800", " ", "x" * 201, "http://", "http://[::1"),
    *("ftp://img.example/", "https://img.example/ a", "2026-11-22T08:00:00Z"),
    *(b"100", [100.0], (100.0,), (1, "2"), {"price": 1.0}, object()),
    *(AT.replace(tzinfo=None), AT.astimezone(timezone(timedelta(hours=5))), AT.date()),
)


def outcome(make: Callable[[], Any]) -> Any:
    """The row, with the type of each field, or what is wrong with it."""
    try:
        row = make()
    except ValidationError as error:
        return [(one["type"], one["loc"], one["msg"]) for one in error.errors()]
    except Exception as error:
        return type(error), str(error)
    values = [getattr(row, field.name) for field in fields(row)]
    return type(row), [(type(value), repr(value)) for value in values]


def assert_same(model: type[Any], make: Make, row: dict[str, Any]) -> None:
    assert outcome(lambda: make(row)) == outcome(lambda: model(**row)), row


@pytest.mark.parametrize(("model", "make", "row"), MODELS)
def test_an_honest_row_is_equal_to_that_of_the_constructor(
    model: type[Any], make: Make, row: dict[str, Any]
) -> None:
    made = make(row)
    assert type(made) is model
    assert made == model(**row)


@pytest.mark.parametrize(("model", "make", "row"), MODELS)
def test_each_field_is_checked_as_by_the_constructor(
    model: type[Any], make: Make, row: dict[str, Any]
) -> None:
    for name in row:
        for value in HOSTILE:
            assert_same(model, make, {**row, name: value})


@pytest.mark.parametrize(("model", "make", "row"), MODELS)
def test_missing_and_foreign_fields_are_refused_as_by_the_constructor(
    model: type[Any], make: Make, row: dict[str, Any]
) -> None:
    for name in row:
        assert_same(model, make, {key: value for key, value in row.items() if key != name})
    assert_same(model, make, {**row, "foreign": 1})
    assert_same(model, make, {})


@pytest.mark.parametrize(("model", "make", "row"), MODELS)
def test_rows_with_several_hostile_values_are_refused_for_the_same_reasons(
    model: type[Any], make: Make, row: dict[str, Any]
) -> None:
    dice = random.Random(21)
    for _ in range(2_000):
        names = dice.sample(list(row), dice.randint(2, 5))
        assert_same(model, make, {**row, **{name: dice.choice(HOSTILE) for name in names}})


def test_what_is_no_mapping_is_refused() -> None:
    for value in (None, 7, "alpha", [COIN], list(COIN.items())):
        with pytest.raises(ValidationError):
            coin_from_fields(value)  # type: ignore[arg-type] # on purpose


def test_a_changed_row_is_checked_again() -> None:
    coin = coin_from_fields(COIN)
    assert with_fields(coin, price=101.0) == Coin(**{**COIN, "price": 101.0})
    assert coin.price == 100.0
    with pytest.raises(ValidationError):
        with_fields(coin, price=-1.0)


def test_rows_cannot_be_changed_in_place() -> None:
    coin = coin_from_fields(COIN)
    with pytest.raises(AttributeError):
        coin.price = 1.0  # type: ignore[misc] # on purpose


def test_a_row_with_a_sparkline_has_all_fields_of_the_coin() -> None:
    coin = coin_from_fields(COIN)
    shown = with_sparkline(coin, (1.0, 2.0))
    assert shown == CoinWithSparkline(**COIN, sparkline_7d=(1.0, 2.0))
    with pytest.raises(ValidationError):
        with_sparkline(coin, (1.0, -2.0))
