"""Each vendor's answers to good questions, and its own words for bad ones."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from backend.clock import Clock, SystemClock
from tests.world import data, feeds, lists, okx_kraken, venues
from tests.world.messages import Reply, Request, json_reply


class Facts:
    """What is true of the providers, and what they noticed of their callers."""

    def __init__(self, clock: Clock | None = None) -> None:
        """`clock` is the world's time: what it answers is of then, and its limits go by it."""
        self.clock = clock or SystemClock()
        self.begun = self.now_s
        self.keys: defaultdict[str, list[str]] = defaultdict(list)
        self.good_keys = {"coingecko_pro": "CG-worldprokey0000000000001"}
        #: Providers that take no key any more.
        self.revoked: set[str] = set()
        #: What `/key` tells of the good Pro key.
        self.account = {
            "rate_limit_request_per_minute": 500,
            "monthly_call_credit": 500_000,
            "current_total_monthly_calls": 1_234,
        }
        self.time_until_update = 50_000
        #: Where a redirect leads to.
        self.elsewhere = "http://192.0.2.1/elsewhere"
        self.not_modified: Counter[str] = Counter()
        #: By how many blocks a node is behind.
        self.lags: Counter[str] = Counter()

    @property
    def now_s(self) -> float:
        return self.clock.now().timestamp()

    @property
    def head(self) -> int:
        """Ethereum's newest block."""
        return self.head_of("ethereum")

    def head_of(self, chain: str) -> int:
        """The newest block of an EVM chain."""
        return feeds.FIRST_HEAD + int((self.now_s - self.begun) / feeds.EVM_CHAINS[chain][1])

    @property
    def height(self) -> int:
        """Bitcoin's newest block."""
        return feeds.FIRST_HEIGHT + int((self.now_s - self.begun) / feeds.BITCOIN_BLOCK_S)

    @property
    def now_ms(self) -> int:
        return int(self.now_s * 1000)


def coingecko(facts: Facts, name: str, request: Request) -> Reply:
    header = "x-cg-pro-api-key" if name == "coingecko_pro" else "x-cg-demo-api-key"
    key = request.headers.get(header)
    facts.keys[name].append(key or "")
    is_wanted = name == "coingecko_pro" or key
    if is_wanted and (key != facts.good_keys.get(name) or name in facts.revoked):
        return coingecko_error(401, 10002)
    if request.path == "/api/v3/coins/markets":
        return json_reply(_markets(request.query, data.utc(facts.now_ms - 20_000)))
    if request.path == "/api/v3/coins/list":
        return json_reply(data.all_names(data.utc(facts.now_ms)))
    if request.path == "/api/v3/global":
        return json_reply(lists.coingecko_global(facts.now_ms))
    if request.path == "/api/v3/key":
        return json_reply(facts.account) if name == "coingecko_pro" else coingecko_error(401, 10005)
    return _coingecko_candles(facts, name, request)


def _markets(query: Mapping[str, str], now: datetime) -> list[dict[str, Any]]:
    if "ids" in query or "symbols" in query:
        return data.single_coins(dict(query), now)
    rows = data.coins(now)
    return data.with_sparklines(rows) if query.get("sparkline") == "true" else rows


def _coingecko_candles(facts: Facts, name: str, request: Request) -> Reply:
    known = {row[0]: row[3] for row in data.FAMOUS}
    coin = request.path.removeprefix("/api/v3/coins/").removesuffix("/ohlc")
    if not request.path.endswith("/ohlc") or coin not in known:
        return json_reply({"error": "coin not found"}, 404)
    if "interval" in request.query and name != "coingecko_pro":
        return coingecko_error(401, 10005)
    steps = {"1": (data.HOUR // 2, 48), "30": (4 * data.HOUR, 180)}
    native = {"hourly": (data.HOUR, 2_160), "daily": (data.DAY, 180)}
    step, count = native.get(request.query.get("interval", "")) or steps[request.query["days"]]
    return json_reply(data.ohlc(known[coin], step, count, facts.now_ms))


def coingecko_error(status: int, code: int) -> Reply:
    body = {"timestamp": "2026-11-22T08:00:00.000+00:00", "error_code": code, "error_message": "-"}
    return json_reply({"status": body}, status)


def binance(facts: Facts, _name: str, request: Request) -> Reply:
    now_ms = facts.now_ms
    rows = data.tickers(now_ms)
    if request.path == "/api/v3/ticker/24hr":
        return json_reply(rows)
    query = request.query
    prices = {row["symbol"]: float(row["lastPrice"]) for row in rows}
    closes = {row["symbol"]: row["closeTime"] for row in rows}
    symbol, interval = query.get("symbol", ""), query.get("interval", "")
    if symbol not in prices:
        return json_reply({"code": -1121, "msg": "Invalid symbol."}, 400)
    if interval not in data.STEPS:
        return json_reply({"code": -1120, "msg": "Invalid interval."}, 400)
    start, end = (int(query[name]) if name in query else None for name in ("startTime", "endTime"))
    newest = now_ms if now_ms - closes[symbol] < data.HOUR else closes[symbol]
    limit = min(int(query.get("limit", "500")), 1_000)
    return json_reply(data.klines(prices[symbol], data.STEPS[interval], newest, start, end, limit))


def rss(facts: Facts, name: str, request: Request) -> Reply:
    if request.path == "/feed":  # WordPress has it with a final slash
        return Reply(301, headers={"Location": "/feed/"})
    etag = f'"{name}"'
    if request.headers.get("if-none-match") == etag:
        facts.not_modified[name] += 1
        return Reply(304, headers={"ETag": etag})
    return Reply(200, feeds.feed(name, facts.begun), {"ETag": etag}, "application/rss+xml")


def cryptopanic(facts: Facts, name: str, request: Request) -> Reply:
    if request.path != "/api/growth/v2/posts/":
        return Reply(404, b"<html>Unknown</html>", content_type="text/html")
    token = request.query["auth_token"]
    if token.startswith("bad") or name in facts.revoked:
        return json_reply({"status": "api_error", "info": "Token not found"}, 400)
    return json_reply(feeds.posts(facts.begun, token))


def newsapi(facts: Facts, name: str, request: Request) -> Reply:
    if request.headers.get("x-api-key", "bad").startswith("bad") or name in facts.revoked:
        return json_reply({"status": "error", "code": "apiKeyInvalid", "message": "-"}, 401)
    return json_reply(feeds.articles(facts.begun))


def alternative_me(facts: Facts, _name: str, request: Request) -> Reply:
    count = int(request.query.get("limit", 1))
    return json_reply(feeds.fear_and_greed(count, facts.time_until_update, facts.now_s))


def coinmarketcap(facts: Facts, name: str, request: Request) -> Reply:
    key = request.headers.get("x-cmc_pro_api_key")
    facts.keys[name].append(key or "")
    path = request.path.removeprefix("/public-api")
    if (key is None) is (path == request.path):
        return json_reply({"status": lists.cmc_status(1002)}, 401)
    if key is not None and (key.startswith("bad") or name in facts.revoked):
        return json_reply({"status": lists.cmc_status(1001)}, 401)
    if path == "/v3/cryptocurrency/listings/latest":
        return json_reply(lists.cmc_listings(facts.now_ms))
    if path == "/v1/global-metrics/quotes/latest":
        return json_reply(lists.cmc_global(facts.now_ms))
    return json_reply(feeds.other_index(int(request.query.get("limit", 1)), facts.now_s))


def coinpaprika(facts: Facts, _name: str, request: Request) -> Reply:
    if request.path == "/v1/tickers":
        return json_reply(lists.paprika_tickers(facts.now_ms))
    if request.path == "/v1/global":
        return json_reply(lists.paprika_global(facts.now_ms))
    return json_reply({"error": "id not found"}, 404)


def coinbase_rates(_facts: Facts, _name: str, request: Request) -> Reply:
    if request.path != "/v2/exchange-rates" or request.query != {"currency": "USD"}:
        return json_reply({"errors": [{"id": "not_found", "message": "Not found"}]}, 404)
    return json_reply(lists.coinbase_rates())


def frankfurter(facts: Facts, _name: str, request: Request) -> Reply:
    if request.path != "/v1/latest" or request.query != {"base": "USD"}:
        return json_reply({"message": "not found"}, 404)
    return json_reply(lists.frankfurter(facts.now_ms))


def etherscan(facts: Facts, name: str, request: Request) -> Reply:
    key = request.query.get("apikey", "")
    if key.startswith("bad") or name in facts.revoked:
        text = f"Invalid API Key (#err2)|{key}"
        return json_reply({"status": "0", "message": "NOTOK", "result": text})
    chain_id = request.query["chainid"]
    if chain_id not in ("1", "137"):
        text = "Free API access is not supported for this chain. Please upgrade your api plan."
        return json_reply({"status": "0", "message": "NOTOK", "result": text})
    return json_reply(feeds.gas_oracle(facts.head, chain_id))


def evm_rpc(facts: Facts, name: str, request: Request) -> Reply:
    chain = name.partition("_rpc")[0]
    head = facts.head_of(chain) - facts.lags[name]
    return json_reply(feeds.fee_history(json.loads(request.body), head, chain))


def mempool_space(facts: Facts, name: str, request: Request) -> Reply:
    height = facts.height - facts.lags[name]
    if request.path == "/api/v1/fees/precise":
        return json_reply(feeds.bitcoin_fees())
    return json_reply(height) if request.path == "/api/blocks/tip/height" else json_reply({}, 404)


def esplora(facts: Facts, name: str, request: Request) -> Reply:
    height = facts.height - facts.lags[name]
    is_fees = request.path == "/api/fee-estimates"
    return json_reply(feeds.fee_estimates() if is_fees else height)


VENDORS: dict[str, Callable[[Facts, str, Request], Reply]] = {
    "coingecko_pro": coingecko,
    "coingecko_free": coingecko,
    "binance": binance,
    "coinbase": lambda facts, _name, request: venues.coinbase(facts.now_ms, request),
    "bitstamp": lambda facts, _name, request: venues.bitstamp(facts.now_ms, request),
    "okx": lambda facts, _name, request: okx_kraken.okx(facts.now_ms, request),
    "kraken": lambda facts, _name, request: okx_kraken.kraken(facts.now_ms, request),
    "cryptopanic": cryptopanic,
    "newsapi": newsapi,
    **dict.fromkeys(feeds.PUBLISHERS, rss),
    "alternative_me": alternative_me,
    "coinmarketcap": coinmarketcap,
    "coinpaprika": coinpaprika,
    "etherscan": etherscan,
    "etherscan_backup": etherscan,
    **{f"{chain}_rpc": evm_rpc for chain in feeds.EVM_CHAINS},
    "mempool_space": mempool_space,
    "esplora": esplora,
    "coinbase_rates": coinbase_rates,
    "frankfurter": frankfurter,
}
