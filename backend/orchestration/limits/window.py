"""What the windows of a rate limit share: costs, permits, and how a window is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from backend.providers.adapter import Window

#: Of each limit this share, at least one call, stays unused.
MARGIN = 0.05
#: Of a short window's usable calls this share, at least one call, is no one-off question's.
RESERVED = 0.2


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work will take: HTTP requests, and their weights together."""

    requests: int
    weight: int


class Priority(IntEnum):
    """How much of a limit a question may use, by who asks it.

    A one-off question leaves a share of the short windows to the others. Only a question that is
    one for all readers may borrow from the future of a day's or month's budget.
    """

    ONE_OFF = 0
    RECURRENT = 1
    SHARED = 2


@dataclass(frozen=True, slots=True)
class Refused:
    """The first window that cannot afford the work, and when (monotonic) it can."""

    window: str
    retry_at: float


@dataclass(frozen=True, slots=True)
class Permit:
    """One call's place in all windows, to be settled exactly once."""

    number: int
    cost: Cost


def usable_limit(limit: int) -> int:
    return max(1, int(limit - max(1.0, MARGIN * limit)))


def limit_for(priority: Priority, usable: int) -> int:
    """How much of `usable` a question of this priority may use; never nothing."""
    if priority is not Priority.ONE_OFF:
        return usable
    return max(1, usable - max(1, round(RESERVED * usable)))


def header_figure(window: Window, headers: Mapping[str, str]) -> int:
    """What the vendor says that was used, 0 where it says nothing."""
    text = headers.get(window.header, "") if window.header else ""
    return int(text) if text.isdecimal() and len(text) < 12 else 0


def period_name(window: Window) -> str:
    """`minute`, `5 minutes`, `month`: how a window is called in status, logs and the ledger."""
    if window.kind != "sliding":
        return window.kind
    for name, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if window.period_s >= seconds:
            number = window.period_s / seconds
            return name if number == 1 else f"{number:g} {name}s"
    return f"{window.period_s:g} seconds"
