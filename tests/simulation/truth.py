"""A random market, and what each vendor tells of it: names, ranks and prices of its own."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.clocks import LoopClock
from tests.world import data, lists, okx_kraken, venues

#: Share by which a provider's price may be off the truth.
NOISE = 0.004
VENUES = ("binance", "coinbase", "okx", "bitstamp")
LISTS = ("coingecko_free", "coinmarketcap", "coinpaprika")
#: Coins with CoinGecko's id, ticker, and the slug of other vendors.
NAMED = (
    ("bitcoin", "BTC", "bitcoin"),
    ("ethereum", "ETH", "ethereum"),
    ("tether", "USDT", "tether"),
    ("ripple", "XRP", "xrp"),
    ("binancecoin", "BNB", "bnb"),
    ("solana", "SOL", "solana"),
    ("avalanche-2", "AVAX", "avalanche"),
    ("the-open-network", "TON", "toncoin"),
    ("terra-luna", "LUNC", "terra-luna"),
    ("terra-luna-2", "LUNA", "terra-luna-v2"),
)
MORE_COINS = 25
#: No two coins of one ticker have prices that are closer than this factor.
APART = (2.5, 4.0, 30.0, 400.0)


@dataclass(frozen=True)
class TrueCoin:
    id: str
    symbol: str
    slug: str
    price: float
    rank: int
    contract: str = ""


@dataclass
class Market:
    """The truth of one seed, its vendors, and what was asked of them.

    `traded` maps a venue's tickers to the coin that it trades by them: perhaps a namesake that no
    list has. `down` are the vendors that fail now.
    """

    rng: random.Random
    coins: list[TrueCoin] = field(default_factory=list)
    traded: dict[str, dict[str, float]] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        rng = self.rng
        for number, (name, symbol, slug) in enumerate(NAMED):
            price = 1.0 if name == "tether" else 10 ** rng.uniform(-2, 5)
            self.coins.append(TrueCoin(name, symbol, slug, price, number + 1))
        for number in range(MORE_COINS):
            self.coins.append(self._coin(number))
        for venue in VENUES:
            self.traded[venue] = self._pairs()

    def _coin(self, number: int) -> TrueCoin:
        """Some are tokens with a contract, some have another coin's ticker."""
        rng, rank = self.rng, len(self.coins) + 1
        price = 10 ** rng.uniform(-4, 4)
        symbol = f"T{number}"
        if rng.random() < 0.3:
            other = rng.choice(self.coins)
            symbol, price = other.symbol, self._apart(other)
        slug = rng.choice((f"token-{number}", f"token-{number}-of-the-other-vendor"))
        contract = f"0xAB{number:038d}" if rng.random() < 0.6 else ""
        return TrueCoin(f"token-{number}", symbol, slug, price, rank, contract)

    def _pairs(self) -> dict[str, float]:
        """The venue's price by ticker: of the best-ranked coin, or of a namesake."""
        pairs = {}
        for coin in reversed(self.coins):  # the best-ranked coin of a ticker comes last
            if coin.id == "tether" or self.rng.random() < 0.3:
                continue
            is_namesake = self.rng.random() < 0.15 and coin.rank > len(NAMED)
            pairs[coin.symbol] = self._apart(coin) if is_namesake else coin.price
        return pairs

    def _apart(self, coin: TrueCoin) -> float:
        """A price that is no neighbour of that of any coin with this ticker."""
        prices = [one.price for one in self.coins if one.symbol == coin.symbol]
        while True:
            price = coin.price * self.rng.choice(APART) ** self.rng.choice((1, -1, 2))
            if all(not 0.45 < price / one < 2.2 for one in prices):
                return price

    def seen(self, price: float) -> float:
        """The price as a provider reports it."""
        return price * (1 + self.rng.uniform(-NOISE, NOISE))

    def ranks(self, vendor: str) -> dict[str, int]:
        """Each vendor ranks differently: only the order is the same, and no two ranks are equal."""
        step, first = {"coingecko_free": (3, 0), "coinmarketcap": (3, 1), "coinpaprika": (3, 2)}[
            vendor
        ]
        return {coin.id: coin.rank * step + first for coin in self.coins}

    def transport(self, hosts: dict[str, str]) -> httpx.MockTransport:
        """Answers for the vendors by their hosts, whoever is down with an error."""

        def handle(request: httpx.Request) -> httpx.Response:
            vendor = hosts[request.url.host]
            self.asked[vendor] += 1
            if vendor in self.down:
                return httpx.Response(500, json={"error": "down"})
            body = self.answer(vendor, request.url.path, dict(request.url.params))
            if body is None:
                return httpx.Response(404, json={"error": "not found"})
            return httpx.Response(200, content=orjson.dumps(body))

        return httpx.MockTransport(handle)

    def answer(self, vendor: str, path: str, query: dict[str, str]) -> Any:
        now_ms = int(LoopClock().now().timestamp() * 1000)
        answers: dict[str, Callable[[int], Any]] = {
            "/api/v3/coins/markets": lambda now: self._coingecko(now, query),
            "/api/v3/coins/list": self._names,
            "/public-api/v3/cryptocurrency/listings/latest": self._coinmarketcap,
            "/v1/tickers": self._coinpaprika,
            "/api/v3/ticker/24hr": self._binance,
            "/products/stats": self._coinbase,
            "/api/v5/market/tickers": self._okx,
            "/api/v2/ticker/": self._bitstamp,
        }
        return answers[path](now_ms) if path in answers else None

    def _rows(self, vendor: str, now_ms: int) -> list[tuple[TrueCoin, dict[str, Any]]]:
        ranks, now = self.ranks(vendor), data.utc(now_ms - 5_000)
        return [
            (
                coin,
                data.coin_row(
                    ranks[coin.id],
                    coin.id,
                    coin.symbol.lower(),
                    coin.id.replace("-", " ").title(),
                    self.seen(coin.price),
                    now,
                ),
            )
            for coin in self.coins
        ]

    def _coingecko(self, now_ms: int, query: dict[str, str]) -> list[dict[str, Any]]:
        rows = [row for _, row in self._rows("coingecko_free", now_ms)]
        if "ids" in query:
            return [row for row in rows if row["id"] in query["ids"].split(",")]
        return rows

    def _names(self, _now_ms: int) -> list[dict[str, Any]]:
        return [
            {
                "id": coin.id,
                "symbol": coin.symbol.lower(),
                "name": coin.id,
                "platforms": {"ethereum": coin.contract.lower()} if coin.contract else {},
            }
            for coin in self.coins
        ]

    def _coinmarketcap(self, now_ms: int) -> dict[str, Any]:
        rows = []
        for number, (coin, row) in enumerate(self._rows("coinmarketcap", now_ms), 1):
            told = lists.cmc_row(number, row) | {"slug": coin.slug}
            if coin.contract:
                told["platform"] = {"id": 1, "token_address": coin.contract, "slug": "ethereum"}
            rows.append(told)
        return {"status": lists.cmc_status(), "data": rows}

    def _coinpaprika(self, now_ms: int) -> list[dict[str, Any]]:
        return [
            lists.paprika_row(row) | {"id": f"{coin.symbol.lower()}-{coin.slug}"}
            for coin, row in self._rows("coinpaprika", now_ms)
        ]

    def _binance(self, now_ms: int) -> list[dict[str, Any]]:
        return [
            data.ticker(f"{symbol}USDT", self.seen(price), now_ms)
            for symbol, price in self.traded["binance"].items()
        ]

    def _coinbase(self, _now_ms: int) -> dict[str, Any]:
        return {
            f"{symbol}-USD": venues._stats(self.seen(price))
            for symbol, price in self.traded["coinbase"].items()
        }

    def _okx(self, now_ms: int) -> dict[str, Any]:
        pairs = self.traded["okx"].items()
        rows = [okx_kraken.okx_ticker(f"{base}-USDT", self.seen(p), now_ms) for base, p in pairs]
        return okx_kraken.okx_reply(rows)

    def _bitstamp(self, now_ms: int) -> list[dict[str, Any]]:
        return [
            venues._market(f"{symbol}/USD", self.seen(price), now_ms)
            for symbol, price in self.traded["bitstamp"].items()
        ]
