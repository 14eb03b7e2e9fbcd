"""`simple/price`: from the market where that has all prices, else passed through."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from fastapi import Request, Response

from api.encoding import to_json
from api.facades.coingecko.markets import latest_market, latest_page
from api.facades.coingecko.prices import (
    Asked,
    Price,
    asked_of,
    coin_of,
    document,
    newest_stamps,
    price_of_coin,
    price_of_row,
)
from api.facades.pass_through import respond_with_body
from api.routes.responder import gateway_of
from backend.models.answer import Answer
from backend.models.market import Market
from backend.models.pass_through import PassThroughQuery


async def respond_from_market(request: Request, query: PassThroughQuery) -> Response | None:
    """None where the market does not have all prices of the question, or only old ones."""
    asked = asked_of(dict(query.params))
    market = await latest_market(gateway_of(request)) if asked else None
    if asked is None or market is None or (market.stale and market.age_s > asked.oldest_s):
        return None
    now = gateway_of(request).clock.now()
    found, old = _prices(request, asked, market, now)
    if old:
        market = await _from_page(request, asked, market, found, old)
    if market is None or len(found) < len(asked.names):
        return None
    sources = tuple(dict.fromkeys(found[name].source for name in asked.names))
    selection = "simple/price", asked, tuple(found[name] for name in old)
    answer = limited(replace(market, source=sources), asked, found.values(), now)
    return await respond_with_body(
        request, answer, selection, lambda: to_json(document(asked, found))
    )


def limited(
    answer: Answer[Market], asked: Asked, prices: Iterable[Price], now: datetime
) -> Answer[Market]:
    """Not fresh, and not to be reused, for longer than the oldest price may be served: a scarce
    budget may keep the market for hours."""
    left_s = asked.oldest_s - max(_age_s(price, now) for price in prices)
    if left_s >= answer.ttl_left_s:
        return answer
    return replace(answer, ttl_left_s=left_s, validity=None)


def _age_s(price: Price, now: datetime) -> float:
    return (now - price.known_at).total_seconds()


def _prices(
    request: Request, asked: Asked, market: Answer[Market], now: datetime
) -> tuple[dict[str, Price], dict[str, str]]:
    """The prices that are not too old, and the ids of the coins whose prices are, by name."""
    index = gateway_of(request).coins.index(market.data)
    newest = newest_stamps(market.data)
    found: dict[str, Price] = {}
    old: dict[str, str] = {}
    for name in asked.names:
        coin = coin_of(index, asked, name)
        price = price_of_coin(coin, newest) if coin else None
        if coin is None or coin.id is None or price is None:
            return found, {}
        if _age_s(price, now) <= asked.oldest_s:
            found[name] = price
        else:
            old[name] = coin.id
    return found, old


async def _from_page(
    request: Request,
    asked: Asked,
    market: Answer[Market],
    found: dict[str, Price],
    old: Mapping[str, str],
) -> Answer[Market] | None:
    """Adds newer prices of CoinGecko's list, which is one call for all coins; None without."""
    latest = await latest_page(gateway_of(request), asked.oldest_s)
    if latest is None:
        return None
    answer, page = latest
    for name, coin_id in old.items():
        row = page.by_id.get(coin_id)
        price = price_of_row(row, answer.sources[0], answer.fetched_at) if row else None
        if price is not None:
            found[name] = price
    return market.depending_on(answer.validity)
