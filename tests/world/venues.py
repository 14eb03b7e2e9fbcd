"""Coinbase and Bitstamp: the pairs of `data.tickers` with the same prices, in their own shapes."""

from typing import Any

from tests.world import data
from tests.world.messages import Reply, Request, json_reply

#: In euros, of a coin that has a book in dollars, too.
IN_EUROS = {"BTC": 46_000.0}


def prices(now_ms: int) -> dict[tuple[str, str], float]:
    """By base and quote: the live dollar pairs of `data.tickers`, as if the dollar were USDT."""
    found: dict[tuple[str, str], float] = {}
    live = [row for row in data.tickers(now_ms) if row["count"] and row["closeTime"] == now_ms]
    for quote in ("FDUSD", "USDT"):
        pairs = (row for row in live if row["symbol"].endswith(quote))
        found |= {
            (row["symbol"].removesuffix(quote), "USD"): float(row["lastPrice"]) for row in pairs
        }
    return found | {(base, "EUR"): price for base, price in IN_EUROS.items()}


def coinbase_stats(now_ms: int) -> dict[str, Any]:
    """Some products have no statistics or no trades, and one is against another coin."""
    none = dict.fromkeys(("open", "high", "low", "last", "volume", "rfq_volume"), "0")
    return {
        **{f"{base}-{quote}": _stats(price) for (base, quote), price in prices(now_ms).items()},
        "ETH-BTC": _stats(0.05),
        "NEW-USD": {},
        "HALT-USD": {"stats_30day": {}, "stats_24hour": none},
    }


def _stats(price: float) -> dict[str, Any]:
    factors = {"open": 0.98, "high": 1.03, "low": 0.96, "last": 1.0}
    day = {name: f"{price * factor:.8f}" for name, factor in factors.items()}
    volumes = {"volume": "1000", "rfq_volume": "1"}
    return {"stats_30day": volumes, "stats_24hour": day | volumes}


def coinbase_candles(
    price: float, step_ms: int, now_ms: int, start_ms: int | None, end_ms: int | None
) -> list[list[Any]]:
    """At most 300, newest first."""
    rows = data.klines(price, step_ms, now_ms, start_ms, end_ms, 300)
    return [
        [row[0] // 1000, float(row[3]), float(row[2]), float(row[1]), float(row[4]), 12.5]
        for row in reversed(rows)
    ]


def coinbase(now_ms: int, request: Request) -> Reply:
    if "user-agent" not in request.headers:
        return json_reply({"message": "User-Agent header is required."}, 400)
    if request.path == "/products/stats":
        return json_reply(coinbase_stats(now_ms))
    product = request.path.removeprefix("/products/").removesuffix("/candles")
    base, _, quote = product.rpartition("-")
    price = prices(now_ms).get((base, quote))
    if price is None:
        return json_reply({"message": "NotFound"}, 404)
    step_s = int(request.query["granularity"])
    if step_s not in (60, 300, 900, 3_600, 21_600, 86_400):
        return json_reply({"message": "Unsupported granularity"}, 400)
    start, end = (request.query.get(name) for name in ("start", "end"))
    if start and end and int(end) - int(start) > 300 * step_s:
        text = "Count of aggregations requested exceeds 300"
        return json_reply(
            {"message": f"granularity too small for the requested range. {text}"}, 400
        )
    bounds = (int(start) * 1000, int(end) * 1000) if start and end else (None, None)
    return json_reply(coinbase_candles(price, step_s * 1000, now_ms, *bounds))


def bitstamp_tickers(now_ms: int) -> list[dict[str, Any]]:
    """A perpetual and a closed market are among them."""
    rows = [
        _market(f"{base}/{quote}", price, now_ms) for (base, quote), price in prices(now_ms).items()
    ]
    perpetual = _market("BTC/USD-PERP", 51_500.0, now_ms) | {"market_type": "PERPETUAL"}
    return [*rows, perpetual, _market("OLD/USD", 5.0, now_ms - 60 * data.DAY)]


def _market(name: str, price: float, now_ms: int) -> dict[str, Any]:
    factors = {
        "open": 0.99,
        "high": 1.03,
        "low": 0.96,
        "last": 1.0,
        "vwap": 1.0,
        "bid": 1.0,
        "ask": 1.0,
        "open_24": 0.98,
    }
    return {
        "timestamp": str(now_ms // 1000),
        **{field: f"{price * factor:.8f}" for field, factor in factors.items()},
        "volume": "1000.00000000",
        "side": "0",
        "percent_change_24": "2.04",
        "market_type": "SPOT",
        "pair": name,
        "market": name,
    }


def bitstamp_candles(
    price: float, step_ms: int, now_ms: int, end_ms: int | None, limit: int
) -> dict[str, Any]:
    """The last `limit` up to the end."""
    rows = data.klines(price, step_ms, now_ms, None, end_ms, limit)
    names = ("open", "high", "low", "close", "volume")
    ohlc = [
        {"timestamp": str(row[0] // 1000), **dict(zip(names, row[1:6], strict=True))}
        for row in rows
    ]
    return {"data": {"pair": "BTC/USD", "ohlc": ohlc}}


def bitstamp(now_ms: int, request: Request) -> Reply:
    if request.path == "/api/v2/ticker/":
        return json_reply(bitstamp_tickers(now_ms))
    pair = request.path.removeprefix("/api/v2/ohlc/").rstrip("/")
    by_pair = {(base + quote).lower(): one for (base, quote), one in prices(now_ms).items()}
    if pair not in by_pair:
        return json_reply({"code": "404.001", "reason": "Not found", "status": "error"}, 404)
    step_ms, limit = int(request.query["step"]) * 1000, int(request.query["limit"])
    end = request.query.get("end")
    end_ms = int(end) * 1000 if end else None
    return json_reply(bitstamp_candles(by_pair[pair], step_ms, now_ms, end_ms, limit))
