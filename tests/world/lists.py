"""The market in the shapes of vendors with ids of their own, the whole market, exchange rates."""

from datetime import UTC, datetime
from typing import Any

from tests.world import data

#: What the whole market is, by every vendor.
MARKET_CAP, VOLUME, CHANGE = 2.5e12, 9.0e10, 1.25
BTC_SHARE, ETH_SHARE, COINS = 55.5, 12.25, 9_876
#: Units for a dollar.
RATES = {
    "AED": "3.6725",
    "BTC": "0.0000200000",
    "CHF": "0.8812",
    "ETH": "0.0004000000",
    "EUR": "0.9215",
    "GBP": "0.7874",
    "JPY": "150.125",
    "KRW": "1385.5",
    "USDC": "1.000000",
}
NATIONAL = ("CHF", "EUR", "GBP", "JPY", "KRW")


def iso(now_ms: int) -> str:
    stamp = data.utc(now_ms).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")


def cmc_status(code: int | str = 0) -> dict[str, Any]:
    return {"error_code": code, "error_message": None, "elapsed": 9, "credit_count": 1}


def cmc_listings(now_ms: int, limit: int = data.ROWS) -> dict[str, Any]:
    rows = data.coins(data.utc(now_ms - 60_000))[:limit]
    return {
        "status": cmc_status("0"),
        "data": [cmc_row(number, row) for number, row in enumerate(rows, 1)],
    }


def cmc_row(number: int, row: dict[str, Any]) -> dict[str, Any]:
    quote = {
        "id": 2781,
        "symbol": "USD",
        "price": row["current_price"],
        "volume_24h": row["total_volume"],
        "percent_change_1h": 0.1,
        "percent_change_24h": row["price_change_percentage_24h"],
        "percent_change_7d": -2.5,
        "market_cap": row["market_cap"],
        "minted_market_cap": "not_available",
        "tvl": None,
        "last_updated": row["last_updated"],
    }
    return {
        "id": number,
        "name": row["name"],
        "symbol": row["symbol"].upper(),
        "slug": row["id"],
        "cmc_rank": row["market_cap_rank"],
        "circulating_supply": row["circulating_supply"],
        "max_supply": None,
        "infinite_supply": True,
        "platform": None,
        "is_active": 1,
        "is_fiat": 0,
        "tags": [],
        "last_updated": row["last_updated"],
        "quote": [quote],
    }


def cmc_global(now_ms: int) -> dict[str, Any]:
    quote = {
        "total_market_cap": MARKET_CAP,
        "total_volume_24h": VOLUME,
        "total_market_cap_yesterday_percentage_change": CHANGE,
        "last_updated": iso(now_ms - 60_000),
    }
    figures = {
        "active_cryptocurrencies": COINS,
        "btc_dominance": BTC_SHARE,
        "eth_dominance": ETH_SHARE,
        "quote": {"USD": quote},
        "last_updated": iso(now_ms - 60_000),
    }
    return {"status": cmc_status(), "data": figures}


def coingecko_global(now_ms: int) -> dict[str, Any]:
    figures = {
        "active_cryptocurrencies": COINS,
        "markets": 1_200,
        "total_market_cap": {"btc": 5.0e7, "usd": MARKET_CAP},
        "total_volume": {"btc": 1.8e6, "usd": VOLUME},
        "market_cap_percentage": {"btc": BTC_SHARE, "eth": ETH_SHARE},
        "market_cap_change_percentage_24h_usd": CHANGE,
        "updated_at": now_ms // 1000 - 60,
    }
    return {"data": figures}


def paprika_tickers(now_ms: int) -> list[dict[str, Any]]:
    """Without an order, with an inactive coin among them."""
    rows = [paprika_row(row) for row in data.coins(data.utc(now_ms - 120_000))]
    inactive = {**rows[3], "id": "old-coin", "symbol": "OLD", "name": "Old Coin", "rank": 0}
    return [*rows[::2], *rows[1::2], inactive]


def paprika_row(row: dict[str, Any]) -> dict[str, Any]:
    quote = {
        "price": row["current_price"],
        "volume_24h": row["total_volume"],
        "market_cap": row["market_cap"],
        "percent_change_1h": 0.1,
        "percent_change_24h": row["price_change_percentage_24h"],
        "percent_change_7d": "",
        "ath_price": row["current_price"] * 1.5,
        "ath_date": "2021-11-10T16:51:15Z",
    }
    return {
        "id": f"{row['symbol']}-{row['id']}",
        "name": row["name"],
        "symbol": row["symbol"].upper(),
        "rank": row["market_cap_rank"],
        "total_supply": 1,
        "max_supply": 0,
        "last_updated": row["last_updated"].replace(".000Z", "Z"),
        "quotes": {"USD": quote},
    }


def paprika_global(now_ms: int) -> dict[str, Any]:
    return {
        "market_cap_usd": int(MARKET_CAP),
        "volume_24h_usd": int(VOLUME),
        "bitcoin_dominance_percentage": BTC_SHARE,
        "cryptocurrencies_number": COINS,
        "market_cap_ath_value": int(MARKET_CAP),
        "market_cap_change_24h": CHANGE,
        "last_updated": now_ms // 1000 - 60,
    }


def coinbase_rates() -> dict[str, Any]:
    odd = {"00": "12.5", "ETH2": "0.0004", "XAU": "0", "EEK": "14.61"}
    return {"data": {"currency": "USD", "rates": RATES | {"USD": "1.0"} | odd}}


def frankfurter(now_ms: int) -> dict[str, Any]:
    day = datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
    rates = {code: float(RATES[code]) for code in NATIONAL}
    return {"amount": 1.0, "base": "USD", "date": day, "rates": rates}
