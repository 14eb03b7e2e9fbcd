"""CoinMarketCap: ranked list, figures of the whole market, and its own Fear & Greed Index.

Documentation: coinmarketcap.com/api/documentation (2026-07; errors 2026-09; keyless: 2026-10). The
keyless limit is per address, for all operations together, and unpublished. A key has its own path.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from backend.errors import AuthFailed, PlanRestricted, QuotaSpent, RateLimited
from backend.models.global_market import GlobalMarket, GlobalQuery, total_in_dollars
from backend.models.market import (
    ForeignRanking,
    ListedCoin,
    QuotesQuery,
    coin_from_fields,
    plausible_market_cap,
)
from backend.models.sentiment import FearGreed, FearGreedSeries, SentimentQuery
from backend.providers.adapter import (
    KIB,
    MIB,
    Adapter,
    Auth,
    Call,
    Context,
    Operation,
    Plan,
    Window,
)
from backend.providers.rankings import (
    LIST_SIZE,
    change_of,
    foreign_ranking,
)
from backend.providers.rows import (
    iso_instant,
    known_amount,
    parse_days,
    printable_name,
    refuse_other_times,
    whole_number,
)

MONTH_S = 30 * 86_400.0
#: Credits of a list: one for each 200 coins. Any other call costs one.
LIST_CREDITS = 3

KEYLESS = Plan(
    "keyless",
    ("https://pro-api.coinmarketcap.com",),
    # Ten lists an hour, fewer if other operations are in use.
    (Window(1, 60), Window(10 * LIST_CREDITS, 3_600, unit="weight")),
)
BASIC = Plan(
    "basic",
    KEYLESS.base_urls,
    (Window(30, 60), Window(15_000, MONTH_S, kind="month", unit="weight")),
    Auth("header", "X-CMC_PRO_API_KEY"),
)

ATTRIBUTION = (
    "CMC Crypto Fear and Greed Index by CoinMarketCap "
    "(https://coinmarketcap.com/charts/fear-and-greed-index/)"
)
#: No index of this kind is older: an earlier time is an error.
FIRST_DAY = datetime(2018, 1, 1, tzinfo=UTC)

Build = Callable[[Any, Context], tuple[Call, ...]]


def _always(path: str, params: tuple[tuple[str, str], ...], max_bytes: int, cost: int) -> Build:
    """The one call of an operation: without a key its path begins with `/public-api`."""
    keyed = Call(path, params, weight=cost, max_bytes=max_bytes)
    keyless = Call(f"/public-api{path}", params, weight=cost, max_bytes=max_bytes)
    return lambda _query, context: (keyed if context.plan == BASIC.name else keyless,)


#: A year in one call, 30 KiB.
build_fear_greed = _always(
    "/v3/fear-and-greed/historical", (("limit", "365"), ("start", "1")), 512 * KIB, 1
)
build_listings = _always(
    "/v3/cryptocurrency/listings/latest",
    (("start", "1"), ("limit", f"{LIST_SIZE}"), ("convert", "USD")),
    6 * MIB,
    LIST_CREDITS,
)
build_global = _always("/v1/global-metrics/quotes/latest", (("convert", "USD"),), 64 * KIB, 1)


def _data(payload: Any) -> Any:
    """`data` of a success. Errors may have status 200, and their code may be a text."""
    if str(payload["status"]["error_code"]) != "0":
        raise ValueError("an error instead of data")
    return payload["data"]


def _in_usd(quote: Any) -> Any:
    """The figures in USD: v3 has a list of currencies, v1 a dict by currency."""
    if not isinstance(quote, list):
        return quote["USD"]
    (figures,) = (one for one in quote if one["symbol"] == "USD")
    return figures


def parse_listings(
    _query: QuotesQuery, payloads: Sequence[Any], context: Context
) -> ForeignRanking:
    """The ranked list, best rank first. Malformed rows are left out and named."""
    parse = partial(_listed, context.provider)
    return foreign_ranking(_data(payloads[0]), parse, "slug", context.now_ms, most=2 * LIST_SIZE)


def _listed(provider: str, row: Any) -> ListedCoin:
    figures, platform = _in_usd(row["quote"]), row.get("platform")
    price, percentage = figures["price"], figures.get("percent_change_24h")
    updated = figures.get("last_updated") or row.get("last_updated")
    coin = coin_from_fields(
        {
            "id": None,
            "symbol": row["symbol"].upper(),
            "name": row.get("name"),
            "image": None,
            "market_cap_rank": row["cmc_rank"],
            "price": price,
            "market_cap": plausible_market_cap(known_amount(figures.get("market_cap"))),
            "volume_24h": figures.get("volume_24h"),
            "high_24h": None,
            "low_24h": None,
            "price_change_24h": change_of(price, percentage),
            "price_change_percentage_24h": percentage,
            "circulating_supply": known_amount(row.get("circulating_supply")),
            "last_updated": None if updated is None else iso_instant(updated),
            "source": provider,
            "price_change_percentage_1h": figures.get("percent_change_1h"),
            "price_change_percentage_7d": figures.get("percent_change_7d"),
        }
    )
    contracts = (printable_name(platform["token_address"]),) if platform else ()
    return ListedCoin(coin, printable_name(row["slug"]), contracts)


def parse_global(_query: GlobalQuery, payloads: Sequence[Any], context: Context) -> GlobalMarket:
    data = _data(payloads[0])
    figures = _in_usd(data["quote"])
    updated = iso_instant(figures.get("last_updated") or data["last_updated"])
    refuse_other_times((int(updated.timestamp() * 1000),), context.now_ms)
    return GlobalMarket(
        market_cap=total_in_dollars(figures["total_market_cap"]),
        volume_24h=total_in_dollars(figures["total_volume_24h"]),
        market_cap_change_percentage_24h=figures.get(
            "total_market_cap_yesterday_percentage_change"
        ),
        btc_dominance=data["btc_dominance"],
        eth_dominance=data.get("eth_dominance"),
        active_coins=data.get("active_cryptocurrencies"),
        last_updated=updated,
    )


def parse_fear_greed(
    _query: SentimentQuery, payloads: Sequence[Any], context: Context
) -> FearGreedSeries:
    """The days, newest first. Malformed days and days in the future are refused by name."""
    days, refused = parse_days(_data(payloads[0]), _day, FIRST_DAY, context.now_ms)
    return FearGreedSeries(days, refused=refused)


def _day(row: Any) -> FearGreed:
    return FearGreed(
        value=whole_number(str(row["value"]), 3),  # 13 or "13": clients document both
        classification=row.get("value_classification") or None,
        timestamp=_instant(row["timestamp"]),
        index="coinmarketcap",
        attribution=ATTRIBUTION,
    )


def _instant(value: Any) -> datetime:
    """Epoch seconds (text or number) or ISO 8601, as clients document both."""
    text = str(value)
    if re.fullmatch(r"[0-9]{10}", text):
        return datetime.fromtimestamp(int(text), UTC)
    return iso_instant(text)


def error_code(payload: Any) -> int | None:
    """`status.error_code`; successful answers have 0 or `"0"`."""
    status = payload.get("status") if isinstance(payload, dict) else None
    code = str(status.get("error_code")) if isinstance(status, dict) else ""
    return int(code) if re.fullmatch(r"[1-9][0-9]{0,5}", code) else None


ADAPTER = Adapter(
    vendor="coinmarketcap",
    operations=(
        Operation("listings", QuotesQuery, build_listings, parse_listings, parse_in_thread=True),
        Operation("global", GlobalQuery, build_global, parse_global),
        Operation("fear_greed", SentimentQuery, build_fear_greed, parse_fear_greed),
    ),
    error_code=error_code,
    errors={
        (None, 1001): AuthFailed,  # the key is wrong
        (None, 1002): AuthFailed,  # the key is missing
        (None, 1003): AuthFailed,  # the key's plan is not paid
        (None, 1004): AuthFailed,  # the key's plan has ended
        (None, 1005): PlanRestricted,  # the endpoint requires a key now
        (None, 1006): PlanRestricted,  # the endpoint is not part of the key's plan
        (None, 1007): AuthFailed,  # the key is disabled
        (None, 1008): RateLimited,  # per minute
        (None, 1009): QuotaSpent,  # per day; its reset is not documented
        (None, 1010): QuotaSpent,  # per month
        (None, 1011): RateLimited,  # the limit of our IP address
    },
)
