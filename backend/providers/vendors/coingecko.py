"""CoinGecko v3: the ranked market list and candles, with the plans Pro, Demo and keyless.

Documentation: docs.coingecko.com (reference of 2026-06); errors: /docs/errors-and-rate-limits.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from backend.errors import AuthFailed, PlanRestricted, QueryRefused, RateLimited
from backend.models.account import AccountLimits, AccountQuery
from backend.models.market import Coin, QuotesQuery, Ranking, coins_by_rank
from backend.models.numbers import LARGEST
from backend.providers.adapter import MIB, Adapter, Auth, Call, Context, Operation, Plan, Window
from backend.providers.rows import (
    AHEAD_MS,
    iso_instant,
    parse_rows,
    refuse_other_times,
    usable_image,
)
from backend.providers.vendors import coingecko_candles as candles

MONTH_S = 30 * 86_400.0
#: Largest page, in rows.
PAGE = 250

PRO = Plan(
    candles.PAID_PLAN,
    ("https://pro-api.coingecko.com/api/v3",),
    # Basic, the smallest paid plan, until /key has returned the real limits.
    (Window(300, 60), Window(100_000, MONTH_S, kind="month", counts_on="success")),
    Auth("header", "x-cg-pro-api-key"),
)
DEMO = Plan(
    "demo",
    ("https://api.coingecko.com/api/v3",),
    # The documents say 30 or 100 per minute: the lower one is safe.
    (Window(30, 60), Window(10_000, MONTH_S, kind="month", counts_on="success")),
    Auth("header", "x-cg-demo-api-key"),
)
KEYLESS = Plan("keyless", DEMO.base_urls, (Window(5, 60),))

build_key = Call("/key").always
#: The top 250 by market cap in USD, in one call.
build_markets = Call(
    "/coins/markets",
    (("vs_currency", "usd"), ("order", "market_cap_desc"), ("per_page", f"{PAGE}"), ("page", "1")),
    max_bytes=2 * MIB,
).always


def serves_key(_query: AccountQuery, context: Context) -> bool:
    """Only Pro: other plans get error 10005."""
    return context.plan == PRO.name


def parse_key(_query: AccountQuery, payloads: Sequence[Any], _context: Context) -> AccountLimits:
    """The limits of the key, else of the plan: a plan may be divided among keys."""
    limits = payloads[0]

    def figure(*names: str) -> Any:
        return next((limits[name] for name in names if limits.get(name) is not None), None)

    rate, credit = "rate_limit_request_per_minute", "monthly_call_credit"
    used = figure("api_key_current_total_monthly_calls", "current_total_monthly_calls")
    return AccountLimits(figure(f"api_key_{rate}", rate), figure(f"api_key_{credit}", credit), used)


def parse_markets(_query: QuotesQuery, payloads: Sequence[Any], context: Context) -> Ranking:
    """The ranked list, best rank first. Malformed rows are left out and named."""
    rows, refused = parse_rows(payloads[0], partial(_coin, context.provider), "id", most=2 * PAGE)
    coins = [coin for coin, _ in rows]
    own_ms = refuse_other_times(filter(None, map(_stamp_ms, coins)), context.now_ms)
    # An old row shows its age; a row from the future is refused.
    ahead = dict.fromkeys(coin.id for coin in coins if _stamp_ms(coin) > own_ms + AHEAD_MS)
    unique = {
        coin.id: (coin, is_wrong) for coin, is_wrong in reversed(rows) if coin.id not in ahead
    }
    return Ranking(
        coins_by_rank(coin for coin, _ in unique.values()),
        (*refused, *map(str, ahead)),
        tuple(str(coin.id) for coin, has_wrong_supply in unique.values() if has_wrong_supply),
    )


def _stamp_ms(coin: Coin) -> int:
    return int(coin.last_updated.timestamp() * 1000) if coin.last_updated else 0


def _coin(provider: str, row: Any) -> tuple[Coin, bool]:
    """The coin, and whether its supply was left out as impossibly large."""
    if row["id"] is None:
        raise ValueError("a row without an id")
    # Id, symbol and price are required; any other missing key is null.
    market_cap, supply = _known(row.get("market_cap")), row.get("circulating_supply")
    # With a market cap, a supply of 0 is kept: CoinGecko ranks some coins by another supply.
    supply = _known(supply) if market_cap is None else supply
    has_wrong_supply = isinstance(supply, float | int) and supply >= LARGEST
    updated = row.get("last_updated")
    coin = Coin(
        id=row["id"],
        symbol=row["symbol"].upper(),
        name=row.get("name"),
        image=usable_image(row.get("image")),  # "missing_large.png" is not a URL
        market_cap_rank=row.get("market_cap_rank"),
        price=row["current_price"],
        market_cap=market_cap,
        volume_24h=row.get("total_volume"),
        high_24h=row.get("high_24h"),
        low_24h=row.get("low_24h"),
        price_change_24h=row.get("price_change_24h"),
        price_change_percentage_24h=row.get("price_change_percentage_24h"),
        circulating_supply=None if has_wrong_supply else supply,
        last_updated=None if updated is None else iso_instant(updated),
        source=provider,
    )
    return coin, has_wrong_supply


def _known(amount: Any) -> Any:
    """The amount; None for 0, which CoinGecko sends for an unknown supply or market cap."""
    return None if amount == 0 and amount is not False else amount


def error_code(payload: Any) -> int | None:
    """The code from any of the four forms of an error body; None without a code."""
    error = payload.get("error") if isinstance(payload, dict) else None
    inner = error.get("status") if isinstance(error, dict) else None
    outer = payload.get("status") if isinstance(payload, dict) else None
    holders = (holder for holder in (outer, payload, inner) if isinstance(holder, dict))
    codes = (holder.get("error_code") for holder in holders)
    return next((code for code in codes if isinstance(code, int)), None)


ADAPTER = Adapter(
    vendor="coingecko",
    operations=(
        Operation("key", AccountQuery, build_key, parse_key, serves_key),
        Operation("markets", QuotesQuery, build_markets, parse_markets),
        *candles.OPERATIONS,
    ),
    error_code=error_code,
    errors={
        (None, 429): RateLimited,
        (None, 10002): AuthFailed,  # no key, or a wrong one
        (None, 10005): PlanRestricted,
        (None, 10010): AuthFailed,  # a Pro key on the public host
        (None, 10011): AuthFailed,  # a Demo key on the Pro host
        (None, 10012): QueryRefused,  # older than the plan allows
    },
)
