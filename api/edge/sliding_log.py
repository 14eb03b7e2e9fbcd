"""The uses of one client in one window: exact, with a bounded number of entries."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

#: Parts of a window. Uses within one part are one entry, with the time of the last use. So a log
#: has about this many entries, and a use expires at most one part of the window too late.
PARTS = 64
#: The RateLimit header (draft-ietf-httpapi-ratelimit-headers): units left, seconds until more.
_HEADER = b'"client";r=%d;t=%d'


class Verdict(NamedTuple):
    """Whether a use is admitted, the units left, and the seconds until there are more."""

    passes: bool
    left: int
    reset_s: int

    @property
    def header(self) -> bytes:
        return _HEADER % (self.left, self.reset_s)


@dataclass(slots=True, eq=False)
class SlidingLog:
    """The uses of one window: a time (of the last use) and units for each entry, oldest first.

    The newest entry is kept apart from the others, as most uses change nothing else. `used` is more
    than the limit only by uses at other processes.
    """

    _limit: int
    _period_s: float
    used: int = 0
    _newest_units: int = 0
    _newest_at: float = -math.inf
    _part_ends: float = -math.inf
    _steady_until: float = -math.inf
    _oldest_ends: float = math.inf
    _older: deque[tuple[float, int]] = field(default_factory=deque)
    #: `used` without the units that `take_own` has still to give. Below 0 where some of these have
    #: expired already.
    _settled: int = 0

    def count_one(self, now: float) -> bytes | None:
        """Counts one unit in the usual case, in which no entry expires and none begins. Gives the
        RateLimit header; None, and counts nothing, in any other case."""
        if now >= self._steady_until or self.used >= self._limit:
            return None
        self.used += 1
        self._newest_at = now
        self._newest_units += 1
        reset_s = math.ceil(self._oldest_ends - now) if self._older else math.ceil(self._period_s)
        return _HEADER % (self._limit - self.used, reset_s)

    def wait_s(self, now: float, units: int) -> float:
        """Seconds until `units` fit into the window; 0 where they do now."""
        while self._older and now - self._older[0][0] >= self._period_s:
            self._expire(self._older.popleft()[1])
        if now - self._newest_at >= self._period_s:
            self._expire(self._newest_units)
            self._newest_units = 0
        self._set_ends()
        excess = self.used + min(units, self._limit) - self._limit
        if excess <= 0:
            return 0.0
        for at, used in self._older:
            excess -= used
            if excess <= 0:
                return at + self._period_s - now
        return self._newest_at + self._period_s - now

    def add(self, now: float, units: int) -> Verdict:
        """Counts `units`, which have to fit."""
        if now >= self._part_ends:
            if self._newest_units:
                self._older.append((self._newest_at, self._newest_units))
                self._newest_units = 0
            self._part_ends = now + self._period_s / PARTS
            self._set_ends()
        units = min(units, self._limit)
        self.used += units
        self._newest_at = now
        self._newest_units += units
        left_s = self._oldest_ends - now if self._older else self._period_s
        reset_s = max(1, math.ceil(left_s))  # 0 by rounding
        return Verdict(True, self._limit - self.used, reset_s)

    def refusal(self, wait_s: float) -> Verdict:
        return Verdict(False, max(0, self._limit - self.used), max(1, math.ceil(wait_s)))

    def add_of_others(self, now: float, units: int) -> None:
        """Counts `units` that were used at another process, whether they fit or not."""
        self.wait_s(now, 0)
        self._settled += min(units, self._limit)
        self.add(now, units)

    def take_own(self) -> int | None:
        """Units used here since the last call; None where nothing called `wait_s` since then.

        The next `count_one` fails, so that its caller has to call `wait_s`.
        """
        if self._steady_until == -math.inf:
            return None
        self._steady_until = -math.inf
        own = self.used - self._settled
        self._settled = self.used
        return own

    def _expire(self, units: int) -> None:
        self.used -= units
        self._settled -= units

    def _set_ends(self) -> None:
        self._oldest_ends = self._older[0][0] + self._period_s if self._older else math.inf
        self._steady_until = min(self._part_ends, self._oldest_ends)
