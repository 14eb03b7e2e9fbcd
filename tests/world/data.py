"""Invented data in the providers' own shapes: 250 coins, pairs with every kind of trap, candles."""

import json
from datetime import UTC, datetime
from typing import Any

HOUR, DAY = 3_600_000, 86_400_000
MINUTES = {f"{count}m": count * 60_000 for count in (1, 3, 5, 15, 30)}
HOURS = {f"{count}h": count * HOUR for count in (1, 2, 4, 6, 8, 12)}
WEEK = 7 * DAY
STEPS = {**MINUTES, **HOURS, "1d": DAY, "3d": 3 * DAY, "1w": WEEK}
#: The epoch was a Thursday; weeks begin on Monday.
MONDAY = 4 * DAY

#: id, symbol, name, price in USD; the rank is the place.
FAMOUS = (
    ("bitcoin", "btc", "Bitcoin", 50_000.0),
    ("ethereum", "eth", "Ethereum", 2_500.0),
    ("tether", "usdt", "Tether", 1.0),
    ("fdusd-only", "fdo", "Only against FDUSD", 7.0),
    ("delisted", "dlst", "Delisted on the venue", 120.0),
    ("namesake", "name", "Its ticker is another coin's", 3.0),
    ("unlisted", "unl", "On no venue", 40.0),
)
#: A lesser coin with a famous ticker.
IMPOSTOR = ("fake-bitcoin", "btc", "Fake Bitcoin", 0.002)
ROWS = 250
#: Coins beyond the list: id, symbol, name, price in USD, rank, address of the contract.
BEYOND = (
    ("far-away", "far", "Far Away", 0.25, 900, "0xFaR0000000000000000000000000000000000001"),
    ("far-cousin", "far", "Far Cousin", 9.0, 2_400, "0xFaR0000000000000000000000000000000000002"),
    ("btc-of-mars", "btcm", "Bitcoin of Mars", 0.5, 1_200, "MarsAddress"),
)


def coins(now: datetime) -> list[dict[str, Any]]:
    """The ranked list as CoinGecko gives it."""
    filler = [(f"coin-{n}", f"c{n}", f"Coin {n}", 1.0 + n) for n in range(ROWS - len(FAMOUS) - 1)]
    listed = (*FAMOUS, *filler, IMPOSTOR)
    return [coin_row(rank, *coin, now) for rank, coin in enumerate(listed, start=1)]


def single_coins(query: dict[str, str], now: datetime) -> list[dict[str, Any]]:
    """Rows by `ids` or by `symbols` (the best-ranked coin of each)."""
    rows = [
        *coins(now),
        *(coin_row(one[4], one[0], one[1], one[2], one[3], now) for one in BEYOND),
    ]
    if "ids" in query:
        ids = query["ids"].split(",")
        return [row for row in rows if row["id"] in ids]
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda one: int(one["market_cap_rank"])):
        best.setdefault(row["symbol"], row)
    return [best[symbol] for symbol in query["symbols"].lower().split(",") if symbol in best]


def all_names(now: datetime) -> list[dict[str, Any]]:
    """The list of all coins, with the contracts of tokens."""
    listed = [{**one, "platforms": {"": ""}} for one in coins(now)]
    beyond = [
        {"id": name, "symbol": symbol, "name": title, "platforms": {"ethereum": address}}
        for name, symbol, title, _, _, address in BEYOND
    ]
    fields = ("id", "symbol", "name", "platforms")
    return [{field: row[field] for field in fields} for row in (*listed, *beyond)]


def further_names(count: int) -> list[dict[str, Any]]:
    """Coins that are in no other list, most of them tokens."""
    return [
        {
            "id": f"further-coin-{n}",
            "symbol": f"fc{n}",
            "name": f"Further Coin {n}",
            "platforms": {"ethereum": f"0x{n:040x}"} if n % 5 else {},
        }
        for n in range(count)
    ]


def with_sparklines(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """168 hourly prices a coin; the newest coin has fewer, and one has none."""
    for place, row in enumerate(rows):
        price = row["current_price"]
        hours = 168 if place < len(rows) - 2 else len(rows) - 1 - place
        prices = [price * (1 + 0.001 * (hour % 7)) for hour in range(hours)]
        row["sparkline_in_7d"] = {"price": prices}
    return rows


def coin_row(
    rank: int, name: str, symbol: str, title: str, price: float, now: datetime
) -> dict[str, Any]:
    cap = int(2.5e12 / rank) if rank > 1 else 50_000_000_000_000
    supply = cap / price
    return {
        "id": name,
        "symbol": symbol,
        "name": title,
        "image": f"https://img.example/{name}.png",
        "current_price": price,
        "market_cap": cap,
        "market_cap_rank": rank,
        "fully_diluted_valuation": cap,
        "total_volume": 1_000_000 + rank,
        "high_24h": price * 1.02,
        "low_24h": price * 0.97,
        "price_change_24h": price * 0.01,
        "price_change_percentage_24h": 1.01,
        "market_cap_change_24h": cap * 0.01,
        "market_cap_change_percentage_24h": 1.01,
        "circulating_supply": supply,
        "total_supply": supply,
        "max_supply": None,
        "ath": price * 2,
        "ath_change_percentage": -50.0,
        "ath_date": "2025-08-14T00:37:02.582Z",
        "atl": price / 100,
        "atl_change_percentage": 9_900.0,
        "atl_date": "2015-10-20T00:00:00.000Z",
        "roi": None,
        "last_updated": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "price_change_percentage_1h_in_currency": 0.25,
        "price_change_percentage_7d_in_currency": -4.5,
    }


def tickers(now_ms: int) -> list[dict[str, Any]]:
    """The 24 h tickers as Binance gives them, the dead among the living."""
    return [
        ticker("BTCUSDT", 50_500.0, now_ms),
        ticker("BTCFDUSD", 50_510.0, now_ms),
        ticker("ETHUSDT", 2_510.0, now_ms),
        ticker("ETHBTC", 0.05, now_ms),
        ticker("FDOFDUSD", 7.1, now_ms),
        ticker("DLSTUSDT", 119.0, now_ms - 60 * DAY),  # frozen at its delisting
        ticker("NAMEUSDT", 900.0, now_ms),
        ticker("EURUSDT", 1.08, now_ms),
        {**ticker("DEADUSDT", 0.0, now_ms - 90 * DAY), "count": 0, "firstId": -1, "lastId": -1},
        *(ticker(f"C{n}USDT", (1.0 + n) * 1.01, now_ms) for n in range(60)),
    ]


def ticker(symbol: str, price: float, close_ms: int) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "priceChange": f"{price * 0.02:.8f}",
        "priceChangePercent": "2.000",
        "weightedAvgPrice": f"{price:.8f}",
        "prevClosePrice": f"{price * 0.98:.8f}",
        "lastPrice": f"{price:.8f}",
        "lastQty": "0.50000000",
        "bidPrice": f"{price * 0.9999:.8f}",
        "bidQty": "2.00000000",
        "askPrice": f"{price * 1.0001:.8f}",
        "askQty": "3.00000000",
        "openPrice": f"{price * 0.98:.8f}",
        "highPrice": f"{price * 1.03:.8f}",
        "lowPrice": f"{price * 0.96:.8f}",
        "volume": "1000.00000000",
        "quoteVolume": f"{price * 1000:.8f}",
        "openTime": close_ms - DAY,
        "closeTime": close_ms,
        "firstId": 1,
        "lastId": 100,
        "count": 100,
    }


def klines(
    price: float, step_ms: int, now_ms: int, start: int | None, end: int | None, limit: int
) -> list[list[Any]]:
    """Candles up to the one open now; every pair was listed 4,000 candles ago."""
    offset = MONDAY if step_ms == WEEK else 0

    def open_of(at_ms: int) -> int:
        return (at_ms - offset) // step_ms * step_ms + offset

    newest = open_of(now_ms)
    oldest = newest - 4_000 * step_ms
    first = max(oldest, open_of(start + step_ms - 1)) if start is not None else oldest
    last = min(newest, open_of(end)) if end is not None else newest
    opens = range(first, last + 1, step_ms)
    kept = opens[:limit] if start is not None else opens[-limit:]
    return [kline(at, price, step_ms) for at in kept]


def kline(open_ms: int, price: float, step_ms: int) -> list[Any]:
    low, high = f"{price * 0.99:.8f}", f"{price * 1.01:.8f}"
    body = [f"{price:.8f}", high, low, f"{price:.8f}", "12.50000000"]
    tail = [f"{price * 12.5:.8f}", 42, "6.0", "300000.0", "0"]
    return [open_ms, *body, open_ms + step_ms - 1, *tail]


def ohlc(price: float, step_ms: int, count: int, now_ms: int) -> list[list[float]]:
    """CoinGecko's candles: stamped with their close, the last one in the future."""
    last_close = (now_ms // step_ms + 1) * step_ms
    closes = range(last_close - (count - 1) * step_ms, last_close + 1, step_ms)
    return [[at, price, price * 1.01, price * 0.99, price] for at in closes]


def to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def utc(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)
