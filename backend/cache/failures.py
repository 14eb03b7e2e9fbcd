"""Refreshes that failed, and when each may be tried again."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from backend.clock import Clock
from backend.errors import GatewayError, SourceUnavailable
from backend.models.answer import Attempt

#: After a failed refresh the next one waits this long, doubling, in seconds.
RECHECK_S, RECHECK_MAX_S = 10.0, 60.0
#: ... or until a provider will be back, if that is sooner; never below this.
SHORTEST_RECHECK_S = 1.0
REMEMBERED_FAILURES = 1_024


@dataclass(frozen=True, slots=True)
class Failure:
    """A refresh that failed: until `recheck_at` (monotonic) it is not tried again."""

    error: Exception
    recheck_at: float
    wait_s: float


class Failures:
    """By question; bounded, the oldest goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[Hashable, Failure] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Failures {len(self._failures)}/{REMEMBERED_FAILURES}>"

    def note(self, query: Hashable, error: Exception) -> bool:
        """True when it is the first failure since the last success."""
        previous = self._failures.get(query)
        wait_s = min(RECHECK_MAX_S, previous.wait_s * 2) if previous else RECHECK_S
        told_s = self._told_wait_s(error)
        hold_s = wait_s if told_s is None else min(wait_s, told_s)
        recheck_at = self._clock.monotonic() + hold_s
        self._failures[query] = Failure(error, recheck_at, wait_s)
        self._failures.move_to_end(query)
        if len(self._failures) > REMEMBERED_FAILURES:
            self._failures.popitem(last=False)
        return previous is None

    def forget(self, query: Hashable) -> bool:
        """It succeeded. True when there was a failure to forget."""
        return self._failures.pop(query, None) is not None

    def in_force(self, query: Hashable) -> Failure | None:
        """The failure because of which it is not tried now."""
        failure = self._failures.get(query)
        return failure if failure and self._clock.monotonic() < failure.recheck_at else None

    def _told_wait_s(self, error: Exception) -> float | None:
        """When the first provider will be back: waiting longer would make Retry-After a lie."""
        retry_at = error.retry_at if isinstance(error, SourceUnavailable) else None
        if retry_at is None:
            return None
        return max(SHORTEST_RECHECK_S, (retry_at - self._clock.now()).total_seconds())


def reason_of(error: Exception) -> str:
    """In one word of the contract, or `internal_error` for a bug of ours."""
    return error.reason if isinstance(error, GatewayError) else "internal_error"


def tried_in(error: Exception | None) -> tuple[Attempt, ...]:
    """The attempts behind a failed refresh."""
    return error.tried if isinstance(error, SourceUnavailable) else ()
