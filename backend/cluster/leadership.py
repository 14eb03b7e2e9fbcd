"""The lease of this process, and its takeovers: from the lease to the first call."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from backend.clock import Clock
from backend.cluster.members import Members
from backend.cluster.store import LEASE_S, BeatReply, StoreUnavailable

log = logging.getLogger("gateway")

#: A lease counts as over this much earlier here than in the store, in seconds.
LEASE_MARGIN_S = 0.1
BUG = "an error of the gateway"


@dataclass(frozen=True, slots=True)
class Takeover:
    """What a new leader knows about the calls of those before it.

    `log_is_complete`: the store has every call, or this process has led last and remembers them.
    `has_past`: somebody led this cluster before. `last_life_s`: the last sign of life of a leader
    that the store remembers (epoch seconds by its clock), 0 if none.
    """

    term: int
    log_is_complete: bool
    has_past: bool
    last_life_s: float


#: Reads the log of calls, restores the limits, and marks the log as complete; False if the lease
#: was lost meanwhile. May raise StoreUnavailable.
TakeOver = Callable[[Takeover], Awaitable[bool]]


class Leadership:
    """This process may call within the pool from a complete takeover until its lease ends by its
    own clock, or something speaks against it.

    What was found at the acquisition of the lease holds until the takeover is complete, however
    many attempts that takes.
    """

    def __init__(
        self, clock: Clock, members: Members, on_begin: Callable[[Takeover], None]
    ) -> None:
        """`on_begin` is called when a takeover is complete."""
        self.take_over: TakeOver = _no_takeover
        self._clock = clock
        self._members = members
        self._on_begin = on_begin
        self._lease_until = float("-inf")
        self._is_complete = False
        self._found: Takeover | None = None
        self._task: asyncio.Task[None] | None = None
        #: The last term that this process led, 0 once another has led since.
        self.last_term = 0
        #: Why the last attempt failed.
        self.problem = ""

    def __repr__(self) -> str:
        return f"<Leadership {'complete' if self._is_complete else 'incomplete'} {self.last_term}>"

    @property
    def is_complete(self) -> bool:
        """True from the takeover to the end of the lease."""
        return self._is_complete and self._clock.monotonic() < self._lease_until

    def suspend(self) -> None:
        """No call from now on; the log of calls is read again before the next one."""
        self._is_complete = False

    def end(self) -> None:
        """The process does not hold the lease."""
        self._is_complete, self._found = False, None
        self._stop()

    def extend(self, reply: BeatReply, sent_at: float) -> None:
        """The process holds the lease, as the store said to a beat of `sent_at`."""
        self._lease_until = sent_at + LEASE_S - LEASE_MARGIN_S
        if self._found is None or self._found.term != reply.term:
            self._found, self._is_complete = self._takeover_of(reply), False
            self._stop()

    def go_on(self) -> None:
        """Begins the takeover, unless it is complete or under way."""
        if self._found and not self._is_complete and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(self._found), name="takeover")

    async def aclose(self) -> None:
        task = self._task
        self.end()
        if task:
            await asyncio.gather(task, return_exceptions=True)

    def _takeover_of(self, reply: BeatReply) -> Takeover:
        """After a loss of data this process's memory is the whole truth only if it led last, and
        all others have confirmed that by their claims: they know of no later term."""
        led_last = 0 < self.last_term == max(reply.highest_claim, self.last_term)
        is_known = led_last and self._members.confirm(reply.claims)
        return Takeover(
            reply.term,
            log_is_complete=not reply.is_broken or is_known,
            has_past=reply.term > 1 or reply.highest_claim > 0,
            last_life_s=reply.last_life_s,
        )

    async def _run(self, found: Takeover) -> None:
        try:
            is_done = await self.take_over(found)
        except StoreUnavailable as error:
            self.problem = str(error)
            return
        except Exception:
            if self.problem != BUG:  # it is tried twice a second
                log.exception("the takeover of the cluster failed")
            self.problem = BUG
            return
        if is_done and self._found is found:
            self._is_complete = True
            self._found = replace(found, log_is_complete=True)
            self.last_term = found.term
            self.problem = ""
            self._on_begin(found)

    def _stop(self) -> None:
        if self._task:
            self._task.cancel()
            self._task = None


async def _no_takeover(_takeover: Takeover) -> bool:
    return True
