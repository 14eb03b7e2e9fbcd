"""The messages between the processes of a cluster, over the shared store."""

import asyncio
import logging
from collections import deque

from backend.cluster.contract import CHANNELS, Channel, Handler
from backend.cluster.store import SharedStore, StoreUnavailable

log = logging.getLogger("gateway")

#: Unsent messages; beyond either bound the oldest are dropped.
MOST_UNSENT, MOST_UNSENT_BYTES = 1_000, 32 * 1024 * 1024
#: Largest message that is accepted, in bytes: more than the largest answer takes.
MOST_BYTES = 16 * 1024 * 1024


class MessageBus:
    """Implements Bus. Its owner runs `run_sender`, and `receive` after each connect.

    A message begins with the sender's process id and a line feed.
    """

    def __init__(self, store: SharedStore, process: str) -> None:
        self._store = store
        self._own = process.encode() + b"\n"
        self._handlers: dict[str, list[Handler]] = {channel: [] for channel in CHANNELS}
        self._unsent: deque[tuple[Channel, bytes]] = deque()
        self._unsent_bytes = 0
        self._has_unsent = asyncio.Event()
        #: Bytes sent and received, messages dropped because they could not be sent or used.
        self.sent_bytes = self.received_bytes = self.dropped = 0

    def __repr__(self) -> str:
        return f"<MessageBus {len(self._unsent)} unsent>"

    def publish(self, channel: Channel, message: bytes) -> None:
        if not self._store.is_connected:
            return
        self._unsent.append((channel, message))
        self._unsent_bytes += len(message)
        while len(self._unsent) > MOST_UNSENT or self._unsent_bytes > MOST_UNSENT_BYTES:
            self._take()
            self.dropped += 1
        self._has_unsent.set()

    def subscribe(self, channel: Channel, handler: Handler) -> None:
        self._handlers[channel].append(handler)

    async def run_sender(self) -> None:
        """Sends until it is cancelled. What the store does not take is lost."""
        while True:
            await self._has_unsent.wait()
            while self._unsent:
                channel, message = self._take()
                try:
                    await self._store.publish(channel, self._own + message)
                    self.sent_bytes += len(message)
                except StoreUnavailable:
                    self.dropped += 1 + len(self._unsent)
                    self._unsent.clear()
                    self._unsent_bytes = 0
                except Exception:  # a bug must not silence the process
                    self.dropped += 1
                    log.exception("a message of channel %s was not sent", channel)
            self._has_unsent.clear()

    async def receive(self) -> None:
        """Hands messages out until the connection fails: with StoreUnavailable."""
        async for channel, message in self._store.messages():
            if len(message) <= MOST_BYTES:
                self._hand_out(channel, message)
            else:
                self.dropped += 1

    def _take(self) -> tuple[Channel, bytes]:
        channel, message = self._unsent.popleft()
        self._unsent_bytes -= len(message)
        return channel, message

    def _hand_out(self, channel: str, message: bytes) -> None:
        sender, is_ours, body = message.partition(b"\n")
        if message.startswith(self._own) or not is_ours:
            return
        self.received_bytes += len(body)
        for handler in self._handlers.get(channel, ()):
            try:
                handler(sender.decode("utf-8", "replace"), body)
            except Exception:  # a bug in one handler must not end the others' messages
                self.dropped += 1
                log.exception("a message of channel %s was not handled", channel)
