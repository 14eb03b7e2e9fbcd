"""CoinGecko's coins: ranked rows, prices in many currencies, a coin's own page, names."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tests.world import data, lists

#: Units for a dollar, of each currency that prices are told in.
UNITS = {
    "usd": 1.0,
    **{code.lower(): float(units) for code, units in lists.RATES.items() if code != "USDC"},
    "sats": 2_000.0,
    "xau": 0.00025,
}
#: Name, unit and type of `exchange_rates`.
MONEY = {
    "btc": ("Bitcoin", "BTC", "crypto"),
    "eth": ("Ether", "ETH", "crypto"),
    "sats": ("Satoshi", "sats", "crypto"),
    "xau": ("Gold - Troy Ounce", "XAU", "commodity"),
}
#: Amounts of a row that are in its currency.
AMOUNTS = (
    "current_price",
    "market_cap",
    "fully_diluted_valuation",
    "total_volume",
    "high_24h",
    "low_24h",
    "price_change_24h",
    "market_cap_change_24h",
    "ath",
    "atl",
)
SPANS = {"1h": 0.25, "24h": 1.01, "7d": -4.5, "14d": 3.0, "30d": 9.5, "200d": 40.0, "1y": 88.0}
ORDERS = {"market_cap": "market_cap", "volume": "total_volume", "id": "id"}
FIRST_FIELDS = 26


def every(now: datetime) -> list[dict[str, Any]]:
    """The ranked list, and the coins beyond it."""
    beyond = (data.coin_row(one[4], *one[:4], now) for one in data.BEYOND)
    return [*data.coins(now), *beyond]


def is_yes(query: Mapping[str, str], name: str, default: str = "false") -> bool:
    return query.get(name, default).lower() == "true"


def names_of(query: Mapping[str, str], parameter: str) -> list[str]:
    """Those of a comma list. As the vendor, it does not skip blanks: ` b` is no coin."""
    return [name for name in query.get(parameter, "").lower().split(",") if name]


def chosen(query: Mapping[str, str], now: datetime) -> dict[str, dict[str, Any]]:
    """Rows of `ids`, else of `symbols` (the best-ranked coin of each), by the name asked for."""
    rows = sorted(every(now), key=lambda row: -int(row["market_cap_rank"]))
    field, parameter = ("id", "ids") if query.get("ids") else ("symbol", "symbols")
    known = {row[field]: row for row in rows}
    return {name: known[name] for name in names_of(query, parameter) if name in known}


def prices(query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """`simple/price`: only what was asked for."""
    return {name: _price(row, query, now) for name, row in chosen(query, now).items()}


def token_prices(query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """`simple/token_price/{platform}`: by the contracts' addresses, in lower case."""
    rows = {row["id"]: row for row in every(now)}
    coins = {
        address: coin_of_contract(address) for address in names_of(query, "contract_addresses")
    }
    return {
        address: _price(rows[coin], query, now) for address, coin in coins.items() if coin in rows
    }


def coin_of_contract(address: str) -> str:
    """The id; empty if no coin has it."""
    named = {one[5].lower(): one[0] for one in data.BEYOND}
    return named.get(address.lower(), "")


def _price(row: Mapping[str, Any], query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    currencies = [name for name in names_of(query, "vs_currencies") if name in UNITS]
    told = {"market_cap": "market_cap", "24hr_vol": "total_volume"}
    one: dict[str, Any] = {}
    for currency in currencies:
        units = UNITS[currency]
        one[currency] = row["current_price"] * units
        for parameter, field in told.items():
            if is_yes(query, f"include_{parameter}"):
                one[f"{currency}_{parameter.replace('24hr', '24h')}"] = row[field] * units
        if is_yes(query, "include_24hr_change"):
            one[f"{currency}_24h_change"] = row["price_change_percentage_24h"]
    if currencies and is_yes(query, "include_last_updated_at"):
        one["last_updated_at"] = int(now.timestamp())
    return one


def markets(query: Mapping[str, str], now: datetime) -> list[dict[str, Any]]:
    """`coins/markets`: a page of rows, in the order that `order` names."""
    is_chosen = query.get("ids") or query.get("symbols")
    rows = list(chosen(query, now).values()) if is_chosen else data.coins(now)
    if is_yes(query, "sparkline"):
        drawn = {row["id"]: row for row in data.with_sparklines(data.coins(now))}
        rows = [drawn.get(row["id"], row | {"sparkline_in_7d": {"price": []}}) for row in rows]
    name, _, way = query.get("order", "market_cap_desc").rpartition("_")
    field = ORDERS.get(name, "market_cap")
    rows.sort(key=lambda row: row[field], reverse=way == "desc")
    size, page = min(int(query.get("per_page", 100)), 250), int(query.get("page", 1))
    return [shown(row, query) for row in rows[(page - 1) * size : page * size]]


def shown(row: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """The row in the currency asked for, with the spans asked for."""
    units = UNITS[query["vs_currency"].lower()]
    fields = dict(list(row.items())[:FIRST_FIELDS])
    if units != 1.0:
        fields |= {name: fields[name] * units for name in AMOUNTS}
    if "sparkline_in_7d" in row:
        told = [price * units for price in row["sparkline_in_7d"]["price"]]
        fields["sparkline_in_7d"] = {"price": told}
    for span in names_of(query, "price_change_percentage"):
        if span in SPANS:
            fields[f"price_change_percentage_{span}_in_currency"] = SPANS[span]
    return fields


def images(row: Mapping[str, Any]) -> dict[str, str]:
    return {size: f"{row['image']}?size={size}" for size in ("thumb", "small", "large")}


def whole(row: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """`coins/{id}`: parts of it can be left out."""
    page: dict[str, Any] = {
        "id": row["id"],
        "symbol": row["symbol"],
        "name": row["name"],
        "web_slug": row["id"],
        "asset_platform_id": None,
        "platforms": {"": ""},
        "categories": [],
        "image": images(row),
        "market_cap_rank": row["market_cap_rank"],
        "last_updated": row["last_updated"],
    }
    if is_yes(query, "localization", "true"):
        page["localization"] = {"en": row["name"]}
    if is_yes(query, "market_data", "true"):
        page["market_data"] = market_data(row) | {"last_updated": row["last_updated"]}
    if is_yes(query, "tickers", "true"):
        page["tickers"] = []
    return page


def market_data(row: Mapping[str, Any]) -> dict[str, Any]:
    def everywhere(field: str) -> dict[str, float]:
        return {currency: row[field] * units for currency, units in UNITS.items()}

    fields = ("current_price", "market_cap", "total_volume")
    return {field: everywhere(field) for field in fields}


def on_a_day(row: Mapping[str, Any]) -> dict[str, Any]:
    """`coins/{id}/history`."""
    names = {name: row[name] for name in ("id", "symbol", "name")}
    return {**names, "image": images(row), "market_data": market_data(row)}


def search(text: str, now: datetime) -> dict[str, Any]:
    text = text.lower()
    found = [row for row in every(now) if text in row["id"] or text in row["name"].lower()][:25]
    other: dict[str, list[Any]] = {"exchanges": [], "icos": [], "categories": [], "nfts": []}
    return {"coins": [candidate(row) for row in found], **other}


def candidate(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "api_symbol": row["id"],
        "symbol": row["symbol"].upper(),
        "market_cap_rank": row["market_cap_rank"],
        "thumb": images(row)["thumb"],
        "large": images(row)["large"],
    }


def trending(now: datetime) -> dict[str, Any]:
    return {"coins": [{"item": candidate(row)} for row in data.coins(now)[:7]], "nfts": []}


def exchange_rates() -> dict[str, Any]:
    """Units for a bitcoin."""
    rates = {}
    for currency, units in UNITS.items():
        name, unit, kind = MONEY.get(currency, (currency.upper(), currency.upper(), "fiat"))
        value = units / UNITS["btc"]
        rates[currency] = {"name": name, "unit": unit, "value": value, "type": kind}
    return {"rates": rates}


def platforms() -> list[dict[str, Any]]:
    named = {"id": "ethereum", "chain_identifier": 1, "name": "Ethereum", "shortname": "Ethereum"}
    return [{**named, "native_coin_id": "ethereum"}]


def categories() -> list[dict[str, Any]]:
    return [{"category_id": "layer-1", "name": "Layer 1 (L1)"}]


def exchanges() -> list[dict[str, Any]]:
    return [{"id": "binance", "name": "Binance"}]
