"""The tools for coins: prices, names, candles."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from api.facades.mcp.answers import ToolAnswer, cut, figure, tool_answer
from api.facades.mcp.parameters import Choice, Text, Texts, Whole
from api.facades.mcp.tool import Call, Tool
from backend.models.market import Coin, Market
from backend.models.ohlc import Candle, Interval
from backend.services.candles.service import OhlcView
from backend.services.market.coin_names import SEARCH_UNITS
from backend.services.market.service import Additions, MarketView

MOST_COINS, DEFAULT_COINS, MOST_FOUND = 25, 10, 10
MOST_CANDLES, DEFAULT_CANDLES = 120, 50
#: Characters of a name or symbol, asked or answered.
LONGEST_NAME = 64

COIN = Text("id, symbol or pair: bitcoin, BTC, BTC/USDT", LONGEST_NAME)


async def get_prices(call: Call) -> ToolAnswer:
    names = tuple(dict.fromkeys(call.arguments["symbols"] or ()))
    limit = call.arguments["limit"] or (MOST_COINS if names else DEFAULT_COINS)
    market = call.gateway.market
    view = MarketView(limit=limit, names=names)
    answer, additions = await market.asked(view, call.charge)
    page = market.top(answer.data, view, additions)
    unknown = _unknown(call, answer.data, names, additions)
    rows = [_price_row(coin) for coin in page.rows]
    members = {"currency": page.currency or "USD", "unknown": unknown}
    return tool_answer(answer, members, rows, page.warnings)


def _unknown(call: Call, market: Market, names: Sequence[str], additions: Additions) -> list[str]:
    """The names that no coin has. One that could not be looked up may have one."""
    index = call.gateway.coins.index(market)
    known = (*additions.coins, *additions.not_looked_up)
    return [name for name in names if name not in known and index.find(name) is None]


def _price_row(coin: Coin) -> dict[str, Any]:
    return {
        "id": coin.id,
        "symbol": cut(coin.symbol, LONGEST_NAME),
        "name": cut(coin.name, LONGEST_NAME) if coin.name else None,
        "rank": coin.market_cap_rank,
        "price": figure(coin.price),
        "change_24h_percent": figure(coin.price_change_percentage_24h),
        "volume_24h": figure(coin.volume_24h),
        "market_cap": figure(coin.market_cap),
    }


async def find_coin(call: Call) -> ToolAnswer:
    names = call.gateway.names
    answer, listed = await names.to_search()
    call.charge(SEARCH_UNITS - 1)
    query = call.arguments["query"]
    page = await asyncio.to_thread(names.search, answer.data, listed, query, MOST_FOUND)
    rows = [
        {
            "id": found.id,
            "symbol": cut(found.symbol, LONGEST_NAME),
            "name": cut(found.name, LONGEST_NAME),
            "rank": found.market_cap_rank,
        }
        for found in page.rows
    ]
    return tool_answer(answer, {"total": page.total}, rows, page.warnings)


async def get_candles(call: Call) -> ToolAnswer:
    symbol, interval = call.arguments["symbol"], Interval(call.arguments["interval"])
    view = OhlcView(interval, call.arguments["limit"])
    ohlc = call.gateway.ohlc
    answer = await ohlc.candles(symbol, view, call.charge)
    page = ohlc.cut(answer, view)
    candles: Sequence[Candle] = page.rows
    members = {
        "symbol": symbol,
        "interval": interval.value,
        "currency": page.currency,
        "columns": ["time", "open", "high", "low", "close", "volume"],
        "last_is_open": bool(candles) and not candles[-1].closed,
    }
    rows = [_candle_row(candle) for candle in candles]
    return tool_answer(answer, members, rows, page.warnings, keeps_last=True)


def _candle_row(candle: Candle) -> list[Any]:
    opened = datetime.fromtimestamp(candle.timestamp / 1000, UTC)
    figures = candle.open, candle.high, candle.low, candle.close, candle.volume
    return [f"{opened:%Y-%m-%dT%H:%MZ}", *map(figure, figures)]


PRICES = Tool(
    "get_prices",
    "Current prices in USD, with 24 h change in percent, 24 h volume, market cap and rank: of the "
    "coins in `symbols`, else of the largest coins. `unknown` lists names that no coin has.",
    {
        "symbols": Texts("ids, symbols or pairs", COIN, MOST_COINS, default=None),
        "limit": Whole(f"most rows; {DEFAULT_COINS} without symbols", 1, MOST_COINS, None),
    },
    get_prices,
)
FIND = Tool(
    "find_coin",
    "Coins by a part of their id, symbol or name: exact matches first, then by rank. At most "
    f"{MOST_FOUND}. Use it when another tool does not know a coin, or a symbol is ambiguous.",
    {"query": Text("part of an id, symbol or name", LONGEST_NAME)},
    find_coin,
)
CANDLES = Tool(
    "get_candles",
    "The newest candles of one coin, oldest first, all from one provider. Each row is as "
    "`columns` says; `time` is the open in UTC, `volume` is in coins and may be null. If "
    "`last_is_open`, the last candle is still forming.",
    {
        "symbol": COIN,
        "interval": Choice("1m is a minute, 1M a month", [one.value for one in Interval], "1h"),
        "limit": Whole("number of candles", 1, MOST_CANDLES, DEFAULT_CANDLES),
    },
    get_candles,
)
