"""What may come out of a parser, whatever went in: a model that no reader could laugh at."""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import singledispatch
from itertools import pairwise
from typing import Any

import pytest

from api.encoding import to_json
from backend.identity.instruments import VENUES
from backend.models.account import AccountLimits
from backend.models.coins import CoinList, Sparklines
from backend.models.gas import GasFees
from backend.models.global_market import GlobalMarket
from backend.models.market import Coin, ForeignRanking, PairTicker, PairTickers, Ranking
from backend.models.news import Article, Reports
from backend.models.ohlc import Candles
from backend.models.rates import ExchangeRates
from backend.models.sentiment import FearGreedSeries
from backend.models.ticks import CandleUpdate, TickerUpdates
from tests.clocks import EPOCH, EPOCH_MS

#: The most that a clock, ours or theirs, may be wrong by (backend/providers/rows.py).
SLACK = timedelta(hours=3)
#: A venue's rows may stand apart by an hour more.
TICKERS_SLACK = timedelta(hours=4)
DAYS_SLACK = timedelta(hours=1)
#: A publisher's clock may be ahead by this (backend/services/news/store.py).
NEWS_SLACK = timedelta(minutes=2)
#: What every reader's JSON can hold exactly.
LARGEST_INTEGER = 2**53
LONGEST_TEXT = 100_000
#: Categories and directions of characters that cannot be shown on a line, or turn it round.
UNSHOWABLE = {"Cc", "Cs", "Zl", "Zp", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
TAG = re.compile(r"<[a-zA-Z/!?][^<>]*>")


def assert_plausible(answer: Any) -> None:
    """Fails on a model that an honest provider would not have given. The rows as the vendor sent
    them are its own word (tests/test_pages.py)."""
    if isinstance(answer, Ranking):
        answer = replace(answer, page=None)
    for value in leaves(answer):
        assert_simple(value)
    to_json(answer)  # whoever reads it gets it as JSON
    assert_sensible(answer)


def leaves(value: Any) -> Iterator[Any]:
    if is_dataclass(value):
        for field in fields(value):
            yield from leaves(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for pair in value.items():
            yield from leaves(pair)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def assert_simple(value: Any) -> None:
    match value:
        case bool() | None | Enum():
            pass
        case int():
            assert abs(value) <= LARGEST_INTEGER
        case float():
            assert math.isfinite(value)
        case datetime():
            assert value.utcoffset() is not None
            value.astimezone(UTC)
        case str():
            value.encode()  # no lone surrogates
            assert len(value) <= LONGEST_TEXT
        case _:
            raise AssertionError(f"{type(value).__name__} in an answer")


def assert_not_ahead(at: datetime, slack: timedelta) -> None:
    assert at <= EPOCH + slack


@singledispatch
def assert_sensible(answer: Any) -> None:
    raise AssertionError(f"{type(answer).__name__} is no answer")


@assert_sensible.register
def _(answer: AccountLimits) -> None:
    assert answer.per_minute is None or answer.per_minute > 0
    assert answer.per_month is None or answer.per_month > 0


@assert_sensible.register
def _(answer: Ranking) -> None:
    """It may be empty: single coins that are asked for may have no market."""
    ids = [coin.id for coin in answer.coins]
    assert len(set(ids)) == len(ids)
    ranks = [coin.market_cap_rank for coin in answer.coins if coin.market_cap_rank is not None]
    assert ranks == sorted(ranks)
    for coin in answer.coins:
        assert_coin(coin)


@assert_sensible.register
def _(answer: ForeignRanking) -> None:
    assert answer.listed
    slugs = [row.slug for row in answer.listed]
    assert len(set(slugs)) == len(slugs)
    coins = [row.coin for row in answer.listed]
    ranks = [coin.market_cap_rank for coin in coins if coin.market_cap_rank is not None]
    assert ranks == sorted(ranks)
    for coin in coins:
        assert coin.id is None
        assert coin.last_updated is None or coin.last_updated <= EPOCH + TICKERS_SLACK
        assert_coin(coin)


@assert_sensible.register
def _(answer: CoinList) -> None:
    assert answer.names
    assert all(symbol == symbol.upper() for symbol, _ in answer.names.values())
    assert set(answer.contracts.values()) <= set(answer.names)


@assert_sensible.register
def _(answer: Sparklines) -> None:
    for prices in answer.prices.values():
        assert prices
        assert all(price > 0 for price in prices)


@assert_sensible.register
def _(answer: GlobalMarket) -> None:
    assert answer.market_cap is None or 0 < answer.market_cap < 1e15
    assert answer.volume_24h is None or 0 <= answer.volume_24h < 1e15
    for share in (answer.btc_dominance, answer.eth_dominance):
        assert share is None or 0 <= share <= 100
    assert answer.last_updated is not None
    assert abs(answer.last_updated - EPOCH) <= SLACK


@assert_sensible.register
def _(answer: ExchangeRates) -> None:
    assert answer.rates["USD"] == pytest.approx(1)
    assert all(code.isalpha() and rate > 0 for code, rate in answer.rates.items())
    assert answer.as_of is None or EPOCH - timedelta(days=7) <= answer.as_of <= EPOCH + SLACK


def assert_coin(coin: Coin) -> None:
    prices = (coin.price, coin.market_cap, coin.high_24h, coin.low_24h)
    assert all(price is None or price > 0 for price in prices)
    assert coin.symbol == coin.symbol.upper()
    if coin.high_24h is not None and coin.low_24h is not None:
        assert coin.high_24h >= coin.low_24h
    assert coin.image is None or coin.image.startswith(("http://", "https://"))


@assert_sensible.register
def _(answer: PairTickers) -> None:
    assert answer.tickers
    bases = [ticker.instrument.base for ticker in answer.tickers]
    assert len(set(bases)) == len(bases)
    for ticker in answer.tickers:
        assert_ticker(ticker, TICKERS_SLACK)


@assert_sensible.register
def _(answer: TickerUpdates) -> None:
    for ticker in answer.tickers:
        assert_ticker(ticker, SLACK)


def assert_ticker(ticker: PairTicker, slack: timedelta) -> None:
    assert min(ticker.price, ticker.high, ticker.low) > 0
    assert ticker.high >= ticker.low
    assert ticker.quote_volume is None or ticker.quote_volume >= 0
    one = ticker.instrument
    assert one.symbol == VENUES[one.venue].spell(one.base, one.quote)
    assert abs(ticker.closed_at - EPOCH) <= slack


@assert_sensible.register
def _(answer: Candles) -> None:
    """Times rise; only what is not over yet is still forming, and only that."""
    for one, other in pairwise(answer.candles):
        assert one.timestamp < other.timestamp
        assert one.closed
    latest_ms = EPOCH_MS + SLACK / timedelta(milliseconds=1)
    for candle in answer.candles:
        assert candle.high >= max(candle.open, candle.close)
        assert 0 < candle.low <= min(candle.open, candle.close)
        assert candle.timestamp <= latest_ms
        assert candle.closed or answer.interval.next_open(candle.timestamp) > EPOCH_MS - 3_600_000


@assert_sensible.register
def _(answer: CandleUpdate) -> None:
    candle, interval = answer.candle, answer.subject.interval
    assert answer.subject.instrument.symbol
    assert candle.high >= candle.low > 0
    opened = datetime.fromtimestamp(candle.timestamp / 1_000, UTC)
    assert_not_ahead(opened, SLACK)
    ended = datetime.fromtimestamp(interval.next_open(candle.timestamp) / 1_000, UTC)
    assert ended >= EPOCH - SLACK


@assert_sensible.register
def _(answer: FearGreedSeries) -> None:
    assert answer.days
    assert_not_ahead(answer.days[0].timestamp, DAYS_SLACK)
    assert all(0 <= day.value <= 100 for day in answer.days)
    assert answer.next_update_s is None or 0 < answer.next_update_s < 100_000


@assert_sensible.register
def _(answer: GasFees) -> None:
    assert 0 < answer.slow <= answer.average <= answer.fast <= 1_000_000
    assert answer.base_fee is None or answer.base_fee > 0 or answer.chain == "bnb"
    assert (answer.base_fee is None) == (answer.unit == "sat/vB") or answer.method == "oracle"


@assert_sensible.register
def _(answer: Reports) -> None:
    for report in answer.reports:
        assert_not_ahead(report.published_at, SLACK)
        assert report.url.startswith(("http://", "https://"))


def assert_readable(article: Article) -> None:
    """Of now, text without a tag, all of it on one line, and addresses that are one word."""
    assert_not_ahead(article.published_at, NEWS_SLACK)
    for line in (article.title, article.summary or "", article.source, *article.symbols):
        assert UNSHOWABLE.isdisjoint(map(unicodedata.category, line)), repr(line)
        assert UNSHOWABLE.isdisjoint(map(unicodedata.bidirectional, line)), repr(line)
    for text in (article.title, article.summary or ""):
        assert not TAG.search(text), text
    assert len(article.title) <= 300
    assert article.title == article.title.strip()
    assert len(article.summary or "") <= 300
    for address in (article.url, article.image or article.url):
        assert not any(sign.isspace() or sign in '<>"' for sign in address), address
