"""The limit of a short window: as declared, or lower, as the provider's refusals teach."""

from backend.clock import Clock
from backend.orchestration.limits.window import usable_limit

#: After a refusal, the limit is taken to be this share of the calls that were too many.
LEARNED_SHARE = 0.9
#: Two refusals at about the same count within this time show a lower limit, not other clients.
SAME_COUNT, SAME_WITHIN_S = 0.2, 6 * 3_600.0
#: A lowered limit is kept for a day, twice as long each time; then it grows by this share of the
#: declared limit per hour.
HOLD_S, RECOVERY_SHARE, HOUR_S = 86_400.0, 0.05, 3_600.0


class LearnedLimit:
    """`declared` is the documented limit, of which a margin stays unused."""

    def __init__(self, clock: Clock, declared: int, period_s: float) -> None:
        self._clock = clock
        self._period_s = period_s
        self.declared = declared
        self._usable = self._learned = usable_limit(declared)
        self._learned_at = 0.0
        self._hold_s = 0.0
        self._last_refusal: tuple[float, int] | None = None

    def __repr__(self) -> str:
        return f"<LearnedLimit {self._learned}/{self.declared}>"

    @property
    def usable(self) -> int:
        """Calls that may be made in the window now."""
        if self._learned >= self._usable:
            return self._usable
        hold_until = self._learned_at + self._hold_s
        hours = max(0.0, self._clock.monotonic() - hold_until) / HOUR_S
        return min(self._usable, int(self._learned + hours * RECOVERY_SHARE * self._usable))

    def redeclare(self, limit: int) -> None:
        """The provider states another limit than its documentation did."""
        self.declared = limit
        self._usable = self._learned = usable_limit(limit)

    def record_refusal(self, count: int, largest_cost: int) -> int | None:
        """The provider refused a call by rate after `count` calls in the window.

        Near the limit, or twice at the same count, the limit is lowered; never below
        `largest_cost`, as no call would pass then and nothing more could be learned. Far below it,
        other clients use this quota: returns how much they have used at most. A call that had the
        window for itself was not refused for our rate.
        """
        now, last = self._clock.monotonic(), self._last_refusal
        if last and now - last[0] < self._period_s:
            return None  # part of the same burst
        self._last_refusal = now, count
        was_alone = count <= largest_cost
        is_near = 2 * count >= self.declared
        is_same = (
            last is not None
            and now - last[0] <= SAME_WITHIN_S
            and abs(count - last[1]) <= SAME_COUNT * max(count, last[1])
        )
        if was_alone or not (is_near or is_same):
            return self.declared - count
        self._learned = min(self.usable, max(largest_cost, int(LEARNED_SHARE * count)))
        self._hold_s = 2 * self._hold_s if self._learned_at else HOLD_S
        self._learned_at = now
        return None
