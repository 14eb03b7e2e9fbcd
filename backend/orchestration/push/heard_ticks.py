"""What a process has heard of its leader's ticks: which message is next, and which ticks flow."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from backend.clock import Clock
from backend.models.ticks import Flow, TickStatus, TickSubject
from backend.orchestration.push.tick_messages import Head, StreamState

#: The leader sends its state each second. After this long, in seconds, the last one says nothing,
#: and a message of any term and number is accepted: a store that lost its data begins at 1.
STATE_S = 3.0
UNKNOWN = Flow(False)


@dataclass(slots=True)
class _Subject:
    """Since when ticks are waited for, and whether one has come. Monotonic seconds."""

    since: float
    has_come: bool = False


class HeardTicks:
    """Synchronous. A subject flows if the leader says so and its ticks arrive here, too."""

    def __init__(self, clock: Clock, silence_s: Callable[[TickSubject], float]) -> None:
        """`silence_s`: a subject without a tick for so many seconds does not flow."""
        self._clock = clock
        self._silence_s = silence_s
        self._subjects: dict[TickSubject, _Subject] = {}
        self._flows: dict[TickSubject, Flow] = {}
        self._status: TickStatus | None = None
        self._state_at = self._accepted_at = float("-inf")
        #: Term and number of the last message.
        self._last = 0, 0

    def __repr__(self) -> str:
        return f"<HeardTicks {len(self._subjects)} subjects>"

    def want(self, subjects: Collection[TickSubject]) -> None:
        """Replaces the subjects whose ticks are expected."""
        now = self._clock.monotonic()
        known = self._subjects
        self._subjects = {one: known.get(one) or _Subject(now) for one in subjects}

    def accepts(self, head: Head) -> bool:
        """False for messages that are repeated, out of order, or of an earlier term."""
        now = self._clock.monotonic()
        is_next = (head.term, head.number) > self._last
        if not is_next and now - self._accepted_at <= STATE_S:
            return False
        self._last, self._accepted_at = (head.term, head.number), now
        return True

    def note_state(self, state: StreamState, market: TickSubject) -> None:
        """`market` is the subject of tickers."""
        self._status, self._state_at = state.status, self._clock.monotonic()
        flows = ((market, state.market), *state.candles)
        self._flows = {subject: flow for subject, flow in flows if subject in self._subjects}

    def note_tick(self, subject: TickSubject) -> None:
        if subject in self._subjects:
            self._subjects[subject] = _Subject(self._clock.monotonic(), has_come=True)

    def flow(self, subject: TickSubject) -> Flow:
        told, known = self._flows.get(subject), self._subjects.get(subject)
        if told is None or known is None or not self._is_current:
            return UNKNOWN
        if not told.is_live:
            return told
        if self._clock.monotonic() - known.since > self._silence_s(subject):
            return Flow(False, "timeout")
        return told if known.has_come else UNKNOWN

    def status(self) -> TickStatus | None:
        """The leader's; None if it has not said lately."""
        return self._status if self._is_current else None

    @property
    def _is_current(self) -> bool:
        return self._clock.monotonic() - self._state_at <= STATE_S
