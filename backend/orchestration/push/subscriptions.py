"""The subscriptions of an open push connection, and how long each has been silent."""

from collections.abc import Sequence
from dataclasses import dataclass
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


class TickSubscriptions:
    """Synchronous state of one connection. Silence is judged per subject, not per socket."""

    def __init__(self, clock: Clock, feed: PushFeed, asked: Sequence[TickSubject]) -> None:
        """`asked`: the subjects that the connection was opened with."""
        self._clock = clock
        self._feed = feed
        self._seen = dict.fromkeys(asked, clock.monotonic())
        self._flowing: set[TickSubject] = set()
        self._asked_again: set[TickSubject] = set()
        #: The subscription of tickers.
        self._tickers: MarketTicks | None = None
        self._note_tickers()

    def __repr__(self) -> str:
        return f"<TickSubscriptions {len(self._flowing)} of {len(self._seen)} flowing>"

    @property
    def was_live(self) -> bool:
        return bool(self._flowing)

    @property
    def is_live(self) -> bool:
        return any(self.is_flowing(subject) for subject in self._flowing)

    def mark_seen(self, subject: TickSubject) -> bool:
        """A tick arrived. False for a subject that was not asked for."""
        subject = self._as_asked(subject)
        if subject not in self._seen:
            return False
        self._seen[subject] = self._clock.monotonic()
        self._flowing.add(subject)
        self._asked_again.discard(subject)
        return True

    def is_flowing(self, subject: TickSubject) -> bool:
        return self._as_asked(subject) in self._flowing and not self.is_silent(subject)

    def is_silent(self, subject: TickSubject) -> bool:
        return self._silences(self._as_asked(subject)) > 1.0

    @property
    def is_dead(self) -> bool:
        """Open, perhaps answering pings, but silent in all subjects or in one that never rests."""
        dead = [subject for subject in self._seen if self._silences(subject) > DEAD_SILENCES]
        is_all = len(dead) == len(self._seen) > 0
        return is_all or any(map(self._feed.always_active, dead))

    def next_change(self, wanted: Sequence[TickSubject]) -> SubscriptionChange | None:
        """Drops what is no longer wanted, asks for what is new, and again for what is silent."""
        kept = set(wanted)
        if surplus := [subject for subject in self._seen if subject not in kept]:
            return self._drop(surplus[:SUBJECTS_IN_COMMAND])
        if new := [subject for subject in wanted if subject not in self._seen]:
            return self._ask(new[:SUBJECTS_IN_COMMAND])
        silent = [s for s in self._seen if self.is_silent(s) and s not in self._asked_again]
        if not silent:
            return None
        again = tuple(silent[:SUBJECTS_IN_COMMAND])
        self._asked_again.update(again)  # the venue may have lost it; asking twice is harmless
        return SubscriptionChange("ask", again)

    def _as_asked(self, subject: TickSubject) -> TickSubject:
        """The subscription of tickers for any MarketTicks: a tick does not list its instruments."""
        if not isinstance(subject, MarketTicks):
            return subject
        return self._tickers or subject

    def _note_tickers(self) -> None:
        asked = (subject for subject in self._seen if isinstance(subject, MarketTicks))
        self._tickers = next(asked, None)

    def _drop(self, subjects: Sequence[TickSubject]) -> SubscriptionChange:
        for subject in subjects:
            del self._seen[subject]
            self._flowing.discard(subject)
            self._asked_again.discard(subject)
        self._note_tickers()
        return SubscriptionChange("drop", tuple(subjects))

    def _ask(self, subjects: Sequence[TickSubject]) -> SubscriptionChange:
        self._seen.update(dict.fromkeys(subjects, self._clock.monotonic()))
        self._note_tickers()
        return SubscriptionChange("ask", tuple(subjects))

    def _silences(self, subject: TickSubject) -> float:
        """The time since the last tick, as a multiple of the subject's silence limit."""
        seen = self._seen.get(subject)
        if seen is None:
            return 0.0
        return (self._clock.monotonic() - seen) / self._feed.silence_s(subject)
