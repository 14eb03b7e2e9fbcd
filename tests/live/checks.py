"""Whether data can be true: ids, units and times, for each type of data that a parser returns."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import singledispatch
from statistics import median
from typing import Any

from backend.models.coins import CoinList, Sparklines
from backend.models.gas import GasFees
from backend.models.global_market import GlobalMarket
from backend.models.market import (
    Coin,
    ForeignRanking,
    PairTicker,
    PairTickers,
    Ranking,
    agree,
)
from backend.models.news import Reports
from backend.models.ohlc import Candles
from backend.models.rates import ExchangeRates
from backend.models.sentiment import FearGreedSeries
from backend.models.ticks import CandleUpdate, TickerUpdates

#: Largest age of the newest price; of the newest day of an index, whose days have 24 h; of the
#: newest article; of rates, which central banks do not publish on holidays.
PRICE_AGE, INDEX_AGE = timedelta(hours=3), timedelta(hours=50)
NEWS_AGE, RATES_AGE = timedelta(days=7), timedelta(days=6)
#: A time may be ahead of ours by this much.
AHEAD = timedelta(minutes=10)
#: Plausible fees. A wrong unit differs by a factor of 1e9 (wei) or 1e5 (BTC per kB).
FEES = {"gwei": (1e-6, 1e4), "sat/vB": (0.1, 5e3)}
#: Plausible figures of the whole market: percent, and USD.
DOMINANCE, MARKET_CAP = (5.0, 95.0), (1e11, 1e15)
#: Plausible units of other currencies for one US dollar.
RATES = {"EUR": (0.4, 2.0), "JPY": (50.0, 400.0)}
#: Hourly prices of seven days.
SPARKLINE = (100, 200)
#: Smallest change over 24 h that shows its unit, in percent; rows that are needed.
TELLING_CHANGE, TELLING_ROWS = 0.5, 3


@dataclass
class Found:
    """What an answer has: rows, those that the parser refused, Bitcoin's price in USD, problems."""

    rows: int = 0
    refused: int = 0
    bitcoin: float | None = None
    problems: list[str] = field(default_factory=list)

    def need(self, is_so: bool, problem: str) -> None:
        if not is_so:
            self.problems.append(problem)

    def need_time(self, newest: datetime | None, now: datetime, age: timedelta) -> None:
        """`newest` is None where the provider tells no time."""
        if newest is not None:
            self.need(newest <= now + AHEAD, f"the newest time {newest} is in the future")
            self.need(newest >= now - age, f"the newest time {newest} is too old")

    def need_between(self, name: str, value: float | None, limits: tuple[float, float]) -> None:
        low, high = limits
        if value is not None:
            self.need(low <= value <= high, f"{name} is {value:g}, expected {low:g} to {high:g}")


@singledispatch
def examine(_data: Any, _now: datetime) -> Found:
    """What the data have, and what cannot be true. Types without a check have no problems."""
    return Found()


def need_same_price(found: Found, price: float | None) -> None:
    """Bitcoin's price must be that of the others within a factor of 2."""
    if found.bitcoin is not None and price is not None and not agree(found.bitcoin, price):
        found.problems.append(f"BTC is {found.bitcoin:g}, others have {price:g}")


@examine.register
def _(data: Ranking, now: datetime) -> Found:
    found = Found(len(data.coins), len(data.refused))
    named = [coin for coin in data.coins if coin.id == "bitcoin"]
    found.need(bool(named), "no coin has the id bitcoin")
    found.need(all(coin.symbol == "BTC" for coin in named), "bitcoin is not BTC")
    _examine_coins(found, data.coins, named, now)
    return found


@examine.register
def _(data: ForeignRanking, now: datetime) -> Found:
    found = Found(len(data.listed), len(data.refused))
    named = [one.coin for one in data.listed if "bitcoin" in one.slug and one.coin.symbol == "BTC"]
    found.need(bool(named), "no row is Bitcoin's")
    _examine_coins(found, [one.coin for one in data.listed], named, now)
    return found


def _examine_coins(found: Found, coins: Iterable[Coin], bitcoin: list[Coin], now: datetime) -> None:
    rows = [coin for coin in coins if coin.price is not None]
    found.bitcoin = bitcoin[0].price if bitcoin else None
    newest = max((coin.last_updated for coin in rows if coin.last_updated), default=None)
    found.need_time(newest, now, PRICE_AGE)
    _examine_changes(
        found,
        ((coin.price, coin.price_change_24h, coin.price_change_percentage_24h) for coin in rows),
    )


def _examine_changes(
    found: Found, rows: Iterable[tuple[float | None, float | None, float | None]]
) -> None:
    """Price, change as an amount, and change in percent must fit each other."""
    ratios = []
    for price, change, percentage in rows:
        if price is None or change is None or percentage is None or price == change:
            continue
        expected = change / (price - change) * 100
        if abs(expected) >= TELLING_CHANGE:
            ratios.append(percentage / expected)
    if len(ratios) >= TELLING_ROWS:
        middle = median(ratios)
        text = f"changes are {middle:.3g} times the expected percentage: fractions?"
        found.need(0.5 <= middle <= 2, text)


@examine.register
def _(data: PairTickers, now: datetime) -> Found:
    found = Found(len(data.tickers) + len(data.others), len(data.refused))
    _examine_tickers(found, data.tickers, now)
    found.need(found.bitcoin is not None, "no pair of BTC against dollars")
    return found


def _examine_tickers(found: Found, tickers: tuple[PairTicker, ...], now: datetime) -> None:
    bitcoin = [one for one in tickers if one.instrument.base == "BTC"]
    found.bitcoin = bitcoin[0].price if bitcoin else None
    found.need_time(max((one.closed_at for one in tickers), default=None), now, PRICE_AGE)
    changes = ((one.price, one.change, one.change_percentage) for one in tickers)
    _examine_changes(found, changes)


@examine.register
def _(data: TickerUpdates, now: datetime) -> Found:
    found = Found(len(data.tickers))
    _examine_tickers(found, data.tickers, now)
    return found


@examine.register
def _(data: CandleUpdate, _now: datetime) -> Found:
    return Found(1, bitcoin=data.candle.close)


@examine.register
def _(data: Candles, now: datetime) -> Found:
    """`now` is the end of the range that was asked for. The model has checked the grid."""
    found = Found(len(data.candles), len(data.refused))
    found.need(len(data.candles) > 1, "fewer than two candles")
    if data.candles:
        newest = data.candles[-1]
        found.bitcoin = newest.close
        opened = datetime.fromtimestamp(newest.timestamp / 1000, UTC)
        found.need_time(opened, now, timedelta(milliseconds=2 * data.interval.step_ms))
    return found


@examine.register
def _(data: CoinList, _now: datetime) -> Found:
    found = Found(len(data.names))
    found.need(data.names.get("bitcoin", ("",))[0] == "BTC", "the id bitcoin is not BTC")
    found.need(bool(data.contracts), "no coin has a contract")
    return found


@examine.register
def _(data: Sparklines, _now: datetime) -> Found:
    found = Found(len(data.prices), len(data.refused))
    prices = data.prices.get("bitcoin", ())
    found.need(bool(prices), "no prices of bitcoin")
    if prices:
        found.bitcoin = prices[-1]
        found.need_between("the number of prices of bitcoin", len(prices), SPARKLINE)
    return found


@examine.register
def _(data: GasFees, _now: datetime) -> Found:
    found = Found(1, len(getattr(data, "refused", ())))
    for name in ("slow", "average", "fast"):
        found.need_between(f"{name} ({data.unit})", getattr(data, name), FEES[data.unit])
    return found


@examine.register
def _(data: FearGreedSeries, now: datetime) -> Found:
    found = Found(len(data.days), len(data.refused))
    found.need_time(data.days[0].timestamp, now, INDEX_AGE)
    return found


@examine.register
def _(data: Reports, now: datetime) -> Found:
    found = Found(len(data.reports), data.refused)
    found.need(bool(data.reports), "no articles")
    newest = max((report.published_at for report in data.reports), default=None)
    found.need_time(newest, now, NEWS_AGE)
    return found


@examine.register
def _(data: ExchangeRates, now: datetime) -> Found:
    found = Found(len(data.rates), len(data.refused))
    found.need("EUR" in data.rates, "no rate of EUR")
    for code, limits in RATES.items():
        found.need_between(f"{code} for 1 USD", data.rates.get(code), limits)
    found.bitcoin = 1 / data.rates["BTC"] if "BTC" in data.rates else None
    found.need_time(data.as_of, now, RATES_AGE)
    return found


@examine.register
def _(data: GlobalMarket, now: datetime) -> Found:
    found = Found(1)
    found.need_between("the dominance of BTC (%)", data.btc_dominance, DOMINANCE)
    found.need_between("the market cap (USD)", data.market_cap, MARKET_CAP)
    found.need_time(data.last_updated, now, PRICE_AGE)
    return found
