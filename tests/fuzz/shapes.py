"""Right answers to every question of every provider, in the providers' own shapes."""

from dataclasses import dataclass
from typing import Any

from backend.identity.instruments import guessed_instruments
from backend.models.account import AccountQuery
from backend.models.answer import Query
from backend.models.chains import CHAINS
from backend.models.coins import CoinListQuery, CoinsQuery, SparklinesQuery
from backend.models.gas import GasQuery
from backend.models.global_market import GlobalQuery
from backend.models.market import QuotesQuery
from backend.models.news import ReportsQuery
from backend.models.ohlc import DAY, HOUR, MINUTE, Interval, OhlcQuery
from backend.models.pass_through import PassThroughQuery
from backend.models.rates import RatesQuery
from backend.models.sentiment import SentimentQuery
from backend.providers.adapter import Context, Operation, Plan, ProviderSpec
from backend.providers.client import parsed
from backend.providers.registry import REGISTRY
from tests.clocks import EPOCH, EPOCH_MS
from tests.world import data, feeds, lists, okx_kraken, venues

BEGUN_S = EPOCH.timestamp()
MIDNIGHT_S = EPOCH_MS // DAY * DAY // 1_000
#: Long enough that one absurd row is left out, and does not cost the list.
ROWS = 60
PRICE = 100.0
#: One for each venue.
TRADED = guessed_instruments("BTC")
NEWEST = OhlcQuery("bitcoin", TRADED, Interval.H4, reference_price=PRICE)
HOURLY = OhlcQuery("bitcoin", TRADED, Interval.H1, reference_price=PRICE)
DAILY = OhlcQuery("bitcoin", TRADED, Interval.D1, reference_price=PRICE)
RANGE = OhlcQuery("bitcoin", TRADED, Interval.H1, EPOCH_MS - 8 * HOUR, EPOCH_MS, PRICE)


@dataclass(frozen=True)
class Shape:
    """A provider's operation, a question, and payloads that answer it."""

    spec: ProviderSpec
    operation: Operation
    query: Query[Any]
    payloads: tuple[Any, ...]

    def __str__(self) -> str:
        kind = "range" if getattr(self.query, "start_ms", None) else "newest"
        kind = "symbols" if getattr(self.query, "symbols", None) else kind
        return f"{self.spec.name}-{self.operation.name}-{kind}"

    @property
    def plan(self) -> Plan:
        plan = self.spec.keyed or self.spec.keyless
        assert plan is not None
        return plan

    @property
    def context(self) -> Context:
        return Context(self.spec.name, self.plan.name, EPOCH_MS)

    def parse(self, payloads: Any) -> Any:
        """By the way that all answers go. Raises ProviderError."""
        answer = parsed(self.operation.parse, self.query, payloads, self.context)
        # Single coins may have no market; an empty list is refused.
        assert self.operation.name != "markets" or answer.coins
        return answer


def shapes() -> list[Shape]:
    """One or more for each operation of each provider that parses; KeyError for one that has none
    here."""
    operations = [
        (spec, one)
        for spec in REGISTRY
        for one in spec.adapter.operations
        if one.query_type is not PassThroughQuery
    ]
    return [
        Shape(spec, operation, query, payloads)
        for spec, operation in operations
        for query, payloads in answers(spec)[operation.name]
    ]


#: Chains whose nodes answer as Ethereum's do; Avalanche's and BNB's do not.
LIKE_ETHEREUM = ("base_rpc", "arbitrum_rpc", "optimism_rpc", "polygon_rpc")


def distinct_shapes() -> list[Shape]:
    """One shape for each way to read an answer: without a vendor's second provider, publisher or
    key. Thousands of wrong answers are made of each."""
    first = {spec.adapter.vendor: spec.name for spec in reversed(REGISTRY)}
    return [
        shape
        for shape in shapes()
        if first[shape.spec.adapter.vendor] == shape.spec.name
        and shape.spec.name not in LIKE_ETHEREUM
    ]


def answers(spec: ProviderSpec) -> dict[str, list[tuple[Query[Any], tuple[Any, ...]]]]:
    """By operation: questions, and the payloads that answer them."""
    if spec.adapter.vendor == "rss":
        return {"feed": [(ReportsQuery(), (rss_feed(spec.name),))]}
    return ANSWERS[spec.adapter.vendor]


def rss_feed(provider: str) -> bytes:
    """The world's items, dirty in the usual ways, with an item that has all that we read."""
    full = (
        "<item><title><![CDATA[Crypto &amp; coins: “up” 5%]]></title>"
        "<link><![CDATA[https://coin.example/up?utm_source=rss]]></link>"
        '<guid isPermaLink="true">https://coin.example/up</guid>'
        "<dc:creator>A. Writer</dc:creator><category>Markets</category>"
        '<media:content url="https://img.example/1.png" width="528" medium="image"/>'
        '<enclosure url="https://img.example/2.png" length="9" type="image/png"/>'
        "<description><![CDATA[<p>Prices <b>rose</b> &amp; fell.</p>]]></description>"
        "<content:encoded><![CDATA[<p>All of it</p>]]></content:encoded>"
        "<pubDate>Sun, 22 Nov 2026 07:30:00 +0000</pubDate></item>"
    )
    body = feeds.feed(provider, BEGUN_S)
    return body.replace(b"<item>", full.encode() + b"<item>", 1)


def coins() -> list[dict[str, Any]]:
    told: dict[str, Any] = {"fully_diluted_valuation": 1, "max_supply": None, "roi": None}
    rows = data.coins(EPOCH)[:ROWS]
    return [{**row, **told, "ath": 9e9, "ath_date": "2021-11-10T14:24:11.849Z"} for row in rows]


def key_told() -> dict[str, Any]:
    return {
        "plan": "Analyst",
        "rate_limit_request_per_minute": 500,
        "monthly_call_credit": 500_000,
        "current_total_monthly_calls": 1_234,
        "api_key_monthly_call_credit": 400_000,
        "api_key_current_total_monthly_calls": 1_000,
    }


def candles(step_ms: int, count: int = 12) -> list[list[float]]:
    return data.ohlc(PRICE, step_ms, count, EPOCH_MS)


def klines(interval: Interval, start: int | None = None, limit: int = 12) -> list[list[Any]]:
    return data.klines(PRICE, interval.step_ms, EPOCH_MS, start, EPOCH_MS - 1, limit)


def coinbase_candles(step_ms: int, count: int, back: int = 0) -> list[list[Any]]:
    newest = EPOCH_MS // step_ms * step_ms - back * step_ms
    first = newest - (count - 1) * step_ms
    return venues.coinbase_candles(PRICE, step_ms, EPOCH_MS, first, newest)


def bitstamp_candles(step_ms: int, count: int, end_ms: int | None = None) -> dict[str, Any]:
    return venues.bitstamp_candles(PRICE, step_ms, EPOCH_MS, end_ms, count)


def okx_candles(step_ms: int, count: int) -> dict[str, Any]:
    rows = okx_kraken.okx_candles(PRICE, step_ms, EPOCH_MS, None, EPOCH_MS - 1, count)
    return okx_kraken.okx_reply(rows)


def kraken_candles(step_ms: int) -> dict[str, Any]:
    """Without most of the older rows: changing a copy of 721 rows takes long."""
    answer = okx_kraken.kraken_ohlc("BTC/USD", PRICE, step_ms, EPOCH_MS)
    rows = answer["result"]["BTC/USD"]
    return {**answer, "result": {**answer["result"], "BTC/USD": rows[-ROWS:]}}


def fng() -> dict[str, Any]:
    rows: list[dict[str, Any]] = [
        {
            "value": str(20 + back),
            "value_classification": "Fear",
            "timestamp": str(MIDNIGHT_S - back * 86_400),
        }
        for back in range(ROWS)
    ]
    rows[0]["time_until_update"] = "57600"
    return {"name": "Fear and Greed Index", "data": rows, "metadata": {"error": None}}


def other_index() -> dict[str, Any]:
    rows = [
        {
            "timestamp": MIDNIGHT_S - back * 86_400
            if back % 2
            else f"{MIDNIGHT_S - back * 86_400}",
            "value": 40,
            "value_classification": "Fear",
        }
        for back in range(ROWS)
    ]
    return {"data": rows, "status": {"error_code": "0", "error_message": None, "credit_count": 0}}


def fee_history(chain: str) -> list[dict[str, Any]]:
    calls = [{"id": 1, "method": "eth_chainId"}, {"id": 2, "method": "eth_feeHistory"}]
    further = [{"id": 3, "method": "eth_baseFee"}] if chain == "avalanche" else []
    return feeds.fee_history([*calls, *further], chain=chain)


BITCOIN = GasQuery(chain="bitcoin")
FROM_MS = EPOCH_MS - 8 * HOUR
ANSWERS: dict[str, dict[str, list[tuple[Query[Any], tuple[Any, ...]]]]] = {
    "coingecko": {
        "key": [(AccountQuery(), (key_told(),))],
        "markets": [(QuotesQuery(), (coins(),))],
        "coins": [
            (CoinsQuery(ids=("bitcoin", "ethereum")), (coins()[:2],)),
            (CoinsQuery(symbols=("BTC", "ETH", "NONE")), (coins()[:2],)),
        ],
        "coin_list": [(CoinListQuery(), (data.all_names(EPOCH)[:ROWS],))],
        "sparklines": [(SparklinesQuery(), (data.with_sparklines(coins()[:12]),))],
        "global": [(GlobalQuery(), (lists.coingecko_global(EPOCH_MS),))],
        "ohlc": [(NEWEST, (candles(4 * HOUR),))],
        "ohlc_native": [(DAILY, (candles(DAY),))],
        "ohlc_range": [(RANGE, (candles(HOUR, 5), candles(HOUR, 3)))],
    },
    "binance": {
        "ticker_24hr": [(QuotesQuery(), (data.tickers(EPOCH_MS),))],
        "klines": [
            (NEWEST, (klines(Interval.H4),)),
            (RANGE, ([data.kline(EPOCH_MS, PRICE, MINUTE)], klines(Interval.H1, FROM_MS))),
        ],
    },
    "coinbase": {
        "stats": [(QuotesQuery(), (venues.coinbase_stats(EPOCH_MS),))],
        "candles": [
            (HOURLY, (coinbase_candles(HOUR, 8), coinbase_candles(HOUR, 4, back=8), [], [])),
            (RANGE, (coinbase_candles(MINUTE, 5), coinbase_candles(HOUR, 8, back=1))),
        ],
    },
    "bitstamp": {
        "tickers": [(QuotesQuery(), (venues.bitstamp_tickers(EPOCH_MS),))],
        "ohlc": [
            (NEWEST, (bitstamp_candles(4 * HOUR, 12),)),
            (RANGE, (bitstamp_candles(MINUTE, 1), bitstamp_candles(HOUR, 12, EPOCH_MS - 1))),
        ],
    },
    "okx": {
        "tickers": [(QuotesQuery(), (okx_kraken.okx_reply(okx_kraken.okx_tickers(EPOCH_MS)),))],
        "candles": [
            (NEWEST, (okx_candles(4 * HOUR, 12), *[okx_kraken.okx_reply([])] * 3)),
            (RANGE, (okx_candles(MINUTE, 1), okx_candles(HOUR, 8))),
        ],
    },
    "kraken": {
        "ohlc": [(NEWEST, (kraken_candles(4 * HOUR),)), (RANGE, (kraken_candles(HOUR),))],
    },
    "cryptopanic": {"posts": [(ReportsQuery(), (feeds.posts(BEGUN_S, "secret"),))]},
    "newsapi": {"everything": [(ReportsQuery(), (feeds.articles(BEGUN_S),))]},
    "alternative_me": {"fng": [(SentimentQuery(), (fng(),))]},
    "etherscan": {
        "gasoracle": [(GasQuery(), (feeds.gas_oracle(),))],
        "gasoracle_polygon": [(GasQuery(chain="polygon"), (feeds.gas_oracle(chain_id="137"),))],
    },
    **{
        f"{chain.name}_rpc": {
            "fee_history": [(GasQuery(chain=chain.name), (fee_history(chain.name),))]
        }
        for chain in CHAINS.values()
        if chain.chain_id
    },
    "mempool_space": {"fees": [(BITCOIN, (feeds.bitcoin_fees(), feeds.FIRST_HEIGHT))]},
    "esplora": {"fee_estimates": [(BITCOIN, (feeds.fee_estimates(), feeds.FIRST_HEIGHT))]},
    "coinmarketcap": {
        "fear_greed": [(SentimentQuery(), (other_index(),))],
        "listings": [(QuotesQuery(), (lists.cmc_listings(EPOCH_MS, ROWS),))],
        "global": [(GlobalQuery(), (lists.cmc_global(EPOCH_MS),))],
    },
    "coinpaprika": {
        "tickers": [(QuotesQuery(), (lists.paprika_tickers(EPOCH_MS)[-ROWS:],))],
        "global": [(GlobalQuery(), (lists.paprika_global(EPOCH_MS),))],
    },
    "coinbase_rates": {"exchange_rates": [(RatesQuery(), (lists.coinbase_rates(),))]},
    "frankfurter": {"latest": [(RatesQuery(), (lists.frankfurter(EPOCH_MS),))]},
}
