"""The loopback world with invented data that look alive: names, wandering candles, moods, news."""

import math
import random
import time
from email.utils import formatdate
from typing import Any
from xml.sax.saxutils import escape

from tests.world import data
from tests.world.feeds import PUBLISHERS
from tests.world.messages import Reply, Request, json_reply
from tests.world.push import mini_ticker
from tests.world.server import World

#: symbol, name, price; all figures are invented.
NAMED = (
    "BTC Bitcoin 61240.5|ETH Ethereum 2931.4|USDT Tether 1.0|BNB BNB 702.1|SOL Solana 141.72|"
    "XRP XRP 1.3204|DOGE Dogecoin 0.15721|ADA Cardano 0.4719|TRX TRON 0.27113|AVAX Avalanche 21.44|"
    "LINK Chainlink 14.913|TON Toncoin 3.1022|SHIB Shiba_Inu 0.0000114|DOT Polkadot 4.388|"
    "BCH Bitcoin_Cash 411.8|LTC Litecoin 88.41|NEAR NEAR_Protocol 2.6021|UNI Uniswap 7.154|"
    "PEPE Pepe 0.00000713|ICP Internet_Computer 5.871|XLM Stellar 0.2419|"
    "ETC Ethereum_Classic 18.62|"
    "XMR Monero 266.4|APT Aptos 5.214|HBAR Hedera 0.1682|FIL Filecoin 3.017|ARB Arbitrum 0.4113|"
    "ATOM Cosmos_Hub 4.902|OP Optimism 0.7219|VET VeChain 0.02611|INJ Injective 9.882|"
    "IMX Immutable 0.6408|GRT The_Graph 0.09911|AAVE Aave 188.3|ALGO Algorand 0.1894|"
    "MKR Maker 1522.0|FTM Fantom 0.5217|SUI Sui 2.217|SEI Sei 0.2018|RUNE THORChain 1.302"
)
HEADLINES = (
    ("Bitcoin climbs to a three-week high as buyers return", "Volume is up on most venues."),
    ("Ethereum developers agree on a date for the next upgrade", "Testnets come first."),
    ("Exchange hacked: millions stolen from a hot wallet", "Withdrawals are halted."),
    ("Stablecoin supply grows for the ninth week", "Most of it on two chains."),
    ("Regulator fines a broker over missing disclosures", "The broker will appeal."),
    ("Solana validators vote to raise the block limit", "The change is gradual."),
    ("Miners sell less crypto than in any month this year", "Reserves are rising."),
    ("Altcoin losses deepen after a weak start to the week", "Liquidations follow."),
    ("A pension fund adds Bitcoin to its holdings", "A small share, it says."),
    ("Ether staking queue empties for the first time since spring", "Yields fall a little."),
    ("Bridge exploit drains a small chain; its token crashes", "The team has paused it."),
    ("Chainlink wins a contract with a large custodian", "Pilots begin in January."),
    ("Lawsuit against a DeFi protocol is dismissed", "The judge sees no security."),
    ("XRP trading volume doubles on Asian venues", "Spreads are narrow."),
    ("Crypto funds see outflows for a second week", "Most left Bitcoin products."),
    ("Dogecoin gains as a payment firm tests it", "Only in two countries."),
    ("Central bank publishes its view on tokenised deposits", "It asks for comments."),
    ("Wallet maker warns of fraud in search advertisements", "Check the address twice."),
    ("Cardano's treasury vote passes with a wide margin", "Work starts next month."),
    ("Layer-2 fees reach their lowest level this year", "Blobs are cheap."),
)


def named_coins() -> list[tuple[str, str, str, float]]:
    """id, symbol, name, price, in the order of their ranks; the list goes on to 250."""
    rows = [row.split(" ") for row in NAMED.split("|")]
    known = [
        (name.lower().replace("_", "-"), symbol.lower(), name.replace("_", " "), float(price))
        for symbol, name, price in rows
    ]
    more = [
        (f"token-{n}", f"tk{n}", f"Token {n}", 90.0 / n)
        for n in range(1, data.ROWS - len(known) + 1)
    ]
    return known + more


COINS = named_coins()
#: Beyond the list: id, symbol, name, price, rank.
BEYOND = ("tiny-coin", "tiny", "Tiny Coin", 0.0421, 812)
#: Coins with a book in euros at Binance, and the price of a dollar there.
IN_EUROS, EUROS = ("btc", "eth"), 0.9215


class Scenery(World):
    """Its prices, candles and headlines can be changed while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.headlines: list[tuple[str, str]] = list(HEADLINES)

    def _reply(self, name: str, request: Request, fault: str) -> Reply:
        made = self._invented(name, request) if fault == "none" else None
        if made is None or name == "binance":  # Binance's weight is counted, whatever it tells
            told = super()._reply(name, request, fault)
            return made if made and told.status == 400 else replaced(told, made)
        return made

    def _invented(self, name: str, request: Request) -> Reply | None:
        """None where the plain world's answer will do."""
        made: Any = None
        if request.path.endswith("/coins/markets"):
            made = asked_rows(request.query)
        elif request.path.endswith("/coins/list"):
            made = names()
        elif request.path.endswith(f"/coins/{BEYOND[0]}/ohlc"):
            days, now_ms = int(request.query["days"]), time.time_ns() // 1_000_000
            step = data.DAY // 48 if days == 1 else data.DAY // 6 if days <= 30 else 4 * data.DAY
            made = data.ohlc(BEYOND[3], step, days * data.DAY // step, now_ms)
        elif request.path.endswith("/ticker/24hr") and "symbol" not in request.query:
            made = tickers()
        elif request.path.endswith("/klines"):
            made = klines(request)
        elif name == "alternative_me":
            made = moods(int(request.query.get("limit", 1)))
        elif name.startswith("rss"):
            body = feed(name, self.begun, self.headlines)
            return Reply(200, body, content_type="application/rss+xml")
        return json_reply(made) if made else None


def names() -> list[dict[str, Any]]:
    """The list of all coins."""
    fields = ("id", "symbol", "name")
    rows = [*COINS, BEYOND[:4]]
    return [{**dict(zip(fields, row, strict=False)), "platforms": {}} for row in rows]


def replaced(told: Reply, made: Reply | None) -> Reply:
    """Its head, with the invented body."""
    if made is None or told.status != 200:
        return told
    return Reply(200, made.body, told.headers, told.content_type)


def asked_rows(query: dict[str, str]) -> list[dict[str, Any]]:
    """The list, with sparklines where they are asked for, or single coins."""
    rows = market_rows()
    if "ids" not in query:
        return [with_sparkline(row) for row in rows] if query.get("sparkline") else rows
    now = data.utc(time.time_ns() // 1_000_000 - 20_000)
    every = [*rows, data.coin_row(BEYOND[4], *BEYOND[:4], now)]
    return [row for row in every if row["id"] in query["ids"].split(",")]


def with_sparkline(row: dict[str, Any]) -> dict[str, Any]:
    """Hourly prices that wander and end at the row's price after the week's change."""
    dice, price = random.Random(row["id"]), row["current_price"]
    begin = price / (1 + row["price_change_percentage_7d_in_currency"] / 100)
    walk = [0.0]
    for _ in range(167):
        walk.append(walk[-1] + dice.gauss(0, 0.006))
    prices = [
        begin + (price - begin) * hour / 167 + price * (step - walk[-1] * hour / 167)
        for hour, step in enumerate(walk)
    ]
    return {**row, "sparkline_in_7d": {"price": [round(one, 12) for one in prices]}}


def market_rows() -> list[dict[str, Any]]:
    now = data.utc(time.time_ns() // 1_000_000 - 20_000)
    rows = []
    for rank, (name, symbol, title, price) in enumerate(COINS, start=1):
        row = data.coin_row(rank, name, symbol, title, price, now)
        dice = random.Random(name)
        change = dice.gauss(0, 3)
        row |= {"price_change_percentage_24h": round(change, 3)}
        row |= {"price_change_24h": price * change / 100}
        row |= {"price_change_percentage_1h_in_currency": round(change / 9, 3)}
        week = round(change * 1.7 + len(name) % 5 - 2, 3)
        row |= {"price_change_percentage_7d_in_currency": week}
        row |= {"market_cap": round(1.2e12 / rank**1.3)}
        row |= {"total_volume": round(row["market_cap"] * dice.uniform(0.01, 0.08))}
        row |= {"circulating_supply": row["market_cap"] / price}
        row |= {"high_24h": price * (1 + dice.random() / 20), "low_24h": price * 0.96}
        rows.append(row)
    rows[6]["circulating_supply"] = rows[6]["market_cap"] = None
    return rows


def pair(symbol: str) -> str:
    return f"{symbol.upper()}USDT"


def tickers() -> list[dict[str, Any]]:
    now_ms = time.time_ns() // 1_000_000
    rows = [data.ticker(pair(symbol), price, now_ms) for _, symbol, _, price in COINS[:120]]
    return rows + [data.ticker(name, price, now_ms) for name, price in euro_books().items()]


def euro_books() -> dict[str, float]:
    prices = {symbol: price for _, symbol, _, price in COINS}
    return {f"{symbol.upper()}EUR": prices[symbol] * EUROS for symbol in IN_EUROS}


def moving_tickers(count: int, factor: float, only: str | None) -> list[dict[str, Any]]:
    """The first `count` coins' prices, all of them moved; the day's other figures stay."""
    listed = [row for row in market_rows() if row["symbol"] != "usdt"]
    wanted = [row for row in listed if only in {None, row["id"]}][:count]
    return [moved(row, row["current_price"] * factor) for row in wanted]


def moved(row: dict[str, Any], price: float) -> dict[str, Any]:
    begin = row["current_price"] / (1 + row["price_change_percentage_24h"] / 100)
    day = {"o": begin, "h": max(row["high_24h"], price), "l": min(row["low_24h"], price)}
    told = {name: f"{value:.10f}" for name, value in {**day, "q": row["total_volume"]}.items()}
    return mini_ticker(pair(row["symbol"]), price, c=f"{price:.10f}", **told)


def feed(name: str, begun: float, headlines: list[tuple[str, str]]) -> bytes:
    """Each of the first four publishers has some of the stories; the others repeat the first's."""
    teller = name if name in tuple(PUBLISHERS)[:4] else "rss_coindesk"
    place = sum(map(ord, teller)) % 4
    rows = "".join(
        f"<item><title>{escape(title)}</title><link>https://{name[4:]}.example/{number}</link>"
        f"<guid>{name}{number}</guid><description>{escape(text)}</description>"
        f"<pubDate>{formatdate(begun - 420 * number - 60, usegmt=True)}</pubDate></item>"
        for number, (title, text) in enumerate(headlines)
        if number % 4 == place or number >= len(HEADLINES)
    )
    head = '<?xml version="1.0"?><rss version="2.0"><channel><title>x</title>'
    return f"{head}{rows}</channel></rss>".encode()


def moods(count: int) -> dict[str, Any]:
    """A wave of thirty days, newest first, one day missing."""
    midnight = int(time.time()) // 86_400 * 86_400
    values = [round(46 + 24 * math.sin(back / 4.5) + back % 5) for back in range(count)]
    rows = [
        {
            "value": str(value),
            "value_classification": word(value),
            "timestamp": str(midnight - back * 86_400),
        }
        for back, value in enumerate(values)
        if back != 17
    ]
    rows[0]["time_until_update"] = "40000"
    return {"name": "Fear and Greed Index", "data": rows, "metadata": {"error": None}}


def word(value: int) -> str:
    names = ((25, "Extreme Fear"), (46, "Fear"), (55, "Neutral"), (75, "Greed"))
    return next((name for bound, name in names if value < bound), "Extreme Greed")


def klines(request: Request) -> list[list[Any]]:
    """Candles that wander and end at the coin's price. Unknown instruments have none."""
    prices = {pair(symbol): price for _, symbol, _, price in COINS} | euro_books()
    price = prices.get(request.query["symbol"])
    if price is None:
        return []
    step = data.STEPS.get(request.query["interval"], data.DAY * 7)
    now_ms, count = time.time_ns() // 1_000_000, min(int(request.query.get("limit", "500")), 1_000)
    newest, dice = now_ms // step * step, random.Random(f"{price}{step}")
    rows, close = [], price
    for back in range(count):
        start = close * (1 + dice.gauss(0, 0.006))
        high = max(start, close) * (1 + abs(dice.gauss(0, 0.003)))
        low = min(start, close) * (1 - abs(dice.gauss(0, 0.003)))
        row = data.kline(newest - back * step, price, step)
        row[1:6] = [f"{value:.10f}" for value in (start, high, low, close, dice.uniform(40, 900))]
        rows.append(row)
        close = start
    return rows[::-1]
