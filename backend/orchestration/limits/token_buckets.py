"""The pace of a daily or monthly budget: tokens that come in evenly, in two buckets.

Calls that are passed through for readers have a bucket of their own, so that neither they nor the
gateway's own calls can use up what comes in for the others (a hierarchical token bucket). What has
no room in one bucket goes to the other. While the gateway's own bucket is in debt, all that comes
in goes to it first.
"""

from dataclasses import dataclass
from math import inf

from backend.orchestration.limits.window import Priority

#: The part of the tokens that may be saved up which passed calls may save up: more than their part
#: of what comes in, as programs ask many questions when they start.
SAVED_PART = 0.25


@dataclass(slots=True)
class TokenBucket:
    """Tokens up to `capacity`; a negative number is a debt."""

    capacity: float
    tokens: float = 0.0

    @property
    def room(self) -> float:
        return max(0.0, self.capacity - self.tokens)

    def fill(self, tokens: float) -> float:
        """Returns what has no room."""
        filled = self.tokens + tokens
        self.tokens = min(self.capacity, filled)
        return filled - self.tokens

    def affords(self, amount: float, loan: float = 0.0) -> bool:
        """A full bucket affords any amount: it could not save up more."""
        is_full = self.capacity > 0 and self.tokens >= self.capacity
        return self.tokens - amount >= -loan or is_full

    def missing(self, amount: float, loan: float = 0.0) -> float:
        """Tokens that must come in before it affords `amount`; infinite if it has no capacity."""
        if not self.capacity:
            return inf
        return max(0.0, min(amount - loan, self.capacity) - self.tokens)


class TokenBuckets:
    """`slack` tokens may be saved up. The bucket of passed calls gets `part` of what comes in."""

    def __init__(self, slack: float, part: float = 0.0) -> None:
        self._part = part
        self._own, self._passed = TokenBucket(0.0), TokenBucket(0.0)
        self.resize(slack)

    def __repr__(self) -> str:
        return f"<TokenBuckets {self._own.tokens:.1f} {self._passed.tokens:.1f}>"

    def of(self, priority: Priority) -> TokenBucket:
        return self._passed if priority is Priority.PASS_THROUGH else self._own

    @property
    def fills_both(self) -> bool:
        """True while passed calls take their part of what comes in."""
        return self._part > 0 and self._passed.room > 0

    def restart(self, tokens: float) -> None:
        self._own.tokens = self._passed.tokens = 0.0
        self.fill(tokens)

    def resize(self, slack: float) -> None:
        saved = SAVED_PART if self._part else 0.0
        for bucket, part in ((self._own, 1 - saved), (self._passed, saved)):
            bucket.capacity = slack * part
            bucket.tokens = min(bucket.tokens, bucket.capacity)

    def forgive(self) -> None:
        """Ends the debts."""
        for bucket in (self._own, self._passed):
            bucket.tokens = max(0.0, bucket.tokens)

    def fill(self, tokens: float) -> None:
        """`tokens` have come in."""
        repaid = min(tokens, max(0.0, -self._own.tokens))
        self._own.fill(repaid)
        passed = self._part * (tokens - repaid)
        spilled = self._passed.fill(passed)
        self._passed.fill(self._own.fill(tokens - repaid - passed + spilled))

    def needed(self, amount: float, priority: Priority, loan: float = 0.0) -> float:
        """Tokens that must come in, for both buckets, before `priority` can afford `amount`."""
        bucket = self.of(priority)
        missing, debt = bucket.missing(amount, loan), max(0.0, -self._own.tokens)
        if bucket is self._passed:
            if not missing:
                return 0.0
            other, part = TokenBucket(self._own.capacity, max(0.0, self._own.tokens)), self._part
        else:
            debt = min(debt, missing)
            missing -= debt
            other, part = self._passed, 1 - self._part
        # Until the other bucket is full it gets its part.
        by_part = missing / part if part else inf
        return debt + min(by_part, missing + other.room)
