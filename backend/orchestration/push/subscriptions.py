"""The subscriptions of an open push connection, and how long each has been silent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

from backend.clock import Clock
from backend.models.ticks import MarketTicks, TickSubject
from backend.providers.adapter import PushFeed

#: A connection is dead when all subjects are silent for this multiple of their silence limits.
DEAD_SILENCES = 3
#: Subjects that one command subscribes or unsubscribes.
SUBJECTS_IN_COMMAND = 100


@dataclass(frozen=True, slots=True)
class SubscriptionChange:
    """The next command to the venue."""

    kind: Literal["ask", "drop"]
    subjects: tuple[TickSubject, ...]


@dataclass(slots=True)
class _Subscription:
    """When the subject was asked for or its last tick came, on Clock.monotonic(), whether one has
    come, and whether it was asked for again since."""

    subject: TickSubject
    silence_s: float
    seen_at: float
    has_flowed: bool = False
    is_asked_again: bool = False


class TickSubscriptions:
    """Synchronous state of one connection. Silence is judged per subject, not per socket."""

    def __init__(
        self,
        clock: Clock,
        feed: PushFeed,
        asked: Sequence[TickSubject],
        note_flow: Callable[[], None] = lambda: None,
    ) -> None:
        """`asked`: the subjects that the connection was opened with. `note_flow` is called when
        the ticks of a subject begin."""
        self._clock = clock
        self._feed = feed
        self._note_flow = note_flow
        self._subjects: dict[TickSubject, _Subscription] = {}
        #: That of tickers, whatever its instruments: a tick does not list them.
        self._tickers: _Subscription | None = None
        #: What was wanted when everything was as wanted.
        self._met: Sequence[TickSubject] | None = None
        self._add(asked)

    def __repr__(self) -> str:
        flowing = [one for one in self._subjects.values() if one.has_flowed]
        return f"<TickSubscriptions {len(flowing)} of {len(self._subjects)} flowing>"

    @property
    def was_live(self) -> bool:
        return any(one.has_flowed for one in self._subjects.values())

    @property
    def is_live(self) -> bool:
        known = self._subjects.values()
        return any(one.has_flowed and not self._is_silent(one) for one in known)

    def mark_seen(self, subject: TickSubject) -> bool:
        """A tick arrived. False for a subject that was not asked for."""
        is_market = isinstance(subject, MarketTicks)
        known = self._tickers if is_market else self._subjects.get(subject)
        if known is None:
            return False
        now = self._clock.monotonic()
        begins = not known.has_flowed or now - known.seen_at > known.silence_s
        known.seen_at = now
        known.has_flowed, known.is_asked_again = True, False
        if begins:
            self._note_flow()
        return True

    def is_flowing(self, subject: TickSubject) -> bool:
        known = self._of(subject)
        return known is not None and known.has_flowed and not self._is_silent(known)

    def is_silent(self, subject: TickSubject) -> bool:
        known = self._of(subject)
        return known is not None and self._is_silent(known)

    def is_as_wanted(self, wanted: Sequence[TickSubject], now: float) -> bool:
        """True if nothing is to be asked for or dropped, and nothing is silent."""
        known = self._subjects.values()
        is_silent = [one for one in known if now - one.seen_at > one.silence_s]
        return wanted is self._met and not is_silent

    def next_silence_at(self, now: float) -> float:
        """The earliest time at which a subject may be silent, or for so long that the connection
        may be dead; whatever ticks come until then."""
        known = self._subjects.values()
        return min((_next_silence_of(one, now) for one in known), default=inf)

    @property
    def is_dead(self) -> bool:
        """Open, perhaps answering pings, but silent in all subjects or in one that never rests."""
        now, known = self._clock.monotonic(), self._subjects.values()
        dead = [one.subject for one in known if now - one.seen_at > DEAD_SILENCES * one.silence_s]
        if not dead:
            return False
        return len(dead) == len(known) or any(map(self._feed.always_active, dead))

    def next_change(self, wanted: Sequence[TickSubject]) -> SubscriptionChange | None:
        """Drops what is no longer wanted, asks for what is new, and again for what is silent."""
        if wanted is not self._met and (change := self._difference(wanted)):
            return change
        now, known = self._clock.monotonic(), self._subjects.values()
        silent = [one for one in known if now - one.seen_at > one.silence_s]
        again = [one for one in silent if not one.is_asked_again][:SUBJECTS_IN_COMMAND]
        if not again:
            return None
        for one in again:  # the venue may have lost it; asking twice is harmless
            one.is_asked_again = True
        return SubscriptionChange("ask", tuple(one.subject for one in again))

    def _difference(self, wanted: Sequence[TickSubject]) -> SubscriptionChange | None:
        kept = set(wanted)
        if surplus := [subject for subject in self._subjects if subject not in kept]:
            return self._drop(surplus[:SUBJECTS_IN_COMMAND])
        if new := [subject for subject in wanted if subject not in self._subjects]:
            return self._ask(new[:SUBJECTS_IN_COMMAND])
        self._met = wanted
        return None

    def _of(self, subject: TickSubject) -> _Subscription | None:
        if isinstance(subject, MarketTicks):
            return self._tickers
        return self._subjects.get(subject)

    def _add(self, subjects: Sequence[TickSubject]) -> None:
        now = self._clock.monotonic()
        for subject in subjects:
            known = _Subscription(subject, self._feed.silence_s(subject), now)
            self._subjects[subject] = known
            if isinstance(subject, MarketTicks):
                self._tickers = known

    def _drop(self, subjects: Sequence[TickSubject]) -> SubscriptionChange:
        for subject in subjects:
            if self._subjects.pop(subject) is self._tickers:
                self._tickers = None
        return SubscriptionChange("drop", tuple(subjects))

    def _ask(self, subjects: Sequence[TickSubject]) -> SubscriptionChange:
        self._add(subjects)
        return SubscriptionChange("ask", tuple(subjects))

    def _is_silent(self, known: _Subscription) -> bool:
        return self._clock.monotonic() - known.seen_at > known.silence_s


def _next_silence_of(known: _Subscription, now: float) -> float:
    silent_at = known.seen_at + known.silence_s
    if now <= silent_at:
        return silent_at
    dead_at = known.seen_at + DEAD_SILENCES * known.silence_s
    again_at = now + known.silence_s  # if its next tick comes now
    return min(dead_at, again_at) if now <= dead_at else again_at
