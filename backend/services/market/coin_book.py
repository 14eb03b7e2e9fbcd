"""One record for each coin of the market: its row, and what is known of it besides."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from backend.identity.instruments import Instrument
from backend.models.market import Coin, Market


@dataclass(frozen=True, slots=True)
class PendingPrice:
    """An outlier that waits for confirmation; `origin` is the venue, or `list` for a ranking.

    `is_of_new_pair`: the price of the venue's pair has never been near the coin's.
    """

    price: float
    at: datetime
    origin: str
    is_of_new_pair: bool = False


@dataclass(slots=True, eq=False)
class CoinRecord:
    """What is known of one coin.

    `coin` is the row with the newest figures. `visible` is the row that readers get: the same
    object, or the row without figures once they have expired. `seen_at` is when a provider last
    reported the row, None where that was after the last check for expired rows. `listed_at` is the
    stamp of the ranked list's row, which alone has the changes over 1 h and 7 d.
    """

    coin: Coin
    visible: Coin
    place: int
    seen_at: datetime | None = None
    pending: PendingPrice | None = None
    listed_at: datetime | None = None


class CoinBook:
    """The market between two refreshes, best rank first.

    A refresh replaces all rows, an update costs one row only. `instruments`, `venues` and
    `rank_source` are those of Market.
    """

    def __init__(self) -> None:
        self.records: tuple[CoinRecord, ...] = ()
        self.ranked = False
        self.rank_source = ""
        self.instruments: Mapping[str, tuple[Instrument, ...]] | None = None
        self.venues: frozenset[str] = frozenset()
        self._by_key: dict[str, CoinRecord] = {}
        #: The best-ranked coin of each ticker.
        self.best: Mapping[str, CoinRecord] = {}
        self._visible: list[Coin] = []

    def __repr__(self) -> str:
        return f"<CoinBook {len(self.records)} coins>"

    @property
    def market(self) -> Market:
        """All rows with the newest figures, however old they are."""
        coins = tuple(record.coin for record in self.records)
        return Market(coins, self.ranked, self.instruments, self.venues, self.rank_source)

    def visible_market(self) -> Market:
        """All rows as readers get them."""
        coins = tuple(self._visible)
        return Market(coins, self.ranked, self.instruments, self.venues, self.rank_source)

    def get(self, key: str) -> CoinRecord | None:
        """By Coin.key."""
        return self._by_key.get(key)

    def best_ranked(self, symbol: str) -> CoinRecord | None:
        """The best-ranked coin with this ticker."""
        return self.best.get(symbol)

    def replace(self, market: Market) -> None:
        """Takes over the rows of `market`. A row that is the same object was not reported again."""
        self._fill(market, [self._carried(coin) for coin in market.coins])

    def adopt(self, market: Market) -> None:
        """Takes over rows as readers of another process, or of an earlier run, got them.

        Rows that the book has already stay as they are, with figures that have expired.
        """
        self._fill(market, [self._adopted(coin) for coin in market.coins])

    def update(self, record: CoinRecord, coin: Coin) -> None:
        """A provider reported the row of one coin."""
        record.coin, record.seen_at = coin, None
        record.visible = self._visible[record.place] = coin

    def show(self, record: CoinRecord, visible: Coin) -> None:
        record.visible = self._visible[record.place] = visible

    def expire(self, now: datetime, max_age: timedelta) -> int:
        """Hides the figures of rows that no provider has reported for `max_age`; counts them.

        While ranked lists fail, a venue renews its own coins only, and the prices of the others
        would stay for ever. Such a row keeps its names, its rank and its stamp. The time of the
        report counts, not the row's own stamp: a coin that is no longer traded has an old stamp,
        and is served as it is reported. Hidden figures stay in the book, to compare prices with.
        """
        hidden = 0
        for record in self.records:
            record.seen_at = record.seen_at or now
            if record.seen_at >= now - max_age:
                self.show(record, record.coin)
            else:
                hidden += 1
                if record.visible is record.coin:  # once: streams compare rows by identity
                    self.show(record, record.coin.without_figures())
        return hidden

    def _carried(self, coin: Coin) -> CoinRecord:
        known = self._by_key.get(coin.key)
        if known is None:
            return CoinRecord(coin, coin, 0, None, None, coin.last_updated)
        if known.coin is coin:
            return known
        is_as_it_was = known.coin.last_updated == coin.last_updated
        listed_at = known.listed_at if is_as_it_was else coin.last_updated
        return CoinRecord(coin, coin, 0, None, known.pending, listed_at)

    def _adopted(self, coin: Coin) -> CoinRecord:
        known = self._by_key.get(coin.key)
        if known is not None and coin == known.visible:
            return known
        if known is not None and coin.price is None and coin == known.coin.without_figures():
            known.visible = coin
            return known
        pending, listed_at = known.pending if known else None, coin.last_updated
        if known is not None and _listed_changes(known.coin) == _listed_changes(coin):
            listed_at = known.listed_at
        return CoinRecord(coin, coin, 0, coin.last_updated, pending, listed_at)

    def _fill(self, market: Market, records: list[CoinRecord]) -> None:
        for place, record in enumerate(records):
            record.place = place
        self.records = tuple(records)
        self.ranked, self.instruments = market.ranked, market.instruments
        self.venues, self.rank_source = market.venues, market.rank_source
        # Rows without an id can share a ticker: the best-ranked one has the key.
        self._by_key = {record.coin.key: record for record in reversed(records)}
        self.best = {record.coin.symbol: record for record in reversed(records)}
        self._visible = [record.visible for record in records]


def _listed_changes(coin: Coin) -> tuple[float | None, float | None]:
    return coin.price_change_percentage_1h, coin.price_change_percentage_7d
