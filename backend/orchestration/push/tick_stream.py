"""A venue's push connection: open while somebody wants ticks, reopened with care when it falls."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Protocol

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
from backend.orchestration.health.backoff import Backoff
from backend.orchestration.health.circuit_breaker import GEO_DELAYS_S
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.window import Cost, Refused
from backend.orchestration.push.subscriptions import TickSubscriptions
from backend.providers.adapter import Context, PushFeed
from backend.providers.client import parsed

#: Waits before the next connection, in seconds; each is jittered.
RECONNECT_DELAYS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
#: However readers come and go, half of the connects that are allowed are never used.
IDLE_RECONNECT_S = 2.0
#: A connection that brought ticks for this long was a good one: back-off begins anew.
STABLE_AFTER_S = 60.0
#: How long a change of what is wanted, or a silence, may go unnoticed.
POLL_S = 0.5
#: So many frames in a row that hold no sense, and the connection holds none.
MOST_JUNK = 5
#: Asked for in the address; more are asked for by commands.
SUBJECTS_IN_PATH = 50


class Connection(Protocol):
    async def send(self, text: str) -> None: ...
    async def receive(self, timeout_s: float) -> Any: ...


#: Opens a connection to a path. Raises ProviderError.
Connect = Callable[[str], AbstractAsyncContextManager[Connection]]


class _ShutdownNotice(ConnectionBroken):
    """They announced the end: nothing is wrong, and the next connection need not wait."""


class TickStream:
    """Ticks of one venue, for whoever iterates `ticks()`; there is one such reader.

    What comes is parsed here and passed on at once: no tick is held back, repeated or made up.
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
        self._provider = provider
        self._feed = feed
        self._connect = connect
        self._clock = clock
        self._emit = emit
        self._jitter = jitter
        self._connects = RateLimitGuard(clock, [feed.connects])
        self._backoff = Backoff(clock, RECONNECT_DELAYS_S)
        self._geo_backoff = Backoff(clock, GEO_DELAYS_S)
        self._wanted: tuple[TickSubject, ...] = ()
        self._someone_wants, self._nobody_wants = asyncio.Event(), asyncio.Event()
        self._next_connect = self._next_command = 0.0
        self._numbers = count(1)
        self._junk = 0
        #: Of the open connection.
        self._subjects: TickSubscriptions | None = None
        self._opened = 0.0
        self._reason: str | None = None
        self._is_down_logged = False
        self._state: TickState = "off"
        self._since = clock.now()

    def __repr__(self) -> str:
        return f"<TickStream {self._provider} {self._state} {len(self._wanted)} wanted>"

    def want(self, subjects: Collection[TickSubject]) -> None:
        """From now on these, and nothing else; without any the connection is closed."""
        self._wanted = tuple(subjects)[: self._feed.most_subjects]
        rises, falls = self._someone_wants, self._nobody_wants
        if not self._wanted:
            rises, falls = falls, rises
        rises.set()
        falls.clear()

    def flow(self, subject: TickSubject) -> Flow:
        """Whether this subject's ticks come in now."""
        if self._subjects is None:
            return Flow(False, self._reason)
        if self._subjects.is_flowing(subject):
            return Flow(True)
        return Flow(False, "timeout" if self._subjects.is_silent(subject) else self._reason)

    def status(self) -> TickStatus:
        retry_at = self._retry_at() if self._state == "down" else None
        wanted, state, reason = len(self._wanted), self._state, self._reason
        if state == "live" and self._subjects and not self._subjects.is_live:
            state, reason = "down", "timeout"  # open, and silent
        return TickStatus(self._provider, state, reason, self._since, wanted, retry_at)

    async def ticks(self) -> AsyncGenerator[Tick]:
        """Every tick of what is wanted, for ever."""
        while True:
            await self._until_due()
            asked = self._wanted[:SUBJECTS_IN_PATH]
            try:
                async with self._connect(self._feed.path(asked)) as connection:
                    self._begin(asked)
                    async with aclosing(self._conversation(connection)) as told:
                        async for tick in told:
                            yield tick
                self._end(None)
            except ProviderError as error:
                self._end(error)
            except Exception:  # a bug of ours: whoever reads on begins anew
                self._end(ConnectionBroken("we stumbled"))
                raise

    async def _until_due(self) -> None:
        """Somebody wants ticks, and neither back-off nor the limit of connects forbids."""
        while True:
            await self._until_wanted()
            wait_s = self._next_connect - self._clock.monotonic()
            if wait_s <= 0:
                refused = self._try_connect()
                if refused is None:
                    return
                wait_s = refused.retry_at - self._clock.monotonic()
            with suppress(TimeoutError):  # who wants may leave in the meantime
                async with asyncio.timeout(wait_s):
                    await self._nobody_wants.wait()

    async def _until_wanted(self) -> None:
        if not self._wanted:
            self._reason = None
            self._enter("off")
            await self._someone_wants.wait()

    def _try_connect(self) -> Refused | None:
        permit = self._connects.try_acquire(Cost(1, 1))
        if isinstance(permit, Refused):
            return permit
        self._connects.settle(permit, was_sent=True, may_have_succeeded=True)
        self._enter("connecting")
        return None

    def _begin(self, asked: tuple[TickSubject, ...]) -> None:
        self._subjects = TickSubscriptions(self._clock, self._feed, asked)
        self._opened, self._junk = self._clock.monotonic(), 0

    async def _conversation(self, connection: Connection) -> AsyncGenerator[Tick]:
        """Until nobody wants anything, or they say goodbye. Raises ProviderError."""
        assert self._subjects is not None
        while self._wanted:
            await self._sync_subscriptions(connection, self._subjects)
            frame = await self._received(connection)
            if frame is not None and self._feed.is_shutdown_notice(frame):
                raise _ShutdownNotice("they announced the end of the connection")
            tick = self._tick_in(frame) if frame is not None else None
            if tick is not None and self._subjects.mark_seen(tick.subject):
                self._note_live()
                yield tick
            if self._subjects.is_dead:
                raise ProviderTimeout("the connection is open and says nothing")

    async def _sync_subscriptions(
        self, connection: Connection, subjects: TickSubscriptions
    ) -> None:
        now = self._clock.monotonic()
        wish = subjects.next_change(self._wanted) if now >= self._next_command else None
        if wish is None:
            return
        self._next_command = now + 1.0 / self._feed.commands_per_s
        command = self._feed.ask if wish.kind == "ask" else self._feed.drop
        await connection.send(command(wish.subjects, next(self._numbers)))

    async def _received(self, connection: Connection) -> Any:
        try:
            return await connection.receive(POLL_S)
        except MalformedResponse as error:
            self._note_junk(error)
            return None

    def _tick_in(self, frame: Any) -> Tick | None:
        context = Context(self._provider, "push", int(self._clock.now().timestamp() * 1000))
        try:
            tick: Tick | None = parsed(self._feed.parse, frame, context)
        except MalformedResponse as error:
            self._note_junk(error)
            return None
        self._junk = 0 if tick is not None else self._junk
        return tick

    def _note_junk(self, error: MalformedResponse) -> None:
        self._junk += 1
        if self._junk >= MOST_JUNK:
            raise error

    def _note_live(self) -> None:
        if self._state == "live":
            return
        self._reason = None
        self._enter("live")
        if self._is_down_logged:
            self._is_down_logged = False
            self._emit(TickFeedChanged(self._clock.now(), self._provider, None))

    def _end(self, error: ProviderError | None) -> None:
        """The connection is over: because nobody wanted it any more, or it fell."""
        now, subjects = self._clock.monotonic(), self._subjects
        self._subjects = None
        if error is None or not self._wanted:
            self._next_connect = now + IDLE_RECONNECT_S
            self._reason = None
            self._enter("off")
            return
        was_good = (
            subjects is not None and subjects.was_live and now - self._opened >= STABLE_AFTER_S
        )
        if was_good:
            self._backoff.reset()
        is_orderly = was_good and isinstance(error, _ShutdownNotice)
        self._next_connect = now + (0.0 if is_orderly else self._wait_s(error))
        self._fell(error.reason)

    def _wait_s(self, error: ProviderError) -> float:
        backoff = self._geo_backoff if isinstance(error, GeoBlocked) else self._backoff
        wait_s = max(backoff.next_delay_s() * self._jitter(), error.retry_after_s or 0.0)
        backoff.pause(wait_s)
        return wait_s

    def _fell(self, reason: str) -> None:
        self._reason = reason
        self._enter("down")
        if not self._is_down_logged:
            self._is_down_logged = True
            self._emit(TickFeedChanged(self._clock.now(), self._provider, reason, self._retry_at()))

    def _retry_at(self) -> datetime:
        wait_s = self._next_connect - self._clock.monotonic()
        return self._clock.now() + timedelta(seconds=wait_s)

    def _enter(self, state: TickState) -> None:
        if state != self._state:
            self._state, self._since = state, self._clock.now()
