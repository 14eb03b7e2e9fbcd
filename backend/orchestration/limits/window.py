"""What all windows of a rate limit share: costs, priorities, permits, calls in flight."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from backend.clock import Clock
from backend.providers.adapter import Window

#: Share of each limit, at least one call, that stays unused.
MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Cost:
    """What the calls of a query use: the number of HTTP requests, and the sum of their weights."""

    requests: int
    weight: int


class Priority(IntEnum):
    """How much of a limit a query may use.

    A one-off query leaves a share of the short windows to the others. One that is passed through
    leaves a larger share, and a daily or monthly budget has a part for such queries. Only a query
    that all readers share may borrow from the future of such a budget.
    """

    PASS_THROUGH = -1
    ONE_OFF = 0
    RECURRENT = 1
    SHARED = 2


@dataclass(frozen=True, slots=True)
class Refused:
    """The window that can afford the calls last, and when it can (monotonic seconds).

    `detail` says why, where it is not that the window is used up."""

    window: str
    retry_at: float
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """A call's reservation in all windows. It is settled exactly once."""

    number: int
    cost: Cost
    priority: Priority = Priority.SHARED


def usable_limit(limit: int) -> int:
    """The limit without its safety margin; at least 1."""
    return max(1, int(limit - max(1.0, MARGIN * limit)))


def period_name(window: Window) -> str:
    """The window's name in status, logs and ledger: `minute`, `5 minutes`, `month`."""
    if window.kind != "sliding":
        return window.kind
    for name, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if window.period_s >= seconds:
            number = window.period_s / seconds
            return name if number == 1 else f"{number:g} {name}s"
    return f"{window.period_s:g} seconds"


class CallWindow(ABC):
    """One rate limit in use: its calls in flight, and the amounts that the store lacks.

    Amounts are in the window's unit: requests, or weight. They are stored by tick: see
    `SavedState.calls`.
    """

    def __init__(self, window: Window, clock: Clock) -> None:
        self.name = period_name(window)
        self.counts_attempts = window.counts_on == "attempt"
        self._window = window
        self._clock = clock
        self._reserved = self._foreign = 0
        #: By permit: the amount, and the tick under which it is stored.
        self._in_flight: dict[int, tuple[int, int]] = {}
        self._unsaved: dict[int, int] = {}

    def reserve(self, permit: Permit) -> None:
        amount, tick = self._amount(permit.cost), self._stored_tick()
        self._in_flight[permit.number] = amount, tick
        self._reserved += amount
        self._note_unsaved(tick, amount)

    def settle(self, permit: Permit, now: float, *, counts: bool) -> None:
        amount, tick = self._in_flight.pop(permit.number, (0, 0))
        self._reserved -= amount
        if counts and amount:
            self._count(amount, now)
        elif amount:
            self._note_unsaved(tick, -amount)
            if not self._unsaved.get(tick):  # released before it was saved
                self._unsaved.pop(tick, None)

    def unsaved(self) -> dict[int, int]:
        """Amounts by tick since the last call of this method, to be added to the store. One of 0
        is a call in the place of another: it may only be made if the store accepts it, too."""
        unsaved, self._unsaved = self._unsaved, {}
        return unsaved

    def _amount(self, cost: Cost) -> int:
        return cost.weight if self._window.unit == "weight" else cost.requests

    def _stated_usage(self, headers: Mapping[str, str]) -> int:
        """The usage that the response headers state, 0 where they state none."""
        text = headers.get(self._window.header, "") if self._window.header else ""
        return int(text) if text.isdecimal() and len(text) < 12 else 0

    def _note_unsaved(self, tick: int, amount: int) -> None:
        self._unsaved[tick] = self._unsaved.get(tick, 0) + amount

    def _forget_own(self) -> None:
        """Before a restore: what is in flight is among the stored calls already."""
        self._in_flight.clear()
        self._unsaved.clear()
        self._reserved = 0

    @abstractmethod
    def _stored_tick(self) -> int:
        """The tick under which a call of now is stored."""

    @abstractmethod
    def _count(self, amount: int, now: float) -> None:
        """Counts calls that were made; `now` is on Clock.monotonic()."""
