"""When a push connection may be opened: while it is wanted, after a back-off, within the venue's
limit of connects."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from backend.backoff import Backoff
from backend.clock import Clock
from backend.errors import ConnectionBroken, GeoBlocked, ProviderError
from backend.orchestration.health.circuit_breaker import GEO_DELAYS_S
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.window import Cost, Permit

#: Waits before a reconnect, in seconds; each is multiplied by the jitter.
RECONNECT_DELAYS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
#: Wait after a connection that was closed because nothing was wanted, in seconds: clients that
#: come and go use at most half of the connects that the venue allows.
IDLE_RECONNECT_S = 2.0
#: A connection that delivered data for this long, in seconds, resets the back-off.
STABLE_AFTER_S = 60.0


class ShutdownNotice(ConnectionBroken):
    """The venue announced the end: nothing is wrong, and a reconnect need not wait."""


class Reconnects:
    """The waits of one push connection. Connections to the same venue share `connects`."""

    def __init__(self, clock: Clock, connects: RateLimitGuard, jitter: Callable[[], float]) -> None:
        self._clock = clock
        self._connects = connects
        self._jitter = jitter
        self._backoff = Backoff(clock, RECONNECT_DELAYS_S)
        self._geo_backoff = Backoff(clock, GEO_DELAYS_S)
        self._is_wanted, self._is_unwanted = asyncio.Event(), asyncio.Event()
        self._next_at = 0.0

    def __repr__(self) -> str:
        return f"<Reconnects {'wanted' if self._is_wanted.is_set() else 'unwanted'}>"

    def note_wanted(self, is_wanted: bool) -> None:
        (self._is_wanted if is_wanted else self._is_unwanted).set()
        (self._is_unwanted if is_wanted else self._is_wanted).clear()

    async def until_due(self, on_unwanted: Callable[[], None]) -> None:
        """Waits until the connection is wanted and permitted, and counts the connect. Calls
        `on_unwanted` before it waits for somebody who wants it."""
        while True:
            if not self._is_wanted.is_set():
                on_unwanted()
                await self._is_wanted.wait()
            wait_s = self._next_at - self._clock.monotonic()
            if wait_s <= 0:
                permit = self._connects.try_acquire(Cost(1, 1))
                if isinstance(permit, Permit):
                    self._connects.settle(permit, was_sent=True, may_have_succeeded=True)
                    return
                wait_s = permit.retry_at - self._clock.monotonic()
            with suppress(TimeoutError):  # it may no longer be wanted by then
                async with asyncio.timeout(wait_s):
                    await self._is_unwanted.wait()

    def note_idle(self) -> None:
        """The connection was closed because nobody wanted it."""
        self._next_at = self._clock.monotonic() + IDLE_RECONNECT_S

    def note_failure(self, error: ProviderError, live_since: float | None) -> None:
        """`live_since`: when the connection that delivered data was opened (monotonic seconds);
        None if it delivered none."""
        now = self._clock.monotonic()
        was_good = live_since is not None and now - live_since >= STABLE_AFTER_S
        if was_good:
            self._backoff.reset()
        self._next_at = now
        if not (was_good and isinstance(error, ShutdownNotice)):
            backoff = self._geo_backoff if isinstance(error, GeoBlocked) else self._backoff
            wait_s = max(backoff.next_delay_s() * self._jitter(), error.retry_after_s or 0.0)
            backoff.pause(wait_s)
            self._next_at += wait_s

    @property
    def retry_at(self) -> datetime:
        wait_s = self._next_at - self._clock.monotonic()
        return self._clock.now() + timedelta(seconds=wait_s)
