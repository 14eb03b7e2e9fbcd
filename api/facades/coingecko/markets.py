"""`coins/markets`: cut from the gateway's own list where that has all rows, else passed through."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from fastapi import Request, Response

from api.encoding import to_json
from api.facades.coingecko.coin_page import (
    Choice,
    CoinPage,
    Row,
    choice_of,
    chosen,
    ordered,
    overlaid,
    parsed,
)
from api.facades.pass_through import respond_with_body
from api.routes.responder import gateway_of
from backend.errors import GatewayError
from backend.gateway import Gateway
from backend.models.answer import Answer
from backend.models.market import Market
from backend.models.pass_through import COIN_PAGE, PassThroughQuery, VendorAnswer


async def latest_market(gateway: Gateway) -> Answer[Market] | None:
    """None while no provider has one."""
    with suppress(GatewayError):
        return await gateway.market.latest()
    return None


async def latest_page(
    gateway: Gateway, oldest_s: float = COIN_PAGE.max_stale_s
) -> tuple[Answer[VendorAnswer], CoinPage] | None:
    """One that is at most `oldest_s` old; None while CoinGecko has none. A scarce budget may keep
    the gateway's own page for longer: then one call is made, for the questions of all readers."""
    with suppress(GatewayError, ValueError):
        answer = await gateway.pass_through.fetch(COIN_PAGE)
        if answer.age_s > oldest_s:
            answer = await gateway.pass_through.fetch(replace(COIN_PAGE, max_stale_s=oldest_s))
        if answer.data.status == 200:
            return answer, parsed(answer.data.body)
    return None


async def respond_from_page(request: Request, query: PassThroughQuery) -> Response | None:
    """None where the page does not have all rows of the question."""
    choice = choice_of(dict(query.params))
    if choice is None:
        return None
    gateway = gateway_of(request)
    # The market comes first: its list brings the page.
    market = await latest_market(gateway)
    found = await latest_page(gateway)
    if found is None or (rows := chosen(found[1], choice)) is None:
        return None
    return await _respond(request, choice, rows, found, market)


async def _respond(
    request: Request,
    choice: Choice,
    rows: Sequence[Row],
    found: tuple[Answer[VendorAnswer], CoinPage],
    market: Answer[Market] | None,
) -> Response:
    """With the newer figures of venues, which are named beside CoinGecko."""
    answer, page = found
    coins = {coin.id: coin for coin in market.data.coins} if market else {}
    newer = [overlaid(row, coins.get(row["id"])) for row in rows]
    has_changed = any(row is not before for row, before in zip(newer, rows, strict=True))
    shown = ordered(newer, choice, is_listed_order=not has_changed)
    changed = [row["id"] for row in shown if row is not page.by_id[row["id"]]]
    venues = sorted({coins[one].source for one in changed})
    if market:
        answer = answer.depending_on(market.validity)
    answer = replace(answer, source=(*answer.sources, *venues))
    refresh = market.refresh_id if market and venues else 0
    selection = "coins/markets", choice, refresh
    return await respond_with_body(request, answer, selection, partial(to_json, shown))
