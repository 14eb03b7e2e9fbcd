"""The push connection of a venue: open while ticks are wanted, reopened with back-off."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from datetime import datetime, timedelta
from itertools import count

from backend.backoff import Backoff
from backend.clock import Clock
from backend.errors import (
    ConnectionBroken,
    GeoBlocked,
    MalformedResponse,
    ProviderError,
    ProviderTimeout,
)
from backend.events import EventSink, TickFeedChanged
from backend.models.ticks import Flow, Tick, TickState, TickStatus, TickSubject
from backend.orchestration.health.circuit_breaker import GEO_DELAYS_S
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.window import Cost, Permit
from backend.orchestration.push.subscriptions import TickSubscriptions
from backend.providers.adapter import Context, PushFeed
from backend.providers.client import parsed
from backend.providers.push_client import PushConnection

#: Waits before a reconnect, in seconds; each is multiplied by the jitter.
RECONNECT_DELAYS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
#: Wait after a connection that was closed because no ticks were wanted, in seconds: clients that
#: come and go use at most half of the connects that the venue allows.
IDLE_RECONNECT_S = 2.0
#: A connection that delivered ticks for this long, in seconds, resets the back-off.
STABLE_AFTER_S = 60.0
#: Interval at which changed subscriptions and silence are noticed, in seconds.
POLL_S = 0.5
#: Consecutive malformed frames after which the connection is dropped.
MAX_MALFORMED = 5


#: Opens a connection to a path. Raises ProviderError.
Connect = Callable[[str], AbstractAsyncContextManager[PushConnection]]


class _ShutdownNotice(ConnectionBroken):
    """The venue announced the end: nothing is wrong, and a reconnect need not wait."""


class TickStream:
    """Ticks of one venue, for the one consumer that iterates `ticks()`.

    Frames are parsed and passed on at once: no tick is delayed, repeated or invented.
    """

    def __init__(
        self,
        provider: str,
        feed: PushFeed,
        connect: Connect,
        *,
        clock: Clock,
        emit: EventSink,
        jitter: Callable[[], float],
    ) -> None:
        self.provider = provider
        self.lists_instruments = feed.lists_instruments
        self.silence_s = feed.silence_s
        self._feed = feed
        self._connect = connect
        self._clock = clock
        self._emit = emit
        self._jitter = jitter
        self._connects = RateLimitGuard(clock, [feed.connects])
        self._backoff = Backoff(clock, RECONNECT_DELAYS_S)
        self._geo_backoff = Backoff(clock, GEO_DELAYS_S)
        self._wanted: tuple[TickSubject, ...] = ()
        self._is_wanted, self._is_idle = asyncio.Event(), asyncio.Event()
        self._next_connect = self._next_command = 0.0
        self._numbers = count(1)
        self._malformed = 0
        #: The subscriptions of the open connection.
        self._subjects: TickSubscriptions | None = None
        self._opened = 0.0
        self._reason: str | None = None
        self._is_down_logged = False
        self._state: TickState = "off"
        self._since = clock.now()

    def __repr__(self) -> str:
        return f"<TickStream {self.provider} {self._state} {len(self._wanted)} wanted>"

    def want(self, subjects: Collection[TickSubject]) -> None:
        """Replaces the wanted subjects. Without any, the connection is closed."""
        self._wanted = tuple(subjects)[: self._feed.most_subjects]
        is_wanted = bool(self._wanted)
        (self._is_wanted if is_wanted else self._is_idle).set()
        (self._is_idle if is_wanted else self._is_wanted).clear()

    def flow(self, subject: TickSubject) -> Flow:
        """Whether ticks of the subject arrive now."""
        if self._subjects is None:
            return Flow(False, self._reason)
        if self._subjects.is_flowing(subject):
            return Flow(True)
        return Flow(False, "timeout" if self._subjects.is_silent(subject) else self._reason)

    def status(self) -> TickStatus:
        retry_at = self._retry_at() if self._state == "down" else None
        wanted, state, reason = len(self._wanted), self._state, self._reason
        if state == "live" and self._subjects and not self._subjects.is_live:
            state, reason = "down", "timeout"  # open, but silent
        return TickStatus(self.provider, state, reason, self._since, wanted, retry_at)

    async def ticks(self) -> AsyncGenerator[Tick]:
        """Every tick of the wanted subjects; never ends by itself."""
        while True:
            await self._until_due()
            asked = self._wanted[: self._feed.subjects_in_path]
            try:
                async with self._connect(self._feed.path(asked)) as connection:
                    self._subjects = TickSubscriptions(self._clock, self._feed, asked)
                    self._opened, self._malformed = self._clock.monotonic(), 0
                    async with aclosing(self._read(connection)) as ticks:
                        async for tick in ticks:
                            yield tick
                self._end(None)
            except ProviderError as error:
                self._end(error)
            except Exception:  # an internal error: the next iteration reconnects
                self._end(ConnectionBroken("internal error"))
                raise

    async def _until_due(self) -> None:
        """Waits until ticks are wanted, and back-off and the limit of connects permit."""
        while True:
            if not self._wanted:
                self._enter("off")
                await self._is_wanted.wait()
            wait_s = self._next_connect - self._clock.monotonic()
            if wait_s <= 0:
                permit = self._connects.try_acquire(Cost(1, 1))
                if isinstance(permit, Permit):
                    self._connects.settle(permit, was_sent=True, may_have_succeeded=True)
                    self._enter("connecting", self._reason)
                    return
                wait_s = permit.retry_at - self._clock.monotonic()
            with suppress(TimeoutError):  # ticks may no longer be wanted by then
                async with asyncio.timeout(wait_s):
                    await self._is_idle.wait()

    async def _read(self, connection: PushConnection) -> AsyncGenerator[Tick]:
        """Ticks until none are wanted. Raises ProviderError, also for a shutdown notice."""
        assert self._subjects is not None
        while self._wanted:
            await self._sync_subscriptions(connection, self._subjects)
            tick = await self._next_tick(connection)
            if tick is not None and self._subjects.mark_seen(tick.subject):
                if self._state != "live":
                    self._enter("live")
                yield tick
            if self._subjects.is_dead:
                raise ProviderTimeout("the connection is open but silent")

    async def _sync_subscriptions(
        self, connection: PushConnection, subjects: TickSubscriptions
    ) -> None:
        now = self._clock.monotonic()
        change = subjects.next_change(self._wanted) if now >= self._next_command else None
        if change is None:
            return
        command = self._feed.subscribe if change.kind == "ask" else self._feed.unsubscribe
        frames = command(change.subjects, next(self._numbers))
        self._next_command = now + len(frames) / self._feed.commands_per_s
        for frame in frames:
            await connection.send(frame)

    async def _next_tick(self, connection: PushConnection) -> Tick | None:
        """The tick in the next frame; None without one within `POLL_S`. Raises ProviderError, also
        for too many malformed frames in a row."""
        tick: Tick | None = None
        try:
            frame = await connection.receive(POLL_S)
            if frame is not None and self._feed.is_shutdown_notice(frame):
                raise _ShutdownNotice("the venue announced the end of the connection")
            context = Context(self.provider, "push", int(self._clock.now().timestamp() * 1000))
            tick = None if frame is None else parsed(self._feed.parse, frame, context)
        except MalformedResponse:
            self._malformed += 1
            if self._malformed >= MAX_MALFORMED:
                raise
        if tick is not None:
            self._malformed = 0
        return tick

    def _end(self, error: ProviderError | None) -> None:
        """The connection has ended: no ticks were wanted any more, or it failed."""
        now, subjects = self._clock.monotonic(), self._subjects
        self._subjects = None
        if error is None or not self._wanted:
            self._next_connect = now + IDLE_RECONNECT_S
            self._enter("off")
            return
        was_live = subjects is not None and subjects.was_live
        was_good = was_live and now - self._opened >= STABLE_AFTER_S
        if was_good:
            self._backoff.reset()
        self._next_connect = now
        if not (was_good and isinstance(error, _ShutdownNotice)):
            backoff = self._geo_backoff if isinstance(error, GeoBlocked) else self._backoff
            wait_s = max(backoff.next_delay_s() * self._jitter(), error.retry_after_s or 0.0)
            backoff.pause(wait_s)
            self._next_connect += wait_s
        self._enter("down", error.reason)

    def _retry_at(self) -> datetime:
        wait_s = self._next_connect - self._clock.monotonic()
        return self._clock.now() + timedelta(seconds=wait_s)

    def _enter(self, state: TickState, reason: str | None = None) -> None:
        """Emits that ticks are lost, once, and that they are back."""
        now = self._clock.now()
        self._reason = reason
        if state != self._state:
            self._state, self._since = state, now
        if state == "down" and not self._is_down_logged:
            self._is_down_logged = True
            self._emit(TickFeedChanged(now, self.provider, reason, self._retry_at()))
        elif state == "live" and self._is_down_logged:
            self._is_down_logged = False
            self._emit(TickFeedChanged(now, self.provider, None))
