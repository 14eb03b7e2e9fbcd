"""Answers as bytes: what is encoded is decoded again, and junk is not."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.cache.answer_store import AnswerCodec
from backend.categories import GAS, GLOBAL, MARKET, NEWS, OHLC, RATES, SENTIMENT
from backend.identity.instruments import Instrument
from backend.models.answer import Answer, Attempt
from backend.models.gas import GasFees, GasQuery
from backend.models.global_market import GlobalMarket, GlobalQuery
from backend.models.market import Coin, Market, MarketQuery, market_cap_of
from backend.models.news import Article, News, NewsQuery
from backend.models.ohlc import Candle, Candles, Interval, OhlcQuery
from backend.models.rates import ExchangeRates, RatesQuery
from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from tests.clocks import EPOCH
from tests.instruments import instruments

METHODS: tuple[Literal["oracle", "fee_history"], ...] = ("oracle", "fee_history")
amounts = st.floats(1e-9, 1e12, allow_nan=False)
signed = st.floats(-1e12, 1e12, allow_nan=False)
printable = st.characters(exclude_categories=["C", "Z"], include_characters=" ")
texts = st.text(printable, min_size=1, max_size=30).map(str.strip).filter(bool)
urls = st.sampled_from(["https://a.example/1?x=%20#y", "http://[::1]:8/ü"])
zones = st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))]
)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=zones)  # noqa: DTZ001


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


traded = st.builds(Instrument, texts, texts, texts, texts)


@st.composite
def coins(draw: st.DrawFn) -> Coin:
    price, supply = draw(amounts), draw(maybe(amounts))
    return Coin(
        id=draw(maybe(texts)),
        symbol=draw(texts),
        name=draw(maybe(texts)),
        image=draw(maybe(urls)),
        market_cap_rank=draw(maybe(st.integers(1, 10_000))),
        price=draw(st.sampled_from([price, None])),
        market_cap=market_cap_of(price, supply) if supply else draw(maybe(amounts)),
        volume_24h=draw(maybe(amounts)),
        high_24h=price * 1.1,
        low_24h=draw(st.sampled_from([price * 0.9, None])),
        price_change_24h=draw(maybe(signed)),
        price_change_percentage_24h=draw(maybe(signed)),
        circulating_supply=supply,
        last_updated=draw(maybe(instants)),
        source=draw(texts),
    )


markets = st.builds(
    Market,
    st.lists(coins(), max_size=3).map(tuple),
    st.booleans(),
    maybe(st.dictionaries(texts, st.lists(traded, max_size=2).map(tuple), max_size=3)),
)
#: As cleaned texts are: without control characters, separators and marks of direction.
lines = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=3, max_size=50)
articles = st.builds(
    Article,
    id=lines,
    title=lines,
    url=urls,
    source=lines,
    provider=lines,
    published_at=instants,
    summary=maybe(lines),
    image=maybe(urls),
    symbols=st.lists(lines, max_size=3).map(tuple),
    sentiment=st.sampled_from(["positive", "neutral", "negative"]),
    sentiment_score=st.floats(-1, 1),
    sentiment_method=st.sampled_from(["votes", "lexicon"]),
)
news = st.builds(News, st.lists(articles, max_size=3).map(tuple))


@st.composite
def candles(draw: st.DrawFn) -> Candles:
    interval = draw(st.sampled_from(Interval))
    at, price = interval.open_of(1_700_000_000_000), draw(amounts)
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        volume, closed = draw(maybe(amounts)), draw(st.booleans())
        rows.append(Candle(at, price, price * 1.5, price / 2, price, volume, closed))
        at = interval.next_open(at)
    return Candles(interval, tuple(rows), draw(maybe(traded)))


@st.composite
def indices(draw: st.DrawFn) -> FearGreedSeries:
    index, attribution, newest = draw(texts), draw(texts), draw(instants)
    days = tuple(
        FearGreed(draw(st.integers(0, 100)), draw(maybe(texts)), newest - back, index, attribution)
        for back in map(timedelta, range(draw(st.integers(1, 4))))
    )
    refused = draw(st.lists(texts, max_size=2).map(tuple))
    return FearGreedSeries(days, draw(maybe(amounts)), refused)


@st.composite
def fees(draw: st.DrawFn) -> GasFees:
    slow, average, fast = sorted(draw(st.tuples(*[st.floats(1e-9, 1e6)] * 3)))
    base, block = draw(maybe(st.floats(1e-9, 1e6))), draw(st.integers(1, 10**9))
    prices = slow, average, fast, base
    return GasFees("ethereum", "gwei", *prices, block, draw(st.sampled_from(METHODS)))


shares = st.floats(0, 100)
whole_markets = st.builds(
    GlobalMarket,
    market_cap=maybe(amounts),
    volume_24h=maybe(amounts),
    market_cap_change_percentage_24h=maybe(st.floats(-99, 99)),
    btc_dominance=maybe(shares),
    eth_dominance=maybe(shares),
    active_coins=maybe(st.integers(1, 10**6)),
    last_updated=maybe(instants),
)
codes = st.text(st.sampled_from("ABCXYZ"), min_size=2, max_size=5)
exchange_rates = st.builds(
    ExchangeRates,
    st.dictionaries(codes, amounts, max_size=4),
    maybe(instants),
    st.lists(texts, max_size=2).map(tuple),
)
series_queries = st.builds(
    OhlcQuery,
    maybe(texts),
    st.lists(traded, max_size=2).map(tuple),
    st.sampled_from(Interval),
    maybe(st.integers(0, 10**13)),
)
CATEGORIES: dict[str, tuple[AnswerCodec[Any, Any], st.SearchStrategy[Any], Any]] = {
    "market": (MARKET.retention.codec, st.just(MarketQuery()), markets),
    "ohlc": (OHLC.retention.codec, series_queries, candles()),
    "news": (NEWS.retention.codec, st.just(NewsQuery()), news),
    "sentiment": (SENTIMENT.retention.codec, st.just(SentimentQuery()), indices()),
    "gas": (GAS.retention.codec, st.just(GasQuery()), fees()),
    "global": (GLOBAL.retention.codec, st.just(GlobalQuery()), whole_markets),
    "rates": (RATES.retention.codec, st.just(RatesQuery()), exchange_rates),
}
every_category = pytest.mark.parametrize("category", CATEGORIES)
attempts = st.builds(Attempt, texts, texts, maybe(amounts))


def answers(data: st.SearchStrategy[Any]) -> st.SearchStrategy[Answer[Any]]:
    return st.builds(
        Answer,
        data,
        texts | st.lists(texts, min_size=1, max_size=3).map(tuple),
        instants,
        maybe(amounts),
        st.lists(attempts, max_size=3).map(tuple),
        st.lists(texts, max_size=3).map(tuple),
    )


@pytest.mark.many_rounds
@every_category
@settings(max_examples=50)
@given(drawn=st.data())
def test_a_decoded_answer_is_the_encoded_one(category: str, drawn: st.DataObject) -> None:
    codec, queries, data = CATEGORIES[category]
    query, answer = drawn.draw(queries), drawn.draw(answers(data))
    kept = codec.decoded(codec.encoded(query, answer))
    assert kept
    assert (kept.query, kept.answer) == (query, answer)
    assert hash(kept.query) == hash(query)


@pytest.mark.many_rounds
@every_category
@settings(max_examples=25)
@given(drawn=st.data())
def test_a_truncated_body_is_not_decoded(category: str, drawn: st.DataObject) -> None:
    codec, queries, data = CATEGORIES[category]
    body = codec.encoded(drawn.draw(queries), drawn.draw(answers(data)))
    assert codec.decoded(body[: drawn.draw(st.integers(0, len(body) - 1))]) is None


@pytest.mark.many_rounds
@every_category
@settings(max_examples=50)
@given(body=st.binary(max_size=50) | st.text(max_size=50).map(str.encode))
def test_random_junk_is_not_decoded(category: str, body: bytes) -> None:
    assert CATEGORIES[category][0].decoded(body) is None


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b"NaN", b'"\xff"', b"[" * 100_000])
@every_category
def test_known_kinds_of_junk_are_not_decoded(category: str, body: bytes) -> None:
    assert CATEGORIES[category][0].decoded(body) is None


def gas_body(change: Callable[[dict[str, Any]], Any]) -> bytes:
    data = GasFees("ethereum", "gwei", 1.0, 2.0, 3.0, None, 1, "oracle")
    body = json.loads(
        GAS.retention.codec.encoded(GasQuery(), Answer(data, "etherscan", EPOCH, 1.0))
    )
    change(body)
    return json.dumps(body).encode()


def test_an_unchanged_body_is_decoded() -> None:
    assert GAS.retention.codec.decoded(gas_body(lambda body: None))


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(version=2),
        lambda body: body.pop("source"),
        lambda body: body.update(fetched_at="2026-11-22T08:00:00"),
        lambda body: body["data"].pop("block"),
        lambda body: body["data"].update(more=1),
        lambda body: body["data"].update(slow=-1.0),
        lambda body: body["data"].update(slow=float("nan")),
        lambda body: body["data"].update(slow=9.0),
    ],
)
def test_another_shape_or_an_absurd_value_is_not_decoded(change: Callable[[Any], Any]) -> None:
    assert GAS.retention.codec.decoded(gas_body(change)) is None


def test_decoded_candles_are_validated_as_a_series() -> None:
    rows = tuple(Candle(n * 3_600_000, 1.0, 1.0, 1.0, 1.0, None, True) for n in range(2))
    answer = Answer(Candles(Interval.H1, rows), "binance", EPOCH, 1.0)
    query = OhlcQuery("bitcoin", instruments("BTCUSDT"), Interval.H1, reference_price=2.0)
    body = OHLC.retention.codec.encoded(query, answer)
    assert OHLC.retention.codec.decoded(body)
    assert OHLC.retention.codec.decoded(body.replace(b"3600000", b"3600001")) is None
