"""CoinGecko: which path is answered by what, and the vendor's words for bad questions."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tests.world import coingecko_coins as coins
from tests.world import coingecko_series as series
from tests.world import data, lists
from tests.world.facts import Facts
from tests.world.messages import Reply, Request, json_reply

#: Paths of paid plans only.
PAID = ("key", "coins/list/new", "coins/top_gainers_losers", "news", "insights")
MESSAGES = {
    10002: "API Key Missing. Please make sure you're using the right authentication method.",
    10005: "This request is limited to PRO API subscribers.",
    10012: "Your request exceeds the allowed time range.",
}


class Refused(Exception):
    """The answer to a question that the vendor refuses."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def coingecko(facts: Facts, name: str, request: Request) -> Reply:
    is_pro = name == "coingecko_pro"
    header = "x-cg-pro-api-key" if is_pro else "x-cg-demo-api-key"
    key = request.headers.get(header)
    facts.keys[name].append(key or "")
    if (is_pro or key) and (key != facts.good_keys.get(name) or name in facts.revoked):
        return coingecko_error(401, 10002)
    path = request.path.removeprefix("/api/v3/").removesuffix("/")
    if path in PAID or path.startswith("insights/"):
        is_account = is_pro and path == "key"
        return json_reply(facts.account) if is_account else coingecko_error(401, 10005)
    try:
        return _answered(facts, is_pro, path, request.query)
    except Refused as refused:
        return refused.reply


def coingecko_error(status: int, code: int) -> Reply:
    return json_reply({"status": _status(code)}, status)


def _status(code: int) -> dict[str, Any]:
    stamp = "2026-11-22T08:00:00.000+00:00"
    return {"timestamp": stamp, "error_code": code, "error_message": MESSAGES[code]}


def _answered(facts: Facts, is_pro: bool, path: str, query: dict[str, str]) -> Reply:
    now_ms = facts.now_ms
    now = data.utc(now_ms - 20_000)
    plain: dict[str, Callable[[], Any]] = {
        "ping": lambda: {"gecko_says": "(V3) To the Moon!"},
        "coins/list": lambda: [
            *data.all_names(data.utc(now_ms)),
            *data.further_names(facts.further_coins),
        ],
        "global": lambda: lists.coingecko_global(now_ms),
        "simple/supported_vs_currencies": lambda: list(coins.UNITS),
        "exchange_rates": coins.exchange_rates,
        "search": lambda: coins.search(query.get("query", ""), now),
        "search/trending": lambda: coins.trending(now),
        "asset_platforms": coins.platforms,
        "coins/categories/list": coins.categories,
        "coins/categories": coins.categories,
        "exchanges": coins.exchanges,
        "exchanges/list": coins.exchanges,
    }
    if path in plain:
        return json_reply(plain[path]())
    return _of_parameters(path, query, now) or _of_some_coin(facts, is_pro, path, query)


def _of_parameters(path: str, query: dict[str, str], now: datetime) -> Reply | None:
    if path == "coins/markets":
        _need_currency(query)
        return json_reply(coins.markets(query, now))
    if path == "simple/price":
        _need(query, "vs_currencies")
        return json_reply(coins.prices(query, now))
    if path.startswith("simple/token_price/"):
        _need(query, "contract_addresses")
        _need(query, "vs_currencies")
        return json_reply(coins.token_prices(query, now))
    return None


def _of_some_coin(facts: Facts, is_pro: bool, path: str, query: dict[str, str]) -> Reply:
    if found := re.fullmatch(r"coins/[^/]+/contract/([^/]+)(?:/(.+))?", path):
        coin = coins.coin_of_contract(found[1])
        return _of_coin(facts, is_pro, coin, found[2] or "", query)
    if found := re.fullmatch(r"coins/([^/]+)(?:/(.+))?", path):
        return _of_coin(facts, is_pro, found[1], found[2] or "", query)
    return json_reply({"error": "not found"}, 404)


def _of_coin(facts: Facts, is_pro: bool, coin: str, part: str, query: dict[str, str]) -> Reply:
    rows = {row["id"]: row for row in coins.every(data.utc(facts.now_ms - 20_000))}
    if coin not in rows:
        return json_reply({"error": "coin not found"}, 404)
    if part == "ohlc/range" and not is_pro:
        return coingecko_error(401, 10005)
    row, now_ms = rows[coin], facts.now_ms
    parts: dict[str, Callable[[], Any]] = {
        "": lambda: coins.whole(row, query),
        "tickers": lambda: {"name": row["name"], "tickers": []},
        "history": lambda: _history(row, query),
        "ohlc": lambda: _ohlc(row, is_pro, query, now_ms),
        "market_chart": lambda: _chart(row, is_pro, query, now_ms),
        "market_chart/range": lambda: _chart_range(row, query, now_ms),
    }
    return json_reply(parts[part]()) if part in parts else json_reply({"error": "not found"}, 404)


def _history(row: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
    if not re.fullmatch(r"\d\d-\d\d-\d{4}", query.get("date", "")):
        raise Refused(json_reply({"error": "invalid date"}, 400))
    return coins.on_a_day(row)


def _chart(row: dict[str, Any], is_pro: bool, query: dict[str, str], now_ms: int) -> Any:
    _need_currency(query)
    return series.chart(row, query, _days(query, is_pro), now_ms)


def _chart_range(row: dict[str, Any], query: dict[str, str], now_ms: int) -> Any:
    _need_currency(query)
    _need(query, "from")
    _need(query, "to")
    return series.chart_range(row, query, now_ms)


def _ohlc(row: dict[str, Any], is_pro: bool, query: dict[str, str], now_ms: int) -> Any:
    if "interval" not in query:
        _need_currency(query)
        return series.ohlc(row, query, _days(query, is_pro), now_ms)
    if not is_pro:
        raise Refused(coingecko_error(401, 10005))
    step, count = {"hourly": (data.HOUR, 2_160), "daily": (data.DAY, 180)}[query["interval"]]
    return data.ohlc(row["current_price"], step, count, now_ms)


def _days(query: dict[str, str], is_pro: bool) -> int:
    _need(query, "days")
    days = 5_000 if query["days"] == "max" else int(query["days"])
    if days > 365 and not is_pro:
        raise Refused(json_reply({"error": {"status": _status(10012)}}, 401))
    return days


def _need(query: dict[str, str], name: str) -> None:
    if not query.get(name):
        raise Refused(json_reply({"error": f"Missing parameter {name}"}, 422))


def _need_currency(query: dict[str, str]) -> None:
    _need(query, "vs_currency")
    if query["vs_currency"].lower() not in coins.UNITS:
        raise Refused(json_reply({"error": "invalid vs_currency"}, 400))
