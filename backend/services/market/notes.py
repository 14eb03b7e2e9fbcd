"""Warnings about a refresh of the market."""

from collections.abc import Collection
from datetime import timedelta

from backend.models.market import Market, Quotes, Ranking, market_cap_of
from backend.services.page import few_of


def refused_notes(quotes: Quotes) -> tuple[str, ...]:
    rows = [f"the row of {name} was refused as implausible" for name in quotes.refused]
    without_supply = quotes.without_supply if isinstance(quotes, Ranking) else ()
    supplies = [
        f"the circulating supply of {name} was left out as implausible" for name in without_supply
    ]
    return (
        *few_of(rows, "more rows were refused as implausible"),
        *few_of(supplies, "more circulating supplies were left out"),
    )


def blank_notes(market: Market, venues: Collection[str]) -> tuple[str, ...]:
    """A warning for each figure that is null because its computation gave an absurd value.

    `venues` are those that push tickers; the 24 h changes of these are computed.
    """
    caps = [
        f"the market cap of {coin.id} is unknown: price times circulating supply is implausible"
        for coin in market.coins
        if coin.price
        and coin.circulating_supply
        and market_cap_of(coin.price, coin.circulating_supply) is None
    ]
    changes = [
        f"the 24 h change of {coin.key} is unknown: {coin.source} reported an implausible open"
        for coin in market.coins
        if coin.source in venues and coin.price and coin.price_change_24h is None
    ]
    return (
        *few_of(caps, "more market caps are unknown"),
        *few_of(changes, "more 24 h changes are unknown"),
    )


def expired_note(hidden: int, max_age: timedelta) -> tuple[str, ...]:
    if not hidden:
        return ()
    hours = max_age.total_seconds() / 3_600
    return (f"{hidden} rows have no figures: no provider has reported their price for {hours:g} h",)


def kept_note(market: Market, source: str) -> tuple[str, ...]:
    """A warning that some rows have no newer price from the venue, although the answer is new."""
    kept = sum(coin.source != source for coin in market.coins)
    if not kept:
        return ()
    rows = f"{kept} of {len(market.coins)} rows"
    return (f"{rows} have no newer price from {source}: see their source and last_updated",)
