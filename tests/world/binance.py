"""Binance's public market data: what each path answers, weighs and refuses."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.world import data
from tests.world.facts import Facts
from tests.world.messages import Reply, Request, json_reply

PREFIX = "/api/v3/"
LEGAL = re.compile(r"[A-Z0-9_.-]{1,20}")
QUOTES = ("FDUSD", "USDT", "BTC")

BOOK_FIELDS = ("symbol", "bidPrice", "bidQty", "askPrice", "askQty")
#: Weight by path; those of tickers and books depend on what is asked for.
WEIGHTS = {"ping": 1, "time": 1, "exchangeInfo": 20, "aggTrades": 4}
WEIGHTS |= {"trades": 25, "historicalTrades": 25}
#: Tickers of a window that the client chooses: of each symbol so much.
OF_A_WINDOW = ("ticker", "ticker/tradingDay")
WINDOW_WEIGHT, MOST_WINDOW_WEIGHT = 4, 200
WINDOW_FIELDS = (
    *("symbol", "priceChange", "priceChangePercent", "weightedAvgPrice", "openPrice", "highPrice"),
    *("lowPrice", "lastPrice", "volume", "quoteVolume", "openTime", "closeTime"),
    *("firstId", "lastId", "count"),
)
DEPTHS = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))
TRADES = ("trades", "historicalTrades", "aggTrades")
OF_ONE = ("klines", "uiKlines", "depth", "avgPrice", *TRADES)


class Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.reply = json_reply({"code": code, "msg": message}, 400)


def weight(request: Request) -> int:
    """What a question takes of the limit of an address."""
    path, query = request.path.removeprefix(PREFIX), request.query
    count = 1 if "symbol" in query else query.get("symbols", "," * 999).count(",") + 1
    if path in OF_A_WINDOW:
        return min(WINDOW_WEIGHT * count, MOST_WINDOW_WEIGHT)
    if path == "ticker/24hr":
        return 2 if count <= 20 else 40 if count <= 100 else 80
    if path in ("ticker/price", "ticker/bookTicker"):
        return 2 if "symbol" in query else 4
    if path == "depth":
        limit = int(query.get("limit", 100))
        return next((cost for most, cost in DEPTHS if limit <= most), 250)
    return WEIGHTS.get(path, 2)


def binance(facts: Facts, name: str, request: Request) -> Reply:
    path, query = request.path.removeprefix(PREFIX), request.query
    if not request.path.startswith(PREFIX) or request.path in facts.lacking[name]:
        return Reply(404, b"<html>Not Found</html>", content_type="text/html")
    try:
        return _answered(facts.now_ms, path, query)
    except Refused as refused:
        return refused.reply


def _answered(now_ms: int, path: str, query: Mapping[str, str]) -> Reply:
    if path in ("ping", "time"):
        return json_reply({} if path == "ping" else {"serverTime": now_ms})
    rows = _asked(path, data.tickers(now_ms), query)
    if path == "exchangeInfo":
        return json_reply(exchange_info(rows, now_ms))
    tickers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "ticker/24hr": lambda row: row,
        "ticker/price": lambda row: {"symbol": row["symbol"], "price": row["lastPrice"]},
        "ticker/bookTicker": lambda row: {name: row[name] for name in BOOK_FIELDS},
    }
    if path in OF_A_WINDOW:
        if not query.keys() & {"symbol", "symbols"}:
            raise _missing("symbol")
        tickers[path] = lambda row: {name: row[name] for name in WINDOW_FIELDS}
    if path in tickers:
        found = [tickers[path](row) for row in rows]
        return json_reply(found[0] if "symbol" in query else found)
    if path not in OF_ONE:
        return Reply(404, b"<html>Not Found</html>", content_type="text/html")
    return json_reply(_of_one(path, rows[0], query, now_ms))


def _asked(path: str, rows: list[dict[str, Any]], query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of `symbol` or `symbols`, else all. Raises Refused."""
    if "symbol" in query and "symbols" in query:
        raise Refused(-1128, "Combination of optional parameters invalid.")
    if path in OF_ONE and not query.get("symbol"):
        raise _missing("symbol")
    if "symbol" in query:
        names = [query["symbol"]]
    elif "symbols" in query:
        try:
            names = json.loads(query["symbols"])
        except ValueError:
            raise Refused(-1100, "Illegal characters found in parameter 'symbols'.") from None
    else:
        return rows
    known = {row["symbol"]: row for row in rows}
    if not all(LEGAL.fullmatch(name) for name in names):
        legal = "legal range is '^[A-Z0-9-_.]{1,20}$'."
        raise Refused(-1100, f"Illegal characters found in parameter 'symbol'; {legal}")
    if not set(names) <= known.keys():
        raise Refused(-1121, "Invalid symbol.")
    return [known[name] for name in names]


def _missing(name: str) -> Refused:
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return Refused(-1102, text)


def _of_one(path: str, row: dict[str, Any], query: Mapping[str, str], now_ms: int) -> Any:
    if path in ("klines", "uiKlines"):
        return _klines(row, query, now_ms)
    if path == "avgPrice":
        price = row["weightedAvgPrice"]
        return {"mins": 5, "price": price, "closeTime": row["closeTime"]}
    if path == "depth":
        sides = (("bids", "bid"), ("asks", "ask"))
        levels = {name: [[row[f"{side}Price"], row[f"{side}Qty"]]] for name, side in sides}
        return {"lastUpdateId": row["lastId"], **levels}
    count = min(int(query.get("limit", 500)), 3)
    trades = range(row["lastId"] - count + 1, row["lastId"] + 1)
    kind = aggregate if path == "aggTrades" else trade
    return [kind(number, row) for number in trades]


def trade(number: int, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": number,
        "price": row["lastPrice"],
        "qty": row["lastQty"],
        "quoteQty": f"{float(row['lastPrice']) * float(row['lastQty']):.8f}",
        "time": row["closeTime"],
        "isBuyerMaker": True,
        "isBestMatch": True,
    }


def aggregate(number: int, row: dict[str, Any]) -> dict[str, Any]:
    amounts = {"a": number, "p": row["lastPrice"], "q": row["lastQty"], "f": number, "l": number}
    return {**amounts, "T": row["closeTime"], "m": True, "M": True}


def _klines(row: dict[str, Any], query: Mapping[str, str], now_ms: int) -> list[list[Any]]:
    interval = query.get("interval", "")
    if not interval:
        raise _missing("interval")
    if interval not in data.STEPS:
        raise Refused(-1120, "Invalid interval.")
    start, end = (int(query[name]) if name in query else None for name in ("startTime", "endTime"))
    close_ms = row["closeTime"]
    newest = now_ms if now_ms - close_ms < data.HOUR else close_ms
    limit = min(int(query.get("limit", "500")), 1_000)
    price = float(row["lastPrice"])
    return data.klines(price, data.STEPS[interval], newest, start, end, limit)


def exchange_info(rows: list[dict[str, Any]], now_ms: int) -> dict[str, Any]:
    limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [{**limit, "limit": 6_000}],
        "exchangeFilters": [],
        "symbols": [symbol_info(row, now_ms) for row in rows],
    }


def symbol_info(row: dict[str, Any], now_ms: int) -> dict[str, Any]:
    symbol = row["symbol"]
    quote = next(one for one in QUOTES if symbol.endswith(one))
    is_trading = now_ms - row["closeTime"] < data.HOUR
    tick, step = "0.00001000", "0.00010000"
    return {
        "symbol": symbol,
        "status": "TRADING" if is_trading else "BREAK",
        "baseAsset": symbol.removesuffix(quote),
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "922327.00000000"}
            | {"tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "100000.00000000"}
            | {"stepSize": step},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True}
            | {"maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }
