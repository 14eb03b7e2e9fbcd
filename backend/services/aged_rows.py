"""Rows that a refresh did not renew: what is too old to be served is left out of them."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from backend.models.market import Coin, Market


@dataclass(slots=True)
class Told:
    """A row, when a provider told it last, and what is shown of it once that is too long ago."""

    coin: Coin
    at: datetime
    bare: Coin | None = None


class AgedRows:
    """Shows a market without the figures that nobody has told for `max_age_s` seconds.

    While a list is refused, a venue renews its own coins only; the others' prices would stay for
    ever. Such a row keeps its names, its rank and its stamp. What counts is when a provider told
    the row, not the row's own stamp: a coin that is not traded any more has an old one, and is
    told as it is. The universe itself keeps the figures: later prices are measured by them.
    """

    def __init__(self, max_age_s: float) -> None:
        self._max_age = timedelta(seconds=max_age_s)
        self._told: dict[str, Told] = {}
        self._oldest: datetime | None = None

    def __repr__(self) -> str:
        return f"<AgedRows {sum(told.bare is not None for told in self._told.values())}>"

    def remember(self, market: Market) -> None:
        """The market of an earlier run: its rows were told by then, as their stamps say."""
        self._told = {
            coin.key: Told(coin, coin.last_updated) for coin in market.coins if coin.last_updated
        }

    def judge(self, market: Market, now: datetime) -> tuple[Market, tuple[str, ...]]:
        """The market as it may be served at `now`, and a warning of what is left out. A row that
        is another object than at the last judgement was told since."""
        self._oldest = now - self._max_age
        self._told = {coin.key: self._seen(coin, now) for coin in market.coins}
        shown = self.show(market)
        aged = sum(coin is not row for coin, row in zip(market.coins, shown.coins, strict=True))
        if not aged:
            return market, ()
        hours = self._max_age.total_seconds() / 3_600
        return shown, (f"{aged} rows have no figures: nobody has told their price for {hours:g} h",)

    def show(self, market: Market) -> Market:
        """The same as of the last judgement, for what was told since."""
        return replace(market, coins=tuple(map(self._shown, market.coins)))

    def _seen(self, coin: Coin, now: datetime) -> Told:
        told = self._told.get(coin.key)
        return told if told is not None and told.coin is coin else Told(coin, now)

    def _shown(self, coin: Coin) -> Coin:
        told = self._told.get(coin.key)
        if told is None or told.coin is not coin or self._oldest is None or told.at >= self._oldest:
            return coin
        if told.bare is None:
            told.bare = _stripped(coin)  # once: streams tell a changed row by the object
        return told.bare


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
