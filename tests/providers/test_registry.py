"""The contract that every provider in the registry keeps: its facts, its calls, and junk."""

import copy
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import MalformedResponse, ProviderError, QueryRefused
from backend.identity.instruments import BOOK_CURRENCIES, VENUES, guessed_instruments
from backend.models.answer import Query
from backend.models.chains import ChainName
from backend.models.gas import GasQuery
from backend.models.global_market import GlobalQuery
from backend.models.market import PairTickers, QuotesQuery, Ranking
from backend.models.news import ReportsQuery
from backend.models.ohlc import DAY, HOUR, MINUTE, Candles, Interval, OhlcQuery
from backend.models.rates import RatesQuery
from backend.models.sentiment import SentimentQuery
from backend.providers.adapter import MIB, Context, Operation, Plan, ProviderSpec
from backend.providers.client import parsed
from backend.providers.registry import REGISTRY, TIERS
from tests.clocks import EPOCH_MS
from tests.fuzz.budget import told_of
from tests.instruments import instrument


@dataclass(frozen=True)
class Example:
    """A query with a valid answer, and the fields of a row that the parser reads as numbers.

    `prices` must be positive. `others` are other numbers of the answer. `compared` are only checked
    and are not part of the answer. `nullable` may be null. `thousandfold` contradict other fields
    when they are multiplied by 1,000. `pages` are the payloads of a range, which may be `empty`.
    `older` are payloads of the newest candles that only continue the first. The rows are `inside` a
    payload, the fields `within` a row.
    """

    vendor: str
    operation: str
    query: Query[Any]
    payloads: list[Any]
    prices: tuple[Any, ...]
    others: tuple[Any, ...]
    compared: tuple[Any, ...] = ()
    nullable: tuple[Any, ...] = ()
    thousandfold: tuple[Any, ...] = ()
    pages: tuple[int, ...] = ()
    older: tuple[int, ...] = ()
    empty: Any = field(default_factory=list)
    inside: tuple[str, ...] = ()
    within: tuple[str, ...] = ()

    def rows(self, payloads: list[Any], page: int) -> Any:
        return at(payloads[page], self.inside)

    def fields(self, payloads: list[Any], page: int, row: Any) -> Any:
        return at(self.rows(payloads, page)[row], self.within)

    def parse(self, payloads: list[Any]) -> Any:
        found = {op.name: op for vendor, op in operations() if vendor == self.vendor}
        return parsed(found[self.operation].parse, self.query, payloads, CONTEXT)


def at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


CONTEXT = Context("some_provider", "pro", EPOCH_MS)
BTCUSDT = (instrument("BTCUSDT", CONTEXT.provider),)
NEWEST = OhlcQuery("bitcoin", BTCUSDT, Interval.H4, reference_price=100.0)
RANGE = OhlcQuery("bitcoin", BTCUSDT, Interval.H1, EPOCH_MS - DAY, EPOCH_MS, 100.0)
DAILY = OhlcQuery("bitcoin", BTCUSDT, Interval.D1, reference_price=100.0)

COIN = {
    "id": "bitcoin",
    "symbol": "btc",
    "name": "Bitcoin",
    "image": "https://img.example/bitcoin.png",
    "current_price": 100,
    "market_cap": 2_000_000.0,
    "market_cap_rank": 1,
    "total_volume": 30_000,
    "high_24h": 110,
    "low_24h": 90.5,
    "price_change_24h": -1.5,
    "price_change_percentage_24h": -1.4,
    "circulating_supply": 20_000.0,
    "last_updated": "2026-11-22T07:59:20.000Z",
}
TICKER = {
    "symbol": "BTCUSDT",
    "priceChange": "-1.50000000",
    "priceChangePercent": "-1.400",
    "lastPrice": "100.00000000",
    "highPrice": "110.00000000",
    "lowPrice": "90.00000000",
    "quoteVolume": "30000.00000000",
    "closeTime": EPOCH_MS - 5_000,
    "count": 10,
}


STATS = {"open": "98.5", "high": "110", "low": "90", "last": "100", "volume": "300.5"}
MARKET = {
    "timestamp": str(EPOCH_MS // 1000 - 5),
    "high": "110",
    "low": "90",
    "last": "100",
    "volume": "300.5",
    "vwap": "99.5",
    "open_24": "101.5",
    "percent_change_24": "-1.48",
    "market_type": "SPOT",
    "market": "BTC/USD",
}


OKX_TICKER = {
    "instType": "SPOT",
    "instId": "BTC-USDT",
    "last": "100",
    "open24h": "101.5",
    "high24h": "110",
    "low24h": "90",
    "vol24h": "300.5",
    "volCcy24h": "30000.5",
    "ts": str(EPOCH_MS - 5_000),
}


def okx_reply(*rows: Any) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": list(rows)}


def okx_row(open_ms: int) -> list[str]:
    return [str(open_ms), "100.0", "110.0", "90.0", "105.0", "1.5", "150.0", "150.0", "1"]


def kraken_reply(*rows: Any) -> dict[str, Any]:
    return {"error": [], "result": {"BTC/USD": list(rows), "last": EPOCH_MS // 1000}}


def kraken_row(open_ms: int) -> list[Any]:
    return [open_ms // 1000, "100.0", "110.0", "90.0", "105.0", "101.0", "1.5", 12]


def coinbase_row(open_ms: int) -> list[Any]:
    return [open_ms // 1000, 90, 110.5, 100, 105, 1.5]


def bitstamp_row(open_ms: int) -> dict[str, str]:
    prices = {"open": "100.0", "high": "110.0", "low": "90.0", "close": "105.0"}
    return {"timestamp": str(open_ms // 1000), **prices, "volume": "1.5"}


def ohlc_page(*rows: Any) -> dict[str, Any]:
    return {"data": {"ohlc": list(rows)}}


def bars(step_ms: int) -> list[Any]:
    newest = -(-EPOCH_MS // step_ms) * step_ms  # the stamp of a close
    return [[newest - step_ms, 100.0, 110, 90, 105.5], [newest, 105.5, 112, 95, 101]]


def kline(open_ms: int, step_ms: int) -> list[Any]:
    return [open_ms, "100.0", "110.0", "90.0", "105.0", "1.5", open_ms + step_ms - 1, "0", 3, "0"]


BARS: dict[str, Any] = {"prices": (1, 2, 3, 4), "others": (0,), "thousandfold": (1, 3, 4)}
KLINES: dict[str, Any] = {
    "prices": (1, 2, 3, 4),
    "others": (0, 5),
    "compared": (6,),
    "thousandfold": (1, 3, 4),
}
# Coinbase's order is low, high, open, close.
COINBASE: dict[str, Any] = {"prices": (1, 2, 3, 4), "others": (0, 5), "thousandfold": (3, 4)}
BITSTAMP: dict[str, Any] = {
    "prices": ("open", "high", "low", "close"),
    "others": ("timestamp", "volume"),
    "thousandfold": ("open", "low", "close"),
    "inside": ("data", "ohlc"),
    "empty": ohlc_page(),
}
OKX: dict[str, Any] = {
    "prices": (1, 2, 3, 4),
    "others": (0, 5),
    "compared": (8,),
    "thousandfold": (1, 3, 4),
    "inside": ("data",),
}
KRAKEN: dict[str, Any] = {
    "prices": (1, 2, 3, 4),
    "others": (0, 6),
    "compared": (7,),
    "thousandfold": (1, 3, 4),
    "inside": ("result", "BTC/USD"),
}
MARKET_NUMBERS = ("price_change_24h", "price_change_percentage_24h", "market_cap_rank")
MARKET_PRICES = ("current_price", "market_cap", "total_volume", "high_24h", "low_24h")
KLINE_ROWS = [kline(EPOCH_MS - 8 * HOUR, 4 * HOUR), kline(EPOCH_MS - 4 * HOUR, 4 * HOUR)]
KLINE_PAGE = [kline(EPOCH_MS - 8 * HOUR, HOUR), kline(EPOCH_MS - 7 * HOUR, HOUR)]
EXAMPLES = [
    Example(
        "coingecko",
        "markets",
        QuotesQuery(),
        [[COIN]],
        prices=(*MARKET_PRICES, "circulating_supply"),
        others=MARKET_NUMBERS,
        nullable=(*MARKET_PRICES, *MARKET_NUMBERS, "circulating_supply"),
        thousandfold=("current_price", "market_cap", "low_24h", "circulating_supply"),
    ),
    Example("coingecko", "ohlc", NEWEST, [bars(4 * HOUR)], **BARS),
    Example("coingecko", "ohlc_native", DAILY, [bars(DAY)], **BARS),
    Example("coingecko", "ohlc_range", RANGE, [bars(HOUR)], pages=(0,), **BARS),
    Example(
        "binance",
        "ticker_24hr",
        QuotesQuery(),
        [[TICKER]],
        prices=("lastPrice", "highPrice", "lowPrice", "quoteVolume"),
        others=("priceChange", "priceChangePercent", "closeTime"),
        compared=("count",),
        thousandfold=("lastPrice", "lowPrice", "closeTime"),
    ),
    Example("binance", "klines", NEWEST, [KLINE_ROWS], **KLINES),
    Example(
        "binance",
        "klines",
        RANGE,
        [[kline(EPOCH_MS - MINUTE, MINUTE)], KLINE_PAGE],
        pages=(1,),
        **KLINES,
    ),
    Example(
        "coinbase",
        "stats",
        QuotesQuery(),
        [{"BTC-USD": {"stats_24hour": STATS}}],
        prices=("last", "high", "low", "volume"),
        others=("open",),
        thousandfold=("last", "low"),
        within=("stats_24hour",),
    ),
    Example(
        "coinbase",
        "candles",
        NEWEST,
        [[coinbase_row(EPOCH_MS - 4 * HOUR), coinbase_row(EPOCH_MS - 8 * HOUR)], [], [], []],
        older=(1, 2, 3),
        **COINBASE,
    ),
    Example(
        "coinbase",
        "candles",
        RANGE,
        [
            [coinbase_row(EPOCH_MS - MINUTE)],
            [coinbase_row(EPOCH_MS - 7 * HOUR), coinbase_row(EPOCH_MS - 8 * HOUR)],
        ],
        pages=(1,),
        **COINBASE,
    ),
    Example(
        "bitstamp",
        "tickers",
        QuotesQuery(),
        [[MARKET]],
        prices=("last", "high", "low", "volume", "vwap"),
        others=("open_24", "percent_change_24", "timestamp"),
        nullable=("open_24", "percent_change_24"),
        thousandfold=("last", "low", "timestamp"),
    ),
    Example(
        "bitstamp",
        "ohlc",
        NEWEST,
        [ohlc_page(bitstamp_row(EPOCH_MS - 8 * HOUR), bitstamp_row(EPOCH_MS - 4 * HOUR))],
        **BITSTAMP,
    ),
    Example(
        "bitstamp",
        "ohlc",
        RANGE,
        [
            ohlc_page(bitstamp_row(EPOCH_MS - MINUTE)),
            ohlc_page(bitstamp_row(EPOCH_MS - 8 * HOUR), bitstamp_row(EPOCH_MS - 7 * HOUR)),
        ],
        pages=(1,),
        **BITSTAMP,
    ),
    Example(
        "okx",
        "tickers",
        QuotesQuery(),
        [okx_reply(OKX_TICKER)],
        prices=("last", "high24h", "low24h", "volCcy24h"),
        others=("open24h", "vol24h", "ts"),
        thousandfold=("last", "low24h", "ts"),
        inside=("data",),
    ),
    Example(
        "okx",
        "candles",
        NEWEST,
        [
            okx_reply(okx_row(EPOCH_MS - 4 * HOUR), okx_row(EPOCH_MS - 8 * HOUR)),
            *(okx_reply(), okx_reply(), okx_reply()),
        ],
        older=(1, 2, 3),
        **OKX,
    ),
    Example(
        "okx",
        "candles",
        RANGE,
        [
            okx_reply(okx_row(EPOCH_MS - MINUTE)),
            okx_reply(okx_row(EPOCH_MS - 7 * HOUR), okx_row(EPOCH_MS - 8 * HOUR)),
        ],
        **OKX,
    ),
    Example(
        "kraken",
        "ohlc",
        NEWEST,
        [kraken_reply(kraken_row(EPOCH_MS - 8 * HOUR), kraken_row(EPOCH_MS - 4 * HOUR))],
        **KRAKEN,
    ),
    Example(
        "kraken",
        "ohlc",
        RANGE,
        [kraken_reply(kraken_row(EPOCH_MS - 2 * HOUR), kraken_row(EPOCH_MS - HOUR))],
        **KRAKEN,
    ),
]
#: Largest accepted bodies, about five times the recorded ones; all others are limited to 1 MiB.
LARGEST_BODY = {"markets": 2 * MIB, "ticker_24hr": 8 * MIB, "tickers": 2 * MIB}
JUNK: list[Any] = [
    {},
    [],
    None,
    "",
    "<html><title>Just a moment</title></html>",
    0,
    math.nan,
    True,
    [None],
    [[]],
    [{}],
    [[[]]],
    ["text"],
    {"data": []},
    {"error": "coin not found"},
    {"status": {"error_code": 1}},
    {"code": -1, "msg": "no"},
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=24,
)

each_example = pytest.mark.parametrize(
    "example", EXAMPLES, ids=lambda one: f"{one.operation}-{type(one.query).category}"
)
each_spec = pytest.mark.parametrize("spec", REGISTRY, ids=lambda spec: spec.name)


def operations() -> list[tuple[str, Operation]]:
    adapters = {spec.adapter.vendor: spec.adapter for spec in REGISTRY}
    return [(name, op) for name, adapter in adapters.items() for op in adapter.operations]


def plans(spec: ProviderSpec) -> list[Plan]:
    return [plan for plan in (spec.keyed, spec.keyless) if plan]


def with_field(example: Example, page: int, row: Any, name: Any, value: Any) -> list[Any]:
    payloads = copy.deepcopy(example.payloads)
    example.fields(payloads, page, row)[name] = value
    return payloads


def places(example: Example) -> list[tuple[int, Any]]:
    """Page and row of every row that becomes part of the answer."""
    pages = example.pages or range(len(example.payloads))
    return [(page, row) for page in pages for row in rows_of(example, page)]


def rows_of(example: Example, page: int) -> Iterable[Any]:
    rows = example.rows(example.payloads, page)
    return rows if isinstance(rows, dict) else range(len(rows))


def floats(found: Any) -> Iterator[float]:
    if isinstance(found, float):
        yield found
    elif isinstance(found, (tuple, list)):
        for part in found:
            yield from floats(part)


def assert_sound(found: Any) -> None:
    assert isinstance(found, (Ranking, PairTickers, Candles))
    assert all(math.isfinite(number) for number in floats(astuple(found)))


def assert_refused(example: Example, payloads: list[Any]) -> None:
    with pytest.raises(ProviderError) as caught:
        example.parse(payloads)
    assert type(caught.value) in {MalformedResponse, QueryRefused}


def assert_row_refused(example: Example, payloads: list[Any]) -> None:
    """The answer is refused; or of its two candles that one, or of a coin the supply, by name."""
    try:
        found = example.parse(payloads)
    except (MalformedResponse, QueryRefused):
        return
    assert_sound(found)
    if isinstance(found, Ranking):
        assert found.without_supply == (COIN["id"],)
    else:
        assert (len(found.candles), len(found.refused)) == (1, 1)


def test_names_are_unique_and_fit_for_variables() -> None:
    names = [spec.name for spec in REGISTRY]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) for name in names)


@each_spec
def test_a_provider_has_a_plan_and_a_plan_with_a_key_says_where_the_key_goes(
    spec: ProviderSpec,
) -> None:
    assert plans(spec)
    assert spec.keyed is None or spec.keyed.auth is not None
    assert spec.keyless is None or spec.keyless.auth is None


@each_spec
def test_hosts_are_https_addresses_that_a_path_can_follow(spec: ProviderSpec) -> None:
    for plan in plans(spec):
        assert plan.base_urls
        end = "" if spec.adapter.vendor == "rss" else r"(?<!/)"  # of a feed it is the whole address
        assert all(re.fullmatch(rf"https://[^\s?#]+{end}", url) for url in plan.base_urls)


@each_spec
def test_limits_are_positive(spec: ProviderSpec) -> None:
    windows = [window for plan in plans(spec) for window in plan.windows]
    assert windows
    assert all(window.limit > 0 and window.period_s > 0 for window in windows)


@each_spec
def test_operations_have_names_of_their_own_and_belong_to_the_providers_categories(
    spec: ProviderSpec,
) -> None:
    names = [op.name for op in spec.adapter.operations]
    assert len(set(names)) == len(names) > 0
    categories = {op.query_type.category for op in spec.adapter.operations}
    assert categories - {"account"} == set(spec.categories)


def tiers_by_operation(query: Query[Any]) -> dict[str, int]:
    """The tier of each operation that can answer `query`."""
    return {
        f"{spec.name}.{operation.name}": spec.tier(query, operation)
        for spec in REGISTRY
        for operation in spec.adapter.operations_for(query)
    }


@each_spec
def test_the_table_of_tiers_names_each_provider_of_each_category_once(spec: ProviderSpec) -> None:
    for category in spec.categories:
        named = [name for group in TIERS[category] for name in group]
        assert named.count(spec.name) == 1


def test_the_table_of_tiers_names_only_providers_and_operations_that_exist() -> None:
    known = {f"{spec.name}.{op.name}" for spec in REGISTRY for op in spec.adapter.operations}
    known |= {spec.name for spec in REGISTRY}
    assert {name for groups in TIERS.values() for group in groups for name in group} <= known


def test_venues_take_turns_once_the_coin_list_is_known_and_come_last_before() -> None:
    lists = {"coingecko_pro.markets": 0, "coingecko_free.markets": 0}
    lists |= {"coinmarketcap.listings": 1, "coinpaprika.tickers": 2}
    venues = ("binance.ticker_24hr", "coinbase.stats", "okx.tickers", "bitstamp.tickers")
    known = tiers_by_operation(QuotesQuery(universe_known=True))
    assert known == lists | dict.fromkeys(venues, 0)
    assert tiers_by_operation(QuotesQuery()) == lists | dict.fromkeys(venues, 3)


def test_candles_of_a_venue_come_first_then_native_ones_then_merged_ones() -> None:
    tiers = tiers_by_operation(NEWEST)
    assert tiers["binance.klines"] == 0
    assert tiers["coinbase.candles"] == tiers["okx.candles"] == 1
    assert tiers["bitstamp.ohlc"] == tiers["kraken.ohlc"] == 2
    assert tiers["coingecko_pro.ohlc_native"] == tiers["coingecko_pro.ohlc_range"] == 3
    assert tiers["coingecko_pro.ohlc"] == tiers["coingecko_free.ohlc"] == 4


def test_news_providers_share_a_tier_and_sentiment_has_one_provider_per_tier() -> None:
    assert set(tiers_by_operation(ReportsQuery()).values()) == {0}
    assert tiers_by_operation(SentimentQuery()) == {
        "alternative_me.fng": 0,
        "coinmarketcap.fear_greed": 1,
    }
    assert tiers_by_operation(GlobalQuery()) == {
        "coingecko_pro.global": 0,
        "coingecko_free.global": 0,
        "coinmarketcap.global": 1,
        "coinpaprika.global": 2,
    }
    assert tiers_by_operation(RatesQuery()) == {
        "coinbase_rates.exchange_rates": 0,
        "frankfurter.latest": 1,
    }


@pytest.mark.parametrize(
    ("chain", "providers"),
    [
        ("ethereum", ["etherscan", "etherscan_backup", "ethereum_rpc"]),
        ("base", ["base_rpc"]),
        ("arbitrum", ["arbitrum_rpc"]),
        ("optimism", ["optimism_rpc"]),
        ("polygon", ["etherscan", "etherscan_backup", "polygon_rpc"]),
        ("bnb", ["bnb_rpc"]),
        ("avalanche", ["avalanche_rpc"]),
        ("bitcoin", ["mempool_space", "esplora"]),
    ],
)
def test_fees_of_a_chain_have_one_provider_per_tier(chain: ChainName, providers: list[str]) -> None:
    query = GasQuery(chain=chain)
    tiers = {
        spec.name: spec.tier(query, operation)
        for spec in REGISTRY
        for operation in spec.adapter.operations_for(query)
        if operation.serves(query, CONTEXT)
    }
    assert sorted(tiers, key=lambda name: tiers[name]) == providers
    assert len(set(tiers.values())) == len(providers)


#: Their rows have figures one level deeper; they are tested in the files of their vendors.
NESTED = {("coinmarketcap", "listings"), ("coinpaprika", "tickers")}


def test_every_operation_has_an_example_here() -> None:
    known = {(example.vendor, example.operation) for example in EXAMPLES} | NESTED
    tested_here = {"market", "ohlc"}  # the others are tested in the files of their vendors
    assert known == {
        (vendor, op.name) for vendor, op in operations() if op.query_type.category in tested_here
    }


@each_example
def test_calls_are_paths_with_parameters_of_text_without_spaces(example: Example) -> None:
    (build,) = [op.build for vendor, op in operations() if (vendor, op.name) == key_of(example)]
    calls = build(example.query, CONTEXT)
    assert len(calls) == len(example.payloads)
    for call in calls:
        assert re.fullmatch(r"/[^\s?#]+", call.path)
        assert all(re.fullmatch(r"\S+", text) for pair in call.params for text in pair)
        assert call.weight > 0
        assert 0 < call.max_bytes <= LARGEST_BODY.get(example.operation, MIB)


def key_of(example: Example) -> tuple[str, str]:
    return example.vendor, example.operation


@each_example
def test_the_right_payload_is_an_answer(example: Example) -> None:
    assert_sound(example.parse(example.payloads))


@each_example
@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_junk_in_place_of_any_payload_is_never_an_answer(example: Example, junk: Any) -> None:
    for place in range(len(example.payloads)):
        if place in example.older or (junk == example.empty and place in example.pages):
            continue
        assert_refused(example, [*example.payloads[:place], junk, *example.payloads[place + 1 :]])


@each_example
def test_no_row_in_a_page_of_history_is_an_answer_without_candles(example: Example) -> None:
    for place in example.pages:
        others = example.payloads[place + 1 :]
        payloads = [*example.payloads[:place], example.empty, *others]
        assert example.parse(payloads).candles == ()


WRONG: list[Any] = ["text", "", [], {}, ["1"], {"value": 1}]


@each_example
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_wrong_value_for_a_number_is_never_an_answer(example: Example, wrong: Any) -> None:
    for name in (*example.prices, *example.others, *example.compared):
        for page, row in places(example):
            assert_row_refused(example, with_field(example, page, row, name, wrong))


@each_example
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_finite_number_is_never_an_answer(example: Example, number: float) -> None:
    for name in (*example.prices, *example.others):
        for page, row in places(example):
            assert_row_refused(example, with_field(example, page, row, name, number))


@each_example
def test_null_for_a_number_is_never_an_answer_but_where_null_is_known(example: Example) -> None:
    for name in {*example.prices, *example.others, *example.compared} - set(example.nullable):
        for page, row in places(example):
            assert_row_refused(example, with_field(example, page, row, name, None))


@each_example
def test_text_where_the_vendor_sends_numbers_is_never_an_answer(example: Example) -> None:
    for name in (*example.prices, *example.others, *example.compared):
        for page, row in places(example):
            value = example.fields(example.payloads, page, row)[name]
            if not isinstance(value, str):
                assert_row_refused(example, with_field(example, page, row, name, str(value)))


@each_example
def test_a_negative_amount_is_never_an_answer(example: Example) -> None:
    for name in example.prices:
        for page, row in places(example):
            value = example.fields(example.payloads, page, row)[name]
            negative = f"-{value}" if isinstance(value, str) else -value
            assert_row_refused(example, with_field(example, page, row, name, negative))


@each_example
@pytest.mark.parametrize("factor", [1_000, 0.001])
def test_one_price_a_thousandfold_off_is_never_an_answer(example: Example, factor: float) -> None:
    opposite = {3: 2, "low_24h": "high_24h", "lowPrice": "highPrice", "low": "high"}
    opposite["low24h"] = "high24h"
    up = example.thousandfold
    for name in up if factor > 1 else {opposite.get(one, one) for one in up}:
        for page, row in places(example):
            value = example.fields(example.payloads, page, row)[name]
            off = str(float(value) * factor) if isinstance(value, str) else value * factor
            assert_row_refused(example, with_field(example, page, row, name, off))


@settings(deadline=None, max_examples=300)
@given(payload=ANYTHING)
def test_whatever_json_comes_is_an_error_of_ours_or_a_sound_answer(payload: Any) -> None:
    for example in EXAMPLES:
        for place in range(len(example.payloads)):
            payloads = [*example.payloads[:place], payload, *example.payloads[place + 1 :]]
            with told_of(example.operation), suppress(ProviderError):
                assert_sound(example.parse(payloads))


@settings(deadline=None, max_examples=300)
@given(place=st.integers(0, 1_000), field=st.integers(0, 1_000), value=ANYTHING)
def test_whatever_stands_in_one_field_is_an_error_of_ours_or_a_sound_answer(
    place: int, field: int, value: Any
) -> None:
    for example in EXAMPLES:
        found = list(places(example))
        page, row = found[place % len(found)]
        fields = example.fields(example.payloads, page, row)
        names = list(fields) if isinstance(fields, dict) else range(len(fields))
        payloads = with_field(example, page, row, names[field % len(names)], value)
        with told_of(example.operation), suppress(ProviderError):
            assert_sound(example.parse(payloads))


#: The venues that have candles of an interval on our grid, besides Binance (facts of 2026-09).
SERVED_BY = {
    "1m": "bitstamp coinbase kraken okx",
    "3m": "bitstamp okx",
    "5m": "bitstamp coinbase kraken okx",
    "15m": "bitstamp coinbase kraken okx",
    "30m": "bitstamp kraken okx",
    "1h": "bitstamp coinbase kraken okx",
    "2h": "bitstamp okx",
    "4h": "bitstamp kraken okx",
    "6h": "bitstamp coinbase okx",
    "8h": "",
    "12h": "bitstamp okx",
    "1d": "bitstamp coinbase kraken okx",
    "3d": "bitstamp okx",
    "1w": "okx",
    "1M": "okx",
}


@pytest.mark.parametrize("interval", list(Interval))
def test_every_interval_is_served_by_the_venues_that_have_it(interval: Interval) -> None:
    query = OhlcQuery("bitcoin", guessed_instruments("BTC"), interval, reference_price=50_000.0)
    serving = [
        spec.name
        for spec in REGISTRY
        if spec.name in VENUES and spec.name != "binance" and spec.keyless
        for operation in spec.adapter.operations_for(query)
        if operation.serves(query, Context(spec.name, spec.keyless.name, EPOCH_MS))
    ]
    assert sorted(serving) == SERVED_BY[interval].split()


@pytest.mark.parametrize("currency", BOOK_CURRENCIES)
def test_candles_in_euros_and_pounds_have_two_sources_at_least(currency: str) -> None:
    books = guessed_instruments("BTC", currency)
    query = OhlcQuery("bitcoin", books, Interval.H1, reference_price=50_000.0, currency=currency)
    serving = {
        spec.name
        for spec in REGISTRY
        if spec.keyless
        for operation in spec.adapter.operations_for(query)
        if operation.serves(query, Context(spec.name, spec.keyless.name, EPOCH_MS))
    }
    assert {"bitstamp", "coinbase", "kraken"} <= serving
    assert not any(name.startswith("coingecko") for name in serving), "its candles are in dollars"
