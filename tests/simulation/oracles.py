"""What providers themselves enforce: limits counted their way, and bans for who goes on calling."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import httpx

from tests.walk import price

DAY_S, MONTH_S = 86_400.0, 30 * 86_400.0


class Limit(Protocol):
    def allows(self, now_s: float) -> bool:
        """Counts the call if it does."""


@dataclass
class Sliding:
    limit: int
    period_s: float
    calls: deque[float] = field(default_factory=deque)

    def allows(self, now_s: float) -> bool:
        while self.calls and now_s - self.calls[0] >= self.period_s:
            self.calls.popleft()
        if len(self.calls) >= self.limit:
            return False
        self.calls.append(now_s)
        return True


@dataclass
class Fixed:
    """Windows of `period_s` that begin at `phase_s`, wherever that is."""

    limit: int
    period_s: float
    phase_s: float = 0.0
    window: int = -1
    used: int = 0

    def allows(self, now_s: float) -> bool:
        window = int((now_s - self.phase_s) // self.period_s)
        if window != self.window:
            self.window, self.used = window, 0
        if self.used >= self.limit:
            return False
        self.used += 1
        return True


@dataclass
class CalendarMonth:
    limit: int
    month: tuple[int, int] = (0, 0)
    used: int = 0
    #: Of each month that is over, and of the one that is not.
    totals: dict[tuple[int, int], int] = field(default_factory=dict)

    def allows(self, now_s: float) -> bool:
        at = datetime.fromtimestamp(now_s, UTC)
        if (at.year, at.month) != self.month:
            self.month, self.used = (at.year, at.month), 0
        if self.used >= self.limit:
            return False
        self.used += 1
        self.totals[self.month] = self.used
        return True


@dataclass
class Oracle:
    """One provider: answers by its true clock, refuses what is too much, bans who insists.

    `overruns` are calls that were too many: none may ever stand there.
    """

    limits: tuple[Limit, ...]
    true_now_s: Callable[[], float]
    is_down: bool = False
    calls: int = 0
    overruns: list[float] = field(default_factory=list)
    banned_until_s: float = 0.0

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        now = self.true_now_s()
        self.calls += 1
        if self.is_down:
            return httpx.Response(503, json={})
        if now < self.banned_until_s:
            self.overruns.append(now)
            return httpx.Response(418, json={}, headers={"Retry-After": "600"})
        allowed = [limit.allows(now) for limit in self.limits]  # each of them counts it
        if not all(allowed):
            self.overruns.append(now)
            self.banned_until_s = now + 60.0
            return httpx.Response(429, json={}, headers={"Retry-After": "60"})
        return price(now)
