"""Outlier detection: a price that jumps needs a second source; providers' spreads are measured."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

from backend.models.market import NAMESAKE_FACTOR, Coin, agree
from backend.models.status import Spread
from backend.services.market.coin_book import CoinBook, CoinRecord, PendingPrice
from backend.services.page import few_of

#: A price that differs by more than this share from the last known one is an outlier ...
JUMP = 0.5
#: ... until a second source reports the same price within this share ...
TOLERANCE = 0.1
#: ... at about the same time.
CONFIRMED_WITHIN = timedelta(minutes=10)
#: A last known price that is older than this proves no jump ...
COMPARABLE_FOR = timedelta(hours=1)
#: ... but no honest price changes by a namesake's factor within hours: such a price waits until the
#: last known one is too old to be served.
ABSURD_UNTIL = timedelta(hours=6)
#: Two observations that are compared are no further apart.
SAME_TIME = timedelta(minutes=3)
#: Ranked lists are one origin, as two of them may be of one vendor; each venue is another.
LISTS = "list"


class Origin(StrEnum):
    """Where a price comes from: a ranked list, a venue's pair whose price has been near the coin's,
    or one whose price never was: it may be a namesake's."""

    LIST = "list"
    KNOWN_PAIR = "known pair"
    NEW_PAIR = "new pair"


class Verdict(StrEnum):
    STEADY = "steady"
    CONFIRMED = "confirmed"
    QUARANTINED = "quarantined"


class OutlierFilter:
    """Compares each new price of a coin with the last known one.

    An outlier is quarantined until another origin confirms it: a list confirms a venue, a venue a
    list or another venue. Two venues that trade the same namesake would agree, so that a new pair
    neither confirms another venue nor is confirmed by one.
    """

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}
        self.spread: Spread | None = None

    def __repr__(self) -> str:
        return f"<OutlierFilter {len(self._notes)} notes>"

    def judge(
        self,
        record: CoinRecord,
        price: float,
        at: datetime | None,
        source: str,
        kind: Origin,
    ) -> Verdict:
        """Whether `price`, which `source` reports for the instant `at`, replaces the known one."""
        known, pending = record.coin, record.pending
        if _is_steady(known, price, at):
            record.pending = None
            return Verdict.STEADY
        is_venue = kind is not Origin.LIST
        if at:
            seen = PendingPrice(price, at, source if is_venue else LISTS, kind is Origin.NEW_PAIR)
            if pending and _confirms(pending, seen):
                record.pending = None
                return Verdict.CONFIRMED
            if pending is None or not seen.is_of_new_pair or _is_other_time(pending, seen):
                record.pending = seen
        # A venue's price by another order of magnitude is a namesake's, unless it was the coin's.
        if known.source == source or not is_venue or agree(price, _price(known), NAMESAKE_FACTOR):
            self._notes[known.key] = (
                f"the price of {known.key} at {source} is off by {price / _price(known) - 1:+.0%} "
                "and is held back until a second provider confirms it"
            )
        return Verdict.QUARANTINED

    def take_notes(self) -> tuple[str, ...]:
        """Warnings about the prices quarantined since the last call."""
        notes, self._notes = tuple(self._notes.values()), {}
        return few_of(notes, "more prices are held back")

    def forget_others(self, book: CoinBook) -> None:
        """Drops the notes about coins that the market has no longer."""
        self._notes = {key: note for key, note in self._notes.items() if book.get(key)}

    def compare(self, pairs: Iterable[tuple[Coin, Coin]]) -> None:
        """Measures the spread of two providers' observations of the same coins and time."""
        found = {one.key: (one, other) for one, other in pairs if _is_fair(one, other)}
        if not found:
            return
        spreads = {key: _percent_apart(*pair) for key, pair in found.items()}
        widest = max(spreads, key=lambda key: spreads[key])
        one, other = found[widest]
        at = max(coin.last_updated for pair in found.values() for coin in pair if coin.last_updated)
        self.spread = Spread(
            at,
            (one.source, other.source),
            len(spreads),
            round(median(spreads.values()), 4),
            round(spreads[widest], 4),
            widest,
        )


def _is_steady(known: Coin, price: float, at: datetime | None) -> bool:
    """No jump, or no price to compare with."""
    if known.price is None or -JUMP <= price / known.price - 1 <= JUMP:
        return True
    is_absurd = not agree(price, known.price, NAMESAKE_FACTOR)
    comparable_for = ABSURD_UNTIL if is_absurd else COMPARABLE_FOR
    return bool(at and known.last_updated and at - known.last_updated > comparable_for)


def _confirms(pending: PendingPrice, seen: PendingPrice) -> bool:
    if pending.origin == seen.origin or _is_other_time(pending, seen):
        return False
    if LISTS not in (pending.origin, seen.origin) and (
        pending.is_of_new_pair or seen.is_of_new_pair
    ):
        return False
    return abs(seen.price / pending.price - 1) <= TOLERANCE


def _is_other_time(pending: PendingPrice, seen: PendingPrice) -> bool:
    return abs(pending.at - seen.at) > CONFIRMED_WITHIN


def _is_fair(one: Coin, other: Coin) -> bool:
    if not (one.price and other.price and one.last_updated and other.last_updated):
        return False
    is_same_time = abs(one.last_updated - other.last_updated) <= SAME_TIME
    return is_same_time and one.source != other.source and _percent_apart(one, other) <= JUMP * 100


def _percent_apart(one: Coin, other: Coin) -> float:
    return abs(_price(one) / _price(other) - 1) * 100


def _price(coin: Coin) -> float:
    assert coin.price is not None, "there is no jump without a price before it"
    return coin.price
