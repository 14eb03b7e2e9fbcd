"""The paths of CoinGecko's API that are served, and those that only its paid plans have."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from api.facades.coingecko import parameters as known
from api.facades.coingecko.freshness import (
    DAY_S,
    LISTS_STALE_S,
    MINUTE_S,
    MOST_STALE_S,
    MOST_STALE_UNTIMED_S,
    SERIES_STALE_S,
    of_prices,
    of_series,
    survives,
)
from api.facades.vendor_paths import (
    Parameter,
    Refine,
    VendorPath,
    lower,
    lower_list,
    unchanged,
)

NONE: Mapping[str, Parameter] = MappingProxyType({})


def _details(template: str, summary: str, parameters: Mapping[str, Parameter] = NONE) -> VendorPath:
    return VendorPath(template, summary, 5 * MINUTE_S, 60 * MINUTE_S, parameters)


def _untimed(template: str, summary: str, parameters: Mapping[str, Parameter] = NONE) -> VendorPath:
    """Figures without a time beside them."""
    return replace(_details(template, summary, parameters), max_stale_s=MOST_STALE_UNTIMED_S)


def _list(
    template: str,
    summary: str,
    parameters: Mapping[str, Parameter] = NONE,
    refine: Refine = unchanged,
) -> VendorPath:
    return VendorPath(template, summary, DAY_S, LISTS_STALE_S, parameters, refine=refine)


def _series(
    template: str, summary: str, parameters: Mapping[str, Parameter], refine: Refine = unchanged
) -> VendorPath:
    ttl_s = 15 * MINUTE_S
    return VendorPath(template, summary, ttl_s, SERIES_STALE_S, parameters, refine=refine)


OF_COIN = {"id": known.COIN}
OF_EXCHANGE = {"id": known.EXCHANGE}
OF_CONTRACT = {"id": known.PLATFORM, "contract_address": known.CONTRACT}
CHART = {**known.SERIES, "interval": known.INTERVAL, "precision": known.PRECISION}
TICKERS = {
    "include_exchange_logo": known.off("with the logo of each exchange"),
    "page": known.PAGE,
    "order": known.order("trust_score_desc", "volume_desc"),
    "depth": known.off("with the depth of the books"),
    "dex_pair_format": known.DEX_PAIRS,
}

SIMPLE_PRICE = VendorPath(
    "/simple/price",
    "Prices of coins",
    MINUTE_S,
    MOST_STALE_S,
    {"vs_currencies": known.CURRENCIES, **known.COINS, **known.INCLUDED},
    refine=of_prices,
)
MARKETS = VendorPath(
    "/coins/markets",
    "Coins with their figures",
    MINUTE_S,
    MOST_STALE_S,
    {
        "vs_currency": known.CURRENCY,
        **known.COINS,
        "category": known.choice("CoinGecko's id of a category", "layer-1"),
        "order": known.order("market_cap_desc", "volume_desc"),
        "per_page": known.PER_PAGE,
        "page": known.PAGE,
        "sparkline": known.off("with hourly prices of 7 days"),
        "price_change_percentage": Parameter(
            lower_list, "comma list of `1h`, `24h`, `7d`, `14d`, `30d`, `200d`, `1y`", "1h,7d"
        ),
        "locale": Parameter(known.unless("en", lower), "language of the names", "en"),
        "precision": known.PRECISION,
        "include_rehypothecated": known.off("with tokens that stand for other coins"),
    },
)
HISTORY = _details(
    "/coins/{id}/history",
    "A coin on a past day",
    {**OF_COIN, "date": known.DAY, "localization": known.on("with names in other languages")},
)
CHART_RANGES = (
    _series("/coins/{id}/market_chart/range", "Points of a range", {**OF_COIN, **known.RANGE}),
    _series(
        "/coins/{id}/contract/{contract_address}/market_chart/range",
        "Points of a token, of a range",
        {**OF_CONTRACT, **known.RANGE},
    ),
)
#: Those that are passed through without a condition. The fixed ones come before those of any coin.
PASSED_ON = (
    VendorPath(
        "/simple/token_price/{id}",
        "Prices of tokens by contract",
        MINUTE_S,
        MOST_STALE_S,
        {
            "id": known.PLATFORM,
            "contract_addresses": Parameter(
                known.plain_list, "comma list of contracts", known.CONTRACT.example, True
            ),
            "vs_currencies": known.CURRENCIES,
            **known.INCLUDED,
        },
        refine=of_prices,
    ),
    _list("/simple/supported_vs_currencies", "Currencies of amounts"),
    VendorPath(
        "/exchange_rates", "Units of currencies for a bitcoin", MINUTE_S, MOST_STALE_UNTIMED_S
    ),
    _list(
        "/coins/list",
        "Names of all coins",
        {
            "include_platform": known.off("with the contracts of tokens"),
            "status": known.STATUS,
        },
        survives,
    ),
    _list("/coins/categories/list", "Names of all categories"),
    _details(
        "/coins/categories",
        "Categories with their figures",
        {"order": known.order("market_cap_desc", "name_asc")},
    ),
    _details(
        "/coins/{id}",
        "A coin's page",
        {
            **OF_COIN,
            "localization": known.on("with names in other languages"),
            "tickers": known.on("with tickers"),
            "market_data": known.on("with figures of the market"),
            "community_data": known.on("with figures of its community"),
            "developer_data": known.on("with figures of its source code"),
            "sparkline": known.off("with hourly prices of 7 days"),
            "include_categories_details": known.off("with details of its categories"),
            "dex_pair_format": known.DEX_PAIRS,
        },
    ),
    _details(
        "/coins/{id}/tickers",
        "Where a coin is traded",
        {
            **OF_COIN,
            "exchange_ids": Parameter(lower_list, "comma list of exchanges", "binance"),
            **TICKERS,
        },
    ),
    _series("/coins/{id}/market_chart", "Points up to now", {**OF_COIN, **CHART}, of_series),
    _series(
        "/coins/{id}/ohlc",
        "Candles up to now, stamped at their close",
        {**OF_COIN, **CHART},
    ),
    _details("/coins/{id}/contract/{contract_address}", "A token's page", OF_CONTRACT),
    _series(
        "/coins/{id}/contract/{contract_address}/market_chart",
        "Points of a token, up to now",
        {**OF_CONTRACT, **CHART},
        of_series,
    ),
    _details("/search", "Coins, exchanges and categories by name", {"query": known.TEXT}),
    _untimed("/search/trending", "What is looked for most"),
    _details("/global", "The whole market"),
    _untimed("/global/decentralized_finance_defi", "Decentralized finance"),
    _list(
        "/asset_platforms",
        "Blockchains",
        {"filter": known.choice("`nft`: only those with NFTs", "nft")},
    ),
    _list(
        "/token_lists/{asset_platform_id}/all.json",
        "Tokens of a blockchain",
        {"asset_platform_id": known.PLATFORM},
    ),
    _untimed(
        "/exchanges",
        "Exchanges with their figures",
        {"per_page": known.PER_PAGE, "page": known.PAGE},
    ),
    _list("/exchanges/list", "Names of all exchanges", {"status": known.STATUS}),
    _untimed("/exchanges/{id}", "An exchange", {**OF_EXCHANGE, "dex_pair_format": known.DEX_PAIRS}),
    _details(
        "/exchanges/{id}/tickers",
        "What an exchange trades",
        {
            **OF_EXCHANGE,
            "coin_ids": Parameter(lower_list, "comma list of coins", "bitcoin"),
            **TICKERS,
        },
    ),
    _series(
        "/exchanges/{id}/volume_chart",
        "Volumes of an exchange, in bitcoins",
        {**OF_EXCHANGE, "days": known.DAYS},
        of_series,
    ),
)
#: Paths of paid plans: the account of the operator, and costly data.
PAID = (
    "/key",
    "/coins/list/new",
    "/coins/top_gainers_losers",
    "/coins/{id}/ohlc/range",
    "/coins/{id}/circulating_supply_chart",
    "/coins/{id}/circulating_supply_chart/range",
    "/coins/{id}/total_supply_chart",
    "/coins/{id}/total_supply_chart/range",
    "/coins/{id}/supply_breakdown",
    "/exchanges/{id}/volume_chart/range",
    "/global/market_cap_chart",
    "/news",
    "/insights",
)
