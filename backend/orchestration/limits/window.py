"""What all windows of a rate limit share: costs, priorities, permits, figures for readers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from backend.providers.adapter import Window

#: Share of each limit, at least one call, that stays unused.
MARGIN = 0.05
#: Share of a short window's usable calls, at least one, that one-off queries may not use.
RESERVED = 0.2


@dataclass(frozen=True, slots=True)
class Cost:
    """What the calls of a query use: the number of HTTP requests, and the sum of their weights."""

    requests: int
    weight: int


class Priority(IntEnum):
    """How much of a limit a query may use.

    A one-off query leaves a share of the short windows to the others. Only a query that all
    readers share may borrow from the future of a daily or monthly budget.
    """

    ONE_OFF = 0
    RECURRENT = 1
    SHARED = 2


@dataclass(frozen=True, slots=True)
class Refused:
    """The window that can afford the calls last, and when it can (monotonic seconds)."""

    window: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class Permit:
    """A call's reservation in all windows. It is settled exactly once."""

    number: int
    cost: Cost


def usable_limit(limit: int) -> int:
    """The limit without its safety margin; at least 1."""
    return max(1, int(limit - max(1.0, MARGIN * limit)))


def limit_for(priority: Priority, usable: int) -> int:
    """Calls out of `usable` that a query of this priority may make; at least 1."""
    if priority is not Priority.ONE_OFF:
        return usable
    return max(1, usable - max(1, round(RESERVED * usable)))


def header_figure(window: Window, headers: Mapping[str, str]) -> int:
    """The usage that the response headers state, 0 where they state none."""
    text = headers.get(window.header, "") if window.header else ""
    return int(text) if text.isdecimal() and len(text) < 12 else 0


def period_name(window: Window) -> str:
    """The window's name in status, logs and ledger: `minute`, `5 minutes`, `month`."""
    if window.kind != "sliding":
        return window.kind
    for name, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if window.period_s >= seconds:
            number = window.period_s / seconds
            return name if number == 1 else f"{number:g} {name}s"
    return f"{window.period_s:g} seconds"
