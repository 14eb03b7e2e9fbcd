"""Rows that a refresh did not renew: what is too old to be served is left out of them."""

from dataclasses import replace
from datetime import datetime, timedelta

from backend.models.market import Coin, Market


class AgedRows:
    """Shows a market without the figures that nobody has told for `max_age_s` seconds.

    While a list is refused, a venue renews its own coins only; the others' prices would stay for
    ever. Such a row keeps its names, its rank and when its price was last told. The universe
    itself keeps the figures: what a venue tells later is measured by them.
    """

    def __init__(self, max_age_s: float) -> None:
        self._max_age = timedelta(seconds=max_age_s)
        #: By coin: a row and what is shown of it. An unchanged row stays the same object.
        self._shown: dict[str, tuple[Coin, Coin]] = {}
        self._oldest: datetime | None = None

    def __repr__(self) -> str:
        return f"<AgedRows {len(self._shown)}>"

    def judge(self, market: Market, now: datetime) -> tuple[Market, tuple[str, ...]]:
        """The market as it may be served at `now`, and a warning of what is left out."""
        self._oldest = now - self._max_age
        shown = self.show(market)
        aged = sum(coin is not row for coin, row in zip(market.coins, shown.coins, strict=True))
        if not aged:
            self._shown.clear()
            return market, ()
        hours = self._max_age.total_seconds() / 3_600
        note = f"{aged} rows have no figures: nobody has told their price for {hours:g} h"
        return shown, (note,)

    def show(self, market: Market) -> Market:
        """The same as of the last judgement, for what was told since."""
        if self._oldest is None:
            return market
        oldest = self._oldest
        coins = tuple(
            self._without_figures(coin)
            if coin.last_updated is not None and coin.last_updated < oldest
            else coin
            for coin in market.coins
        )
        return replace(market, coins=coins)

    def _without_figures(self, coin: Coin) -> Coin:
        name = coin.id or coin.symbol
        known = self._shown.get(name)
        if known is None or known[0] is not coin:
            self._shown[name] = known = coin, _stripped(coin)
        return known[1]


def _stripped(coin: Coin) -> Coin:
    return replace(
        coin,
        price=None,
        market_cap=None,
        volume_24h=None,
        high_24h=None,
        low_24h=None,
        price_change_24h=None,
        price_change_percentage_24h=None,
    )
