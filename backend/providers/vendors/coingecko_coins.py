"""CoinGecko's coins: the ranked list, single coins, the names of all coins, and sparklines.

Documentation: docs.coingecko.com (/coins/markets, /coins/list; 2026-06).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from backend.models.coins import (
    CoinList,
    CoinListQuery,
    CoinsQuery,
    Sparklines,
    SparklinesQuery,
    plausible_price,
)
from backend.models.market import (
    Coin,
    QuotesQuery,
    Ranking,
    coin_from_fields,
    coins_by_rank,
    plausible_market_cap,
)
from backend.models.numbers import LARGEST
from backend.models.pass_through import COIN_PAGE
from backend.providers.adapter import MIB, Call, Context, Operation
from backend.providers.rows import (
    AHEAD_MS,
    iso_instant,
    known_amount,
    parse_rows,
    printable_name,
    refuse_other_times,
    usable_image,
)

#: Largest page, in rows.
PAGE = 250
#: Most coins in the list of all; it had 18,000 in 2026.
MOST_COINS = 60_000
#: Addresses of one coin's contracts; the most are about 30.
MOST_CONTRACTS = 200
#: What a row has of figures.
FIGURES = (
    "current_price",
    "market_cap",
    "total_volume",
    "high_24h",
    "low_24h",
    "price_change_24h",
    "price_change_percentage_24h",
    "price_change_percentage_1h_in_currency",
    "price_change_percentage_7d_in_currency",
    "circulating_supply",
)
#: Prices of a sparkline: one an hour for seven days.
MOST_POINTS = 200

#: A coin, and whether its supply was left out as impossibly large.
Row = tuple[Coin, bool]

_PAGE = (("vs_currency", "usd"), ("order", "market_cap_desc"), ("per_page", f"{PAGE}"))
_CHANGES = ("price_change_percentage", "1h,7d")

#: The top 250 by market cap in USD, in one call.
build_markets = Call(COIN_PAGE.path, COIN_PAGE.params, max_bytes=2 * MIB).always
#: As above, with 168 prices for each coin: about 1 MiB.
build_sparklines = Call(
    "/coins/markets", (*_PAGE, ("page", "1"), ("sparkline", "true")), max_bytes=6 * MIB
).always
#: The names and the contracts of all coins: about 4 MiB, which the vendor renews each 5 minutes.
build_list = Call("/coins/list", (("include_platform", "true"),), max_bytes=16 * MIB).always


def build_coins(query: CoinsQuery, _context: Context) -> tuple[Call, ...]:
    """By ids, or by tickers, which the vendor has in small letters: it reads only one of both."""
    symbols = ",".join(query.symbols).lower()
    chosen = ("ids", ",".join(query.ids)) if query.ids else ("symbols", symbols)
    top = () if query.ids else (("include_tokens", "top"),)
    return (Call("/coins/markets", (*_PAGE, chosen, *top, _CHANGES), max_bytes=2 * MIB),)


def parse_markets(_query: QuotesQuery, payloads: Sequence[Any], context: Context) -> Ranking:
    """The ranked list, best rank first. Malformed rows are left out and named."""
    rows, refused = parse_rows(payloads[0], partial(_coin, context.provider), "id", most=2 * PAGE)
    # Most of the best-ranked coins are traded at this moment.
    own_ms = refuse_other_times(filter(None, (_stamp_ms(coin) for coin, _ in rows)), context.now_ms)
    return replace(_ranking(rows, refused, own_ms), page=payloads[0])


def parse_coins(query: CoinsQuery, payloads: Sequence[Any], context: Context) -> Ranking:
    """The coins of the query that have a market. Rows of other coins are left out and named.

    A row with implausible figures keeps its names and its rank only: readers choose these coins,
    and one that is hardly traded must not cost the provider its good name. Raises ValueError if
    the rows are of other coins only: the vendor did not read the query.
    """
    if payloads[0] == []:
        return Ranking(())
    rows, refused = parse_rows(payloads[0], partial(_single, context.provider), "id", most=2 * PAGE)
    found = _ranking(rows, refused, context.now_ms)
    ids, symbols = set(query.ids), set(query.symbols)
    asked = tuple(coin for coin in found.coins if coin.id in ids or coin.symbol in symbols)
    if found.coins and not asked:
        raise ValueError("no row is of a coin that was asked for")
    other = tuple(str(coin.id) for coin in found.coins if coin not in asked)
    return replace(found, coins=asked, refused=(*found.refused, *other))


def _ranking(rows: Sequence[Row], refused: tuple[str, ...], now_ms: int) -> Ranking:
    """Of rows as `_coin` gives them. An old row shows its age; one from the future is refused."""
    latest = datetime.fromtimestamp((now_ms + AHEAD_MS) / 1000, UTC)
    stamped = (coin for coin, _ in rows if coin.last_updated and coin.last_updated > latest)
    ahead = dict.fromkeys(coin.id for coin in stamped)
    unique = {
        coin.id: (coin, is_wrong) for coin, is_wrong in reversed(rows) if coin.id not in ahead
    }
    return Ranking(
        coins_by_rank(coin for coin, _ in unique.values()),
        (*refused, *map(str, ahead)),
        tuple(str(coin.id) for coin, has_wrong_supply in unique.values() if has_wrong_supply),
    )


def _single(provider: str, row: Any) -> Row:
    """As `_coin`; without figures where these are implausible."""
    try:
        return _coin(provider, row)
    except ValueError:
        return _coin(provider, row | dict.fromkeys(FIGURES) | {"last_updated": None})


def _stamp_ms(coin: Coin) -> int:
    return int(coin.last_updated.timestamp() * 1000) if coin.last_updated else 0


def _coin(provider: str, row: Any) -> Row:
    if row["id"] is None:
        raise ValueError("a row without an id")
    get = row.get
    # Id, symbol and price are required; any other missing key is null.
    market_cap = plausible_market_cap(known_amount(get("market_cap")))
    supply = get("circulating_supply")
    # With a market cap, a supply of 0 is kept: CoinGecko ranks some coins by another supply.
    supply = known_amount(supply) if market_cap is None else supply
    has_wrong_supply = isinstance(supply, float | int) and supply >= LARGEST
    updated = get("last_updated")
    coin = coin_from_fields(
        {
            "id": row["id"],
            "symbol": row["symbol"].upper(),
            "name": get("name"),
            "image": usable_image(get("image")),  # "missing_large.png" is not a URL
            "market_cap_rank": get("market_cap_rank"),
            "price": row["current_price"],
            "market_cap": market_cap,
            "volume_24h": get("total_volume"),
            "high_24h": get("high_24h"),
            "low_24h": get("low_24h"),
            "price_change_24h": get("price_change_24h"),
            "price_change_percentage_24h": get("price_change_percentage_24h"),
            "price_change_percentage_1h": get("price_change_percentage_1h_in_currency"),
            "price_change_percentage_7d": get("price_change_percentage_7d_in_currency"),
            "circulating_supply": None if has_wrong_supply else supply,
            "last_updated": None if updated is None else iso_instant(updated),
            "source": provider,
        }
    )
    return coin, has_wrong_supply


def parse_list(_query: CoinListQuery, payloads: Sequence[Any], _context: Context) -> CoinList:
    """All coins. An address that two coins claim is left out: it proves nothing."""
    rows, _ = parse_rows(payloads[0], _name, "id", most=MOST_COINS)
    return CoinList.of(rows)


def _name(row: Any) -> tuple[str, str, str, tuple[str, ...]]:
    coin_id, symbol, name = (printable_name(row[field]) for field in ("id", "symbol", "name"))
    platforms = row.get("platforms") or {}
    if not isinstance(platforms, Mapping) or len(platforms) > MOST_CONTRACTS:
        raise ValueError("the platforms are malformed")
    addresses = (one for one in platforms.values() if isinstance(one, str))
    # Copies: they are kept for a day, and would keep memory pages of the payload alive.
    coin_id, name = (text.encode().decode() for text in (coin_id, name))
    return coin_id, symbol.upper(), name, tuple(one for one in addresses if 0 < len(one) <= 200)


def parse_sparklines(
    _query: SparklinesQuery, payloads: Sequence[Any], _context: Context
) -> Sparklines:
    """The hourly prices of the best-ranked coins. A malformed row is left out and named."""
    rows, refused = parse_rows(payloads[0], _sparkline, "id", most=2 * PAGE)
    return Sparklines({coin_id: prices for coin_id, prices in rows if prices}, refused)


def _sparkline(row: Any) -> tuple[str, tuple[float, ...]]:
    prices = row["sparkline_in_7d"]["price"]
    if not isinstance(row["id"], str) or len(prices) > MOST_POINTS:
        raise ValueError("the sparkline is malformed")
    return row["id"], tuple(map(plausible_price, prices))


OPERATIONS = (
    Operation("markets", QuotesQuery, build_markets, parse_markets),
    Operation("coins", CoinsQuery, build_coins, parse_coins),
    Operation("coin_list", CoinListQuery, build_list, parse_list, parse_in_thread=True),
    Operation(
        "sparklines", SparklinesQuery, build_sparklines, parse_sparklines, parse_in_thread=True
    ),
)
