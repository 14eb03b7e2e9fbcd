"""CoinGecko's first 250 coins: the gateway's own list, as the vendor sent its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from api.encoding import instant
from api.facades.coingecko.parameters import MOST_ROWS
from backend.identity.instruments import VENUES
from backend.models.market import Coin

Row = Mapping[str, Any]
#: What the gateway asks for besides the fields that every row has.
OWN_FIELDS = (
    "price_change_percentage_1h_in_currency",
    "price_change_percentage_7d_in_currency",
)
#: The fields of a row that a venue has too, and ours of the same meaning.
VENUE_FIELDS = {
    "current_price": "price",
    "market_cap": "market_cap",
    "total_volume": "volume_24h",
    "high_24h": "high_24h",
    "low_24h": "low_24h",
    "price_change_24h": "price_change_24h",
    "price_change_percentage_24h": "price_change_percentage_24h",
}
#: The fields by which rows can be ordered.
ORDERS = {"market_cap": "market_cap", "volume": "total_volume", "id": "id"}
USUAL_ORDER, USUAL_ROWS = "market_cap_desc", 100
#: Parameters with which a row differs from those of the page, or with which other coins are asked
#: for.
NOT_ON_THE_PAGE = frozenset(
    (
        "names",
        "category",
        "sparkline",
        "price_change_percentage",
        "locale",
        "precision",
        "include_tokens",
        "include_rehypothecated",
    )
)


@dataclass(frozen=True, slots=True)
class CoinPage:
    """`rows` are in the vendor's order: the largest market cap first."""

    rows: tuple[Row, ...]
    by_id: Mapping[str, Row]
    by_symbol: Mapping[str, Row]


@lru_cache(maxsize=2)
def parsed(body: bytes) -> CoinPage:
    """Once a refresh: it takes some milliseconds. Raises ValueError for no list of coins."""
    rows = orjson.loads(body)
    if not isinstance(rows, list) or not all(map(_is_row, rows)):
        raise ValueError("no list of coins")
    kept = tuple({name: row[name] for name in row if name not in OWN_FIELDS} for row in rows)
    # Of coins with the same ticker the first is the largest.
    by_symbol = {row["symbol"].lower(): row for row in reversed(kept)}
    return CoinPage(kept, {row["id"]: row for row in kept}, by_symbol)


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and all(isinstance(row.get(one), str) for one in ("id", "symbol"))


@dataclass(frozen=True, slots=True)
class Choice:
    """What a question for rows asks. `names` are ids, or tickers if `is_by_symbol`."""

    names: tuple[str, ...]
    is_by_symbol: bool
    order: str
    first: int
    count: int


def choice_of(parameters: Mapping[str, str]) -> Choice | None:
    """None for a question that the page cannot answer."""
    if parameters["vs_currency"] != "usd" or not NOT_ON_THE_PAGE.isdisjoint(parameters):
        return None
    order = parameters.get("order", USUAL_ORDER)
    field, _, direction = order.rpartition("_")
    if field not in ORDERS or direction not in ("asc", "desc"):
        return None
    count = int(parameters.get("per_page", USUAL_ROWS))
    first = (int(parameters.get("page", 1)) - 1) * count
    is_by_symbol = "ids" not in parameters and "symbols" in parameters
    text = parameters.get("symbols" if is_by_symbol else "ids", "")
    names = tuple(text.split(",")) if text else ()
    is_within = first + count <= MOST_ROWS and order == USUAL_ORDER
    return Choice(names, is_by_symbol, order, first, count) if names or is_within else None


def chosen(page: CoinPage, choice: Choice) -> Sequence[Row] | None:
    """The rows that the choice is of; None if one of them is not on the page."""
    if not choice.names:
        return page.rows if choice.first + choice.count <= len(page.rows) else None
    known = page.by_symbol if choice.is_by_symbol else page.by_id
    if not known.keys() >= set(choice.names):
        return None
    wanted = {known[name]["id"] for name in choice.names}
    return [row for row in page.rows if row["id"] in wanted]


def ordered(rows: Sequence[Row], choice: Choice, *, is_listed_order: bool = False) -> Sequence[Row]:
    """Those of the choice's page, in its order. Rows without the figure come last.

    `is_listed_order`: they are as the vendor ordered them by market cap.
    """
    name, _, direction = choice.order.rpartition("_")
    if not (is_listed_order and choice.order == USUAL_ORDER):
        field = ORDERS[name]
        kind = str if name == "id" else int | float
        known = [row for row in rows if isinstance(row.get(field), kind)]
        known.sort(key=lambda row: row[field], reverse=direction == "desc")
        rows = [*known, *(row for row in rows if not isinstance(row.get(field), kind))]
    return rows[choice.first : choice.first + choice.count]


def overlaid(row: Row, coin: Coin | None) -> Row:
    """The row with the newer figures of a venue, if `coin` has all of them."""
    if coin is None or coin.source not in VENUES or coin.last_updated is None:
        return row
    figures = {name: getattr(coin, own) for name, own in VENUE_FIELDS.items()}
    listed_at = updated_at(row)
    if None in figures.values() or listed_at is None or listed_at >= coin.last_updated:
        return row
    return {**row, **figures, "last_updated": instant(coin.last_updated)}


def updated_at(row: Row) -> datetime | None:
    """None for a row without a valid time."""
    try:
        at = datetime.fromisoformat(row["last_updated"])
    except (KeyError, TypeError, ValueError):
        return None
    return at if at.tzinfo else None
