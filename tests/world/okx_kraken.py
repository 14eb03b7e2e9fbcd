"""OKX and Kraken: the dollar pairs of `data.tickers` with the same prices, in their own shapes."""

from typing import Any

from tests.world import data, venues
from tests.world.messages import Reply, Request, json_reply

#: `bar` of OKX and minutes of Kraken, for the intervals of the world.
OKX_BARS = {"1m": "1m", "5m": "5m", "1H": "1h", "4H": "4h", "1Dutc": "1d"}
KRAKEN_MINUTES = {"1": "1m", "5": "5m", "60": "1h", "240": "4h", "1440": "1d"}
OKX_PAGE, KRAKEN_ROWS = 300, 721


def prices(now_ms: int) -> dict[str, float]:
    """By ticker: the coins with a live pair in dollars."""
    return {base: price for (base, quote), price in venues.prices(now_ms).items() if quote == "USD"}


def okx_tickers(now_ms: int) -> list[dict[str, Any]]:
    """Shares, a suspended pair, one that is not open yet, and pairs of other quotes are in it."""
    unopened = dict.fromkeys(("last", "open24h", "high24h", "low24h", "vol24h", "volCcy24h"), "")
    return [
        *(okx_ticker(f"{base}-USDT", price, now_ms) for base, price in prices(now_ms).items()),
        okx_ticker("ETH-BTC", 0.05, now_ms),
        okx_ticker("AAPL-USDT", 260.0, now_ms),
        okx_ticker("OLD-USDT", 5.0, now_ms - 60 * data.DAY),
        okx_ticker("NEW-USDT", 1.0, now_ms) | unopened,
    ]


def okx_ticker(symbol: str, price: float, now_ms: int) -> dict[str, Any]:
    factors = {"last": 1.0, "open24h": 0.98, "high24h": 1.03, "low24h": 0.96}
    return {
        "instType": "SPOT",
        "instId": symbol,
        **{name: f"{price * factor:.8f}" for name, factor in factors.items()},
        "lastSz": "0.1",
        "vol24h": "1000",
        "volCcy24h": f"{price * 1000:.8f}",
        "ts": str(now_ms),
    }


def okx_candles(
    price: float,
    step_ms: int,
    now_ms: int,
    start_ms: int | None = None,
    end_ms: int | None = None,
    limit: int = OKX_PAGE,
) -> list[list[str]]:
    """At most 300, newest first; `start_ms` and `end_ms` are inclusive."""
    rows = data.klines(price, step_ms, now_ms, start_ms, end_ms, 4_000)[-limit:]
    return [
        [str(row[0]), *row[1:6], row[7], row[7], "1" if row[0] + step_ms <= now_ms else "0"]
        for row in reversed(rows)
    ]


def okx_reply(rows: Any) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": rows}


def okx(now_ms: int, request: Request) -> Reply:
    query = request.query
    if request.path == "/api/v5/market/tickers":
        return json_reply(okx_reply(okx_tickers(now_ms)))
    if request.path != "/api/v5/market/history-candles":
        return json_reply({"code": 404, "data": {}, "msg": "Not Found"}, 404)
    base, _, quote = query["instId"].partition("-")
    price = prices(now_ms).get(base)
    if price is None or quote != "USDT":
        return json_reply({"code": "51001", "data": [], "msg": "Instrument ID doesn't exist."})
    if query["bar"] not in OKX_BARS:
        return json_reply({"code": "51000", "data": [], "msg": "Parameter bar error"}, 400)
    step_ms = data.STEPS[OKX_BARS[query["bar"]]]
    start, end = query.get("before"), query.get("after")  # rows strictly between them
    start_ms, end_ms = int(start) + 1 if start else None, int(end) - 1 if end else None
    limit = min(int(query.get("limit", "100")), OKX_PAGE)
    rows = okx_candles(price, step_ms, now_ms, start_ms, end_ms, limit)
    return json_reply(okx_reply(rows))


def kraken_ohlc(name: str, price: float, step_ms: int, now_ms: int) -> dict[str, Any]:
    """The newest 720 closed candles and the forming one; one in twenty had no trades."""
    rows = data.klines(price, step_ms, now_ms, None, None, KRAKEN_ROWS)
    told = [_kraken_row(row, price, is_quiet=at % 20 == 7) for at, row in enumerate(rows)]
    return {"error": [], "result": {name: told, "last": told[-2][0]}}


def _kraken_row(row: list[Any], price: float, *, is_quiet: bool) -> list[Any]:
    if is_quiet:
        return [row[0] // 1000, *[f"{price:.1f}"] * 4, "0.0", "0.00000000", 0]
    return [row[0] // 1000, *row[1:5], f"{price:.8f}", row[5], row[8]]


def kraken(now_ms: int, request: Request) -> Reply:
    if request.path != "/0/public/OHLC":
        return json_reply({"error": ["EGeneral:Unknown method"]})
    pair, minutes = request.query["pair"], request.query["interval"]
    base, _, quote = pair.partition("/")
    price = venues.IN_EUROS.get(base) if quote == "EUR" else prices(now_ms).get(base)
    if price is None or quote not in ("USD", "EUR"):
        return json_reply({"error": ["EQuery:Unknown asset pair"]})
    if minutes not in KRAKEN_MINUTES:
        return json_reply({"error": ["EGeneral:Invalid arguments"]})
    return json_reply(kraken_ohlc(pair, price, data.STEPS[KRAKEN_MINUTES[minutes]], now_ms))
