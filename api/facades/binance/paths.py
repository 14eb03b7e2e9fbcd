"""The paths of Binance's API that are passed through: parameters, weights, and how old an answer
may be.

Weights and parameters: github binance/binance-spot-api-docs, rest-api.md (2026-07).
"""

from collections.abc import Callable
from dataclasses import replace

import orjson

from api.facades.binance.dialect import MISSING, Refused
from api.facades.binance.parameters import (
    END,
    FROM_ID,
    INTERVAL,
    KIND,
    ONE_SYMBOL,
    PERMISSION_SETS,
    PERMISSIONS,
    START,
    STATUS,
    SYMBOL,
    SYMBOLS,
    WINDOW,
    ZONE,
    limit,
)
from api.facades.vendor_paths import Parameter, Parameters, Refine, VendorPath
from backend.models.pass_through import PassThroughQuery
from backend.providers.adapter import MIB

ROOT = "/api/v3"
#: Weight of a book by its number of levels.
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50))
MOST_DEPTH_WEIGHT = 250
USUAL_DEPTH = 100
#: Weight of the 24 h tickers by the number of symbols.
DAY_WEIGHTS = ((20, 2), (100, 40))
MOST_DAY_WEIGHT = 80
#: Weight of each symbol of the other tickers, and the most that one question weighs.
WINDOW_WEIGHT, MOST_WINDOW_WEIGHT = 4, 200
#: Weight of a price of one symbol, and of several.
PRICE_WEIGHT, PRICES_WEIGHT = 2, 4
#: All symbols have 15 MB.
EXCHANGE_INFO_BYTES = 32 * MIB

Weigh = Callable[[Parameters], int]


def symbol_count(parameters: Parameters) -> int | None:
    """The number of symbols asked for; None for all."""
    if "symbol" in parameters:
        return 1
    return len(orjson.loads(parameters["symbols"])) if "symbols" in parameters else None


def _step(weights: tuple[tuple[int, int], ...], count: int, most: int) -> int:
    return next((weight for limit_, weight in weights if count <= limit_), most)


def depth_weight(parameters: Parameters) -> int:
    levels = int(parameters.get("limit", USUAL_DEPTH))
    return _step(DEPTH_WEIGHTS, levels, MOST_DEPTH_WEIGHT)


def day_weight(parameters: Parameters) -> int:
    count = symbol_count(parameters)
    return MOST_DAY_WEIGHT if count is None else _step(DAY_WEIGHTS, count, MOST_DAY_WEIGHT)


def window_weight(parameters: Parameters) -> int:
    """Raises Refused without a symbol: there is no answer for all."""
    count = symbol_count(parameters)
    if count is None:
        text = "Param 'symbol' or 'symbols' must be sent, but both were empty/null!"
        raise Refused(MISSING, text)
    return min(WINDOW_WEIGHT * count, MOST_WINDOW_WEIGHT)


def price_weight(parameters: Parameters) -> int:
    return PRICE_WEIGHT if "symbol" in parameters else PRICES_WEIGHT


def weighed(weigh: Weigh) -> Refine:
    def refine(query: PassThroughQuery, parameters: Parameters) -> PassThroughQuery:
        return replace(query, weight=weigh(parameters))

    return refine


def large(query: PassThroughQuery, parameters: Parameters) -> PassThroughQuery:
    """The list of all symbols is kept over a restart."""
    is_whole = symbol_count(parameters) is None
    return replace(query, max_bytes=EXCHANGE_INFO_BYTES, outlives_restart=is_whole)


CANDLES = {
    "symbol": ONE_SYMBOL,
    "interval": INTERVAL,
    "startTime": START,
    "endTime": END,
    "timeZone": ZONE,
    "limit": limit(500, 1_000),
}
SOME = {"symbol": SYMBOL, "symbols": SYMBOLS, "symbolStatus": STATUS}
ROLLING = {"symbol": SYMBOL, "symbols": SYMBOLS, "type": KIND, "symbolStatus": STATUS}
RECENT = {"symbol": ONE_SYMBOL, "limit": limit(500, 1_000)}


def _path(
    name: str,
    summary: str,
    ttl_s: float,
    max_stale_s: float,
    parameters: dict[str, Parameter],
    weight: int = 1,
    refine: Refine | None = None,
) -> VendorPath:
    made = VendorPath(f"{ROOT}/{name}", summary, ttl_s, max_stale_s, parameters, weight)
    return replace(made, refine=refine) if refine else made


KLINES = (
    _path("klines", "Candles of a pair, oldest first", 5.0, 60.0, CANDLES, 2),
    _path("uiKlines", "Candles of a pair, changed for charts", 5.0, 60.0, CANDLES, 2),
)
PATHS = (
    _path(
        "exchangeInfo",
        "The pairs, with their rules of trading",
        3_600.0,
        86_400.0,
        {
            **SOME,
            "permissions": PERMISSIONS,
            "showPermissionSets": PERMISSION_SETS,
        },
        20,
        large,
    ),
    _path("ticker/24hr", "Change of 24 hours", 2.0, 60.0, ROLLING, refine=weighed(day_weight)),
    _path(
        "ticker/tradingDay",
        "Change of the trading day",
        2.0,
        60.0,
        {**ROLLING, "timeZone": ZONE},
        refine=weighed(window_weight),
    ),
    _path(
        "ticker",
        "Change of a window of time",
        2.0,
        60.0,
        {**ROLLING, "windowSize": WINDOW},
        refine=weighed(window_weight),
    ),
    # No body below has its own time, or it is of no use when it is old: never stale.
    _path("ticker/price", "Last price", 2.0, 0.0, SOME, refine=weighed(price_weight)),
    _path("ticker/bookTicker", "Best bid and ask", 1.0, 0.0, SOME, refine=weighed(price_weight)),
    _path("avgPrice", "Average price of a pair", 2.0, 0.0, {"symbol": ONE_SYMBOL}, 2),
    _path(
        "depth",
        "Order book of a pair",
        1.0,
        0.0,
        {"symbol": ONE_SYMBOL, "limit": limit(USUAL_DEPTH, 5_000), "symbolStatus": STATUS},
        refine=weighed(depth_weight),
    ),
    _path("trades", "Newest trades of a pair", 1.0, 0.0, RECENT, 25),
    _path("historicalTrades", "Trades by id", 1.0, 0.0, {**RECENT, "fromId": FROM_ID}, 25),
    _path(
        "aggTrades",
        "Trades of a pair, those of one order together",
        1.0,
        0.0,
        {**RECENT, "fromId": FROM_ID, "startTime": START, "endTime": END},
        4,
    ),
)
