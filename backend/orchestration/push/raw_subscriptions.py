"""The subscriptions of an open connection to raw streams, and whether the vendor still answers."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import count, islice

from backend.clock import Clock
from backend.errors import ProviderTimeout
from backend.models.raw_streams import CommandReply
from backend.providers.adapter import RawCommand, RawFeed

#: Streams of one command.
STREAMS_IN_COMMAND = 100
#: After this silence, in seconds, the vendor is asked for a reply: streams may pause for minutes.
QUIET_S = 20.0
#: Time in which a command must be answered, in seconds.
REPLY_S = 10.0


@dataclass(frozen=True, slots=True)
class Command:
    """One command to the vendor. `sent_at` is in monotonic seconds."""

    number: int
    method: RawCommand
    streams: tuple[str, ...]
    sent_at: float


class RawSubscriptions:
    """Synchronous state of one connection.

    A vendor may refuse a command for one of its streams; the streams of such a command are asked
    for again in halves, so that the others are subscribed to.
    """

    def __init__(self, clock: Clock, feed: RawFeed) -> None:
        self._clock = clock
        self._feed = feed
        self._numbers = count(1)
        self._subscribed: dict[str, None] = {}
        self._unanswered: dict[int, Command] = {}
        #: Most streams of a command with this stream, for streams of refused commands.
        self._most_with: dict[str, int] = {}
        self._heard_at = self._next_at = clock.monotonic()
        self._is_changed = True

    def __repr__(self) -> str:
        return f"<RawSubscriptions {len(self._subscribed)} of {self._feed.most_streams}>"

    def note_change(self) -> None:
        """The wanted streams are others than before."""
        self._is_changed = True

    def note_message(self) -> None:
        """The vendor sent something."""
        self._heard_at = self._clock.monotonic()

    def note_reply(self, reply: CommandReply) -> None:
        command = self._unanswered.pop(reply.number, None)
        if command is None or not (reply.is_refused and command.method == "SUBSCRIBE"):
            return
        for stream in command.streams:
            self._subscribed.pop(stream, None)
            self._most_with[stream] = len(command.streams) // 2
        self._is_changed = True

    def next_command(self, wanted: Collection[str]) -> Command | None:
        """The command that is due, which counts as sent. Raises ProviderTimeout if the vendor has
        not answered an earlier one."""
        now = self._clock.monotonic()
        oldest = next(iter(self._unanswered.values()), None)
        if oldest and now >= oldest.sent_at + REPLY_S:
            raise ProviderTimeout(f"no reply to {oldest.method} within {REPLY_S:g} s")
        if now < self._next_at:
            return None
        method, streams = self._due(wanted, now)
        if method is None:
            return None
        self._next_at = now + 1 / self._feed.commands_per_s
        command = Command(next(self._numbers), method, streams, now)
        self._unanswered[command.number] = command
        return command

    def next_command_at(self) -> float:
        """The earliest time at which `next_command` may have one, or raise; as long as streams,
        messages and replies stay as they are."""
        if self._is_changed:
            return self._next_at
        oldest = next(iter(self._unanswered.values()), None)
        if oldest:
            return oldest.sent_at + REPLY_S
        return max(self._heard_at + QUIET_S, self._next_at)

    def _due(
        self, wanted: Collection[str], now: float
    ) -> tuple[RawCommand | None, tuple[str, ...]]:
        if self._is_changed:
            if added := self._next_added(wanted):
                self._subscribed |= dict.fromkeys(added)
                return "SUBSCRIBE", added
            if dropped := self._next_dropped(wanted):
                for stream in dropped:
                    del self._subscribed[stream]
                return "UNSUBSCRIBE", dropped
            self._is_changed = False
        is_quiet = not self._unanswered and now >= self._heard_at + QUIET_S
        return ("LIST_SUBSCRIPTIONS" if is_quiet else None), ()

    def _next_added(self, wanted: Collection[str]) -> tuple[str, ...]:
        """Streams to subscribe to. A stream that was refused alone is not asked for again, as long
        as it is wanted."""
        for stream in [one for one in self._most_with if one not in wanted]:
            del self._most_with[stream]
        room = self._feed.most_streams - len(self._subscribed)
        limits = {
            stream: limit
            for stream in wanted
            if stream not in self._subscribed
            and (limit := self._most_with.get(stream, STREAMS_IN_COMMAND))
        }
        limit = next(iter(limits.values()), 0)
        alike = (stream for stream, most in limits.items() if most == limit)
        return tuple(islice(alike, min(limit, room)))

    def _next_dropped(self, wanted: Collection[str]) -> tuple[str, ...]:
        unwanted = (stream for stream in self._subscribed if stream not in wanted)
        return tuple(islice(unwanted, STREAMS_IN_COMMAND))
