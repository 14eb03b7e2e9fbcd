"""Each vendor's answers to good questions, and its own words for bad ones."""

import json
from collections.abc import Callable

from tests.world import feeds, lists, okx_kraken, venues
from tests.world.binance import binance
from tests.world.coingecko import coingecko
from tests.world.facts import Facts
from tests.world.messages import Reply, Request, json_reply


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
