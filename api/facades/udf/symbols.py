"""Coins as the protocol describes them: symbols, results of a search, quotes."""

import math
from typing import Any

from api.facades.udf.resolutions import RESOLUTIONS
from backend.models.market import Coin
from backend.services.market.coin_names import Found
from backend.services.market.symbols import SymbolIndex

#: Prices are of no single exchange, so the gateway stands in its place.
EXCHANGE = "GATEWAY"
TYPE = "crypto"
#: Significant digits that a price shows at least, and decimals of one at most.
DIGITS, MAX_DECIMALS = 5, 16
#: Decimals of a price that is unknown.
USUAL_DECIMALS = 8
MINUTES = [name for name in RESOLUTIONS if name.isdigit()]


def plain_name(text: str) -> str:
    """Without our exchange in front: `GATEWAY:BTC`."""
    exchange, colon, name = text.partition(":")
    return name if colon and exchange.strip().upper() == EXCHANGE else text


def short_name(index: SymbolIndex, coin_id: str | None, symbol: str) -> str:
    """A name that is resolved to this coin: its symbol, unless a larger coin has it too."""
    best = index.find(symbol)
    return symbol if not coin_id or (best and best.coin.id == coin_id) else coin_id


def pricescale(price: float | None) -> int:
    """The power of ten by which the library multiplies a price to get an integer."""
    decimals = USUAL_DECIMALS
    if price is not None:
        decimals = max(2, DIGITS - 1 - math.floor(math.log10(price)))
    return int(10 ** min(decimals, MAX_DECIMALS))


def symbol_info(index: SymbolIndex, coin: Coin, *, is_stale: bool) -> dict[str, Any]:
    name = coin.name or coin.symbol
    return {
        "name": short_name(index, coin.id, coin.symbol),
        "ticker": coin.key,
        "description": f"{name} / US Dollar",
        "type": TYPE,
        "session": "24x7",
        "timezone": "Etc/UTC",
        "exchange": EXCHANGE,
        "listed_exchange": EXCHANGE,
        "format": "price",
        "minmov": 1,
        "pricescale": pricescale(coin.price),
        "has_intraday": True,
        "intraday_multipliers": MINUTES,
        "has_daily": True,
        "daily_multipliers": ["1", "3"],
        "has_weekly_and_monthly": True,
        "weekly_multipliers": ["1"],
        "monthly_multipliers": ["1"],
        "supported_resolutions": list(RESOLUTIONS),
        "volume_precision": 2,
        "currency_code": "USD",
        "data_status": "delayed_streaming" if is_stale else "streaming",
    }


def search_row(index: SymbolIndex, found: Found) -> dict[str, Any]:
    name = short_name(index, found.id, found.symbol)
    return {
        "symbol": found.symbol,
        "full_name": f"{EXCHANGE}:{name}",
        "description": found.name,
        "exchange": EXCHANGE,
        "ticker": found.id,
        "type": TYPE,
    }


def quote(asked: str, coin: Coin | None, *, reason: str) -> dict[str, Any]:
    """What is unknown is left out; `reason` is why there is no coin."""
    if coin is None or coin.price is None:
        text = reason if coin is None else "no price is known"
        return {"s": "error", "n": asked, "v": {}, "errmsg": text}
    name = coin.name or coin.symbol
    figures = {
        "lp": coin.price,
        "ch": coin.price_change_24h,
        "chp": coin.price_change_percentage_24h,
        "high_price": coin.high_24h,
        "low_price": coin.low_24h,
        "volume": coin.volume_24h,
    }
    names = {
        "short_name": coin.symbol,
        "exchange": EXCHANGE,
        "description": name,
        "original_name": asked,
    }
    known = {key: value for key, value in figures.items() if value is not None}
    return {"s": "ok", "n": asked, "v": known | names}
