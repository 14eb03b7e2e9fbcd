"""Prices of coins, in the form of `simple/price`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from api.facades.coingecko.coin_page import Row, updated_at
from api.facades.coingecko.freshness import MOST_STALE_S, MOST_STALE_UNTIMED_S
from backend.identity.instruments import VENUES
from backend.models.market import COINGECKO_RANKS, Coin, Market
from backend.services.market.symbols import SymbolIndex

#: What comes with a price: its switch, and its field.
SWITCHES = {
    "include_market_cap": "usd_market_cap",
    "include_24hr_vol": "usd_24h_vol",
    "include_24hr_change": "usd_24h_change",
    "include_last_updated_at": "last_updated_at",
}
EARLIEST = datetime.min.replace(tzinfo=UTC)
#: Enough digits for any float with 18 decimals.
_EXACT = Context(prec=400)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question for prices in dollars that the market may answer. `names` are ids, or tickers if
    `is_by_symbol`; `switches` are what comes with a price; `precision` is None for prices as they
    are."""

    names: tuple[str, ...]
    is_by_symbol: bool
    switches: tuple[str, ...]
    precision: int | None

    @property
    def oldest_s(self) -> float:
        """The highest age of a price, in seconds."""
        has_time = "include_last_updated_at" in self.switches
        return MOST_STALE_S if has_time else MOST_STALE_UNTIMED_S


@dataclass(frozen=True, slots=True)
class Price:
    """Amounts in dollars; None is unknown. It was the price at `known_at`, or later."""

    price: float
    market_cap: float | None
    volume: float | None
    change: float | None
    updated: datetime | None
    source: str
    known_at: datetime


def asked_of(parameters: Mapping[str, str]) -> Asked | None:
    """None for a question that only the vendor can answer."""
    by = next((one for one in ("ids", "names", "symbols") if one in parameters), "names")
    is_ours = parameters["vs_currencies"] == "usd" and by != "names"
    if not is_ours or (by == "symbols" and "include_tokens" in parameters):
        return None
    names = tuple(parameters[by].split(","))
    switches = tuple(one for one in sorted(parameters) if one in SWITCHES)
    digits = parameters.get("precision", "full")
    return Asked(names, by == "symbols", switches, None if digits == "full" else int(digits))


def coin_of(index: SymbolIndex, asked: Asked, name: str) -> Coin | None:
    """The coin with this id; or the best-ranked one with this ticker, by CoinGecko's ranks."""
    if not asked.is_by_symbol:
        found = index.find(name)
        return found.coin if found and found.coin.id == name else None
    if index.market.rank_source != COINGECKO_RANKS:
        return None
    found = index.find(name.upper())
    is_it = found and found.is_best_ranked and found.coin.symbol == name.upper()
    return found.coin if found and is_it else None


def newest_stamps(market: Market) -> dict[str, datetime]:
    """Of the rows of each provider."""
    newest: dict[str, datetime] = {}
    for coin in market.coins:
        at = coin.last_updated
        if at is not None and at > newest.get(coin.source, EARLIEST):
            newest[coin.source] = at
    return newest


def known_at(coin: Coin, newest: Mapping[str, datetime]) -> datetime:
    """When the price was that of the coin for certain.

    A venue's is as old as its stamp. A row of a list has the stamp of the coin's last trade, which
    may be days ago: there the age of the list counts, which is that of its newest row.
    """
    at = coin.last_updated if coin.source in VENUES else newest.get(coin.source)
    return at or EARLIEST


def price_of_coin(coin: Coin, newest: Mapping[str, datetime]) -> Price | None:
    if coin.price is None:
        return None
    return Price(
        coin.price,
        coin.market_cap,
        coin.volume_24h,
        coin.price_change_percentage_24h,
        coin.last_updated,
        coin.source,
        known_at(coin, newest),
    )


def price_of_row(row: Row, source: str, fetched_at: datetime) -> Price | None:
    """Of a row of CoinGecko's page."""
    price = _number(row, "current_price")
    if price is None:
        return None
    cap, volume = _number(row, "market_cap"), _number(row, "total_volume")
    change = _number(row, "price_change_percentage_24h")
    return Price(price, cap, volume, change, updated_at(row), source, fetched_at)


def _number(row: Row, field: str) -> float | None:
    figure = row.get(field)
    return figure if isinstance(figure, int | float) and not isinstance(figure, bool) else None


def document(asked: Asked, prices: Mapping[str, Price]) -> dict[str, dict[str, Any]]:
    """By the names as they were asked for; only what was asked for, unknown as null."""
    return {name: _shown(asked, prices[name]) for name in asked.names}


def _shown(asked: Asked, price: Price) -> dict[str, Any]:
    updated = None if price.updated is None else int(price.updated.timestamp())
    known = price.market_cap, price.volume, price.change, updated
    further = zip(SWITCHES.items(), known, strict=True)
    chosen = {field: value for (switch, field), value in further if switch in asked.switches}
    return {"usd": rounded(price.price, asked.precision), **chosen}


def rounded(price: float, decimals: int | None) -> float:
    """Halves are rounded up, by the digits that are shown: 2.675 is 2.68. None: as it is."""
    if decimals is None:
        return price
    step = Decimal(1).scaleb(-decimals)
    found = Decimal(repr(price)).quantize(step, ROUND_HALF_UP, _EXACT)
    return float(found) if decimals else int(found)
