"""Plausibility: wrong units, old times and wrong ids are found."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backend.identity.instruments import Instrument
from backend.models.coins import CoinList, Sparklines
from backend.models.gas import GasFees
from backend.models.global_market import GlobalMarket
from backend.models.market import Coin, ForeignRanking, ListedCoin, PairTicker, PairTickers, Ranking
from backend.models.news import Reports
from backend.models.ohlc import HOUR, Candle, Candles, Interval
from backend.models.rates import ExchangeRates
from tests.live.checks import Found, examine, need_same_price

NOW = datetime(2026, 11, 29, 12, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


def coin(number: int, *, percentage: float = 2.0) -> Coin:
    price = 102.0
    return Coin(
        id="bitcoin" if number == 1 else f"coin-{number}",
        symbol="BTC" if number == 1 else f"C{number}",
        name="A coin",
        image=None,
        market_cap_rank=number,
        price=price,
        market_cap=None,
        volume_24h=1.0,
        high_24h=None,
        low_24h=None,
        price_change_24h=2.0,
        price_change_percentage_24h=percentage,
        circulating_supply=None,
        last_updated=NOW,
        source="test",
    )


COINS = tuple(coin(number) for number in range(1, 6))
FRACTIONS = tuple(coin(number, percentage=0.02) for number in range(1, 6))
OLD = tuple(replace(one, last_updated=NOW - timedelta(hours=4)) for one in COINS)
GAS = GasFees("ethereum", "gwei", 0.5, 0.6, 0.7, 0.4, 21_000_000, "oracle")
RATES = ExchangeRates({"EUR": 0.9, "JPY": 150.0, "BTC": 0.00001}, NOW)
GLOBAL = GlobalMarket(3e12, 1e11, 1.0, 55.0, 12.0, 17_000, NOW)


def ticker(symbol: str = "BTC", percentage: float = 2.0) -> PairTicker:
    instrument = Instrument("venue", symbol, "USD", f"{symbol}-USD")
    return PairTicker(instrument, 102.0, 103.0, 99.0, 1.0, 2.0, percentage, NOW)


def candles(newest_ms: int) -> Candles:
    opens = range(newest_ms - 3 * HOUR, newest_ms + 1, HOUR)
    rows = [Candle(at, 100.0, 101.0, 99.0, 100.0, 1.0, closed=True) for at in opens]
    return Candles(Interval.H1, tuple(rows))


THIS_HOUR = Interval.H1.open_of(NOW_MS)


@pytest.mark.parametrize(
    "data",
    [
        Ranking(COINS),
        ForeignRanking(tuple(ListedCoin(replace(one, id=None), "bitcoin") for one in COINS)),
        PairTickers((ticker(), ticker("ETH"))),
        candles(THIS_HOUR),
        candles(THIS_HOUR - HOUR),
        CoinList({"bitcoin": ("BTC", "Bitcoin")}, {"x": "bitcoin"}),
        Sparklines({"bitcoin": (1.0,) * 168}),
        GAS,
        RATES,
        GLOBAL,
    ],
)
def test_plausible_data_have_no_problem(data: object) -> None:
    assert examine(data, NOW).problems == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (Ranking(FRACTIONS), "fractions?"),
        (PairTickers(tuple(ticker(name, 0.02) for name in ("BTC", "ETH", "SOL"))), "fractions?"),
        (Ranking(OLD), "too old"),
        (Ranking(COINS[1:]), "no coin has the id bitcoin"),
        (Ranking((replace(COINS[0], symbol="XBT"),)), "bitcoin is not BTC"),
        (ForeignRanking((ListedCoin(COINS[1], "wrapped-bitcoin"),)), "no row is Bitcoin's"),
        (PairTickers((ticker("ETH"),)), "no pair of BTC"),
        (candles(THIS_HOUR - 3 * HOUR), "too old"),
        (candles(THIS_HOUR + HOUR), "in the future"),
        (CoinList({"bitcoin": ("XBT", "Bitcoin")}, {"x": "y"}), "is not BTC"),
        (CoinList({"bitcoin": ("BTC", "Bitcoin")}, {}), "no coin has a contract"),
        (Sparklines({"bitcoin": (1.0,) * 24}), "is 24, expected 100 to 200"),
        (replace(GAS, slow=2e4, average=2e4, fast=2e4), "is 20000"),
        (replace(GAS, slow=1e-10), "slow (gwei)"),
        (replace(RATES, rates={"EUR": 0.9, "JPY": 0.0066}), "JPY for 1 USD"),
        (replace(RATES, rates={"JPY": 150.0}), "no rate of EUR"),
        (replace(RATES, as_of=NOW - timedelta(days=8)), "too old"),
        (replace(GLOBAL, btc_dominance=0.55), "dominance"),
        (replace(GLOBAL, market_cap=3e3), "market cap"),
        (Reports(()), "no articles"),
    ],
)
def test_implausible_data_have_one(data: object, problem: str) -> None:
    found = examine(data, NOW).problems
    assert any(problem in text for text in found), found


def test_a_price_of_bitcoin_within_a_factor_of_two_is_the_same() -> None:
    for price, problems in ((50.0, 0), (100.0, 0), (199.0, 0), (49.0, 1), (201.0, 1)):
        found = Found(bitcoin=price)
        need_same_price(found, 100.0)
        assert len(found.problems) == problems, price
    assert examine(RATES, NOW).bitcoin == pytest.approx(100_000)
    need_same_price(Found(), 1.0)
