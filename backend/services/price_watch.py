"""Prices over time and between providers: what jumps waits for a second word; spreads are noted."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

from backend.models.market import NAMESAKE_FACTOR, Coin, agree
from backend.models.status import Spread
from backend.services.notes import few_of

#: A price that is off by more than this share of the last known one is held back ...
JUMP = 0.5
#: ... until a second provider tells the same within this share ...
TOLERANCE = 0.1
#: ... at about the same time,
TOGETHER = timedelta(minutes=10)
#: or until the last known price is too old to measure by: no price is off by a namesake's factor
#: within hours but by mistake, so a row like that waits until nobody is served the old one.
MEASURABLE, ABSURD_UNTIL = timedelta(hours=1), timedelta(hours=6)
#: Two observations that are compared are no further apart.
SAME_TIME = timedelta(minutes=3)


class Verdict(StrEnum):
    STEADY = "steady"
    CONFIRMED = "confirmed"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Claim:
    """A price that one provider told and nobody confirmed. Two ranked lists may be of one vendor:
    only a venue confirms a list, and a list a venue."""

    price: float
    at: datetime
    by_venue: bool

    def confirms(self, price: float, at: datetime, *, by_venue: bool) -> bool:
        is_other = self.by_venue is not by_venue
        return (
            is_other and abs(self.at - at) <= TOGETHER and abs(price / self.price - 1) <= TOLERANCE
        )


class PriceWatch:
    """Judges each price against the last known one of the same coin. Coins are told apart by id,
    or by symbol where no id is known."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}
        self._notes: dict[str, str] = {}
        self.spread: Spread | None = None

    def __repr__(self) -> str:
        return f"<PriceWatch {len(self._claims)} held>"

    def judge(
        self, known: Coin, price: float, at: datetime | None, source: str, *, by_venue: bool
    ) -> Verdict:
        """May `price`, which `source` says was that of `at`, take the known one's place?"""
        name = known.key
        if _is_steady(known, price, at):
            self._claims.pop(name, None)
            return Verdict.STEADY
        claim = self._claims.get(name)
        if claim and at and claim.confirms(price, at, by_venue=by_venue):
            del self._claims[name]
            return Verdict.CONFIRMED
        if at:
            self._claims[name] = Claim(price, at, by_venue)
        # A pair of quite another price that never was this coin's is a namesake's.
        if known.source == source or not by_venue or agree(price, _price(known), NAMESAKE_FACTOR):
            self._notes[name] = _held_note(name, source, price / _price(known) - 1)
        return Verdict.HELD

    def take_notes(self) -> tuple[str, ...]:
        """What was held since they were taken last, in words."""
        notes, self._notes = tuple(self._notes.values()), {}
        return few_of(notes, "more prices are held back")

    def forget_others(self, names: Collection[str]) -> None:
        """Drops claims and notes about all coins but these: the market has no others."""
        self._claims = {name: told for name, told in self._claims.items() if name in names}
        self._notes = {name: note for name, note in self._notes.items() if name in names}

    def compare(self, pairs: Iterable[tuple[Coin, Coin]]) -> None:
        """The spread of two providers' observations of the same coins at the same time."""
        found = {one.key: (one, other) for one, other in pairs if _is_fair(one, other)}
        if not found:
            return
        spreads = {name: _percent_apart(*pair) for name, pair in found.items()}
        widest = max(spreads, key=lambda name: spreads[name])
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
    """No jump, or nothing left to measure it by."""
    if known.price is None or abs(price / known.price - 1) <= JUMP:
        return True
    is_absurd = not agree(price, known.price, NAMESAKE_FACTOR)
    believed_after = ABSURD_UNTIL if is_absurd else MEASURABLE
    return bool(at and known.last_updated and at - known.last_updated > believed_after)


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


def _held_note(name: str, source: str, change: float) -> str:
    return (
        f"the price of {name} at {source} is off by {change:+.0%} and is held back "
        "until a second provider confirms it"
    )
