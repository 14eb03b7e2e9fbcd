"""The push connection of a venue: open while ticks are wanted, reopened with back-off."""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, aclosing
from datetime import datetime
from itertools import count
from math import inf
from typing import Any

from backend.clock import Clock
from backend.errors import ConnectionBroken, MalformedResponse, ProviderError, ProviderTimeout
from backend.events import EventSink, TickFeedChanged
from backend.models.ticks import Flow, Tick, TickState, TickStatus, TickSubject
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.push.connection_state import ConnectionState
from backend.orchestration.push.reconnects import Reconnects, ShutdownNotice
from backend.orchestration.push.subscriptions import TickSubscriptions
from backend.providers.adapter import Context, PushFeed
from backend.providers.client import parsed
from backend.providers.push_client import PushConnection
from backend.waiting import SHORTEST_S

#: Time within which silence is noticed, in seconds.
NOTICE_S = 0.5
#: Time after which a connection is closed that nobody wants, in seconds: a reader that changes its
#: subscription is without one for a moment.
LINGER_S = 0.25
#: The longest time between two looks at the subscriptions, in seconds.
LONGEST_S = 60.0
#: Consecutive malformed frames after which the connection is dropped.
MAX_MALFORMED = 5


#: Opens a connection to a path. Raises ProviderError.
Connect = Callable[[str], AbstractAsyncContextManager[PushConnection]]


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
        connects: RateLimitGuard | None = None,
    ) -> None:
        """`connects` is the venue's limit, if other connections count for it, too."""
        self.provider = provider
        self.lists_instruments = feed.lists_instruments
        self.silence_s = feed.silence_s
        self._feed = feed
        self._connect = connect
        self._clock = clock
        self._emit = emit
        guard = connects or RateLimitGuard(clock, [feed.connects])
        self._reconnects = Reconnects(clock, guard, jitter)
        #: Called when `flow` may have changed.
        self.on_flow_change: Callable[[], None] = lambda: None
        self._wanted: tuple[TickSubject, ...] = ()
        self._next_command = self._next_review = 0.0
        #: When the connection is closed because nothing is wanted; inf while something is.
        self._closes_at = 0.0
        self._connection: PushConnection | None = None
        self._numbers = count(1)
        self._malformed = 0
        #: The subscriptions of the open connection.
        self._subjects: TickSubscriptions | None = None
        self._opened = 0.0
        self._state = ConnectionState(clock, self._report)

    def __repr__(self) -> str:
        return f"<TickStream {self.provider} {self._state.current} {len(self._wanted)} wanted>"

    def want(self, subjects: Collection[TickSubject]) -> None:
        """Replaces the wanted subjects. Without any, the connection is closed."""
        wanted = tuple(subjects)[: self._feed.most_subjects]
        if wanted != self._wanted:
            self._wanted, self._next_review = wanted, 0.0
            self._closes_at = inf if wanted else self._clock.monotonic() + LINGER_S
            if self._connection:
                self._connection.interrupt()
        self._reconnects.note_wanted(bool(self._wanted))

    def flow(self, subject: TickSubject) -> Flow:
        """Whether ticks of the subject arrive now."""
        if self._subjects is None:
            return Flow(False, self._state.reason)
        if self._subjects.is_flowing(subject):
            return Flow(True)
        return Flow(False, "timeout" if self._subjects.is_silent(subject) else self._state.reason)

    def status(self) -> TickStatus:
        state, reason = self._state.current, self._state.reason
        retry_at = self._reconnects.retry_at if state == "down" else None
        if state == "live" and self._subjects and not self._subjects.is_live:
            state, reason = "down", "timeout"  # open, but silent
        since, wanted = self._state.since, len(self._wanted)
        return TickStatus(self.provider, state, reason, since, wanted, retry_at)

    async def ticks(self) -> AsyncGenerator[Tick]:
        """Every tick of the wanted subjects; never ends by itself."""
        while True:
            await self._reconnects.until_due(lambda: self._enter("off"))
            self._enter("connecting", self._state.reason)
            asked = self._wanted[: self._feed.subjects_in_path]
            try:
                async with self._connect(self._feed.path(asked)) as connection:
                    self._subjects = TickSubscriptions(
                        self._clock, self._feed, asked, self._note_flow
                    )
                    self._connection = connection
                    self._opened, self._malformed = self._clock.monotonic(), 0
                    self._next_review = 0.0
                    async with aclosing(self._read(connection)) as ticks:
                        async for tick in ticks:
                            yield tick
                self._end(None)
            except ProviderError as error:
                self._end(error)
            except Exception:  # an internal error: the next iteration reconnects
                self._end(ConnectionBroken("internal error"))
                raise

    async def _read(self, connection: PushConnection) -> AsyncGenerator[Tick]:
        """Ticks until none are wanted. Raises ProviderError, also for a shutdown notice."""
        assert self._subjects is not None
        while (now := self._clock.monotonic()) < self._closes_at:
            if now >= self._next_review:
                await self._review(connection, self._subjects, now)
                continue
            try:
                frame = await connection.receive(max(self._next_review - now, SHORTEST_S))
                tick = None if frame is None else self._parsed(frame)
            except MalformedResponse as error:
                tick = None
                self._note_malformed(error)
            if tick is not None and self._subjects.mark_seen(tick.subject):
                if self._state.current != "live":
                    self._state.enter("live")
                yield tick

    async def _review(
        self, connection: PushConnection, subjects: TickSubscriptions, now: float
    ) -> None:
        """Sends the next command, if one is due, and decides when to look again. Raises
        ProviderError, also for silence.

        It looks at all subjects, so it does so when they change or one may be silent, not for each
        tick.
        """
        self._next_review = inf  # until `want` sets it
        if self._wanted and not subjects.is_as_wanted(self._wanted, now):
            await self._send_next(connection, subjects, now)
            self._note_flow()
        due = min(max(subjects.next_silence_at(now), now + NOTICE_S), now + LONGEST_S)
        self._next_review = min(self._next_review, due, self._closes_at)

    async def _send_next(
        self, connection: PushConnection, subjects: TickSubscriptions, now: float
    ) -> None:
        if subjects.is_dead:
            raise ProviderTimeout("the connection is open but silent")
        change = subjects.next_change(self._wanted) if now >= self._next_command else None
        if change:
            command = self._feed.subscribe if change.kind == "ask" else self._feed.unsubscribe
            frames = command(change.subjects, next(self._numbers))
            self._next_command = now + len(frames) / self._feed.commands_per_s
            for frame in frames:
                await connection.send(frame)
        if now < self._next_command:
            self._next_review = min(self._next_review, self._next_command)

    def _note_malformed(self, error: MalformedResponse) -> None:
        """Raises it if it is one too many in a row."""
        self._malformed += 1
        if self._malformed >= MAX_MALFORMED:
            raise error

    def _parsed(self, frame: Any) -> Tick | None:
        """The frame's tick, if it has one. Raises ProviderError, also for a shutdown notice."""
        if self._feed.is_shutdown_notice(frame):
            raise ShutdownNotice("the venue announced the end of the connection")
        context = Context(self.provider, "push", int(self._clock.now().timestamp() * 1000))
        tick: Tick | None = parsed(self._feed.parse, frame, context)
        if tick is not None:
            self._malformed = 0
        return tick

    def _end(self, error: ProviderError | None) -> None:
        """The connection has ended: no ticks were wanted any more, or it failed."""
        subjects, self._subjects, self._connection = self._subjects, None, None
        if error is None or not self._wanted:
            self._reconnects.note_idle()
            self._enter("off")
            return
        was_live = subjects is not None and subjects.was_live
        self._reconnects.note_failure(error, self._opened if was_live else None)
        self._enter("down", error.reason, self._reconnects.retry_at)

    def _enter(
        self, state: TickState, reason: str | None = None, retry_at: datetime | None = None
    ) -> None:
        self._state.enter(state, reason, retry_at)
        self._note_flow()

    def _note_flow(self) -> None:
        self.on_flow_change()

    def _report(self, reason: str | None, retry_at: datetime | None) -> None:
        """Ticks are lost, or they are back."""
        self._emit(TickFeedChanged(self._clock.now(), self.provider, reason, retry_at))
