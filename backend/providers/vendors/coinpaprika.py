"""CoinPaprika: ranked list and figures of the whole market, from its free API.

Documentation: docs.coinpaprika.com, OpenAPI of 2026-08. Its figures change every five minutes.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from backend.errors import AuthFailed, QuotaSpent
from backend.models.global_market import GlobalMarket, GlobalQuery, total_in_dollars
from backend.models.market import (
    RANGE_SLACK,
    ForeignRanking,
    ListedCoin,
    QuotesQuery,
    coin_from_fields,
    plausible_market_cap,
)
from backend.providers.adapter import KIB, MIB, Adapter, Call, Context, Operation, Plan, Window
from backend.providers.rankings import (
    LIST_SIZE,
    change_of,
    foreign_ranking,
)
from backend.providers.rows import (
    bounded,
    iso_instant,
    known_amount,
    printable_name,
    refuse_other_times,
)

MONTH_S = 30 * 86_400.0
#: Most rows of an answer; the free plan has 2,000 assets.
MOST_ROWS = 10_000
KEYLESS = Plan(
    "keyless",
    ("https://api.coinpaprika.com",),
    # The documents say 20,000 a month and 10 a second: more would bring no newer figures.
    (Window(2, 300), Window(18_000, MONTH_S, kind="month")),
)

build_tickers = Call("/v1/tickers", (("quotes", "USD"),), max_bytes=6 * MIB).always
build_global = Call("/v1/global", max_bytes=64 * KIB).always


def parse_tickers(_query: QuotesQuery, payloads: Sequence[Any], context: Context) -> ForeignRanking:
    """The best-ranked coins of a list without an order. Malformed rows are left out and named."""
    rows = bounded(payloads[0], MOST_ROWS)
    active = sorted((row for row in rows if _rank(row) != 0), key=_rank)[:LIST_SIZE]
    parse = partial(_listed, context.provider)
    return foreign_ranking(active, parse, _slug, context.now_ms, most=LIST_SIZE)


def _rank(row: Any) -> int:
    """The rank, 0 for an inactive coin, -1 for a malformed row: the row's parser refuses it."""
    rank = row.get("rank") if isinstance(row, dict) else None
    return rank if isinstance(rank, int) else -1


def _slug(row: Any) -> str:
    """`bitcoin` of the id `btc-bitcoin`."""
    return printable_name(row["id"].partition("-")[2])


def _listed(provider: str, row: Any) -> ListedCoin:
    figures = row["quotes"]["USD"]
    price, percentage = _known(figures["price"]), _known(figures.get("percent_change_24h"))
    updated, highest = _known(row.get("last_updated")), _known(figures.get("ath_price"))
    if price is not None and highest is not None and price > highest * RANGE_SLACK:
        raise ValueError("a price far above its all-time high")  # there is no 24 h range
    coin = coin_from_fields(
        {
            "id": None,
            "symbol": row["symbol"].upper(),
            "name": _known(row.get("name")),
            "image": None,
            "market_cap_rank": _rank(row),
            "price": price,
            "market_cap": plausible_market_cap(known_amount(_known(figures.get("market_cap")))),
            "volume_24h": _known(figures.get("volume_24h")),
            "high_24h": None,
            "low_24h": None,
            "price_change_24h": change_of(price, percentage),
            "price_change_percentage_24h": percentage,
            "circulating_supply": known_amount(
                _known(row.get("circulating_supply"))
            ),  # not in free plans
            "last_updated": None if updated is None else iso_instant(updated),
            "source": provider,
            "price_change_percentage_1h": _known(figures.get("percent_change_1h")),
            "price_change_percentage_7d": _known(figures.get("percent_change_7d")),
        }
    )
    return ListedCoin(coin, _slug(row))


def _known(value: Any) -> Any:
    """The value; None for an empty text, with which the vendor marks a missing value."""
    return None if value == "" else value


def parse_global(_query: GlobalQuery, payloads: Sequence[Any], context: Context) -> GlobalMarket:
    figures = payloads[0]
    stamp_s = figures["last_updated"]
    refuse_other_times((stamp_s * 1000,), context.now_ms)
    return GlobalMarket(
        market_cap=total_in_dollars(figures["market_cap_usd"]),
        volume_24h=total_in_dollars(figures["volume_24h_usd"]),
        market_cap_change_percentage_24h=_known(figures.get("market_cap_change_24h")),
        btc_dominance=figures["bitcoin_dominance_percentage"],
        eth_dominance=None,
        active_coins=_known(figures.get("cryptocurrencies_number")),
        last_updated=datetime.fromtimestamp(stamp_s, UTC),
    )


def error_code(payload: Any) -> str | None:
    """`error` for the API's own error body, which has no code; None for any other body, as that
    of a firewall."""
    is_own = isinstance(payload, dict) and isinstance(payload.get("error"), str)
    return "error" if is_own else None


ADAPTER = Adapter(
    vendor="coinpaprika",
    operations=(
        Operation("tickers", QuotesQuery, build_tickers, parse_tickers, parse_in_thread=True),
        Operation("global", GlobalQuery, build_global, parse_global),
    ),
    error_code=error_code,
    errors={
        (402, None): QuotaSpent,  # over the month
        (403, "error"): AuthFailed,  # the endpoint requires a key now
    },
)
