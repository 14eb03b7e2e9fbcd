"""What venues share: changes from an open, preferred pairs, and the guards of candles."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from backend.errors import QueryRefused
from backend.identity.instruments import Instrument
from backend.models.market import PairTicker
from backend.models.ohlc import Candle, Candles, Interval, OhlcQuery
from backend.providers.adapter import Context
from backend.providers.venues import (
    change_since,
    difference,
    preferred_pairs,
    refuse_other_market,
    serves_candles,
)
from tests.clocks import EPOCH, EPOCH_MS


@pytest.mark.parametrize(
    ("price", "opened", "expected"),
    [
        (83766.8, 84180.1, -413.3),
        (83744.31, 83744.3, 0.01),
        (2.05, 2.0, 0.05),
        (0.3, 0.1, 0.2),
        (0.00000123, 0.00000122, 0.00000001),
        (0.00000000000123, 0.00000000000122, 0.00000000000001),
        (1.0, 1.0, 0.0),
    ],
)
def test_a_difference_has_no_digits_of_the_floats_own(
    price: float, opened: float, expected: float
) -> None:
    assert difference(price, opened) == expected


@pytest.mark.parametrize(
    ("opened", "expected"),
    [(100.0, (2.0, 2.0)), (0.0, (None, None)), (-1.0, (None, None)), (5_000.0, (None, None))],
)
def test_an_open_that_is_not_a_price_of_the_day_gives_no_change(
    opened: float, expected: tuple[float | None, float | None]
) -> None:
    assert change_since(opened, 102.0, 99.0, 104.0) == expected


@pytest.mark.parametrize("price", [0.0, -1.0, float("inf"), float("nan")])
def test_what_is_not_a_price_has_no_difference(price: float) -> None:
    with pytest.raises((ValueError, OverflowError)):
        difference(price, price)


# Which instruments are a coin's, and which candles are served


def pair(base: str, quote: str, price: float = 1.0) -> PairTicker:
    instrument = Instrument("venue", base, quote, f"{base}{quote}")
    return PairTicker(instrument, price, price, price, None, None, None, EPOCH)


def symbols(tickers: Iterable[PairTicker]) -> list[str]:
    return [one.instrument.symbol for one in tickers]


def test_each_coin_has_its_preferred_dollar_whatever_the_order_of_the_rows() -> None:
    rows = [pair("BTC", quote) for quote in ("USDC", "FDUSD", "USDT", "USD")]
    for order in permutations(rows):
        found = preferred_pairs([*order, pair("ETH", "USDC")], ("BAD",))
        assert symbols(found.tickers) == ["BTCUSD", "ETHUSDC"]
        assert found.refused == ("BAD",)
        assert found.others == ()


def test_books_in_other_currencies_stand_apart() -> None:
    rows = [pair("BTC", "GBP"), pair("BTC", "USDT"), pair("BTC", "EUR"), pair("ETH", "EUR")]
    found = preferred_pairs(rows)
    assert symbols(found.tickers) == ["BTCUSDT"]
    assert sorted(symbols(found.others)) == ["BTCEUR", "BTCGBP", "ETHEUR"]


def test_of_a_repeated_pair_the_first_counts() -> None:
    found = preferred_pairs([pair("BTC", "USD", 5.0), pair("BTC", "USD", 7.0)])
    assert [one.price for one in found.tickers] == [5.0]


BITCOIN = Instrument("venue", "BTC", "USD", "BTCUSD")
QUERY = OhlcQuery("bitcoin", (BITCOIN,), Interval.H1, reference_price=50_000.0)
CONTEXT = Context("venue", "public", EPOCH_MS)
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"interval": Interval.D1}, False),
        ({"reference_price": None}, False),
        ({"instruments": ()}, False),
        ({"instruments": (Instrument("other", "BTC", "USD", "BTCUSD"),)}, False),
        ({"start_ms": EPOCH_MS - 10 * HOUR_MS, "end_ms": EPOCH_MS}, True),
        ({"start_ms": EPOCH_MS - 10 * HOUR_MS - 1, "end_ms": EPOCH_MS}, False),
    ],
)
def test_candles_are_served_of_a_known_price_an_instrument_and_an_interval(
    changes: dict[str, Any], expected: bool
) -> None:
    serves = serves_candles({Interval.H1}, most_back=10)
    assert serves(replace(QUERY, **changes), CONTEXT) is expected


def test_without_a_depth_any_range_is_served() -> None:
    serves = serves_candles({Interval.H1})
    assert serves(replace(QUERY, start_ms=0, end_ms=HOUR_MS), CONTEXT)


def series(close: float, *, hours_ago: int = 0, refused: tuple[str, ...] = ()) -> Candles:
    opened = EPOCH_MS // HOUR_MS * HOUR_MS - hours_ago * HOUR_MS
    candle = Candle(opened, close, close, close, close, 1.0, closed=hours_ago > 0)
    return Candles(Interval.H1, (candle,), QUERY.instruments[0], refused)


@pytest.mark.parametrize(
    ("close", "is_refused"), [(5_000.0, False), (500_000.0, False), (4_999, True), (500_001, True)]
)
def test_candles_at_a_namesakes_price_are_refused(close: float, is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(QueryRefused, match="not the coin's"):
            refuse_other_market(QUERY, series(float(close)), CONTEXT)
    else:
        refuse_other_market(QUERY, series(close), CONTEXT)


def test_candles_that_ended_long_ago_are_those_of_a_delisted_pair() -> None:
    refuse_other_market(QUERY, series(50_000.0, hours_ago=3), CONTEXT)
    with pytest.raises(QueryRefused, match="no longer traded"):
        refuse_other_market(QUERY, series(50_000.0, hours_ago=4), CONTEXT)
    with pytest.raises(ValueError, match="malformed"):
        refuse_other_market(QUERY, series(50_000.0, hours_ago=4, refused=("1",)), CONTEXT)


def test_no_candles_at_all_are_no_market() -> None:
    with pytest.raises(QueryRefused, match="no candles"):
        refuse_other_market(QUERY, Candles(Interval.H1, ()), CONTEXT)
