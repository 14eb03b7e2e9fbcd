"""CoinGecko v3: coins, the whole market, candles; with the plans Pro, Demo and keyless.

Documentation: docs.coingecko.com (reference of 2026-06); errors: /docs/errors-and-rate-limits.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from backend.errors import AuthFailed, PlanRestricted, QueryRefused, RateLimited
from backend.models.account import AccountLimits, AccountQuery
from backend.models.global_market import GlobalMarket, GlobalQuery, total_in_dollars
from backend.providers.adapter import KIB, Adapter, Auth, Call, Context, Operation, Plan, Window
from backend.providers.pass_through import pass_through
from backend.providers.rows import refuse_other_times
from backend.providers.vendors import coingecko_candles as candles
from backend.providers.vendors import coingecko_coins as coins

MONTH_S = 30 * 86_400.0

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
build_global = Call("/global", max_bytes=64 * KIB).always


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


def parse_global(_query: GlobalQuery, payloads: Sequence[Any], context: Context) -> GlobalMarket:
    figures = payloads[0]["data"]
    stamp_s, shares = figures["updated_at"], figures["market_cap_percentage"]
    refuse_other_times((stamp_s * 1000,), context.now_ms)
    return GlobalMarket(
        market_cap=total_in_dollars(figures["total_market_cap"]["usd"]),
        volume_24h=total_in_dollars(figures["total_volume"]["usd"]),
        market_cap_change_percentage_24h=figures.get("market_cap_change_percentage_24h_usd"),
        btc_dominance=shares["btc"],
        eth_dominance=shares.get("eth"),
        active_coins=figures.get("active_cryptocurrencies"),
        last_updated=datetime.fromtimestamp(stamp_s, UTC),
    )


def error_code(payload: Any) -> int | None:
    """The code from any of the four forms of an error body; None without a code."""
    error = payload.get("error") if isinstance(payload, dict) else None
    inner = error.get("status") if isinstance(error, dict) else None
    outer = payload.get("status") if isinstance(payload, dict) else None
    holders = (holder for holder in (outer, payload, inner) if isinstance(holder, dict))
    codes = (holder.get("error_code") for holder in holders)
    return next((code for code in codes if isinstance(code, int)), None)


def is_error(document: Any) -> bool:
    """True for an error in any of its forms."""
    error = document.get("error") if isinstance(document, dict) else None
    has_error = isinstance(error, str | dict) and not _is_price(error)
    return has_error or error_code(document) is not None


def _is_price(row: Any) -> bool:
    """True for what `simple/price` says of a coin: one may have the ticker `error`."""
    is_row = isinstance(row, dict) and row.keys().isdisjoint(("code", "error_code", "status"))
    return is_row and all(isinstance(one, float | int | None) for one in row.values())


ADAPTER = Adapter(
    vendor="coingecko",
    operations=(
        Operation("key", AccountQuery, build_key, parse_key, serves_key),
        *coins.OPERATIONS,
        Operation("global", GlobalQuery, build_global, parse_global),
        pass_through("coingecko", is_error),
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
